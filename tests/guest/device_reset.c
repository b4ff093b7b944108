// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_RESET: mappings of every BAR, not only of the first, are taken
 * away for the reset and are back after it without a new mmap.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "views.h"

static void reset(const struct dev *dev)
{
	OK(try_reset(dev));
}

static void bar_mappings_survive(void)
{
	views_survive(dev_open("nvme"), VIEW_BAR, reset);
}

static void buffers_survive(void)
{
	views_survive(dev_open("nvme"), VIEW_ALL, reset);
}

/* The reset leaves the decode bit as the user has it. */
static void stays_off(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, kinds);
	memory_decode(dev, false);
	OK(try_reset(dev));
	views_dead(&views, "after a reset with decode off");
	memory_decode(dev, true);
	views_alive(&views, "with decode on again");
}

static void bar_stays_off_when_decode_is_off(void)
{
	stays_off(VIEW_BAR);
}

static void buffer_stays_off_when_decode_is_off(void)
{
	stays_off(VIEW_ALL);
}

/* A device without a reset says so, and nothing is lost. */
static void refused(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_device_info info;
	struct views views;

	CHECK(barbuf_device_get_info(dev->lib, &info) == 0);
	if (info.can_reset)
		SKIP("the ivshmem of this lab can be reset");
	views_open(&views, dev, VIEW_ALL);
	views_alive(&views, "at first");
	CHECK_ERRNO(try_reset(dev), EINVAL);
	views_alive(&views, "after a reset that was refused");
}

struct toucher {
	pthread_t thread;
	const volatile void *page;
	volatile int *stop;
	uint32_t want;
	unsigned long reads, wrong, sigbus;
};

static void *touch_on(void *arg)
{
	struct toucher *t = arg;
	uint32_t value;

	while (!*t->stop) {
		if (peek32(t->page, &value))
			t->sigbus++;
		else if (value != t->want)
			t->wrong++;
		t->reads++;
	}
	return NULL;
}

/*
 * A reset is invisible but for the time it takes: who touches a page then waits,
 * and sees the device, neither SIGBUS nor the all-ones of a BAR that is off.
 */
static void touching(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct toucher t[MAX_VIEWS];
	volatile int stop = 0;
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	views_alive(&views, "at first");
	for (i = 0; i < views.nr; i++) {
		t[i] = (struct toucher){ .page = views.view[i].page, .stop = &stop };
		if (views.view[i].bar == 2)
			write32((volatile void *)views.view[i].page, 0x5eaf00d);
		t[i].want = read32(t[i].page);
		CHECK(t[i].want != UINT32_MAX);
	}
	for (i = 0; i < views.nr; i++)
		CHECK(pthread_create(&t[i].thread, NULL, touch_on, &t[i]) == 0);
	for (i = 0; i < 4; i++) {
		OK(try_reset(dev));
		sleep_ms(20);
	}
	stop = 1;
	for (i = 0; i < views.nr; i++) {
		pthread_join(t[i].thread, NULL);
		CHECK_MSG(t[i].reads && !t[i].wrong && !t[i].sigbus,
			  "view %u: %lu reads, %lu wrong, %lu SIGBUS", i, t[i].reads, t[i].wrong,
			  t[i].sigbus);
	}
}

static void bar_touched_during_reset(void)
{
	touching(VIEW_BAR);
}

static void buffer_touched_during_reset(void)
{
	touching(VIEW_ALL);
}

/*
 * What must not wait for a reset is done while one runs: it begins when a thread
 * that does nothing but touch a page is found asleep, as it waits for the reset,
 * which by then has all of its locks. It ends in the first half of the time that
 * the reset goes on from there. What waits for the reset ends with it. A slow
 * machine may be late too, but not each time.
 */
#define ATTEMPTS 20

struct attempt {
	struct dev *dev;
	pthread_t thread, witness;
	const volatile void *page;
	volatile pid_t witness_tid;
	volatile int ended, stop;
	uint64_t taken_ns, end_ns;
	int result, sig;
};

static void *run_witness(void *arg)
{
	struct attempt *a = arg;

	do {
		a->sig |= touch(a->page);
		__atomic_store_n(&a->witness_tid, gettid(), __ATOMIC_SEQ_CST);
	} while (!a->stop);
	return NULL;
}

static void *reset_once(void *arg)
{
	struct attempt *a = arg;

	a->result = try_reset(a->dev);
	a->end_ns = now_ns();
	__atomic_store_n(&a->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool has_ended(const struct attempt *a)
{
	return __atomic_load_n(&a->ended, __ATOMIC_SEQ_CST);
}

/* Begins a reset, and returns when it has taken the page of a BAR away. */
static void begin_reset(struct attempt *a, struct dev *dev, const volatile void *page)
{
	*a = (struct attempt){ .dev = dev, .page = page };
	CHECK(pthread_create(&a->witness, NULL, run_witness, a) == 0);
	while (!a->witness_tid)
		usleep(200);
	CHECK(pthread_create(&a->thread, NULL, reset_once, a) == 0);
	while (!has_ended(a) && !is_asleep_in(a->witness_tid, IN_FAULT))
		usleep(200);
	a->taken_ns = now_ns();
}

/* Whether what was done since begin_reset() did not wait for the end. */
static bool end_reset(struct attempt *a)
{
	uint64_t done = now_ns();

	a->stop = 1;
	pthread_join(a->thread, NULL);
	pthread_join(a->witness, NULL);
	CHECK(a->result == 0 && a->sig == 0);
	return done < a->end_ns && done - a->taken_ns < a->end_ns - done;
}

/*
 * Nobody has to wait for the end of a reset to map something. In stock Linux one
 * has to, for the lock of the address space that the witness waits with.
 */
static void mmap_does_not_wait(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	volatile void *page = map_bar(dev, 2, 0, PAGE);
	bool bar = false, buffer = !(kinds & VIEW_BUFFER);
	struct attempt a;
	unsigned int i;
	int fd = -1;

	if (!buffer)
		fd = export_range(dev, 2, 0, MIB(1));
	for (i = 0; i < ATTEMPTS && !(bar && buffer); i++) {
		begin_reset(&a, dev, page);
		if (bar)
			unmap(map_buffer(fd, PAGE, PAGE), PAGE);
		else
			unmap(map_bar(dev, 2, MIB(1), PAGE), PAGE);
		if (end_reset(&a)) {
			buffer |= bar;
			bar = true;
		}
	}
	CHECK_MSG(bar, "in %u resets none let an mmap of a BAR pass", i);
	CHECK_MSG(buffer, "in %u resets none let an mmap of a buffer pass", i);
}

static void bar_mmap_does_not_wait(void)
{
	mmap_does_not_wait(VIEW_BAR);
}

static void buffer_mmap_does_not_wait(void)
{
	mmap_does_not_wait(VIEW_ALL);
}

static void revoke_does_not_wait(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE), *page;
	bool in_time = false;
	struct attempt a;
	unsigned int i;
	int fd;

	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		fd = export_range(dev, 2, 0, PAGE);
		page = map_buffer(fd, 0, PAGE);
		CHECK_ALIVE(page);
		begin_reset(&a, dev, bar);
		revoke_buffer(dev, fd);
		CHECK_SIGBUS(page);
		in_time = end_reset(&a);
		CHECK_SIGBUS(page);
		unmap((void *)page, PAGE);
		close(fd);
	}
	CHECK_MSG(in_time, "in %u resets none let a revoke pass", i);
}

/* The last fd and the last mapping of a buffer go. */
static void release_does_not_wait(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE), *page;
	bool in_time = false;
	struct attempt a;
	unsigned int i;
	int fd;

	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		fd = export_range(dev, 2, 0, PAGE);
		page = map_buffer(fd, 0, PAGE);
		CHECK_ALIVE(page);
		begin_reset(&a, dev, bar);
		close(fd);
		unmap((void *)page, PAGE);
		in_time = end_reset(&a);
	}
	CHECK_MSG(in_time, "in %u resets none let a buffer go", i);
}

struct one_touch {
	pthread_t thread;
	const volatile void *page;
	volatile pid_t tid;
	volatile int done;
	int sig;
};

static void *touch_once(void *arg)
{
	struct one_touch *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_SEQ_CST);
	t->sig = touch(t->page);
	__atomic_store_n(&t->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Returns when the thread sleeps in its fault, or will not any more. */
static void begin_touch(struct one_touch *t, const volatile void *page, const struct attempt *a)
{
	*t = (struct one_touch){ .page = page };
	CHECK(pthread_create(&t->thread, NULL, touch_once, t) == 0);
	while (!has_ended(a) && !(t->tid && strchr("SD", task_state(t->tid))))
		usleep(200);
}

/* A fault that waits for the end holds neither the address space nor its VMA. */
static void waiting_fault_holds_nothing(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE);
	volatile char *protected, *cut;
	bool in_time = false;
	struct one_touch t[2];
	struct attempt a;
	unsigned int i;
	int fd;

	fd = export_range(dev, 2, 0, 2 * PAGE);
	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		protected = map_buffer(fd, 0, 2 * PAGE);
		cut = map_buffer(fd, 0, 2 * PAGE);
		CHECK_ALIVE(cut);
		begin_reset(&a, dev, bar);
		begin_touch(&t[0], protected, &a);
		begin_touch(&t[1], cut, &a);
		CHECK(mprotect((void *)protected, 2 * PAGE, PROT_READ) == 0);
		unmap((void *)(cut + PAGE), PAGE);
		in_time = end_reset(&a);
		pthread_join(t[0].thread, NULL);
		pthread_join(t[1].thread, NULL);
		CHECK(!t[0].sig && !t[1].sig);
		unmap((void *)protected, 2 * PAGE);
		unmap((void *)cut, PAGE);
	}
	CHECK_MSG(in_time, "in %u resets none let mprotect and munmap pass a waiting fault", i);
}

/* One whose fault waits for the end of a reset is revoked before that end. */
static void revoked_while_a_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE), *page;
	bool in_time = false;
	struct one_touch t;
	struct attempt a;
	unsigned int i;
	int fd;

	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		fd = export_range(dev, 2, 0, PAGE);
		page = map_buffer(fd, 0, PAGE);
		begin_reset(&a, dev, bar);
		begin_touch(&t, page, &a);
		revoke_buffer(dev, fd);
		pthread_join(t.thread, NULL);
		/* When it is too late, the fault may have passed before the revoke. */
		in_time = end_reset(&a) && t.sig == SIGBUS;
		unmap((void *)page, PAGE);
		close(fd);
	}
	CHECK_MSG(in_time, "in %u resets no waiting fault was told of its revoke", i);
}

static int touch_for_ever(void *arg)
{
	for (;;)
		touch(arg);
	return 0;
}

/* A waiting fault does not keep its process from being killed. */
static void killed_while_a_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE);
	bool in_time = false;
	struct attempt a;
	unsigned int i;
	int status;
	void *page;
	pid_t pid;

	page = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	for (i = 0; i < ATTEMPTS && !in_time; i++) {
		pid = spawn(touch_for_ever, page);
		begin_reset(&a, dev, bar);
		while (!has_ended(&a) && !strchr("SD", task_state(pid)))
			usleep(200);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		in_time = end_reset(&a);
	}
	CHECK_MSG(in_time, "in %u resets no process died in a waiting fault", i);
}

/* What a client gets wrong about BAR 2 shows only if BAR 2 is not like BAR 0. */
static void contents_of_bar_2(void)
{
	struct dev *dev = dev_open("nvme");
	volatile char *bar, *buffer;
	uint64_t i, size = MIB(2);
	int fd;

	bar = map_bar(dev, 2, MIB(4), size);
	fd = export_range(dev, 2, MIB(4), size);
	buffer = map_buffer(fd, 0, size);
	for (i = 0; i < size; i += PAGE)
		write32(bar + i, 0xba000000 + i);
	OK(try_reset(dev));
	for (i = 0; i < size; i += PAGE) {
		CHECK_EQ(read32(bar + i), 0xba000000 + i);
		CHECK_EQ(read32(buffer + i), 0xba000000 + i);
	}
}

static const struct test_case cases[] = {
	CASE(bar_mappings_survive),
	CASE(bar_stays_off_when_decode_is_off),
	CASE(bar_touched_during_reset),
	CASE_MMAP(bar_mmap_does_not_wait, .seconds = 60),
	CASE_MMAP(buffers_survive),
	CASE_MMAP(buffer_stays_off_when_decode_is_off),
	CASE_MMAP(refused),
	CASE_MMAP(buffer_touched_during_reset),
	CASE_MMAP(buffer_mmap_does_not_wait, .seconds = 60),
	CASE_MMAP(revoke_does_not_wait, .seconds = 60),
	CASE_MMAP(release_does_not_wait, .seconds = 60),
	CASE_MMAP(waiting_fault_holds_nothing, .seconds = 60),
	CASE_MMAP(revoked_while_a_fault_waits, .seconds = 60),
	CASE_MMAP(killed_while_a_fault_waits, .seconds = 60),
	CASE_MMAP(contents_of_bar_2),
};

TEST_MAIN(cases)
