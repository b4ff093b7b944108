/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's layout of a buffer, held against a naive one.
 *
 *	oracle.c     bytes become a list of ranges and questions about it; each
 *	             answer of the kernel's code is compared with a linear walk
 *	random.c     feeds it seeded random bytes, as a test
 *	libfuzzer.c  feeds it what libFuzzer finds, where clang has that
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>
#include <stdint.h>

#define NR_LEAVES 4

/* What has been asked so far, so that a driver can tell whether it asked enough. */
struct oracle_stats {
	uint64_t lookups;
	uint64_t merged; /* ranges that merging removed */
	uint64_t high; /* lookups at offsets of 1 TiB and more */
	uint64_t leaf_yes[NR_LEAVES]; /* by leaf size, smallest first */
	uint64_t leaf_no[NR_LEAVES];
};

/* Returns NULL, or what is wrong in a sentence, valid until the next call. */
const char *oracle_check(const uint8_t *data, size_t size, struct oracle_stats *stats);

#endif
