// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault that waits for a transition is no reason to ignore a signal: its handler runs at
 * once, and the access is repeated after it. The freezer of a cgroup asks in the same way.
 */
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "held.h"
#include "importer.h"

#define FROZEN CGROUPFS "/barbuf-frozen"

/* A process whose access waits, and what it says. */
struct waiting {
	struct held held;
	volatile uint32_t *page;
	pid_t pid;
	struct said {
		volatile int ready, handled, done;
		uint32_t value;
	} * said;
};

static struct said *said;
static sigjmp_buf elsewhere;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&said->handled, 1, __ATOMIC_SEQ_CST);
}

static void leave_the_access(int sig)
{
	on_signal(sig);
	siglongjmp(elsewhere, 1);
}

static int touches(void *arg)
{
	struct waiting *w = arg;

	__atomic_store_n(&said->ready, 1, __ATOMIC_SEQ_CST);
	said->value = *w->page;
	__atomic_store_n(&said->done, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int handles_and_touches(void *arg)
{
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
	return touches(arg);
}

static int touches_with_an_alarm(void *arg)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };

	CHECK(signal(SIGALRM, on_signal) != SIG_ERR);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	return touches(arg);
}

static int gives_up(void *arg)
{
	CHECK(signal(SIGUSR1, leave_the_access) != SIG_ERR);
	if (sigsetjmp(elsewhere, 1))
		return 0;
	return touches(arg);
}

/* Returns when the access of the child waits for a reset. */
static void waiting_begin(struct waiting *w, bool bar, int (*child)(void *arg))
{
	struct dev *dev = dev_open("nvme");

	w->said = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK(w->said);
	said = w->said;
	if (bar)
		w->page = map_bar(dev, 2, 0, PAGE);
	else
		w->page = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	write32(w->page, 0xa1a2);
	held_by_importer(&w->held, dev, export_range(dev, 2, MIB(8), MIB(1)), try_reset);
	held_begin(&w->held);
	w->pid = spawn(child, w);
	wait_for(&said->ready, "a child");
	wait_asleep_in(w->pid, IN_FAULT);
}

/* The reset ends, and with it the access, as if there had been no signal. */
static void waiting_end(struct waiting *w)
{
	CHECK(!w->said->done);
	held_end(&w->held);
	CHECK_EQ(wait_end(w->pid, "an access"), 0);
	CHECK(w->said->done);
	CHECK_EQ(w->said->value, 0xa1a2);
}

static void handler_runs(bool bar)
{
	struct waiting w;
	int i;

	waiting_begin(&w, bar, handles_and_touches);
	for (i = 1; i <= 3; i++) {
		OK(kill(w.pid, SIGUSR1));
		while (w.said->handled < i) {
			CHECK(!w.held.ended);
			sleep_ms(1);
		}
		wait_asleep_in(w.pid, IN_FAULT);
	}
	waiting_end(&w);
	CHECK_EQ(w.said->handled, 3);
}

static void handler_runs_while_a_bar_fault_waits(void)
{
	handler_runs(true);
}

static void handler_runs_while_a_buffer_fault_waits(void)
{
	handler_runs(false);
}

/* Each of them, and the access is not lost among them. */
static void alarms_arrive(void)
{
	struct waiting w;

	waiting_begin(&w, false, touches_with_an_alarm);
	while (w.said->handled < 20) {
		CHECK(!w.held.ended);
		sleep_ms(1);
	}
	waiting_end(&w);
}

/* A handler may decide that the access is not worth the wait. */
static void handler_gives_the_access_up(void)
{
	struct waiting w;

	waiting_begin(&w, false, gives_up);
	OK(kill(w.pid, SIGUSR1));
	CHECK_EQ(wait_end(w.pid, "a child that has given up"), 0);
	CHECK_EQ(w.said->handled, 1);
	CHECK(!w.said->done);
	held_end(&w.held);
}

static void stopped_and_continued(void)
{
	struct waiting w;

	waiting_begin(&w, false, touches);
	OK(kill(w.pid, SIGSTOP));
	while (task_state(w.pid) != 'T') {
		CHECK(!w.held.ended);
		sleep_ms(1);
	}
	OK(kill(w.pid, SIGCONT));
	wait_asleep_in(w.pid, IN_FAULT);
	waiting_end(&w);
}

static bool is_frozen(void)
{
	char events[128];

	return strstr(read_file(FROZEN "/cgroup.events", events, sizeof(events)), "frozen 1");
}

static void freezer_freezes(void)
{
	struct waiting w;

	cgroup_make(FROZEN, NULL);
	waiting_begin(&w, false, touches);
	cgroup_enter(FROZEN, w.pid);
	if (!write_file(FROZEN "/cgroup.freeze", "1"))
		FAIL(FROZEN ": %s", strerror_name(errno));
	while (!is_frozen()) {
		CHECK(!w.held.ended);
		sleep_ms(1);
	}
	/* The transition ends without it. */
	held_end(&w.held);
	CHECK(is_frozen());
	CHECK(!w.said->done);
	CHECK(write_file(FROZEN "/cgroup.freeze", "0"));
	CHECK_EQ(wait_end(w.pid, "an access that was frozen"), 0);
	CHECK_EQ(w.said->value, 0xa1a2);
	rmdir(FROZEN);
}

static const struct test_case cases[] = {
	CASE_MMAP(handler_runs_while_a_bar_fault_waits),
	CASE_MMAP(handler_runs_while_a_buffer_fault_waits),
	CASE_MMAP(alarms_arrive),
	CASE_MMAP(handler_gives_the_access_up),
	CASE_MMAP(stopped_and_continued),
	CASE_MMAP(freezer_freezes),
};

TEST_MAIN(cases)
