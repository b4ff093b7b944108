# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The static checks of the kernel code, as TAP. checkpatch has to be silent on
# all that is ours. The compiler's W=1 and sparse also see Linux's own files in
# the same folder: what they say about Linux as it came is subtracted.

static_number=0 static_failed=0

# static_result NAME TEXT: TEXT is what is wrong, empty if nothing.
static_result() {
	static_number=$((static_number + 1))
	if [[ $2 ]]; then
		static_failed=$((static_failed + 1))
		printf 'not ok %d - %s\n' "$static_number" "$1"
		printf '%s\n' "$2" | head -n 40 | sed 's/^/# /'
	else
		printf 'ok %d - %s\n' "$static_number" "$1"
	fi
}

# static_complaints LOG: without line numbers, so that a line added above
# changes nothing.
static_complaints() {
	grep -aE '(warning|error|WARNING|ERROR)[: ]' "$1" |
		grep -avE 'BTF|pahole|The (kernel|compiler) .* differs|compiler differs' |
		sed -E 's,/build/tree/,,g; s/:[0-9]+(:[0-9]+)?:/:/g; s/^ +//' | sort
}

# static_compile VERSION SET TARGET: new complaints on stdout.
static_compile() {
	local version=$1 set=$2 target=$3 dir=$static_dir/build which log
	local base=$lab_cache/kernel/$1/complaints-$3-$2-$(builder_key)-$(
		cd "$lab_top" && lab_fingerprint kernel/Makefile kernel/kbuild kernel/sparse.h)

	for which in pristine ours; do
		[[ $which == pristine && -e $base ]] && continue
		# Copied, as the objects of another target are not those of a build.
		rm -rf "$dir" && mkdir -p "$dir/headers" "$dir/tree"
		log=$lab_build/static-$set-$target-$which.log
		if [[ $which == pristine ]]; then
			tree_pristine "$version" "$dir/tree"
		else
			cp -a "$static_dir/tree/." "$dir/tree/"
			cp -a "$static_dir/headers/." "$dir/headers/"
		fi
		# Without it make says that there is no sparse, and goes on.
		mkdir -p "$dir/headers.scripts/scripts"
		cp -p "$lab_cache/kernel/$version/source/scripts/checker-valid.sh" "$dir/headers.scripts/scripts/"
		lab_logged "$log" "$target of $set, $which" \
			modules_make "$version" "$dir/tree" "$dir/headers" "$target" "$set" || {
			echo "the build failed; see $log"
			return
		}
		if [[ $target == sparse ]] && grep -m 1 ': error: ' "$log"; then
			echo "sparse stumbled, and then keeps its warnings to itself: see kernel/sparse.h"
			return
		fi
		if [[ $target == sparse ]] && ! grep -q '^  CHECK ' "$log"; then
			echo "sparse did not run; see $log"
			return
		fi
		[[ $which == ours ]] || static_complaints "$log" >"$base"
	done
	comm -13 "$base" <(static_complaints "$log")
	rm -rf "$dir"
}

# static_checkpatch VERSION FILE...: -f for a file of ours, a patch as it is.
static_checkpatch() {
	local version=$1 name=$2 option=-f

	[[ $name == *.patch ]] && option=
	builder_run --bind "$lab_cache/kernel/$version/source" /build/linux --bind "$lab_top/kernel" /build/kernel \
		-- make -s --no-print-directory -f /build/kernel/Makefile checkpatch \
		LINUX=/build/linux FILES="$option /build/$name" 2>&1 | grep -v '^make'
}

# static_run VERSION, called with the checkout's build lock as descriptor 9.
static_run() {
	local version=$1 name

	tree_ready "$version"
	supply_headers "$version"
	supply_source "$version"
	builder_ready
	# From here on others may build in this checkout.
	static_dir=$lab_build/static.$$
	trap 'rm -rf "$static_dir"' EXIT
	mkdir -p "$static_dir/tree"
	(cd "$tree_dir" && cpio -pdm --quiet "$static_dir/tree" <"$lab_build/tree.manifest")
	cp -a "$lab_build/headers" "$static_dir/"
	exec 9>&-
	echo 'TAP version 13'
	while IFS= read -r name; do
		static_result "checkpatch --strict $name" "$(static_checkpatch "$version" "$name")"
	done < <(cd "$lab_top" && find kernel/drivers kernel/include kernel/kbuild kernel/Documentation kernel/patches \
		-type f 2>/dev/null | sort)
	# The second set builds all of the first and more, for another configuration.
	for name in barbuf iommufd; do
		static_result "W=1, set $name" "$(static_compile "$version" "$name" warnings)"
		static_result "sparse, set $name" "$(static_compile "$version" "$name" sparse)"
	done
	static_result "W=1, the variant drivers" "$(static_compile "$version" barbuf variants)"
	printf '1..%d\n%d passed, %d failed\n' "$static_number" $((static_number - static_failed)) "$static_failed"
	((static_failed == 0))
}
