# SPDX-License-Identifier: GPL-2.0-only
# doctor: of the machine, and of devices in each state.

device=$(address nvme)
other=$(address edu)
vfio-unbind nvme
vfio-unbind edu
modprobe -a vfio_iommu_type1 vfio-pci

works 'doctor' barbuf doctor
has 'the module' '^ok	vfio-pci	'
has 'the IOMMU' '^ok	iommu	is on, [0-9]+ groups'
has 'interrupts' '^ok	interrupt remapping	'
has 'debugfs' '^ok	debugfs	'
if [ "$LAB_KERNEL" = debug ]; then
	has 'iommufd' '^ok	iommufd	'
fi

run barbuf doctor "$other"
[ $status = 1 ]
point $? 'a device that cannot be used is a failure'
has 'and it says why' "^fail	driver	$other is bound to no driver	barbuf bind $other$"

vfio-bind nvme >/dev/null
run barbuf doctor --json "$device"
want=0
[ "$LAB_KERNEL" = stock ] && want=1
[ $status = $want ]
point $? "the status on $LAB_KERNEL is $want"
json 'its command' command doctor
json 'its version' version 1
json 'a check' checks.0.check vfio-pci
run barbuf doctor "${device#0000:}"
has 'its driver' "^ok	driver	$device is bound to vfio-pci"
has 'ACS' '^ok	acs	.* no bridge above'
has 'nobody has it' '^ok	held	'
has 'it was opened' '^ok	open	'
has 'its BARs' '^ok	bar	0 can be mapped'
has 'it exports' '^ok	export	'
if [ "$LAB_KERNEL" = stock ]; then
	has 'stock cannot map' "^fail	mmap	.*	a kernel with barbuf's vfio-pci modules"
	has 'stock cannot revoke' "^fail	revoke	.*	a kernel with barbuf's vfio-pci modules"
	has 'nor its type1' "^warn	type1 revoke	.*	a kernel with barbuf's vfio_iommu_type1"
else
	has 'it maps' '^ok	mmap	'
	has 'it revokes' '^ok	revoke	'
	has 'type1 does, too' '^ok	type1 revoke	'
	has 'it has attributes' '^ok	memattr	'
	has 'its list' '^ok	buffers	'
	run barbuf-hold sh -c 'barbuf doctor "$(vfio-bind ivshmem | cut -d" " -f1)"'
	has 'a device that is held is not opened' '^warn	held	process [0-9]+ \(barbuf-hold\) has it open'
	has 'and not tried' '^warn	features	were not tried'
fi

# On a terminal it is aligned, and coloured unless NO_COLOR is set.
TERM=linux run barbuf-cli-with terminal barbuf doctor
has 'colour on a terminal' "$(printf '\033')\[32mok  "
has 'and a sum' '^[0-9]+ ok, [0-9]+ warn, [0-9]+ fail'
NO_COLOR=1 run barbuf-cli-with terminal barbuf doctor
has 'none with NO_COLOR' '^ok    vfio-pci   '
