# SPDX-License-Identifier: GPL-2.0-only
# Help, and wrong usage of every kind.

works 'barbuf --help' barbuf --help
for command in $(awk '/^  [a-z]+ / { print $1 }' "$scratch/out"); do
	works "barbuf $command --help" barbuf "$command" --help
	has "it begins with its usage" "^Usage: barbuf $command "
	refuses 2 "barbuf: $command: option '--nope': not known*" barbuf "$command" --nope
done
works 'barbuf --version' barbuf --version
has 'it is a version' '^barbuf [0-9]+\.[0-9]+'

refuses 2 "barbuf: COMMAND '': is missing*" barbuf
refuses 2 "barbuf: COMMAND 'nope': not known*" barbuf nope
refuses 2 "barbuf: COMMAND '--nope': not known*" barbuf --nope
refuses 2 "barbuf: list: ADDRESS 'x': no PCI address*" barbuf list x
refuses 2 "barbuf: list: ADDRESS '00:1e.7': there is no such PCI function*" barbuf list 00:1e.7
refuses 2 "barbuf: list: argument 'y': one too many (takes 1)" barbuf list x y
refuses 2 "barbuf: bind: ADDRESS '': is missing*" barbuf bind
refuses 2 "barbuf: bind: option '--driver': needs NAME" barbuf bind 00:05.0 --driver
refuses 2 "barbuf: bind: --driver '../x': no name of a driver*" barbuf bind 00:05.0 --driver ../x
refuses 2 "barbuf: revoke: NAME '': give one of NAME*" barbuf revoke
refuses 2 "barbuf: revoke: NAME 'x': give one of NAME*" barbuf revoke x --client 1
refuses 2 "barbuf: revoke: option '--all': is for NAME" barbuf revoke --client 1 --all
refuses 2 "barbuf: revoke: --buffer '-1': not a number from 1*" barbuf revoke --buffer=-1
refuses 2 "barbuf: revoke: --client '0': not a number from 1*" barbuf revoke --client 0
refuses 2 "barbuf: revoke: option 'client': given twice" barbuf revoke --client 1 --client 2

# A full disk is not success.
barbuf --help >/dev/full 2>"$scratch/err"
status=$?
: >"$scratch/out"
[ $status = 1 ] && grep -q '^barbuf: standard output: No space left' "$scratch/err"
point $? 'what cannot be printed is a failure'
