// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The reset ioctl. The device gets 100 ms to come back, asleep, so what is
 * measured is the time that the thread runs.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench.h"

#define NR_RESETS 7
#define FLR_NS UINT64_C(100000000)
#define IOVA (4 * GIB)

/* A mapping for DMA of each. They end with the container's last device, or here. */
static int dma_each(const struct bench *b, const struct many *m, int (*act)(const struct bench *b,
									    const char *map,
									    uint64_t iova))
{
	int ret = 0;
	size_t i;

	for (i = 0; i < m->nr && !ret; i++)
		ret = act(b, m->maps[i], IOVA + i * 2 * b->page);
	return ret;
}

static int map_one(const struct bench *b, const char *map, uint64_t iova)
{
	return dma_map(b, map, iova, b->page);
}

static int unmap_one(const struct bench *b, const char *map, uint64_t iova)
{
	return dma_unmap(b, iova, b->page);
}

/*
 * Reset the device with @nr mapped buffers, all of which must be gone and come back; mapped
 * for DMA, too, if @dma.
 */
static int reset_with(const struct bench *b, size_t nr, bool dma, uint64_t *time)
{
	uint64_t took[NR_RESETS];
	struct many m;
	size_t i;
	int ret;

	memset(took, 0, sizeof(took));
	ret = many_make(&m, b, &b->reset, nr);
	if (!ret && dma)
		ret = dma_each(b, &m, map_one);
	/* The first one also brings what the kernel does only once. */
	for (i = 0; i < NR_RESETS + 1 && !ret; i++) {
		uint64_t wall = now_ns();
		uint64_t start = cpu_ns();

		if (ioctl(barbuf_device_fd(b->reset.dev), VFIO_DEVICE_RESET))
			ret = -errno;
		if (i)
			took[i - 1] = cpu_since(start);
		if (!ret && (since(wall) < FLR_NS || many_touch(&m, nr) != nr))
			ret = -EIO;
	}
	if (!ret && dma)
		ret = dma_each(b, &m, unmap_one);
	many_free(&m);
	if (!ret)
		*time = median(took, NR_RESETS);
	return ret;
}

int reset_alone(const struct bench *b, size_t n, struct figures *f)
{
	return reset_with(b, 0, false, &f->of[TIME]);
}

/* What @n buffers add with @dma: to none without it, or to as many without it. */
static int reset_added(const struct bench *b, size_t n, bool dma, struct figures *f)
{
	uint64_t without, with;
	int ret;

	ret = reset_with(b, dma ? n : 0, false, &without);
	if (!ret)
		ret = reset_with(b, n, dma, &with);
	if (ret)
		return ret;
	if (with < without)
		return -EIO;
	f->of[TIME] = (with - without + n / 2) / n;
	return 0;
}

int reset_per_buffer(const struct bench *b, size_t n, struct figures *f)
{
	return reset_added(b, n, false, f);
}

int reset_per_piece(const struct bench *b, size_t n, struct figures *f)
{
	return reset_added(b, n, true, f);
}
