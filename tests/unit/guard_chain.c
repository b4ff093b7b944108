// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is no access of the library's goes to whatever had SIGBUS before, and as it
 * was meant to get it. Each case is a process, as the handler is installed once.
 */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <barbuf.h>

#include "pages.h"
#include "tap.h"

static volatile char *good, *bad;

/* In a child: leave with the line that is wrong. */
#define MUST(cond)                              \
	do {                                    \
		if (!(cond))                    \
			_exit(__LINE__ & 0xff); \
	} while (0)

/* What the program's handler saw. */
static volatile int calls;
static volatile siginfo_t seen;
static volatile sigset_t seen_mask;
static void *volatile seen_context;
static volatile uintptr_t seen_stack;
static sigjmp_buf landing;

static void look(void)
{
	char here;

	calls++;
	seen_stack = (uintptr_t)&here;
	pthread_sigmask(SIG_BLOCK, NULL, (sigset_t *)&seen_mask);
}

/* A fault would repeat on return: go on elsewhere. */
static void plain(int sig)
{
	look();
	if (sig != SIGBUS)
		_exit(99);
	siglongjmp(landing, 1);
}

static void plain_returns(int sig)
{
	look();
}

static void with_info(int sig, siginfo_t *info, void *ucontext)
{
	look();
	memcpy((void *)&seen, info, sizeof(*info));
	seen_context = ucontext;
	if (info->si_code > 0)
		siglongjmp(landing, 1);
}

/* Install ours over @handler, and show that ours works. */
static void over(void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };
	uint32_t v = 3;

	if (flags & SA_SIGINFO)
		sa.sa_sigaction = with_info;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR1);
	MUST(!sigaction(SIGBUS, &sa, NULL));
	MUST(!barbuf_guard_install());
	MUST(barbuf_read32(bad, &v) == -EIO && v == 3);
	MUST(!barbuf_read32(good, &v));
	MUST(calls == 0);
}

static void bare_access(void)
{
	if (!sigsetjmp(landing, 1))
		(void)*bad;
}

static int default_fault(void)
{
	over(SIG_DFL, 0);
	return *bad;
}

static int default_kill(void)
{
	over(SIG_DFL, 0);
	kill(getpid(), SIGBUS);
	return 0;
}

static int send_code(int code)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = code };

	return syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info);
}

/* A memory error that nobody has met yet: told, but nothing repeats. */
static int default_memory_error(void)
{
	over(SIG_DFL, 0);
	MUST(!send_code(BUS_MCEERR_AO));
	return 0;
}

static int ignored_kill(void)
{
	over(SIG_IGN, 0);
	MUST(!kill(getpid(), SIGBUS));
	MUST(!raise(SIGBUS));
	return 0;
}

static int ignored_memory_error(void)
{
	over(SIG_IGN, 0);
	MUST(!send_code(BUS_MCEERR_AO));
	return 0;
}

static int ignored_fault(void)
{
	over(SIG_IGN, 0);
	return *bad;
}

static int plain_handler(void)
{
	over(plain, 0);
	bare_access();
	MUST(calls == 1);
	bare_access();
	MUST(calls == 2);
	MUST(barbuf_write8(bad, 1) == -EIO && calls == 2);
	return 0;
}

static int plain_handler_kill(void)
{
	over(plain_returns, 0);
	kill(getpid(), SIGBUS);
	MUST(calls == 1);
	MUST(barbuf_write8(bad, 1) == -EIO && calls == 1);
	return 0;
}

static int info_handler(void)
{
	over(NULL, SA_SIGINFO);
	bare_access();
	MUST(calls == 1 && seen.si_signo == SIGBUS && seen.si_code == BUS_ADRERR);
	MUST(seen.si_addr == bad && seen_context);
	kill(getpid(), SIGBUS);
	MUST(calls == 2 && seen.si_code == SI_USER && seen.si_pid == getpid());
	return 0;
}

static int handlers_mask(void)
{
	sigset_t now;

	over(plain, 0);
	bare_access();
	MUST(sigismember((sigset_t *)&seen_mask, SIGUSR1));
	MUST(sigismember((sigset_t *)&seen_mask, SIGBUS));
	MUST(!sigismember((sigset_t *)&seen_mask, SIGUSR2));
	sigprocmask(SIG_SETMASK, NULL, &now);
	MUST(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGBUS));
	return 0;
}

static int handlers_mask_after_return(void)
{
	sigset_t now;

	over(plain_returns, 0);
	kill(getpid(), SIGBUS);
	MUST(calls == 1 && sigismember((sigset_t *)&seen_mask, SIGUSR1));
	sigprocmask(SIG_SETMASK, NULL, &now);
	MUST(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGBUS));
	return 0;
}

static int handler_nodefer(void)
{
	over(plain, SA_NODEFER);
	bare_access();
	MUST(calls == 1 && !sigismember((sigset_t *)&seen_mask, SIGBUS));
	MUST(sigismember((sigset_t *)&seen_mask, SIGUSR1));
	return 0;
}

static int handler_once(void)
{
	over(plain, SA_RESETHAND);
	bare_access();
	MUST(calls == 1);
	MUST(barbuf_write8(bad, 1) == -EIO);
	kill(getpid(), SIGUSR2); /* not reached by a handler that is still there */
	return 0;
}

static int handler_twice_when_once(void)
{
	over(plain, SA_RESETHAND);
	bare_access();
	MUST(calls == 1);
	bare_access();
	return 0;
}

static int alternate_stack(void)
{
	size_t size = 1 << 16;
	stack_t stack = { .ss_sp = malloc(size), .ss_size = size };

	MUST(stack.ss_sp && !sigaltstack(&stack, NULL));
	over(plain, SA_ONSTACK);
	bare_access();
	MUST(calls == 1 && seen_stack - (uintptr_t)stack.ss_sp < size);
	return 0;
}

/* Whether a signal that is sent ends a system call stays as it was. */
static int restart_is_kept(void)
{
	struct sigaction now;

	over(plain, SA_RESTART);
	MUST(!sigaction(SIGBUS, NULL, &now) && now.sa_flags & SA_RESTART);
	return 0;
}

static int restart_is_not_added(void)
{
	struct sigaction now;

	over(plain, 0);
	MUST(!sigaction(SIGBUS, NULL, &now) && !(now.sa_flags & SA_RESTART));
	return 0;
}

static int installed_again(void)
{
	over(plain, 0);
	MUST(!barbuf_guard_install() && !barbuf_guard_install());
	bare_access();
	MUST(calls == 1);
	MUST(barbuf_write8(bad, 1) == -EIO && calls == 1);
	return 0;
}

static struct sigaction below;
static volatile int top_calls;

/* A handler put on top of ours that hands down what it has no use for. */
static void top(int sig, siginfo_t *info, void *ucontext)
{
	top_calls++;
	below.sa_sigaction(sig, info, ucontext);
}

static void put_on_top(void)
{
	struct sigaction sa = { .sa_sigaction = top, .sa_flags = SA_SIGINFO };

	MUST(!sigaction(SIGBUS, &sa, &below));
	MUST(!barbuf_guard_install());
}

static int under_another(void)
{
	over(plain, 0);
	put_on_top();
	MUST(barbuf_write8(bad, 1) == -EIO && top_calls == 1 && calls == 0);
	bare_access();
	MUST(top_calls == 2 && calls == 1);
	return 0;
}

static int under_another_over_default(void)
{
	over(SIG_DFL, 0);
	put_on_top();
	return *bad;
}

static int installed_after_default(void)
{
	over(plain, 0);
	signal(SIGBUS, SIG_DFL);
	MUST(!barbuf_guard_install());
	MUST(barbuf_write8(bad, 1) == -EIO && calls == 0);
	return *bad; /* the default is the former one now */
}

static void own(int sig, siginfo_t *info, void *ucontext)
{
	calls++;
	if (info->si_code > 0 && barbuf_guard_handle(ucontext))
		return;
	siglongjmp(landing, 1);
}

static int own_handler(void)
{
	struct sigaction sa = { .sa_sigaction = own, .sa_flags = SA_SIGINFO };
	ucontext_t here;

	MUST(!sigaction(SIGBUS, &sa, NULL));
	MUST(barbuf_write8(bad, 1) == -EIO && calls == 1);
	bare_access();
	MUST(calls == 2);
	MUST(!getcontext(&here) && !barbuf_guard_handle(&here));
	return 0;
}

static void *install_and_access(void *arg)
{
	pthread_barrier_t *barrier = arg;
	uintptr_t wrong = 0;
	uint32_t v;
	int i;

	pthread_barrier_wait(barrier);
	wrong += barbuf_guard_install() != 0;
	for (i = 0; i < 100; i++)
		wrong += barbuf_read32(bad, &v) != -EIO;
	return (void *)wrong;
}

static int install_race(void)
{
	struct sigaction sa = { .sa_handler = plain };
	pthread_barrier_t barrier;
	pthread_t t[8];
	void *wrong;
	int i;

	MUST(!sigaction(SIGBUS, &sa, NULL));
	pthread_barrier_init(&barrier, NULL, 8);
	for (i = 0; i < 8; i++)
		MUST(!pthread_create(&t[i], NULL, install_and_access, &barrier));
	for (i = 0; i < 8; i++) {
		pthread_join(t[i], &wrong);
		MUST(!wrong);
	}
	MUST(calls == 0);
	bare_access();
	MUST(calls == 1);
	return 0;
}

static atomic_int stop, sent, arrived;

static void count(int sig, siginfo_t *info, void *ucontext)
{
	arrived++;
}

static void *send_many(void *arg)
{
	pthread_t *to = arg;
	int before;

	while (!stop) {
		before = arrived;
		pthread_kill(*to, SIGBUS);
		sent++;
		while (arrived == before && !stop)
			sched_yield();
	}
	return NULL;
}

/* One that was sent while an access was at its instruction is not that access's. */
static int sent_during_accesses(void)
{
	struct sigaction sa = { .sa_sigaction = count, .sa_flags = SA_SIGINFO };
	pthread_t self = pthread_self(), t;
	uint64_t v;

	MUST(!sigaction(SIGBUS, &sa, NULL) && !barbuf_guard_install());
	MUST(!pthread_create(&t, NULL, send_many, &self));
	while (arrived < 2000)
		MUST(!barbuf_read64(good, &v) && !barbuf_write64(good, v));
	stop = 1;
	pthread_join(t, NULL);
	MUST(arrived == sent);
	return 0;
}

static void *trace[32];
static volatile int nr_trace;

static void take_trace(int sig)
{
	nr_trace = backtrace(trace, 32);
	siglongjmp(landing, 1);
}

__attribute__((noinline)) static int the_caller(void *nowhere)
{
	int ret = barbuf_copy_from(nowhere, good, 64);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return ret;
}

static int unwinds(void);

static bool in_caller(const void *pc)
{
	uintptr_t start = (uintptr_t)the_caller, next = (uintptr_t)unwinds;

	return (uintptr_t)pc - start < (next - start < 256 ? next - start : 256);
}

/* Debuggers and crash handlers find their way out of an access. */
static int unwinds(void)
{
	void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	MUST(nowhere != MAP_FAILED);
	backtrace(trace, 1); /* loads libgcc */
	signal(SIGSEGV, take_trace);
	if (!sigsetjmp(landing, 1))
		the_caller(nowhere);
	for (i = 0; i < nr_trace; i++)
		if (in_caller(trace[i]))
			return 0;
	return 1;
}

static void lives(int (*fn)(void), const char *what)
{
	int status = in_child(fn);

	CHECK(EXITED_0(status), "%s (status %#x, line %d)", what, status,
	      WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

static void dies(int (*fn)(void), const char *what)
{
	int status = in_child(fn);

	CHECK(KILLED_BY(status, SIGBUS), "%s (status %#x)", what, status);
}

int main(void)
{
	good = pages_map(1, 1);
	if (!CHECK(good, "a page and one past the end"))
		return tap_done();
	bad = good + sysconf(_SC_PAGESIZE);

	dies(default_fault, "over the default: a fault elsewhere kills");
	dies(default_kill, "over the default: kill() kills");
	lives(ignored_kill, "over an ignored SIGBUS: what was sent is ignored");
	dies(ignored_fault, "over an ignored SIGBUS: a fault kills");
	if (USER_EMULATION) {
		tap_skip("a memory error that is only told",
			 "user emulation cannot deliver a siginfo of ours");
	} else {
		dies(default_memory_error,
		     "over the default: a memory error that is only told kills");
		lives(ignored_memory_error, "over an ignored SIGBUS it is ignored");
	}
	lives(plain_handler, "a plain handler gets faults elsewhere, and only those");
	lives(plain_handler_kill, "a plain handler gets what was sent");
	lives(info_handler, "a handler with SA_SIGINFO gets the siginfo and the context");
	lives(handlers_mask, "a handler runs with its mask, and no more");
	lives(handlers_mask_after_return, "which is gone after it");
	lives(handler_nodefer, "SA_NODEFER is kept");
	dies(handler_twice_when_once, "with SA_RESETHAND the second fault kills");
	CHECK(KILLED_BY(in_child(handler_once), SIGUSR2),
	      "and accesses survive after the first all the same");
	lives(alternate_stack, "SA_ONSTACK is kept");
	lives(restart_is_kept, "SA_RESTART is kept");
	lives(restart_is_not_added, "and not added");
	lives(installed_again, "installing it again changes nothing");
	lives(under_another, "a handler on top that hands down is left on top");
	dies(under_another_over_default, "and there is no circle");
	dies(installed_after_default, "it can be installed again over the default");
	lives(own_handler, "a program's own handler calls barbuf_guard_handle()");
	lives(install_race, "eight threads install it at once");
	lives(sent_during_accesses, "2000 SIGBUS sent to a thread in its accesses fail none");
	lives(unwinds, "the stack can be unwound from within an access");
	return tap_done();
}
