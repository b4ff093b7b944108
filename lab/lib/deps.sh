# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Packages of the host: what is missing is installed, nothing is asked.

# One line a package: a file that proves it is there, and its name.
lab_host_packages='
/usr/bin/qemu-system-x86_64 qemu-system-x86
/usr/share/seabios/bios-256k.bin seabios
/usr/bin/mmdebstrap mmdebstrap
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
/usr/share/doc/busybox-static/copyright busybox-static
/sbin/depmod kmod
/usr/bin/cpio cpio
/usr/bin/xz xz-utils
/usr/bin/patch patch
/usr/bin/flock util-linux
/bin/mount mount
'

# deps_install PACKAGE...
deps_install() {
	local log

	log=$(mktemp)
	lab_step "installing $*"
	if ! deps_apt install "$@" >"$log" 2>&1; then
		# A machine that never ran apt-get update knows no package.
		deps_apt update >"$log" 2>&1 && deps_apt install "$@" >>"$log" 2>&1 || {
			grep -E '^(E|W|Err)' "$log" | tail -n 3 >&2
			rm -f "$log"
			lab_die "cannot install the packages $* (network, disk or root rights are missing)"
		}
	fi
	rm -f "$log"
}

deps_apt() {
	local verb=$1

	shift
	lab_as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$verb" "$@" </dev/null
}

# deps_ensure "FILE PACKAGE" lines
deps_ensure() {
	local file package missing=()

	while read -r file package; do
		[[ -z $file || -e $file ]] || missing+=("$package")
	done <<<"$1"
	((${#missing[@]} == 0)) || deps_install "${missing[@]}"
}

deps_lab() { deps_ensure "$lab_host_packages"; }
