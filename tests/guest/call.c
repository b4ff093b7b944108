// SPDX-License-Identifier: GPL-2.0-only
#include <unistd.h>

#include "call.h"

static void *run_call(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->tid, gettid(), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&call->go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	call->error = call->fn(call->arg) < 0 ? errno : 0;
	__atomic_store_n(&call->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

void call_prepare(struct call *call, int (*fn)(void *arg), void *arg)
{
	*call = (struct call){ .fn = fn, .arg = arg };
	CHECK(pthread_create(&call->thread, NULL, run_call, call) == 0);
	wait_for(&call->tid, "a thread");
}

void call_go(struct call *call)
{
	__atomic_store_n(&call->go, 1, __ATOMIC_SEQ_CST);
}

void call_begin(struct call *call, int (*fn)(void *arg), void *arg)
{
	call_prepare(call, fn, arg);
	call_go(call);
}

void call_wait_asleep_in(struct call *call, const char *function)
{
	uint64_t end = timeout();

	while (!is_asleep_in(call->tid, function)) {
		if (__atomic_load_n(&call->ended, __ATOMIC_SEQ_CST))
			FAIL("it ended with %s and did not wait in %s",
			     call->error ? strerror_name(call->error) : "success", function);
		/* Says where it is. */
		if (now_ns() > end)
			wait_asleep_in(call->tid, function);
		sleep_ms(1);
	}
}

int call_end(struct call *call)
{
	wait_for(&call->ended, "the end of a call");
	CHECK(pthread_join(call->thread, NULL) == 0);
	return call->error;
}
