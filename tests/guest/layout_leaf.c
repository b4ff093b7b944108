// SPDX-License-Identifier: GPL-2.0-only
/*
 * The largest page-table leaf that fits is used, and never one that doesn't.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "leaf.h"

#define PMD MIB(2)
#define PUD GIB(1)
#define PAGES_IN(size) ((long)((size) / PAGE))

static struct dev *dev;

/* BAR 2 of ivshmem is 1 GiB, so it lies at a multiple of that. */
static void open_dev(void)
{
	dev = dev_open("ivshmem");
	CHECK(dev->region[2].size >= PUD);
}

static uint32_t stamp(uint64_t offset)
{
	return 0x1eaf0000u ^ (uint32_t)(offset / PAGE);
}

/* Touches all pages; the leaves that map them then. */
static long touch_and_count(const volatile void *p, size_t size)
{
	walk_faults(p, size, PAGE);
	return count_leaves(p, size);
}

/*
 * Walks a mapping of the whole buffer, whose start is skew bytes past a multiple
 * of align. Then checks that each page is the right one.
 */
static long leaves(const range_t *ranges, size_t nr, size_t align, size_t skew)
{
	int fd = export_ranges(dev, 2, ranges, nr);
	uint64_t size = 0, pos, i;
	volatile char *p, *bar;
	size_t r;
	long n;

	for (r = 0; r < nr; r++)
		size += ranges[r].length;
	p = map_aligned(fd, 0, size, align, skew);
	n = touch_and_count(p, size);
	CHECK_EQ(walk_faults(p, size, PAGE), 0);

	if (size > MIB(16))
		return n;
	pos = 0;
	for (r = 0; r < nr; r++) {
		bar = map_bar(dev, 2, ranges[r].offset, ranges[r].length);
		for (i = 0; i < ranges[r].length; i += PAGE)
			write32(bar + i, stamp(ranges[r].offset + i));
		for (i = 0; i < ranges[r].length; i += PAGE)
			CHECK_EQ(read32(p + pos + i), stamp(ranges[r].offset + i));
		unmap((void *)bar, ranges[r].length);
		pos += ranges[r].length;
	}
	unmap((void *)p, size);
	close(fd);
	return n;
}

static long bar_leaves(uint64_t offset, uint64_t size, size_t align, size_t skew)
{
	volatile char *p = map_aligned(dev->fd, bar_offset(dev, 2, offset), size, align, skew);
	long n = touch_and_count(p, size);

	unmap((void *)p, size);
	return n;
}

static void bar_aligned(void)
{
	open_dev();
	CHECK_EQ(bar_leaves(0, MIB(8), PMD, 0), 4);
	CHECK_EQ(bar_leaves(MIB(6), MIB(4), PMD, 0), 2);
	/* As much as is congruent: 1 MiB of pages, one huge, 1 MiB of pages. */
	CHECK_EQ(bar_leaves(MIB(1), MIB(4), PMD, MIB(1)), 2 * PAGES_IN(MIB(1)) + 1);
}

/* What maps 1 GiB that a PUD leaf could map: Linux's mm cuts and moves those wrongly. */
static long of_a_gib(void)
{
	return mm_has_pud_leaves() ? 1 : 512;
}

static void bar_gigantic(void)
{
	open_dev();
	CHECK_EQ(bar_leaves(0, PUD, PUD, 0), of_a_gib());
}

static void bar_misaligned(void)
{
	open_dev();
	CHECK_EQ(bar_leaves(0, MIB(4), PMD, PAGE), PAGES_IN(MIB(4)));
	CHECK_EQ(bar_leaves(PAGE, MIB(4), PMD, 0), PAGES_IN(MIB(4)));
}

static void one_range(void)
{
	static const range_t aligned = { MIB(6), MIB(8) };
	static const range_t odd = { MIB(1), MIB(4) };

	open_dev();
	CHECK_EQ(leaves(&aligned, 1, PMD, 0), 4);
	CHECK_EQ(leaves(&odd, 1, PMD, MIB(1)), 2 * PAGES_IN(MIB(1)) + 1);
	CHECK_EQ(leaves(&odd, 1, PMD, 0), PAGES_IN(MIB(4)));
}

static void gigantic(void)
{
	range_t ranges[512];
	size_t i;

	open_dev();
	ranges[0] = (range_t){ 0, PUD };
	CHECK_EQ(leaves(ranges, 1, PUD, 0), of_a_gib());
	/* A page off: congruent for neither size. One 2 MiB is enough to see. */
	ranges[0].length = PMD;
	CHECK_EQ(leaves(ranges, 1, PUD, PAGE), PAGES_IN(PMD));
	/* 512 neighbours are one piece of memory. */
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (range_t){ i * PMD, PMD };
	CHECK_EQ(leaves(ranges, ARRAY_SIZE(ranges), PUD, 0), of_a_gib());
	/* With one missing it isn't. */
	ranges[100].offset = 0;
	CHECK_EQ(leaves(ranges, ARRAY_SIZE(ranges), PUD, 0), 512);
}

/* Boundaries between ranges that are contiguous in the BAR do not count. */
static void contiguous_ranges(void)
{
	static const range_t halves[] = {
		{ MIB(2), MIB(1) }, { MIB(3), MIB(1) }, { MIB(4), MIB(2) },
	};
	static const range_t crumbs[] = {
		{ MIB(4), PAGE },
		{ MIB(4) + PAGE, MIB(1) },
		{ MIB(5) + PAGE, MIB(2) - 2 * PAGE },
		{ MIB(7) - PAGE, MIB(1) + PAGE },
	};

	open_dev();
	CHECK_EQ(leaves(halves, ARRAY_SIZE(halves), PMD, 0), 2);
	CHECK_EQ(leaves(crumbs, ARRAY_SIZE(crumbs), PMD, 0), 2);
}

/* No leaf across a place where the BAR offset jumps, however late it comes. */
static void discontiguous_ranges(void)
{
	static const range_t halves[] = {
		{ 0, MIB(1) }, { MIB(5), MIB(1) }, { MIB(6), MIB(2) },
	};
	static const range_t last_page[] = { { MIB(2), PMD - PAGE }, { MIB(8), PAGE } };
	static const range_t first_page[] = { { MIB(8), PAGE }, { MIB(2) + PAGE, PMD - PAGE } };
	static const range_t swapped[] = { { MIB(3), MIB(1) }, { MIB(2), MIB(1) } };
	static const range_t repeated[] = { { MIB(2), MIB(1) }, { MIB(2), MIB(1) } };

	open_dev();
	CHECK_EQ(leaves(halves, ARRAY_SIZE(halves), PMD, 0), PAGES_IN(PMD) + 1);
	CHECK_EQ(leaves(last_page, ARRAY_SIZE(last_page), PMD, 0), PAGES_IN(PMD));
	CHECK_EQ(leaves(first_page, ARRAY_SIZE(first_page), PMD, 0), PAGES_IN(PMD));
	CHECK_EQ(leaves(swapped, ARRAY_SIZE(swapped), PMD, 0), PAGES_IN(PMD));
	CHECK_EQ(leaves(repeated, ARRAY_SIZE(repeated), PMD, 0), PAGES_IN(PMD));
}

/* A leaf has to lie within the VMA. */
static void vma_smaller_than_a_leaf(void)
{
	volatile char *p;
	int fd;

	open_dev();
	fd = export_range(dev, 2, MIB(2), MIB(6));
	p = map_aligned(fd, 0, PMD - PAGE, PMD, 0);
	CHECK_EQ(touch_and_count(p, PMD - PAGE), PAGES_IN(PMD) - 1);
	p = map_aligned(fd, PAGE, PMD, PMD, PAGE);
	CHECK_EQ(touch_and_count(p, PMD), PAGES_IN(PMD));
	/* And so when it was cut to less than a leaf later. */
	p = map_aligned(fd, 0, MIB(4), PMD, 0);
	unmap((void *)(p + MIB(4) - PAGE), PAGE);
	CHECK_EQ(touch_and_count(p, MIB(4) - PAGE), 1 + PAGES_IN(PMD) - 1);
}

/* mmap at an offset: it is the offset in the BAR that has to be congruent. */
static void offset_in_the_buffer(void)
{
	volatile char *p;
	int fd;

	open_dev();
	fd = export_range(dev, 2, MIB(3), MIB(9));
	p = map_aligned(fd, MIB(1), MIB(4), PMD, 0);
	CHECK_EQ(touch_and_count(p, MIB(4)), 2);
	p = map_aligned(fd, 0, MIB(2), PMD, 0);
	CHECK_EQ(touch_and_count(p, MIB(2)), PAGES_IN(MIB(2)));
	p = map_aligned(fd, 0, MIB(3), PMD, MIB(1));
	CHECK_EQ(touch_and_count(p, MIB(3)), PAGES_IN(MIB(1)) + 1);
}

/* The end of the ranges is the end, even where the BAR goes on. */
static void end_of_the_ranges(void)
{
	static const range_t ranges[] = { { MIB(2), PMD }, { MIB(16), PAGE }, { MIB(4), PMD } };

	open_dev();
	/* A page in between shifts the rest, which is then congruent nowhere. */
	CHECK_EQ(leaves(ranges, ARRAY_SIZE(ranges), PMD, 0), 1 + 1 + PAGES_IN(PMD));
}

/* After decode was off everything is as before: huge leaves come back huge. */
static void after_a_zap(void)
{
	volatile char *p, *bar;
	int fd;

	open_dev();
	fd = export_range(dev, 2, 0, MIB(8));
	p = map_aligned(fd, 0, MIB(8), PMD, 0);
	bar = map_aligned(dev->fd, bar_offset(dev, 2, 0), MIB(8), PMD, 0);
	CHECK_EQ(touch_and_count(p, MIB(8)), 4);
	CHECK_EQ(touch_and_count(bar, MIB(8)), 4);
	memory_decode(dev, false);
	CHECK_SIGBUS(p + MIB(3));
	CHECK_SIGBUS(bar + MIB(3));
	memory_decode(dev, true);
	CHECK_EQ(touch_and_count(p, MIB(8)), 4);
	CHECK_EQ(touch_and_count(bar, MIB(8)), 4);
}

static const struct test_case cases[] = {
	CASE(bar_aligned),
	CASE(bar_gigantic),
	CASE(bar_misaligned),
	CASE_MMAP(one_range),
	CASE_MMAP(gigantic),
	CASE_MMAP(contiguous_ranges),
	CASE_MMAP(discontiguous_ranges),
	CASE_MMAP(vma_smaller_than_a_leaf),
	CASE_MMAP(offset_in_the_buffer),
	CASE_MMAP(end_of_the_ranges),
	CASE_MMAP(after_a_zap),
};

TEST_MAIN(cases)
