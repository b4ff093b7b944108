# SPDX-License-Identifier: GPL-2.0-only
# trace. What stock kernels say to it is in export.sh.

. "$here/use.sh"

if [ "$LAB_KERNEL" = stock ]; then
	skip all 'a kernel without barbuf has no events'
	return
fi

memory=$(bound ivshmem) edu=$(bound edu)
instances=/sys/kernel/tracing/instances

# enabled PID: a trace, of any process if it is *, sees events.
enabled() {
	# shellcheck disable=SC2086
	[ "$(cat "$instances"/barbuf-$1/events/vfio_pci_dmabuf/enable 2>/dev/null)" = 1 ]
}

# trace [OPTION]...: starts it; its lines go to $scratch/trace.
trace() {
	: >"$scratch/trace"
	barbuf trace "$@" >"$scratch/trace" 2>&1 &
	tracer=$!
	await enabled "$tracer"
}

stop() {
	usleep 300000
	kill -"${1:-INT}" "$tracer"
	wait "$tracer"
}

trace
: >"$scratch/server"
barbuf export "$memory/2" 0:4K --socket "$scratch/socket" >"$scratch/server" &
server=$!
wait_line listening "$scratch/server"
barbuf peek --socket "$scratch/socket" 0 >/dev/null
wait_line '^revoked' "$scratch/server"
kill "$server"
wait "$server"
stop
is $? 0 'trace: SIGINT ends it in order'
ino=$(sed -n 's/^lent .* buffer //p' "$scratch/server")
grep "	$memory/2	$ino	" "$scratch/trace" | cut -f2 | uniq >"$scratch/events"
is "$(paste -s -d ' ' "$scratch/events")" 'export mmap fault state revoke release' \
	'trace: a buffer that is lent, used and revoked, from end to end'
has_file_line "^[0-9.]*	state	$memory/2	$ino	barbuf\[$server\]	live -> revoked\$" "$scratch/trace" \
	'trace: who, which and what'
is "$(ls "$instances")" '' 'trace: leaves no instance behind'

trace "$edu"
barbuf export "$memory/2" 0:4K -- true
barbuf export "$edu/0" 0:4K -- true
stop TERM
is $? 0 'trace ADDRESS: SIGTERM ends it in order'
has_file_line "	export	$edu/0	" "$scratch/trace" 'trace ADDRESS: shows that device'
grep -q "$memory" "$scratch/trace"
is $? 1 'trace ADDRESS: and no other'
is "$(ls "$instances")" '' 'trace ADDRESS: leaves no instance behind'

trace --json
barbuf export "$edu/0" 0:4K -- true
stop
has_file_line "^{\"version\":1,\"command\":\"trace\",\"seconds\":[0-9.]*,\"event\":\"export\",\"device\":\"$edu\",\"bar\":0,\"buffer\":[0-9]*,\"task\":\".*\",\"pid\":[0-9]*,\"kind\":\"exported\",\"size\":\"0x1000\",\"ranges\":\"1\"}\$" \
	"$scratch/trace" 'trace --json: a line is an object'
ino=$(sed -n 's/.*"export".*"buffer":\([0-9]*\).*/\1/p' "$scratch/trace")
trace --buffer $((ino + 2))
barbuf export "$edu/0" 0:4K -- true
barbuf export "$edu/0" 0:4K -- true
barbuf export "$edu/0" 0:4K -- true
stop
is "$(cut -f4 "$scratch/trace" | sort -u)" $((ino + 2)) 'trace --buffer: shows that one and no other'

trace
kill -KILL "$tracer"
wait "$tracer"
[ -d "$instances/barbuf-$tracer" ]
is $? 0 'trace: killed by SIGKILL it leaves its instance'
trace
barbuf trace --seconds 1 >/dev/null
is $? 0 'trace --seconds: two at once'
is "$(ls "$instances")" "barbuf-$tracer" 'trace: the next run removed it, and not the one in use'
stop
: >"$scratch/status"
(barbuf trace; echo $? >"$scratch/status") | true &
await enabled '*'
barbuf export "$edu/0" 0:4K -- true
await grep -q . "$scratch/status"
is "$(cat "$scratch/status")" 1 'trace: ends when nobody reads what it prints'
is "$(ls "$instances")" '' 'trace: and leaves no instance behind'
run barbuf-cli-peer as 1000 1000 barbuf trace
wants 1 '' 'trace: not for everybody'
has_error 'tracing is for root' 'trace: which is told'
wrong_usage "\-\-buffer 'x': not a number from 1 to" trace --buffer x
wrong_usage "\-\-seconds '0': not a number from 1 to" trace --seconds 0
wrong_usage "ADDRESS 'x': no PCI address" trace x
umount /sys/kernel/tracing
mv_debug=$(grep -c ' /sys/kernel/debug ' /proc/mounts)
[ "$mv_debug" = 0 ] || umount /sys/kernel/debug
run barbuf trace
mount -t tracefs tracefs /sys/kernel/tracing
[ "$mv_debug" = 0 ] || mount -t debugfs debugfs /sys/kernel/debug
wants 1 '' 'trace: without tracefs'
has_error 'tracefs is not mounted' 'trace: which is told'
