// SPDX-License-Identifier: LGPL-2.1-or-later
/* What bind must not take: each in a made-up system of its own. */
#include <string.h>

#include "in_use.h"

#include "tap.h"
#include "tree.h"

#define ADDRESS "0000:00:05.0"
#define DISK "../../devices/pci0000:00/0000:00:05.0/virtio1/block/vda"

static const char *case_name;

static void begin(const char *name)
{
	case_name = name;
	tree_begin();
	tree_pci("pci0000:00", ADDRESS, "virtio-pci", 3, TREE_RESOURCE);
}

static void end(const char *want)
{
	struct pci_function f;
	char why[512] = "";
	bool in_use;

	pci_get(tree, ADDRESS, &f);
	in_use = function_in_use(tree, &f, why, sizeof(why));
	CHECK(in_use == !!want && (!want || !strcmp(why, want)), "%s: %s", case_name, in_use ? why : "free");
	tree_end();
}

static void disk(const char *number)
{
	tree_link("/sys/class/block/vda", DISK);
	tree_link("/sys/class/block/vda1", DISK "/vda1");
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda/dev", "254:0\n");
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda/vda1/dev", number);
	tree_folder("/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda/holders");
	tree_file("/proc/self/mountinfo", "21 1 254:9 / / rw - ext4 /dev/vdb rw\n");
	tree_file("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/vdb1 partition 9 0 -2\n");
}

static void disks(void)
{
	char line[512];

	begin("nothing on it");
	end(NULL);

	begin("a disk that nobody uses");
	disk("254:1\n");
	end(NULL);

	begin("a mounted partition");
	disk("254:1\n");
	tree_file("/proc/self/mountinfo", "21 1 0:5 / /proc rw - proc proc rw\n"
					  "30 21 254:1 / /a\\040b rw,relatime shared:1 - ext4 /dev/root rw\n");
	end("its disk vda1 is mounted at /a b");

	begin("a mount point that is longer than what is shown, cut within a blank");
	disk("254:1\n");
	snprintf(line, sizeof(line), "30 21 254:1 / /%0252d\\040x rw - ext4 /dev/vda1 rw\n", 0);
	tree_file("/proc/self/mountinfo", line);
	snprintf(line, sizeof(line), "its disk vda1 is mounted at /%0252d\\0", 0);
	end(line);

	begin("a file system with a number of its own");
	disk("254:1\n");
	tree_file("/proc/self/mountinfo", "30 21 0:40 /@ /srv rw shared:1 - btrfs /dev/vda1 rw\n");
	end("its disk vda1 is mounted at /srv");

	begin("swap");
	disk("254:1\n");
	tree_file("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/vda1 partition 9 0 -2\n");
	end("its disk vda1 is swap");

	begin("device-mapper");
	disk("254:1\n");
	tree_link("/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda/vda1/holders/dm-0", "x");
	tree_file("/sys/class/block/dm-0/dm/name", "vg-root\n");
	end("its disk vda1 is part of dm-0 (device-mapper vg-root)");

	begin("md");
	disk("254:1\n");
	tree_link("/sys/devices/pci0000:00/0000:00:05.0/virtio1/block/vda/holders/md0", "x");
	end("its disk vda is part of md0");

	begin("a mounted disk of another function");
	disk("254:1\n");
	tree_link("/sys/class/block/vdb", "../../devices/pci0000:00/0000:00:06.0/virtio2/block/vdb");
	tree_file("/sys/devices/pci0000:00/0000:00:06.0/virtio2/block/vdb/dev", "254:9\n");
	end(NULL);

	begin("NVMe with multipath");
	tree_link("/sys/class/block/nvme0n1",
		  "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	tree_file("/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/dev", "259:0\n");
	tree_link("/sys/class/nvme-subsystem/nvme-subsys0",
		  "../../devices/virtual/nvme-subsystem/nvme-subsys0");
	tree_link("/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
		  "../../../pci0000:00/0000:00:05.0/nvme/nvme0");
	tree_file("/proc/self/mountinfo", "30 21 259:0 / /data rw - ext4 /dev/nvme0n1 rw\n");
	end("its disk nvme0n1 is mounted at /data");
}

#define ROUTES "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"

static void network(void)
{
	tree_link("/sys/class/net/eth0", "../../devices/pci0000:00/0000:00:05.0/virtio1/net/eth0");
	tree_folder("/sys/devices/pci0000:00/0000:00:05.0/virtio1/net/eth0");
	tree_file("/proc/net/route", ROUTES "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
}

static void networks(void)
{
	begin("an interface with no default route");
	network();
	end(NULL);

	begin("the default route");
	network();
	tree_file("/proc/net/route", ROUTES "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	end("its network interface eth0 has the default route");

	begin("the default route of another");
	network();
	tree_file("/proc/net/route", ROUTES "eth1\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	end(NULL);

	begin("the default route of IPv6");
	network();
	tree_file("/proc/net/ipv6_route",
		  "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
		  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		  "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n");
	end("its network interface eth0 has the default route");

	begin("the default route of a bridge on a bond");
	network();
	tree_link("/sys/devices/pci0000:00/0000:00:05.0/virtio1/net/eth0/upper_bond0", "x");
	tree_link("/sys/class/net/bond0/upper_br0", "x");
	tree_file("/proc/net/route", ROUTES "br0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	end("its network interface br0 has the default route");
}

static void console(const char *boot_vga, const char *name, const char *bound)
{
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/boot_vga", boot_vga);
	tree_file("/sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
	tree_file("/sys/class/vtconsole/vtcon0/bind", "1\n");
	tree_file("/sys/class/vtconsole/vtcon1/name", name);
	tree_file("/sys/class/vtconsole/vtcon1/bind", bound);
}

static void others(void)
{
	begin("the console");
	console("1\n", "(M) frame buffer device\n", "1\n");
	end("it is the boot VGA device, and the console is on it");

	begin("a boot VGA device without a console");
	console("1\n", "(M) frame buffer device\n", "0\n");
	end(NULL);

	begin("another VGA device");
	console("0\n", "(M) frame buffer device\n", "1\n");
	end(NULL);

	begin("virtual functions");
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/sriov_numvfs", "4\n");
	end("it has 4 virtual functions, which would go");

	begin("no virtual functions");
	tree_file("/sys/devices/pci0000:00/0000:00:05.0/sriov_numvfs", "0\n");
	end(NULL);
}

int main(void)
{
	disks();
	networks();
	others();
	return tap_done();
}
