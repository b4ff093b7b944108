// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <time.h>

#include "bench.h"

#define NR_EMPTY 1001
#define LOOPS 1000000

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

uint64_t now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
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

uint64_t smallest(const uint64_t *values, size_t n)
{
	uint64_t least = values[0];
	size_t i;

	for (i = 1; i < n; i++)
		if (values[i] < least)
			least = values[i];
	return least;
}

/* What two readings with nothing between them are apart. */
static uint64_t overhead_of(uint64_t (*clock)(void))
{
	uint64_t empty[NR_EMPTY];
	size_t i;

	for (i = 0; i < NR_EMPTY; i++) {
		uint64_t start = clock();

		empty[i] = clock() - start;
	}
	return median(empty, NR_EMPTY);
}

/* @overhead: of this clock, measured when it is 0. */
static uint64_t without_overhead(uint64_t took, uint64_t (*clock)(void), uint64_t *overhead)
{
	if (!*overhead)
		*overhead = overhead_of(clock);
	return took > *overhead ? took - *overhead : 0;
}

uint64_t since(uint64_t start)
{
	uint64_t took = now_ns() - start;
	static uint64_t overhead;

	return without_overhead(took, now_ns, &overhead);
}

uint64_t cpu_since(uint64_t start)
{
	uint64_t took = cpu_ns() - start;
	static uint64_t overhead;

	return without_overhead(took, cpu_ns, &overhead);
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
		took = since(start);
		if (took < best)
			best = took;
	}
	return best / (2.0 * LOOPS);
}
