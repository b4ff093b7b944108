/* SPDX-License-Identifier: MIT */
/*
 * Times, counted in buckets whose width grows with the time, as HdrHistogram does: 64 of equal
 * width for each power of two, so that a time is known to 1.6 %, in memory that does not grow.
 */
#ifndef BLK_HISTOGRAM_H
#define BLK_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 6 /* 64 buckets for each power of two */
#define HISTOGRAM_MAX ((1ull << 40) - 1) /* ns, 18 minutes; longer times count as this */
#define HISTOGRAM_BUCKETS ((40 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count, max;
	uint32_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t ns);
/* The time that @part of them (0 to 1) did not exceed, rounded up to its bucket's end but not
 * over the longest. 0: there are none. */
uint64_t histogram_at(const struct histogram *h, double part);

#endif
