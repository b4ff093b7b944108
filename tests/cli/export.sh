# SPDX-License-Identifier: GPL-2.0-only
# export -- COMMAND: what the command gets, and what becomes of its end.

. "$here/use.sh"

memory=$(bound ivshmem)
barbuf fill "$memory/2" 0 16K 0
barbuf poke "$memory/2" 0 0xa0 && barbuf poke "$memory/2" 4K 0xa1 && barbuf poke "$memory/2" 8K 0xa2

run barbuf export "$memory/2" 8K:4K,0:4K -- sh -c 'echo $BARBUF_SIZE; ls /proc/self/fd | wc -l; readlink /proc/self/fd/$BARBUF_FD'
wants 0 '^8192$' 'the size is in the environment'
has_line '^/dmabuf:' 'the descriptor is, too'
run barbuf export "$memory/2" 8K:4K -- sh -c 'readlink /proc/self/fd/* | grep -c vfio'
wants 1 '^0$' 'no descriptor of VFIO is inherited'

if [ "$LAB_KERNEL" = stock ]; then
	run barbuf export "$memory/2" 0:4K -- barbuf peek 0
	wants 1 '' 'stock: a buffer cannot be mapped'
	has_error 'this kernel cannot map buffers' 'stock: which is told'
	run barbuf export "$memory/2" 0:4K --wc -- true
	wants 1 '' 'stock: no write-combining'
	has_error '\-\-wc: this kernel has no write-combining buffers' 'stock: which is told'
	run barbuf export "$memory/2" 0:4K --socket "$scratch/socket"
	wants 1 '' 'stock: nothing is served'
	has_error 'this kernel cannot take buffers back' 'stock: as it could not be revoked'
	run barbuf trace
	wants 1 '' 'stock: no trace'
	has_error 'no events of buffers: this kernel is without barbuf' 'stock: which is told'
	run barbuf bench "$memory/2" --size 64K
	wants 0 '^revoke	-	' 'stock: bench leaves the revoke out'
	has_error 'this kernel cannot map buffers: rows are of mappings of the BAR' 'stock: and says why'
else
	run barbuf export "$memory/2" 8K:4K,0:4K -- barbuf peek 0
	wants 0 '^0x00000000	0x000000a2$' 'the first range is at 0'
	run barbuf export "$memory/2" 8K:4K,0:4K -- barbuf peek 4K
	wants 0 '^0x00001000	0x000000a0$' 'the second behind it'
	run barbuf export "$memory/2" 8K:4K,0:4K -- barbuf peek 8K
	wants 2 '' 'and nothing behind that'
	has_error "OFFSET '8K': past the end: the size is 0x2000" 'which is told'
	run barbuf export "$memory/2" 0:4K -- barbuf poke 0 0xb0
	wants 0 '' 'the command can write'
	run barbuf export "$memory/2" 0:4K --read-only -- barbuf poke 0 0xc0
	wants 1 '' 'not with --read-only'
	has_error 'is read-only$' 'which is told'
	run barbuf export "$memory/2" 0:4K -r -- barbuf peek 0
	wants 0 '^0x00000000	0x000000b0$' 'but read, and nothing was written'
	# Of a client that writes to that file; ten seconds at most.
	mapped="n=0; until grep -q mapped $scratch/left || [ \$n = 200 ]; do n=\$((n + 1)); usleep 50000; done"
	: >"$scratch/left"
	run barbuf export "$memory/2" 0:4K --wc --name 'queue of client 7' -- sh -c \
		"barbuf map >$scratch/left & $mapped; grep -h dmabuf: /proc/\$!/maps; kill \$!"
	wants 0 '/dmabuf:queue of client 7$' 'a name is seen in /proc/PID/maps'
	# The command ends, what it has left running does not.
	: >"$scratch/left"
	barbuf export "$memory/2" 0:4K -- sh -c "barbuf map >$scratch/left & $mapped"
	is $? 0 'a command that leaves a child behind'
	wait_line ': revoked$' "$scratch/left"
	is $? 0 'its mapping is revoked'
	: >"$scratch/left"
	barbuf export "$memory/2" 0:4K -- sh -c "barbuf map & sleep 30" >"$scratch/left" &
	wait_line ': mapped$' "$scratch/left"
	kill -KILL $!
	wait $!
	wait_line ': revoked$' "$scratch/left"
	is $? 0 'killed by SIGKILL, the kernel revokes'
fi

# It is as if the command had been run without it.
run barbuf export "$memory/2" 0:4K -- true
wants 0 '' 'status 0'
run barbuf export "$memory/2" 0:4K -- sh -c 'exit 77'
wants 77 '' 'status 77'
run barbuf export "$memory/2" 0:4K -- sh -c 'kill -SEGV $$'
wants 139 '' 'killed by SIGSEGV: 139'
run barbuf export "$memory/2" 0:4K -- /nonexistent
wants 127 '' 'not found: 127'
has_error '/nonexistent: No such file or directory' 'and told'
run barbuf export "$memory/2" 0:4K -- /dev/null
wants 126 '' 'no program: 126'
: >"$scratch/said"
barbuf export "$memory/2" 0:4K -- sh -c 'trap "exit 5" TERM; echo up; while :; do usleep 50000; done' >"$scratch/said" &
wait_line up "$scratch/said"
kill -TERM $!
wait $!
is $? 5 'SIGTERM is passed on'
run barbuf export "$memory/2" 0:4K -- cat "$scratch/said"
wants 0 '^up$' 'the device is free again'

wrong_usage "RANGES '0:1': length 0x1 of range 1 is not a multiple of 4096, the page size" export "$memory/2" 0:1 -- true
wrong_usage "RANGES '0:4K,2K:4K': offset 0x800 of range 2 is not a multiple" export "$memory/2" 0:4K,2K:4K -- true
wrong_usage "RANGES '0:0': range 1 is empty" export "$memory/2" 0:0 -- true
wrong_usage "RANGES '1G:4K': range 1 ends at 0x40001000, past the end of the BAR (0x40000000)" export "$memory/2" 1G:4K -- true
wrong_usage "RANGES '0-4K': not understood at '-4K'" export "$memory/2" 0-4K -- true
wrong_usage "RANGES 'a=0:4K': not understood at 'a=0:4K'" export "$memory/2" a=0:4K -- true
wrong_usage "\[NAME=\]RANGES '': is missing" export "$memory/2" -- true
wrong_usage "argument '4K:4K': one too many" export "$memory/2" 0:4K 4K:4K -- true
wrong_usage "COMMAND '': is missing" export "$memory/2" 0:4K
wrong_usage "COMMAND '': is missing" export "$memory/2" 0:4K --
wrong_usage "\-\-name '12345678901234567890123456789012': not a name: 1 to 31" export "$memory/2" 0:4K --name 12345678901234567890123456789012 -- true
wrong_usage "\-\-allow '0': needs --socket" export "$memory/2" 0:4K --allow 0 -- true
wrong_usage "\-\-socket '/tmp/x': not together with a COMMAND" export "$memory/2" 0:4K --socket /tmp/x -- true
wrong_usage "\-\-json '': needs --socket" export "$memory/2" 0:4K --json -- true
