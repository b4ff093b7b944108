// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR: what the page tables say, not what was
 * asked for, and each way of getting the call wrong.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leaf.h"

#define NC VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_NC
#define WC VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC
#define SIZE MIB(4)

static struct dev *dev;
static int fd;

static void open_dev(void)
{
	dev = dev_open("ivshmem");
	if (barbuf_device_feature(dev->lib, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR,
					VFIO_DEVICE_FEATURE_SET))
		SKIP("this kernel has no memory attributes");
	fd = export_range(dev, 2, MIB(8), SIZE);
}

static int set_memattr(int dmabuf_fd, uint32_t memattr)
{
	int ret = barbuf_device_set_memattr(dev->lib, dmabuf_fd, memattr);

	errno = ret ? -ret : errno;
	return ret ? -1 : 0;
}

/* Touches each page, and has each mapped so. */
static void check_memtype(const volatile char *p, size_t size, uint32_t memtype)
{
	struct leaf leaf;
	size_t i;

	for (i = 0; i < size; i += PAGE) {
		CHECK_ALIVE(p + i);
		CHECK(leaf_at(p + i, &leaf));
		CHECK_EQ(leaf.memtype, memtype);
	}
}

static void uncached_by_default(void)
{
	open_dev();
	check_memtype(map_buffer(fd, 0, SIZE), SIZE, MEMTYPE_UC_MINUS);
	check_memtype(map_aligned(fd, 0, SIZE, MIB(2), 0), SIZE, MEMTYPE_UC_MINUS);
	check_memtype(map_aligned(fd, 0, SIZE, MIB(2), PAGE), SIZE, MEMTYPE_UC_MINUS);
	check_memtype(map_bar(dev, 2, 0, SIZE), SIZE, MEMTYPE_UC_MINUS);
}

/* Sampled at mmap, at any alignment; those that exist keep theirs. */
static void sampled_at_mmap(void)
{
	volatile char *nc, *touched, *wc;

	open_dev();
	nc = map_buffer(fd, 0, SIZE);
	touched = map_buffer(fd, 0, SIZE);
	check_memtype(touched, SIZE / 2, MEMTYPE_UC_MINUS);
	OK(set_memattr(fd, WC));
	check_memtype(nc, SIZE, MEMTYPE_UC_MINUS);
	check_memtype(touched, SIZE, MEMTYPE_UC_MINUS);
	wc = map_aligned(fd, 0, SIZE, MIB(2), 0);
	check_memtype(wc, SIZE, MEMTYPE_WC);
	check_memtype(map_aligned(fd, 0, SIZE, MIB(2), PAGE), SIZE, MEMTYPE_WC);
	check_memtype(map_buffer(fd, SIZE - PAGE, PAGE), PAGE, MEMTYPE_WC);
	OK(set_memattr(fd, NC));
	check_memtype(wc, SIZE, MEMTYPE_WC);
	check_memtype(map_buffer(fd, 0, SIZE), SIZE, MEMTYPE_UC_MINUS);
	/* The BAR itself has no descriptor of a buffer, and stays as it was. */
	check_memtype(map_bar(dev, 2, MIB(8), SIZE), SIZE, MEMTYPE_UC_MINUS);
}

/* A property of the object: any descriptor sets it, every other one sees it. */
static void of_the_object(void)
{
	volatile char *p;
	pid_t pid;
	int status, copy;

	open_dev();
	copy = OK(dup(fd));
	OK(set_memattr(copy, WC));
	close(copy);
	check_memtype(map_buffer(fd, 0, SIZE), SIZE, MEMTYPE_WC);
	/* Another buffer of the same range does not. */
	check_memtype(map_buffer(export_range(dev, 2, MIB(8), SIZE), 0, SIZE), SIZE,
		      MEMTYPE_UC_MINUS);
	p = map_buffer(fd, 0, SIZE);
	check_memtype(p, SIZE / 2, MEMTYPE_WC);
	OK(set_memattr(fd, NC));
	fflush(NULL);
	pid = OK(fork());
	if (!pid) {
		check_memtype(p, SIZE, MEMTYPE_WC);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	/* mremap, split and mprotect make VMAs, and no new choice. */
	p = mremap((void *)p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	if (p == MAP_FAILED)
		p = map_buffer(fd, 0, SIZE);
	else
		check_memtype(p, SIZE, MEMTYPE_WC);
}

static void across_mprotect_and_split(void)
{
	volatile char *p;

	open_dev();
	OK(set_memattr(fd, WC));
	p = map_buffer(fd, 0, SIZE);
	OK(set_memattr(fd, NC));
	check_memtype(p, 10 * PAGE, MEMTYPE_WC);
	OK(mprotect((void *)p, SIZE, PROT_READ));
	check_memtype(p, SIZE, MEMTYPE_WC);
	OK(mprotect((void *)p, SIZE, PROT_NONE));
	OK(mprotect((void *)p, SIZE, PROT_READ | PROT_WRITE));
	check_memtype(p, SIZE, MEMTYPE_WC);
	write32(p, 1);
	unmap((void *)(p + MIB(1)), MIB(1));
	check_memtype(p, MIB(1), MEMTYPE_WC);
	check_memtype(p + MIB(2), MIB(2), MEMTYPE_WC);
}

/* Faulted in again after a suspension, it is what it was. */
static void across_a_suspension(void)
{
	volatile char *wc, *nc;

	open_dev();
	nc = map_buffer(fd, 0, SIZE);
	OK(set_memattr(fd, WC));
	wc = map_buffer(fd, 0, SIZE);
	OK(set_memattr(fd, NC));
	check_memtype(wc, SIZE, MEMTYPE_WC);
	check_memtype(nc, SIZE, MEMTYPE_UC_MINUS);
	memory_decode(dev, false);
	CHECK_SIGBUS(wc);
	CHECK_SIGBUS(nc);
	CHECK(!is_mapped(wc + PAGE));
	memory_decode(dev, true);
	check_memtype(wc, SIZE, MEMTYPE_WC);
	check_memtype(nc, SIZE, MEMTYPE_UC_MINUS);
	revoke_buffer(dev, fd);
	CHECK_SIGBUS(wc);
	CHECK_EQ(count_mapped(wc, SIZE), 0);
}

/* What is written through one is read through the other, after a fence. */
static void data(void)
{
	volatile char *wc, *nc;
	size_t i;

	open_dev();
	nc = map_buffer(fd, 0, SIZE);
	OK(set_memattr(fd, WC));
	wc = map_buffer(fd, 0, SIZE);
	for (i = 0; i < SIZE; i += 64 * 13)
		*(volatile uint32_t *)(wc + i) = 0x3c000000 + i;
	__sync_synchronize();
	for (i = 0; i < SIZE; i += 64 * 13)
		CHECK_EQ(*(volatile uint32_t *)(nc + i), 0x3c000000 + i);
}

/* No huge leaf, whose attribute the core would choose; and still a table a fault. */
static void pages_a_table_at_once(void)
{
	volatile char *p;

	open_dev();
	OK(set_memattr(fd, WC));
	p = map_aligned(fd, 0, SIZE, MIB(2), 0);
	CHECK_EQ(walk_faults(p, SIZE, PAGE), SIZE / MIB(2));
	CHECK_EQ(count_leaves(p, SIZE), SIZE / PAGE);
}

static void errors(void)
{
	struct vfio_device_feature_dma_buf_memattr arg;
	struct dev *other;
	int dead;

	open_dev();
	CHECK_ERRNO(set_memattr(-1, WC), EBADF);
	CHECK_ERRNO(set_memattr(1000, NC), EBADF);
	CHECK_ERRNO(set_memattr(OK(memfd_create("none", MFD_CLOEXEC)), WC), EINVAL);
	CHECK_ERRNO(set_memattr(dev->fd, WC), EINVAL);
	CHECK_ERRNO(set_memattr(fd, 2), ENOENT);
	CHECK_ERRNO(set_memattr(fd, UINT32_MAX), ENOENT);
	/* A value can be asked for without a buffer. */
	CHECK_ERRNO(set_memattr(-1, 2), ENOENT);
	other = dev_open("bochs");
	CHECK_ERRNO(set_memattr(export_range(other, 0, 0, PAGE), WC), ENODEV);
	dead = export_range(other, 0, 0, PAGE);
	dev_close(other);
	other = dev_open("bochs");
	CHECK_EQ(barbuf_device_set_memattr(other->lib, dead, WC), -ENODEV);

	arg = (struct vfio_device_feature_dma_buf_memattr){ .dmabuf_fd = fd, .memattr = WC };
	CHECK_ERRNO(try_feature(dev->fd, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR |
						 VFIO_DEVICE_FEATURE_SET, &arg, 4), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR |
						 VFIO_DEVICE_FEATURE_GET, &arg, sizeof(arg)),
		    EINVAL);
	OK(try_feature(dev->fd, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR | VFIO_DEVICE_FEATURE_SET |
					VFIO_DEVICE_FEATURE_PROBE, &arg, sizeof(arg)));
	/* None of it changed anything. */
	check_memtype(map_buffer(fd, 0, PAGE), PAGE, MEMTYPE_UC_MINUS);
	/* Of a revoked buffer there is nothing to map, and nothing wrong with the call. */
	revoke_buffer(dev, fd);
	OK(set_memattr(fd, WC));
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED) && errno == ENODEV);
}

static const struct test_case cases[] = {
	CASE_MMAP(uncached_by_default),
	CASE_MMAP(sampled_at_mmap),
	CASE_MMAP(of_the_object),
	CASE_MMAP(across_mprotect_and_split),
	CASE_MMAP(across_a_suspension),
	CASE_MMAP(data),
	CASE_MMAP(pages_a_table_at_once),
	CASE_MMAP(errors),
};

TEST_MAIN(cases)
