# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What every part of the lab shares: where things are, how it speaks, locks.

LC_ALL=C
export LC_ALL

lab_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
lab_cache=${XDG_CACHE_HOME:-$HOME/.cache}/barbuf
lab_build=$lab_top/build/kernel
# One more patch on top of ours, to see a test fail: built apart.
lab_patch=${LAB_PATCH:-}
if [[ $lab_patch ]]; then
	lab_patch=$(readlink -f -- "$lab_patch")
	lab_build=$lab_top/build/kernel-patched
fi

# What lab/run exits with when COMMAND did not decide; lab/run --help says it too.
readonly LAB_UNPREPARED=120 LAB_REPORT=121 LAB_TIMEOUT=122 LAB_DIED=123

lab_verbose=${lab_verbose:-}

# lab_slow KERNEL: is it one with the checkers of kernel/debug.config?
lab_slow() { [[ $1 == debug || $1 == pud ]]; }

lab_error() { printf 'lab: %s\n' "$*" >&2; }

# The lab could not be made ready: one line that says what is missing.
lab_die() { lab_error "$@"; exit "$LAB_UNPREPARED"; }

lab_on_terminal() { [[ -t 2 ]]; }

# Steps are shown to a person, or to one who asked; a pipe stays quiet.
lab_step() {
	if lab_on_terminal || [[ $lab_verbose ]]; then
		lab_error "$@"
	fi
}

lab_as_root() {
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		lab_die "root is needed for '$1', and sudo is not installed"
	fi
}

# lab_lock NAME: hold $lab_cache/lock/NAME until this (sub)shell ends.
lab_lock() {
	local fd

	mkdir -p "$lab_cache/lock" ||
		lab_die "cannot create the cache directory $lab_cache"
	exec {fd}>"$lab_cache/lock/$1"
	flock -n "$fd" && return
	lab_step "waiting for another lab to finish with '$1'"
	flock "$fd"
}

# lab_need_space DIR MEGABYTES WHAT
lab_need_space() {
	local free

	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	((free >= $2)) ||
		lab_die "$3 needs $2 MB in $1, which has $free MB free"
}

# lab_logged LOG WHAT COMMAND...: run quietly; a terminal sees a moving line.
lab_logged() {
	local log=$1 what=$2 status=0

	shift 2
	lab_step "$what"
	mkdir -p "${log%/*}"
	if lab_on_terminal; then
		"$@" 2>&1 </dev/null | tee "$log" | awk -v what="$what" '
			{ printf "\r\033[K%6d  %.64s", NR, $0 > "/dev/stderr" }
			END { printf "\r\033[K" > "/dev/stderr" }'
		status=${PIPESTATUS[0]}
	else
		"$@" >"$log" 2>&1 </dev/null || status=$?
	fi
	((status == 0)) && return
	{ grep -nE '(error|Error |ERROR|fatal|No space left|E:|Could not)' "$log" || tail -n 20 "$log"; } |
		head -n 20 >&2
	lab_error "$what failed; the whole log is $log"
	return "$status"
}

# lab_fingerprint PATH...: one hash over names and contents of all files below.
lab_fingerprint() {
	find "$@" -type f -print0 2>/dev/null | sort -z | xargs -0r sha256sum | sha256sum | cut -c1-16
}
