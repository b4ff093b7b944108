/* SPDX-License-Identifier: MIT */
/* The driver's side of a split virtqueue (virtio 1.2, 2.7) in the memory of a window. */
#ifndef BLK_RING_H
#define BLK_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

struct vring_avail;
struct vring_used;

struct blk_ring {
	struct vring_avail *avail;
	const struct vring_used *used;
	uint16_t size;
	uint16_t avail_idx, used_idx; /* free-running, modulo 65536 */
};

/* Begin with empty rings. @interrupts: are completions to be signalled (2.7.6)? */
void blk_ring_start(struct blk_ring *r, const struct blk_window *w, const void *table, void *arena,
		    bool interrupts);
/* Let the device have a chain. */
void blk_ring_put(struct blk_ring *r, uint16_t head);
/* Is the device to be told of it (2.7.10)? */
bool blk_ring_wants_doorbell(const struct blk_ring *r);
/* 1 and the head of a chain that the device is done with; 0: none; -EPROTO: the index of the used
 * ring is no device's. It is followed, and what is in the ring is not looked at. */
int blk_ring_get(struct blk_ring *r, uint32_t *head);

#endif
