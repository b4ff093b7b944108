# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Modules that tests bring along, from tests/modules: built for each kernel,
# found by modprobe in each guest.

extra_source=$lab_top/tests/modules
# One folder for all kernels of Debian's: they are the same for each.
extra_dir=$lab_top/build/kernel/extra

extra_key() { (cd "$lab_top" && lab_fingerprint tests/modules); }

# extra_copy DIR: kbuild writes beside its sources, so they are copied; a file
# of the same content keeps its time.
extra_copy() {
	local file

	mkdir -p "$1"
	# Objects of a source that is gone would be linked again.
	[[ -e $1/.names && $(<"$1/.names") == "$(ls "$extra_source")" ]] || { rm -rf "$1" && mkdir -p "$1"; }
	ls "$extra_source" >"$1/.names"
	for file in "$extra_source"/*; do
		cmp -s "$file" "$1/${file##*/}" || cp "$file" "$1/"
	done
}

# extra_ready VERSION: those for Debian's kernel.
extra_ready() {
	local version=$1 key

	[[ -d $extra_source ]] || return 0
	key=$version-$(extra_key)-$(builder_key)
	[[ -e $extra_dir/.key && $(<"$extra_dir/.key") == "$key" ]] && return
	supply_headers "$version"
	builder_ready
	(
		mkdir -p "${extra_dir%/*}" && exec {fd}>"$extra_dir.lock" && flock "$fd" || exit "$LAB_UNPREPARED"
		[[ -e $extra_dir/.key && $(<"$extra_dir/.key") == "$key" ]] && exit
		extra_copy "$extra_dir"
		rm -f "$extra_dir/.key"
		mkdir -p "$lab_build/no-headers"
		lab_logged "$lab_build/extra.log" "building the tests' modules for $version" \
			modules_make "$version" "$extra_dir" "$lab_build/no-headers" extra || exit "$LAB_UNPREPARED"
		printf '%s\n' "$key" >"$extra_dir/.key"
	) || exit
}

# extra_install DEST: into the modules folder DEST.
extra_install() {
	[[ -d $extra_source ]] || return 0
	mkdir -p "$1/extra"
	(exec {fd}>"$extra_dir.lock" && flock "$fd" && cp "$extra_dir"/*.ko "$1/extra/")
}
