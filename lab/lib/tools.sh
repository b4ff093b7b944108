# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The tools: programs of Debian that look into a guest's kernel, and the
# libraries they need. Shared by all checkouts, never written to by a guest.

tools_suite=trixie
tools_packages='trace-cmd bpftrace'

tools_key() {
	printf '%s\n' "$tools_suite $tools_packages $(lab_fingerprint "$lab_top/lab/guest/enter")" |
		sha256sum | cut -c1-12
}

# tools_ready: make it if it is not there; sets tools_root, whose base name is the
# name that the guest sees.
tools_ready() {
	local dir

	dir=$lab_cache/tools-$(tools_key)
	tools_root=$dir/tools
	[[ -e $dir ]] && return
	(
		lab_lock tools
		[[ -e $dir ]] && exit
		lab_need_space "$lab_cache" 1200 "the tools for the guest"
		mirror=$(supply_mirror) || exit
		[[ ! -e $dir.new ]] || lab_as_root rm -rf "$dir.new"
		mkdir -p "$dir.new" || exit
		# Unpacked and not configured: nothing of it runs on this machine.
		lab_logged "$lab_cache/log/tools.log" "fetching $tools_packages" \
			lab_as_root mmdebstrap --mode=root --variant=extract \
			--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
			--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
			--include="${tools_packages// /,}" \
			"$tools_suite" "$dir.new/tools" \
			"deb [signed-by=$supply_keyring] $mirror $tools_suite main" ||
			lab_die "cannot fetch $tools_packages (network or disk): see above"
		lab_as_root install -m 755 "$lab_top/lab/guest/enter" "$dir.new/tools/enter" &&
			lab_as_root mv "$dir.new" "$dir"
	) || exit
}
