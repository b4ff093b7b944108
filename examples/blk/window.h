/* SPDX-License-Identifier: MIT */
/*
 * The memory of one lent virtqueue: who may write what.
 *
 * A window is two pieces of memory, each a memfd, mapped for DMA one behind the
 * other at an IOVA window that no other queue has a part of:
 *
 *	table	the primary's. Descriptor table and used ring, and with BLK_FIXED
 *		the requests' headers. Clients map it read-only, and cannot otherwise
 *	arena	the client's. Available ring, headers, status bytes, data
 *
 * All queues of a function share one IOMMU domain. What keeps a client from
 * aiming the device at its neighbour's memory is that the device takes addresses
 * from descriptors alone (virtio 1.2, 2.7.5), which the client cannot write;
 * indirect descriptors, which it could, are not negotiated.
 *
 * A request is a slot: header, block of data, status byte. The descriptors of a
 * slot are filled once and name two chains that end in the same status:
 *
 *	read	header -> data, device-writable -> status
 *	write	header -> data, device-readable -> status
 *
 * A read-only lease has no write chain: then the device cannot be made to read
 * more than 16 bytes of a header, and a request that writes has nothing to write.
 * With BLK_FIXED too, also the headers are the primary's, and slot N reads block N
 * of the window and no other: there is no memory that the client can write and the
 * device takes a sector number from.
 */
#ifndef BLK_WINDOW_H
#define BLK_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define BLK_SECTOR 512u /* the unit of virtio-blk (5.2.4), whatever the disk's own */
#define BLK_DEPTH_MAX 64u
#define BLK_BLOCK_MIN 512u
#define BLK_BLOCK_MAX 65536u

#define BLK_READ_ONLY 1u /* no write chains */
#define BLK_FIXED 2u /* slot N is block N of the window; read-only leases alone */

/* Where everything is. Offsets are from the start of the piece. Sent to clients. */
struct blk_window {
	uint32_t flags; /* BLK_READ_ONLY, BLK_FIXED */
	uint32_t queue_size; /* descriptors and ring entries, a power of two */
	uint32_t depth; /* slots, 1 to BLK_DEPTH_MAX */
	uint32_t block_size; /* bytes of a slot's data, a power of two */
	uint32_t used; /* in the table, on a page of its own; the descriptors are at 0 */
	uint32_t fixed_headers; /* in the table, always room for them; 0 without BLK_FIXED */
	uint32_t table_size; /* whole pages */
	uint32_t headers; /* in the arena, 16 bytes a slot; the available ring is at 0 */
	uint32_t status; /* in the arena, one byte a slot */
	uint32_t data; /* in the arena, page aligned, block_size a slot */
	uint32_t arena_size; /* whole pages */
	uint32_t reserved;
};

/**
 * blk_window_layout() - lay out a window
 * @w: set .flags, .queue_size, .depth and .block_size; the rest is filled in
 * @page: the page size
 *
 * Errors, with nothing changed: -EINVAL: a value out of its limits, or BLK_FIXED
 * without BLK_READ_ONLY; -ENOSPC: so many slots need more descriptors than the
 * queue has.
 */
int blk_window_layout(struct blk_window *w, uint32_t page);

/* The most slots that a queue of this size has room for, at most BLK_DEPTH_MAX. */
uint32_t blk_window_depth(uint32_t queue_size, uint32_t flags);

/**
 * blk_window_fill() - write the table
 * @table: @w->table_size bytes, which are all written: rings start at 0
 * @iova: where the device finds the table; the arena follows it
 * @first_sector: of the window, for BLK_FIXED
 */
void blk_window_fill(const struct blk_window *w, void *table, uint64_t iova, uint64_t first_sector);

/* The head of a slot's chain, to be put into the available ring. @write: not of a read-only
 * window, which has no such chain. */
uint16_t blk_window_head(const struct blk_window *w, uint32_t slot, bool write);

/* Which slot a head is of, or -EINVAL: it heads no chain. */
int blk_window_slot(const struct blk_window *w, uint32_t head);

/* Is what came by a socket such as blk_window_layout() makes? -EINVAL: it is not. */
int blk_window_check(const struct blk_window *w, uint32_t page);

/* IOVAs of the three parts, as the device wants them. */
static inline uint64_t blk_window_desc_iova(const struct blk_window *w, uint64_t iova)
{
	return iova;
}

static inline uint64_t blk_window_used_iova(const struct blk_window *w, uint64_t iova)
{
	return iova + w->used;
}

static inline uint64_t blk_window_avail_iova(const struct blk_window *w, uint64_t iova)
{
	return iova + w->table_size;
}

#endif
