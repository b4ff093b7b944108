// SPDX-License-Identifier: GPL-2.0-only
/*
 * A transition of the device that an importer holds open: it has been asked to
 * let go and does not. What must not wait for the transition is done meanwhile,
 * so no case here depends on time; what has to wait does so until the importer
 * lets go.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "held.h"
#include "importer.h"
#include "leaf.h"

static void held_open(struct held *h, struct dev *dev)
{
	held_by_importer(h, dev, export_range(dev, 2, MIB(8), MIB(1)), try_reset);
}

struct toucher {
	pthread_t thread;
	const volatile void *page;
	volatile pid_t tid;
	volatile int done;
	uint32_t value;
	int sig;
};

static void *touch_once(void *arg)
{
	struct toucher *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_SEQ_CST);
	t->sig = peek32(t->page, &t->value);
	__atomic_store_n(&t->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Returns when the fault of the access waits. */
static void touch_begin(struct toucher *t, const volatile void *page)
{
	*t = (struct toucher){ .page = page };
	CHECK(pthread_create(&t->thread, NULL, touch_once, t) == 0);
	wait_for(&t->tid, "the thread of an access");
	wait_asleep_in(t->tid, IN_FAULT);
}

static void touch_end(struct toucher *t)
{
	wait_for(&t->done, "an access");
	pthread_join(t->thread, NULL);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void read_whole(const char *path)
{
	static char text[65536];
	int fd = OK(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n, sum = 0;

	while ((n = OK(read(fd, text, sizeof(text)))) > 0)
		sum += n;
	CHECK(sum > 0);
	close(fd);
}

/*
 * A fault that waits has no lock: neither that of the address space nor that of
 * its VMA, which other threads go on to use, and a child has, meanwhile.
 */
static void waiting_fault_holds_nothing(void)
{
	struct dev *dev = dev_open("nvme");
	struct toucher t[3];
	volatile char *bar, *buffer, *cut;
	struct held h;
	unsigned int i;
	void *p;
	int fd;

	held_open(&h, dev);
	bar = map_bar(dev, 2, 0, 4 * PAGE);
	fd = export_range(dev, 2, 0, 4 * PAGE);
	buffer = map_buffer(fd, 0, 4 * PAGE);
	cut = map_buffer(fd, 0, 4 * PAGE);
	write32(bar, 0x5eaf00d);
	held_begin(&h);
	touch_begin(&t[0], bar);
	touch_begin(&t[1], buffer);
	touch_begin(&t[2], cut + 3 * PAGE);

	p = try_map(-1, 0, MIB(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(p);
	memset(p, 1, MIB(1));
	CHECK(mprotect(p, MIB(1), PROT_READ) == 0);
	unmap(p, MIB(1));
	unmap(map_bar(dev, 2, MIB(1), PAGE), PAGE);
	unmap(map_buffer(fd, PAGE, PAGE), PAGE);
	CHECK(mprotect((void *)bar, 4 * PAGE, PROT_READ) == 0);
	CHECK(mprotect((void *)buffer, 4 * PAGE, PROT_READ) == 0);
	unmap((void *)(cut + PAGE), PAGE);
	/* The VMA under a waiting fault goes, and comes back as another. */
	p = mremap((void *)(cut + 2 * PAGE), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	CHECK(p == (void *)(cut + 2 * PAGE));
	read_whole("/proc/self/maps");
	read_whole("/proc/self/smaps");
	join(spawn(nothing, NULL));
	for (i = 0; i < ARRAY_SIZE(t); i++)
		CHECK(!t[i].done);

	held_end(&h);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		touch_end(&t[i]);
		CHECK_EQ(t[i].sig, 0);
	}
	CHECK_EQ(t[0].value, 0x5eaf00d);
	CHECK_EQ(t[1].value, 0x5eaf00d);
}

/* Nothing is left of the mapping when the wait is over. */
static void unmapped_while_a_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar, *buffer;
	struct toucher t[2];
	struct held h;
	void *p;
	int fd;

	held_open(&h, dev);
	bar = map_bar(dev, 2, 0, PAGE);
	fd = export_range(dev, 2, 0, PAGE);
	buffer = map_buffer(fd, 0, PAGE);
	held_begin(&h);
	touch_begin(&t[0], bar);
	touch_begin(&t[1], buffer);
	close(fd);
	/* Other memory in its place: the access finds that, or it would get SIGSEGV. */
	p = mmap((void *)bar, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(p == (void *)bar);
	p = mmap((void *)buffer, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(p == (void *)buffer);
	held_end(&h);
	touch_end(&t[0]);
	touch_end(&t[1]);
	CHECK(!t[0].sig && !t[0].value && !t[1].sig && !t[1].value);
}

static int touch_for_ever(void *arg)
{
	for (;;)
		touch(arg);
	return 0;
}

static void killed(struct dev *dev, void *page)
{
	struct held h;
	int status;
	pid_t pid;

	held_open(&h, dev);
	held_begin(&h);
	pid = spawn(touch_for_ever, page);
	wait_asleep_in(pid, IN_FAULT);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a process that was killed while its fault waits");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	held_end(&h);
	CHECK_ALIVE(page);
}

static void killed_while_a_bar_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");

	killed(dev, map_bar(dev, 2, 0, PAGE));
}

static void killed_while_a_buffer_fault_waits(void)
{
	struct dev *dev = dev_open("nvme");

	killed(dev, map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE));
}

/* Adds 1 to *where, by the kernel: its fault for that may not let go of its lock. */
static int futex_add(volatile void *where)
{
	uint32_t unused = 0;

	return syscall(SYS_futex, &unused, FUTEX_WAKE_OP_PRIVATE, 0, 0, where,
		       FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0xfff));
}

/* A fault that cannot wait fails; it does not hang with the lock of all others. */
static void cannot_wait(struct dev *dev, volatile void *page)
{
	int mem = OK(open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
	struct toucher t;
	uint32_t value;
	struct held h;

	held_open(&h, dev);
	write32(page, 7);
	OK(futex_add(page));
	CHECK_EQ(read32(page), 8);
	held_begin(&h);
	touch_begin(&t, page);
	CHECK_ERRNO(futex_add(page), EFAULT);
	CHECK_ERRNO(pread(mem, &value, sizeof(value), (uintptr_t)page), EIO);
	CHECK(madvise((void *)page, PAGE, MADV_POPULATE_READ) < 0);
	CHECK(!t.done);
	held_end(&h);
	touch_end(&t);
	CHECK(t.sig == 0 && t.value == 8);
	OK(futex_add(page));
	CHECK_EQ(read32(page), 9);
}

static void bar_fault_that_cannot_wait(void)
{
	struct dev *dev = dev_open("nvme");

	cannot_wait(dev, map_bar(dev, 2, 0, PAGE));
}

static void buffer_fault_that_cannot_wait(void)
{
	struct dev *dev = dev_open("nvme");

	cannot_wait(dev, map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE));
}

/* What concerns one buffer alone goes on; its revoke also ends a fault that waits. */
static void another_buffer_is_not_held(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *page;
	struct toucher t;
	struct held h;
	int fd, second;

	held_open(&h, dev);
	fd = export_range(dev, 2, 0, PAGE);
	page = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(page);
	held_begin(&h);
	touch_begin(&t, page);
	second = export_range(dev, 2, 0, PAGE);
	unmap(map_buffer(second, 0, PAGE), PAGE);
	revoke_buffer(dev, fd);
	touch_end(&t);
	CHECK_EQ(t.sig, SIGBUS);
	CHECK_SIGBUS(page);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	close(fd);
	unmap((void *)page, PAGE);
	held_end(&h);
	CHECK_ALIVE(map_buffer(second, 0, PAGE));
}

static int decode_off(const struct dev *dev)
{
	memory_decode(dev, false);
	return 0;
}

/*
 * The result of a transition is known that takes the BAR away: nobody waits for it, however
 * long an importer keeps its mapping.
 */
static void decode_goes_off(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *bar = map_bar(dev, 2, 0, PAGE);
	struct held h;
	void *buffer;

	held_open(&h, dev);
	h.transition = decode_off;
	buffer = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(buffer);
	held_begin(&h);
	CHECK_SIGBUS(bar);
	CHECK_SIGBUS(buffer);
	held_end(&h);
	CHECK_SIGBUS(bar);
	CHECK_SIGBUS(buffer);
	CHECK_ERRNO(try_importer_map(h.importer), ENODEV);
	memory_decode(dev, true);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(buffer);
	importer_map(h.importer);
}

/* One that lets go when it is asked: asked before, told after, mapped again. */
static void importer_that_lets_go(void)
{
	struct dev *dev = dev_open("nvme");
	unsigned int asked, i;
	int importer;

	importer = importer_open(dev, export_range(dev, 2, 0, MIB(1)));
	for (i = 0; i < 3; i++) {
		importer_map(importer);
		CHECK(importer_is_mapped(importer));
		asked = importer_asked(importer);
		OK(try_reset(dev));
		CHECK(!importer_is_mapped(importer));
		CHECK_EQ(importer_asked(importer), asked + 2);
	}
	importer_map(importer);
	memory_decode(dev, false);
	CHECK(!importer_is_mapped(importer));
	CHECK_ERRNO(try_importer_map(importer), ENODEV);
	memory_decode(dev, true);
	importer_map(importer);
}

/*
 * The process that owns the device is killed: its end has to wait for an importer
 * that another process has, and no longer.
 */
static void owner_killed(void)
{
	int importer, pair[2], status, group;
	char address[32];
	struct dev *dev;
	pid_t pid;

	CHECK(dev_bind("nvme", address, &group));
	OK(pipe(pair));
	/* The child alone opens the device; the importer comes to us afterwards. */
	pid = fork();
	if (pid == 0) {
		dev = dev_open("nvme");
		importer = importer_open_stubborn(dev, export_range(dev, 2, 0, PAGE));
		OK(write(pair[1], &importer, sizeof(importer)));
		for (;;)
			pause();
	}
	CHECK_EQ(read(pair[0], &importer, sizeof(importer)), sizeof(importer));
	importer = OK(syscall(SYS_pidfd_getfd, OK(syscall(SYS_pidfd_open, pid, 0)), importer, 0));
	kill(pid, SIGKILL);
	wait_asleep_in(pid, HELD_IN);
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	/* Not opened meanwhile: VFIO would wait here with no way to be killed. */
	importer_unmap(importer);
	status = wait_end(pid, "the owner");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_ERRNO(try_importer_map(importer), ENODEV);
	dev = dev_open("nvme");
	CHECK_ALIVE(map_bar(dev, 2, 0, PAGE));
}

struct second_try {
	pthread_t thread;
	const volatile void *page;
	volatile pid_t tid;
	int result;
};

static void *try_again(void *arg)
{
	struct second_try *t = arg;

	__atomic_store_n(&t->tid, gettid(), __ATOMIC_SEQ_CST);
	t->result = take_fault(t->page, FAULT_SECOND_TRY);
	return NULL;
}

/*
 * Callers that may not wait, or may not let go of their lock: each gets the answer
 * that it can use, at once. One that comes a second time may wait again.
 */
static void callers_that_cannot_wait(void)
{
	struct dev *dev = dev_open("nvme");
	volatile char *page = map_bar(dev, 2, 0, PAGE);
	struct second_try t = { .page = page };
	struct held h;

	held_open(&h, dev);
	CHECK_EQ(take_fault(page, FAULT_NO_RETRY), FAULT_MAPPED);
	held_begin(&h);
	CHECK_EQ(take_fault(page, FAULT_NO_RETRY), FAULT_GOT_SIGBUS);
	CHECK_EQ(take_fault(page, FAULT_NOWAIT), FAULT_TO_RETRY);
	CHECK(pthread_create(&t.thread, NULL, try_again, &t) == 0);
	wait_for(&t.tid, "the thread of a second try");
	wait_asleep_in(t.tid, IN_FAULT);
	CHECK(!is_mapped(page));
	held_end(&h);
	pthread_join(t.thread, NULL);
	CHECK_EQ(t.result, FAULT_LET_GO_TO_RETRY);
	CHECK_EQ(take_fault(page, FAULT_NOWAIT), FAULT_MAPPED);
	CHECK(is_mapped(page));
}

static const struct test_case cases[] = {
	CASE_MMAP(callers_that_cannot_wait),
	CASE_MMAP(waiting_fault_holds_nothing),	   CASE_MMAP(unmapped_while_a_fault_waits),
	CASE_MMAP(killed_while_a_bar_fault_waits), CASE_MMAP(killed_while_a_buffer_fault_waits),
	CASE_MMAP(bar_fault_that_cannot_wait),	   CASE_MMAP(buffer_fault_that_cannot_wait),
	CASE_MMAP(another_buffer_is_not_held),	   CASE_MMAP(decode_goes_off),
	CASE_MMAP(importer_that_lets_go),	   CASE_MMAP(owner_killed),
};

TEST_MAIN(cases)
