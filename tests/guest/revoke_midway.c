// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the moment when a revoke has flipped the state and the moment when its sweep
 * has taken the page table entries away. tests/modules/zap_hold.c keeps the revoker right
 * there, so no case here depends on time.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../modules/zap_hold.h"
#include "harness.h"

#define NODE "/dev/zap_hold"
#define IN_SWEEP "zap_hold_invalidate"
#define PAGES 4

struct midway {
	struct dev *dev;
	int fd;
	volatile char *page; /* mapped, and zaps of it are held */
	volatile char *untouched; /* the same buffer by a VMA without an entry */
	int hold;
	int go[2]; /* where children wait until it is closed */
	volatile int *child_saw;
};

static void midway_open(struct midway *m)
{
	struct zap_hold_range range = { .length = PAGES * PAGE };

	m->dev = dev_open("ivshmem");
	m->fd = export_range(m->dev, 2, MIB(2), PAGES * PAGE);
	m->page = map_buffer(m->fd, 0, PAGES * PAGE);
	m->untouched = map_buffer(m->fd, 0, PAGES * PAGE);
	CHECK_ALIVE(m->page);
	if (access(NODE, F_OK) && system("modprobe zap_hold"))
		FAIL("this guest has no module zap_hold");
	m->hold = OK(open(NODE, O_RDWR | O_CLOEXEC));
	range.start = (uintptr_t)m->page;
	OK(ioctl(m->hold, ZAP_HOLD_WATCH, &range));
	OK(pipe(m->go));
}

static void hold_begin(struct midway *m)
{
	CHECK_EQ(ioctl(m->hold, ZAP_HOLD_SEEN), 0);
	/* A case that hangs has been looked at by then. */
	OK(ioctl(m->hold, ZAP_HOLD_HOLD, slow_kernel() ? 102 : 22));
}

static void hold_end(struct midway *m)
{
	OK(ioctl(m->hold, ZAP_HOLD_RELEASE));
}

static void children_go(struct midway *m)
{
	close(m->go[1]);
}

static void wait_to_go(struct midway *m)
{
	char c;

	close(m->go[1]);
	CHECK_EQ(read(m->go[0], &c, 1), 0);
}

/*
 * A call by a thread. While the sweep is held no process that maps the buffer can be
 * forked or end: both wait for the lock of the address space, which the sweep has.
 */
struct call {
	struct midway *m;
	int (*fn)(struct midway *m);
	pthread_t thread;
	volatile pid_t tid;
	volatile int ended;
	int error; /* what it said */
	bool answered; /* the page, when it had returned */
};

static void *run_call(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->tid, gettid(), __ATOMIC_SEQ_CST);
	call->error = call->fn(call->m) ? errno : 0;
	call->answered = touch(call->m->page) == 0;
	__atomic_store_n(&call->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Returns when the call waits in its sweep, which it must not go past. */
static void call_begin(struct call *call, struct midway *m, int (*fn)(struct midway *m))
{
	uint64_t end = patience();

	*call = (struct call){ .m = m, .fn = fn };
	CHECK(pthread_create(&call->thread, NULL, run_call, call) == 0);
	wait_for(&call->tid, "a thread");
	while (!is_asleep_in(call->tid, IN_SWEEP)) {
		CHECK_MSG(!call->ended, "it said %s while the page %s",
			  call->error ? strerror_name(call->error) : "done",
			  call->answered ? "answered" : "was gone");
		CHECK_MSG(now_ns() < end, "a call that neither waits nor ends");
		sleep_ms(1);
	}
}

static void call_end(struct call *call, int error)
{
	wait_for(&call->ended, "a call whose sweep was let go");
	CHECK(pthread_join(call->thread, NULL) == 0);
	CHECK_EQ(call->error, error);
	CHECK(!call->answered);
}

static int revoke_it(struct midway *m)
{
	return try_revoke(m->dev, m->fd);
}

static int decode_off(struct midway *m)
{
	memory_decode(m->dev, false);
	return 0;
}

/* "Revoked already" must be as true of the mappings as "revoked". */
static void second_revoke_waits_for_the_sweep(void)
{
	struct call first, second;
	struct midway m;

	midway_open(&m);
	hold_begin(&m);
	call_begin(&first, &m, revoke_it);
	CHECK_ALIVE(m.page);
	call_begin(&second, &m, revoke_it);
	CHECK_ALIVE(m.page);
	hold_end(&m);
	call_end(&first, 0);
	call_end(&second, EBADFD);
}

enum { ANSWERED = 1, GOT_SIGBUS };

static int touches_later(void *arg)
{
	struct midway *m = arg;

	wait_to_go(m);
	*m->child_saw = touch(m->untouched) ? GOT_SIGBUS : ANSWERED;
	return 0;
}

/* The state is flipped first, so that the sweep need not come back for what it has passed. */
static void nothing_new_comes_in(void)
{
	struct midway m;
	struct call call;
	pid_t child;

	midway_open(&m);
	m.child_saw = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK(m.child_saw);
	child = spawn(touches_later, &m);
	hold_begin(&m);
	call_begin(&call, &m, revoke_it);
	CHECK_ALIVE(m.page);
	CHECK_SIGBUS(m.untouched);
	CHECK(!try_map(m.fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	children_go(&m);
	wait_for(m.child_saw, "what a child sees");
	CHECK_EQ(*m.child_saw, GOT_SIGBUS);
	CHECK(is_asleep_in(call.tid, IN_SWEEP));
	hold_end(&m);
	call_end(&call, 0);
	CHECK_SIGBUS(m.untouched);
	CHECK_EQ(wait_end(child, "a child"), 0);
}

static void others_do_not_wait(void)
{
	struct midway m;
	struct call call;
	volatile char *other, *bar;
	uint32_t value;
	int fd;

	midway_open(&m);
	/* The same pages of the same BAR. */
	fd = export_range(m.dev, 2, MIB(2), PAGES * PAGE);
	other = map_buffer(fd, 0, PAGES * PAGE);
	bar = map_bar(m.dev, 2, 0, MIB(4));
	hold_begin(&m);
	call_begin(&call, &m, revoke_it);

	CHECK_ALIVE(other);
	CHECK_ALIVE(bar + MIB(2));
	CHECK_ALIVE(map_buffer(fd, PAGE, PAGE));
	CHECK_ALIVE(map_bar(m.dev, 2, MIB(2), PAGE));
	CHECK_EQ(pread(m.dev->fd, &value, sizeof(value), bar_offset(m.dev, 2, MIB(2))),
		 sizeof(value));
	CHECK(config_read16(m.dev, PCI_VENDOR_ID) != 0xffff);
	config_write16(m.dev, PCI_CACHE_LINE_SIZE, 0);
	CHECK_ALIVE(map_buffer(export_range(m.dev, 2, MIB(2), PAGE), 0, PAGE));
	revoke_buffer(m.dev, fd);
	CHECK_SIGBUS(other);
	CHECK_ALIVE(bar + MIB(2));

	CHECK(is_asleep_in(call.tid, IN_SWEEP));
	CHECK_ALIVE(m.page);
	hold_end(&m);
	call_end(&call, 0);
}

/* A transition begins with no BAR reachable, also not by a buffer that somebody else is taking away. */
static void transition_waits_for_the_sweep(void)
{
	struct call revoker, transition;
	volatile char *bar;
	struct midway m;

	midway_open(&m);
	bar = map_bar(m.dev, 2, MIB(2), PAGE);
	hold_begin(&m);
	call_begin(&revoker, &m, revoke_it);
	call_begin(&transition, &m, decode_off);
	CHECK_ALIVE(m.page);
	hold_end(&m);
	call_end(&revoker, 0);
	call_end(&transition, 0);
	CHECK_SIGBUS(bar);
	memory_decode(m.dev, true);
	CHECK_ALIVE(bar);
	CHECK_SIGBUS(m.page);
	CHECK_SIGBUS(m.untouched);
}

static int revokes_later(void *arg)
{
	struct midway *m = arg;

	wait_to_go(m);
	return try_revoke(m->dev, m->fd) ? 1 : 0;
}

/* A revoke never half happens. */
static void killed_revoker_ends_its_sweep(void)
{
	struct midway m;
	pid_t child;
	int status;

	midway_open(&m);
	child = spawn(revokes_later, &m);
	hold_begin(&m);
	children_go(&m);
	wait_asleep_in(child, IN_SWEEP);
	CHECK_ALIVE(m.page);
	kill(child, SIGKILL);
	status = wait_end(child, "a revoker that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	hold_end(&m);
	CHECK_SIGBUS(m.page);
	CHECK_SIGBUS(m.untouched);
	CHECK_ERRNO(try_revoke(m.dev, m.fd), EBADFD);
}

static const struct test_case cases[] = {
	CASE_MMAP(second_revoke_waits_for_the_sweep),
	CASE_MMAP(nothing_new_comes_in),
	CASE_MMAP(others_do_not_wait),
	CASE_MMAP(transition_waits_for_the_sweep),
	CASE_MMAP(killed_revoker_ends_its_sweep),
};

TEST_MAIN(cases)
