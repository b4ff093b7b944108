// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once for some seconds: threads and forked children touch, map,
 * export and revoke while the device is reset, switched off, put to sleep and
 * woken. Each access is judged: it may fail only if its buffer was revoked or
 * its device suspended at some time during it, and what it reads must be the
 * page that it should be.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define SLOTS	8
#define PAGES	24		/* of each buffer */
#define BAR	2
#define BAR_PAGES 1024
#define MAX_RANGES 6

/* A buffer and a mapping of it. The writer of its lock replaces them. */
struct slot {
	pthread_rwlock_t lock;
	int fd;
	volatile char *p;
	uint32_t page[PAGES];	/* of the BAR, behind each page of the buffer */
	volatile int revoking, revoked;
};

/* Shared with the children. */
struct storm {
	struct dev *dev;
	volatile char *bar;	/* the owner's own mapping */
	struct slot slots[SLOTS];
	/* Odd while the device is suspended or about to be. */
	volatile unsigned long suspensions;
	volatile int stop;
	unsigned long accesses, buses, revokes, transitions, resets, forks;
};

static struct storm *storm;

static uint32_t stamp(uint32_t page)
{
	return 0x57080000 + page;
}

static void count(unsigned long *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static unsigned long suspensions(void)
{
	return __atomic_load_n(&storm->suspensions, __ATOMIC_SEQ_CST);
}

/* One access, and the judgement. */
static void judge(const volatile char *p, uint32_t want, const struct slot *slot, const char *what)
{
	bool dead_before = slot && __atomic_load_n(&slot->revoked, __ATOMIC_SEQ_CST);
	unsigned long before = suspensions();
	uint32_t value;
	int sig = peek32(p, &value);
	unsigned long after = suspensions();
	bool dying_after = slot && __atomic_load_n(&slot->revoking, __ATOMIC_SEQ_CST);

	count(sig ? &storm->buses : &storm->accesses);
	if (!sig && dead_before)
		FAIL("%s: read through a revoked buffer", what);
	if (!sig && value != want)
		FAIL("%s: read 0x%x instead of 0x%x", what, value, want);
	if (sig && !dying_after && before == after && before % 2 == 0)
		FAIL("%s: SIGBUS, but neither revoked nor suspended", what);
}

static void judge_slot(struct slot *slot, unsigned int *seed, const char *what)
{
	unsigned int i = rand_r(seed) % PAGES;

	judge(slot->p + i * PAGE, stamp(slot->page[i]), slot, what);
}

static void *toucher(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!storm->stop) {
		struct slot *slot = &storm->slots[rand_r(&seed) % SLOTS];
		unsigned int page, n;
		volatile char *p;

		pthread_rwlock_rdlock(&slot->lock);
		for (n = 0; n < 8; n++)
			judge_slot(slot, &seed, "a toucher");
		/* A mapping of its own, of part of it. */
		page = rand_r(&seed) % PAGES;
		p = try_map(slot->fd, page * PAGE, PAGE, PROT_READ, MAP_SHARED);
		if (p) {
			judge(p, stamp(slot->page[page]), slot, "a new mapping");
			munmap((void *)p, PAGE);
		} else if (!slot->revoking) {
			FAIL("mmap of a live buffer: %s", strerror_name(errno));
		}
		pthread_rwlock_unlock(&slot->lock);

		page = rand_r(&seed) % BAR_PAGES;
		judge(storm->bar + page * PAGE, stamp(page), NULL, "the BAR mapping");
	}
	return NULL;
}

/* Ranges at random; they may repeat and overlap. */
static void fill_slot(struct slot *slot, unsigned int *seed)
{
	range_t ranges[MAX_RANGES];
	unsigned int nr = 0, page = 0, i;

	while (page < PAGES) {
		unsigned int length = 1 + rand_r(seed) % (PAGES / 2), first;

		if (length > PAGES - page || nr == MAX_RANGES - 1)
			length = PAGES - page;
		first = rand_r(seed) % (BAR_PAGES - length);
		ranges[nr++] = (range_t){ first * PAGE, length * PAGE };
		for (i = 0; i < length; i++)
			slot->page[page++] = first + i;
	}
	slot->fd = export_ranges(storm->dev, BAR, ranges, nr);
	slot->p = map_buffer(slot->fd, 0, PAGES * PAGE);
	slot->revoking = slot->revoked = 0;
}

static void *revoker(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i;

	while (!storm->stop) {
		struct slot *slot = &storm->slots[rand_r(&seed) % SLOTS];

		if (pthread_rwlock_tryrdlock(&slot->lock)) {
			sched_yield();
			continue;
		}
		/* The other revoker may be at it too: then one is told EBADFD. */
		__atomic_store_n(&slot->revoking, 1, __ATOMIC_SEQ_CST);
		if (try_revoke(storm->dev, slot->fd) == 0) {
			__atomic_store_n(&slot->revoked, 1, __ATOMIC_SEQ_CST);
			count(&storm->revokes);
		} else if (errno != EBADFD) {
			FAIL("revoke: %s", strerror_name(errno));
		}
		pthread_rwlock_unlock(&slot->lock);
		sleep_ms(rand_r(&seed) % 3);

		pthread_rwlock_wrlock(&slot->lock);
		if (slot->revoked) {
			for (i = 0; i < PAGES; i++)
				CHECK_SIGBUS(slot->p + i * PAGE);
			unmap((void *)slot->p, PAGES * PAGE);
			close(slot->fd);
			fill_slot(slot, &seed);
		}
		pthread_rwlock_unlock(&slot->lock);
	}
	return NULL;
}

static void suspend_begin(void)
{
	__atomic_fetch_add(&storm->suspensions, 1, __ATOMIC_SEQ_CST);
}

static void suspend_end(void)
{
	__atomic_fetch_add(&storm->suspensions, 1, __ATOMIC_SEQ_CST);
}

static void to_d3_and_back(const struct dev *dev, unsigned int ms)
{
	unsigned int pm = config_capability(dev, PCI_CAP_ID_PM);
	uint16_t pmcsr;

	if (!pm)
		return;
	pm += PCI_PM_CTRL;
	pmcsr = config_read16(dev, pm) & ~PCI_PM_CTRL_STATE_MASK;
	suspend_begin();
	config_write16(dev, pm, pmcsr | 3);
	sleep_ms(ms);
	config_write16(dev, pm, pmcsr);
	suspend_end();
}

static void to_sleep_and_back(const struct dev *dev, unsigned int ms, int wakeup)
{
	struct barbuf_device_info info;

	suspend_begin();
	OK(try_low_power_enter(dev, wakeup));
	sleep_ms(ms);
	/* With an eventfd a call may do; whether it slept so deep is a race. */
	if (wakeup >= 0)
		CHECK(barbuf_device_get_info(dev->lib, &info) == 0);
	OK(try_low_power_exit(dev));
	suspend_end();
}

static void *transitions(void *arg)
{
	int wakeup = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	const struct dev *dev = storm->dev;
	unsigned int seed = (uintptr_t)arg;

	while (!storm->stop) {
		unsigned int ms = rand_r(&seed) % 4;

		switch (rand_r(&seed) % 8) {
		case 0:
			/* No suspension: who touches meanwhile waits. */
			if (try_reset(dev) == 0)
				count(&storm->resets);
			break;
		case 1:
			to_d3_and_back(dev, ms);
			break;
		case 2:
			to_sleep_and_back(dev, ms, -1);
			break;
		case 3:
			to_sleep_and_back(dev, ms, wakeup);
			break;
		case 4:
			/* Not even noticed. */
			config_write16(dev, PCI_COMMAND, config_read16(dev, PCI_COMMAND));
			break;
		default:
			suspend_begin();
			memory_decode(dev, false);
			sleep_ms(ms);
			memory_decode(dev, true);
			suspend_end();
			break;
		}
		count(&storm->transitions);
		sleep_ms(rand_r(&seed) % 20);
	}
	return NULL;
}

/* Children inherit what is mapped, look at it for a moment and go. */
static void *forker(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i;
	int status;
	pid_t pid;

	while (!storm->stop) {
		for (i = 0; i < SLOTS; i++)
			pthread_rwlock_rdlock(&storm->slots[i].lock);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			for (i = 0; i < 100; i++)
				judge_slot(&storm->slots[i % SLOTS], &seed, "a child");
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK_MSG(status == 0, "a child ended with 0x%x", status);
		for (i = 0; i < SLOTS; i++)
			pthread_rwlock_unlock(&storm->slots[i].lock);
		count(&storm->forks);
		sleep_ms(rand_r(&seed) % 30);
	}
	return NULL;
}

static void storm_on(const char *model)
{
	static void *(*const run[])(void *) = {
		toucher, toucher, toucher, revoker, revoker, transitions, forker,
	};
	pthread_t threads[ARRAY_SIZE(run)];
	unsigned int seed = 1, i;
	struct dev *dev;

	storm = try_map(-1, 0, sizeof(*storm), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS);
	CHECK(storm);
	dev = storm->dev = dev_open(model);
	storm->bar = map_bar(dev, BAR, 0, BAR_PAGES * PAGE);
	for (i = 0; i < BAR_PAGES; i++)
		write32(storm->bar + i * PAGE, stamp(i));
	for (i = 0; i < SLOTS; i++) {
		pthread_rwlockattr_t attr;

		/* Or the touchers would never let a revoker in. */
		pthread_rwlockattr_init(&attr);
		pthread_rwlockattr_setkind_np(&attr,
					      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
		pthread_rwlock_init(&storm->slots[i].lock, &attr);
		fill_slot(&storm->slots[i], &seed);
	}
	for (i = 0; i < ARRAY_SIZE(run); i++)
		CHECK(pthread_create(&threads[i], NULL, run[i], (void *)(uintptr_t)(i + 1)) == 0);
	sleep_ms(slow_kernel() ? 12000 : 5000);
	storm->stop = 1;
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	note("%lu accesses, %lu SIGBUS, %lu revokes, %lu transitions (%lu resets), %lu forks",
	     storm->accesses, storm->buses, storm->revokes, storm->transitions, storm->resets,
	     storm->forks);

	/* When the storm is over everything is as it was made last. */
	for (i = 0; i < SLOTS; i++) {
		struct slot *slot = &storm->slots[i];

		for (seed = 0; seed < PAGES; seed++) {
			if (slot->revoked)
				CHECK_SIGBUS(slot->p + seed * PAGE);
			else
				CHECK_EQ(read32(slot->p + seed * PAGE), stamp(slot->page[seed]));
		}
	}
	CHECK(storm->accesses && storm->buses && storm->revokes && storm->forks);
	CHECK(storm->transitions > 5);
	unmap((void *)storm->bar, BAR_PAGES * PAGE);
	dev_close(dev);
	CHECK_SIGBUS(storm->slots[0].p);
	CHECK_MSG(try_dev_open(model), "the device is still held: %s", strerror_name(errno));
}

static void nvme(void)
{
	storm_on("nvme");
}

static void ivshmem(void)
{
	storm_on("ivshmem");
}

static const struct test_case cases[] = {
	CASE_MMAP(nvme, .seconds = 40),
	CASE_MMAP(ivshmem, .seconds = 40),
};

TEST_MAIN(cases)
