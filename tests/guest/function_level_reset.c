// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function-level reset that the user asks for in configuration space is a
 * reset like any other: nothing is mapped in it, everything is mapped after it.
 */
#include <linux/pci_regs.h>

#include "views.h"

static void flr(const struct dev *dev)
{
	unsigned int pos = config_capability(dev, PCI_CAP_ID_EXP);
	uint16_t control;

	if (!pos || !(config_read32(dev, pos + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR))
		SKIP("%s has no PCIe FLR", dev->model);
	control = config_read16(dev, pos + PCI_EXP_DEVCTL);
	config_write16(dev, pos + PCI_EXP_DEVCTL, control | PCI_EXP_DEVCTL_BCR_FLR);
	CHECK(!(config_read16(dev, pos + PCI_EXP_DEVCTL) & PCI_EXP_DEVCTL_BCR_FLR));
}

static void pcie(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, kinds);
	views_alive(&views, "before the FLR");
	flr(dev);
	views_were_zapped(&views, "after the FLR");

	memory_decode(dev, false);
	flr(dev);
	views_dead(&views, "after an FLR with decode off");
	memory_decode(dev, true);
	views_alive(&views, "with decode on again");
}

static void pcie_bar(void)
{
	pcie(VIEW_BAR);
}

static void pcie_buffer(void)
{
	pcie(VIEW_ALL);
}

static void advanced_features(void)
{
	static const char *const models[] = { "edu", "ivshmem", "bochs", "nvme", "testdev" };
	struct views views;
	unsigned int i, pos;

	for (i = 0; i < ARRAY_SIZE(models); i++) {
		struct dev *dev = dev_open(models[i]);

		pos = config_capability(dev, PCI_CAP_ID_AF);
		if (pos && (config_read8(dev, pos + PCI_AF_CAP) & PCI_AF_CAP_FLR)) {
			uint8_t go = PCI_AF_CTRL_FLR;

			views_open(&views, dev, VIEW_ALL);
			views_alive(&views, "before the AF FLR");
			CHECK(barbuf_config_write(dev->lib, pos + PCI_AF_CTRL, &go, 1) == 0);
			views_were_zapped(&views, "after the AF FLR");
			return;
		}
		dev_close(dev);
	}
	SKIP("no device of this lab has the Advanced Features capability");
}

static const struct test_case cases[] = {
	CASE(pcie_bar),
	CASE_MMAP(pcie_buffer),
	CASE_MMAP(advanced_features),
};

TEST_MAIN(cases)
