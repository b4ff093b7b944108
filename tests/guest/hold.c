// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../modules/thread_hold.h"
#include "hold.h"

static int open_node(const char *module)
{
	char node[32], command[48];
	int fd;

	snprintf(node, sizeof(node), "/dev/%s", module);
	snprintf(command, sizeof(command), "modprobe %s", module);
	if (access(node, F_OK) && system(command))
		FAIL("this guest has no module %s", module);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		FAIL("%s: %s", node, strerror_name(errno));
	return fd;
}

int try_hold_arm_at(const struct hold_at *at)
{
	struct thread_hold_arm arm = {
		.where = at->exit ? THREAD_HOLD_EXIT : THREAD_HOLD_ENTRY,
		.skip = at->skip,
		/* A case that hangs has been looked at by then. */
		.seconds = at->seconds	 ? at->seconds :
			   slow_kernel() ? 102 :
					   22,
	};
	int fd = open_node("thread_hold"), err;

	CHECK(strlen(at->function) < sizeof(arm.function));
	strcpy(arm.function, at->function);
	if (at->caller) {
		CHECK(strlen(at->caller) < sizeof(arm.caller));
		strcpy(arm.caller, at->caller);
	}
	if (at->tid) {
		arm.whom = THREAD_HOLD_TID;
		arm.id = at->tid;
	} else if (at->tgid) {
		arm.whom = THREAD_HOLD_TGID;
		arm.id = at->tgid;
	} else if (at->not_me) {
		arm.whom = THREAD_HOLD_NOT_TID;
	}
	if (ioctl(fd, THREAD_HOLD_ARM, &arm) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int hold_arm_at(const struct hold_at *at)
{
	int fd = try_hold_arm_at(at);

	if (fd < 0)
		FAIL("no thread can be held at %s: %s", at->function, strerror_name(errno));
	return fd;
}

pid_t hold_wait(int hold)
{
	int tid = ioctl(hold, THREAD_HOLD_WAIT, slow_kernel() ? 50000 : 10000);

	if (tid < 0)
		FAIL("no thread is held: %s after %u passes", strerror_name(errno),
		     hold_passes(hold));
	return tid;
}

pid_t hold_held(int hold)
{
	return OK(ioctl(hold, THREAD_HOLD_HELD));
}

int try_hold_release(int hold)
{
	int held = ioctl(hold, THREAD_HOLD_RELEASE);

	if (held == 1)
		return 0;
	if (held == 0)
		errno = 0;
	return -1;
}

void hold_release(int hold)
{
	if (try_hold_release(hold))
		FAIL("no thread was held until now: %s after %u passes",
		     errno ? strerror_name(errno) : "none came", hold_passes(hold));
}

unsigned int hold_passes(int hold)
{
	return OK(ioctl(hold, THREAD_HOLD_PASSES));
}

void run_on(pid_t tid, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	OK(sched_setaffinity(tid, sizeof(set), &set));
}

int zap_watch(const volatile void *start, size_t size)
{
	struct zap_watch_range range = { .start = (uintptr_t)start, .length = size };
	int fd = open_node("zap_watch");

	OK(ioctl(fd, ZAP_WATCH, &range));
	return fd;
}

unsigned int zap_watch_seen(int watch)
{
	return OK(ioctl(watch, ZAP_WATCH_SEEN));
}
