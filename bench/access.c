// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an access that survives SIGBUS costs beside a plain one. bench/access runs it.
 *
 *	access count KIND N	does N accesses, a multiple of 8, for callgrind to count
 *	access time ROUNDS	the best of so many rounds, in ns
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <barbuf.h>

#define ACCESSES 100000

/* Ordinary memory: of a device the bus would be measured. */
static volatile uint32_t *word;

/* Eight in a row, as a driver reads its registers: the loop shall not be what is measured. */
#define EIGHT(access)                                                   \
	do {                                                            \
		access access access access access access access access \
	} while (0)

/* The loop alone, what is taken off the others. */
static void none(unsigned long n)
{
	for (; n; n -= 8)
		__asm__ volatile("");
}

static void plain_read(unsigned long n)
{
	volatile uint32_t *p = word;

	for (; n; n -= 8)
		EIGHT((void)*p;);
}

static void plain_write(unsigned long n)
{
	volatile uint32_t *p = word;

	for (; n; n -= 8)
		EIGHT(*p = 1;);
}

static void guarded_read(unsigned long n)
{
	volatile uint32_t *p = word;
	uint32_t v;

	for (; n; n -= 8)
		EIGHT(if (barbuf_read32(p, &v)) abort(););
}

static void guarded_write(unsigned long n)
{
	volatile uint32_t *p = word;

	for (; n; n -= 8)
		EIGHT(if (barbuf_write32(p, 1)) abort(););
}

static const struct {
	const char *name;
	void (*run)(unsigned long n);
} kinds[] = {
	{ "none", none },
	{ "plain read", plain_read },
	{ "guarded read", guarded_read },
	{ "plain write", plain_write },
	{ "guarded write", guarded_write },
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void measure(unsigned long rounds)
{
	double best[NR_KINDS];
	unsigned long r;
	size_t k;

	/* In turn, so that a change of the clock meets all of them. */
	for (r = 0; r < rounds; r++) {
		for (k = 0; k < NR_KINDS; k++) {
			double t = now();

			kinds[k].run(ACCESSES);
			t = (now() - t) / ACCESSES;
			if (!r || t < best[k])
				best[k] = t;
		}
	}
	for (k = 0; k < NR_KINDS; k++)
		printf("%s\t%.3f\n", kinds[k].name, best[k]);
}

int main(int argc, char **argv)
{
	size_t k;

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (word == MAP_FAILED || barbuf_guard_install())
		return 1;
	*word = 1;
	if (argc == 3 && !strcmp(argv[1], "time")) {
		measure(strtoul(argv[2], NULL, 0));
		return 0;
	}
	for (k = 0; argc == 4 && k < NR_KINDS; k++) {
		if (!strcmp(argv[1], "count") && !strcmp(argv[2], kinds[k].name)) {
			kinds[k].run(strtoul(argv[3], NULL, 0));
			return 0;
		}
	}
	fprintf(stderr, "access: usage: access count KIND N | access time ROUNDS\n");
	return 2;
}
