// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <barbuf/guard.h>

#include "bench.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define NR_CALLS 501 /* repetitions of a system call */
#define NR_TOUCHES 2048 /* pages touched, of which the median counts */
#define NR_WALKS 5
#define NR_REVOKES 21
#define WALK_SIZE (64 * MIB)
#define WALK_HUGE_SIZE (2 * GIB)
#define MANY_RANGES 65536
#define MANY_BUFFERS 1000

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

static int arena_make(struct arena *a, size_t size, size_t skew)
{
	a->reserved_size = size + skew + GIB;
	a->reserved = mmap(NULL, a->reserved_size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->reserved == MAP_FAILED)
		return -errno;
	a->at = (char *)(((uintptr_t)a->reserved + GIB - 1) & ~(GIB - 1)) + skew;
	return 0;
}

static void arena_free(struct arena *a)
{
	munmap(a->reserved, a->reserved_size);
}

static int map_at(char *at, size_t size, int fd, uint64_t offset)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);

	return p == MAP_FAILED ? -errno : 0;
}

static void touch(const char *page)
{
	(void)*(const volatile uint32_t *)page;
}

static uint64_t faults_taken(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static uint64_t since(uint64_t start)
{
	uint64_t took = now_ns() - start;

	return took > clock_overhead() ? took - clock_overhead() : 0;
}

/* A path that both sets share: anything but 1.00 says that the method is wrong. */
static int region_info(const struct bench *b, uint64_t *value)
{
	uint64_t took[NR_CALLS];
	struct barbuf_region region;
	int ret = 0;
	size_t i;

	for (i = 0; i < NR_CALLS && !ret; i++) {
		uint64_t start = now_ns();

		ret = barbuf_device_get_region(b->memory, b->memory_bar.index, &region);
		took[i] = since(start);
	}
	*value = median(took, NR_CALLS);
	return ret;
}

static int mmap_page(const struct bench *b, int fd, uint64_t offset, uint64_t *value)
{
	uint64_t took[NR_CALLS];
	struct arena a;
	size_t i;
	int ret;

	/* Far from every other mapping, so that each row and set has the same neighbours. */
	ret = arena_make(&a, b->page, b->page);
	if (ret)
		return ret;
	arena_free(&a);
	for (i = 0; i < NR_CALLS; i++) {
		uint64_t start = now_ns();
		void *p = mmap(a.at, b->page, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);

		if (p == MAP_FAILED)
			return -errno;
		munmap(p, b->page);
		took[i] = since(start);
	}
	*value = median(took, NR_CALLS);
	return 0;
}

static int mmap_alone(const struct bench *b, uint64_t *value)
{
	return mmap_page(b, barbuf_device_fd(b->memory), b->memory_bar.offset, value);
}

static int mmap_beside(const struct bench *b, uint64_t *value)
{
	int fd = barbuf_device_fd(b->memory);
	void *other;
	int ret;

	other = mmap(NULL, b->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     b->memory_bar.offset + b->page);
	if (other == MAP_FAILED)
		return -errno;
	ret = mmap_page(b, fd, b->memory_bar.offset, value);
	munmap(other, b->page);
	return ret;
}

static int mmap_export(const struct bench *b, uint64_t *value)
{
	const struct vfio_region_dma_range range = { 0, b->page };
	int fd, ret;

	fd = barbuf_export(b->memory, b->memory_bar.index, &range, 1, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;
	ret = mmap_page(b, fd, 0, value);
	close(fd);
	return ret;
}

/*
 * Touch pages all over a mapping of @size bytes whose page tables are there, so
 * that what is seen is the fault alone.
 */
static int touch_pages(const struct bench *b, int fd, uint64_t offset, size_t size, uint64_t *value)
{
	size_t pages = size / b->page;
	uint64_t took[NR_TOUCHES];
	struct arena a;
	size_t i, page;
	int ret;

	ret = arena_make(&a, size, b->page);
	if (ret)
		return ret;
	ret = map_at(a.at, size, fd, offset);
	if (ret)
		goto out;
	/* One page of each table, the first that a table has whole. */
	for (i = 0; i < size; i += 2 * MIB)
		touch(a.at + i);
	/* An odd step visits each page once; those above are stepped over. */
	for (i = page = 0; i < NR_TOUCHES;) {
		uint64_t start;

		page = (page + 40503) % pages;
		if (page % (2 * MIB / b->page) == 0)
			continue;
		start = now_ns();
		touch(a.at + page * b->page);
		took[i++] = since(start);
	}
	*value = median(took, NR_TOUCHES);
out:
	arena_free(&a);
	return ret;
}

static int touch_bar(const struct bench *b, uint64_t *value)
{
	return touch_pages(b, barbuf_device_fd(b->memory), b->memory_bar.offset,
			   MANY_RANGES * b->page, value);
}

/* A buffer of the same size whatever the number of its ranges. */
static int touch_export(const struct bench *b, size_t nr, uint64_t *value)
{
	struct vfio_region_dma_range *ranges;
	size_t i;
	int ret;
	int fd;

	ranges = calloc(nr, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		/* An odd factor permutes, and puts no two neighbours side by side. */
		size_t page = nr == 1 ? 0 : i * 40503 % nr;

		ranges[i].offset = page * b->page;
		ranges[i].length = MANY_RANGES / nr * b->page;
	}
	fd = barbuf_export(b->memory, b->memory_bar.index, ranges, nr, O_RDWR | O_CLOEXEC);
	free(ranges);
	if (fd < 0)
		return fd;
	ret = touch_pages(b, fd, 0, MANY_RANGES * b->page, value);
	close(fd);
	return ret;
}

static int touch_one_range(const struct bench *b, uint64_t *value)
{
	return touch_export(b, 1, value);
}

static int touch_many_ranges(const struct bench *b, uint64_t *value)
{
	return touch_export(b, MANY_RANGES, value);
}

/* Read one word of each page, from the first to the last, in a fresh mapping. */
static int walk(const struct bench *b, int fd, uint64_t offset, size_t size, size_t skew,
		uint64_t *value)
{
	uint64_t took[NR_WALKS];
	struct arena a;
	size_t i, at;
	int ret;

	ret = arena_make(&a, size, skew);
	for (i = 0; i < NR_WALKS && !ret; i++) {
		uint64_t start;

		ret = map_at(a.at, size, fd, offset);
		if (ret)
			break;
		start = now_ns();
		for (at = 0; at < size; at += b->page)
			touch(a.at + at);
		took[i] = since(start);
		/* A new mapping over the old one, and its page tables gone with it. */
		if (mmap(a.at, size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			ret = -errno;
	}
	if (!ret)
		*value = median(took, NR_WALKS);
	if (a.reserved != MAP_FAILED)
		arena_free(&a);
	return ret;
}

static int walk_bar(const struct bench *b, uint64_t *value)
{
	return walk(b, barbuf_device_fd(b->memory), b->memory_bar.offset, WALK_SIZE, b->page,
		    value);
}

static int walk_huge(const struct bench *b, uint64_t *value)
{
	return walk(b, barbuf_device_fd(b->sparse), b->sparse_bar.offset, WALK_HUGE_SIZE, 0, value);
}

/* Buffers of one page each, all mapped and touched. */
struct many {
	size_t nr;
	int *fds;
	char **maps;
};

static int many_add(const struct bench *b, struct many *m, size_t i)
{
	const struct vfio_region_dma_range range = { 2 * i * b->page, b->page };
	void *map;

	m->fds[i] = barbuf_export(b->memory, b->memory_bar.index, &range, 1, O_RDWR | O_CLOEXEC);
	if (m->fds[i] < 0)
		return m->fds[i];
	map = mmap(NULL, b->page, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[i], 0);
	if (map == MAP_FAILED)
		return -errno;
	m->maps[i] = map;
	touch(map);
	return 0;
}

static void many_remove(const struct bench *b, struct many *m, size_t i)
{
	if (m->maps[i])
		munmap(m->maps[i], b->page);
	if (m->fds[i] >= 0)
		close(m->fds[i]);
	m->maps[i] = NULL;
	m->fds[i] = -1;
}

static void many_free(const struct bench *b, struct many *m)
{
	size_t i;

	for (i = 0; m->fds && m->maps && i < m->nr; i++)
		many_remove(b, m, i);
	free(m->fds);
	free(m->maps);
}

static int many_make(const struct bench *b, struct many *m, size_t nr)
{
	int ret = 0;
	size_t i;

	m->nr = nr;
	m->fds = calloc(nr, sizeof(*m->fds));
	m->maps = calloc(nr, sizeof(*m->maps));
	if (!m->fds || !m->maps)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		m->fds[i] = -1;
	for (i = 0; i < nr && !ret; i++)
		ret = many_add(b, m, i);
	return ret;
}

/*
 * Revoke one of @nr buffers and put a new one in its place, again and again.
 * The revoked one must be gone, or neither figure means anything: -EIO says so.
 */
static int revoke_one(const struct bench *b, size_t nr, uint64_t *time, uint64_t *extra)
{
	uint64_t took[NR_REVOKES];
	uint64_t extra_faults = 0;
	struct many m = { 0 };
	size_t i, k;
	int ret;

	ret = many_make(b, &m, nr);
	for (i = 0; i < NR_REVOKES && !ret; i++) {
		size_t victim = (i * 389 + 1) % nr;
		uint64_t before, start;
		uint32_t word;

		start = now_ns();
		ret = barbuf_revoke(b->memory, m.fds[victim]);
		took[i] = since(start);
		if (ret)
			break;

		before = faults_taken();
		for (k = 0; k < nr; k++)
			if (k != victim)
				touch(m.maps[k]);
		extra_faults += faults_taken() - before;

		if (barbuf_read32(m.maps[victim], &word) != -EIO) {
			ret = -EIO;
			break;
		}
		many_remove(b, &m, victim);
		ret = many_add(b, &m, victim);
	}
	many_free(b, &m);
	if (!ret) {
		*time = median(took, NR_REVOKES);
		*extra = extra_faults;
	}
	return ret;
}

static int revoke_of_one(const struct bench *b, uint64_t *value)
{
	uint64_t extra;

	return revoke_one(b, 1, value, &extra);
}

static int revoke_of_many(const struct bench *b, uint64_t *value)
{
	uint64_t extra;

	return revoke_one(b, MANY_BUFFERS, value, &extra);
}

static int revoke_extra_faults(const struct bench *b, uint64_t *value)
{
	uint64_t time;

	return revoke_one(b, MANY_BUFFERS, &time, value);
}

const struct row rows[] = {
	{ "region-info", "VFIO_DEVICE_GET_REGION_INFO, the same code in both", region_info, true,
	  false, NULL, -1 },
	{ "mmap-alone", "mmap + munmap of one page, no other mapping of the BAR", mmap_alone, true,
	  false, NULL, -1 },
	{ "mmap-live", "mmap + munmap of one page, the BAR's buffer is live", mmap_beside, true,
	  false, NULL, 1.05 },
	{ "mmap-export", "mmap + munmap of one page of an exported buffer", mmap_export, false,
	  false, "mmap-live", -1 },
	{ "touch", "first touch of a page of a BAR", touch_bar, true, false, NULL, 1.05 },
	{ "walk", "walk 64 MiB, misaligned VA: 16,384 faults", walk_bar, true, false, NULL, -1 },
	{ "walk-huge", "walk 2 GiB, aligned VA: 524,288 reads", walk_huge, true, false, NULL, -1 },
	{ "touch-1", "first touch in a buffer of 1 range", touch_one_range, false, false, "touch",
	  -1 },
	{ "touch-65536", "first touch in a buffer of 65,536 ranges", touch_many_ranges, false,
	  false, "touch-1", 1.5 },
	{ "revoke-1", "revoke of one of 1 mapped buffer", revoke_of_one, false, false, NULL, -1 },
	{ "revoke-1000", "revoke of one of 1,000 mapped buffers", revoke_of_many, false, false,
	  "revoke-1", -1 },
	{ "revoke-faults", "extra faults of the other 999, in 21 revokes", revoke_extra_faults,
	  false, true, NULL, 0 },
};

const size_t nr_rows = sizeof(rows) / sizeof(rows[0]);

static int open_model(const char *model, uint64_t need, struct barbuf_device **dev,
		      struct barbuf_region *bar)
{
	char address[32];
	int ret;

	ret = bind_model(model, address, sizeof(address));
	if (!ret)
		ret = barbuf_device_open(dev, NULL, address);
	if (!ret)
		ret = barbuf_device_get_region(*dev, VFIO_PCI_BAR2_REGION_INDEX, bar);
	if (!ret && (!(bar->flags & VFIO_REGION_INFO_FLAG_MMAP) || bar->size < need))
		ret = -ENOSPC;
	return ret;
}

int bench_open(struct bench *b)
{
	int ret;

	*b = (struct bench){ .page = sysconf(_SC_PAGESIZE) };
	ret = open_model("ivshmem", MANY_RANGES * b->page, &b->memory, &b->memory_bar);
	if (!ret)
		ret = open_model("testdev", WALK_HUGE_SIZE, &b->sparse, &b->sparse_bar);
	if (ret)
		bench_close(b);
	return ret;
}

void bench_close(struct bench *b)
{
	barbuf_device_close(b->memory);
	barbuf_device_close(b->sparse);
	b->memory = b->sparse = NULL;
}
