// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write of PCI_COMMAND that the bus refuses leaves the mappings as they are
 * in truth. The buses of this lab refuse nothing: a module of the debug kernel,
 * pci_command_deny, makes one do so as long as it is loaded.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "views.h"

#define MODULE "pci_command_deny"

static void deny_writes(const struct dev *dev)
{
	char command[128];
	int status;

	snprintf(command, sizeof(command), "modprobe " MODULE " device=%s 2>/dev/null",
		 dev->address);
	status = system(command);
	if (status)
		SKIP("this kernel has no module " MODULE);
}

static void allow_writes(void)
{
	OK(syscall(SYS_delete_module, MODULE, O_NONBLOCK));
}

static int write_command(const struct dev *dev, uint16_t command)
{
	int ret = barbuf_config_write(dev->lib, PCI_COMMAND, &command, sizeof(command));

	errno = -ret;
	return ret ? -1 : 0;
}

static void switching_off(unsigned int kinds)
{
	struct dev *dev = dev_open("ivshmem");
	struct views views;
	uint16_t command;

	views_open(&views, dev, kinds);
	views_alive(&views, "at first");
	command = config_read16(dev, PCI_COMMAND);
	deny_writes(dev);
	CHECK(write_command(dev, command & ~PCI_COMMAND_MEMORY) < 0);
	/* The device never went away. */
	views_alive(&views, "after a write that failed");
	CHECK(write_command(dev, command & ~PCI_COMMAND_MEMORY) < 0);
	views_alive(&views, "after a second one");
	allow_writes();
	CHECK(config_read16(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY);
	memory_decode(dev, false);
	views_dead(&views, "after a write that did not fail");
	memory_decode(dev, true);
	views_alive(&views, "with decode on again");
}

static void bar_switching_off_fails(void)
{
	switching_off(VIEW_BAR);
}

static void buffer_switching_off_fails(void)
{
	switching_off(VIEW_ALL);
}

/* Off it stays, if it is the way back that fails. */
static void switching_on_fails(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct views views;
	uint16_t command;

	views_open(&views, dev, VIEW_ALL);
	command = config_read16(dev, PCI_COMMAND);
	memory_decode(dev, false);
	deny_writes(dev);
	CHECK(write_command(dev, command) < 0);
	views_dead(&views, "after a write that failed");
	allow_writes();
	views_dead(&views, "with writes allowed again");
	memory_decode(dev, true);
	views_alive(&views, "with decode on");
}

static const struct test_case cases[] = {
	CASE(bar_switching_off_fails),
	CASE_MMAP(buffer_switching_off_fails),
	CASE_MMAP(switching_on_fails),
};

TEST_MAIN(cases)
