/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Test Anything Protocol in one header. A program runs its cases one after
 * the other, each CHECK is one counted point, and `return tap_done();` ends main.
 *
 *	static void adds_up(void)
 *	{
 *		CHECK(1 + 1 == 2, "1 + 1 is %d", 1 + 1);
 *	}
 *
 * Not for threads: count in the thread, CHECK after the join.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static struct {
	unsigned int points, failed, skipped;
} tap;

__attribute__((format(printf, 4, 5), unused)) static bool tap_point(bool ok, const char *file,
								    int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %u - ", ok ? "" : "not ", ++tap.points);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!ok) {
		tap.failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return ok;
}

/*
 * A point of its own that says what holds. Worth what the condition was, which
 * is evaluated before the values that are printed.
 */
#define CHECK(cond, ...)                                            \
	({                                                          \
		bool tap_ok = (cond);                               \
		tap_point(tap_ok, __FILE__, __LINE__, __VA_ARGS__); \
	})

/* As CHECK(), and leaves the (void) function when the rest makes no sense. */
#define REQUIRE(cond, ...)                     \
	do {                                   \
		if (!CHECK(cond, __VA_ARGS__)) \
			return;                \
	} while (0)

__attribute__((format(printf, 2, 3), unused)) static void tap_skip(const char *what,
								   const char *why, ...)
{
	va_list ap;

	tap.skipped++;
	printf("ok %u - %s # SKIP ", ++tap.points, what);
	va_start(ap, why);
	vprintf(why, ap);
	va_end(ap);
	putchar('\n');
}

/* Print the plan; returns the exit status. A program without a point has failed. */
__attribute__((unused)) static int tap_done(void)
{
	printf("1..%u\n", tap.points);
	printf("# %u passed, %u failed, %u skipped\n", tap.points - tap.failed - tap.skipped,
	       tap.failed, tap.skipped);
	fflush(stdout);
	return tap.failed || !tap.points;
}

#endif
