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

/* Mappings begin at a page, so the offset tells the alignment. */
#define DEFINE_ACCESS(bits)                                                                       \
	int barbuf_map_read##bits(struct barbuf_map *map, uint64_t offset, uint##bits##_t *value) \
	{                                                                                         \
		int ret = check(map, offset, sizeof(*value));                                     \
                                                                                                  \
		if (ret)                                                                          \
			return ret;                                                               \
		if (offset % sizeof(*value))                                                      \
			return -EINVAL;                                                           \
		return barbuf_read##bits(map->addr + offset, value) ? failed(map) : 0;            \
	}                                                                                         \
                                                                                                  \
	int barbuf_map_write##bits(struct barbuf_map *map, uint64_t offset, uint##bits##_t value) \
	{                                                                                         \
		int ret = check(map, offset, sizeof(value));                                      \
                                                                                                  \
		if (ret)                                                                          \
			return ret;                                                               \
		if (offset % sizeof(value))                                                       \
			return -EINVAL;                                                           \
		return barbuf_write##bits(map->addr + offset, value) ? failed(map) : 0;           \
	}

DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)

#define DEFINE_DOORBELL(bits)                                                                  \
	int barbuf_map_doorbell##bits(struct barbuf_map *map, uint64_t offset,                 \
				      uint##bits##_t value)                                    \
	{                                                                                      \
		int ret = check(map, offset, sizeof(value));                                   \
                                                                                               \
		if (ret)                                                                       \
			return ret;                                                            \
		if (offset % sizeof(value))                                                    \
			return -EINVAL;                                                        \
		return barbuf_doorbell##bits(map->addr + offset, value) ? failed(map) : 0;     \
	}

DEFINE_DOORBELL(16)
DEFINE_DOORBELL(32)
DEFINE_DOORBELL(64)

int barbuf_map_store64b(struct barbuf_map *map, uint64_t offset, const void *src)
{
	int ret = check(map, offset, 64);

	if (ret)
		return ret;
	if (offset % 64)
		return -EINVAL;
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
