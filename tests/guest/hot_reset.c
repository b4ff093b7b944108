// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hot reset takes the mappings of every device of the set away and brings
 * them all back, each in the state that its own device is in.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"
#include "views.h"

struct set {
	struct barbuf_container *container;
	struct dev *dev[2];
	struct views views[2];
};

/* Both have to be bound before their group can be opened, and that needs the driver. */
static struct barbuf_container *new_container(void)
{
	struct barbuf_container *container;
	char address[32];
	int group;

	if (!dev_bind("pair0", address, &group) || !dev_bind("pair1", address, &group))
		SKIP("this lab has no pair");
	CHECK(barbuf_container_new(&container, BARBUF_IOMMU_TYPE1) == 0);
	return container;
}

static void open_set(struct set *set, unsigned int kinds)
{
	unsigned int i;

	set->container = new_container();
	for (i = 0; i < 2; i++) {
		set->dev[i] = dev_open_in(set->container, i ? "pair1" : "pair0");
		views_open(&set->views[i], set->dev[i], kinds);
	}
}

static int hot_reset(const struct set *set, unsigned int through)
{
	return barbuf_device_hot_reset(set->dev[through]->lib);
}

static void both(const struct set *set, void (*check)(const struct views *, const char *),
		 const char *when)
{
	check(&set->views[0], when);
	check(&set->views[1], when);
}

static void survives(unsigned int kinds)
{
	struct set set;
	unsigned int i;

	open_set(&set, kinds);
	for (i = 0; i < 2; i++) {
		both(&set, views_alive, "before the hot reset");
		CHECK_EQ(hot_reset(&set, i), 0);
		both(&set, views_were_zapped, "after the hot reset");
	}
}

static void bar_mappings_survive(void)
{
	survives(VIEW_BAR);
}

static void buffers_survive(void)
{
	survives(VIEW_ALL);
}

static void one_with_decode_off(unsigned int kinds)
{
	struct set set;
	unsigned int i;

	open_set(&set, kinds);
	for (i = 0; i < 2; i++) {
		memory_decode(set.dev[i], false);
		CHECK_EQ(hot_reset(&set, 0), 0);
		views_dead(&set.views[i], "after a hot reset with decode off");
		views_alive(&set.views[!i], "with decode of the other device off");
		memory_decode(set.dev[i], true);
		both(&set, views_alive, "with decode on again");
	}
}

static void bar_with_one_decode_off(void)
{
	one_with_decode_off(VIEW_BAR);
}

static void buffer_with_one_decode_off(void)
{
	one_with_decode_off(VIEW_ALL);
}

/* The second device is open, asleep, and has to sleep on. */
static void one_in_low_power(void)
{
	struct set set;

	open_set(&set, VIEW_ALL);
	OK(try_low_power_enter(set.dev[1], -1));
	CHECK_EQ(hot_reset(&set, 0), 0);
	views_alive(&set.views[0], "after the hot reset");
	views_dead(&set.views[1], "in low power");
	OK(try_low_power_exit(set.dev[1]));
	both(&set, views_alive, "after low power");
}

/* The second device is bound, but nobody has it open. */
static void one_not_open(void)
{
	struct dev *dev = dev_open_in(new_container(), "pair1");
	struct views views;

	views_open(&views, dev, VIEW_ALL);
	CHECK_EQ(barbuf_device_hot_reset(dev->lib), 0);
	views_were_zapped(&views, "after the hot reset");
}

/* A hot reset without proof that all of the set is one's own: nothing happens. */
static void refused(unsigned int kinds)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t fds[2];
	} arg = { .head.argsz = sizeof(arg) };
	struct set set;

	open_set(&set, kinds);
	both(&set, views_alive, "at first");
	CHECK_ERRNO(ioctl(set.dev[0]->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	arg.head.count = 1;
	arg.fds[0] = 1000;
	CHECK_ERRNO(ioctl(set.dev[0]->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), EBADF);
	arg.fds[0] = set.dev[0]->fd;
	CHECK_ERRNO(ioctl(set.dev[0]->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	both(&set, views_alive, "after hot resets that were refused");
}

static void bar_after_a_refusal(void)
{
	refused(VIEW_BAR);
}

static void buffer_after_a_refusal(void)
{
	refused(VIEW_ALL);
}

/* With the group of another device as the proof, the set isn't owned either. */
static void not_owned(unsigned int kinds)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t fds[1];
	} arg = { .head = { .argsz = sizeof(arg), .count = 1 } };
	char address[32], path[32];
	struct set set;
	int group;

	open_set(&set, kinds);
	CHECK(dev_bind("edu", address, &group));
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	arg.fds[0] = OK(open(path, O_RDWR | O_CLOEXEC));
	both(&set, views_alive, "at first");
	CHECK_ERRNO(ioctl(set.dev[0]->fd, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	both(&set, views_alive, "after a hot reset of a set that is not owned");
}

static void bar_not_owned(void)
{
	not_owned(VIEW_BAR);
}

static void buffer_not_owned(void)
{
	not_owned(VIEW_ALL);
}

/* Revoked on one device, before: the hot reset of both does not undo it. */
static void revoked_stays_revoked(void)
{
	struct set set;
	volatile void *gone;
	int fd;

	open_set(&set, VIEW_ALL);
	fd = export_range(set.dev[1], 2, MIB(1), PAGE);
	gone = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(gone);
	revoke_buffer(set.dev[1], fd);
	CHECK_EQ(hot_reset(&set, 0), 0);
	CHECK_SIGBUS(gone);
	both(&set, views_alive, "after the hot reset");
}

/* The devices' locks are taken by trying, so a hot reset may find one busy. */
struct contention {
	struct set set;
	volatile int stop;
	unsigned long resets, busy, writes, faults, maps;
};

static void *keep_resetting(void *arg)
{
	struct contention *c = arg;
	unsigned int i = 0;

	while (!c->stop) {
		int ret = hot_reset(&c->set, i++ % 2);

		if (ret == 0)
			__atomic_fetch_add(&c->resets, 1, __ATOMIC_RELAXED);
		else if (ret == -EBUSY || ret == -EAGAIN)
			__atomic_fetch_add(&c->busy, 1, __ATOMIC_RELAXED);
		else
			FAIL("hot reset: %s", strerror_name(-ret));
	}
	return NULL;
}

static void *keep_toggling(void *arg)
{
	struct contention *c = arg;
	unsigned int i = 0;

	while (!c->stop) {
		const struct dev *dev = c->set.dev[i++ % 2];
		uint16_t command = config_read16(dev, PCI_COMMAND);

		config_write16(dev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
		config_write16(dev, PCI_COMMAND, command | PCI_COMMAND_MEMORY);
		__atomic_fetch_add(&c->writes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *keep_touching(void *arg)
{
	struct contention *c = arg;
	unsigned int i = 0;

	while (!c->stop) {
		const struct views *views = &c->set.views[i++ % 2];

		touch(views->view[i % views->nr].page);
		__atomic_fetch_add(&c->faults, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *keep_mapping(void *arg)
{
	struct contention *c = arg;

	while (!c->stop) {
		volatile void *p = map_bar(c->set.dev[1], 2, MIB(1), PAGE);

		touch(p);
		unmap((void *)p, PAGE);
		__atomic_fetch_add(&c->maps, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int decode_off(void *arg)
{
	memory_decode(arg, false);
	return 0;
}

/*
 * A hot reset that meets a device of the set whose memory_lock is held gives up, and
 * brings back what it had taken away until then. Nobody else resets here, so
 * nobody else repairs it: a mapping that is left suspended blocks the check. Each
 * is the busy one once, so it is the second that the reset takes, too.
 */
static void contended(unsigned int kinds)
{
	struct call call;
	struct set set;
	unsigned int i;
	int hold;

	open_set(&set, kinds);
	for (i = 0; i < 2; i++) {
		call_prepare(&call, decode_off, set.dev[i]);
		hold = hold_arm(HOLD_COMMAND_WRITE, .tid = call.tid);
		call_go(&call);
		hold_wait(hold);
		CHECK_EQ(hot_reset(&set, 0), -EBUSY);
		CHECK_EQ(hot_reset(&set, 1), -EBUSY);
		views_alive(&set.views[!i], "after hot resets that gave up");
		hold_release(hold);
		close(hold);
		CHECK_EQ(call_end(&call), 0);
		views_alive(&set.views[!i], "with decode of the other device off");
		views_dead(&set.views[i], "with decode off");
		memory_decode(set.dev[i], true);
		both(&set, views_alive, "with decode on again");
		CHECK_EQ(hot_reset(&set, 0), 0);
		both(&set, views_were_zapped, "after a hot reset that found none busy");
	}
}

static void bar_contended(void)
{
	contended(VIEW_BAR);
}

static void buffer_contended(void)
{
	contended(VIEW_ALL);
}

static void contend(unsigned int kinds)
{
	void *(*const run[])(void *) = { keep_resetting, keep_resetting, keep_toggling,
					 keep_touching, keep_mapping };
	pthread_t threads[ARRAY_SIZE(run)];
	struct contention c = { };
	unsigned int i;

	open_set(&c.set, kinds);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		CHECK(pthread_create(&threads[i], NULL, run[i], &c) == 0);
	sleep_ms(slow_kernel() ? 8000 : 2500);
	c.stop = 1;
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	note("%lu hot resets, %lu refused, %lu toggles, %lu accesses, %lu maps", c.resets, c.busy,
	     c.writes, c.faults, c.maps);
	CHECK(c.resets && c.writes && c.faults && c.maps);
	both(&c.set, views_alive, "after the storm");
	/* And nobody kept a lock. */
	CHECK_EQ(hot_reset(&c.set, 0), 0);
	both(&c.set, views_were_zapped, "after one more hot reset");
}

static void bar_under_contention(void)
{
	contend(VIEW_BAR);
}

static void buffer_under_contention(void)
{
	contend(VIEW_ALL);
}

static const struct test_case cases[] = {
	CASE(bar_mappings_survive),
	CASE(bar_with_one_decode_off),
	CASE(bar_after_a_refusal),
	CASE(bar_not_owned),
	CASE_MMAP(bar_contended),
	CASE(bar_under_contention),
	CASE_MMAP(buffers_survive),
	CASE_MMAP(buffer_with_one_decode_off),
	CASE_MMAP(one_in_low_power),
	CASE_MMAP(one_not_open),
	CASE_MMAP(buffer_after_a_refusal),
	CASE_MMAP(buffer_not_owned),
	CASE_MMAP(revoked_stays_revoked),
	CASE_MMAP(buffer_contended),
	CASE_MMAP(buffer_under_contention),
};

TEST_MAIN(cases)
