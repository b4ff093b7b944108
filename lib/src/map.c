// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffer.h"
#include "map.h"
#include "phase.h"

/* What is to be mapped. */
struct source {
	int fd;
	uint64_t base; /* where its offset 0 is in the fd */
	uint64_t size;
	uint64_t phase; /* see struct barbuf_buffer */
	unsigned int shift;
};

/* The pages of @o in @s; *@len in whole pages. */
static int pages_of(const struct source *s, const struct barbuf_map_options *o, uint64_t *len)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t room;

	if (o->offset % page || o->reserved[0] || o->reserved[1])
		return -EINVAL;
	if (o->offset >= s->size)
		return -ERANGE;
	room = s->size - o->offset;
	if (o->length > room)
		return -ERANGE;
	*len = o->length ? o->length : room;
	*len = (*len + page - 1) & ~(page - 1);
	/* More than this process can address: what mmap() would say. */
	return *len > SIZE_MAX / 2 ? -ENOMEM : 0;
}

/* The first address from @from on that is @phase modulo 2^@shift. */
static char *congruent(char *from, uint64_t phase, unsigned int shift)
{
	return from + ((phase - (uintptr_t)from) & ((1ull << shift) - 1));
}

/*
 * mmap() at an address at which leaves of 2^@shift bytes fit. The room is looked for and given
 * back, and not replaced: an mmap() that fails may leave a hole in what it was to replace, which
 * another thread's may fill.
 */
static void *map_aligned(size_t len, int prot, int fd, off_t offset, uint64_t phase,
			 unsigned int shift)
{
	size_t room = len + (1ull << shift);
	char *area, *p;
	int tries;

	for (tries = 0; tries < 8; tries++) {
		area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			    0);
		if (area == MAP_FAILED)
			return MAP_FAILED;
		munmap(area, room);
		p = mmap(congruent(area, phase, shift), len, prot,
			 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);
		if (p != MAP_FAILED || errno != EEXIST)
			return p;
	}
	errno = ENOMEM;
	return MAP_FAILED;
}

static int map_source(struct barbuf_map **out, const struct source *s,
		      const struct barbuf_map_options *o, uint64_t len)
{
	int prot = o->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	off_t offset = s->base + o->offset;
	struct barbuf_map *map;
	unsigned int shift;
	void *p = MAP_FAILED;
	int ret;

	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;

	shift = barbuf__leaf(s->phase + o->offset, len, s->shift);
	if (shift)
		p = map_aligned(len, prot, s->fd, offset, s->phase + o->offset, shift);
	/* Without the room for a choice it is mapped anywhere. */
	if (p == MAP_FAILED && (!shift || errno == ENOMEM))
		p = mmap(NULL, len, prot, MAP_SHARED, s->fd, offset);
	if (p == MAP_FAILED || (o->no_fork && madvise(p, len, MADV_DONTFORK))) {
		ret = -errno;
		goto err;
	}

	map->addr = p;
	map->length = len;
	map->fd = -1;
	map->gone = o->gone;
	map->arg = o->arg;
	atomic_init(&map->told, -1);
	*out = map;
	return 0;

err:
	if (p != MAP_FAILED)
		munmap(p, len);
	free(map);
	return ret;
}

int barbuf_map(struct barbuf_map **out, struct barbuf_buffer *buf,
	       const struct barbuf_map_options *o)
{
	const struct barbuf_map_options all = { .read_only = buf->read_only };
	/* Linux maps write-combining memory by base pages alone. */
	struct source s = {
		.fd = buf->fd,
		.size = buf->size,
		.phase = buf->phase,
		.shift = buf->memattr == BARBUF_WC ? 0 : buf->shift,
	};
	struct barbuf_map *map;
	uint64_t len;
	int fd = -1;
	int ret;

	if (!o)
		o = &all;
	if (!o->read_only && buf->read_only)
		return -EACCES;
	ret = pages_of(&s, o, &len);
	if (ret)
		return ret;
	if (o->gone) {
		fd = fcntl(buf->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
	}
	ret = map_source(&map, &s, o, len);
	if (ret) {
		if (fd >= 0)
			close(fd);
		/* Offset and flags are right: so says a DMABUF that has no mmap of its own. */
		return ret == -EINVAL ? -ENODEV : ret;
	}
	map->fd = fd;
	*out = map;
	return 0;
}

/* Are these bytes of the BAR within one of the areas that can be mapped? */
static int check_areas(struct barbuf_device *dev, uint32_t bar, uint64_t offset, uint64_t len)
{
	struct barbuf_range *areas = NULL;
	size_t i, nr = 0;
	int ret;

	ret = barbuf_device_get_areas(dev, bar, NULL, &nr);
	if (ret == -ENOSPC) {
		areas = calloc(nr, sizeof(*areas));
		if (!areas)
			return -ENOMEM;
		ret = barbuf_device_get_areas(dev, bar, areas, &nr);
	}
	if (!ret) {
		ret = -EINVAL;
		for (i = 0; i < nr; i++)
			if (offset >= areas[i].offset && len <= areas[i].length &&
			    offset - areas[i].offset <= areas[i].length - len)
				ret = 0;
	}
	free(areas);
	return ret;
}

int barbuf_map_bar(struct barbuf_map **out, struct barbuf_device *dev, uint32_t bar,
		   const struct barbuf_map_options *o)
{
	const struct barbuf_map_options all = { 0 };
	struct barbuf_region region;
	uint64_t address, len;
	struct source s;
	int ret;

	if (!o)
		o = &all;
	if (bar > 5)
		return -EINVAL;
	ret = barbuf_device_get_region(dev, bar, &region);
	if (ret)
		return ret;
	address = barbuf__bar_address(dev, bar);
	s = (struct source){
		.fd = barbuf_device_fd(dev),
		.base = region.offset,
		.size = region.size,
		.phase = address & ((1ull << BARBUF__SHIFT_1G) - 1),
		.shift = address ? BARBUF__SHIFT_1G : 0,
	};
	ret = pages_of(&s, o, &len);
	if (ret)
		return ret;
	ret = check_areas(dev, bar, o->offset, o->length ? o->length : s.size - o->offset);
	if (ret)
		return ret;
	return map_source(out, &s, o, len);
}

void barbuf_unmap(struct barbuf_map *map)
{
	if (!map)
		return;
	munmap((void *)map->addr, map->length);
	if (map->fd >= 0)
		close(map->fd);
	free(map);
}

volatile void *barbuf_map_addr(const struct barbuf_map *map)
{
	return map->addr;
}

uint64_t barbuf_map_length(const struct barbuf_map *map)
{
	return map->length;
}

void barbuf_map_rearm(struct barbuf_map *map)
{
	atomic_store(&map->told, -1);
}
