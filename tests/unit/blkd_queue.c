// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether a holder has set its available index back, told from two looks at the rings. */
#include <stdlib.h>

#include <linux/virtio_ring.h>

#include "blkd.h"
#include "tap.h"

static struct queue q;
static struct vring_used *used;
static struct vring_avail *avail;

/* Two looks: used and available index at each. */
static bool back(uint16_t used0, uint16_t avail0, uint16_t used1, uint16_t avail1)
{
	q.seen_used = q.seen_avail = used0;
	used->idx = used0;
	avail->idx = avail0;
	if (queue_has_taken_back(&q))
		return true;
	used->idx = used1;
	avail->idx = avail1;
	return queue_has_taken_back(&q);
}

int main(void)
{
	q.mem.most = (struct blk_window){ .queue_size = 128, .depth = 8, .block_size = 512 };
	if (blk_window_layout(&q.mem.most, 4096))
		abort();
	q.mem.table = calloc(1, q.mem.most.table_size);
	q.mem.arena = calloc(1, q.mem.most.arena_size);
	used = (void *)((char *)q.mem.table + q.mem.most.used);
	avail = q.mem.arena;

	CHECK(!back(0, 0, 0, 0), "an idle queue");
	CHECK(!back(10, 18, 14, 20), "some done, some new");
	CHECK(!back(10, 18, 18, 18), "all done, none new");
	CHECK(!back(65530, 2, 5, 9), "round the 16 bits");
	CHECK(!back(10, 18, 40010, 40018), "so far between two looks that it seems to be behind");
	CHECK(!back(10, 18, 9, 12 + 8), "round all of them");
	CHECK(back(10, 18, 12, 12), "what was in flight is hidden");
	CHECK(back(65530, 2, 65531, 65531), "also there");
	CHECK(back(10, 18, 10, 17), "one of it");
	avail->idx = 12;
	CHECK(queue_has_taken_back(&q), "and it stays so");
	free(q.mem.table);
	free(q.mem.arena);
	return tap_done();
}
