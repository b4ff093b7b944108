// SPDX-License-Identifier: MIT
#include <string.h>

#include "histogram.h"

/* Below 2^(BITS + 1) each value has its bucket. Above, the first BITS + 1 bits choose it. */
static uint32_t index_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < 2u << HISTOGRAM_BITS)
		return ns;
	shift = 63 - __builtin_clzll(ns) - HISTOGRAM_BITS;
	return (shift << HISTOGRAM_BITS) + (ns >> shift);
}

static uint64_t end_of(uint32_t index)
{
	unsigned int shift;

	if (index < 2u << HISTOGRAM_BITS)
		return index;
	shift = (index >> HISTOGRAM_BITS) - 1;
	return ((uint64_t)(index - (shift << HISTOGRAM_BITS) + 1) << shift) - 1;
}

_Static_assert(HISTOGRAM_MAX >> (39 - HISTOGRAM_BITS) == (2 << HISTOGRAM_BITS) - 1,
	       "the longest time is in the last bucket");

void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	if (ns > HISTOGRAM_MAX)
		ns = HISTOGRAM_MAX;
	h->bucket[index_of(ns)]++;
	h->count++;
	if (ns > h->max)
		h->max = ns;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
	uint64_t want = part * h->count, seen = 0;
	uint32_t i;

	if (!h->count)
		return 0;
	/* The smallest number of them that is not less than the part, and one at least. */
	if (want < part * h->count)
		want++;
	if (!want)
		want = 1;
	for (i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen >= want)
			break;
	}
	return end_of(i) < h->max ? end_of(i) : h->max;
}
