// SPDX-License-Identifier: GPL-2.0-only
/*
 * The means of other tests: a thread is held where it enters or leaves a function, and
 * then goes on as if nothing had been. At functions of Linux's own, so that a failure here
 * is one of the means.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hold.h"

/* Four arguments, and six; both are called where sleeping is legal. */
#define PREAD "seq_read"
#define CALLS_PREAD "vfs_read"
#define MMAP "ksys_mmap_pgoff"
/* What seq_read() calls for the file read here, and what nobody else in the guest calls. */
#define WITHIN_PREAD "comm_show"
#define GETPGID "__x64_sys_getpgid"
/* By getpgid(), under rcu_read_lock(). */
#define UNDER_RCU "find_task_by_vpid"
/* By sigtimedwait() with a signal pending, under a spinlock with interrupts off. */
#define IRQS_OFF "dequeue_signal"

/* A system call by a thread of its own, which says what came of it. */
struct call {
	void (*fn)(struct call *call);
	pthread_t thread;
	volatile pid_t tid;
	volatile int go, done;
	char text[8];
	long result;
};

static void do_pread(struct call *call)
{
	int fd = OK(open("/proc/self/comm", O_RDONLY | O_CLOEXEC));

	call->result = pread(fd, call->text, 4, 2);
	close(fd);
}

static void do_mmap(struct call *call)
{
	int fd = OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE), page[8];

	CHECK(p != MAP_FAILED);
	CHECK_EQ(pread(fd, page, sizeof(page), PAGE), sizeof(page));
	call->result = memcmp(p, page, sizeof(page));
	close(fd);
}

static void do_getpgid(struct call *call)
{
	call->result = getpgid(getpid()) == getpgrp() ? 0 : -1;
}

static void do_sigwait(struct call *call)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(pthread_kill(pthread_self(), SIGUSR2) == 0);
	/* It spins with interrupts off: whoever shares the processor stands still. */
	run_on(0, 1);
	call->result = sigtimedwait(&set, NULL, &(struct timespec){ .tv_sec = 1 });
}

static void *run_call(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->tid, gettid(), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&call->go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	call->fn(call);
	__atomic_store_n(&call->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void call_begin(struct call *call, void (*fn)(struct call *call))
{
	*call = (struct call){ .fn = fn };
	CHECK(pthread_create(&call->thread, NULL, run_call, call) == 0);
	wait_for(&call->tid, "a thread");
}

static void call_go(struct call *call)
{
	__atomic_store_n(&call->go, 1, __ATOMIC_SEQ_CST);
}

static long call_end(struct call *call)
{
	wait_for(&call->done, "a call");
	CHECK(pthread_join(call->thread, NULL) == 0);
	return call->result;
}

static void hold_call(const char *function, void (*fn)(struct call *call), bool exit, bool sleeps,
		      long result)
{
	unsigned int round;
	struct call call;
	int hold;

	for (round = 0; round < 2; round++) {
		call_begin(&call, fn);
		hold = hold_arm(function, .tid = call.tid, .exit = exit);
		CHECK_EQ(hold_held(hold), 0);
		CHECK_EQ(hold_passes(hold), 0);
		call_go(&call);
		CHECK_EQ(hold_wait(hold), call.tid);
		CHECK_EQ(hold_held(hold), call.tid);
		CHECK_EQ(hold_passes(hold), 1);
		if (sleeps)
			wait_asleep_in(call.tid, HELD_BY_US);
		sleep_ms(20);
		CHECK_EQ(is_asleep_in(call.tid, HELD_BY_US), sleeps);
		CHECK(!call.done);
		hold_release(hold);
		CHECK_EQ(hold_held(hold), 0);
		CHECK_EQ(call_end(&call), result);
		if (fn == do_pread)
			CHECK(memcmp(call.text, "ld_t", 4) == 0);
		close(hold);
	}
}

static void at_entry(void)
{
	hold_call(PREAD, do_pread, false, true, 4);
	hold_call(MMAP, do_mmap, false, true, 0);
}

static void at_exit(void)
{
	hold_call(PREAD, do_pread, true, true, 4);
	hold_call(MMAP, do_mmap, true, true, 0);
}

/* Where nobody may sleep the thread spins. */
static void under_rcu(void)
{
	hold_call(UNDER_RCU, do_getpgid, false, false, 0);
	hold_call(UNDER_RCU, do_getpgid, true, false, 0);
}

static void with_irqs_off(void)
{
	run_on(0, 0);
	hold_call(IRQS_OFF, do_sigwait, false, false, SIGUSR2);
	hold_call(IRQS_OFF, do_sigwait, true, false, SIGUSR2);
}

/* Several at one function, each of which is for one thread, and one at another. */
static void several_at_once(void)
{
	struct call call[4], other;
	int hold[4], at_other;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(call); i++) {
		call_begin(&call[i], do_pread);
		hold[i] = hold_arm(PREAD, .tgid = getpid(), .exit = i % 2);
	}
	call_begin(&other, do_mmap);
	at_other = hold_arm(MMAP, .tid = other.tid);
	for (i = 0; i < ARRAY_SIZE(call); i++)
		call_go(&call[i]);
	call_go(&other);
	for (i = 0; i < ARRAY_SIZE(call); i++)
		hold_wait(hold[i]);
	CHECK_EQ(hold_wait(at_other), other.tid);
	for (i = 0; i < ARRAY_SIZE(call); i++)
		CHECK(!call[i].done);
	for (i = 0; i < ARRAY_SIZE(call); i++)
		hold_release(hold[i]);
	for (i = 0; i < ARRAY_SIZE(call); i++)
		CHECK_EQ(call_end(&call[i]), 4);
	CHECK(!other.done);
	hold_release(at_other);
	CHECK_EQ(call_end(&other), 0);
}

/* One thread held for one hold inside a function that another holds at its end. */
static void one_within_the_other(void)
{
	int at_read, at_end;
	struct call call;

	call_begin(&call, do_pread);
	at_end = hold_arm(PREAD, .tid = call.tid, .exit = true);
	at_read = hold_arm(WITHIN_PREAD, .tid = call.tid);
	call_go(&call);
	CHECK_EQ(hold_wait(at_read), call.tid);
	CHECK_EQ(hold_held(at_end), 0);
	hold_release(at_read);
	CHECK_EQ(hold_wait(at_end), call.tid);
	hold_release(at_end);
	CHECK_EQ(call_end(&call), 4);
}

/* Whom it is not for passes, and is counted only if it might have been held. */
static void whom_it_holds(void)
{
	struct call call[2];
	int hold, after;

	call_begin(&call[0], do_getpgid);
	call_begin(&call[1], do_getpgid);
	hold = hold_arm(GETPGID, .tid = call[1].tid);
	after = hold_arm(GETPGID, .not_me = true, .skip = 2);
	OK(getpgid(0));
	CHECK_EQ(hold_passes(hold), 0);
	CHECK_EQ(hold_passes(after), 0);
	call_go(&call[0]);
	CHECK_EQ(call_end(&call[0]), 0);
	CHECK_EQ(hold_passes(hold), 0);
	CHECK_EQ(hold_passes(after), 1);
	CHECK(try_hold_release(after) && errno == 0);
	call_go(&call[1]);
	CHECK_EQ(hold_wait(hold), call[1].tid);
	hold_release(hold);
	CHECK_EQ(call_end(&call[1]), 0);
}

static void skips(void)
{
	struct call call;
	int hold, i;

	call_begin(&call, do_getpgid);
	hold = hold_arm(GETPGID, .skip = 3);
	for (i = 0; i < 3; i++)
		OK(getpgid(0));
	CHECK_EQ(hold_passes(hold), 3);
	CHECK_EQ(hold_held(hold), 0);
	call_go(&call);
	CHECK_EQ(hold_wait(hold), call.tid);
	hold_release(hold);
	CHECK_EQ(call_end(&call), 0);
}

static int preads(void *arg)
{
	struct call call = { 0 };
	char c;

	CHECK_EQ(read(*(int *)arg, &c, 1), 1);
	do_pread(&call);
	return 0;
}

/* Only the calls by one function count, and are held. */
static void called_by(void)
{
	struct call call;
	int other, hold;

	call_begin(&call, do_pread);
	other = hold_arm(PREAD, .tid = call.tid, .caller = MMAP);
	hold = hold_arm(PREAD, .tid = call.tid, .caller = CALLS_PREAD);
	call_go(&call);
	CHECK_EQ(hold_wait(hold), call.tid);
	hold_release(hold);
	CHECK_EQ(call_end(&call), 4);
	CHECK_EQ(hold_passes(other), 0);
	CHECK_EQ(hold_passes(hold), 1);
}

static void killed_while_held(void)
{
	int go[2], hold, status, exit;
	pid_t child;

	for (exit = 0; exit < 2; exit++) {
		OK(pipe(go));
		child = spawn(preads, &go[0]);
		hold = hold_arm(PREAD, .tgid = child, .exit = exit);
		CHECK_EQ(write(go[1], "", 1), 1);
		CHECK_EQ(hold_wait(hold), child);
		kill(child, SIGKILL);
		status = wait_end(child, "a thread that was killed while it is held");
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CHECK_EQ(hold_held(hold), 0);
		CHECK_ERRNO(try_hold_release(hold), ESRCH);
		close(hold);
	}
}

static void closed_while_held(void)
{
	struct call call;
	int hold;

	call_begin(&call, do_pread);
	hold = hold_arm(PREAD, .tid = call.tid);
	call_go(&call);
	hold_wait(hold);
	close(hold);
	CHECK_EQ(call_end(&call), 4);
}

/* The file is closed, its thread will leave the function later: the module waits for that. */
static void closed_before_it_leaves(void)
{
	struct call call;
	int at_end, inside;

	call_begin(&call, do_pread);
	inside = hold_arm(WITHIN_PREAD, .tid = call.tid);
	at_end = hold_arm(PREAD, .tid = call.tid, .exit = true);
	call_go(&call);
	hold_wait(inside);
	close(at_end);
	CHECK(try_rmmod("thread_hold") < 0);
	CHECK(!call.done);
	close(inside);
	CHECK_EQ(call_end(&call), 4);
	rmmod_soon("thread_hold");
	do_pread(&call);
	CHECK_EQ(call.result, 4);
	CHECK(!module_loaded("thread_hold"));
}

static void time_over(void)
{
	struct call call;
	int hold;

	call_begin(&call, do_pread);
	hold = hold_arm(PREAD, .tid = call.tid, .seconds = 1);
	call_go(&call);
	hold_wait(hold);
	CHECK_EQ(call_end(&call), 4);
	CHECK_ERRNO(try_hold_release(hold), ETIME);
}

static void no_such_function(void)
{
	CHECK_ERRNO(try_hold_arm_at(&(struct hold_at){ .function = "no_such_function" }), ENOENT);
	CHECK_ERRNO(try_hold_arm_at(
			    &(struct hold_at){ .function = PREAD, .caller = "no_such_function" }),
		    ENOENT);
	/* It is there, and cannot be traced. */
	CHECK(try_hold_arm_at(&(struct hold_at){ .function = "do_int3" }) < 0);
}

static const struct test_case cases[] = {
	CASE(at_entry),		 CASE(at_exit),		CASE(under_rcu),
	CASE(with_irqs_off),	 CASE(several_at_once), CASE(one_within_the_other),
	CASE(whom_it_holds),	 CASE(skips),		CASE(killed_while_held),
	CASE(closed_while_held), CASE(time_over),	CASE(closed_before_it_leaves),
	CASE(no_such_function),	 CASE(called_by),
};

TEST_MAIN(cases)
