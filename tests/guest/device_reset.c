// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_RESET: mappings of every BAR, not only of the first, are taken
 * away for the reset and are back after it without a new mmap.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "views.h"

static void survives(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	for (i = 0; i < 2; i++) {
		views_alive(&views, "before the reset");
		OK(try_reset(dev));
		views_were_zapped(&views, "after the reset");
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

struct resetter {
	const struct dev *dev;
	uint64_t began, ended;
	volatile int started;
};

static void *reset_once(void *arg)
{
	struct resetter *r = arg;

	r->began = now_ns();
	__atomic_store_n(&r->started, 1, __ATOMIC_RELEASE);
	OK(try_reset(r->dev));
	r->ended = now_ns();
	return NULL;
}

/* An FLR takes 100 ms at least. Nobody has to wait for it to mmap. */
static void mmap_does_not_wait(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct resetter r = { .dev = dev };
	unsigned int i, maps = 0;
	pthread_t thread;
	void *p;
	int fd = -1;

	if (kinds & VIEW_BUFFER)
		fd = export_range(dev, 2, 0, MIB(1));
	CHECK(pthread_create(&thread, NULL, reset_once, &r) == 0);
	wait_for(&r.started, "the reset to begin");
	sleep_ms(20);
	for (i = 0; i < 10; i++) {
		p = map_bar(dev, 0, 0, PAGE);
		unmap(p, PAGE);
		p = map_bar(dev, 2, MIB(1), PAGE);
		unmap(p, PAGE);
		if (fd >= 0) {
			p = map_buffer(fd, PAGE, PAGE);
			unmap(p, PAGE);
		}
		maps++;
	}
	{
		uint64_t done = now_ns();

		pthread_join(thread, NULL);
		CHECK_MSG(done < r.ended,
			  "%u rounds of mmap took until %lld us after the end of the reset",
			  maps, (long long)(done - r.ended) / 1000);
	}
}

static void bar_mmap_does_not_wait(void)
{
	mmap_does_not_wait(VIEW_BAR);
}

static void buffer_mmap_does_not_wait(void)
{
	mmap_does_not_wait(VIEW_ALL);
}

struct one_touch {
	pthread_t thread;
	const volatile void *page;
	volatile int begun;
	int sig;
};

static void *touch_once(void *arg)
{
	struct one_touch *t = arg;

	__atomic_store_n(&t->begun, 1, __ATOMIC_RELEASE);
	t->sig = touch(t->page);
	return NULL;
}

/*
 * While the reset runs, and while another thread's fault waits for its end: a
 * revoke does not wait, nor the release of a buffer, nor mprotect or munmap of
 * the very mapping the fault is in.
 */
static void nobody_else_waits(void)
{
	struct dev *dev = dev_open("nvme");
	struct resetter r = { .dev = dev };
	volatile char *revoked, *released, *waited, *protected;
	struct one_touch touches[2];
	pthread_t thread;
	uint64_t done;
	int a, b, c;

	a = export_range(dev, 2, 0, PAGE);
	b = export_range(dev, 2, 0, PAGE);
	c = export_range(dev, 2, 0, 2 * PAGE);
	revoked = map_buffer(a, 0, PAGE);
	released = map_buffer(b, 0, PAGE);
	waited = map_buffer(c, 0, 2 * PAGE);
	protected = map_buffer(c, 0, 2 * PAGE);
	CHECK_ALIVE(revoked);
	CHECK_ALIVE(released);
	CHECK(pthread_create(&thread, NULL, reset_once, &r) == 0);
	wait_for(&r.started, "the reset to begin");
	sleep_ms(20);
	touches[0] = (struct one_touch){ .page = waited };
	touches[1] = (struct one_touch){ .page = protected };
	CHECK(pthread_create(&touches[0].thread, NULL, touch_once, &touches[0]) == 0);
	CHECK(pthread_create(&touches[1].thread, NULL, touch_once, &touches[1]) == 0);
	wait_for(&touches[0].begun, "the first toucher");
	wait_for(&touches[1].begun, "the second toucher");
	sleep_ms(5);

	revoke_buffer(dev, a);
	CHECK_SIGBUS(revoked);
	unmap((void *)released, PAGE);
	close(b);
	unmap((void *)(waited + PAGE), PAGE);
	CHECK(mprotect((void *)protected, 2 * PAGE, PROT_READ) == 0);
	done = now_ns();

	pthread_join(thread, NULL);
	CHECK_MSG(done < r.ended, "it took until %lld us after the end of the reset",
		  (long long)(done - r.ended) / 1000);
	pthread_join(touches[0].thread, NULL);
	pthread_join(touches[1].thread, NULL);
	CHECK(!touches[0].sig && !touches[1].sig);
	CHECK_SIGBUS(revoked);
}

/* One whose fault waits for the end of a reset is revoked before that end. */
static void revoked_while_a_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");
	struct resetter r = { .dev = dev };
	struct one_touch t;
	pthread_t thread;
	uint64_t done;
	int fd;

	fd = export_range(dev, 2, 0, PAGE);
	t = (struct one_touch){ .page = map_buffer(fd, 0, PAGE) };
	CHECK(pthread_create(&thread, NULL, reset_once, &r) == 0);
	wait_for(&r.started, "the reset to begin");
	sleep_ms(20);
	CHECK(pthread_create(&t.thread, NULL, touch_once, &t) == 0);
	wait_for(&t.begun, "the toucher");
	sleep_ms(5);
	revoke_buffer(dev, fd);
	pthread_join(t.thread, NULL);
	done = now_ns();
	pthread_join(thread, NULL);
	CHECK_EQ(t.sig, SIGBUS);
	CHECK_MSG(done < r.ended, "SIGBUS came %lld us after the end of the reset",
		  (long long)(done - r.ended) / 1000);
}

/* A waiting fault does not keep its process from being killed. */
static int touch_for_ever(void *arg)
{
	for (;;)
		touch(arg);
	return 0;
}

static void killed_while_a_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");
	struct resetter r = { .dev = dev };
	pthread_t thread;
	uint64_t done;
	int status;
	void *page;
	pid_t pid;

	page = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	pid = spawn(touch_for_ever, page);
	sleep_ms(50);
	CHECK(pthread_create(&thread, NULL, reset_once, &r) == 0);
	wait_for(&r.started, "the reset to begin");
	sleep_ms(30);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	done = now_ns();
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pthread_join(thread, NULL);
	CHECK_MSG(done < r.ended, "it died %lld us after the end of the reset",
		  (long long)(done - r.ended) / 1000);
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
	CASE(bar_mmap_does_not_wait),
	CASE_MMAP(buffers_survive),
	CASE_MMAP(buffer_stays_off_when_decode_is_off),
	CASE_MMAP(refused),
	CASE_MMAP(buffer_touched_during_reset),
	CASE_MMAP(buffer_mmap_does_not_wait),
	CASE_MMAP(nobody_else_waits),
	CASE_MMAP(revoked_while_a_fault_waits),
	CASE_MMAP(killed_while_a_fault_waits),
	CASE_MMAP(contents_of_bar_2),
};

TEST_MAIN(cases)
