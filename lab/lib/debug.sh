# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The debug kernel. Its bulk, the pristine source built with kernel/debug.config,
# is made once for all checkouts and never changed again (the base). A checkout
# lays its own files over it (overlayfs) and builds only what differs: make sees
# the same paths and times in both, so it need not know.
#
#   CACHE/kernel/VERSION/debug-KEY   the base: source and objects
#   build/kernel/debug/upper         what this checkout changed and built
#   build/kernel/debug/out     vmlinuz and lib/modules

debug_config=$lab_top/kernel/debug.config
debug_dir=$lab_build/debug
debug_out=$debug_dir/out

# debug_variant NAME: the debug kernel, with kernel/patches/SERIES-NAME as well.
debug_variant() {
	tree_variant "$1"
	debug_dir=$lab_build/debug
	debug_out=$debug_dir/out
}

# The base does not know the symbols that our own Kconfig entries add.
debug_base_key() {
	local own

	own=$(cat "$tree_patches"/*.patch 2>/dev/null | sed -n 's/^+config \(.*\)/CONFIG_\1/p')
	printf '%s %s\n' "$(builder_key)" \
		"$(grep -E '^(# )?CONFIG_' "$debug_config" | { [[ $own ]] && grep -vwF "$own" || cat; } | sort)" |
		sha256sum | cut -c1-12
}

# debug_base VERSION: sets debug_base_dir.
debug_base() {
	debug_base_dir=$lab_cache/kernel/$1/debug-$(debug_base_key)
	[[ -e $debug_base_dir ]] && return
	(
		lab_lock "debug-$1"
		[[ -e $debug_base_dir ]] && exit
		new=$debug_base_dir.new
		if [[ ! -e $new/.lab-copied ]]; then
			# Another configuration's objects are a good start: make redoes what it must.
			seed=$(ls -dt "$lab_cache/kernel/$1"/debug-*[0-9a-f] 2>/dev/null | head -n 1)
			lab_need_space "$lab_cache" 5000 "the debug kernel"
			rm -rf "$new"
			lab_step "copying the kernel source"
			cp -a --reflink=auto "${seed:-$lab_cache/kernel/$1/source}" "$new" && touch "$new/.lab-copied" ||
				lab_die "cannot copy the kernel source to $new (disk full?)"
		fi
		lab_logged "$lab_cache/log/debug-kernel.log" "building the debug kernel, once for all checkouts (ten minutes)" \
			builder_run --bind "$new" /build/debug --bind "$lab_top/kernel" /build/kernel \
			--bind "$lab_top/lab/lib" /build/lib \
			-- bash /build/lib/debug-build base || exit "$LAB_UNPREPARED"
		mv "$new" "$debug_base_dir"
		# Some gigabytes each: those of configurations that no checkout used lately go.
		find "$lab_cache/kernel" -mindepth 2 -maxdepth 2 -name 'debug-*' ! -path "$debug_base_dir" \
			-mtime +30 -exec rm -rf {} +
	) || exit
}

# debug_ready VERSION: sets debug_key.
debug_ready() {
	local version=$1

	tree_ready "$version"
	builder_ready
	debug_key=$tree_key-$(debug_base_key)-$(lab_fingerprint "$lab_top/lab/lib/debug-build")-$(extra_key)
	[[ -e $debug_dir/key && $(<"$debug_dir/key") == "$debug_key" ]] && return
	supply_source "$version"
	debug_base "$version"
	touch "$debug_base_dir"
	rm -f "$debug_dir/key"
	# Objects over another base would be taken for newer than they are.
	if [[ ! -e $debug_dir/base || $(<"$debug_dir/base") != "$debug_base_dir" ]]; then
		lab_as_root rm -rf "$debug_dir"
	fi
	mkdir -p "$debug_dir"/{upper,upper.work}
	printf '%s\n' "$debug_base_dir" >"$debug_dir/base"
	[[ ! -d $extra_source ]] || extra_copy "$debug_dir/extra"
	lab_logged "$lab_build/debug.log" "building the debug kernel" \
		builder_run --overlay "$debug_base_dir" "$debug_dir/upper" /build/debug \
		--bind "$lab_cache/kernel/$version/source" /build/pristine \
		--bind "$lab_build" /build/checkout --bind "$lab_top/kernel" /build/kernel \
		--bind "$lab_top/lab/lib" /build/lib \
		-- bash /build/lib/debug-build checkout || exit "$LAB_UNPREPARED"
	printf '%s\n' "$debug_key" >"$debug_dir/key"
}
