// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a buffer changes for CPUs first, and importers are notified after it, in a
 * walk that holds no lock of the device. In between no importer may map: what it mapped
 * the notification would end. Whoever notifies is held right there.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"
#include "importer.h"

struct scene {
	struct dev *dev;
	int fd, importer, hold;
	volatile char *page;
	unsigned int asked;
};

static void scene_open(struct scene *s)
{
	s->dev = dev_open("nvme");
	s->fd = export_range(s->dev, 2, 0, PAGE);
	s->page = map_buffer(s->fd, 0, PAGE);
	CHECK_ALIVE(s->page);
	s->importer = importer_open(s->dev, s->fd);
	importer_map(s->importer);
	s->asked = importer_asked(s->importer);
}

/* Returns when the call is about to notify; skip: not the first time that it does. */
static void begin(struct scene *s, struct call *call, int (*fn)(void *arg), unsigned int skip)
{
	call_prepare(call, fn, s);
	s->hold = hold_arm(HOLD_NOTIFY, .tid = call->tid, .skip = skip);
	call_go(call);
	CHECK_EQ(hold_wait(s->hold), call->tid);
}

static int decode_on(void *arg)
{
	memory_decode(((struct scene *)arg)->dev, true);
	return 0;
}

static int decode_off(void *arg)
{
	memory_decode(((struct scene *)arg)->dev, false);
	return 0;
}

static int reset_it(void *arg)
{
	return try_reset(((struct scene *)arg)->dev);
}

static int sysfs_reset(void *arg)
{
	struct scene *s = arg;
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", s->dev->address);
	return write_file(path, "1") ? 0 : -1;
}

/* Access is back, for CPUs alone. A mapping that is made afterwards stays. */
static void back_for_cpus_first(struct scene *s, struct call *call)
{
	unsigned int asked = importer_asked(s->importer);

	CHECK_ALIVE(s->page);
	CHECK_ERRNO(try_importer_map(s->importer), ENODEV);
	CHECK(!importer_is_mapped(s->importer));
	CHECK_EQ(importer_asked(s->importer), asked);
	hold_release(s->hold);
	CHECK_EQ(call_end(call), 0);
	CHECK_EQ(importer_asked(s->importer), asked + 1);
	importer_map(s->importer);
	close(s->hold);
	sleep_ms(50);
	CHECK(importer_is_mapped(s->importer));
	CHECK_EQ(importer_asked(s->importer), asked + 1);
}

static void importers_return_after_decode_on(void)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	memory_decode(s.dev, false);
	CHECK(!importer_is_mapped(s.importer));
	CHECK_EQ(importer_asked(s.importer), s.asked + 1);
	begin(&s, &call, decode_on, 0);
	back_for_cpus_first(&s, &call);
}

static void importers_return_after_a_reset(void)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	begin(&s, &call, reset_it, 1);
	back_for_cpus_first(&s, &call);
}

static void importers_return_after_a_sysfs_reset(void)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	begin(&s, &call, sysfs_reset, 1);
	back_for_cpus_first(&s, &call);
}

/* One that attaches in between knows of no loss; it is notified of none, and may map. */
static void attached_before_the_notification(void)
{
	struct call call;
	struct scene s;
	int second;

	scene_open(&s);
	memory_decode(s.dev, false);
	begin(&s, &call, decode_on, 0);
	second = importer_open(s.dev, s.fd);
	CHECK_ERRNO(try_importer_map(second), ENODEV);
	back_for_cpus_first(&s, &call);
	importer_map(second);
	CHECK(importer_is_mapped(second) && importer_is_mapped(s.importer));
}

/* The mapping that was there before a loss stands until the notification, alone. */
static void nobody_maps_after_a_loss(void)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	begin(&s, &call, decode_off, 0);
	CHECK_SIGBUS(s.page);
	CHECK(importer_is_mapped(s.importer));
	CHECK_EQ(importer_asked(s.importer), s.asked);
	importer_unmap(s.importer);
	CHECK_ERRNO(try_importer_map(s.importer), ENODEV);
	hold_release(s.hold);
	CHECK_EQ(call_end(&call), 0);
	CHECK_EQ(importer_asked(s.importer), s.asked + 1);
	CHECK_ERRNO(try_importer_map(s.importer), ENODEV);
}

/*
 * A return whose notification is late, and a revoke that comes before it: importers stay
 * notified of the loss alone.
 */
static void revoke_overtakes_a_return(void)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	begin(&s, &call, reset_it, 1);
	CHECK_EQ(importer_asked(s.importer), s.asked + 1);
	revoke_buffer(s.dev, s.fd);
	CHECK_SIGBUS(s.page);
	hold_release(s.hold);
	CHECK_EQ(call_end(&call), 0);
	CHECK_EQ(importer_asked(s.importer), s.asked + 1);
	CHECK_ERRNO(try_importer_map(s.importer), ENODEV);
	CHECK_SIGBUS(s.page);
}

static const struct test_case cases[] = {
	CASE_MMAP(importers_return_after_decode_on),
	CASE_MMAP(importers_return_after_a_reset),
	CASE_MMAP(importers_return_after_a_sysfs_reset),
	CASE_MMAP(attached_before_the_notification),
	CASE_MMAP(nobody_maps_after_a_loss),
	CASE_MMAP(revoke_overtakes_a_return),
};

TEST_MAIN(cases)
