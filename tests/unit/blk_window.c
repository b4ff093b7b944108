// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The tables of examples/blk: whatever head a client rings, the device stays in the
 * client's window, and reads and writes there what it may.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "tap.h"
#include "window.h"

#define PAGE 4096u
#define IOVA 0x7f00000000ull
#define FIRST 1000000ull
#define HDR sizeof(struct virtio_blk_outhdr)
#define LIMIT ((uint32_t)-1)

static struct blk_window window(uint32_t flags, uint32_t queue_size, uint32_t depth,
				uint32_t block_size)
{
	return (struct blk_window){
		.flags = flags,
		.queue_size = queue_size,
		.depth = depth,
		.block_size = block_size,
	};
}

static void accepts(uint32_t flags, uint32_t queue_size, uint32_t depth, uint32_t block_size)
{
	struct blk_window w = window(flags, queue_size, depth, block_size);

	CHECK(blk_window_layout(&w, PAGE) == 0 && blk_window_check(&w, PAGE) == 0,
	      "flags %u, queue of %u, depth %u, block of %u: laid out", flags, queue_size, depth,
	      block_size);
}

static void refuses(int want, uint32_t flags, uint32_t queue_size, uint32_t depth,
		    uint32_t block_size)
{
	struct blk_window w = window(flags, queue_size, depth, block_size);
	struct blk_window before;
	int ret;

	w.data = 77;
	before = w;
	ret = blk_window_layout(&w, PAGE);
	CHECK(ret == want && !memcmp(&w, &before, sizeof(w)),
	      "flags %u, queue of %u, depth %u, block of %u: %s, and unchanged", flags, queue_size,
	      depth, block_size, strerror(-ret));
	CHECK(blk_window_check(&w, PAGE) == -EINVAL, "and not taken from a socket either");
}

static void limits(void)
{
	accepts(0, 8, 1, BLK_BLOCK_MIN);
	accepts(0, 512, BLK_DEPTH_MAX, BLK_BLOCK_MAX);
	accepts(0, 32768, BLK_DEPTH_MAX, 4096);
	accepts(BLK_READ_ONLY, 4, 1, 512);
	accepts(BLK_READ_ONLY, 256, 64, 4096);
	accepts(BLK_READ_ONLY | BLK_FIXED, 256, 64, 4096);

	refuses(-EINVAL, BLK_FIXED, 256, 1, 4096);
	refuses(-EINVAL, 4, 256, 1, 4096);
	refuses(-EINVAL, LIMIT, 256, 1, 4096);
	refuses(-EINVAL, 0, 0, 1, 4096);
	refuses(-EINVAL, 0, 100, 1, 4096);
	refuses(-EINVAL, 0, 65536, 1, 4096);
	refuses(-EINVAL, 0, 1u << 31, 1, 4096);
	refuses(-EINVAL, 0, 256, 0, 4096);
	refuses(-EINVAL, 0, 512, BLK_DEPTH_MAX + 1, 4096);
	refuses(-EINVAL, 0, 512, LIMIT, 4096);
	refuses(-EINVAL, 0, 256, 1, 0);
	refuses(-EINVAL, 0, 256, 1, 256);
	refuses(-EINVAL, 0, 256, 1, 1000);
	refuses(-EINVAL, 0, 256, 1, 2 * BLK_BLOCK_MAX);
	refuses(-EINVAL, 0, 256, 1, 1u << 31);
	refuses(-ENOSPC, 0, 256, 52, 4096);
	refuses(-ENOSPC, 0, 4, 1, 4096);
	refuses(-ENOSPC, BLK_READ_ONLY, 2, 1, 4096);
	refuses(-ENOSPC, BLK_READ_ONLY, 128, 43, 4096);
}

static void depths(void)
{
	CHECK(blk_window_depth(256, 0) == 51, "a queue of 256 has room for 51 slots");
	CHECK(blk_window_depth(256, BLK_READ_ONLY) == 64, "or for 64 that only read");
	CHECK(blk_window_depth(128, BLK_READ_ONLY | BLK_FIXED) == 42, "one of 128 for 42");
	CHECK(blk_window_depth(32768, 0) == BLK_DEPTH_MAX, "the largest for %u", BLK_DEPTH_MAX);
	CHECK(blk_window_depth(4, 0) == 0, "one of 4 for none");
	accepts(0, 256, blk_window_depth(256, 0), 512);
	refuses(-ENOSPC, 0, 256, blk_window_depth(256, 0) + 1, 512);
}

/* No two parts of a piece share a byte, and the pieces are whole pages. */
static void parts(const struct blk_window *w)
{
	struct part {
		const char *name;
		uint64_t at, end;
	} part[] = {
		{ "descriptors", 0, 16ull * w->queue_size },
		{ "used ring", w->used, w->used + 6 + 8ull * w->queue_size },
		{ "fixed headers", w->fixed_headers,
		  w->fixed_headers + (w->flags & BLK_FIXED ? HDR * w->depth : 0) },
		{ "available ring", w->table_size, w->table_size + 6 + 2ull * w->queue_size },
		{ "headers", w->table_size + w->headers,
		  w->table_size + w->headers + HDR * w->depth },
		{ "status", w->table_size + w->status, w->table_size + w->status + w->depth },
		{ "data", w->table_size + w->data,
		  w->table_size + w->data + (uint64_t)w->depth * w->block_size },
	};
	unsigned int i, k, nr = sizeof(part) / sizeof(part[0]), bad = 0;
	uint64_t end;

	for (i = 0; i < nr; i++) {
		if (part[i].at == part[i].end)
			continue;
		end = i < 3 ? w->table_size : (uint64_t)w->table_size + w->arena_size;
		bad += part[i].end > end;
		for (k = 0; k < i; k++)
			bad += part[k].at < part[i].end && part[i].at < part[k].end;
	}
	CHECK(!bad, "flags %u, queue of %u, depth %u, block of %u: parts are apart and inside",
	      w->flags, w->queue_size, w->depth, w->block_size);
	CHECK(w->table_size % PAGE == 0 && w->arena_size % PAGE == 0, "pieces are whole pages");
	/* What the device may write has pages of its own in the table. */
	CHECK(w->used / PAGE * PAGE >= 16 * w->queue_size && w->fixed_headers % PAGE == 0 &&
		      w->data % PAGE == 0,
	      "used ring, fixed headers and data are on pages of their own");
	/* QEMU 7.2 loses half of an element that lies across two pages. */
	CHECK(w->used % 4 == 0 && (w->used + 4) % 8 == 0, "no element of the used ring is split");
	CHECK(w->headers % HDR == 0, "headers are aligned");
	CHECK((w->fixed_headers != 0) == !!(w->flags & BLK_FIXED), "fixed headers if asked for");
}

/* What a descriptor reaches. */
enum target { NOTHING, HEADER, FIXED_HEADER, DATA, STATUS, ELSEWHERE };

static enum target target(const struct blk_window *w, const struct vring_desc *d, uint32_t slot)
{
	uint64_t arena = IOVA + w->table_size;

	if (d->len == HDR && d->addr == arena + w->headers + slot * HDR)
		return HEADER;
	if (w->flags & BLK_FIXED && d->len == HDR &&
	    d->addr == IOVA + w->fixed_headers + slot * HDR)
		return FIXED_HEADER;
	if (d->len == w->block_size && d->addr == arena + w->data + (uint64_t)slot * w->block_size)
		return DATA;
	if (d->len == 1 && d->addr == arena + w->status + slot)
		return STATUS;
	if (!d->len && !d->addr && !d->flags)
		return NOTHING;
	return ELSEWHERE;
}

/* Follows a chain as a device does: header, data, status of @slot, and no more. */
static bool is_chain(const struct blk_window *w, const struct vring_desc *d, uint32_t head,
		     uint32_t slot, bool write)
{
	enum target header = w->flags & BLK_FIXED ? FIXED_HEADER : HEADER;
	const struct vring_desc *data, *status;

	if (head >= w->queue_size || target(w, &d[head], slot) != header ||
	    d[head].flags != VRING_DESC_F_NEXT || d[head].next >= w->queue_size)
		return false;
	data = &d[d[head].next];
	if (target(w, data, slot) != DATA || data->next >= w->queue_size ||
	    data->flags != (VRING_DESC_F_NEXT | (write ? 0 : VRING_DESC_F_WRITE)))
		return false;
	status = &d[data->next];
	return target(w, status, slot) == STATUS && status->flags == VRING_DESC_F_WRITE;
}

/* Whatever descriptor is taken for a head: in the client's window, and of a slot's kind. */
static unsigned int strays(const struct blk_window *w, const struct vring_desc *d)
{
	unsigned int i, slot, bad = 0, readable = 0;

	for (i = 0; i < w->queue_size; i++) {
		enum target t = ELSEWHERE;

		for (slot = 0; slot < w->depth && t == ELSEWHERE; slot++)
			t = target(w, &d[i], slot);
		bad += t == ELSEWHERE;
		bad += d[i].flags & ~(VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
		bad += d[i].flags & VRING_DESC_F_NEXT && d[i].next >= w->queue_size;
		/* The table, and a header of the client's, are never the device's to write. */
		bad += d[i].flags & VRING_DESC_F_WRITE && (t == HEADER || t == FIXED_HEADER);
		bad += !(d[i].flags & VRING_DESC_F_WRITE) && t == STATUS;
		readable += !(d[i].flags & VRING_DESC_F_WRITE) && t == DATA;
	}
	bad += readable != (w->flags & BLK_READ_ONLY ? 0 : w->depth);
	return bad;
}

static unsigned int wrong_heads(const struct blk_window *w, const struct vring_desc *d)
{
	bool can_write = !(w->flags & BLK_READ_ONLY);
	unsigned int bad = 0, good = 0;
	uint32_t slot, head;

	for (slot = 0; slot < w->depth; slot++) {
		head = blk_window_head(w, slot, false);
		bad += !is_chain(w, d, head, slot, false);
		bad += blk_window_slot(w, head) != (int)slot;
		if (!can_write)
			continue;
		head = blk_window_head(w, slot, true);
		bad += !is_chain(w, d, head, slot, true);
		bad += blk_window_slot(w, head) != (int)slot;
	}
	/* And no other is taken for a head: of all that fit 16 bits, and some more. */
	for (head = 0; head < 0x20000; head++)
		good += blk_window_slot(w, head) != -EINVAL;
	bad += good != w->depth * (can_write ? 2 : 1);
	bad += blk_window_slot(w, LIMIT) != -EINVAL;
	return bad;
}

static unsigned int wrong_headers(const struct blk_window *w, const char *table)
{
	const struct virtio_blk_outhdr *h = (const void *)(table + w->fixed_headers);
	unsigned int bad = 0;
	uint32_t slot;

	for (slot = 0; slot < w->depth; slot++)
		bad += h[slot].type != VIRTIO_BLK_T_IN || h[slot].ioprio ||
		       h[slot].sector != FIRST + (uint64_t)slot * w->block_size / BLK_SECTOR;
	return bad;
}

static bool is_zero(const char *p, size_t size)
{
	return !size || (!p[0] && !memcmp(p, p + 1, size - 1));
}

static void table(uint32_t flags, uint32_t queue_size, uint32_t depth, uint32_t block_size)
{
	struct blk_window w = window(flags, queue_size, depth, block_size);
	size_t end;
	char *t;

	REQUIRE(blk_window_layout(&w, PAGE) == 0, "laid out");
	parts(&w);
	t = malloc(w.table_size);
	REQUIRE(t, "memory");
	memset(t, 0xaa, w.table_size);
	blk_window_fill(&w, t, IOVA, FIRST);

	CHECK(strays(&w, (void *)t) == 0, "each descriptor is of one slot and the right direction");
	CHECK(wrong_heads(&w, (void *)t) == 0, "each head heads its slot's chain, and no other");
	end = flags & BLK_FIXED ? w.fixed_headers : w.table_size;
	CHECK(is_zero(t + 16 * queue_size, end - 16 * queue_size), "the used ring is 0");
	if (flags & BLK_FIXED) {
		CHECK(wrong_headers(&w, t) == 0, "slot N reads block N");
		CHECK(is_zero(t + end + HDR * depth, w.table_size - end - HDR * depth),
		      "nothing is behind the headers");
	}
	CHECK(blk_window_desc_iova(&w, IOVA) == IOVA &&
		      blk_window_used_iova(&w, IOVA) == IOVA + w.used &&
		      blk_window_avail_iova(&w, IOVA) == IOVA + w.table_size,
	      "the device finds descriptors, used ring and arena");
	free(t);
}

static void tables(void)
{
	table(0, 8, 1, 512);
	table(0, 256, 51, 4096);
	table(0, 512, 64, 65536);
	table(0, 32768, 64, 512);
	table(BLK_READ_ONLY, 4, 1, 512);
	table(BLK_READ_ONLY, 256, 64, 4096);
	table(BLK_READ_ONLY, 128, 42, 65536);
	table(BLK_READ_ONLY | BLK_FIXED, 256, 64, 4096);
	table(BLK_READ_ONLY | BLK_FIXED, 512, 3, 512);
}

/* Rings are enabled before it is known what they are lent for. */
static void same_rings(void)
{
	static const uint32_t flags[] = { 0, BLK_READ_ONLY, BLK_READ_ONLY | BLK_FIXED };
	struct blk_window a = window(0, 512, 64, 65536), w;
	unsigned int i, depth, differ = 0;

	REQUIRE(blk_window_layout(&a, PAGE) == 0, "laid out");
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (depth = 1; depth <= 64; depth++) {
			w = window(flags[i], 512, depth, 512u << depth % 8);
			differ += blk_window_layout(&w, PAGE) != 0 || w.used != a.used ||
				  w.table_size != a.table_size || w.arena_size > a.arena_size;
		}
	}
	CHECK(!differ, "rings are where they are whatever flags, depth and block, in no more room");
}

/*
 * One bit that is not as laid out is refused, in any field. But BLK_READ_ONLY without
 * BLK_FIXED moves no part: either way it is a window such as there may be.
 */
static void hostile(uint32_t flags)
{
	struct blk_window w = window(flags, 256, 32, 4096);
	unsigned int i, bit, taken = 0, tried = 0;
	bool fixed = flags & BLK_FIXED;

	REQUIRE(blk_window_layout(&w, PAGE) == 0, "laid out");
	for (i = 0; i < sizeof(w) / sizeof(uint32_t); i++) {
		for (bit = 0; bit < 32; bit++) {
			struct blk_window bad;
			uint32_t field;

			memcpy(&bad, &w, sizeof(w));
			memcpy(&field, (char *)&bad + 4 * i, sizeof(field));
			field ^= 1u << bit;
			memcpy((char *)&bad + 4 * i, &field, sizeof(field));
			tried++;
			taken += blk_window_check(&bad, PAGE) == 0;
		}
	}
	CHECK(tried == 12 * 32 && taken == !fixed, "flags %u: of %u bits, %u can be turned", flags,
	      tried, taken);
	w.flags ^= BLK_READ_ONLY;
	CHECK(blk_window_check(&w, PAGE) == (fixed ? -EINVAL : 0), "%s",
	      fixed ? "nor that it is read-only" : "which is that it is read-only");
	w.flags ^= BLK_READ_ONLY;
	CHECK(blk_window_check(&w, 2 * PAGE) == -EINVAL, "nor is it of another page size");
}

int main(void)
{
	limits();
	depths();
	tables();
	same_rings();
	hostile(0);
	hostile(BLK_READ_ONLY);
	hostile(BLK_READ_ONLY | BLK_FIXED);
	return tap_done();
}
