// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * fuzz-SUBJECT-random [SEED [ITERATIONS]]: random input, the same for the same seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
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
		fprintf(stderr, "fuzz-%s-random: %s: '%s' is not a number from 1 to 2^64 - 1\n",
			fuzz_subject.name, name, text);
		return 2;
	}
	return 0;
}

static void progress(uint64_t i, uint64_t n)
{
	if (isatty(STDERR_FILENO) && i % 1024 == 0)
		fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 "%s", i, n, i == n ? "\n" : "");
}

static void run(uint64_t seed, uint64_t iterations)
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
		why = fuzz_subject.check(data, size);
		progress(i, iterations);
	}
	CHECK(!why, "seed %" PRIu64 ": %" PRIu64 " inputs%s%s", seed, i, why ? ": " : "",
	      why ? why : "");
}

int main(int argc, char **argv)
{
	uint64_t iterations = fuzz_subject.iterations;
	const char *what;
	uint64_t seed = 1;
	unsigned int i;
	bool met;

	if (argc > 3) {
		fprintf(stderr, "usage: fuzz-%s-random [SEED [ITERATIONS]]\n", fuzz_subject.name);
		return 2;
	}
	if ((argc > 1 && parse("SEED", argv[1], &seed)) ||
	    (argc > 2 && parse("ITERATIONS", argv[2], &iterations)))
		return 2;

	run(seed, iterations);
	for (i = 0; iterations >= 1000 && (what = fuzz_subject.coverage(i, &met)); i++)
		CHECK(met, "%s", what);
	return tap_done();
}
