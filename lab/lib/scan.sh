# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Does a console log hold a report of the kernel about itself?

scan_rules() { grep -v '^#' "$lab_top/lab/lib/reports"; }

# scan_log LOG: 0 if it is clean; else 1, and an excerpt of each report on stdout.
scan_log() {
	local hits

	hits=$(grep -anE -f <(scan_rules) "$1" | cut -d: -f1)
	[[ $hits ]] || return 0
	# Some lines before, where a report's frame begins, and enough after for its
	# stack; lockdep writes two. Reports that touch are shown as one.
	tr -d '\r' <"$1" | awk -v hits="$hits" '
		BEGIN { n = split(hits, h, "\n"); next_hit = 1 }
		{ line[NR] = $0 }
		END {
			last = 0
			for (i = 1; i <= n && shown < 300; i++) {
				from = h[i] - 3; to = h[i] + 60
				if (from <= last) from = last + 1
				if (last && from > last + 1) print "..."
				for (l = from < 1 ? 1 : from; l <= to && l <= NR && shown < 300; l++) {
					print line[l]; shown++
					if (l > h[i] && line[l] ~ /---\[ end trace/) { l++; break }
				}
				if (l - 1 > last) last = l - 1
			}
		}'
	return 1
}
