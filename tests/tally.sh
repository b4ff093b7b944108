# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Runs suites one after the other, whatever became of the one before, and adds
# up the lines "N passed, N failed[, N skipped]" that they end with.

tally_passed=0 tally_failed=0 tally_skipped=0 tally_lines=()

# tally NAME COMMAND...
tally() {
	local name=$1 log line status took began=$SECONDS

	shift
	log=$(mktemp)
	"$@" | tee "$log"
	status=${PIPESTATUS[0]}
	line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
	# One that ran in the background says itself how long.
	took=$(sed -n "s/^# $name took \([0-9]*\) s$/\1/p" "$log" | tail -n 1)
	rm -f "$log"
	if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
		tally_passed=$((tally_passed + BASH_REMATCH[1]))
		tally_failed=$((tally_failed + BASH_REMATCH[2]))
		tally_skipped=$((tally_skipped + ${BASH_REMATCH[4]:-0}))
		# A suite may fail although each of its tests passed, as by a report of the kernel.
		if ((status != 0 && BASH_REMATCH[2] == 0)); then
			tally_failed=$((tally_failed + 1))
			line+=", then exit status $status"
		elif ((BASH_REMATCH[1] + BASH_REMATCH[2] == 0)); then
			tally_failed=$((tally_failed + 1))
			line+=", which is no test at all"
		fi
	else
		tally_failed=$((tally_failed + 1))
		line="no summary, exit status $status"
	fi
	tally_lines+=("$(printf '%-16s %s (%d s)' "$name" "$line" ${took:-$((SECONDS - began))})")
}

# tally_meson BUILD [TEST...]: unit tests. meson counts programs; their TAP lines, of
# which it keeps a log, are the tests.
tally_meson() {
	local log=$1/meson-logs/testlog.txt status=0 passed failed skipped

	meson test -C "$1" --no-rebuild --print-errorlogs "${@:2}" || status=$?
	skipped=$(grep -ciE '^ok .*# *skip' "$log")
	passed=$(($(grep -cE '^ok( |$)' "$log") - skipped))
	failed=$(grep -cE '^not ok( |$)' "$log")
	((status == 0 || failed > 0)) || failed=1
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	return "$status"
}

# tally_end [skipped]: the suites, the sum as the last line; its status is the verdict.
tally_end() {
	echo
	printf '# %s\n' "${tally_lines[@]}"
	printf '%d passed, %d failed' "$tally_passed" "$tally_failed"
	[[ ${1:-} != skipped ]] || printf ', %d skipped' "$tally_skipped"
	echo
	((tally_failed == 0))
}
