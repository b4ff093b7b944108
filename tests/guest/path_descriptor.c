// SPDX-License-Identifier: GPL-2.0-only
/*
 * An O_PATH descriptor of a DMABUF keeps the object when its file is gone. What
 * then walks the device's buffers must not go by the file: KASAN sees it do so.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "importer.h"
#include "views.h"

static int path_of(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return OK(open(path, O_PATH | O_CLOEXEC));
}

/* A buffer whose last true fd has been closed. */
static int fileless(const struct dev *dev)
{
	int fd = export_range(dev, 2, 0, PAGE), path;

	path = path_of(fd);
	close(fd);
	return path;
}

static void walked_by_a_transition(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;
	int path, other, i;

	views_open(&views, dev, VIEW_ALL);
	path = fileless(dev);
	other = fileless(dev);
	rcu_barrier();
	for (i = 0; i < 2; i++) {
		memory_decode(dev, false);
		views_dead(&views, "with decode off");
		memory_decode(dev, true);
		views_alive(&views, "with decode on");
	}
	OK(try_reset(dev));
	views_alive(&views, "after a reset");
	OK(try_low_power_enter(dev, -1));
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power");
	close(path);
	memory_decode(dev, false);
	memory_decode(dev, true);
	views_alive(&views, "without the first path");
	close(other);
}

static void walked_by_device_close(void)
{
	struct dev *dev = dev_open("ivshmem");
	int path = fileless(dev), fd;
	volatile void *p;

	fd = export_range(dev, 2, 0, PAGE);
	p = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(p);
	rcu_barrier();
	dev_close(dev);
	CHECK_SIGBUS(p);
	rcu_barrier();
	close(path);
	dev = dev_open("ivshmem");
	dev_close(dev);
}

/* The path goes when the device has already gone. */
static void outlives_the_device(void)
{
	struct dev *dev = dev_open("ivshmem");
	int path = fileless(dev), i;

	dev_close(dev);
	for (i = 0; i < 2; i++) {
		rcu_barrier();
		dev = dev_open("ivshmem");
		memory_decode(dev, false);
		dev_close(dev);
	}
	close(path);
}

static void of_a_revoked_buffer(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = export_range(dev, 2, 0, PAGE), path;

	path = path_of(fd);
	revoke_buffer(dev, fd);
	close(fd);
	rcu_barrier();
	memory_decode(dev, false);
	memory_decode(dev, true);
	dev_close(dev);
	close(path);
}

/* Nothing can be done with such a descriptor but hold it. */
static void is_no_buffer(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = export_range(dev, 2, 0, PAGE), path;

	path = path_of(fd);
	CHECK(!try_map(path, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, EBADF);
	CHECK_ERRNO(try_revoke(dev, path), EBADF);
	revoke_buffer(dev, fd);
}

static const struct test_case cases[] = {
	CASE_MMAP(walked_by_a_transition),
	CASE_MMAP(walked_by_device_close),
	CASE_MMAP(outlives_the_device),
	CASE_MMAP(of_a_revoked_buffer),
	CASE_MMAP(is_no_buffer),
};

TEST_MAIN(cases)
