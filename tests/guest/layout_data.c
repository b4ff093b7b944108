// SPDX-License-Identifier: GPL-2.0-only
/*
 * An offset of an exported buffer is the byte of the BAR that its ranges say.
 * The BAR is real memory, so every page is checked against a stamp that was
 * written through another mapping of it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

static struct dev *dev;
static volatile char *bar;	/* a mapping of the first `stamped` bytes of BAR 2 */
static uint64_t stamped;

static uint32_t stamp(uint64_t offset)
{
	return 0x5a000000u ^ (uint32_t)(offset / PAGE);
}

/* Gives each page of the BAR a value of its own, at its start and its end. */
static void stamp_bar(uint64_t size)
{
	uint64_t i;

	dev = dev_open("ivshmem");
	CHECK(dev->region[2].size >= size);
	bar = map_bar(dev, 2, 0, size);
	stamped = size;
	for (i = 0; i < size; i += PAGE) {
		write32(bar + i, stamp(i));
		write32(bar + i + PAGE - 4, ~stamp(i));
	}
}

static uint64_t total(const range_t *ranges, size_t nr)
{
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		size += ranges[i].length;
	return size;
}

/* The slow and obvious lookup: where in the BAR is this offset of the buffer? */
static uint64_t locate(const range_t *ranges, size_t nr, uint64_t pos)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (pos < ranges[i].length)
			return ranges[i].offset + pos;
		pos -= ranges[i].length;
	}
	FAIL("offset 0x%llx is past the end", (unsigned long long)pos);
}

static void check_page(const volatile char *p, const range_t *ranges, size_t nr, uint64_t pos)
{
	uint64_t offset = locate(ranges, nr, pos);
	uint32_t head = read32(p), tail = read32(p + PAGE - 4);

	if (head != stamp(offset) || tail != ~stamp(offset))
		FAIL("offset 0x%llx has 0x%x and 0x%x, BAR offset 0x%llx has 0x%x",
		     (unsigned long long)pos, head, tail, (unsigned long long)offset,
		     stamp(offset));
}

/* Checks every page, of a mapping of the whole and of a few at odd places. */
static void check_ranges(const range_t *ranges, size_t nr)
{
	uint64_t size = total(ranges, nr), pos, i;
	int fd = export_ranges(dev, 2, ranges, nr);
	volatile char *p;

	CHECK_EQ(lseek(fd, 0, SEEK_END), size);
	p = map_buffer(fd, 0, size);
	for (pos = 0; pos < size; pos += PAGE)
		check_page(p + pos, ranges, nr, pos);
	unmap((void *)p, size);

	/* The same backwards, with huge leaves possible. */
	p = map_aligned(fd, 0, size, MIB(2), ranges[0].offset % MIB(2));
	for (pos = size; pos; pos -= PAGE)
		check_page(p + pos - PAGE, ranges, nr, pos - PAGE);
	unmap((void *)p, size);

	for (i = 1; i < 8; i++) {
		uint64_t start = size / 8 * i / PAGE * PAGE;
		uint64_t length = size - start < 5 * PAGE ? size - start : 5 * PAGE;

		p = map_buffer(fd, start, length);
		for (pos = 0; pos < length; pos += PAGE)
			check_page(p + pos, ranges, nr, start + pos);
		unmap((void *)p, length);
	}
	close(fd);
}

static void bar_mapping(void)
{
	uint32_t value;
	uint64_t i;

	stamp_bar(MIB(16));
	for (i = 0; i < stamped; i += PAGE) {
		CHECK_EQ(pread(dev->fd, &value, sizeof(value), bar_offset(dev, 2, i)),
			 sizeof(value));
		CHECK_EQ(value, stamp(i));
	}
}

static void one_range(void)
{
	static const range_t range = { MIB(4), MIB(8) };
	static const range_t odd = { MIB(1) + 3 * PAGE, MIB(5) + 7 * PAGE };
	static const range_t page = { 17 * PAGE, PAGE };

	stamp_bar(MIB(16));
	check_ranges(&range, 1);
	check_ranges(&odd, 1);
	check_ranges(&page, 1);
}

static void scattered_ranges(void)
{
	static const range_t ranges[] = {
		{ MIB(9), PAGE },
		{ MIB(2), 3 * PAGE },
		{ 0, MIB(2) },
		{ MIB(12) + PAGE, 9 * PAGE },
		{ MIB(4), MIB(4) },
		{ MIB(3) - PAGE, PAGE },
		{ MIB(16) - PAGE, PAGE },
	};

	stamp_bar(MIB(16));
	check_ranges(ranges, ARRAY_SIZE(ranges));
}

/* Neighbours in the buffer that are neighbours in the BAR too. */
static void adjacent_ranges(void)
{
	static const range_t ranges[] = {
		{ MIB(2), PAGE },
		{ MIB(2) + PAGE, MIB(1) - PAGE },
		{ MIB(3), MIB(3) },
		{ MIB(8), MIB(2) },
		{ MIB(10), 5 * PAGE },
		{ MIB(6), MIB(2) },
	};

	stamp_bar(MIB(16));
	check_ranges(ranges, ARRAY_SIZE(ranges));
}

static void descending_ranges(void)
{
	range_t ranges[64];
	size_t i;

	stamp_bar(MIB(16));
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (range_t){ MIB(8) - (i + 1) * 4 * PAGE, 4 * PAGE };
	check_ranges(ranges, ARRAY_SIZE(ranges));
}

/* Every page of 8 MiB, each a range, in an order in which no two are adjacent. */
static void ranges_of_one_page(void)
{
	static range_t ranges[2048];
	size_t i;

	stamp_bar(MIB(8));
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (range_t){ i * 769 % 2048 * PAGE, PAGE };
	check_ranges(ranges, ARRAY_SIZE(ranges));
}

static void many_ranges(void)
{
	enum { NR = 65536 };
	range_t *ranges = calloc(NR, sizeof(*ranges));
	volatile char *p;
	size_t i;
	int fd;

	CHECK(ranges);
	dev = dev_open("ivshmem");
	bar = map_bar(dev, 2, 0, NR * PAGE);
	for (i = 0; i < NR; i++)
		ranges[i] = (range_t){ (uint64_t)i * 40503 % NR * PAGE, PAGE };
	for (i = 0; i < NR; i++)
		write32(bar + i * PAGE, stamp(i * PAGE));
	fd = export_ranges(dev, 2, ranges, NR);
	p = map_buffer(fd, 0, NR * PAGE);
	for (i = 0; i < NR; i += 13)
		CHECK_EQ(read32(p + i * PAGE), stamp(ranges[i].offset));
	CHECK_EQ(read32(p + (NR - 1) * PAGE), stamp(ranges[NR - 1].offset));
}

/* A page that is in a buffer twice is one page. */
static void repeated_ranges_alias(void)
{
	static const range_t ranges[] = {
		{ MIB(1), 4 * PAGE },
		{ MIB(1), 4 * PAGE },
		{ MIB(1) + 2 * PAGE, 4 * PAGE },
	};
	volatile char *p;
	int fd;

	stamp_bar(MIB(2));
	check_ranges(ranges, ARRAY_SIZE(ranges));
	fd = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));
	p = map_buffer(fd, 0, 12 * PAGE);
	write32(p + 2 * PAGE, 0x600d);
	CHECK_EQ(read32(p + 6 * PAGE), 0x600d);
	CHECK_EQ(read32(p + 8 * PAGE), 0x600d);
	CHECK_EQ(read32(bar + MIB(1) + 2 * PAGE), 0x600d);
	write32(p + 9 * PAGE + 8, 0xbeef);
	CHECK_EQ(read32(p + 3 * PAGE + 8), 0xbeef);
	CHECK_EQ(read32(p + 7 * PAGE + 8), 0xbeef);
}

/* What is written through a buffer is in the device, and in its other mappings. */
static void writes_reach_the_bar(void)
{
	static const range_t ranges[] = { { MIB(3), PAGE }, { MIB(1), MIB(1) } };
	volatile char *p, *q;
	uint64_t pos;
	uint32_t value;
	int fd, again;

	stamp_bar(MIB(4));
	fd = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));
	again = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));
	p = map_buffer(fd, 0, MIB(1) + PAGE);
	q = map_buffer(again, 0, MIB(1) + PAGE);
	for (pos = 0; pos < MIB(1) + PAGE; pos += PAGE) {
		uint64_t offset = locate(ranges, ARRAY_SIZE(ranges), pos);

		write32(p + pos + 64, 0xab000000 + pos);
		CHECK_EQ(read32(bar + offset + 64), 0xab000000 + pos);
		CHECK_EQ(read32(q + pos + 64), 0xab000000 + pos);
		CHECK_EQ(pread(dev->fd, &value, sizeof(value), bar_offset(dev, 2, offset + 64)),
			 sizeof(value));
		CHECK_EQ(value, 0xab000000 + pos);
	}
	/* Its neighbours in the BAR are as they were. */
	CHECK_EQ(read32(bar + MIB(1) - PAGE), stamp(MIB(1) - PAGE));
	CHECK_EQ(read32(bar + MIB(2)), stamp(MIB(2)));
	CHECK_EQ(read32(bar + MIB(3) - PAGE), stamp(MIB(3) - PAGE));
	CHECK_EQ(read32(bar + MIB(3) + PAGE), stamp(MIB(3) + PAGE));
}

/* Three pages at each offset of a buffer whose ranges are three pages or fewer. */
static void every_offset_of_mmap(void)
{
	static const range_t ranges[] = {
		{ 40 * PAGE, 3 * PAGE }, { 10 * PAGE, PAGE },	  { 20 * PAGE, 2 * PAGE },
		{ 22 * PAGE, PAGE },	 { 0, 3 * PAGE },	  { 63 * PAGE, PAGE },
		{ 50 * PAGE, 2 * PAGE }, { 43 * PAGE, 3 * PAGE },
	};
	uint64_t size = total(ranges, ARRAY_SIZE(ranges)), start, pos;
	volatile char *p;
	int fd;

	stamp_bar(64 * PAGE);
	fd = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));
	for (start = 0; start + 3 * PAGE <= size; start += PAGE) {
		p = map_buffer(fd, start, 3 * PAGE);
		for (pos = 3 * PAGE; pos; pos -= PAGE)
			check_page(p + pos - PAGE, ranges, ARRAY_SIZE(ranges), start + pos - PAGE);
		unmap((void *)p, 3 * PAGE);
	}
}

static void whole_bar(void)
{
	uint64_t size, i;
	volatile char *p;
	int fd;

	dev = dev_open("ivshmem");
	size = dev->region[2].size;
	bar = map_bar(dev, 2, 0, size);
	fd = export_range(dev, 2, 0, size);
	p = map_buffer(fd, 0, size);
	/* 4 KiB pages, each in a 2 MiB piece of its own. */
	for (i = 0; i < size; i += MIB(2) + PAGE) {
		write32(bar + i, stamp(i));
		CHECK_EQ(read32(p + i), stamp(i));
	}
	write32(bar + size - 4, 0x1a57);
	CHECK_EQ(read32(p + size - 4), 0x1a57);
}

/* Registers behave as registers: what edu computes is what it returns. */
static void registers(void)
{
	volatile char *p;
	uint32_t id;
	int fd, i;

	dev = dev_open("edu");
	fd = export_range(dev, 0, 0, PAGE);
	p = map_buffer(fd, 0, PAGE);
	CHECK_EQ(pread(dev->fd, &id, sizeof(id), bar_offset(dev, 0, 0)), sizeof(id));
	CHECK_EQ(read32(p), id);
	write32(p + 4, 0x12345678);
	CHECK_EQ(read32(p + 4), (uint32_t)~0x12345678);
	write32(p + 8, 6);
	for (i = 0; (read32(p + 0x20) & 1) && i < 1000; i++)
		sleep_ms(1);
	CHECK_EQ(read32(p + 8), 720);
}

static const struct test_case cases[] = {
	CASE(bar_mapping),
	CASE_MMAP(one_range),
	CASE_MMAP(scattered_ranges),
	CASE_MMAP(adjacent_ranges),
	CASE_MMAP(descending_ranges),
	CASE_MMAP(ranges_of_one_page),
	CASE_MMAP(many_ranges, .seconds = 60),
	CASE_MMAP(repeated_ranges_alias),
	CASE_MMAP(writes_reach_the_bar),
	CASE_MMAP(every_offset_of_mmap),
	CASE_MMAP(whole_bar),
	CASE_MMAP(registers),
};

TEST_MAIN(cases)
