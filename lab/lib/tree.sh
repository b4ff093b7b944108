# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The part of the kernel tree that barbuf changes, laid out as in Linux:
# pristine files, ours beside them, and the patches applied. A file whose
# content did not change keeps its time, so that make does no work twice.
#
#   build/kernel/tree           what a module build needs: drivers/vfio, iommufd, all below, kernel/kbuild
#   build/kernel/tree.changed   names of the files that are ours or patched
#
# A variant of the kernel has patches on top of those, and a build/kernel-VARIANT.

tree_dir=$lab_build/tree
tree_patches=$lab_top/kernel/patches/$kernel_series
# Where tree_variant has named one: patches for that variant alone.
tree_variant_patches=
# What of kernel/ belongs into the tree.
tree_ours=(drivers include Documentation)
# What joins the parts of the tree to modules that are built outside of Linux.
tree_kbuild=$lab_top/kernel/kbuild

# tree_variant NAME: build in a tree of its own, with kernel/patches/SERIES-NAME, if there, on top of
# ours.
tree_variant() {
	tree_variant_patches=$tree_patches-$1
	lab_build+=-$1
	tree_dir=$lab_build/tree
}

tree_series() {
	local patch

	for patch in "$tree_patches"/*.patch ${tree_variant_patches:+"$tree_variant_patches"/*.patch} \
		${lab_patch:+"$lab_patch"}; do
		[[ ! -e $patch ]] || printf '%s\n' "$patch"
	done
}

tree_touched() {
	local patches

	mapfile -t patches < <(tree_series)
	((${#patches[@]})) || return 0
	sed -nE 's,^(---|\+\+\+) [ab]/([^[:space:]]+).*,\2,p' "${patches[@]}" | sort -u
}

tree_inputs() {
	local dir dirs=("$tree_patches" "$tree_kbuild")

	[[ ! $tree_variant_patches ]] || dirs+=("$tree_variant_patches")
	for dir in "${tree_ours[@]}"; do dirs+=("$lab_top/kernel/$dir"); done
	[[ ! $lab_patch ]] || sha256sum <"$lab_patch" | cut -c1-12
	(cd "$lab_top" && lab_fingerprint "${dirs[@]#"$lab_top/"}")
}

# tree_pristine VERSION DIR: lay what the modules are made of into DIR, as it is in Linux.
tree_pristine() {
	local source=$lab_cache/kernel/$1/source part

	for part in drivers/vfio drivers/iommu/iommufd drivers/iommu/iommu-{pages,priv}.h lib/interval_tree.c; do
		mkdir -p "$2/${part%/*}"
		cp -a "$source/$part" "$2/$part"
	done
	cp -a "$tree_kbuild/." "$2/"
}

# tree_ready VERSION: bring build/kernel/tree up to date; sets tree_key, which
# changes when the tree does. Called with the checkout's build lock held.
tree_ready() {
	local version=$1 source=$lab_cache/kernel/$1/source new=$lab_build/tree.new
	local file patch out dir

	tree_key=$version-$(tree_inputs | paste -sd-)
	[[ -e $lab_build/tree.key && $(<"$lab_build/tree.key") == "$tree_key" ]] && return
	supply_source "$version"

	rm -rf "$new" "$lab_build/tree.key"
	mkdir -p "$new" "$tree_dir"
	tree_pristine "$version" "$new"
	tree_touched | while IFS= read -r file; do
		[[ -e $source/$file ]] || continue
		mkdir -p "$new/${file%/*}" && cp -a "$source/$file" "$new/$file"
	done
	: >"$lab_build/tree.list"
	for dir in "${tree_ours[@]}"; do
		[[ -d $lab_top/kernel/$dir ]] || continue
		(cd "$lab_top/kernel" && find "$dir" -type f) | while IFS= read -r file; do
			[[ -e $source/$file ]] && lab_die "kernel/$file has the name of a file of Linux $version"
			mkdir -p "$new/${file%/*}" && cp "$lab_top/kernel/$file" "$new/$file"
			printf '%s\n' "$file" >>"$lab_build/tree.list"
		done || exit
	done
	while IFS= read -r patch; do
		# No fuzz: a hook that only nearly fits may land in the wrong function.
		out=$(cd "$new" && patch -p1 -F0 -s -f --no-backup-if-mismatch <"$patch" 2>&1) && continue
		file=$(sed -nE 's,.* (saving rejects to|to) file ([^ ]+)\.rej.*,\2,p' <<<"$out" | paste -sd' ')
		lab_die "patch ${patch##*/} does not apply to Linux $version, file ${file:-$(tail -n 1 <<<"$out")}"
	done < <(tree_series)
	{ cat "$lab_build/tree.list"; tree_touched; } | sort -u | while IFS= read -r file; do
		[[ ! -e $new/$file ]] || printf '%s\n' "$file"
	done >"$lab_build/tree.changed"

	(cd "$new" && find . -type f) | sort >"$lab_build/tree.manifest.new"
	if [[ -e $lab_build/tree.manifest ]]; then
		comm -23 "$lab_build/tree.manifest" "$lab_build/tree.manifest.new" |
			while IFS= read -r file; do rm -f "$tree_dir/$file"; done
	fi
	while IFS= read -r file; do
		cmp -s "$new/$file" "$tree_dir/$file" && continue
		mkdir -p "$tree_dir/${file%/*}"
		cp "$new/$file" "$tree_dir/$file"
	done <"$lab_build/tree.manifest.new"
	mv "$lab_build/tree.manifest.new" "$lab_build/tree.manifest"
	rm -rf "$new"

	# Changed headers once more by themselves, to lie over linux-headers.
	rm -rf "$lab_build/headers" && mkdir -p "$lab_build/headers"
	grep -E '^include/' "$lab_build/tree.changed" | while IFS= read -r file; do
		mkdir -p "$lab_build/headers/${file%/*}"
		cp -p "$tree_dir/$file" "$lab_build/headers/$file"
	done
	printf '%s\n' "$tree_key" >"$lab_build/tree.key"
}
