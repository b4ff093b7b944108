// SPDX-License-Identifier: MIT
#include <errno.h>

#include <linux/virtio_ring.h>

#include <barbuf.h>

#include "ring.h"

void blk_ring_start(struct blk_ring *r, const struct blk_window *w, const void *table, void *arena,
		    bool interrupts)
{
	r->avail = arena;
	r->used = (const void *)((const char *)table + w->used);
	r->size = w->queue_size;
	r->avail_idx = 0;
	r->used_idx = 0;
	r->avail->flags = interrupts ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
	__atomic_store_n(&r->avail->idx, 0, __ATOMIC_RELEASE);
}

void blk_ring_put(struct blk_ring *r, uint16_t head)
{
	r->avail->ring[r->avail_idx++ % r->size] = head;
	/* The device sees the entry, and what it names, before the index. */
	barbuf_wmb();
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
}

bool blk_ring_wants_doorbell(const struct blk_ring *r)
{
	/* Our index is out before its flag is read: one of both sees the other's. */
	barbuf_mb();
	return !(__atomic_load_n(&r->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
}

int blk_ring_get(struct blk_ring *r, uint32_t *head)
{
	uint16_t idx = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
	uint16_t ready = idx - r->used_idx;

	if (!ready)
		return 0;
	if (ready > r->size) {
		r->used_idx = idx;
		return -EPROTO;
	}
	barbuf_rmb();
	*head = r->used->ring[r->used_idx++ % r->size].id;
	return 1;
}
