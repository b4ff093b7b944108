# SPDX-License-Identifier: GPL-2.0-only
# list and ps: with no buffer, and while a process has one.

device=$(address ivshmem)
vfio-bind ivshmem >/dev/null

works 'list' barbuf list
has 'the header' '^address	id	class	driver	group	buffers	bars$'
has 'the device' "^$device	1af4:1110	050000	vfio-pci	[0-9]+	[-0-9]+	0:256:mem32,2:1G:mem64:prefetch$"
lines=$(wc -l <"$scratch/out")
works 'list --all' barbuf list --all
[ "$(wc -l <"$scratch/out")" -gt "$lines" ]
point $? 'has more functions'
works 'list --json' barbuf list --json "${device#0000:}"
json 'one function' 'functions.#' 1
json 'its address' functions.0.address "$device"
json 'its driver' functions.0.driver vfio-pci
json 'its BAR 2' functions.0.bars.1.size 1073741824
works 'ps' barbuf ps
[ "$(wc -l <"$scratch/out")" = 1 ]
point $? 'nobody has a buffer'

if [ "$LAB_KERNEL" = stock ]; then
	works 'list -v' barbuf list -v
	has 'stock has no list of buffers' "^# buffers: this kernel's vfio-pci has no "
	works 'list --json' barbuf list --json "$device"
	json 'which is null' functions.0.buffers null
	return
fi

run barbuf-hold barbuf list -v "$device"
has 'one buffer' "^$device	.*	1	0:256"
has 'with all of its facts' \
	"^[0-9]+	$device	2	exported	live	nc	12K	1	0	0	[0-9]+	barbuf-hold	[0-9]+	-	queue of client 7	0x4000:0x1000,0x0:0x2000$"
run barbuf-hold barbuf list --json "$device"
json 'its state' functions.0.buffers.0.state live
json 'its name' functions.0.buffers.0.name 'queue of client 7'
json 'one mapper' 'functions.0.buffers.0.mappers.#' 1
json 'and no importer' 'functions.0.buffers.0.attached.#' 0

run barbuf-hold barbuf ps
has 'who has it' "^[0-9]+	barbuf-hold	0	$device	2	[0-9]+	12K	1	0	-	live	queue of client 7$"
run barbuf-hold barbuf ps "$device"
has 'by device' 'queue of client 7$'
run barbuf-hold barbuf ps 'queue of client 7'
has 'by name' 'queue of client 7$'
run barbuf-hold barbuf ps "$(address nvme)"
[ "$(wc -l <"$scratch/out")" = 1 ] && [ $status = 0 ]
point $? 'of another device: none'
run barbuf-hold barbuf ps --json
json 'JSON' holders.0.mapped 12288
json 'JSON' holders.0.state live
json 'no byte for devices' holders.0.dma 0

# Unmapped and closed, and a device reaches it.
run barbuf-hold --dma barbuf ps "$device"
has 'who reaches it by DMA alone' "^[0-9]+	barbuf-hold	0	$device	2	[0-9]+	0	0	12K	vfio_iommu_type1	live	-$"
run barbuf-hold --dma barbuf ps --json
json 'in JSON' holders.0.dma 12288
json 'and by whom' holders.0.importers.0 vfio_iommu_type1
run barbuf-hold --dma barbuf list -v "$device"
has 'and where' "	12K	0	1	0	[0-9]+	barbuf-hold	-	vfio_iommu_type1/[0-9]+@0x100000:0x3000:0x0	-	0x4000:0x1000,0x0:0x2000$"
run barbuf-hold --dma barbuf list --json "$device"
json 'in JSON' functions.0.buffers.0.attached.0.iova 0x100000
json 'by whom' functions.0.buffers.0.attached.0.importer vfio_iommu_type1

# A user sees what is theirs, and is told that there is more.
run barbuf-hold barbuf-cli-with user barbuf ps
[ "$(wc -l <"$scratch/out")" = 1 ] && [ $status = 0 ] &&
	grep -qE '^barbuf: ps: [0-9]+ of [0-9]+ processes could not be looked at: root may$' "$scratch/err"
point $? 'a user is told what cannot be seen'
run barbuf-hold barbuf-cli-with user barbuf list -v "$device"
has 'and why there are no buffers' '^# buffers: only root may read /sys/kernel/debug/vfio_pci_dmabuf$'
