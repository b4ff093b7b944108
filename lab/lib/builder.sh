# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The builder: a Debian trixie tree with the compiler that Debian's kernel
# headers demand. Shared by all checkouts, never written to by a build.

builder_suite=trixie
builder_packages='gcc-14 libc6-dev make kmod flex bison bc perl libelf-dev libssl-dev zlib1g-dev pahole sparse python3 patch xz-utils'

builder_key() { printf '%s\n' "$builder_suite $builder_packages" | sha256sum | cut -c1-12; }

# builder_ready: make it if it is not there; sets builder_root.
builder_ready() {
	builder_root=$lab_cache/builder-$(builder_key)
	[[ -e $builder_root ]] && return
	(
		lab_lock builder
		[[ -e $builder_root ]] && exit
		lab_need_space "$lab_cache" 1500 "the build chroot"
		mirror=$(supply_mirror) || exit
		[[ ! -e $builder_root.new ]] || lab_as_root rm -rf "$builder_root.new"
		lab_logged "$lab_cache/log/builder.log" "making the build chroot" \
			lab_as_root mmdebstrap --mode=root --variant=apt \
			--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
			--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
			--include="${builder_packages// /,}" \
			--customize-hook='mkdir -p "$1/build"' \
			--customize-hook='ln -sf gcc-14 "$1/usr/bin/gcc"; ln -sf gcc-14 "$1/usr/bin/cc"' \
			"$builder_suite" "$builder_root.new" \
			"deb [signed-by=$supply_keyring] $mirror $builder_suite main" ||
			lab_die "cannot make the build chroot (network or disk): see above"
		lab_as_root mv "$builder_root.new" "$builder_root"
	) || exit
}

# builder_run [--bind FROM TO | --overlay LOWER[:LOWER] UPPER|- TO]... -- COMMAND...
# Runs COMMAND in the builder as the caller, with what is named mounted there;
# the mounts are gone when it ends, whatever the way.
builder_run() {
	lab_as_root unshare --mount --propagation private --pid --fork --kill-child \
		bash "$lab_top/lab/lib/builder-enter" "$builder_root" "$(id -u):$(id -g)" "$@"
}
