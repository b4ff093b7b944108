// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device moved to D3hot through its power management registers can't be
 * accessed; back in D0 the mappings work again without a new mmap.
 */
#include <linux/pci_regs.h>

#include "views.h"

#define D0    0
#define D3HOT 3

static unsigned int pm_control(const struct dev *dev)
{
	unsigned int pos = config_capability(dev, PCI_CAP_ID_PM);

	if (!pos)
		SKIP("%s has no power management capability", dev->model);
	return pos + PCI_PM_CTRL;
}

static void set_state(const struct dev *dev, unsigned int state)
{
	unsigned int pos = pm_control(dev);
	uint16_t pmcsr = config_read16(dev, pos);

	config_write16(dev, pos, (pmcsr & ~PCI_PM_CTRL_STATE_MASK) | state);
	CHECK_EQ(config_read16(dev, pos) & PCI_PM_CTRL_STATE_MASK, state);
}

static void d3_and_back(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	for (i = 0; i < 2; i++) {
		views_alive(&views, "in D0");
		set_state(dev, D3HOT);
		views_dead(&views, "in D3hot");
		set_state(dev, D0);
		views_were_zapped(&views, "in D0 again");
	}
}

static void bar_dead_in_d3hot(void)
{
	d3_and_back(VIEW_BAR);
}

static void buffer_dead_in_d3hot(void)
{
	d3_and_back(VIEW_ALL);
}

/* Two reasons to be dead: both must be gone. */
static void decode_and_d3(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, kinds);
	set_state(dev, D3HOT);
	memory_decode(dev, false);
	memory_decode(dev, true);
	views_dead(&views, "in D3hot, decode off and on");
	set_state(dev, D0);
	memory_decode(dev, true);
	views_alive(&views, "in D0 with decode on");

	memory_decode(dev, false);
	set_state(dev, D3HOT);
	set_state(dev, D0);
	views_dead(&views, "in D0 with decode off");
	memory_decode(dev, true);
	views_alive(&views, "in D0 with decode on again");
}

static void bar_with_decode_off_too(void)
{
	decode_and_d3(VIEW_BAR);
}

static void buffer_with_decode_off_too(void)
{
	decode_and_d3(VIEW_ALL);
}

/* A reset brings the device to D0, and the mappings with it. */
static void reset_wakes(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, kinds);
	set_state(dev, D3HOT);
	views_dead(&views, "in D3hot");
	OK(try_reset(dev));
	CHECK_EQ(config_read16(dev, pm_control(dev)) & PCI_PM_CTRL_STATE_MASK, D0);
	views_alive(&views, "after a reset from D3hot");
}

static void bar_woken_by_reset(void)
{
	reset_wakes(VIEW_BAR);
}

static void buffer_woken_by_reset(void)
{
	reset_wakes(VIEW_ALL);
}

static void buffer_made_in_d3hot(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	set_state(dev, D3HOT);
	views_open(&views, dev, VIEW_ALL);
	views_dead(&views, "when made in D3hot");
	set_state(dev, D0);
	views_alive(&views, "in D0");
}

static const struct test_case cases[] = {
	CASE(bar_dead_in_d3hot),
	CASE(bar_with_decode_off_too),
	CASE(bar_woken_by_reset),
	CASE_MMAP(buffer_dead_in_d3hot),
	CASE_MMAP(buffer_with_decode_off_too),
	CASE_MMAP(buffer_woken_by_reset),
	CASE_MMAP(buffer_made_in_d3hot),
};

TEST_MAIN(cases)
