// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "pin.h"

#define STACK_RESERVE (64 << 10)

static __attribute__((noinline)) void grow_stack(void)
{
	char reserve[STACK_RESERVE];

	explicit_bzero(reserve, sizeof(reserve));
}

int pin_memory(void)
{
	struct timespec now;

	grow_stack();
	/* The first call maps the kernel's clock page, which mlockall() does not. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return mlockall(MCL_CURRENT) ? -errno : 0;
}
