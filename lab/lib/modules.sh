# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The replacement modules for Debian's own kernel.

# Which of them, as kernel/Makefile names the sets.
modules_set=barbuf

# modules_variant SET: another set, in a tree of its own.
modules_variant() {
	modules_set=$1
	tree_variant "$1"
}

# modules_make VERSION TREE HEADERS TARGET [SET]: run kernel/Makefile in the
# builder, with the changed headers in HEADERS over those of Debian's package,
# and what its scripts lack, if anything, in HEADERS.scripts.
modules_make() {
	local version=$1 packages=$lab_cache/kernel/$1/headers/usr scripts=()

	[[ ! -d $3.scripts ]] || scripts=(--lower "$3.scripts")
	builder_run --bind "$2" /build/tree --bind "$lab_top/kernel" /build/kernel \
		--bind "$packages/src/linux-headers-$version-amd64" "/usr/src/linux-headers-$version-amd64" \
		"${scripts[@]}" --overlay "$packages/lib/linux-kbuild-$version" - "/usr/lib/linux-kbuild-$version" \
		--lower "$3" \
		--overlay "$packages/src/linux-headers-$version-common" - "/usr/src/linux-headers-$version-common" \
		-- make --no-print-directory -f /build/kernel/Makefile "$4" \
		SET="${5:-$modules_set}" TREE=/build/tree KDIR="/usr/src/linux-headers-$version-amd64"
}

# modules_cover FILE: does a set build the object of FILE, a name in the tree, anew? What only the
# set iommufd has changes nothing on the kernel barbuf.
modules_cover() {
	case $1 in
	drivers/vfio/pci/* | drivers/vfio/vfio_iommu_type1* | drivers/vfio/type1/* | drivers/vfio/Makefile) ;;
	# The vfio.ko that the set barbuf leaves alone has been built with these.
	drivers/vfio/*.h | include/linux/vfio.h) return 1 ;;
	drivers/vfio/*/*) [[ $1 != *.[chS] && $1 != */Makefile ]] ;;
	drivers/vfio/*.c | drivers/iommu/iommufd/*) ;;
	include/* | Documentation/* | */Kconfig) ;;
	*.c | *.h | *.S | */Makefile) return 1 ;;
	esac
}

modules_covered() {
	local file

	while IFS= read -r file; do
		modules_cover "$file" ||
			lab_die "$file is changed, but no set of kernel/Makefile builds it anew for Debian's kernel: widen one, and modules_cover"
	done <"$lab_build/tree.changed"
}

# modules_built: the modules of the set, by their names in the tree.
modules_built() { sed 's/o$/ko/' "$tree_dir/modules.order"; }

# modules_install DEST STOCK: lay them into the modules folder DEST, each in the place of Debian's
# module of the same name, which goes to STOCK.
modules_install() {
	local file old

	mkdir -p "$2"
	modules_built | while IFS= read -r file; do
		old=$(find "$1/kernel" -name "${file##*/}")
		[[ ! $old ]] || mv "$old" "$2/"
		: "${old:=$1/kernel/$file}"
		mkdir -p "${old%/*}"
		cp "$tree_dir/$file" "$old"
	done
	modules_refuse "$1"
}

# modules_refuse DEST: a user of our vfio.ko has to be ours, too. Its struct vfio_device has members
# that Debian's has not, and nothing else would say no: CONFIG_MODVERSIONS is off. In Debian's
# package that is i915's kvmgt.ko; it is refused by not being there.
modules_refuse() {
	local file

	[[ $(modules_built) == *drivers/vfio/vfio.ko* ]] || return 0
	find "$1/kernel" -name '*.ko' | while IFS= read -r file; do
		[[ ,$(modinfo -F depends "$file"), == *,vfio,* ]] || continue
		modules_built | grep -q "/${file##*/}\$" || rm "$file"
	done
}

# modules_ready VERSION: sets modules_key.
modules_ready() {
	local version=$1

	tree_ready "$version"
	modules_key=$tree_key-$modules_set-$(builder_key)-$(sha256sum <"$lab_top/kernel/Makefile" | cut -c1-12)
	[[ -e $lab_build/modules.key && $(<"$lab_build/modules.key") == "$modules_key" ]] && return
	supply_headers "$version"
	builder_ready
	modules_covered
	rm -f "$lab_build/modules.key"
	lab_logged "$lab_build/modules.log" "building the modules '$modules_set' for $version" \
		modules_make "$version" "$tree_dir" "$lab_build/headers" modules || exit "$LAB_UNPREPARED"
	printf '%s\n' "$modules_key" >"$lab_build/modules.key"
}
