// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab offers the devices that the other tests count on. Prints what each of
 * them has, which is also the way to find out.
 */
#include <linux/pci_regs.h>

#include "harness.h"

static void describe(const char *model)
{
	struct dev *dev = dev_open(model);
	struct barbuf_device_info info;
	unsigned int i;

	CHECK(barbuf_device_get_info(dev->lib, &info) == 0);
	note("%s %s:%s%s%s%s", model, dev->address, info.can_reset ? " reset" : "",
	     config_capability(dev, PCI_CAP_ID_PM) ? " PM" : "",
	     config_capability(dev, PCI_CAP_ID_EXP) ? " PCIe" : "",
	     config_capability(dev, PCI_CAP_ID_MSIX) ? " MSI-X" : "");
	for (i = 0; i < ARRAY_SIZE(dev->region); i++) {
		if (dev->region[i].size)
			note("  region %u: 0x%llx bytes, flags 0x%x", i,
			     (unsigned long long)dev->region[i].size, dev->region[i].flags);
	}
	dev_close(dev);
}

#define MODEL(name, model)			\
	static void name(void)			\
	{					\
		describe(model);		\
	}

MODEL(edu, "edu")
MODEL(ivshmem, "ivshmem")
MODEL(testdev, "testdev")
MODEL(bochs, "bochs")
MODEL(nvme, "nvme")
MODEL(virtio_blk, "virtio-blk")
MODEL(pair0, "pair0")
MODEL(pair1, "pair1")
MODEL(plug, "plug")
MODEL(aer, "aer")

static const struct test_case cases[] = {
	CASE(edu),  CASE(ivshmem),    CASE(testdev), CASE(bochs),
	CASE(nvme), CASE(virtio_blk), CASE(pair0),   CASE(pair1),
	CASE(plug), CASE(aer),
};

TEST_MAIN(cases)
