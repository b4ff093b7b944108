// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "client_lease.h"

const struct blk_client_options client_any = {
	.queue = BLK_ANY_QUEUE,
	.primary = (uid_t)-1,
	.timeout_ms = WAIT_MS,
};

/* A lease, with the device standing still. */
struct blk_client *client_lease(struct fake_blk *f, uint32_t flags, uint32_t depth,
				const struct blk_client_options *o)
{
	struct blk_client *c = NULL;
	uint32_t value;
	char why[300];

	fake_blk_new(f, flags, depth, 1024);
	if (!fake_grant(f) || blk_client_adopt(&c, f->client, o, why, sizeof(why)) ||
	    fake_hear(f, &value) != BLK_ASK) {
		printf("Bail out! no lease: %s\n", why);
		exit(1);
	}
	return c;
}

void client_drop(struct fake_blk *f, struct blk_client *c)
{
	fake_device_stop(f);
	blk_client_close(c);
	fake_blk_free(f);
}

void block_fill(void *data, uint64_t block, uint32_t version)
{
	uint32_t i, *word = data;

	for (i = 0; i < 256; i++)
		word[i] = block * 2654435761u + version * 40503 + i;
}

bool block_is_filled(const void *data, uint64_t block, uint32_t version)
{
	uint32_t want[256];

	block_fill(want, block, version);
	return !memcmp(data, want, sizeof(want));
}

int client_start(struct blk_client *c, enum blk_op op, uint64_t block, uint32_t version)
{
	int slot = blk_client_slot(c);

	if (slot < 0)
		return slot;
	if (op == BLK_OP_WRITE)
		block_fill(blk_client_data(c, slot), block, version);
	return blk_client_submit(c, slot, op, block);
}

/* Have @nr requests completed, and give their slots back. How many were, without error. */
unsigned int client_finish(struct blk_client *c, unsigned int nr)
{
	struct blk_completion done[BLK_DEPTH_MAX];
	unsigned int good = 0;

	while (nr) {
		int i, n;

		blk_client_ring(c);
		if (blk_client_wait(c, WAIT_MS))
			break;
		n = blk_client_reap(c, done, nr < BLK_DEPTH_MAX ? nr : BLK_DEPTH_MAX);
		for (i = 0; i < n; i++) {
			good += !done[i].error;
			nr--;
			blk_client_put(c, done[i].slot);
		}
		if (n < 0)
			break;
	}
	return good;
}

uint16_t fake_avail_idx(const struct fake_blk *f)
{
	return ((struct vring_avail *)f->m.arena)->idx;
}
