// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation of a call fails in turn, the first, the second, the third...
 * until the call passes with none failing: every failure is a clean error that
 * leaves nothing behind. Needs a kernel with fault injection.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "fail_nth.h"
#include "views.h"

/* No test needs more; a sweep that doesn't end is a bug of the sweep. */
#define MOST 400

static int open_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 128; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* One call of a sweep: a value that is not negative, or -1 and errno. */
struct call {
	const char *name;
	long (*run)(void *arg);
	void (*undo)(void *arg, long result);
};

static void sweep(const struct call *call, void *arg)
{
	unsigned int n, failures = 0;
	bool injected;
	long result;
	int fds, err;

	fail_nth(0);
	fds = open_fds();
	/* What is allocated once and kept is not part of the call. */
	result = call->run(arg);
	CHECK_MSG(result >= 0, "%s: %s", call->name, strerror_name(errno));
	if (call->undo)
		call->undo(arg, result);

	for (n = 1; n < MOST; n++) {
		fail_nth(n);
		result = call->run(arg);
		err = errno;
		injected = did_fail();
		fail_nth(0);
		if (result >= 0) {
			if (call->undo)
				call->undo(arg, result);
		} else {
			failures++;
			CHECK_MSG(injected, "%s: %s, but no allocation had failed", call->name,
				  strerror_name(err));
			CHECK_MSG(err == ENOMEM, "%s: %s when allocation %u fails", call->name,
				  strerror_name(err), n);
			CHECK_MSG(open_fds() == fds, "%s: left an fd when allocation %u fails",
				  call->name, n);
		}
		if (!injected)
			break;
	}
	CHECK_MSG(n < MOST, "%s: never passed", call->name);
	CHECK_MSG(result >= 0, "%s: %s without a failure", call->name, strerror_name(err));
	note("%s: %u allocations, %u of them needed", call->name, n - 1, failures);
}

static struct dev *dev;
static range_t *ranges;
static size_t nr_ranges;
static int buffer;

static void begin(const char *model, unsigned int bar)
{
	fail_nth_prepare();
	dev = dev_open(model);
	buffer = export_range(dev, bar, 0, PAGE);
}

/* Whatever failed on the way, the device has nothing left open. */
static void end(const char *model)
{
	close(buffer);
	dev_close(dev);
	dev = try_dev_open(model);
	CHECK_MSG(dev, "the device is still held: %s", strerror_name(errno));
	dev_close(dev);
}

static long do_export(void *arg)
{
	return try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, nr_ranges);
}

static void undo_export(void *arg, long fd)
{
	close(fd);
}

static void export_with(size_t nr)
{
	static const struct call call = { "export", do_export, undo_export };
	size_t i;

	begin("ivshmem", 2);
	nr_ranges = nr;
	ranges = calloc(nr, sizeof(*ranges));
	CHECK(ranges);
	for (i = 0; i < nr; i++)
		ranges[i] = (range_t){ 2 * i * PAGE, PAGE };
	sweep(&call, NULL);
	end("ivshmem");
}

static void export_of_one_range(void)
{
	export_with(1);
}

static void export_of_some_ranges(void)
{
	export_with(20);
}

static void export_of_many_ranges(void)
{
	export_with(5000);
}

static long do_map_buffer(void *arg)
{
	void *p = try_map(buffer, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	return p ? (long)p : -1;
}

static long do_map_bar(void *arg)
{
	void *p = try_map(dev->fd, bar_offset(dev, 2, 0), PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED);

	return p ? (long)p : -1;
}

static void undo_map(void *arg, long p)
{
	CHECK_ALIVE((void *)p);
	unmap((void *)p, PAGE);
}

static void mmap_of_a_buffer(void)
{
	static const struct call call = { "mmap of a buffer", do_map_buffer, undo_map };

	begin("ivshmem", 2);
	sweep(&call, NULL);
	end("ivshmem");
}

/* With no mapping there yet, so that the BAR's buffer is made each time. */
static void mmap_of_a_bar(void)
{
	static const struct call call = { "mmap of a BAR", do_map_bar, undo_map };

	begin("ivshmem", 2);
	sweep(&call, NULL);
	end("ivshmem");
}

/* And with one that it is shared with. */
static void second_mmap_of_a_bar(void)
{
	static const struct call call = { "second mmap of a BAR", do_map_bar, undo_map };
	void *p;

	begin("ivshmem", 2);
	p = map_bar(dev, 2, PAGE, PAGE);
	sweep(&call, NULL);
	CHECK_ALIVE(p);
	unmap(p, PAGE);
	end("ivshmem");
}

/* Page tables that can't be had: the fault is tried again, or the access is lost. */
static void faults(void)
{
	volatile char *p;
	unsigned int n, injected = 0;
	uint64_t offset = 0;
	int sig;

	begin("ivshmem", 2);
	close(buffer);
	buffer = export_range(dev, 2, 0, GIB(1));
	p = map_aligned(buffer, 0, GIB(1) - PAGE, GIB(1), 0);
	for (n = 1; n < 30; n++, offset += MIB(10) + PAGE) {
		fail_nth(n % 4 + 1);
		sig = touch(p + offset);
		injected += did_fail();
		fail_nth(0);
		CHECK(sig == 0 || sig == SIGBUS);
		CHECK_ALIVE(p + offset);
	}
	note("%u faults with a failure in them", injected);
	unmap((void *)p, GIB(1) - PAGE);
	end("ivshmem");
}

/* What a revoke needs it has: none fails for want of memory. */
static void revokes(void)
{
	unsigned int n, injected = 0;
	volatile void *p;
	int fd, ret;

	begin("ivshmem", 2);
	for (n = 1; n < 20; n++) {
		fd = export_range(dev, 2, 0, PAGE);
		p = map_buffer(fd, 0, PAGE);
		CHECK_ALIVE(p);
		fail_nth(n);
		ret = try_revoke(dev, fd);
		injected += did_fail();
		fail_nth(0);
		CHECK_MSG(ret == 0, "%s when allocation %u fails", strerror_name(errno), n);
		CHECK_SIGBUS(p);
		unmap((void *)p, PAGE);
		close(fd);
	}
	note("%u revokes with a failure in them", injected);
	end("ivshmem");
}

/* A fork copies the page tables of the mappings, or does not happen at all. */
static long do_fork(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void undo_fork(void *arg, long pid)
{
	join(pid);
}

static void forks(void)
{
	static const struct call call = { "fork", do_fork, undo_fork };
	void *p, *bar;

	begin("ivshmem", 2);
	p = map_buffer(buffer, 0, PAGE);
	bar = map_bar(dev, 2, 0, PAGE);
	CHECK_ALIVE(p);
	CHECK_ALIVE(bar);
	sweep(&call, NULL);
	CHECK_ALIVE(p);
	CHECK_ALIVE(bar);
	unmap(p, PAGE);
	unmap(bar, PAGE);
	end("ivshmem");
}

/* A transition with a failure in it may be refused, but leaves the truth behind. */
static void transition(const char *name, int (*go)(const struct dev *), void (*back)(const struct dev *))
{
	struct views views;
	unsigned int n, refused = 0;
	bool injected;

	begin("nvme", 2);
	views_open(&views, dev, VIEW_ALL);
	for (n = 1; n < MOST; n++) {
		views_alive(&views, "before");
		fail_nth(n);
		refused += go(dev) < 0;
		injected = did_fail();
		fail_nth(0);
		back(dev);
		views_alive(&views, "after");
		if (!injected)
			break;
	}
	CHECK_MSG(n < MOST, "%s: never passed", name);
	note("%s: %u allocations, refused %u times", name, n - 1, refused);
	views_close(&views);
	end("nvme");
}

static int decode_off(const struct dev *d)
{
	uint16_t command = 0;

	return barbuf_config_write(d->lib, PCI_COMMAND, &command, sizeof(command));
}

static void decode_on(const struct dev *d)
{
	memory_decode(d, true);
}

static void of_memory_decode(void)
{
	transition("decode off", decode_off, decode_on);
}

static int to_d3(const struct dev *d)
{
	uint16_t d3 = 3;

	return barbuf_config_write(d->lib, config_capability(d, PCI_CAP_ID_PM) + PCI_PM_CTRL, &d3,
				   sizeof(d3));
}

static void to_d0(const struct dev *d)
{
	config_write16(d, config_capability(d, PCI_CAP_ID_PM) + PCI_PM_CTRL, 0);
	memory_decode(d, true);
}

static void of_power_state(void)
{
	transition("D3hot", to_d3, to_d0);
}

static void nothing(const struct dev *d)
{
}

static void of_reset(void)
{
	transition("reset", try_reset, nothing);
}

static int sleep_deep(const struct dev *d)
{
	return try_low_power_enter(d, -1);
}

static void wake(const struct dev *d)
{
	try_low_power_exit(d);
}

static void of_low_power(void)
{
	transition("low power", sleep_deep, wake);
}

/* DMA mappings of legacy type1, that edu is behind. */
#define IOVA MIB(16)
#define DMA_SIZE MIB(6)

static struct barbuf_container *container;
static struct edu edu;
static unsigned char *dma_memory;

static void begin_dma(void)
{
	begin("ivshmem", 2);
	CHECK_EQ(barbuf_container_new(&container, BARBUF_IOMMU_TYPE1), 0);
	edu_open(&edu, container);
	dma_memory = mmap(NULL, DMA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK(dma_memory != MAP_FAILED);
}

static void end_dma(void)
{
	munmap(dma_memory, DMA_SIZE);
	edu_close(&edu);
	CHECK_EQ(barbuf_container_free(container), 0);
	end("ivshmem");
}

/* Not at a multiple of what the memory behind it is at one, so each page is an entry. */
static void put_bar(size_t at, size_t size)
{
	CHECK(mmap(dma_memory + at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, dev->fd,
		   bar_offset(dev, 2, at + PAGE)) != MAP_FAILED);
}

static long do_map_dma(void *arg)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)dma_memory,
		.iova = IOVA,
		.size = DMA_SIZE,
	};

	return ioctl(barbuf_container_fd(container), VFIO_IOMMU_MAP_DMA, &map);
}

static void undo_map_dma(void *arg, long result)
{
	struct vfio_iommu_type1_dma_unmap map = {
		.argsz = sizeof(map),
		.iova = IOVA,
		.size = DMA_SIZE,
	};

	OK(ioctl(barbuf_container_fd(container), VFIO_IOMMU_UNMAP_DMA, &map));
	CHECK_EQ(map.size, DMA_SIZE);
}

static void dma_mapping_of_a_bar(void)
{
	static const struct call call = { "MAP_DMA of a BAR", do_map_dma, undo_map_dma };

	begin_dma();
	put_bar(0, DMA_SIZE);
	sweep(&call, NULL);
	end_dma();
}

/* Memory, a BAR, memory, a BAR, memory. */
static void dma_mapping_of_both(void)
{
	static const struct call call = { "MAP_DMA of memory and BARs", do_map_dma, undo_map_dma };

	begin_dma();
	put_bar(MIB(1), MIB(2));
	put_bar(MIB(4), MIB(1));
	sweep(&call, NULL);
	end_dma();
}

static bool dma_arrives(void)
{
	unsigned char *p = dma_memory + MIB(3);

	memset(p, 0, PAGE);
	edu_store(&edu, IOVA + MIB(3), 16);
	return *p == 0x5a;
}

/*
 * Access is back, and there is no memory to map it with: the device does without
 * until the next time, and nobody else notices.
 */
static void of_dma_remap(void)
{
	uint16_t on = PCI_COMMAND_MEMORY;
	unsigned int n, lost = 0;
	bool injected;

	begin_dma();
	memset(dma_memory, 0x5a, PAGE);
	OK(do_map_dma(NULL));
	edu_fetch(&edu, IOVA, 16);
	undo_map_dma(NULL, 0);

	put_bar(0, DMA_SIZE);
	OK(do_map_dma(NULL));
	CHECK(dma_arrives());
	for (n = 1; n < MOST; n++) {
		memory_decode(dev, false);
		fail_nth(n);
		barbuf_config_write(dev->lib, PCI_COMMAND, &on, sizeof(on));
		injected = did_fail();
		fail_nth(0);
		memory_decode(dev, true);
		CHECK_ALIVE(dma_memory);
		lost += !dma_arrives();
		memory_decode(dev, false);
		memory_decode(dev, true);
		CHECK_MSG(dma_arrives(), "after failure %u", n);
		if (!injected)
			break;
	}
	CHECK(n < MOST);
	CHECK(lost);
	note("%u allocations, %u of them needed", n - 1, lost);
	undo_map_dma(NULL, 0);
	end_dma();
}

static const struct test_case cases[] = {
	CASE_MMAP(export_of_one_range),
	CASE_MMAP(export_of_some_ranges),
	CASE_MMAP(export_of_many_ranges),
	CASE_MMAP(mmap_of_a_buffer),
	CASE_MMAP(mmap_of_a_bar),
	CASE_MMAP(second_mmap_of_a_bar),
	CASE_MMAP(faults),
	CASE_MMAP(revokes),
	CASE_MMAP(forks),
	CASE_MMAP(of_memory_decode),
	CASE_MMAP(of_power_state),
	CASE_MMAP(of_reset, .seconds = 60),
	CASE_MMAP(of_low_power),
	CASE_MMAP(dma_mapping_of_a_bar),
	CASE_MMAP(dma_mapping_of_both),
	CASE_MMAP(of_dma_remap, .seconds = 60),
};

TEST_MAIN(cases)
