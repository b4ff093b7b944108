// SPDX-License-Identifier: GPL-2.0-only
/*
 * One DMA mapping of many small mappings of a BAR. Type1 has a piece for each, and whoever
 * takes access away waits for all of them.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "dma.h"

#define LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define MANY 1000

/* VMAs of a page each, the last page of the buffer first, so that none grows into the next. */
static unsigned char *scatter(const struct piece *piece, size_t nr)
{
	unsigned char *at = dma_memory(nr * PAGE);
	size_t i;

	for (i = 0; i < nr; i++)
		CHECK(mmap(at + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   piece->fd, piece->offset + (nr - 1 - i) * PAGE) != MAP_FAILED);
	return at;
}

static void each_is_its_own(const struct dma_way *way)
{
	static const size_t some[] = { 0, 1, MANY / 2, MANY - 1 };
	struct piece piece;
	unsigned char *at;
	struct rig rig;
	size_t i;

	rig_open(&rig, way, "ivshmem", 2, MIB(8));
	rig_buffer(&rig, &piece, MIB(1), MANY * PAGE);
	at = scatter(&piece, MANY);
	dma_map(&rig.dma, RIG_IOVA, at, MANY * PAGE, DMA_BOTH);
	for (i = 0; i < ARRAY_SIZE(some); i++)
		CHECK_REACHED(&rig, RIG_IOVA + some[i] * PAGE,
			      piece.seen + (MANY - 1 - some[i]) * PAGE);

	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	for (i = 0; i < ARRAY_SIZE(some); i++)
		CHECK_REACHED(&rig, RIG_IOVA + some[i] * PAGE,
			      piece.seen + (MANY - 1 - some[i]) * PAGE);

	revoke_buffer(rig.dev, piece.fd);
	for (i = 0; i < ARRAY_SIZE(some); i++)
		CHECK_UNREACHED(&rig, RIG_IOVA + some[i] * PAGE,
				piece.seen + (MANY - 1 - some[i]) * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA, MANY * PAGE);
	unmap(at, MANY * PAGE);
	piece_close(&piece);
	rig_close(&rig);
}
EACH_DMA_TYPE1(each_is_its_own)

/* A container has as many as it may have mappings, in however few mappings they are. */
static void are_bounded(const struct dma_way *way)
{
	struct piece piece;
	unsigned char *at;
	struct rig rig;

	set_parameter(LIMIT, "8");
	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &piece, MIB(1), 9 * PAGE);
	at = scatter(&piece, 9);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, at, 9 * PAGE, DMA_BOTH), ENOSPC);
	CHECK_UNREACHED(&rig, RIG_IOVA, piece.seen + 8 * PAGE);

	dma_map(&rig.dma, RIG_IOVA, at, 8 * PAGE, DMA_BOTH);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA + MIB(1), at, PAGE, DMA_BOTH), ENOSPC);
	CHECK_REACHED(&rig, RIG_IOVA, piece.seen + 8 * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA, 8 * PAGE);
	dma_map(&rig.dma, RIG_IOVA, at + PAGE, 8 * PAGE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA + 7 * PAGE, piece.seen);
	dma_unmap(&rig.dma, RIG_IOVA, 8 * PAGE);
	unmap(at, 9 * PAGE);
	piece_close(&piece);
	rig_close(&rig);
}
EACH_DMA_TYPE1(are_bounded)

static const struct test_case cases[] = {
	CASE_MMAP(each_is_its_own_type1),
	CASE_MMAP(each_is_its_own_type1_v1),
	CASE_MMAP(are_bounded_type1),
	CASE_MMAP(are_bounded_type1_v1),
};

TEST_MAIN(cases)
