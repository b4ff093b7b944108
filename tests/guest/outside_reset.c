// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets that VFIO did not start, by sysfs: for mappings, buffers and importers they
 * are like any other reset.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "importer.h"
#include "views.h"

static bool sysfs_reset(const char *address, const char *attribute)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, attribute);
	return write_file(path, "1");
}

static void reset_from_outside(const struct dev *dev)
{
	if (!sysfs_reset(dev->address, "reset"))
		FAIL("reset of %s: %s", dev->address, strerror_name(errno));
}

static void bar_mappings_survive(void)
{
	views_survive(dev_open("nvme"), VIEW_BAR, reset_from_outside);
}

static void buffers_survive(void)
{
	views_survive(dev_open("nvme"), VIEW_ALL, reset_from_outside);
}

static void decode_stays_off(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, VIEW_ALL);
	memory_decode(dev, false);
	reset_from_outside(dev);
	views_dead(&views, "after a reset with decode off");
	CHECK(!(config_read16(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY));
	memory_decode(dev, true);
	views_alive(&views, "with decode on again");
}

/* A reset in a thread, and one who is found waiting for it. */
struct running {
	pthread_t thread, witness;
	const char *address;
	const volatile void *page;
	volatile pid_t tid;
	volatile int ended, stop;
	int sig;
	bool done;
	uint32_t wrong;
};

static void *run_reset(void *arg)
{
	struct running *r = arg;

	r->done = sysfs_reset(r->address, "reset");
	__atomic_store_n(&r->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *run_witness(void *arg)
{
	struct running *r = arg;
	uint32_t value, want;

	r->sig |= peek32(r->page, &want);
	do {
		r->sig |= peek32(r->page, &value);
		r->wrong += value != want;
		__atomic_store_n(&r->tid, gettid(), __ATOMIC_SEQ_CST);
	} while (!r->stop);
	return NULL;
}

/* Tells whether the witness was found waiting. */
static bool try_begin_reset(struct running *r, const struct dev *dev, const volatile void *page)
{
	*r = (struct running){ .address = dev->address, .page = page };
	CHECK(pthread_create(&r->witness, NULL, run_witness, r) == 0);
	wait_for(&r->tid, "the witness");
	CHECK(pthread_create(&r->thread, NULL, run_reset, r) == 0);
	while (!__atomic_load_n(&r->ended, __ATOMIC_SEQ_CST)) {
		if (is_asleep_in(r->tid, IN_FAULT))
			return true;
		usleep(200);
	}
	return false;
}

static void end_reset(struct running *r)
{
	wait_for(&r->ended, "the reset");
	r->stop = 1;
	pthread_join(r->thread, NULL);
	pthread_join(r->witness, NULL);
	CHECK(r->done);
	CHECK_EQ(r->sig, 0);
	CHECK_EQ(r->wrong, 0);
}

/*
 * Returns in the middle of a reset, with the witness waiting. FLR takes 100 ms, plenty to be
 * seen; a slow machine may be late, but not each time.
 */
static void begin_reset(struct running *r, const struct dev *dev, const volatile void *page)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (try_begin_reset(r, dev, page))
			return;
		end_reset(r);
	}
	FAIL("in %u resets no access waited", i);
}

struct command_writer {
	pthread_t thread;
	struct dev *dev;
	volatile int *stop;
	unsigned long writes;
};

static void *write_commands(void *arg)
{
	struct command_writer *w = arg;
	uint16_t on = config_read16(w->dev, PCI_COMMAND) | PCI_COMMAND_MEMORY;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		config_write16(w->dev, PCI_COMMAND, on & ~PCI_COMMAND_MEMORY);
		config_write16(w->dev, PCI_COMMAND, on);
		w->writes++;
	}
	return NULL;
}

/*
 * A reset blocks configuration space before it tells of itself; a write of the
 * command register holds memory_lock while it waits for that. Neither waits for
 * the other.
 */
static void beside_config_writes(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *page = map_bar(dev, 2, 0, PAGE);
	struct command_writer w[4];
	volatile int stop = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct command_writer){ .dev = dev, .stop = &stop };
		CHECK(pthread_create(&w[i].thread, NULL, write_commands, &w[i]) == 0);
	}
	for (i = 0; i < 30; i++) {
		usleep(1000 + i * 389 % 9000);
		reset_from_outside(dev);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		pthread_join(w[i].thread, NULL);
		CHECK(w[i].writes > 0);
	}
	CHECK_ALIVE(page);
}

/* Who touches a page meanwhile waits, and sees neither SIGBUS nor all ones. */
static void access_waits(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *page[2];
	struct running r;
	unsigned int i;

	page[0] = map_bar(dev, 2, 0, PAGE);
	page[1] = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	write32(page[0], 0x5eaf00d);
	for (i = 0; i < 2; i++) {
		note("mapping %u", i);
		begin_reset(&r, dev, page[i]);
		end_reset(&r);
	}
}

/* The buffer is as good as any when the reset is over. */
static void exported_in_the_middle(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE);
	struct running r;
	void *page;

	begin_reset(&r, dev, bar);
	page = map_buffer(export_range(dev, 2, PAGE, PAGE), 0, PAGE);
	CHECK_ALIVE(page);
	end_reset(&r);
	CHECK_ALIVE(page);
	reset_from_outside(dev);
	CHECK_ALIVE(page);
}

static void revoked_in_the_middle(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE), *page;
	struct running r;
	int fd = export_range(dev, 2, PAGE, PAGE);

	page = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(page);
	begin_reset(&r, dev, bar);
	revoke_buffer(dev, fd);
	CHECK_SIGBUS(page);
	end_reset(&r);
	CHECK_SIGBUS(page);
	CHECK_ERRNO(try_revoke(dev, fd), EBADFD);
}

/* Opened, or closed, at any moment of a reset. */
static void opened_in_the_middle(void)
{
	struct running r = {};
	char address[32];
	unsigned int i;
	struct dev *dev;
	int group;
	void *bar;

	CHECK(dev_bind("nvme", address, &group));
	for (i = 0; i < 8; i++) {
		r = (struct running){ .address = address };
		CHECK(pthread_create(&r.thread, NULL, run_reset, &r) == 0);
		sleep_ms(i * 15);
		/* VFIO resets the device, too, and only tries to. */
		while (!(dev = try_dev_open("nvme")))
			CHECK_EQ(errno, EAGAIN);
		bar = map_bar(dev, 2, 0, PAGE);
		CHECK_ALIVE(bar);
		wait_for(&r.ended, "the reset");
		pthread_join(r.thread, NULL);
		CHECK(r.done);
		CHECK_ALIVE(bar);
		/* Closed in the middle of the next. */
		r.ended = 0;
		CHECK(pthread_create(&r.thread, NULL, run_reset, &r) == 0);
		sleep_ms(i * 15);
		unmap(bar, PAGE);
		dev_close(dev);
		wait_for(&r.ended, "the reset");
		pthread_join(r.thread, NULL);
		CHECK(r.done);
	}
}

static void importer_lets_go(void)
{
	struct dev *dev = dev_open("nvme");
	int importer = importer_open(dev, export_range(dev, 2, 0, PAGE));

	importer_map(importer);
	reset_from_outside(dev);
	CHECK(!importer_is_mapped(importer));
	importer_map(importer);
}

struct crowd {
	struct dev *dev;
	const char *address, *attribute;
	volatile int *stop;
	unsigned int done, refused;
};

static void *resets_from_outside(void *arg)
{
	struct crowd *c = arg;

	while (!*c->stop) {
		if (sysfs_reset(c->address, c->attribute))
			c->done++;
		else
			c->refused++;
	}
	return NULL;
}

static void *resets_by_vfio(void *arg)
{
	struct crowd *c = arg;

	while (!*c->stop) {
		if (try_reset(c->dev) == 0)
			c->done++;
		else
			c->refused++;
	}
	return NULL;
}

static void *hot_resets(void *arg)
{
	struct crowd *c = arg;

	while (!*c->stop) {
		if (barbuf_device_hot_reset(c->dev->lib) == 0)
			c->done++;
		else
			c->refused++;
	}
	return NULL;
}

static void crowd_runs(struct crowd *c, void *(*const *run)(void *), unsigned int nr,
		       volatile int *stop)
{
	pthread_t thread[4];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		c[i].stop = stop;
		CHECK(pthread_create(&thread[i], NULL, run[i], &c[i]) == 0);
	}
	sleep_ms(3000);
	*stop = 1;
	for (i = 0; i < nr; i++) {
		pthread_join(thread[i], NULL);
		note("%u: %u resets, %u refused", i, c[i].done, c[i].refused);
	}
}

/* All kinds at once: none hangs, and the last leaves the device as it was. */
static void beside_reset_ioctls(void)
{
	static void *(*const run[])(void *) = { resets_from_outside, resets_by_vfio,
						resets_from_outside, resets_by_vfio };
	struct dev *dev = dev_open("nvme");
	struct crowd c[4];
	volatile int stop = 0;
	struct views views;
	unsigned int i;

	views_open(&views, dev, VIEW_ALL);
	for (i = 0; i < 4; i++)
		c[i] = (struct crowd){ .dev = dev, .address = dev->address, .attribute = "reset" };
	crowd_runs(c, run, 4, &stop);
	CHECK(c[0].done && c[1].done + c[3].done);
	views_alive(&views, "after all resets");
}

/* The port that a device is behind. */
static const char *device_port(const char *address)
{
	static char port[16];
	char path[96], link[256], *end;
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	len = OK(readlink(path, link, sizeof(link) - 1));
	link[len] = '\0';
	end = strrchr(link, '/');
	CHECK(end);
	*end = '\0';
	end = strrchr(link, '/');
	CHECK(end);
	snprintf(port, sizeof(port), "%.15s", end + 1);
	return port;
}

/* The whole bus behind a port is reset by sysfs, and as a set by VFIO. */
static void beside_hot_resets(void)
{
	static void *(*const run[])(void *) = { resets_from_outside, hot_resets, hot_resets };
	struct barbuf_container *container;
	struct views views[2];
	struct dev *dev[2];
	char address[2][32], link[96], port[16];
	volatile int stop = 0;
	struct crowd c[3];
	int group;

	if (!dev_bind("pair0", address[0], &group) || !dev_bind("pair1", address[1], &group))
		SKIP("this lab has no pair");
	CHECK(barbuf_container_new(&container, BARBUF_IOMMU_TYPE1) == 0);
	dev[0] = dev_open_in(container, "pair0");
	dev[1] = dev_open_in(container, "pair1");
	views_open(&views[0], dev[0], VIEW_ALL);
	views_open(&views[1], dev[1], VIEW_ALL);
	snprintf(port, sizeof(port), "%s", device_port(address[0]));
	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/reset_subordinate", port);
	if (access(link, W_OK))
		SKIP("this kernel has no reset_subordinate");
	CHECK(sysfs_reset(port, "reset_subordinate"));
	views_were_zapped(&views[0], "after a reset of the bus");
	views_were_zapped(&views[1], "after a reset of the bus");
	c[0] = (struct crowd){ .address = port, .attribute = "reset_subordinate" };
	c[1] = (struct crowd){ .dev = dev[0] };
	c[2] = (struct crowd){ .dev = dev[1] };
	crowd_runs(c, run, 3, &stop);
	CHECK(c[0].done && c[1].done + c[2].done);
	views_alive(&views[0], "after all resets");
	views_alive(&views[1], "after all resets");
}

static const struct test_case cases[] = {
	CASE_MMAP(beside_config_writes, .seconds = 90),
	CASE(bar_mappings_survive),	   CASE_MMAP(buffers_survive),
	CASE_MMAP(decode_stays_off),	   CASE_MMAP(access_waits),
	CASE_MMAP(exported_in_the_middle), CASE_MMAP(revoked_in_the_middle),
	CASE_MMAP(opened_in_the_middle),   CASE_MMAP(importer_lets_go),
	CASE_MMAP(beside_reset_ioctls),	   CASE_MMAP(beside_hot_resets),
};

TEST_MAIN(cases)
