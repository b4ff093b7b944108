# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The replacement modules for Debian's own kernel.

# Built and replaced as a whole, because struct vfio_pci_core_device may change
# its layout. A patch to C code elsewhere would not reach the stock kernel.
modules_dir=drivers/vfio/pci

modules_make() {
	builder_run --bind "$tree_dir" /build/tree \
		--bind "$lab_cache/kernel/$1/headers/usr/src/linux-headers-$1-amd64" "/usr/src/linux-headers-$1-amd64" \
		--bind "$lab_cache/kernel/$1/headers/usr/lib/linux-kbuild-$1" "/usr/lib/linux-kbuild-$1" \
		--lower "$lab_build/headers" \
		--overlay "$lab_cache/kernel/$1/headers/usr/src/linux-headers-$1-common" - "/usr/src/linux-headers-$1-common" \
		-- make -C "/usr/src/linux-headers-$1-amd64" -j"$(nproc)" M=/build/tree/$modules_dir "${@:2}"
}

modules_covered() {
	local file

	while IFS= read -r file; do
		case $file in
		"$modules_dir"/* | include/* | Documentation/* | */Kconfig) ;;
		*.c | *.h | *.S | */Makefile)
			lab_die "$file is changed, but only $modules_dir is rebuilt for Debian's kernel: widen modules_dir in lab/lib/modules.sh"
			;;
		esac
	done <"$lab_build/tree.changed"
}

# modules_ready VERSION: sets modules_key.
modules_ready() {
	local version=$1

	tree_ready "$version"
	modules_key=$tree_key-$(builder_key)
	[[ -e $lab_build/modules.key && $(<"$lab_build/modules.key") == "$modules_key" ]] && return
	supply_headers "$version"
	builder_ready
	modules_covered
	rm -f "$lab_build/modules.key"
	lab_logged "$lab_build/modules.log" "building the modules for $version" \
		modules_make "$version" modules || exit 1
	printf '%s\n' "$modules_key" >"$lab_build/modules.key"
}
