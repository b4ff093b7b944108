# SPDX-License-Identifier: GPL-2.0-only
# bind and unbind: to vfio-pci and back, and what they refuse.

disk=$(address virtio-blk)
free=$(address edu)
nvme=$(address nvme)

# After other tests the device may be bound already.
vfio-unbind virtio-blk
vfio-unbind edu

works 'bind a device that has no driver' barbuf bind "${free#0000:}"
has 'it says so' "^$free	-	vfio-pci	[0-9]+	yes$"
[ "$(driver "$free")" = vfio-pci ]
point $? 'it is bound to vfio-pci'
works 'bind it again' barbuf bind "$free"
has 'nothing was to do' "^$free	vfio-pci	vfio-pci	[0-9]+	no$"
works 'unbind --dry-run' barbuf unbind --dry-run "$free"
[ "$(driver "$free")" = vfio-pci ]
point $? 'it is still bound'
works 'unbind it' barbuf unbind "$free"
[ "$(driver "$free")" = '' ] && [ "$(cat "/sys/bus/pci/devices/$free/driver_override")" = '(null)' ]
point $? 'it has no driver and no override again'
refuses 1 "barbuf: unbind: $free has no driver" barbuf unbind "$free"

works 'bind --json a device from its driver' barbuf bind --json "$disk"
json 'the command' command bind
json 'the driver it had' before virtio-pci
json 'the driver it has' driver vfio-pci
json 'it was done' done true
works 'unbind --json' barbuf unbind --json "$disk"
json 'its driver again' driver virtio-pci
[ "$(driver "$disk")" = virtio-pci ] && [ ! -e "/run/barbuf/$disk" ]
point $? 'it has its driver, and nothing is remembered'
refuses 1 "barbuf: unbind: $disk is bound to virtio-pci, which is no VFIO driver" barbuf unbind "$disk"

refuses 1 "barbuf: bind: there is no PCI driver nope*" barbuf bind "$disk" --driver nope
[ "$(driver "$disk")" = virtio-pci ]
point $? 'it is as before'
# A driver that is there, and does not take it.
refuses 1 "barbuf: bind: cannot bind $disk to pcieport: *; it is as before" \
	barbuf bind "$disk" --driver pcieport
[ "$(driver "$disk")" = virtio-pci ] && [ ! -e "/run/barbuf/$disk" ] &&
	[ "$(cat "/sys/bus/pci/devices/$disk/driver_override")" = '(null)' ]
point $? 'it is as before: driver, override, and nothing remembered'

refuses 1 'barbuf: bind: 0000:00:0a.0 is a PCI bridge*' barbuf bind 00:0a.0

modprobe virtio_blk
await ls "/sys/bus/pci/devices/$disk/"virtio*/block
block=$(basename "$(ls -d "/sys/bus/pci/devices/$disk/"virtio*/block/*)")
if [ -b "/dev/$block" ]; then
	mkswap "/dev/$block" >/dev/null && swapon "/dev/$block"
	refuses 1 "barbuf: bind: $disk is in use: its disk $block is swap" barbuf bind "$disk"
	refuses 1 "barbuf: bind: $disk is in use: its disk $block is swap" barbuf bind -n "$disk"
	swapoff "/dev/$block"
	works 'no longer' barbuf bind --dry-run "$disk"
else
	skip 'a disk in use' 'there is no virtio_blk'
fi

if modprobe nvme 2>/dev/null && await ls "/sys/bus/pci/devices/$nvme/nvme"; then
	works 'bind an NVMe disk that nobody uses' barbuf bind "$nvme"
	works 'and back' barbuf unbind "$nvme"
	has 'to nvme' "^$nvme	vfio-pci	nvme	yes$"
else
	skip 'an NVMe disk' 'there is no nvme'
fi

held=$(vfio-bind ivshmem | cut -d' ' -f1)
run barbuf-cli-with buffer "$held" 2 name barbuf unbind "$held"
[ $status = 1 ] &&
	grep -qE "^barbuf: unbind: $held is in use: process [0-9]+ \(barbuf-cli-with\) has its (group|device) open$" "$scratch/err"
point $? 'a device that a process has open is not taken from it'
run barbuf-cli-with buffer "$held" 2 name barbuf bind "$held" --driver virtio-pci
[ $status = 1 ] &&
	grep -qE "^barbuf: bind: $held is in use: process [0-9]+ \(barbuf-cli-with\) has its (group|device) open$" "$scratch/err"
point $? 'nor for another driver'

# The group's other member is told of, not touched.
pair=$(address pair0)
vfio-unbind pair0
vfio-unbind pair1
works 'bind one of a group of two' barbuf bind "$pair"
works 'and back' barbuf unbind "$pair"
