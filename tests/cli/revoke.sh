# SPDX-License-Identifier: GPL-2.0-only
# revoke: another process' buffer, by name, number and client.

refuses 1 "barbuf: revoke: there is no buffer called 'nope'*" barbuf revoke nope
refuses 1 'barbuf: revoke: there is no buffer 4711*' barbuf revoke --buffer 4711
refuses 1 'barbuf: revoke: process 1 has no buffer*' barbuf revoke --client 1
if [ "$LAB_KERNEL" = stock ]; then
	refuses 1 "barbuf: revoke: buffer [0-9]* ('lent'): this kernel cannot revoke" \
		barbuf-cli-with buffer "$(vfio-bind ivshmem | cut -d' ' -f1)" 2 lent barbuf revoke lent
	return
fi

called='queue of client 7'
export scratch called

# hold SCRIPT [kept]: with a primary as its parent and a client, $client, that reads the buffer until
# it is gone, or, when it is to keep it, for a second more. The script's output is looked at.
cat >"$scratch/hold" <<'END'
barbuf-cli-client $PPID >"$scratch/client" 2>&1 &
client=$!
n=0
until grep -q mapped "$scratch/client" || [ $n = 100 ]; do
	n=$((n + 1))
	usleep 100000
done
END
hold() {
	cat "$scratch/hold" >"$scratch/script"
	printf '%s\n' "$1" 'echo "status=$?"' ${2:+'sleep 1; kill $client'} 'wait $client' \
		>>"$scratch/script"
	: >"$scratch/client"
	run barbuf-hold sh "$scratch/script"
}
client_said() { # WHAT TEXT
	grep -qx "$2" "$scratch/client"
	point $? "$1"
}

hold 'barbuf revoke --dry-run "$called"' kept
has 'dry run: says what would be' '	would be revoked	queue of client 7$'
[ "$(grep -c gone "$scratch/client")" = 0 ]
point $? 'dry run: the client still reads'

# A file that is mapped as this buffer would be, of another name.
hold 'number=$(barbuf ps | awk -F"\t" "NR == 2 { print \$6 }")
	barbuf-cli-with forged "$number" decoy sh -c "grep -o \"\$0 .*/dmabuf:decoy\" /proc/\$PPID/maps; barbuf revoke decoy" "$number"' kept
has 'a forged mapping is there' '^[0-9]+ +/dmabuf:decoy$'
has 'and gives a buffer no name' '^status=1$'
grep -q "^barbuf: revoke: there is no buffer called 'decoy'" "$scratch/err"
point $? 'which is said'
[ "$(grep -c gone "$scratch/client")" = 0 ]
point $? 'so nobody else loses his'

hold 'barbuf revoke "$called"'
has 'by name' '^[0-9]+	0000:00:05.0	2	[0-9]+,[0-9]+	revoked	queue of client 7$'
has 'by name: success' '^status=0$'
client_said 'by name: the client got -EIO' gone

hold 'barbuf revoke --json --buffer "$(barbuf ps | awk -F"\t" "NR == 2 { print \$6 }")"; r=$?; echo >&2; (exit $r)'
sed -i '/^status=/d' "$scratch/out"
json 'by number' revoked 1
json 'by number: both had mapped it' 'buffers.0.mappers.#' 2
client_said 'by number: the client got -EIO' gone

hold 'barbuf revoke --client $client'
has 'by client' '	revoked	queue of client 7$'
client_said 'by client: it got -EIO' gone

hold 'barbuf revoke --client $PPID' kept
has 'the primary is no client' '^status=1$'
grep -q "is no client: it has a device open" "$scratch/err"
point $? 'and it says so'

hold 'barbuf revoke "$called" >/dev/null; barbuf ps; barbuf revoke "$called"'
has 'ps shows the state' '	revoked	queue of client 7$'
has 'twice is a failure' '^status=1$'
grep -qE "^barbuf: revoke: buffer [0-9]+ \('queue of client 7'\): it is revoked already$" "$scratch/err"
point $? 'and it says so'

# Two of one name: the second primary has another device.
testdev=$(vfio-bind testdev | cut -d' ' -f1)
export testdev
hold 'barbuf-cli-with buffer "$testdev" 2 "$called" sh -c "barbuf revoke \"\$called\"; echo first=\$?; barbuf revoke --all \"\$called\""'
has 'a name that fits two' '^first=1$'
grep -qE "NAME 'queue of client 7': fits 2 buffers" "$scratch/err"
point $? 'is refused, and they are listed'
[ "$(grep -c '	revoked	queue of client 7$' "$scratch/out")" = 2 ]
point $? '--all takes both'
client_said 'and the client got -EIO' gone

hold 'barbuf-cli-with user barbuf revoke "$called"' kept
has 'a user may not' '^status=1$'
grep -qE "there is no buffer called 'queue of client 7' \(.* could not be looked at: root may\)" "$scratch/err"
point $? 'and is told'
[ "$(grep -c gone "$scratch/client")" = 0 ]
point $? 'the client still reads'
