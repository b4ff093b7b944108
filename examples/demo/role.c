// SPDX-License-Identifier: MIT
#include <err.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <barbuf.h>

#include "report.h"
#include "role.h"

static void print(const struct attempt *a)
{
	char *line = attempt_line(a);

	if (!line)
		errx(1, "'%s' cannot be told", a->what);
	puts(line);
	fflush(stdout);
	free(line);
}

void tell(const char *wanted, const char *got, const char *what, ...)
{
	struct attempt a = { .say = "" };
	va_list ap;

	snprintf(a.wanted, sizeof(a.wanted), "%s", wanted);
	snprintf(a.got, sizeof(a.got), "%s", got);
	va_start(ap, what);
	vsnprintf(a.what, sizeof(a.what), what, ap);
	va_end(ap);
	print(&a);
}

void tell_state(const char *state)
{
	struct attempt a = { .what = "" };

	snprintf(a.say, sizeof(a.say), "%s", state);
	print(&a);
}

const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return !error ? "works" : name ? name : "an unknown errno";
}

const char *outcome(long ret)
{
	return ret < 0 ? errno_name(errno) : "works";
}

const char *outcome_of_mmap(void *p)
{
	return p == MAP_FAILED ? errno_name(errno) : "works";
}

static sigjmp_buf back;
static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
	siglongjmp(back, 1);
}

const char *touch(volatile void *addr, enum touch how)
{
	struct sigaction action = { .sa_handler = on_signal }, segv, bus;
	volatile uint16_t *word = addr;

	caught = 0;
	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	if (!sigsetjmp(back, 1)) {
		if (how == TOUCH_READ)
			(void)*word;
		else
			*word = 0xffff;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return !caught ? "works" : caught == SIGBUS ? "SIGBUS" : "SIGSEGV";
}

struct blk_client *role_lease(const char *socket, int queue)
{
	struct blk_client_options o = { .queue = queue, .primary = 0 };
	struct blk_client *c;
	char why[300];
	int ret;

	ret = barbuf_guard_install();
	if (ret)
		errx(1, "the guard against SIGBUS: %s", strerror(-ret));
	if (blk_client_open(&c, socket, &o, why, sizeof(why)))
		errx(1, "queue %d: %s", queue, why);
	return c;
}

int role_request(struct blk_client *c, int slot, enum blk_op op, uint64_t block)
{
	struct blk_completion done;
	int ret = blk_client_submit(c, slot, op, block);

	if (!ret)
		ret = blk_client_ring(c);
	if (!ret)
		ret = blk_client_wait(c, ROLE_WAIT_MS);
	if (!ret)
		ret = blk_client_reap(c, &done, 1) == 1 ? done.error : -EIO;
	return ret;
}
