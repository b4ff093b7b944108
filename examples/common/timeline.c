// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "timeline.h"

static unsigned int passed, failed;
static void (*bottom_erase)(void), (*bottom_draw)(void);
static enum { ASK, YES, NO } terminal;

double timeline_now(void)
{
	static struct timespec start;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!start.tv_sec)
		start = now;
	return now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
}

void timeline_bottom(void (*erase)(void), void (*draw)(void))
{
	bottom_erase = erase;
	bottom_draw = draw;
}

void timeline_terminal(bool is_terminal)
{
	terminal = is_terminal ? YES : NO;
}

/* Colour is for eyes; a pipe gets plain lines. */
bool timeline_colours(void)
{
	const char *no = getenv("NO_COLOR");

	if (no && *no)
		return false;
	return terminal == ASK ? isatty(STDOUT_FILENO) : terminal == YES;
}

static void print_line(const char *who, const char *mark, const char *colour, const char *fmt,
		       va_list ap)
{
	bool colours = timeline_colours();

	if (bottom_erase)
		bottom_erase();
	printf("%8.3f s  %-9s %s%-6s%s ", timeline_now(), who, colours ? colour : "", mark,
	       colours ? "\033[0m" : "");
	vprintf(fmt, ap);
	putchar('\n');
	if (bottom_draw)
		bottom_draw();
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
