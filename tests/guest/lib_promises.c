// SPDX-License-Identifier: GPL-2.0-only
/* Promises of barbuf.h that are about more than one process, or more than one thread. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu.h"
#include "harness.h"

static atomic_bool stop;

/* As often as a few seconds allow: a debug kernel is slow. */
static bool time_left(void)
{
	static uint64_t end;

	if (!end)
		end = now_ns() + 10000000000ull;
	return now_ns() < end;
}

static void *map_and_look(void *arg)
{
	unsigned char there[1];
	int i;

	while (!atomic_load(&stop)) {
		char *p = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		for (i = 0; i < 50; i++) {
			if (mincore(p, PAGE, there)) {
				atomic_store(&stop, true);
				return (void *)1;
			}
		}
		munmap(p, MIB(2));
	}
	return NULL;
}

/* barbuf_map() of a revoked buffer fails, and takes nothing of another thread's. */
static void fails_alone(void)
{
	const struct barbuf_range range = { 0, MIB(8) };
	const struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1 };
	struct barbuf_device *dev;
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	void *lost = NULL;
	pthread_t t;
	int i;

	CHECK_EQ(barbuf_device_open(&dev, NULL, dev_bound("nvme")), 0);
	CHECK_EQ(barbuf_buffer_export(&buf, dev, &x), 0);
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	CHECK_EQ(pthread_create(&t, NULL, map_and_look, NULL), 0);
	for (i = 0; i < 20000 && !atomic_load(&stop) && time_left(); i++)
		CHECK_EQ(barbuf_map(&map, buf, NULL), -ENODEV);
	atomic_store(&stop, true);
	pthread_join(t, &lost);
	CHECK_MSG(!lost, "another thread lost its mapping after %d calls", i);
}

/* Closing a device revokes what it has lent, also while a BAR is mapped. */
static void close_ends_buffers(void)
{
	const struct barbuf_range range = { 0, PAGE };
	const struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1 };
	struct barbuf_map *map, *own;
	struct barbuf_device *dev;
	struct barbuf_buffer *buf;
	uint32_t v;

	CHECK_EQ(barbuf_guard_install(), 0);
	CHECK_EQ(barbuf_device_open(&dev, NULL, dev_bound("nvme")), 0);
	CHECK_EQ(barbuf_map_bar(&own, dev, 0, NULL), 0);
	CHECK_EQ(barbuf_buffer_export(&buf, dev, &x), 0);
	CHECK_EQ(barbuf_map(&map, buf, NULL), 0);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	barbuf_device_close(dev);
	note("access after the close: %d, check %d, revoke %d", barbuf_map_read32(map, 0, &v),
	     barbuf_buffer_check(buf), barbuf_buffer_revoke(buf));
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
}

/* A child that lets go of what it inherited takes nothing of its parent's. */
static void child_closes(enum barbuf_iommu iommu)
{
	struct barbuf_container *c;
	unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct edu edu;
	int status, ret;
	pid_t pid;

	dev_bound("edu");
	CHECK_EQ(barbuf_container_new(&c, iommu), 0);
	edu_open(&edu, c);
	CHECK_EQ(barbuf_dma_map(c, MIB(16), p, PAGE, BARBUF_DMA_READ), 0);
	pid = OK(fork());
	if (!pid) {
		barbuf_device_close(edu.dev);
		barbuf_container_free(c);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	ret = barbuf_dma_unmap(c, MIB(16), PAGE);
	CHECK_MSG(!ret, "the parent's DMA mapping is gone: %d", ret);
}

EACH_IOMMU(child_closes)

static struct barbuf_device *probed;

static void *probe_on(void *arg)
{
	uint32_t f;

	while (!atomic_load(&stop))
		barbuf_device_probe(probed, &f);
	return NULL;
}

/* A probe only reads the handle: DMA calls at the same time are not disturbed. */
static void probe_and_map(void)
{
	struct barbuf_container *c;
	unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	int i, ret, bad = 0, last = 0;

	const char *address = dev_bound("edu");

	need_iommufd();
	CHECK_EQ(barbuf_container_new(&c, BARBUF_IOMMU_IOMMUFD), 0);
	CHECK_EQ(barbuf_device_open(&probed, c, address), 0);
	atomic_store(&stop, false);
	CHECK_EQ(pthread_create(&t, NULL, probe_on, NULL), 0);
	for (i = 0; i < 3000 && time_left(); i++) {
		uint64_t iova = (uint64_t)(i % 16) * PAGE;

		ret = barbuf_dma_map(c, iova, p, PAGE, BARBUF_DMA_READ);
		if (ret) {
			bad++;
			last = ret;
		} else {
			barbuf_dma_unmap(c, iova, PAGE);
		}
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	CHECK_MSG(!bad, "%d of %d DMA maps failed by a probe, last %d", bad, i, last);
}

static const struct test_case cases[] = {
	CASE_MMAP(fails_alone),
	CASE_MMAP(close_ends_buffers),
	CASE(child_closes_type1),
	CASE(child_closes_iommufd),
	CASE(probe_and_map),
};

TEST_MAIN(cases)
