/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A call that may wait in the kernel, by a thread of its own.
 */
#ifndef BARBUF_TESTS_CALL_H
#define BARBUF_TESTS_CALL_H

#include <pthread.h>

#include "harness.h"

struct call {
	int (*fn)(void *arg); /* negative and errno: it failed */
	void *arg;
	pthread_t thread;
	volatile pid_t tid;
	volatile int go, ended;
	int error; /* errno, or 0 */
};

/* The thread exists, so that one can hold it, and waits for call_go(). */
void call_prepare(struct call *call, int (*fn)(void *arg), void *arg);
void call_go(struct call *call);
/* Both at once. */
void call_begin(struct call *call, int (*fn)(void *arg), void *arg);
/* Returns when it is asleep in such a function; fails if it ends before. */
void call_wait_asleep_in(struct call *call, const char *function);
/* Returns at its end, with the errno that it failed with, or 0. */
int call_end(struct call *call);

#endif
