// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading one word of each page of a mapping, from the first to the last. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define NR_WALKS 9
#define SMALL (64 * MIB)
#define HUGE (2 * GIB)

/* KiB of page tables that this process has. */
static int tables_now(uint64_t *kib)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long n;
	char line[256];
	int ret = -ENODATA;

	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmPTE: %lu kB", &n) == 1) {
			*kib = n;
			ret = 0;
		}
	}
	fclose(f);
	return ret;
}

/* Says how long it took; the most faults and page tables stay in @f. */
static int walk_once(const struct bench *b, const char *at, size_t size, uint64_t *took,
		     struct figures *f)
{
	uint64_t tables_before, tables, faults_before, faults;
	uint64_t start;
	size_t i;
	int ret;

	ret = tables_now(&tables_before);
	if (ret)
		return ret;
	faults_before = faults_taken();
	start = now_ns();
	for (i = 0; i < size; i += b->page)
		touch(at + i);
	*took = since(start);
	faults = faults_taken() - faults_before;
	ret = tables_now(&tables);
	if (ret)
		return ret;
	/* Whatever maps it, something has to. */
	if (!faults || tables < tables_before)
		return -EIO;
	if (faults > f->of[FAULTS])
		f->of[FAULTS] = faults;
	if (tables - tables_before > f->of[KIB])
		f->of[KIB] = tables - tables_before;
	return 0;
}

/* Each walk is through a fresh mapping. */
static int walk(const struct bench *b, int fd, uint64_t offset, size_t size, size_t skew,
		struct figures *f)
{
	uint64_t took[NR_WALKS];
	struct arena a;
	size_t i;
	int ret;

	/* A fault of our own, to be over with. */
	memset(took, 0, sizeof(took));
	ret = arena_make(&a, size, skew);
	for (i = 0; i < NR_WALKS && !ret; i++) {
		ret = map_at(a.at, size, fd, offset);
		if (!ret)
			ret = walk_once(b, a.at, size, &took[i], f);
		/* A new mapping over the old one, and its page tables gone with it. */
		if (!ret)
			ret = arena_clear(a.at, size);
	}
	if (!ret)
		f->of[TIME] = smallest(took, NR_WALKS);
	arena_free(&a);
	return ret;
}

static int walk_buffer(const struct bench *b, int fd, size_t size, size_t skew, struct figures *f)
{
	int ret;

	if (fd < 0)
		return fd;
	ret = walk(b, fd, 0, size, skew, f);
	close(fd);
	return ret;
}

int walk_small(const struct bench *b, size_t n, struct figures *f)
{
	return walk(b, barbuf_device_fd(b->memory.dev), b->memory.bar.offset, SMALL, b->page, f);
}

int walk_scattered(const struct bench *b, size_t n, struct figures *f)
{
	return walk_buffer(b, export_scattered(b, SMALL / b->page), SMALL, b->page, f);
}

int walk_huge(const struct bench *b, size_t n, struct figures *f)
{
	return walk(b, barbuf_device_fd(b->sparse.dev), b->sparse.bar.offset, HUGE, 0, f);
}

int touch_huge(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t took[NR_WALKS], before, start;
	struct arena a;
	size_t i;
	int ret;

	ret = arena_make(&a, HUGE, 0);
	for (i = 0; i < NR_WALKS && !ret; i++) {
		ret = map_at(a.at, HUGE, barbuf_device_fd(b->sparse.dev), b->sparse.bar.offset);
		if (ret)
			break;
		before = faults_taken();
		start = now_ns();
		touch(a.at + HUGE / 2);
		took[i] = since(start);
		if (faults_taken() - before != 1)
			ret = -EIO;
		if (!ret)
			ret = arena_clear(a.at, HUGE);
	}
	if (!ret)
		f->of[TIME] = smallest(took, NR_WALKS);
	arena_free(&a);
	return ret;
}

int walk_adjacent(const struct bench *b, size_t n, struct figures *f)
{
	struct barbuf_range *ranges;
	size_t i;
	int fd;

	ranges = calloc(n, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		ranges[i].offset = i * (HUGE / n);
		ranges[i].length = HUGE / n;
	}
	fd = barbuf_device_export(b->sparse.dev, b->sparse.bar.index, ranges, n, O_RDWR | O_CLOEXEC);
	free(ranges);
	return walk_buffer(b, fd, HUGE, 0, f);
}
