// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device with a translation cache (ATS): the PCI core takes the mutex of the
 * IOMMU group for its reset, and whoever holds that may take mmap_lock. So a
 * fault must not wait for what a reset holds. Needs the lab's topology 'ats'; on
 * the debug kernel lockdep is the judge.
 */
#include <linux/vfio.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "harness.h"

#define RESETS 8

struct faulter {
	volatile char *p;
	volatile int stop;
	long touches;
};

/* Each reset takes the page away, so each costs a fault. */
static void *fault_again_and_again(void *arg)
{
	struct faulter *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		CHECK_ALIVE(f->p);
		f->touches++;
	}
	return NULL;
}

static unsigned int first_mappable(const struct dev *dev)
{
	unsigned int bar;

	for (bar = 0; bar < 6; bar++)
		if (dev->region[bar].flags & VFIO_REGION_INFO_FLAG_MMAP &&
		    dev->region[bar].size >= 2 * PAGE)
			return bar;
	FAIL("%s has no BAR to map", dev->model);
}

static void reset_under_faults(bool buffer)
{
	struct dev *dev = dev_open("virtio-net");
	unsigned int bar = first_mappable(dev), i;
	struct faulter f = { 0 };
	pthread_t thread;
	void *other;

	if (buffer)
		f.p = map_buffer(export_range(dev, bar, 0, PAGE), 0, PAGE);
	else
		f.p = map_bar(dev, bar, 0, PAGE);
	CHECK(pthread_create(&thread, NULL, fault_again_and_again, &f) == 0);
	for (i = 0; i < RESETS; i++) {
		OK(try_reset(dev));
		other = map_bar(dev, bar, PAGE, PAGE);
		CHECK_ALIVE(other);
		unmap(other, PAGE);
		memory_decode(dev, true);
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(f.touches > 0);
}

static void bar_faults_during_resets(void)
{
	reset_under_faults(false);
}

static void buffer_faults_during_resets(void)
{
	reset_under_faults(true);
}

static const struct test_case cases[] = {
	CASE(bar_faults_during_resets, .seconds = 60),
	CASE_MMAP(buffer_faults_during_resets, .seconds = 60),
};

TEST_MAIN(cases)
