# SPDX-License-Identifier: GPL-2.0-only
# What the files about export, map, peek, poke, dump, fill, trace and bench share, beyond
# what barbuf-cli-tests has.

# is GOT WANTED WHAT
is() {
	[ "$1" = "$2" ]
	point $? "$3"
	[ "$1" = "$2" ] || echo "    # '$1', not '$2'"
}

# run_with FILE COMMAND...: as run, with this standard input.
run_with() {
	input=$1
	shift
	"$@" <"$input" >"$scratch/out" 2>"$scratch/err"
	status=$?
}

# wants STATUS LINE WHAT: of the last run; LINE is a basic regular expression, '' for any.
wants() {
	[ "$status" = "$1" ] && { [ -z "$2" ] || grep -q -e "$2" "$scratch/out"; }
	point $? "$3"
}

# has_line LINE WHAT, has_error LINE WHAT: more of it. An error is one line.
has_line() {
	grep -q -e "$1" "$scratch/out"
	point $? "$2"
}

has_error() {
	grep -q -e "$1" "$scratch/err" && [ "$(wc -l <"$scratch/err")" = 1 ]
	point $? "$2"
}

# has_file_line LINE FILE WHAT
has_file_line() {
	if grep -q -e "$1" "$2"; then
		point 0 "$3"
	else
		point 1 "$3"
		sed 's/^/    # file: /' "$2"
	fi
}

# wrong_usage TEXT COMMAND...: barbuf COMMAND says TEXT behind its name, and nothing else; status 2.
wrong_usage() {
	text=$1
	shift
	run barbuf "$@"
	[ $status = 2 ] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" = 1 ] &&
		grep -q -e "^barbuf: $1: \($text\)" "$scratch/err"
	point $? "wrong usage: $*"
}

# wait_line LINE FILE: until it is there, some seconds at most. A command in the background empties
# its FILE when it gets to run, so whoever starts one empties it first, or finds an old LINE.
wait_line() {
	await grep -q -e "$1" "$2" && return
	echo "    # no '$1' in $2:"
	sed 's/^/    # /' "$2"
	return 1
}

bound() { vfio-bind "$1" | cut -d' ' -f1; } # its address, bound to vfio-pci
