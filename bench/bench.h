/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * barbuf-bench: what BAR access costs, with stock's vfio-pci and with barbuf's,
 * in one boot.
 *
 *	main.c         the command line and the rounds
 *	modules.c      puts one set of modules in the place of another
 *	clock.c        time, and what a unit of it is
 *	arena.c        places to map things, and accesses that are counted
 *	buffers.c      exported buffers, one or many
 *	rows.c         the list of what is measured
 *	rows_map.c     mmap, first touch, look-up
 *	rows_walk.c    reading through a mapping
 *	rows_revoke.c  revokes, and stock's global zap
 *	rows_reset.c   the reset ioctl
 *	rows_dma.c     DMA mappings by address
 *	rows_vmas.c    what the mappings of a client add to a revoke and a transition
 *	rows_memory.c  export, and the kernel memory that buffers take
 *	rows_smp.c     threads that wait for each other
 *	table.c        the results as text, Markdown or JSON
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

#include "uapi.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* clock.c */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);
/* What passed since now_ns() said @start, without the cost of asking. */
uint64_t since(uint64_t start);
/* The same of the time that this thread ran, so that sleep does not count. */
uint64_t cpu_ns(void);
uint64_t cpu_since(uint64_t start);
/* Nanoseconds that the clock advances for one simple instruction. */
double ns_per_instruction(void);
/* Sorts. For what is so short that the timer rarely interrupts it. */
uint64_t median(uint64_t *values, size_t n);
/* For what is long: interrupts only ever add. */
uint64_t smallest(const uint64_t *values, size_t n);

/* modules.c */

/* Load the modules of VFIO in @dir, or in a folder of it, in the place of those loaded. */
int modules_use(const char *dir);
/* Bind the lab's device @model to vfio-pci and say where it is. */
int bind_model(const char *model, char *address, size_t size);

/* A device and one of its BARs. */
struct target {
	struct barbuf_device *dev;
	struct barbuf_region bar;
};

struct bench {
	size_t page;
	struct barbuf_container *container;
	struct target memory; /* at least 1 GiB of real memory */
	struct target sparse; /* 2 GiB */
	struct target reset; /* has a reset of its own, and 16 MiB */
};

/* arena.c */

/*
 * A place to map things: @size bytes at a distance of @skew from a multiple of
 * 1 GiB. A skew of one page keeps every leaf at 4 KiB, as BARs are aligned to
 * their size.
 */
struct arena {
	char *reserved;
	size_t reserved_size;
	char *at;
};

int arena_make(struct arena *a, size_t size, size_t skew);
/* Unmap @size bytes from @at, which stay reserved. */
int arena_clear(char *at, size_t size);
/* Fine with an arena that arena_make() failed to make. */
void arena_free(struct arena *a);

/* Map @size bytes of @fd over what is at @at. */
int map_at(char *at, size_t size, int fd, uint64_t offset);
/* Faults that this process took, or this thread. */
uint64_t faults_taken(void);
uint64_t faults_taken_by_thread(void);

/* One read, which faults if the page is not mapped. */
static inline void touch(const char *page)
{
	(void)*(const volatile uint32_t *)page;
}

/* buffers.c */

/* Export one range of the target's BAR. Returns the fd or a negative errno. */
int export_range(const struct target *t, uint64_t offset, uint64_t size);
/*
 * Describe @nr single pages of which no two that follow each other are adjacent.
 * Until 262,144 pages they are different ones. free() it.
 */
struct barbuf_range *scattered_ranges(const struct bench *b, size_t nr);
/* A buffer of them, of the device with memory. */
int export_scattered(const struct bench *b, size_t nr);

/* Buffers of one page each, all of them mapped and touched. */
struct many {
	const struct target *target;
	size_t page;
	size_t nr;
	int *fds;
	char **maps;
};

/* On error, too, many_free() is to be called. */
int many_make(struct many *m, const struct bench *b, const struct target *t, size_t nr);
void many_free(struct many *m);
/* Put a new buffer into the place of the one with this number. */
int many_replace(struct many *m, size_t i);
/* Touch all but the one with this number, and say how many faults that took. */
uint64_t many_touch(const struct many *m, size_t but);

/* rows.c */

enum set { STOCK, OURS, NR_SETS };

enum unit {
	TIME, /* nanoseconds, which count instructions in the lab */
	FAULTS,
	WAITS,
	KIB,
	BYTES,
	NR_UNITS,
};

/* What one measurement says, as far as it has such figures. */
struct figures {
	uint64_t of[NR_UNITS];
};

typedef int measure_fn(const struct bench *b, size_t n, struct figures *f);

struct row {
	const char *id;
	const char *title;
	/*
	 * Returns 0 or a negative errno. Rows that have it and @n in common, and
	 * differ in the unit, are measured at once.
	 */
	measure_fn *measure;
	size_t n; /* of what, is for measure() to say */
	enum unit unit;
	bool stock_has_it; /* also measured with stock's modules */
	bool smp; /* measured by --smp, and otherwise not */
	const char *versus; /* id of the row it is compared with; NULL: the same on stock */
	/*
	 * At most so many times as much for TIME, where 1 means the same to two
	 * digits; for the others at most so many. < 0: none.
	 */
	double target;
};

extern const struct row rows[];
extern const size_t nr_rows;

/* The index of this row, or nr_rows. */
size_t find_row(const char *id);

int bench_open(struct bench *b);
void bench_close(struct bench *b);

/* rows_map.c */

/* A path that both sets share: anything but 1.00 says that the method is wrong. */
measure_fn region_info;
/* mmap and munmap of a page: of a BAR, @n pages of which are mapped elsewhere. */
measure_fn mmap_bar;
/* The first of a page through each of @n device files. */
measure_fn mmap_new_file;
/* Of a page more, when the BAR is mapped through each of @n device files. */
measure_fn mmap_many_files;
measure_fn mmap_export;
/* First touch of a page: of a BAR, of a buffer of @n ranges. */
measure_fn touch_bar;
measure_fn touch_buffer;

/* rows_walk.c: TIME, FAULTS, and KIB of page tables */

/* 64 MiB at a misaligned address: of a BAR, of a buffer of single-page ranges. */
measure_fn walk_small;
measure_fn walk_scattered;
/* 2 GiB at an aligned address: of a BAR, of a buffer of @n adjacent ranges. */
measure_fn walk_huge;
/* One word of 2 GiB that nobody has touched. */
measure_fn touch_huge;
measure_fn walk_adjacent;

/* rows_revoke.c: TIME and FAULTS */

/* Revoke one of @n mapped buffers: how long, and what faults the others take then. */
measure_fn revoke_one;
/* @n clients read again after a global zap; the others of @n after the revoke of one. */
measure_fn zap_clients;
measure_fn revoke_client;

/* rows_reset.c */

/* The ioctl without buffers; what each of @n mapped ones adds to it. */
measure_fn reset_alone;
measure_fn reset_per_buffer;
/* What each of @n pieces that are mapped for DMA adds, beside its mapping by a CPU. */
measure_fn reset_per_piece;

/* rows_dma.c */

/* @n of map_dma and unmap_dma: size, and whether the address is aligned to it. */
enum dma_shape {
	DMA_4K,
	DMA_64M_SKEWED,
	DMA_1G,
	DMA_1G_SKEWED,
	DMA_MEMORY_4K,
	DMA_MEMORY_8M,
};

measure_fn map_dma;
measure_fn unmap_dma;
/* Return 0 or a negative errno. */
int dma_map(const struct bench *b, const void *addr, uint64_t iova, uint64_t size);
int dma_unmap(const struct bench *b, uint64_t iova, uint64_t size);

/* rows_vmas.c: what each of @n mappings of one page adds; 60,000 in a process */
measure_fn revoke_per_vma;
measure_fn decode_per_vma;

/* rows_memory.c */

/* Export and close of a buffer of @n scattered ranges. */
measure_fn export_close;
/* BYTES of an exported buffer, of a BAR buffer, of a range in a buffer of @n. */
measure_fn memory_export;
measure_fn memory_bar;
measure_fn memory_range;

/* rows_smp.c */

/*
 * WAITS of two threads that fault, on one buffer (@n 1), on a buffer each (2) or
 * through the device fd (0), while a third thread does something else.
 */
measure_fn smp_revoke_others;
measure_fn smp_reset_other;
measure_fn smp_reset_same;

/* table.c */

enum format { TEXT, MARKDOWN, JSON };

/* The values of one row: the smallest over the rounds, and the largest. */
struct result {
	bool measured;
	uint64_t best;
	uint64_t worst;
};

struct report {
	enum format format;
	unsigned int rounds;
	bool smp;
	const struct result *results[NR_SETS]; /* nr_rows of each */
};

/* What was measured. Returns whether each target is met. */
bool print_report(const struct report *report);
/* Why nothing was. */
void print_skipped(const struct report *report, const char *why);

#endif
