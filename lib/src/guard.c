// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The handler of SIGBUS. An access of ours is known by its instruction, so nothing
 * has to be set up before it and nothing is kept per thread.
 *
 * What was there before is called as the kernel would have called it, as far as a
 * handler can do that.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <barbuf.h>

#include "access.h"

static const struct sigaction default_action = { .sa_handler = SIG_DFL };
static const struct sigaction ignore_action = { .sa_handler = SIG_IGN };

/*
 * What was there before; the only state of the library. Set before our handler
 * can run. Two places, because the action may be changed by another thread
 * between asking for it and replacing it; each is written once at most, so a
 * handler may read what @former points to without a lock.
 */
static struct sigaction found[2];
static unsigned int nr_found;
static const struct sigaction *_Atomic former = &default_action;

/* Of installing. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool barbuf_guard_handle(void *ucontext)
{
	ucontext_t *uc = ucontext;
	const struct barbuf__fixup *f;
#ifdef __x86_64__
	greg_t *pc = &uc->uc_mcontext.gregs[REG_RIP];
#else
	unsigned long long *pc = &uc->uc_mcontext.pc;
#endif

	for (f = barbuf__fixups; f < barbuf__fixups_end; f++) {
		if ((uintptr_t)*pc == (uintptr_t)&f->access + f->access) {
			*pc = (uintptr_t)&f->exit + f->exit;
			return true;
		}
	}
	return false;
}

/* Did this thread's own instruction raise it, and will raise it again? */
static bool is_synchronous(const siginfo_t *info)
{
	/* kill() and the like have codes up to 0. A memory error found elsewhere is only told. */
	return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

static void die(int sig, siginfo_t *info)
{
	sigaction(sig, &default_action, NULL);
	/* A fault repeats on return, with its own siginfo; nothing else does. */
	if (!is_synchronous(info))
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info);
}

static void chain(int sig, siginfo_t *info, void *ucontext)
{
	const struct sigaction *sa = atomic_load(&former);
	sigset_t block;

	/* A handler for one signal: whoever comes first has it. */
	if (sa->sa_flags & (int)SA_RESETHAND &&
	    !atomic_compare_exchange_strong(&former, &sa, &default_action))
		sa = &default_action;

	if (sa->sa_handler == SIG_IGN && !is_synchronous(info))
		return;
	/* The kernel kills, too, when a fault's signal is ignored. */
	if (sa->sa_handler == SIG_DFL || sa->sa_handler == SIG_IGN) {
		die(sig, info);
		return;
	}

	/* The handler's own mask. The interrupted one comes back with sigreturn. */
	block = sa->sa_mask;
	if (!(sa->sa_flags & SA_NODEFER))
		sigaddset(&block, sig);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	if (sa->sa_flags & SA_SIGINFO)
		sa->sa_sigaction(sig, info, ucontext);
	else
		sa->sa_handler(sig);
}

static void on_sigbus(int sig, siginfo_t *info, void *ucontext)
{
	if (!is_synchronous(info) || !barbuf_guard_handle(ucontext))
		chain(sig, info, ucontext);
}

static bool is_handler(const struct sigaction *sa)
{
	return sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN;
}

static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags;
}

static void set_former(const struct sigaction *sa)
{
	if (sa->sa_handler == SIG_DFL) {
		atomic_store(&former, &default_action);
	} else if (sa->sa_handler == SIG_IGN) {
		atomic_store(&former, &ignore_action);
	} else if (nr_found < 2) {
		found[nr_found] = *sa;
		atomic_store(&former, &found[nr_found++]);
	}
}

int barbuf_guard_install(void)
{
	/*
	 * SA_NODEFER: a handler of another signal may interrupt ours, and its accesses
	 * shall survive, too.
	 */
	struct sigaction sa = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	struct sigaction now;
	static bool installed;
	int ret = 0;

	sigemptyset(&sa.sa_mask);
	pthread_mutex_lock(&lock);
	if (sigaction(SIGBUS, NULL, &now)) {
		ret = -errno;
		goto out;
	}
	if (now.sa_handler == sa.sa_handler)
		goto out;
	/* Put on top of ours since. It may call ours, which must then not call it. */
	if (installed && is_handler(&now))
		goto out;

	set_former(&now);
	/* As for the former one: does a signal end a system call? */
	if (now.sa_handler == SIG_IGN)
		sa.sa_flags |= SA_RESTART;
	else
		sa.sa_flags |= now.sa_flags & SA_RESTART;
	if (sigaction(SIGBUS, &sa, &now)) {
		ret = -errno;
		goto out;
	}
	if (!same_action(&now, atomic_load(&former)))
		set_former(&now);
	installed = true;
out:
	pthread_mutex_unlock(&lock);
	return ret;
}
