// SPDX-License-Identifier: GPL-2.0-only
/*
 * One fault maps what the page table, the VMA and the buffer have in common,
 * and not a page more. What is mapped is looked at in the page tables, so that
 * looking maps nothing.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "leaf.h"

#define TABLE MIB(2)	/* what one page table maps */

static struct dev *dev;

static void open_dev(void)
{
	dev = dev_open("ivshmem");
}

/* Physical address of BAR 2, by way of a mapping of its first page. */
static uint64_t bar_paddr(void)
{
	volatile char *p = map_bar(dev, 2, 0, PAGE);
	struct leaf leaf;

	CHECK_ALIVE(p);
	CHECK(leaf_at(p, &leaf));
	unmap((void *)p, PAGE);
	return leaf.paddr;
}

/* The pages of [from, to) are mapped, each to its own place of these ranges. */
static void check_mapped(const volatile char *p, uint64_t from, uint64_t to, const range_t *ranges,
			 uint64_t base)
{
	struct leaf leaf;
	uint64_t pos = 0, at;

	for (; from < to; from += PAGE) {
		while (from >= pos + ranges->length)
			pos += (ranges++)->length;
		at = base + ranges->offset + (from - pos);
		CHECK_MSG(leaf_at(p + from, &leaf), "page %#lx", (long)from);
		CHECK_EQ(leaf.paddr, at);
		CHECK_EQ(leaf.size, PAGE);
	}
}

static void fills_its_page_table(void)
{
	static const range_t range = { MIB(4), 3 * TABLE };
	uint64_t base;
	volatile char *p;

	open_dev();
	base = bar_paddr();
	/* A page off, so that no huge leaf fits. */
	p = map_aligned(export_ranges(dev, 2, &range, 1), 0, range.length, TABLE, PAGE);
	CHECK_ALIVE(p + TABLE);
	CHECK_EQ(count_mapped(p, range.length), TABLE / PAGE);
	check_mapped(p, TABLE - PAGE, 2 * TABLE - PAGE, &range, base);
	/* The first table has a page less in this VMA, the last only one. */
	CHECK_ALIVE(p);
	check_mapped(p, 0, 2 * TABLE - PAGE, &range, base);
	CHECK_EQ(count_mapped(p, range.length), 2 * TABLE / PAGE - 1);
	CHECK_ALIVE(p + range.length - PAGE);
	CHECK_EQ(count_mapped(p, range.length), 2 * TABLE / PAGE);
	check_mapped(p, range.length - PAGE, range.length, &range, base);
}

static void bar_mapping_too(void)
{
	static const range_t range = { MIB(3) + PAGE, TABLE };
	volatile char *p;
	uint64_t base;

	open_dev();
	base = bar_paddr();
	p = map_aligned(dev->fd, bar_offset(dev, 2, range.offset), TABLE, TABLE, 0);
	CHECK_ALIVE(p + MIB(1));
	check_mapped(p, 0, TABLE, &range, base);
}

/* Ranges of a page each, in no order, some of them twice: each page in its place. */
static void crosses_ranges(void)
{
	range_t ranges[700];
	uint64_t base, at;
	volatile char *p;
	size_t i;

	open_dev();
	base = bar_paddr();
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (range_t){ i * 389 % 1024 * PAGE, (1 + i % 3) * PAGE };
	p = map_aligned(export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges)), 0, TABLE, TABLE, 0);
	for (at = MIB(1) + 7 * PAGE; at < TABLE; at += MIB(1)) {
		CHECK_ALIVE(p + at);
		check_mapped(p, 0, TABLE, ranges, base);
	}
	/* The data, too: what is written through the BAR is read in its place. */
	for (i = 0; i < 1024; i++) {
		volatile char *bar = map_bar(dev, 2, i * PAGE, PAGE);

		write32(bar, 0xa4000000 + i);
		unmap((void *)bar, PAGE);
	}
	for (i = 0, at = 0; at < TABLE; at += ranges[i++].length)
		CHECK_EQ(read32(p + at), 0xa4000000 + i * 389 % 1024);
}

static void walk_takes_a_fault_a_table(void)
{
	const size_t size = MIB(64), nr = size / PAGE;
	range_t *ranges = calloc(nr, sizeof(*ranges));
	volatile char *p;
	size_t i;

	open_dev();
	p = map_aligned(dev->fd, bar_offset(dev, 2, 0), size, TABLE, PAGE);
	CHECK_EQ(walk_faults(p, size, PAGE), size / TABLE + 1);
	unmap((void *)p, size);
	CHECK(ranges);
	for (i = 0; i < nr; i++)
		ranges[i] = (range_t){ i * 40503 % nr * PAGE, PAGE };
	p = map_aligned(export_ranges(dev, 2, ranges, nr), 0, size, TABLE, 0);
	CHECK_EQ(walk_faults(p, size, PAGE), size / TABLE);
	free(ranges);
}

/*
 * Three mappings in one page table, side by side: a fault in one is none of the
 * others' business, though their pages are neighbours in the BAR as well.
 */
static void stays_in_its_vma(void)
{
	const size_t third = 100 * PAGE;
	volatile char *p[3], *area;
	uint64_t base;
	size_t i, k;
	int fd[3];

	open_dev();
	base = bar_paddr();
	area = mmap(NULL, 2 * TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	area = (char *)(((uintptr_t)area + TABLE - 1) & ~(TABLE - 1));
	for (i = 0; i < 3; i++) {
		fd[i] = export_range(dev, 2, MIB(8) + i * third, third);
		p[i] = mmap((void *)(area + i * third), third, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd[i], 0);
		CHECK(p[i] != MAP_FAILED);
	}
	for (i = 0; i < 3; i++) {
		const size_t order[] = { 1, 0, 2 };
		range_t range = { MIB(8) + order[i] * third, third };

		CHECK_ALIVE(p[order[i]] + 50 * PAGE);
		check_mapped(p[order[i]], 0, third, &range, base);
		for (k = i + 1; k < 3; k++)
			CHECK_EQ(count_mapped(p[order[k]], third), 0);
	}
	/* Nor does a revoke of the middle one touch its neighbours. */
	revoke_buffer(dev, fd[1]);
	CHECK_EQ(count_mapped(p[0], third), 100);
	CHECK_EQ(count_mapped(p[1], third), 0);
	CHECK_EQ(count_mapped(p[2], third), 100);
	CHECK_SIGBUS(p[1]);
	CHECK_EQ(count_mapped(p[1], third), 0);
}

/* A VMA cut down on both sides, and one that begins in the middle of its buffer. */
static void stays_in_what_is_left(void)
{
	static const range_t range = { MIB(16), TABLE };
	volatile char *p, *q;
	uint64_t base;
	int fd;

	open_dev();
	base = bar_paddr();
	fd = export_ranges(dev, 2, &range, 1);
	p = map_aligned(fd, 0, TABLE, TABLE, 0);
	unmap((void *)p, 10 * PAGE);
	unmap((void *)(p + TABLE - 10 * PAGE), 10 * PAGE);
	q = mmap((void *)p, 10 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 20 * PAGE);
	CHECK(q == p);
	CHECK_ALIVE(p + MIB(1));
	check_mapped(p, 10 * PAGE, TABLE - 10 * PAGE, &range, base);
	CHECK_EQ(count_mapped(q, 10 * PAGE), 0);
	CHECK_ALIVE(q);
	CHECK_EQ(count_mapped(q, 10 * PAGE), 10);
	check_mapped(q - 20 * PAGE, 20 * PAGE, 30 * PAGE, &range, base);
}

/* A mapping without the right to write gets none with its neighbours' pages. */
static void no_more_rights(void)
{
	struct leaf leaf;
	volatile char *p;
	size_t i;
	int fd;

	open_dev();
	fd = export_range(dev, 2, MIB(1) + PAGE, MIB(1));
	p = try_map(fd, 0, MIB(1), PROT_READ, MAP_SHARED);
	CHECK(p);
	CHECK_ALIVE(p + 5 * PAGE);
	for (i = 0; i < MIB(1); i += PAGE) {
		if (!leaf_at(p + i, &leaf))
			continue;
		CHECK(!leaf.writable);
	}
}

/*
 * A setting that keeps transparent huge pages from a process does not concern a BAR: at
 * one address there are always leaves or always pages, so that neither meets the other.
 */
static void without_huge_pages(void)
{
	static const range_t range = { MIB(4), 2 * TABLE };
	struct leaf leaf;
	volatile char *p;
	uint64_t base;

	open_dev();
	base = bar_paddr();
	CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	p = map_aligned(export_ranges(dev, 2, &range, 1), 0, range.length, TABLE, 0);
	CHECK_EQ(walk_faults(p, range.length, PAGE), 1);
	CHECK_EQ(count_leaves(p, range.length), 2);
	CHECK(leaf_at(p + TABLE, &leaf));
	CHECK_EQ(leaf.paddr, base + range.offset + TABLE);
	CHECK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
}

struct toggler {
	volatile int stop;
	volatile char *p;
	size_t size;
};

static void *toggle_thp(void *arg)
{
	struct toggler *t = arg;
	int on = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED))
		prctl(PR_SET_THP_DISABLE, on ^= 1, 0, 0, 0);
	return NULL;
}

static void *touch_all(void *arg)
{
	struct toggler *t = arg;
	size_t i;

	for (i = 0; i < t->size; i += PAGE * 63)
		(void)t->p[i];
	return NULL;
}

/* Leaves and tables race for the same places; nothing is lost, nothing is reported. */
static void huge_pages_come_and_go(void)
{
	static const range_t range = { 0, MIB(32) };
	struct toggler t = { .size = range.length };
	pthread_t toggler, toucher[2];
	uint64_t base;
	unsigned int round;
	int fd, i;

	open_dev();
	base = bar_paddr();
	fd = export_ranges(dev, 2, &range, 1);
	CHECK(pthread_create(&toggler, NULL, toggle_thp, &t) == 0);
	for (round = 0; round < 30; round++) {
		struct leaf leaf;
		size_t at;

		t.p = map_aligned(fd, 0, t.size, TABLE, 0);
		for (i = 0; i < 2; i++)
			CHECK(pthread_create(&toucher[i], NULL, touch_all, &t) == 0);
		for (i = 0; i < 2; i++)
			pthread_join(toucher[i], NULL);
		for (at = 0; at < t.size; at += 5 * PAGE) {
			CHECK(leaf_at(t.p + at, &leaf));
			CHECK_EQ(leaf.paddr, base + at);
		}
		unmap((void *)t.p, t.size);
	}
	__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
	pthread_join(toggler, NULL);
}

struct racer {
	volatile char *p;
	size_t size;
	volatile int go;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	size_t i = 0;

	/* Until the first SIGBUS: a table a fault, from both ends. */
	while (!touch(r->p + i))
		i = (i + TABLE + PAGE) % r->size;
	return NULL;
}

/* A revoke in the middle of a fault that maps hundreds of pages leaves none. */
static void revoked_in_the_middle(void)
{
	const size_t size = 16 * TABLE;
	struct racer r = { .size = size };
	unsigned int round;
	pthread_t t[2];
	int fd, i;

	open_dev();
	for (round = 0; round < 60; round++) {
		fd = export_range(dev, 2, 0, size);
		r.p = map_aligned(fd, 0, size, TABLE, PAGE);
		for (i = 0; i < 2; i++)
			CHECK(pthread_create(&t[i], NULL, race, &r) == 0);
		if (round % 3)
			usleep(200 * round);
		revoke_buffer(dev, fd);
		for (i = 0; i < (int)(size / PAGE); i += 101)
			CHECK_MSG(!is_mapped(r.p + i * PAGE), "round %u, page %d", round, i);
		for (i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		CHECK_EQ(count_mapped(r.p, size), 0);
		unmap((void *)r.p, size);
		close(fd);
	}
}

static const struct test_case cases[] = {
	CASE_MMAP(fills_its_page_table),
	CASE_MMAP(bar_mapping_too),
	CASE_MMAP(crosses_ranges),
	CASE_MMAP(walk_takes_a_fault_a_table),
	CASE_MMAP(stays_in_its_vma),
	CASE_MMAP(stays_in_what_is_left),
	CASE_MMAP(no_more_rights),
	CASE_MMAP(without_huge_pages),
	CASE_MMAP(huge_pages_come_and_go, .seconds = 120),
	CASE_MMAP(revoked_in_the_middle, .seconds = 120),
};

TEST_MAIN(cases)
