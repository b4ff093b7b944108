// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

int export_range(const struct target *t, uint64_t offset, uint64_t size)
{
	const struct barbuf_range range = { offset, size };

	return barbuf_device_export(t->dev, t->bar.index, &range, 1, O_RDWR | O_CLOEXEC);
}

struct barbuf_range *scattered_ranges(const struct bench *b, size_t nr)
{
	size_t pages = b->memory.bar.size / b->page;
	struct barbuf_range *ranges;
	size_t i;

	ranges = calloc(nr, sizeof(*ranges));
	if (!ranges)
		return NULL;
	for (i = 0; i < nr; i++) {
		/* The BAR's pages are a power of two: an odd factor permutes them. */
		ranges[i].offset = i * 40503 % pages * b->page;
		ranges[i].length = b->page;
	}
	return ranges;
}

int export_scattered(const struct bench *b, size_t nr)
{
	struct barbuf_range *ranges = scattered_ranges(b, nr);
	int fd;

	if (!ranges)
		return -ENOMEM;
	fd = barbuf_device_export(b->memory.dev, b->memory.bar.index, ranges, nr, O_RDWR | O_CLOEXEC);
	free(ranges);
	return fd;
}

static int many_add(struct many *m, size_t i)
{
	void *map;

	/* No two that follow each other are adjacent. In a small BAR pages come again. */
	m->fds[i] = export_range(m->target, 2 * i * m->page % m->target->bar.size, m->page);
	if (m->fds[i] < 0)
		return m->fds[i];
	map = mmap(NULL, m->page, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[i], 0);
	if (map == MAP_FAILED)
		return -errno;
	m->maps[i] = map;
	touch(map);
	return 0;
}

static void many_remove(struct many *m, size_t i)
{
	if (m->maps[i])
		munmap(m->maps[i], m->page);
	if (m->fds[i] >= 0)
		close(m->fds[i]);
	m->maps[i] = NULL;
	m->fds[i] = -1;
}

int many_replace(struct many *m, size_t i)
{
	many_remove(m, i);
	return many_add(m, i);
}

int many_make(struct many *m, const struct bench *b, const struct target *t, size_t nr)
{
	int ret = 0;
	size_t i;

	*m = (struct many){ .target = t, .page = b->page, .nr = nr };
	/* calloc() of nothing may be NULL, which is not an error here. */
	m->fds = calloc(nr + 1, sizeof(*m->fds));
	m->maps = calloc(nr + 1, sizeof(*m->maps));
	if (!m->fds || !m->maps)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		m->fds[i] = -1;
	for (i = 0; i < nr && !ret; i++)
		ret = many_add(m, i);
	return ret;
}

void many_free(struct many *m)
{
	size_t i;

	for (i = 0; m->fds && m->maps && i < m->nr; i++)
		many_remove(m, i);
	free(m->fds);
	free(m->maps);
}

uint64_t many_touch(const struct many *m, size_t but)
{
	uint64_t before = faults_taken();
	size_t i;

	for (i = 0; i < m->nr; i++)
		if (i != but)
			touch(m->maps[i]);
	return faults_taken() - before;
}
