// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lend.h"

static unsigned int passed, failed;

static double since_start(void)
{
	static struct timespec start;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!start.tv_sec)
		start = now;
	return now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
}

/* Colour is for eyes; a pipe gets plain lines. */
static void print_line(const char *who, const char *mark, const char *colour, const char *fmt,
		       va_list ap)
{
	bool tty = isatty(STDOUT_FILENO);

	printf("%8.3f s  %-9s %s%-6s%s ", since_start(), who, tty ? colour : "", mark,
	       tty ? "\033[0m" : "");
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
}

void say(const char *who, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(who, "", "", fmt, ap);
	va_end(ap);
}

bool claim(const char *who, bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds)
		passed++;
	else
		failed++;
	va_start(ap, fmt);
	print_line(who, holds ? "ok" : "FAILED", holds ? "\033[32m" : "\033[31m", fmt, ap);
	va_end(ap);
	return holds;
}

int timeline_end(void)
{
	printf("%u passed, %u failed\n", passed, failed);
	fflush(stdout);
	return failed || !passed;
}
