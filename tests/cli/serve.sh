# SPDX-License-Identifier: GPL-2.0-only
# export --socket: who gets what, and that no client can harm another.

. "$here/use.sh"

if [ "$LAB_KERNEL" = stock ]; then
	skip all 'nothing is served on a kernel that cannot revoke'
	return
fi

memory=$(bound ivshmem)
barbuf fill "$memory/2" 0 16K 0
barbuf poke "$memory/2" 0 0xa0 && barbuf poke "$memory/2" 4K 0xa1
socket=$scratch/socket
chmod 755 "$scratch"

# serve [OPTION|RANGES]...: starts a server; its lines go to $scratch/server.
serve() {
	: >"$scratch/server"
	barbuf export "$memory/2" --socket "$socket" "$@" >"$scratch/server" 2>&1 &
	server=$!
	wait_line listening "$scratch/server"
}

# stop: ends it; its status is that of the server.
stop() {
	kill -TERM "$server"
	wait "$server"
}

# hold NAME FILE [UID]: a client that keeps what it was lent; $! is it.
hold() {
	: >"$2"
	barbuf-cli-peer as "${3:-0}" "${3:-0}" barbuf map --socket "$socket" --name "$1" >"$2" 2>&1 &
}

serve rx=0:4K tx=4K:4K
is "$(stat -c %a "$socket")" 600 'the socket file has mode 0600'
run barbuf peek --socket "$socket" --name rx 0
wants 0 '^0x00000000	0x000000a0$' 'a client gets what it names'
run barbuf peek --socket "$socket" --name tx 0
wants 0 '^0x00000000	0x000000a1$' 'and another one the other'
run barbuf peek --socket "$socket" 0
wants 1 '' 'without a name there are two'
has_error 'refused: several buffers are offered, name one: rx tx' 'which are told'
run barbuf peek --socket "$socket" --name no 0
wants 1 '' 'a name that is not offered'
has_error "refused: no buffer of the name 'no' is offered" 'is told'
run barbuf export "$memory/2" 0:4K --socket "$socket"
wants 1 '' 'there is no second server'
has_error "$memory: \|a server listens there already" 'and it says why'
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" --name rx 0
wants 1 '' 'another user cannot connect'
has_error 'Permission denied' 'as the file says'

# Two clients of one name: each has its own.
hold rx "$scratch/first"
first=$!
hold rx "$scratch/second"
second=$!
wait_line ': mapped$' "$scratch/first"
wait_line ': mapped$' "$scratch/second"
kill -KILL $first
wait $first
wait_line "^revoked  rx pid $first uid 0 buffer [0-9]*: " "$scratch/server"
is $? 0 'a client that is killed: its buffer is revoked'
kill -0 $second
is $? 0 'the other one goes on'
run barbuf peek --socket "$socket" --name rx 0
wants 0 '^0x00000000	0x000000a0$' 'and so does the server'
ino=$(sed -n "s/^lent     rx pid $second uid 0 buffer //p" "$scratch/server")
run barbuf revoke --buffer "$ino"
wants 0 '' 'revoked by barbuf revoke'
wait $second
is $? 1 'its client sees it'
has_file_line ': revoked$' "$scratch/second" 'and says so'

hold tx "$scratch/first"
wait_line ': mapped$' "$scratch/first"
stop
is $? 0 'SIGTERM ends the server in order'
wait_line ': revoked$' "$scratch/first"
is $? 0 'what it had lent is revoked'
[ ! -e "$socket" ]
is $? 0 'its file is gone'

# Users and groups.
serve 0:4K --allow 1000 --allow :2000 --read-only --max 2
is "$(stat -c %a "$socket")" 666 'with --allow the file has mode 0666'
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 0 '^0x00000000	0x000000a0$' 'a user that is allowed, without a name'
run barbuf-cli-peer as 3000 2000 barbuf peek --socket "$socket" 0
wants 0 '' 'one of a group that is allowed'
run barbuf-cli-peer as 1001 1001 barbuf peek --socket "$socket" 0
wants 1 '' 'one that is not allowed'
has_error 'refused: not allowed for this user' 'is told so'
has_file_line '^refused  .* uid 1001: not allowed' "$scratch/server" 'and so is the server'
run barbuf peek --socket "$socket" 0
wants 1 '' 'not even root, who is not in the list'
run barbuf-cli-peer as 1000 1000 barbuf poke --socket "$socket" 0 1
wants 1 '' 'a read-only buffer cannot be written'
has_error 'is read-only$' 'which is told'

# Two of different users, one killed.
: >"$scratch/first"
barbuf-cli-peer as 1000 1000 barbuf map --socket "$socket" >"$scratch/first" 2>&1 &
first=$!
: >"$scratch/second"
barbuf-cli-peer as 3000 2000 barbuf map --socket "$socket" >"$scratch/second" 2>&1 &
second=$!
wait_line ': mapped$' "$scratch/first"
wait_line ': mapped$' "$scratch/second"
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 1 '' 'a third one is too many'
has_error 'refused: lent to 2, which is the most' 'with --max 2'
kill -KILL $first
wait $first
wait_line "^revoked  - pid $first uid 1000" "$scratch/server"
is $? 0 'one is killed: its buffer is revoked'
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 0 '' 'its place is free'
kill -0 $second
is $? 0 'the other one, of another user, goes on'
kill -INT $second
wait $second
is $? 0 'and ends in order'
wait_line "^revoked  - pid $second uid 3000" "$scratch/server"
is $? 0 'which is seen'

# Clients that mean no good.
: >"$scratch/silent"
barbuf-cli-peer as 1001 1001 barbuf-cli-peer silent "$socket" 40 >"$scratch/silent" &
silent=$!
wait_line 'too many connections$' "$scratch/silent"
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 0 '' 'another user is served meanwhile'
barbuf-cli-peer as 1000 1000 barbuf-cli-peer deaf "$socket" '' &
deaf=$!
wait_line "^lent     - pid $deaf " "$scratch/server"
run barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 0 '' 'and beside one that sends and does not read'
kill -KILL $deaf
wait $deaf
wait_line "^revoked  - pid $deaf " "$scratch/server"
is $? 0 'whose end is seen'
wait $silent
is "$(grep -c 'refused too many connections$' "$scratch/silent")" 24 'of one user 16 may be about to ask, others are sent away'
is "$(grep -c 'refused did not ask in time$' "$scratch/silent")" 16 'who says nothing is sent away after a while'
run barbuf-cli-peer as 1000 1000 barbuf-cli-peer say "$socket" 'barbuf/2 lend '
wants 0 '^barbuf/1 refused this server speaks version 1' 'another version is told which this is'
for text in '' x 'barbuf/1 lend 12345678901234567890123456789012' 'barbuf/1 lend a	b' 'barbuf/1 take'; do
	run barbuf-cli-peer as 1000 1000 barbuf-cli-peer say "$socket" "$text"
	wants 0 '^barbuf/1 refused not a request$' "'$text' is no request"
done
run barbuf-cli-peer as 1000 1000 barbuf-cli-peer raw "$socket" 'GET / HTTP/1.0'
wants 0 '^barbuf/1 refused not a request$' 'nor is another protocol'
kill -STOP "$server"
run timeout 20 barbuf-cli-peer as 1000 1000 barbuf peek --socket "$socket" 0
wants 1 '' 'a server that is stopped'
has_error 'no answer within 10 seconds' 'is not waited for for ever'
kill -CONT "$server"
stop
is $? 0 'after all this it ends in order'

# What a dead server has left.
serve 0:4K --json
kill -KILL "$server"
wait "$server"
[ -S "$socket" ]
is $? 0 'a server that was killed leaves its file'
run barbuf peek --socket "$socket" 0
wants 1 '' 'where nobody listens'
has_error 'no server listens there' 'which is told'
serve 0:4K --json
run barbuf peek --socket "$socket" 0
wants 0 '' 'the next one replaces it'
wait_line '"event":"revoked"' "$scratch/server"
has_file_line '^{"version":1,"command":"export","event":"lent","name":"","pid":[0-9]*,"uid":0,"gid":0,"buffer":[0-9]*}$' \
	"$scratch/server" 'with --json a line is an object'
stop

# Whoever reads the server's lines cannot stop it.
barbuf-cli-with full barbuf export "$memory/2" 0:4K --socket "$socket" 2>"$scratch/server" &
server=$!
await test -S "$socket"
run barbuf peek --socket "$socket" 0
wants 0 '' 'a server whose output is full serves'
run barbuf peek --socket "$socket" 0
wants 0 '' 'and takes back'
stop
is $? 0 'and ends when it is told'
[ ! -e "$socket" ]
point $? 'its socket is gone'

mkfifo "$scratch/pipe"
head -n 1 <"$scratch/pipe" >/dev/null &
timeout -s KILL 60 barbuf export "$memory/2" 0:4K --socket "$socket" >"$scratch/pipe" 2>"$scratch/server" &
server=$!
await test -S "$socket"
# Each is a line that the server prints; the first may still be read.
ends() {
	barbuf peek --socket "$socket" 0
	[ ! -e "$socket" ]
}
await ends
point $? 'a server that nobody listens to ends in order'
wait "$server"
is $? 0 'as a success'

# Of a path the first 40 bytes are shown, and any byte may be there.
plain=$socket
socket=$scratch/$(printf 'odd\377')
serve 0:4K
run barbuf map --json --socket "$socket" --seconds 1
wants 0 '"target":"buffer .* of .*odd\\\\xff"' 'a path that is no UTF-8 is shown in JSON'
stop
socket=$plain
: >"$socket"
run barbuf export "$memory/2" 0:4K --socket "$socket"
wants 1 '' 'a file that is no socket'
has_error 'exists, and is no socket' 'is left alone'
rm "$socket"

wrong_usage "NAME 'a': given twice" export "$memory/2" a=0:4K a=4K:4K --socket "$socket"
wrong_usage "NAME '': only one buffer can do without" export "$memory/2" 0:4K 4K:4K --socket "$socket"
wrong_usage "NAME '': not a name" export "$memory/2" =0:4K --socket "$socket"
wrong_usage "\-\-allow 'nobody-at-all': there is no user" export "$memory/2" 0:4K --socket "$socket" --allow nobody-at-all
wrong_usage "\-\-allow ':': not USER" export "$memory/2" 0:4K --socket "$socket" --allow :
wrong_usage "\-\-mode '9': not an octal number from 0 to 0777" export "$memory/2" 0:4K --socket "$socket" --mode 9
wrong_usage "\-\-mode '7777': not an octal number" export "$memory/2" 0:4K --socket "$socket" --mode 7777
wrong_usage "\-\-max '0': not a number from 1 to 200" export "$memory/2" 0:4K --socket "$socket" --max 0
wrong_usage "\-\-name 'x': not together with --socket" export "$memory/2" 0:4K --socket "$socket" --name x
long=$(printf '%0120d' 0)
wrong_usage "\-\-socket '/tmp/$long': longer than 107 bytes" export "$memory/2" 0:4K --socket "/tmp/$long"
wrong_usage "\-\-socket '/tmp/$long': longer than 107 bytes" peek --socket "/tmp/$long" 0
