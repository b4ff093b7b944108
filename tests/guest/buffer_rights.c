// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer that was exported for reading alone is written by nobody: not by an importer's
 * device, and not by a mapping that comes through the file of another exporter.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../modules/dmabuf_forward.h"
#include "importer.h"

#define NODE "/dev/dmabuf_forward"

static int export_for(const struct dev *dev, int open_flags)
{
	range_t range = { .offset = 0, .length = 4 * PAGE };

	return OK(try_export(dev, 2, open_flags, &range, 1));
}

static void importer_of_a_read_only_buffer(void)
{
	struct dev *dev = dev_open("nvme");
	int importer = importer_open(dev, export_for(dev, O_RDONLY | O_CLOEXEC));

	CHECK_ERRNO(try_importer_map_for(importer, IMPORTER_FROM_DEVICE), EACCES);
	CHECK_ERRNO(try_importer_map_for(importer, IMPORTER_BOTH_WAYS), EACCES);
	CHECK(!importer_is_mapped(importer));
	OK(try_importer_map_for(importer, IMPORTER_TO_DEVICE));
	CHECK(importer_is_mapped(importer));
	importer_unmap(importer);
	CHECK_ERRNO(try_importer_map_for(importer, IMPORTER_FROM_DEVICE), EACCES);
}

static void importer_of_a_writable_buffer(void)
{
	static const enum importer_direction all[] = { IMPORTER_TO_DEVICE, IMPORTER_FROM_DEVICE,
						       IMPORTER_BOTH_WAYS };
	struct dev *dev = dev_open("nvme");
	int importer = importer_open(dev, export_for(dev, O_RDWR | O_CLOEXEC));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		OK(try_importer_map_for(importer, all[i]));
		importer_unmap(importer);
	}
}

/* Another DMABUF with rights of its own, whose mmap ends in that of ours. */
static int forward(int dmabuf_fd)
{
	struct dmabuf_forward req = { .dmabuf_fd = dmabuf_fd, .open_flags = O_RDWR | O_CLOEXEC };
	int node;

	if (access(NODE, F_OK) && system("modprobe dmabuf_forward"))
		FAIL("this guest has no module dmabuf_forward");
	node = OK(open(NODE, O_RDWR | O_CLOEXEC));
	return OK(ioctl(node, DMABUF_FORWARD, &req));
}

static void forwarded_mmap_of_a_read_only_buffer(void)
{
	struct dev *dev = dev_open("nvme");
	int fd = export_for(dev, O_RDONLY | O_CLOEXEC), forwarded = forward(fd);
	volatile char *bar = map_bar(dev, 2, 0, PAGE);
	void *page;

	write32(bar, 0x600d);
	CHECK(!try_map(forwarded, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED));
	CHECK_EQ(errno, EACCES);
	CHECK(!try_map(forwarded, 0, PAGE, PROT_WRITE, MAP_SHARED));
	CHECK_EQ(errno, EACCES);
	page = try_map(forwarded, 0, PAGE, PROT_READ, MAP_SHARED);
	CHECK(page);
	CHECK_EQ(read32(page), 0x600d);
	CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) < 0);
	CHECK_EQ(errno, EACCES);
	CHECK_EQ(read32(page), 0x600d);
	revoke_buffer(dev, fd);
	CHECK_SIGBUS(page);
}

/* The same way works where the rights are there. */
static void forwarded_mmap_of_a_writable_buffer(void)
{
	struct dev *dev = dev_open("nvme");
	int fd = export_for(dev, O_RDWR | O_CLOEXEC), forwarded = forward(fd);
	volatile char *bar = map_bar(dev, 2, 0, PAGE);
	void *page;

	page = try_map(forwarded, 0, PAGE, PROT_READ, MAP_SHARED);
	CHECK(page);
	OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	write32(page, 0x600d1);
	CHECK_EQ(read32(bar), 0x600d1);
	revoke_buffer(dev, fd);
	CHECK_SIGBUS(page);
	CHECK_ALIVE(bar);
}

static const struct test_case cases[] = {
	CASE(importer_of_a_read_only_buffer),
	CASE(importer_of_a_writable_buffer),
	CASE_MMAP(forwarded_mmap_of_a_read_only_buffer),
	CASE_MMAP(forwarded_mmap_of_a_writable_buffer),
};

TEST_MAIN(cases)
