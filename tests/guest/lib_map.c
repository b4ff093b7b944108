// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbarbuf's mappings on a real device: huge leaves at the address it chooses,
 * accesses of the width that was asked for, and what happens when a BAR goes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaf.h"

#define PAGES_IN(size) ((long)((size) / PAGE))

static struct dev *dev;

static struct barbuf_map *map_part(struct barbuf_buffer *buf, uint64_t offset, uint64_t length)
{
	const struct barbuf_map_options o = { .offset = offset, .length = length };
	struct barbuf_map *map;

	CHECK_EQ(barbuf_map(&map, buf, &o), 0);
	return map;
}

static struct barbuf_map *map_bar_part(unsigned int bar, uint64_t offset, uint64_t length)
{
	const struct barbuf_map_options o = { .offset = offset, .length = length };
	struct barbuf_map *map;

	CHECK_EQ(barbuf_map_bar(&map, dev->lib, bar, &o), 0);
	return map;
}

/* How many entries map it when each page was touched. */
static long leaves(struct barbuf_map *map)
{
	size_t len = barbuf_map_length(map);

	walk_faults(barbuf_map_addr(map), len, PAGE);
	return count_leaves(barbuf_map_addr(map), len);
}

static long leaves_and_unmap(struct barbuf_map *map)
{
	long n = leaves(map);

	barbuf_unmap(map);
	return n;
}

/* Stock's vfio-pci maps 1 GiB with one leaf, and ours where Linux's mm is mended. */
static long leaves_of_1_gib(void)
{
	const char *kernel = getenv("LAB_KERNEL");

	return mm_has_pud_leaves() || (kernel && !strcmp(kernel, "stock")) ? 1 : 512;
}

/* BAR 2 of ivshmem is 1 GiB and so lies at a multiple of that. */
static void leaves_of_a_bar(void)
{
	struct barbuf_map *map;
	volatile char *p;

	dev = dev_open("ivshmem");
	CHECK_EQ(leaves_and_unmap(map_bar_part(2, 0, 0)), leaves_of_1_gib());
	CHECK_EQ(leaves_and_unmap(map_bar_part(2, MIB(6), MIB(8))), 4);
	CHECK_EQ(leaves_and_unmap(map_bar_part(2, MIB(1), MIB(4))), 1 + 2 * PAGES_IN(MIB(1)));
	CHECK_EQ(leaves_and_unmap(map_bar_part(2, MIB(2) + PAGE, MIB(2))), PAGES_IN(MIB(2)));

	/* A page beside the library's address there is none. */
	map = map_bar_part(2, MIB(6), MIB(8));
	p = map_aligned(dev->fd, bar_offset(dev, 2, MIB(6)), MIB(8), MIB(2),
			((uintptr_t)barbuf_map_addr(map) + PAGE) % MIB(2));
	walk_faults(p, MIB(8), PAGE);
	CHECK_EQ(count_leaves(p, MIB(8)), PAGES_IN(MIB(8)));
	CHECK_EQ(leaves_and_unmap(map), 4);
}

static struct barbuf_buffer *export(const range_t *ranges, size_t nr, enum barbuf_memattr memattr)
{
	const struct barbuf_export x = {
		.bar = 2,
		.ranges = ranges,
		.nr_ranges = nr,
		.memattr = memattr,
	};
	struct barbuf_buffer *buf;

	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), 0);
	return buf;
}

static void leaves_of_a_buffer(void)
{
	static const range_t whole = { 0, GIB(1) };
	static const range_t odd = { MIB(1), MIB(4) };
	struct barbuf_buffer *buf;
	volatile char *p;

	dev = dev_open("ivshmem");
	buf = export(&whole, 1, BARBUF_NC);
	CHECK_EQ(leaves_and_unmap(map_part(buf, 0, 0)), leaves_of_1_gib());
	CHECK_EQ(leaves_and_unmap(map_part(buf, MIB(1), MIB(4))), 1 + 2 * PAGES_IN(MIB(1)));
	CHECK_EQ(leaves_and_unmap(map_part(buf, MIB(4), MIB(4))), 2);
	barbuf_buffer_free(buf);

	/* At an odd place of the BAR a multiple of 2 MiB would be the wrong address. */
	buf = export(&odd, 1, BARBUF_NC);
	CHECK_EQ(leaves_and_unmap(map_part(buf, 0, 0)), 1 + 2 * PAGES_IN(MIB(1)));
	p = map_aligned(barbuf_buffer_fd(buf), 0, MIB(4), MIB(2), 0);
	walk_faults(p, MIB(4), PAGE);
	CHECK_EQ(count_leaves(p, MIB(4)), PAGES_IN(MIB(4)));
	barbuf_buffer_free(buf);
}

static void leaves_of_several_ranges(void)
{
	/* Neighbours, which are one run of 4 MiB from an odd place. */
	static const range_t merged[] = { { MIB(1), MIB(2) }, { MIB(3), MIB(2) } };
	/* A page first, so that the long run begins at an odd offset. */
	static const range_t late[] = { { MIB(9), PAGE }, { MIB(4), MIB(4) } };
	/* The longest in the middle. */
	static const range_t middle[] = { { MIB(1), MIB(1) },
					  { MIB(32), MIB(6) },
					  { PAGE, MIB(2) } };
	struct barbuf_buffer *buf;

	dev = dev_open("ivshmem");
	buf = export(merged, 2, BARBUF_NC);
	CHECK_EQ(leaves_and_unmap(map_part(buf, 0, 0)), 1 + 2 * PAGES_IN(MIB(1)));
	barbuf_buffer_free(buf);
	buf = export(late, 2, BARBUF_NC);
	CHECK_EQ(leaves_and_unmap(map_part(buf, 0, 0)), 1 + 2);
	barbuf_buffer_free(buf);
	buf = export(middle, 3, BARBUF_NC);
	CHECK_EQ(leaves_and_unmap(map_part(buf, 0, 0)), PAGES_IN(MIB(1)) + 3 + PAGES_IN(MIB(2)));
	barbuf_buffer_free(buf);
}

/* Linux has no huge leaves for it; it works all the same. */
static void write_combining(void)
{
	static const range_t range = { MIB(2), MIB(2) };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;

	dev = dev_open("ivshmem");
	buf = export(&range, 1, BARBUF_WC);
	map = map_part(buf, 0, 0);
	CHECK_EQ(leaves(map), PAGES_IN(MIB(2)));
	barbuf_unmap(map);
}

static void bar_data(void)
{
	struct barbuf_map *map;
	volatile char *bar;
	uint32_t v;
	uint64_t i;

	dev = dev_open("ivshmem");
	bar = map_bar(dev, 2, 0, MIB(4));
	for (i = 0; i < MIB(4); i += 64 * PAGE)
		write32(bar + i + 8, 0xda7a0000 + i / PAGE);
	for (i = 0; i < MIB(4); i += 64 * PAGE) {
		map = map_bar_part(2, i, PAGE);
		CHECK_EQ(barbuf_map_read32(map, 8, &v), 0);
		CHECK_EQ(v, 0xda7a0000 + i / PAGE);
		CHECK_EQ(barbuf_map_read32(map, PAGE, &v), -ERANGE);
		barbuf_unmap(map);
	}
	/* A BAR smaller than a page is mapped by a page. */
	map = map_bar_part(0, 0, 0);
	CHECK_EQ(barbuf_map_length(map), PAGE);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	barbuf_unmap(map);
}

static void bar_errors(void)
{
	struct barbuf_map_options o = { .offset = 1 };
	struct barbuf_map *map = (void *)1;

	dev = dev_open("ivshmem");
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, 2, &o), -EINVAL);
	o.offset = GIB(1);
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, 2, &o), -ERANGE);
	o.offset = PAGE;
	o.length = GIB(1);
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, 2, &o), -ERANGE);
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, BARBUF_REGION_CONFIG, NULL), -EINVAL);
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, 5, NULL), -ERANGE);
	/* I/O ports */
	dev = dev_open("testdev");
	CHECK_EQ(barbuf_map_bar(&map, dev->lib, 1, NULL), -EINVAL);
	CHECK(map == (void *)1);
}

/* edu answers registers below 0x80 to accesses of 4 bytes alone, else by all ones. */
static void exact_width(void)
{
	struct barbuf_map *map;
	uint64_t q = 0;
	uint32_t v = 0;

	dev = dev_open("edu");
	map = map_bar_part(0, 0, PAGE);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	CHECK_MSG(v == 0x010000edu, "%#x", v);
	CHECK_EQ(barbuf_map_read64(map, 0, &q), 0);
	CHECK_MSG(q == UINT64_MAX, "%#llx", (unsigned long long)q);
	/* Register 4 gives back the complement of what was written. */
	CHECK_EQ(barbuf_map_write32(map, 4, 0x12345678), 0);
	CHECK_EQ(barbuf_map_read32(map, 4, &v), 0);
	CHECK_EQ(v, ~0x12345678u);
	CHECK_EQ(barbuf_doorbell32((volatile char *)barbuf_map_addr(map) + 4, 0x55aa55aa), 0);
	CHECK_EQ(barbuf_map_read32(map, 4, &v), 0);
	CHECK_EQ(v, ~0x55aa55aau);
	/* A copy of 8 aligned bytes is one access of 8. */
	CHECK_EQ(barbuf_map_copy_from(map, 0, &q, 8), 0);
	CHECK_MSG(q == UINT64_MAX, "%#llx", (unsigned long long)q);
	barbuf_unmap(map);
}

static void copies(void)
{
	static unsigned char out[5 * PAGE], in[5 * PAGE];
	struct barbuf_map *map;
	unsigned int i;

	dev = dev_open("ivshmem");
	map = map_bar_part(2, 0, 8 * PAGE);
	for (i = 0; i < sizeof(out); i++)
		out[i] = i * 251 + i / 256;
	for (i = 0; i < 16; i++) {
		size_t len = 4 * PAGE + i * 3;

		memset(in, 0, sizeof(in));
		CHECK_EQ(barbuf_map_copy_to(map, PAGE - i, out + i, len), 0);
		CHECK_EQ(barbuf_map_copy_from(map, PAGE - i, in + 16 - i, len), 0);
		CHECK(!memcmp(in + 16 - i, out + i, len));
	}
	barbuf_unmap(map);
}

/* A push through write-combining, seen through the BAR. */
static void pushes(void)
{
	static const range_t range = { 0, PAGE };
	unsigned char cmd[64];
	struct barbuf_buffer *buf;
	struct barbuf_map *map, *bar;
	unsigned int i, j;

	dev = dev_open("ivshmem");
	buf = export(&range, 1, BARBUF_WC);
	map = map_part(buf, 0, 0);
	bar = map_bar_part(2, 0, PAGE);
	note("64 bytes are stored by kind %d", barbuf_store_kind());
	for (i = 0; i < PAGE; i += 64) {
		unsigned char got[64];

		for (j = 0; j < 64; j++)
			cmd[j] = i / 64 + j * 3;
		CHECK_EQ(barbuf_store64b((volatile char *)barbuf_map_addr(map) + i, cmd), 0);
		CHECK_EQ(barbuf_map_copy_from(bar, i, got, 64), 0);
		CHECK(!memcmp(got, cmd, 64));
	}
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	CHECK_EQ(barbuf_store64b(barbuf_map_addr(map), cmd), -EIO);
}

static atomic_int suspensions, revocations;

static void gone(struct barbuf_map *map, enum barbuf_gone why, void *arg)
{
	if (why == BARBUF_GONE_SUSPENDED)
		suspensions++;
	else
		revocations++;
}

static struct barbuf_map *map_bar_telling(unsigned int bar)
{
	const struct barbuf_map_options o = { .length = PAGE, .gone = gone };
	struct barbuf_map *map;

	CHECK_EQ(barbuf_map_bar(&map, dev->lib, bar, &o), 0);
	return map;
}

static void bar_in_low_power(void)
{
	struct barbuf_map *map;
	uint32_t before, v = 7;
	int round;

	dev = dev_open("nvme");
	map = map_bar_telling(0);
	CHECK_EQ(barbuf_map_read32(map, 0, &before), 0);
	for (round = 1; round <= 2; round++) {
		v = 7;
		CHECK_EQ(barbuf_low_power_enter(dev->lib, -1), 0);
		CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
		CHECK_EQ(barbuf_map_write32(map, 0x20, 0), -EIO);
		CHECK(v == 7 && suspensions == round);
		CHECK_EQ(barbuf_low_power_exit(dev->lib), 0);
		CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
		CHECK_EQ(v, before);
		CHECK(suspensions == round);
		barbuf_map_rearm(map);
	}
	CHECK(!revocations);
}

/* Each access works or fails, none kills, and one thread tells. */
#define THREADS 4

static atomic_int stop;

struct reader {
	struct barbuf_map *map;
	unsigned long ok, failed, wrong;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	uint64_t v;

	while (!stop) {
		switch (barbuf_map_read64(r->map, 0, &v)) {
		case 0:
			r->ok++;
			break;
		case -EIO:
			r->failed++;
			break;
		default:
			r->wrong++;
		}
	}
	return NULL;
}

static void threads_and_decode(void)
{
	struct reader readers[THREADS] = { 0 };
	unsigned long ok = 0, failed = 0;
	struct barbuf_map *map;
	pthread_t t[THREADS];
	int i;

	dev = dev_open("ivshmem");
	map = map_bar_telling(2);
	for (i = 0; i < THREADS; i++) {
		readers[i].map = map;
		CHECK(!pthread_create(&t[i], NULL, read_on, &readers[i]));
	}
	for (i = 0; i < 20; i++) {
		memory_decode(dev, false);
		sleep_ms(2);
		memory_decode(dev, true);
		sleep_ms(2);
	}
	stop = 1;
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		CHECK_EQ(readers[i].wrong, 0);
		ok += readers[i].ok;
		failed += readers[i].failed;
	}
	note("%lu accesses worked, %lu failed", ok, failed);
	CHECK(ok && failed);
	CHECK_EQ(suspensions, 1);
}

static struct barbuf_map *private_map;

static int touch_private(void *arg)
{
	unsigned char vec;

	/* There is no such mapping: an access would be SIGSEGV. */
	return mincore((void *)barbuf_map_addr(private_map), PAGE, &vec) == -1 && errno == ENOMEM ?
		       0 :
		       1;
}

static void no_fork(void)
{
	const struct barbuf_map_options o = { .length = PAGE, .no_fork = true };
	uint32_t v;

	dev = dev_open("ivshmem");
	CHECK_EQ(barbuf_map_bar(&private_map, dev->lib, 2, &o), 0);
	CHECK_EQ(barbuf_map_read32(private_map, 0, &v), 0);
	join(spawn(touch_private, NULL));
	CHECK_EQ(barbuf_map_read32(private_map, 0, &v), 0);
}

static const struct test_case cases[] = {
	CASE(leaves_of_a_bar, .seconds = 60),
	CASE(bar_data),
	CASE(bar_errors),
	CASE(exact_width),
	CASE(copies),
	CASE(bar_in_low_power),
	CASE(threads_and_decode),
	CASE(no_fork),
	CASE_MMAP(leaves_of_a_buffer, .seconds = 60),
	CASE_MMAP(leaves_of_several_ranges),
	CASE_MMAP(write_combining),
	CASE_MMAP(pushes),
};

TEST_MAIN(cases)
