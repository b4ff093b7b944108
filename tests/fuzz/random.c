// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz-layout-random [SEED [ITERATIONS]]: the layout under random input, the same
 * for the same seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oracle.h"
#include "tap.h"

#define MAX_INPUT 2048

static uint64_t state;

/* Marsaglia's xorshift64*. */
static uint64_t next(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static int parse(const char *name, const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *end || !*value || *text == '-') {
		fprintf(stderr, "fuzz-layout-random: %s: '%s' is not a number from 1 to 2^64 - 1\n",
			name, text);
		return 2;
	}
	return 0;
}

static void progress(uint64_t i, uint64_t n)
{
	if (isatty(STDERR_FILENO) && i % 1024 == 0)
		fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 "%s", i, n, i == n ? "\n" : "");
}

static void run(uint64_t seed, uint64_t iterations, struct oracle_stats *stats)
{
	static uint8_t data[MAX_INPUT];
	const char *why = NULL;
	uint64_t i;

	state = seed;
	for (i = 0; i < iterations && !why; i++) {
		/* Short inputs as often as long ones. */
		size_t size = next() % (1u << (2 + next() % 10));
		size_t n;

		for (n = 0; n < size; n++)
			data[n] = next() >> 56;
		why = oracle_check(data, size, stats);
		progress(i, iterations);
	}
	CHECK(!why, "seed %" PRIu64 ": %" PRIu64 " layouts, %" PRIu64 " lookups%s%s", seed, i,
	      stats->lookups, why ? ": " : "", why ? why : "");
}

int main(int argc, char **argv)
{
	static const char *const leaf_names[NR_LEAVES] = { "4K", "64K", "2M", "1G" };
	struct oracle_stats stats = { 0 };
	uint64_t iterations = 30000;
	uint64_t seed = 1;
	int i;

	if (argc > 3) {
		fputs("usage: fuzz-layout-random [SEED [ITERATIONS]]\n", stderr);
		return 2;
	}
	if ((argc > 1 && parse("SEED", argv[1], &seed)) ||
	    (argc > 2 && parse("ITERATIONS", argv[2], &iterations)))
		return 2;

	run(seed, iterations, &stats);

	/* A comparison that never met a case proves nothing about it. */
	if (iterations >= 1000) {
		CHECK(stats.merged, "%" PRIu64 " ranges were merged", stats.merged);
		CHECK(stats.high && stats.high < stats.lookups / 2,
		      "%" PRIu64 " lookups were beyond 1 TiB", stats.high);
		CHECK(stats.leaf_yes[0] && !stats.leaf_no[0], "one page can always be mapped");
		for (i = 1; i < NR_LEAVES; i++)
			CHECK(stats.leaf_yes[i] && stats.leaf_no[i],
			      "leaves of %s: %" PRIu64 " allowed, %" PRIu64 " refused",
			      leaf_names[i], stats.leaf_yes[i], stats.leaf_no[i]);
	}
	return tap_done();
}
