// SPDX-License-Identifier: LGPL-2.1-or-later
/* Accesses to a mapping: within its bounds, and its owner is told when it has gone. */
#include <errno.h>

#include "buffer.h"
#include "map.h"

/* An access has failed. Returns -EIO. */
static int failed(struct barbuf_map *map)
{
	int told, why;

	if (!map->gone)
		return -EIO;
	told = atomic_load(&map->told);
	if (told == BARBUF_GONE_REVOKED)
		return -EIO;
	/* A BAR cannot be revoked while its device is open, which the mapping keeps open. */
	why = BARBUF_GONE_SUSPENDED;
	if (map->fd >= 0 && barbuf__dmabuf_check(map->fd) == -EBADFD)
		why = BARBUF_GONE_REVOKED;
	/* Of threads that fail at once, one tells. Suspended is below revoked. */
	while (told < why) {
		if (atomic_compare_exchange_weak(&map->told, &told, why)) {
			map->gone(map, why, map->arg);
			break;
		}
	}
	return -EIO;
}

static int check(const struct barbuf_map *map, uint64_t offset, uint64_t len)
{
	return offset > map->length || len > map->length - offset ? -ERANGE : 0;
}

/* Of one access of @width bytes. Mappings begin at a page, so the offset tells the alignment. */
static int check_one(const struct barbuf_map *map, uint64_t offset, unsigned int width)
{
	int ret = check(map, offset, width);

	if (ret)
		return ret;
	return offset % width ? -EINVAL : 0;
}

#define DEFINE_READ(bits)                                                                         \
	int barbuf_map_read##bits(struct barbuf_map *map, uint64_t offset, uint##bits##_t *value) \
	{                                                                                         \
		int ret = check_one(map, offset, sizeof(*value));                                 \
                                                                                                  \
		if (ret)                                                                          \
			return ret;                                                               \
		return barbuf_read##bits(map->addr + offset, value) ? failed(map) : 0;            \
	}

/* write, or doorbell */
#define DEFINE_STORE(kind, bits)                                                                  \
	int barbuf_map_##kind##bits(struct barbuf_map *map, uint64_t offset,                      \
				    uint##bits##_t value)                                         \
	{                                                                                         \
		int ret = check_one(map, offset, sizeof(value));                                  \
                                                                                                  \
		if (ret)                                                                          \
			return ret;                                                               \
		return barbuf_##kind##bits(map->addr + offset, value) ? failed(map) : 0;          \
	}

DEFINE_READ(8)
DEFINE_READ(16)
DEFINE_READ(32)
DEFINE_READ(64)
DEFINE_STORE(write, 8)
DEFINE_STORE(write, 16)
DEFINE_STORE(write, 32)
DEFINE_STORE(write, 64)
DEFINE_STORE(doorbell, 16)
DEFINE_STORE(doorbell, 32)
DEFINE_STORE(doorbell, 64)

int barbuf_map_store64b(struct barbuf_map *map, uint64_t offset, const void *src)
{
	int ret = check_one(map, offset, 64);

	if (ret)
		return ret;
	return barbuf_store64b(map->addr + offset, src) ? failed(map) : 0;
}

int barbuf_map_copy_from(struct barbuf_map *map, uint64_t offset, void *dst, size_t len)
{
	int ret = check(map, offset, len);

	if (ret)
		return ret;
	return barbuf_copy_from(dst, map->addr + offset, len) ? failed(map) : 0;
}

int barbuf_map_copy_to(struct barbuf_map *map, uint64_t offset, const void *src, size_t len)
{
	int ret = check(map, offset, len);

	if (ret)
		return ret;
	return barbuf_copy_to(map->addr + offset, src, len) ? failed(map) : 0;
}
