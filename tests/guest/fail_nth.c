// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fail_nth.h"
#include "harness.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"

static void setting(const char *name, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	if (!write_file(path, value))
		SKIP("%s: %s", path, strerror_name(errno));
}

void fail_nth_prepare(void)
{
	if (access(FAIL_NTH, F_OK))
		SKIP("this kernel has no fault injection");
	/* Allocations that may sleep fail too, and nobody prints a stack each time. */
	setting("failslab/ignore-gfp-wait", "N");
	setting("failslab/verbose", "0");
	setting("fail_page_alloc/ignore-gfp-wait", "N");
	setting("fail_page_alloc/min-order", "0");
	setting("fail_page_alloc/verbose", "0");
}

/* Open all the time: to open it while a failure is armed might be what fails. */
static int fail_nth_fd = -1;

void fail_nth(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (fail_nth_fd < 0)
		fail_nth_fd = OK(open(FAIL_NTH, O_RDWR | O_CLOEXEC));
	CHECK_EQ(pwrite(fail_nth_fd, text, len, 0), len);
}

bool did_fail(void)
{
	char text[16] = "";

	CHECK(pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0);
	return atoi(text) == 0;
}
