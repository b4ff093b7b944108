// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory decode switched off in PCI_COMMAND takes every mapping of every BAR
 * away at once, and back on brings them back without a new mmap.
 */
#include <linux/pci_regs.h>
#include <unistd.h>

#include "views.h"

static void off_and_on(const char *model, unsigned int kinds)
{
	struct dev *dev = dev_open(model);
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	views_alive(&views, "at first");
	for (i = 0; i < 3; i++) {
		memory_decode(dev, false);
		views_dead(&views, "with decode off");
		views_dead(&views, "at a second try");
		memory_decode(dev, true);
		views_were_zapped(&views, "with decode on again");
	}
	views_close(&views);
	dev_close(dev);
}

static void bars_of_bochs(void)
{
	off_and_on("bochs", VIEW_BAR);
}

static void bars_of_nvme(void)
{
	off_and_on("nvme", VIEW_BAR);
}

static void bars_of_ivshmem(void)
{
	off_and_on("ivshmem", VIEW_BAR);
}

static void buffers_of_bochs(void)
{
	off_and_on("bochs", VIEW_ALL);
}

static void buffers_of_nvme(void)
{
	off_and_on("nvme", VIEW_ALL);
}

static void buffers_of_ivshmem(void)
{
	off_and_on("ivshmem", VIEW_ALL);
}

/* Whatever the width of the write that has the command register in it. */
static void width_of_the_write(const struct dev *dev, unsigned int pos, unsigned int size,
			       const struct views *views)
{
	uint8_t bytes[8];
	unsigned int at = PCI_COMMAND - pos;

	CHECK(barbuf_config_read(dev->lib, pos, bytes, size) == 0);
	bytes[at] &= ~PCI_COMMAND_MEMORY;
	CHECK(barbuf_config_write(dev->lib, pos, bytes, size) == 0);
	views_dead(views, "with decode off");
	bytes[at] |= PCI_COMMAND_MEMORY;
	CHECK(barbuf_config_write(dev->lib, pos, bytes, size) == 0);
	views_alive(views, "with decode on");
}

static void widths(unsigned int kinds)
{
	struct dev *dev = dev_open("bochs");
	struct views views;

	views_open(&views, dev, kinds);
	width_of_the_write(dev, PCI_COMMAND, 1, &views);
	width_of_the_write(dev, PCI_COMMAND, 2, &views);
	width_of_the_write(dev, PCI_COMMAND, 4, &views);
	width_of_the_write(dev, PCI_COMMAND, 8, &views);
	width_of_the_write(dev, PCI_DEVICE_ID, 4, &views);
	width_of_the_write(dev, PCI_DEVICE_ID, 3, &views);
}

static void bar_by_any_width(void)
{
	widths(VIEW_BAR);
}

static void buffer_by_any_width(void)
{
	widths(VIEW_ALL);
}

/* Writes that leave the bit as it is change nothing, on or off. */
static void writes_that_keep_the_bit(void)
{
	struct dev *dev = dev_open("bochs");
	struct views views;
	uint16_t command;

	views_open(&views, dev, VIEW_ALL);
	command = config_read16(dev, PCI_COMMAND);
	CHECK(command & PCI_COMMAND_MEMORY);
	config_write16(dev, PCI_COMMAND, command | PCI_COMMAND_MASTER);
	views_alive(&views, "after a write that keeps decode on");
	memory_decode(dev, false);
	config_write16(dev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	config_write16(dev, PCI_COMMAND, 0);
	views_dead(&views, "after three writes that keep decode off");
	config_write16(dev, PCI_COMMAND, command);
	config_write16(dev, PCI_COMMAND, command);
	views_alive(&views, "after two writes that switch decode on");
}

/* mmap never depends on the state; the first access does. */
static void map_while_off(unsigned int kinds)
{
	struct dev *dev = dev_open("bochs");
	struct views views;

	memory_decode(dev, false);
	views_open(&views, dev, kinds);
	views_dead(&views, "when mapped with decode off");
	memory_decode(dev, true);
	views_alive(&views, "when decode came on after the mmap");
}

static void bar_mapped_while_off(void)
{
	map_while_off(VIEW_BAR);
}

static void buffer_exported_and_mapped_while_off(void)
{
	map_while_off(VIEW_ALL);
}

/* The memory of one device has nothing to do with the decode of another. */
static void other_devices_keep_theirs(void)
{
	struct dev *bochs = dev_open("bochs"), *ivshmem = dev_open("ivshmem");
	struct views off, on;
	long faults;
	unsigned int i;

	views_open(&off, bochs, VIEW_ALL);
	views_open(&on, ivshmem, VIEW_ALL);
	views_alive(&on, "at first");
	memory_decode(bochs, false);
	views_dead(&off, "with decode off");
	faults = thread_faults();
	for (i = 0; i < on.nr; i++)
		CHECK_ALIVE(on.view[i].page);
	CHECK_EQ(thread_faults() - faults, 0);
}

/* What was never touched before, what was touched, and what was huge. */
static void large_mappings_lose_every_page(void)
{
	struct dev *dev = dev_open("ivshmem");
	uint64_t size = MIB(8), i;
	volatile char *huge, *small;
	int fd;

	fd = export_range(dev, 2, MIB(16), size);
	huge = map_aligned(fd, 0, size, MIB(2), 0);
	small = map_aligned(fd, 0, size, MIB(2), PAGE);
	walk_faults(huge, size, PAGE);
	walk_faults(small, size / 2, PAGE);
	memory_decode(dev, false);
	for (i = 0; i < size; i += KIB(64)) {
		CHECK_SIGBUS(huge + i);
		CHECK_SIGBUS(small + i);
	}
	memory_decode(dev, true);
	for (i = 0; i < size; i += KIB(64)) {
		write32(huge + i, i);
		CHECK_EQ(read32(small + i), i);
	}
}

static const struct test_case cases[] = {
	CASE(bars_of_bochs),
	CASE(bars_of_nvme),
	CASE(bars_of_ivshmem),
	CASE(bar_by_any_width),
	CASE(bar_mapped_while_off),
	CASE_MMAP(buffers_of_bochs),
	CASE_MMAP(buffers_of_nvme),
	CASE_MMAP(buffers_of_ivshmem),
	CASE_MMAP(buffer_by_any_width),
	CASE_MMAP(writes_that_keep_the_bit),
	CASE_MMAP(buffer_exported_and_mapped_while_off),
	CASE_MMAP(other_devices_keep_theirs),
	CASE_MMAP(large_mappings_lose_every_page),
};

TEST_MAIN(cases)
