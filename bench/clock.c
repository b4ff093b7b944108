// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <time.h>

#include "bench.h"

#define NR_EMPTY 1001
#define LOOPS 1000000

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static int compare(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x;
	uint64_t b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

uint64_t median(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof(values[0]), compare);
	return values[n / 2];
}

uint64_t clock_overhead(void)
{
	static uint64_t overhead;
	uint64_t empty[NR_EMPTY];
	size_t i;

	if (overhead)
		return overhead;
	for (i = 0; i < NR_EMPTY; i++) {
		uint64_t start = now_ns();

		empty[i] = now_ns() - start;
	}
	overhead = median(empty, NR_EMPTY);
	return overhead;
}

double ns_per_instruction(void)
{
	uint64_t best = UINT64_MAX;
	int i;

	/* The quickest of a few: an interrupt only ever adds. */
	for (i = 0; i < 5; i++) {
		uint64_t start = now_ns();
		uint64_t n = LOOPS;
		uint64_t took;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		took = now_ns() - start - clock_overhead();
		if (took < best)
			best = took;
	}
	return best / (2.0 * LOOPS);
}
