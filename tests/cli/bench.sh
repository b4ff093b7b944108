# SPDX-License-Identifier: GPL-2.0-only
# bench.

. "$here/use.sh"

memory=$(bound ivshmem) edu=$(bound edu)

run barbuf bench "$memory/2" --size 64K
wants 0 '^row	ns	instructions	what$' 'bench: a table'
# Stock has no revoke; export.sh looks at what is said about it.
[ "$LAB_KERNEL" = stock ] || has_line '^revoke	[0-9.]*	' 'bench: row revoke'
for row in export map touch walk bar-plain bar-guarded memory-plain memory-guarded; do
	has_line "^$row	[0-9.]*	" "bench: row $row"
done
run barbuf bench "$edu/0"
wants 2 '' 'bench: registers are not read unasked'
has_error "ADDRESS/BAR '$edu/0': not prefetchable: .* with --yes they are read" 'bench: which is told'
run barbuf bench "$edu/0" --yes --size 16K --json
wants 0 '' 'bench --yes --json'
json 'nine rows' rows.# 9
json 'what was mapped' mapped "$([ "$LAB_KERNEL" = stock ] && echo bar || echo buffer)"
json 'a row' rows.3.row walk
wrong_usage "\-\-size '1': not a multiple of 4096, the page size" bench "$memory/2" --size 1
wrong_usage "\-\-size '2G': exceeds 0x40000000" bench "$memory/2" --size 2G
run env LANG=C.UTF-8 barbuf-cli-with terminal barbuf bench "$memory/2" --size 64K
wants 0 '^export .* █████' 'bench: on a terminal there is a picture'
run env LANG=C barbuf-cli-with terminal barbuf bench "$memory/2" --size 64K
wants 0 '^export .* #####' 'bench: of # where there are no blocks'
# What stock lacks is said in a sentence, which is no part of the table.
[ "$(tr -d '\r' <"$scratch/out" | sed 's/.*K//; /^barbuf: /d' | awk 'length($0) > 80' | wc -l)" = 0 ]
point $? 'bench: no line of the table is wider than 80 columns'
