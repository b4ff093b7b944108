// SPDX-License-Identifier: LGPL-2.1-or-later
/* mmap, first touch, look-up: what one page costs. */
#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

#define NR_CALLS 501 /* repetitions of a system call */
#define NR_TOUCHES 2048 /* pages touched, of which the median counts */
#define TOUCHED_PAGES 65536 /* that they are of */

int region_info(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t took[NR_CALLS];
	struct barbuf_region region;
	int ret = 0;
	size_t i;

	for (i = 0; i < NR_CALLS && !ret; i++) {
		uint64_t start = now_ns();

		ret = barbuf_device_get_region(b->memory.dev, b->memory.bar.index, &region);
		took[i] = since(start);
	}
	f->of[TIME] = median(took, NR_CALLS);
	return ret;
}

static int mmap_page(const struct bench *b, int fd, uint64_t offset, struct figures *f)
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
	f->of[TIME] = median(took, NR_CALLS);
	return 0;
}

int mmap_bar(const struct bench *b, size_t n, struct figures *f)
{
	int fd = barbuf_device_fd(b->memory.dev);
	void *other = NULL;
	int ret;

	if (n) {
		other = mmap(NULL, n * b->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			     b->memory.bar.offset + b->page);
		if (other == MAP_FAILED)
			return -errno;
	}
	ret = mmap_page(b, fd, b->memory.bar.offset, f);
	if (other)
		munmap(other, n * b->page);
	return ret;
}

/* Device files of their own, and a place for a page of each. */
struct files {
	struct barbuf_device **dev;
	size_t nr;
	struct arena a;
};

static void files_close(struct files *files)
{
	size_t i;

	arena_free(&files->a);
	for (i = 0; i < files->nr; i++)
		barbuf_device_close(files->dev[i]);
	free(files->dev);
}

static int files_open(struct files *files, const struct bench *b, size_t n)
{
	struct rlimit limit = { n + 1000, n + 1000 };
	int ret;

	*files = (struct files){ .dev = calloc(n, sizeof(*files->dev)) };
	if (!files->dev)
		return -ENOMEM;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	/* Every other page, so that no two are neighbours. */
	ret = arena_make(&files->a, 2 * n * b->page, b->page);
	while (!ret && files->nr < n) {
		ret = barbuf_device_open(&files->dev[files->nr], b->container,
					 barbuf_device_address(b->memory.dev));
		if (!ret)
			files->nr++;
	}
	return ret;
}

static int files_map(struct files *files, const struct bench *b, size_t i)
{
	return map_at(files->a.at + 2 * i * b->page, b->page, barbuf_device_fd(files->dev[i]),
		      b->memory.bar.offset);
}

int mmap_new_file(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t *took = calloc(n, sizeof(*took));
	struct files files;
	uint64_t start;
	size_t i;
	int ret;

	if (!took)
		return -ENOMEM;
	ret = files_open(&files, b, n);
	for (i = 0; i < n && !ret; i++) {
		start = now_ns();
		ret = files_map(&files, b, i);
		took[i] = since(start);
	}
	for (i = 0; i < n && !ret; i++) {
		start = now_ns();
		munmap(files.a.at + 2 * i * b->page, b->page);
		took[i] += since(start);
	}
	if (!ret)
		f->of[TIME] = median(took, n);
	files_close(&files);
	free(took);
	return ret;
}

int mmap_many_files(const struct bench *b, size_t n, struct figures *f)
{
	struct files files;
	size_t i;
	int ret;

	ret = files_open(&files, b, n);
	for (i = 0; i < n && !ret; i++)
		ret = files_map(&files, b, i);
	if (!ret)
		ret = mmap_page(b, barbuf_device_fd(files.dev[n / 2]), b->memory.bar.offset, f);
	files_close(&files);
	return ret;
}

int mmap_export(const struct bench *b, size_t n, struct figures *f)
{
	int fd, ret;

	fd = export_range(&b->memory, 0, b->page);
	if (fd < 0)
		return fd;
	ret = mmap_page(b, fd, 0, f);
	close(fd);
	return ret;
}

/*
 * Map one page, as one does with a doorbell, and touch it: nothing lies beside it
 * that a fault could map as well. A neighbour of the same page table is mapped
 * and touched before, so that what is seen is the fault alone.
 */
static int touch_pages(const struct bench *b, int fd, uint64_t offset, struct figures *f)
{
	uint64_t took[NR_TOUCHES];
	size_t i, page = 0;
	struct arena a;
	char *at;
	int ret;

	/* Faults of our own, to be over with. */
	memset(took, 0, sizeof(took));
	ret = arena_make(&a, 2 * MIB, 0);
	if (ret)
		return ret;
	ret = map_at(a.at, b->page, fd, offset);
	if (ret)
		goto out;
	touch(a.at);
	at = a.at + 16 * b->page;
	for (i = 0; i < NR_TOUCHES; i++) {
		uint64_t before, start;

		/* An odd step visits each page once. */
		page = (page + 40503) % TOUCHED_PAGES;
		ret = map_at(at, b->page, fd, offset + page * b->page);
		if (ret)
			goto out;
		before = faults_taken();
		start = now_ns();
		touch(at);
		took[i] = since(start);
		if (faults_taken() - before != 1) {
			ret = -EIO;
			goto out;
		}
	}
	f->of[TIME] = median(took, NR_TOUCHES);
out:
	arena_free(&a);
	return ret;
}

int touch_bar(const struct bench *b, size_t n, struct figures *f)
{
	return touch_pages(b, barbuf_device_fd(b->memory.dev), b->memory.bar.offset, f);
}

int touch_buffer(const struct bench *b, size_t n, struct figures *f)
{
	int fd, ret;

	/* The same size whatever the number of ranges. */
	if (n == 1)
		fd = export_range(&b->memory, 0, TOUCHED_PAGES * b->page);
	else if (n == TOUCHED_PAGES)
		fd = export_scattered(b, n);
	else
		return -EINVAL;
	if (fd < 0)
		return fd;
	ret = touch_pages(b, fd, 0, f);
	close(fd);
	return ret;
}
