// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

#include <barbuf.h>

/* Where this thread's guarded access goes on after a SIGBUS; NULL outside of one. */
static _Thread_local sigjmp_buf *volatile landing;

static void on_sigbus(int sig)
{
	if (landing)
		siglongjmp(*landing, 1);
	/* The access is repeated on return, and then ends the process. */
	signal(SIGBUS, SIG_DFL);
}

int barbuf_guard_install(void)
{
	/*
	 * SA_NODEFER: siglongjmp() leaves the handler without a sigreturn, and
	 * saving the signal mask would cost each access a system call.
	 */
	struct sigaction sa = { .sa_handler = on_sigbus, .sa_flags = SA_NODEFER };

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) ? -errno : 0;
}

#define GUARDED(access)                  \
	do {                             \
		sigjmp_buf env;          \
                                         \
		if (sigsetjmp(env, 0)) { \
			landing = NULL;  \
			return -EIO;     \
		}                        \
		landing = &env;          \
		access;                  \
		landing = NULL;          \
	} while (0)

#define DEFINE_ACCESS(bits)                                                     \
	int barbuf_read##bits(const volatile void *addr, uint##bits##_t *value) \
	{                                                                       \
		uint##bits##_t v;                                               \
                                                                                \
		GUARDED(v = *(const volatile uint##bits##_t *)addr);            \
		*value = v;                                                     \
		return 0;                                                       \
	}                                                                       \
                                                                                \
	int barbuf_write##bits(volatile void *addr, uint##bits##_t value)       \
	{                                                                       \
		GUARDED(*(volatile uint##bits##_t *)addr = value);              \
		return 0;                                                       \
	}

DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
