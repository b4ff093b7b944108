// SPDX-License-Identifier: LGPL-2.1-or-later
/* doctor on made-up machines. What needs a device to try is tested in the guest. */
#include <string.h>
#include <sys/utsname.h>

#include "doctor.h"
#include "out.h"

#include "tap.h"
#include "tree.h"

static struct doctor doctor;

static void begin(void)
{
	tree_begin();
	doctor = (struct doctor){ .root = tree, .checks = json_array() };
}

static void end(void)
{
	json_decref(doctor.checks);
	tree_end();
}

/* Has a check this result, and text with these words? */
static void says(const char *check, const char *result, const char *words)
{
	const char *got = "nothing", *text = "";
	json_t *row;
	size_t i;

	json_array_foreach(doctor.checks, i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "check")), check))
			continue;
		got = json_string_value(json_object_get(row, "result"));
		text = json_string_value(json_object_get(row, "text"));
		if (strcmp(got, "ok") && json_is_null(json_object_get(row, "remedy")))
			got = "no remedy";
		if (strstr(text, words))
			break;
	}
	CHECK(!strcmp(got, result) && strstr(text, words), "%s: %s, %s", check, got, text);
}

static void bare_machine(void)
{
	begin();
	doctor_machine(&doctor);
	says("vfio-pci", "fail", "no such module");
	says("iommu", "fail", "is off");
	says("type1", "warn", "there is no /dev/vfio/vfio");
	says("iommufd", "warn", "there is no /dev/iommu");
	says("huge pages", "warn", "not known");
	says("debugfs", "warn", "/sys/kernel/debug");
	says("tracefs", "warn", "/sys/kernel/tracing");
	says("buffers", "warn", "vfio_pci_dmabuf");
	CHECK(doctor.count[CHECK_FAIL] == 2, "%u fails", doctor.count[CHECK_FAIL]);
	end();
}

static void good_machine(void)
{
	struct utsname uts;
	char path[512];

	begin();
	uname(&uts);
	tree_folder("/sys/bus/pci/drivers/vfio-pci");
	tree_folder("/sys/kernel/iommu_groups/0");
	tree_file("/sys/kernel/irq/0/chip_name", "IO-APIC\n");
	tree_file("/sys/kernel/irq/24/chip_name", "IR-PCI-MSI\n");
	tree_file("/dev/vfio/vfio", "");
	tree_file("/dev/iommu", "");
	snprintf(path, sizeof(path), "/boot/config-%s", uts.release);
	tree_file(path, "# CONFIG_X is not set\nCONFIG_ARCH_SUPPORTS_HUGE_PFNMAP=y\n");
	tree_folder("/sys/kernel/debug/vfio_pci_dmabuf");
	tree_folder("/sys/kernel/tracing/events");
	doctor_machine(&doctor);
	says("vfio-pci", "ok", "loaded");
	says("iommu", "ok", "1 groups");
	if (!strcmp(uts.machine, "x86_64"))
		says("interrupt remapping", "ok", "on");
	says("type1", "ok", "");
	says("iommufd", "ok", "");
	says("huge pages", "ok", "1 GiB");
	says("debugfs", "ok", "");
	says("buffers", "ok", "");
	CHECK(!doctor.count[CHECK_FAIL], "no fails");
	end();
}

static void half_a_machine(void)
{
	struct utsname uts;
	char path[512];

	begin();
	uname(&uts);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", uts.release);
	tree_file(path, "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\n");
	snprintf(path, sizeof(path), "/boot/config-%s", uts.release);
	tree_file(path, "CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP_NOT=y\n");
	tree_file("/sys/kernel/irq/0/chip_name", "IO-APIC\n");
	doctor_machine(&doctor);
	says("vfio-pci", "warn", "not loaded");
	says("huge pages", "warn", "small pages");
	if (!strcmp(uts.machine, "x86_64"))
		says("interrupt remapping", "warn", "off");
	end();
}

static void device(const char *driver, int group)
{
	struct pci_function f;

	tree_folder("/proc");
	tree_pci("pci0000:00/0000:00:0a.0", "0000:01:00.0", driver, group, TREE_RESOURCE);
	pci_get(tree, "0000:01:00.0", &f);
	doctor_device(&doctor, &f);
}

static void devices(void)
{
	begin();
	tree_pci("pci0000:00/0000:00:0a.0", "0000:01:00.1", "snd_hda_intel", 3, TREE_RESOURCE);
	device("nvme", 3);
	says("driver", "fail", "bound to nvme");
	says("group", "fail", "0000:01:00.1, bound to snd_hda_intel");
	says("acs", "warn", "of 0000:00:0a.0 above: not known");
	says("held", "ok", "no process");
	says("bar", "warn", "5 cannot");
	says("bar", "ok", "2 can");
	says("features", "warn", "not tried");
	end();

	begin();
	tree_pci("pci0000:00/0000:00:0a.0", "0000:01:00.1", "vfio-pci", 3, TREE_RESOURCE);
	tree_file("/dev/vfio/3", "");
	tree_file("/dev/vfio/devices/vfio0", "");
	tree_folder("/sys/devices/pci0000:00/0000:00:0a.0/0000:01:00.0/vfio-dev/vfio0");
	tree_file("/proc/9/comm", "qemu\n");
	tree_link("/proc/9/fd/3", "/dev/vfio/3");
	tree_link("/proc/9/fd/4", "/dev/vfio/devices/vfio0");
	device("vfio-pci", 3);
	says("driver", "ok", "vfio-pci");
	says("group", "ok", "1 other function that can stay");
	says("permission", "ok", "/dev/vfio/3");
	says("cdev", "ok", "vfio0");
	says("held", "warn", "process 9 (qemu)");
	end();

	begin();
	device(NULL, -1);
	says("driver", "fail", "no driver");
	says("group", "fail", "no IOMMU group");
	end();

	begin();
	device("vfio-pci", 3);
	says("permission", "fail", "/dev/vfio/3");
	says("cdev", "warn", "the group is used");
	end();
}

/* Configuration space of a bridge: two capabilities at 0x100 and 0x140. */
static int acs_of(size_t size, unsigned int second_id, unsigned int control, unsigned int next)
{
	unsigned char config[4096] = { 0 };
	char path[256];
	FILE *f;

	config[0x100] = 0x01; /* AER, then 0x140 */
	config[0x103] = 0x14;
	config[0x140] = second_id;
	config[0x142] = next << 4 & 0xf0;
	config[0x143] = next >> 4;
	config[0x146] = control;
	tree_file("/sys/bus/pci/devices/b/config", "");
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/b/config", tree);
	f = fopen(path, "w");
	if (!f || fwrite(config, 1, size, f) != size || fclose(f))
		exit(1);
	return doctor_acs(tree, "b");
}

static void acs(void)
{
	begin();
	CHECK(doctor_acs(tree, "b") == -2, "no config space: not known");
	CHECK(acs_of(64, 0x0d, 0x1d, 0) == -2, "64 bytes, as users get: not known");
	CHECK(acs_of(4096, 0x0d, 0x1d, 0) == 0x1d, "the control register is found");
	CHECK(acs_of(4096, 0x0e, 0x1d, 0) == -1, "another capability is not ACS");
	CHECK(acs_of(4096, 0x0e, 0x1d, 0x100) == -1, "a list that ends in itself ends");
	CHECK(acs_of(4096, 0x0e, 0x1d, 0xffc) == -1, "a list that leaves the space ends");
	end();
}

static void command(void)
{
	struct call c = { .cmd = find_command("doctor"), .root = tree, .json = true };
	char *printed;
	json_t *root;
	int status;

	tree_begin();
	printed = TREE_PRINTED(status = cmd_doctor(&c));
	root = json_loads(printed, 0, NULL);
	CHECK(status == EXIT_FAILURE && json_integer_value(json_object_get(root, "fail")) == 2,
	      "a fail is the exit status, and --json counts it");
	json_decref(root);
	free(printed);
	tree_end();
}

int main(void)
{
	bare_machine();
	good_machine();
	half_a_machine();
	devices();
	acs();
	command();
	return tap_done();
}
