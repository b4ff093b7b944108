# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The replacement modules for Debian's own kernel.

modules_dir=$(sed -n 's/^module-dir := //p' "$lab_top/kernel/Makefile")

# modules_make VERSION TREE HEADERS TARGET: run kernel/Makefile in the builder,
# with the changed headers in HEADERS over those of Debian's package, and what
# its scripts lack, if anything, in HEADERS.scripts.
modules_make() {
	local version=$1 packages=$lab_cache/kernel/$1/headers/usr scripts=()

	[[ ! -d $3.scripts ]] || scripts=(--lower "$3.scripts")
	builder_run --bind "$2" /build/tree --bind "$lab_top/kernel" /build/kernel \
		--bind "$packages/src/linux-headers-$version-amd64" "/usr/src/linux-headers-$version-amd64" \
		"${scripts[@]}" --overlay "$packages/lib/linux-kbuild-$version" - "/usr/lib/linux-kbuild-$version" \
		--lower "$3" \
		--overlay "$packages/src/linux-headers-$version-common" - "/usr/src/linux-headers-$version-common" \
		-- make --no-print-directory -f /build/kernel/Makefile "$4" \
		TREE=/build/tree KDIR="/usr/src/linux-headers-$version-amd64"
}

# Is the object of FILE, of the patched tree, in a module that replaces Debian's?
modules_cover() {
	case $1 in
	drivers/vfio/pci/* | drivers/vfio/vfio_iommu_type1* | drivers/vfio/type1/* | drivers/vfio/Makefile) ;;
	# vfio.ko has been built with these.
	drivers/vfio/*.h | include/linux/vfio.h) return 1 ;;
	include/* | Documentation/* | */Kconfig) ;;
	*.c | *.h | *.S | */Makefile) return 1 ;;
	esac
}

modules_covered() {
	local file

	while IFS= read -r file; do
		modules_cover "$file" ||
			lab_die "$file is changed, but no module that it is in is rebuilt for Debian's kernel: widen module-dir in kernel/Makefile, and modules_cover"
	done <"$lab_build/tree.changed"
}

# modules_built: the modules that replace Debian's, by their names in the tree.
modules_built() { sed 's/o$/ko/' "$tree_dir/$modules_dir/modules.order"; }

# modules_install DEST STOCK: lay them into the modules folder DEST, each in the place of Debian's
# module of the same name, which goes to STOCK.
modules_install() {
	local file name old

	mkdir -p "$2"
	modules_built | while IFS= read -r file; do
		name=${file##*/}
		old=$(find "$1/kernel" -name "$name")
		[[ ! $old ]] || mv "$old" "$2/"
		: "${old:=$1/kernel/$modules_dir/$file}"
		mkdir -p "${old%/*}"
		cp "$tree_dir/$modules_dir/$file" "$old"
	done
}

# modules_ready VERSION: sets modules_key.
modules_ready() {
	local version=$1

	tree_ready "$version"
	modules_key=$tree_key-$modules_dir-$(builder_key)
	[[ -e $lab_build/modules.key && $(<"$lab_build/modules.key") == "$modules_key" ]] && return
	supply_headers "$version"
	builder_ready
	modules_covered
	rm -f "$lab_build/modules.key"
	lab_logged "$lab_build/modules.log" "building the modules for $version" \
		modules_make "$version" "$tree_dir" "$lab_build/headers" modules || exit "$LAB_UNPREPARED"
	printf '%s\n' "$modules_key" >"$lab_build/modules.key"
}
