/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/thread_hold does: an open file of it keeps one thread waiting where the
 * thread enters or leaves a kernel function of the test's choice, until the test
 * releases it. So a test sees what is so in the middle of a race, and need not win it.
 */
#ifndef THREAD_HOLD_H
#define THREAD_HOLD_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum thread_hold_where {
	THREAD_HOLD_ENTRY, /* before the function's first instruction */
	THREAD_HOLD_EXIT, /* after its last; at most six arguments, no struct by value */
};

enum thread_hold_whom {
	THREAD_HOLD_ANY,
	THREAD_HOLD_TID, /* the thread with this id */
	THREAD_HOLD_TGID, /* the first to come of this process */
	THREAD_HOLD_NOT_TID, /* the first to come but for this thread; 0: but for the caller */
};

/**
 * struct thread_hold_arm - whom to hold, and where
 * @function: symbol of a function that ftrace can trace, of a module or not. Compilers
 *	inline functions of one caller: such a one is ENOENT. Clones of theirs (.isra.0,
 *	.constprop.0) are held as the function itself.
 * @caller: symbol of the function that has to call it, such as one that takes a lock; empty: any
 * @where: enum thread_hold_where
 * @whom: enum thread_hold_whom
 * @id: what @whom compares with, an id of the initial PID namespace
 * @skip: so many passes of those threads are let through before one is held
 * @seconds: it is held for so long at most, so that a test that goes wrong is a failure
 *	and not a hang; for 10 s at most where it may not sleep and so spins. A thread that
 *	is killed does not wait.
 * @reserved: 0
 */
struct thread_hold_arm {
	char function[104];
	char caller[104];
	__u32 where;
	__u32 whom;
	__s32 id;
	__u32 skip;
	__u32 seconds;
	__u32 reserved;
};

/*
 * One thread is held for each call of this. EBUSY: the thread of the call before has not
 * gone on yet, or ftrace has the function for live patching. ENOENT: no such function.
 * EADDRNOTAVAIL: several. Threads in interrupts and idle ones are not held.
 */
#define THREAD_HOLD_ARM		_IOW('h', 1, struct thread_hold_arm)
/* Returns the id of the thread that is held now, or 0. */
#define THREAD_HOLD_HELD	_IO('h', 2)
/*
 * Returns that id as soon as a thread is held. The argument is a time in ms: ETIMEDOUT.
 * ETIME, ESRCH: one was, until its time was over or it was killed. EINVAL: not armed.
 */
#define THREAD_HOLD_WAIT	_IO('h', 3)
/*
 * Lets the thread go on, or if none came lets none be held. Returns 1 if one was held
 * until now, 0 if none was, or one that has not left the function. ETIME, ESRCH: as above.
 */
#define THREAD_HOLD_RELEASE	_IO('h', 4)
/* Returns how often such threads have entered the function since THREAD_HOLD_ARM. */
#define THREAD_HOLD_PASSES	_IO('h', 5)

#endif
