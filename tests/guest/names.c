// SPDX-License-Identifier: GPL-2.0-only
/* A mapping of a BAR says in /proc/PID/maps which device and BAR it shows. */
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* The path that /proc/self/maps shows for the mapping of this address. */
static const char *maps_path(const volatile void *p, char *path, size_t size)
{
	unsigned long start, end;
	char line[512];
	FILE *f;
	int at;

	f = fopen("/proc/self/maps", "r");
	CHECK(f);
	path[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &at) != 2 ||
		    (uintptr_t)p < start || (uintptr_t)p >= end)
			continue;
		snprintf(path, size, "%s", line + at);
		path[strcspn(path, "\n")] = '\0';
	}
	fclose(f);
	return path;
}

static void check_path(const volatile void *p, const char *want)
{
	char path[256];

	CHECK_MSG(strcmp(maps_path(p, path, sizeof(path)), want) == 0, "'%s', not '%s'", path,
		  want);
}

static void bar(void)
{
	struct dev *dev = dev_open("nvme");
	char want[64];

	snprintf(want, sizeof(want), "/dmabuf:%s/bar0", dev->address);
	check_path(map_bar(dev, 0, 0, PAGE), want);
	snprintf(want, sizeof(want), "/dmabuf:%s/bar2", dev->address);
	check_path(map_bar(dev, 2, PAGE, PAGE), want);
}

static void buffer(void)
{
	static const range_t ranges[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct dev *dev = dev_open("ivshmem");
	char want[64];
	void *p;
	int fd;

	fd = export_ranges(dev, 2, ranges, 2);
	p = map_buffer(fd, 0, 3 * PAGE);
	snprintf(want, sizeof(want), "/dmabuf:%s/bar2+3000:1000", dev->address);
	check_path(p, want);
	/* A name of the user's own is shown from then on, by every descriptor. */
	OK(ioctl(dup(fd), DMA_BUF_SET_NAME, "doorbell of client 7"));
	check_path(p, "/dmabuf:doorbell of client 7");
	CHECK_ERRNO(ioctl(fd, DMA_BUF_SET_NAME, "a name of more than thirty-one bytes"), EINVAL);
	check_path(p, "/dmabuf:doorbell of client 7");
}

/* What doesn't fit is left out; a name too long for a DMABUF would not be shown. */
static void long_ranges(void)
{
	struct dev *dev = dev_open("testdev");
	char want[64];

	snprintf(want, sizeof(want), "/dmabuf:%s/bar2+40000000", dev->address);
	check_path(map_buffer(export_range(dev, 2, GIB(1), GIB(1)), 0, PAGE), want);
	snprintf(want, sizeof(want), "/dmabuf:%s/bar2+0:80000000", dev->address);
	check_path(map_buffer(export_range(dev, 2, 0, GIB(2)), 0, PAGE), want);
}

/* The name outlives the device. */
static void after_close(void)
{
	struct dev *dev = dev_open("ivshmem");
	char want[64];
	void *p;

	p = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	snprintf(want, sizeof(want), "/dmabuf:%s/bar2+0:1000", dev->address);
	dev_close(dev);
	check_path(p, want);
	CHECK_SIGBUS(p);
}

static const struct test_case cases[] = {
	CASE_MMAP(bar),
	CASE_MMAP(buffer),
	CASE_MMAP(long_ranges),
	CASE_MMAP(after_close),
};

TEST_MAIN(cases)
