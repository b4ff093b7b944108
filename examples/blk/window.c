// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "window.h"

/* Descriptors of a slot: header, data, status; and to write, header and data again. */
#define READ_CHAIN 3u
#define BOTH_CHAINS 5u

static uint32_t stride(uint32_t flags)
{
	return flags & BLK_READ_ONLY ? READ_CHAIN : BOTH_CHAINS;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static uint32_t align(uint32_t n, uint32_t to)
{
	return (n + to - 1) & ~(to - 1);
}

uint32_t blk_window_depth(uint32_t queue_size, uint32_t flags)
{
	uint32_t depth = queue_size / stride(flags);

	return depth < BLK_DEPTH_MAX ? depth : BLK_DEPTH_MAX;
}

int blk_window_layout(struct blk_window *w, uint32_t page)
{
	struct blk_window n = {
		.flags = w->flags,
		.queue_size = w->queue_size,
		.depth = w->depth,
		.block_size = w->block_size,
	};

	if (n.flags & ~(BLK_READ_ONLY | BLK_FIXED) || n.flags == BLK_FIXED)
		return -EINVAL;
	/* 32768 is the most that virtio has (2.7). */
	if (!power_of_two(n.queue_size) || n.queue_size > 32768)
		return -EINVAL;
	if (!power_of_two(n.block_size) || n.block_size < BLK_BLOCK_MIN ||
	    n.block_size > BLK_BLOCK_MAX)
		return -EINVAL;
	if (!n.depth || n.depth > BLK_DEPTH_MAX)
		return -EINVAL;
	if (n.depth * stride(n.flags) > n.queue_size)
		return -ENOSPC;

	/*
	 * The device writes the used ring and reads the rest: apart by pages. Its elements, of 8
	 * bytes, begin at a multiple of 8: QEMU 7.2 writes half of one that lies across two pages
	 * to IOVA 4096 (address_space_write_cached_slow() goes on as if it had no IOMMU), which
	 * happens in a ring of 512 that begins with a page. 4 is all that virtio asks for (2.7).
	 */
	n.used = align(n.queue_size * sizeof(struct vring_desc), page) +
		 sizeof(struct vring_used_elem) - offsetof(struct vring_used, ring);
	n.table_size =
		align(n.used + offsetof(struct vring_used, ring) +
			      n.queue_size * sizeof(struct vring_used_elem) + sizeof(__virtio16),
		      page);
	if (n.flags & BLK_FIXED)
		n.fixed_headers = n.table_size;
	/* Room for them in any case: so a queue's rings are where they are whatever it is lent for. */
	n.table_size += align(BLK_DEPTH_MAX * sizeof(struct virtio_blk_outhdr), page);
	n.headers = align(
		offsetof(struct vring_avail, ring) + (n.queue_size + 1) * sizeof(__virtio16), 64);
	n.status = n.headers + n.depth * sizeof(struct virtio_blk_outhdr);
	n.data = align(n.status + n.depth, page);
	n.arena_size = n.data + align(n.depth * n.block_size, page);
	*w = n;
	return 0;
}

int blk_window_check(const struct blk_window *w, uint32_t page)
{
	struct blk_window n = *w;

	return blk_window_layout(&n, page) || memcmp(&n, w, sizeof(n)) ? -EINVAL : 0;
}

uint16_t blk_window_head(const struct blk_window *w, uint32_t slot, bool write)
{
	return slot * stride(w->flags) + (write ? READ_CHAIN : 0);
}

int blk_window_slot(const struct blk_window *w, uint32_t head)
{
	uint32_t slot = head / stride(w->flags);
	uint32_t part = head % stride(w->flags);

	if (slot >= w->depth || (part != 0 && part != READ_CHAIN))
		return -EINVAL;
	return slot;
}

static void fill_slot(const struct blk_window *w, struct vring_desc *d, uint32_t slot,
		      uint64_t table, uint64_t arena)
{
	uint32_t at = slot * stride(w->flags);
	uint64_t header = w->flags & BLK_FIXED ? table + w->fixed_headers : arena + w->headers;
	struct vring_desc hdr = {
		.addr = header + slot * sizeof(struct virtio_blk_outhdr),
		.len = sizeof(struct virtio_blk_outhdr),
		.flags = VRING_DESC_F_NEXT,
		.next = at + 1,
	};
	struct vring_desc data = {
		.addr = arena + w->data + (uint64_t)slot * w->block_size,
		.len = w->block_size,
		.flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		.next = at + 2,
	};

	d[at] = hdr;
	d[at + 1] = data;
	d[at + 2] = (struct vring_desc){
		.addr = arena + w->status + slot,
		.len = 1,
		.flags = VRING_DESC_F_WRITE,
	};
	if (w->flags & BLK_READ_ONLY)
		return;
	hdr.next = at + 4;
	data.flags = VRING_DESC_F_NEXT;
	d[at + 3] = hdr;
	d[at + 4] = data;
}

/* What the device reads is little-endian (virtio 1.2, 1.4), as all CPUs that libbarbuf knows. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "virtio 1 is little-endian");

void blk_window_fill(const struct blk_window *w, void *table, uint64_t iova, uint64_t first_sector)
{
	struct virtio_blk_outhdr *fixed = (void *)((char *)table + w->fixed_headers);
	uint32_t slot;

	memset(table, 0, w->table_size);
	for (slot = 0; slot < w->depth; slot++) {
		fill_slot(w, table, slot, iova, iova + w->table_size);
		if (w->flags & BLK_FIXED)
			fixed[slot] = (struct virtio_blk_outhdr){
				.type = VIRTIO_BLK_T_IN,
				.sector = first_sector +
					  (uint64_t)slot * (w->block_size / BLK_SECTOR),
			};
	}
}
