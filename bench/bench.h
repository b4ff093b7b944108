/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * barbuf-bench: what BAR access costs, with stock's vfio-pci and with barbuf's,
 * in one boot.
 *
 *	main.c     the command line and the rounds
 *	modules.c  puts one set of modules in the place of another
 *	rows.c     what is measured
 *	clock.c    time, and what a unit of it is
 *	table.c    the results as text, Markdown or JSON
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf/device.h>

/* clock.c */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);
/* What two calls of now_ns() with nothing between them cost; measured once. */
uint64_t clock_overhead(void);
/* Nanoseconds that the clock advances for one simple instruction. */
double ns_per_instruction(void);
/* Sorts. */
uint64_t median(uint64_t *values, size_t n);

/* modules.c */

/* Load vfio-pci-core.ko and vfio-pci.ko of @dir in the place of those loaded. */
int modules_use(const char *dir);
/* Bind the lab's device @model to vfio-pci and say where it is. */
int bind_model(const char *model, char *address, size_t size);

/* rows.c */

enum set { STOCK, OURS, NR_SETS };

struct bench {
	size_t page;
	struct barbuf_device *memory; /* a BAR of at least 1 GiB of real memory */
	struct barbuf_region memory_bar;
	struct barbuf_device *sparse; /* a BAR of 2 GiB */
	struct barbuf_region sparse_bar;
};

struct row {
	const char *id;
	const char *title;
	/* Measure; the value is in ns, or a count. Returns 0 or a negative errno. */
	int (*measure)(const struct bench *b, uint64_t *value);
	bool stock_has_it; /* also measured with stock's modules */
	bool count; /* the value is a number of events and compared as such */
	const char *versus; /* id of the row it is compared with; NULL: the same on stock */
	double target; /* at most so many times as much, or so many events; < 0: none */
};

extern const struct row rows[];
extern const size_t nr_rows;

int bench_open(struct bench *b);
void bench_close(struct bench *b);

/* table.c */

enum format { TEXT, MARKDOWN, JSON };

/* The values of one row: the smallest over the rounds, and the largest. */
struct result {
	bool measured;
	uint64_t best;
	uint64_t worst;
};

/* @results: nr_rows of them for each set. Returns whether each target is met. */
bool print_results(enum format format, const struct result *results[NR_SETS], unsigned int rounds);

#endif
