# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The guest's initramfs: busybox, lab/guest, and the modules of one kernel.

# image_stock_modules VERSION DEST: the stock modules of lab/guest/modules.
image_stock_modules() {
	local from=$lab_cache/kernel/$1/stock/usr/lib/modules/$1-amd64
	local to=$2/lib/modules/$1-amd64 name file dep
	local -a queue
	local -A seen=()

	mkdir -p "$to"
	cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
	mapfile -t queue < <(grep -v '^#' "$lab_top/lab/guest/modules")
	while ((${#queue[@]})); do
		name=${queue[0]//-/_}
		queue=("${queue[@]:1}")
		[[ ${seen[$name]:-} ]] && continue
		seen[$name]=1
		file=$(grep -E "/${name//_/[-_]}\.ko\$" "$from/modules.order" | head -n 1)
		# Not in the list: built into the kernel.
		[[ $file && -e $from/$file.xz ]] || continue
		mkdir -p "$to/${file%/*}"
		xz -dc "$from/$file.xz" >"$to/$file"
		dep=$(modinfo -F depends "$to/$file")
		mapfile -t -O "${#queue[@]}" queue < <(tr ',' '\n' <<<"$dep" | grep .)
	done
}

# image_modules FLAVOUR VERSION DEST
image_modules() {
	local flavour=$1 version=$2 dest=$3 file

	case $flavour in
	stock)
		image_stock_modules "$version" "$dest"
		extra_install "$dest/lib/modules/$version-amd64"
		;;
	barbuf | iommufd)
		image_stock_modules "$version" "$dest"
		extra_install "$dest/lib/modules/$version-amd64"
		# Stock's are kept, so that both can be measured in one boot.
		modules_install "$dest/lib/modules/$version-amd64" "$dest/lab/stock"
		;;
	debug | pud)
		mkdir -p "$dest/lib"
		cp -a "$debug_out/lib/modules" "$dest/lib/"
		;;
	esac
	/sbin/depmod -b "$dest" "$(ls "$dest/lib/modules")"
}

# image_ready FLAVOUR VERSION KEY: sets image.
image_ready() {
	local root=$lab_build/image-$1.root key

	key=$3-$(lab_fingerprint "$lab_top/lab/guest")
	image=$lab_build/image-$1.cpio
	[[ -e $image && -e $image.key && $(<"$image.key") == "$key" ]] && return
	lab_step "making the guest image for '$1'"
	rm -rf "$root" "$image.key"
	mkdir -p "$root"/{bin,lab/bin,lab/run}
	cp "$(image_busybox)" "$root/bin/busybox"
	install -m 755 "$lab_top/lab/guest/init" "$root/init"
	install -m 755 "$lab_top/lab/guest/vfio-bind" "$root/lab/bin/vfio-bind"
	ln -s vfio-bind "$root/lab/bin/vfio-unbind"
	install -m 755 "$lab_top/lab/guest/lab-monitor" "$root/lab/bin/lab-monitor"
	cp "$lab_top/lab/guest/leaks" "$root/lab/leaks"
	install -m 755 "$lab_top/lab/guest/clock-right" "$root/lab/clock-right"
	image_modules "$1" "$2" "$root"
	# A running guest may still be reading the old one.
	(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >"$image.new" ||
		lab_die "cannot write $image (disk full?)"
	mv "$image.new" "$image"
	rm -rf "$root"
	printf '%s\n' "$key" >"$image.key"
}

image_busybox() {
	local b

	for b in /bin/busybox /usr/bin/busybox; do
		[[ -x $b ]] && echo "$b" && return
	done
}
