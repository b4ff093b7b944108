# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The kernel as Debian ships it: finding the version, fetching and unpacking
# its packages. A private apt tree is used, so that the host's package state
# is neither needed nor touched, and no root is.

kernel_series=7.3
kernel_suite=trixie-backports
# After so many days the index is asked again for a newer 7.3.x.
supply_index_days=7

supply_apt() { APT_CONFIG=$lab_cache/apt/apt.conf "$@"; }

# The site that serves this machine's own base suite also has the backports.
supply_mirror() {
	local mirror

	mirror=$(apt-get indextargets --format '$(SITE)' \
		'MetaKey: main/binary-amd64/Packages' 'Origin: Debian' 2>/dev/null |
		grep -v -e security | head -n 1)
	[[ $mirror ]] || lab_die "this machine's apt sources name no Debian mirror"
	printf '%s\n' "$mirror"
}

supply_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

supply_apt_tree() {
	local dir=$lab_cache/apt mirror

	mirror=$(supply_mirror) || exit
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,etc,none}
	printf 'deb [signed-by=%s] %s %s main\n' "$supply_keyring" "$mirror" "$kernel_suite" \
		>"$dir/etc/sources.list"
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-CONF
		Dir::State "$dir";
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Etc::sourcelist "$dir/etc/sources.list";
		Dir::Etc::sourceparts "$dir/none";
		Dir::Etc::preferencesparts "$dir/none";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "3";
	CONF
}

# supply_index: have an index, fresh if one can be had.
supply_index() {
	local stamp=$lab_cache/apt/updated

	[[ -e $stamp && -z $(find "$stamp" -mtime "+$supply_index_days") && -z ${1:-} ]] && return
	supply_apt_tree
	lab_step "reading the package index of $kernel_suite"
	if supply_apt apt-get -qq -o APT::Update::Error-Mode=any update >"$lab_cache/apt/log" 2>&1; then
		touch "$stamp"
	elif [[ ! -e $stamp ]]; then
		lab_die "cannot reach the package mirror for the index of $kernel_suite: $(grep -m1 '^E' "$lab_cache/apt/log")"
	fi
}

supply_versions() {
	supply_apt apt-cache pkgnames "linux-binary-$kernel_series." |
		sed -n "s/^linux-binary-\($kernel_series\.[0-9]*+[^-]*\)-amd64\$/\1/p" | sort -V
}

# supply_version: print the kernel version in use, such as 7.3.4+deb13.
supply_version() {
	local current=$lab_cache/kernel/current version

	if [[ ${KERNEL_VERSION:-} ]]; then
		if [[ ! -e $lab_cache/kernel/$KERNEL_VERSION/stock ]]; then
			(lab_lock apt; supply_index) || exit
			supply_versions | grep -qxF -- "$KERNEL_VERSION" ||
				lab_die "KERNEL_VERSION=$KERNEL_VERSION is not offered; there is: $(supply_versions | paste -sd' ')"
		fi
		printf '%s\n' "$KERNEL_VERSION"
		return
	fi
	if [[ -s $current && -z $(find "$current" -mtime "+$supply_index_days") ]]; then
		cat "$current"
		return
	fi
	(lab_lock apt; supply_index) || exit
	version=$(supply_versions | tail -n 1)
	[[ $version ]] ||
		lab_die "$kernel_suite offers no kernel $kernel_series.x"
	mkdir -p "${current%/*}"
	printf '%s\n' "$version" >"$current.$$" && mv "$current.$$" "$current"
	printf '%s\n' "$version"
}

# supply_fetch VERSION PACKAGE...: leave the packages' files in the cache's
# debs/ and print their paths. An interrupted download is taken up again.
supply_fetch() {
	local version=$1 debian package file
	local dir=$lab_cache/debs

	shift
	mkdir -p "$dir"
	lab_lock apt
	supply_index
	debian=$(supply_apt apt-cache show --no-all-versions "linux-binary-$version-amd64" |
		sed -n 's/^Version: //p' | head -n 1)
	for package in "$@"; do
		file=$dir/${package}_$version.deb
		if [[ ! -e $file ]]; then
			lab_step "fetching $package"
			(
				mkdir -p "$dir/partial-$package" && cd "$dir/partial-$package" || exit 1
				supply_apt apt-get "${supply_progress[@]}" download "$package=$debian" >&2
			) || {
				# The mirror may have moved on since the index was read.
				supply_index now
				(cd "$dir/partial-$package" && supply_apt apt-get -qq download "$package=$debian" >&2)
			} || lab_die "cannot download $package $debian (network or disk): free space is $(df -Ph "$dir" | awk 'NR == 2 { print $4 }')"
			mv "$dir/partial-$package"/*.deb "$file"
			rmdir "$dir/partial-$package"
		fi
		printf '%s\n' "$file"
	done
}
supply_progress=(-qq)
if lab_on_terminal; then supply_progress=(); fi

# supply_unpack VERSION NAME SIZE_MB UNPACKER PACKAGE...: make
# kernel/VERSION/NAME once, whole or not at all.
supply_unpack() {
	local version=$1 name=$2 size=$3 unpacker=$4 dir files
	shift 4

	dir=$lab_cache/kernel/$version
	[[ -e $dir/$name ]] && return
	(
		lab_lock "$name-$version"
		[[ -e $dir/$name ]] && exit
		mkdir -p "$dir"
		lab_need_space "$dir" "$size" "the kernel's $name"
		files=$(supply_fetch "$version" "$@") || exit
		rm -rf "$dir/$name.new" && mkdir "$dir/$name.new"
		lab_step "unpacking the kernel's $name"
		# shellcheck disable=SC2086 # one path a word: the cache's names have no blanks of ours
		while IFS= read -r file; do
			"$unpacker" "$file" "$dir/$name.new" ||
				lab_die "cannot unpack ${file##*/} into $dir (disk full?)"
		done <<<"$files"
		mv "$dir/$name.new" "$dir/$name"
		while IFS= read -r file; do rm -f "$file"; done <<<"$files"
	) || exit
}

supply_unpack_plain() { dpkg-deb -x "$1" "$2"; }

supply_unpack_source() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJ --strip-components=1 -C "$2"
	[[ ${PIPESTATUS[*]} == "0 0 0" ]]
}

# The image and modules are below stock/usr/lib/modules/VERSION-amd64/.
supply_stock() {
	supply_unpack "$1" stock 500 supply_unpack_plain \
		"linux-binary-$1-amd64" "linux-modules-$1-amd64" "linux-base-$1-amd64"
}

# The files of linux-headers and linux-kbuild, to be seen at /usr in the builder.
supply_headers() {
	supply_unpack "$1" headers 400 supply_unpack_plain \
		"linux-headers-$1-amd64" "linux-headers-$1-common" "linux-kbuild-$1"
}

# The pristine source tree.
supply_source() {
	supply_unpack "$1" source 2500 supply_unpack_source "linux-source-$kernel_series"
}
