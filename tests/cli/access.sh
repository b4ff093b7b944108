# SPDX-License-Identifier: GPL-2.0-only
# peek, poke, dump, fill and map on a BAR and on an inherited buffer.

. "$here/use.sh"

edu=$(bound edu) memory=$(bound ivshmem)

# edu: register 0 says what it is, register 4 inverts what is written to it.
run barbuf peek "$edu/0" 0
wants 0 '^0x00000000	0x010000ed$' 'peek: one register'
run barbuf peek "${edu#0000:}/0" 0 1 --width 32
wants 0 '^0x00000000	0x010000ed$' 'peek: an address without its domain'
run barbuf poke "$edu/0" 4 0x12345678
wants 0 '' 'poke: one register'
run barbuf peek "$edu/0" 4
wants 0 '^0x00000004	0xedcba987$' 'peek: what the device made of it'
run barbuf poke "$edu/0" 4 1 --dry-run
wants 0 '^would write 0x00000001 to 0x00000004$' 'poke --dry-run: says it'
run barbuf peek "$edu/0" 4 --json
wants 0 '"value": "0xedcba987"' 'poke --dry-run: does not do it; peek --json'

run barbuf fill "$memory/2" 0 64 0x41424344
wants 0 '' 'fill: a value'
run barbuf dump "$memory/2" 0 80
wants 0 '^00000000  44 43 42 41 44 43 42 41  44 43 42 41 44 43 42 41  |DCBADCBADCBADCBA|$' 'dump: shows it'
has_line '^\*$' 'dump: repeated lines are folded'
has_line '^00000050$' 'dump: ends with the end'
run barbuf poke "$memory/2" 4K 1 0x02 3 -w 8
wants 0 '' 'poke: three bytes, offset with a unit'
run barbuf peek "$memory/2" 4K 2 -w 16
wants 0 '^0x00001000	0x0201$' 'peek: 16 bits'
has_line '^0x00001002	0x0003$' 'peek: the next 16 bits'
run barbuf peek "$memory/2" 4K -w 64
wants 0 '^0x00001000	0x0000000000030201$' 'peek: 64 bits'

head -c 8192 /dev/urandom >"$scratch/data"
run_with "$scratch/data" barbuf fill "$memory/2" 1M 8K -
wants 0 '' 'fill: from standard input'
barbuf dump "$memory/2" 1M 8K --raw >"$scratch/copy"
cmp -s "$scratch/data" "$scratch/copy"
is $? 0 'dump --raw: the same bytes come back'
barbuf dump "$memory/2" 1M 8K -w 8 --raw >"$scratch/copy"
cmp -s "$scratch/data" "$scratch/copy"
is $? 0 'dump --raw: byte by byte, too'
run_with "$scratch/data" barbuf fill "$memory/2" 1M 1M -
wants 1 '' 'fill: input that ends early'
has_error 'standard input ended after 8192 of 1048576 bytes' 'fill: says how much there was'
run barbuf fill "$memory/2" 1M 8K 0 --dry-run
wants 0 '^would write 0x2000 bytes from offset 0x00100000 on, 32 bits at a time$' 'fill --dry-run'
barbuf dump "$memory/2" 1M 8K --raw >"$scratch/copy"
cmp -s "$scratch/data" "$scratch/copy"
is $? 0 'fill --dry-run: does not do it'

# What is wrong, with the value and the limit; nothing may have been done.
wrong_usage "OFFSET '0x40000000': past the end: the size is 0x40000000" peek "$memory/2" 0x40000000
wrong_usage "OFFSET '0x3fffffff': not a multiple of 4, the width in bytes" peek "$memory/2" 0x3fffffff
wrong_usage "OFFSET '2': not a multiple of 4, the width in bytes" poke "$memory/2" 2 1
wrong_usage "OFFSET 'x': not a number" peek "$memory/2" x
wrong_usage "OFFSET '-1'\|option '-1'" peek "$memory/2" -1
wrong_usage "OFFSET '0x10000000000000000': exceeds 0xffffffffffffffff" peek "$memory/2" 0x10000000000000000
wrong_usage "COUNT '0': must be 1 at least" peek "$memory/2" 0 0
wrong_usage "COUNT '3': 2 values of 32 bits is all there is from offset 0x3ffffff8 on" peek "$memory/2" 0x3ffffff8 3
wrong_usage "VALUE '256': exceeds 0xff, the most that fits 8 bits" poke "$memory/2" 0 1 256 -w 8
wrong_usage "VALUE '4K': not a number" poke "$memory/2" 0 4K
wrong_usage "VALUE '2': past the end: 1 values of 32 bits fit from offset 0x3ffffffc on" poke "$memory/2" 0x3ffffffc 1 2
wrong_usage "VALUE '': is missing" poke "$memory/2" 0
wrong_usage "LENGTH '0x40000004': exceeds 0x40000000" dump "$memory/2" 0 0x40000004
wrong_usage "LENGTH '3': not a multiple of 4, the width in bytes" fill "$memory/2" 0 3 0
wrong_usage "LENGTH '0': nothing to write" fill "$memory/2" 0 0 0
wrong_usage "VALUE '': is missing" fill "$memory/2" 0 4
wrong_usage "\-\-width '24': not one of 8, 16, 32, 64" peek "$memory/2" 0 -w 24
wrong_usage "argument '5': one too many" peek "$memory/2" 0 1 5
wrong_usage "ADDRESS/BAR '': is missing, or one of --socket, --fd and BARBUF_FD" peek 0
wrong_usage "ADDRESS/BAR '$memory': no BAR" peek "$memory" 0
wrong_usage "ADDRESS/BAR '$memory/6': no BAR" peek "$memory/6" 0
wrong_usage "ADDRESS/BAR '00:1e.7/0': there is no such PCI function" peek 00:1e.7/0 0
wrong_usage "ADDRESS/BAR '$edu/2': .* has no memory BAR 2" peek "$edu/2" 0
wrong_usage "ADDRESS/BAR '$edu/0': not together with --socket" peek "$edu/0" 0 --socket /tmp/x
wrong_usage "\-\-fd '3': not together with --socket" peek 0 --socket /tmp/x --fd 3
wrong_usage "\-\-name 'x': needs --socket" peek "$edu/0" 0 --name x
wrong_usage "\-\-fd '99': no open descriptor of this process" peek 0 --fd 99
wrong_usage "\-\-fd '0': not the descriptor of a buffer" peek 0 --fd 0
wrong_usage "\-\-fd 'x': not a number from 0 to" peek 0 --fd x
wrong_usage "\-\-offset '1': not a multiple of 4096, the page size" map "$memory/2" --offset 1
wrong_usage "\-\-length '2G': exceeds 0x40000000" map "$memory/2" --length 2G
wrong_usage "\-\-seconds '0': not a number from 1 to" map "$memory/2" --seconds 0
run barbuf peek "$memory/2" 0
wants 0 '^0x00000000	0x41424344$' 'nothing of it wrote'

vfio-unbind testdev >/dev/null
run barbuf peek "$(address testdev)/2" 0
wants 1 '' 'a device that is not bound to vfio-pci'
has_error "$(address testdev): " 'is named'
run barbuf peek "$memory/0" 0
wants 0 '^0x00000000	0x' 'a BAR of 256 bytes, in a page'
run barbuf peek --socket "$scratch/nothing" 0
wants 1 '' 'no server'
has_error "$scratch/nothing: No such file or directory" 'is told'

run barbuf map "$memory/2" --offset 1M --length 4K --seconds 1
wants 0 ': mapped$' 'map: for a second'
has_line ': unmapped$' 'map: and then no more'
: >"$scratch/said"
barbuf map "$memory/2" >"$scratch/said" &
wait_line ': mapped' "$scratch/said"
kill -INT $!
wait $!
is $? 0 'map: SIGINT ends it in order'
