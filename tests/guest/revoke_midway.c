// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between the moment when a revoke has set the state and the moment when its zap has
 * taken the page table entries away. The revoker is held right there, so no case here depends
 * on time.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hold.h"
#include "leaf.h"

#define PAGES 4

struct midway {
	struct dev *dev;
	int fd;
	volatile char *page; /* mapped */
	volatile char *untouched; /* the same buffer by a VMA without an entry */
	int watch; /* zaps of page */
	int go[2]; /* where children wait until it is closed */
	volatile int *child_saw;
};

static void midway_open(struct midway *m)
{
	m->dev = dev_open("ivshmem");
	m->fd = export_range(m->dev, 2, MIB(2), PAGES * PAGE);
	m->page = map_buffer(m->fd, 0, PAGES * PAGE);
	m->untouched = map_buffer(m->fd, 0, PAGES * PAGE);
	CHECK_ALIVE(m->page);
	m->watch = zap_watch(m->page, PAGES * PAGE);
	OK(pipe(m->go));
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

/* A call by a thread. */
struct call {
	struct midway *m;
	int (*fn)(struct midway *m);
	pthread_t thread;
	volatile pid_t tid;
	volatile int go, ended;
	int hold;
	int error; /* what it said */
	bool answered; /* the page, when it had returned */
};

static void *run_call(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->tid, gettid(), __ATOMIC_SEQ_CST);
	wait_for(&call->go, "leave to begin");
	call->error = call->fn(call->m) ? errno : 0;
	call->answered = touch(call->m->page) == 0;
	__atomic_store_n(&call->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Returns when the call is held at that place, which it must not pass by. */
static void call_begin(struct call *call, struct midway *m, int (*fn)(struct midway *m),
		       const char *place)
{
	uint64_t end = timeout();

	*call = (struct call){ .m = m, .fn = fn };
	CHECK(pthread_create(&call->thread, NULL, run_call, call) == 0);
	wait_for(&call->tid, "a thread");
	call->hold = hold_arm(place, .tid = call->tid);
	__atomic_store_n(&call->go, 1, __ATOMIC_SEQ_CST);
	while (!hold_held(call->hold)) {
		CHECK_MSG(!call->ended, "it said %s while the page %s",
			  call->error ? strerror_name(call->error) : "done",
			  call->answered ? "answered" : "was gone");
		CHECK_MSG(now_ns() < end, "a call that is neither held nor ends");
		sleep_ms(1);
	}
}

static void call_release(struct call *call)
{
	hold_release(call->hold);
}

static void call_end(struct call *call, int error)
{
	wait_for(&call->ended, "a call that was released");
	CHECK(pthread_join(call->thread, NULL) == 0);
	CHECK_EQ(call->error, error);
	CHECK(!call->answered);
	close(call->hold);
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
static void second_revoke_zaps_as_well(void)
{
	struct call first, second;
	struct midway m;

	midway_open(&m);
	call_begin(&first, &m, revoke_it, HOLD_ZAP);
	CHECK_ALIVE(m.page);
	call_begin(&second, &m, revoke_it, HOLD_ZAP);
	CHECK_ALIVE(m.page);
	call_release(&second);
	call_end(&second, EBADFD);
	call_release(&first);
	call_end(&first, 0);
}

enum { ANSWERED = 1, GOT_SIGBUS };

static int touches_later(void *arg)
{
	struct midway *m = arg;

	wait_to_go(m);
	*m->child_saw = touch(m->untouched) ? GOT_SIGBUS : ANSWERED;
	return 0;
}

/* The state is set first, so that the zap need not come back for what it has passed. */
static void nothing_new_comes_in(void)
{
	struct midway m;
	struct call call;
	pid_t child;

	midway_open(&m);
	m.child_saw = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK(m.child_saw);
	child = spawn(touches_later, &m);
	call_begin(&call, &m, revoke_it, HOLD_ZAP);
	CHECK_ALIVE(m.page);
	CHECK_SIGBUS(m.untouched);
	CHECK(!try_map(m.fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	children_go(&m);
	wait_for(m.child_saw, "what a child sees");
	CHECK_EQ(*m.child_saw, GOT_SIGBUS);
	call_release(&call);
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
	call_begin(&call, &m, revoke_it, HOLD_ZAP_WATCHED);

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

	CHECK_ALIVE(m.page);
	call_release(&call);
	call_end(&call, 0);
}

/* A transition begins with no BAR reachable, also not by a buffer that is being revoked. */
static void transition_zaps_as_well(void)
{
	struct call revoker, transition;
	volatile char *bar;
	struct midway m;

	midway_open(&m);
	bar = map_bar(m.dev, 2, MIB(2), PAGE);
	call_begin(&revoker, &m, revoke_it, HOLD_ZAP);
	call_begin(&transition, &m, decode_off, HOLD_ZAP_WATCHED);
	CHECK_ALIVE(m.page);
	call_release(&transition);
	call_end(&transition, 0);
	CHECK_SIGBUS(bar);
	call_release(&revoker);
	call_end(&revoker, 0);
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
static void killed_revoker_ends_its_zap(void)
{
	struct midway m;
	pid_t child;
	int status, hold;

	midway_open(&m);
	child = spawn(revokes_later, &m);
	hold = hold_arm(HOLD_ZAP, .tgid = child);
	children_go(&m);
	CHECK_EQ(hold_wait(hold), child);
	CHECK_ALIVE(m.page);
	kill(child, SIGKILL);
	status = wait_end(child, "a revoker that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_ERRNO(try_hold_release(hold), ESRCH);
	CHECK_SIGBUS(m.page);
	CHECK_SIGBUS(m.untouched);
	CHECK_ERRNO(try_revoke(m.dev, m.fd), EBADFD);
}

/* KVM and its like have copies of the entries; they are notified while these still stand. */
static void mmu_notifiers_see_the_zap(void)
{
	static int (*const how[])(struct midway * m) = { decode_off, revoke_it };
	struct midway m;
	struct call call;
	unsigned int i;

	midway_open(&m);
	for (i = 0; i < ARRAY_SIZE(how); i++) {
		CHECK_EQ(zap_watch_seen(m.watch), i);
		call_begin(&call, &m, how[i], HOLD_ZAP_WATCHED);
		CHECK(is_mapped(m.page));
		call_release(&call);
		wait_for(&call.ended, "a call that was released");
		CHECK(pthread_join(call.thread, NULL) == 0);
		CHECK_EQ(call.error, 0);
		CHECK_EQ(zap_watch_seen(m.watch), i + 1);
		CHECK(!call.answered);
		memory_decode(m.dev, true);
		CHECK_EQ(touch(m.page) == 0, how[i] != revoke_it);
		close(call.hold);
	}
	CHECK_EQ(zap_watch_seen(m.watch), i);
}

static const struct test_case cases[] = {
	CASE_MMAP(second_revoke_zaps_as_well),	CASE_MMAP(nothing_new_comes_in),
	CASE_MMAP(others_do_not_wait),		CASE_MMAP(transition_zaps_as_well),
	CASE_MMAP(killed_revoker_ends_its_zap), CASE_MMAP(mmu_notifiers_see_the_zap),
};

TEST_MAIN(cases)
