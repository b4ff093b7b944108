/* SPDX-License-Identifier: MIT */
/*
 * The memory of one queue for one lease: made, sealed, mapped for DMA, lent once, dropped.
 *
 * Two memfds, see window.h. That a client cannot write the table is up to the seal
 * F_SEAL_FUTURE_WRITE: a descriptor that is open for reading alone could be opened again by
 * /proc/self/fd. That a client cannot pull memory away from under the primary, which would
 * take SIGBUS, is up to F_SEAL_SHRINK.
 */
#ifndef BLKD_MEMORY_H
#define BLKD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

#include "window.h"

/* Page of the window that is left out of the IOMMU, for tests; MEMORY_NO_HOLE: none. */
#define MEMORY_NO_HOLE UINT32_MAX

struct memory {
	struct barbuf_container *container; /* NULL: nothing is here */
	struct blk_window most; /* what there is room for */
	struct blk_window w; /* what it is lent as; as most until then */
	uint64_t iova; /* of the table; the arena follows */
	uint32_t hole; /* offset in the arena */
	uint32_t page;
	int table_fd, arena_fd; /* -1: it is lent no more */
	void *table, *arena;
};

/* What a queue of this size and depth needs at most, whatever it is lent for. -EINVAL, -ENOSPC. */
int memory_layout(struct blk_window *most, uint32_t queue_size, uint32_t depth, uint32_t block_size,
		  uint32_t page);

/* Bytes of IOVA for one queue, with the gap behind it that is mapped to nothing. */
uint64_t memory_stride(const struct blk_window *most, uint32_t page);

/* Where windows of @nr queues can be, side by side. -ENOSPC: nowhere. */
int memory_find_iova(struct barbuf_container *c, uint64_t stride, uint32_t nr, uint64_t *iova);

/**
 * memory_make() - make it, all zero, and let the device reach it
 * @m: zero, or dropped
 * @hole: offset of a page of the arena to leave out, or MEMORY_NO_HOLE
 *
 * Errors, with nothing left behind: those of memfds, mmap() and barbuf_dma_map().
 */
int memory_make(struct memory *m, struct barbuf_container *c, const struct blk_window *most,
		uint64_t iova, uint32_t page, uint32_t hole);

/* Lay it out for a lease and write the table. It must be fresh. Errors as blk_window_layout(). */
int memory_fill(struct memory *m, uint32_t flags, uint32_t depth, uint64_t first_sector);

/**
 * memory_rewind() - as on the first day, but for data: the table written again, rings at 0
 *
 * The device must be reset. The arena is mapped for DMA anew: its holder may have punched holes
 * into the memfd, and then the device would go on with pages that nobody else sees.
 */
int memory_rewind(struct memory *m, uint64_t first_sector);

/* It is lent no more; the device can still reach it. */
void memory_close_fds(struct memory *m);

/* The device can reach it no more, and then it is gone from here. The device must not use it.
 * What was never made is fine. */
void memory_drop(struct memory *m);

/* Index of the used ring, which the device writes, and of the available ring, which the holder
 * may set to anything at any time. */
uint16_t memory_used_index(const struct memory *m);
uint16_t memory_avail_index(const struct memory *m);

#endif
