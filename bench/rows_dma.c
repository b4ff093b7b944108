// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * DMA mappings by address, as VMMs make them: VFIO_IOMMU_MAP_DMA of a BAR that no
 * CPU has touched, and of ordinary memory that has been.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bench.h"

/* Above the window of interrupts, and a multiple of each page of an IOMMU. */
#define IOVA (4 * GIB)
#define MAX_REPEATS 51

static const struct shape {
	uint64_t size;
	uint64_t skew; /* of the address, from a multiple of 1 GiB */
	size_t repeats; /* the large ones of stock take a thousand million instructions */
	bool is_memory;
} shapes[] = {
	[DMA_4K] = { .size = 4096, .repeats = MAX_REPEATS },
	[DMA_64M_SKEWED] = { .size = 64 * MIB, .skew = 4096, .repeats = 3 },
	[DMA_1G] = { .size = GIB, .repeats = 5 },
	[DMA_1G_SKEWED] = { .size = GIB, .skew = 4096, .repeats = 1 },
	[DMA_MEMORY_4K] = { .size = 4096, .repeats = MAX_REPEATS, .is_memory = true },
	[DMA_MEMORY_8M] = { .size = 8 * MIB, .skew = 4096, .repeats = 5, .is_memory = true },
};

int dma_map(const struct bench *b, const void *addr, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = size,
	};

	return ioctl(barbuf_container_fd(b->container), VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int dma_unmap(const struct bench *b, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (ioctl(barbuf_container_fd(b->container), VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -errno;
	return unmap.size == size ? 0 : -EIO;
}

/* What is to be mapped, at its place. */
static int prepare(const struct bench *b, const struct shape *s, char *at)
{
	void *p;

	if (!s->is_memory)
		return map_at(at, s->size, barbuf_device_fd(b->memory.dev), b->memory.bar.offset);
	p = mmap(at, s->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	return 0;
}

static int measure(const struct bench *b, size_t n, uint64_t *map_time, uint64_t *unmap_time)
{
	uint64_t mapped[MAX_REPEATS], unmapped[MAX_REPEATS];
	const struct shape *s = &shapes[n];
	struct arena a;
	size_t i;
	int ret;

	ret = arena_make(&a, s->size, s->skew);
	for (i = 0; i < s->repeats && !ret; i++) {
		uint64_t start;

		ret = prepare(b, s, a.at);
		if (ret)
			break;
		start = now_ns();
		ret = dma_map(b, a.at, IOVA, s->size);
		mapped[i] = since(start);
		if (ret)
			break;
		start = now_ns();
		ret = dma_unmap(b, IOVA, s->size);
		unmapped[i] = since(start);
		if (!ret)
			ret = arena_clear(a.at, s->size);
	}
	arena_free(&a);
	if (ret)
		return ret;
	*map_time = median(mapped, s->repeats);
	*unmap_time = median(unmapped, s->repeats);
	return 0;
}

int map_dma(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t unmap_time;

	return measure(b, n, &f->of[TIME], &unmap_time);
}

int unmap_dma(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t map_time;

	return measure(b, n, &map_time, &f->of[TIME]);
}
