// SPDX-License-Identifier: MIT
/*
 * From a lease that ended to a queue that can be lent again. The order, and why:
 *
 * 1. The doorbell is revoked (lease.c). From here on the holder cannot start the device on
 *    anything; what it still has is memory. It may go on writing its arena.
 * 2. The primary rings the doorbell. What the holder had made available but not rung for
 *    would else never be used, and look for ever like something in flight. A holder that lives is
 *    told after that. What comes into the ring even then is rung for, too.
 * 3. The device drains: the used index has caught up with the available index and stands still
 *    for SETTLE_SECONDS. A reset of the queue should do without (2.6.1), but QEMU 7.2's device
 *    does not cancel what it has begun: such a request would be completed later, into the ring
 *    of the next holder. The available index is the holder's word: one that lies can make us
 *    wait, until --drain and for no longer, or hurry us on. An index that was seen to go back
 *    is not believed: the device is restarted.
 * 4. The queue is reset. If the device cannot do that, or has not drained, all of it is restarted
 *    (restart.c): after a reset of the device nothing is in flight anywhere.
 * 5. After a reset of the queue alone the memory is retired: nobody uses it, and it stays pinned
 *    and in the IOMMU until the device is reset or RETIRED_SECONDS have passed. So what a device
 *    writes late, because its holder has lied in 3, lands in pages that are nobody else's; the
 *    entry in the next holder's used ring is one that this holder did not submit. Given back at
 *    once they could be anybody's, and an IOMMU does not stop a device that has translated
 *    before. After a reset of the device it is unmapped and freed at once.
 * 6. New memory, all zero, at other IOVAs, and a new eventfd; the queue is enabled on them.
 *    Nothing of the predecessor's is used again, so there is nothing of it that could be seen, and
 *    what it kept (its memfds, its eventfd) leads nowhere.
 */
#include <string.h>

#include "blkd.h"
#include "events.h"

/* How long the used index has to stand still. */
#define SETTLE_SECONDS 0.005

/* Step 2, before the holder is told. */
void reclaim_push(struct blkd *b, struct queue *q)
{
	if (!b->facts->ring_reset || b->restart != RESTART_NONE || b->stop)
		return;
	q->rung_for = memory_avail_index(&q->mem);
	queue_ring(b, q);
}

void reclaim_begin(struct blkd *b, struct queue *q, enum blk_end why)
{
	/* A restart that is under way does it; a device that gave up does not drain. */
	if (b->stop || b->restart != RESTART_NONE || why == BLK_END_BROKE_DEVICE) {
		q->state = QUEUE_STOPPED;
		return;
	}
	if (!b->facts->ring_reset) {
		q->state = QUEUE_STOPPED;
		restart_want(b, "the device cannot reset a queue");
		return;
	}
	q->state = QUEUE_DRAINING;
	q->drained_by = b->clock + b->o.drain;
	q->grew = 0;
	q->still_since = q->noticed;
	q->still_at = memory_used_index(&q->mem);
}

/* Told when the queue can be lent again. */
void reclaim_done(struct blkd *b, struct queue *q, const char *how)
{
	q->state = QUEUE_FREE;
	event("reclaim", "{s:i, s:s, s:i}", "queue", (int)q->nr, "how", how, "us",
	      (int)((now() - q->noticed) * 1e6));
}

static bool has_drained(struct blkd *b, struct queue *q, double t)
{
	uint16_t used = memory_used_index(&q->mem), avail = memory_avail_index(&q->mem);

	/* Made available while the doorbell was revoked: nobody else has rung for it. */
	if (avail != q->rung_for) {
		q->rung_for = avail;
		q->grew = b->clock;
		queue_ring(b, q);
	}
	if (used != q->still_at || used != avail) {
		q->still_at = used;
		q->still_since = t;
		return false;
	}
	return t - q->still_since >= SETTLE_SECONDS;
}

/* It is not drained yet: is it late? One that is empty, as far as one look tells, may become still. */
static bool is_late(const struct blkd *b, const struct queue *q)
{
	double by = q->drained_by;

	if (memory_used_index(&q->mem) == memory_avail_index(&q->mem))
		by += LOOK_SECONDS;
	return b->clock >= by;
}

static void restart_for(struct blkd *b, struct queue *q, const char *why)
{
	q->state = QUEUE_STOPPED;
	complain("queue %u, which pid %d of uid %u held: %s; the device is restarted", q->nr,
		 (int)q->holder.pid, q->holder.uid, why);
	restart_want(b, why);
}

/*
 * A queue that does not drain may be on a slow disk, whoever died on it. It is not, where its holder
 * goes on filling it long after the end, or leaves in it what no device can drain.
 */
static bool is_meant(const struct blkd *b, const struct queue *q)
{
	char what[96];

	return q->grew > q->drained_by - b->o.drain / 2 ||
	       culprit_evidence(&q->mem.w, q->mem.table, q->mem.arena, q->late, what, sizeof(what));
}

static void restart_against(struct blkd *b, struct queue *q, const char *why)
{
	ban_count(&b->bans, q->holder.uid, 1, now());
	restart_for(b, q, why);
}

static void renew(struct blkd *b, struct queue *q)
{
	int ret;

	/* It was reset often of late: its next holder has to wait a little. */
	if (!queue_can_retire(q))
		return;
	ret = virtio_blk_queue_reset(b->virtio, q->nr);
	if (ret) {
		restart_for(b, q, "its reset failed");
		return;
	}
	queue_retire(b, q);
	/* Without memory it stays empty, and is tried again. */
	if (queue_provision(b, q))
		return;
	ret = queue_enable(b, q);
	if (ret)
		restart_for(b, q, "it cannot be enabled again");
	else
		reclaim_done(b, q, "queue reset");
}

/* A queue that got no memory: it is disabled, or was never enabled. */
static void try_again(struct blkd *b, struct queue *q)
{
	if (queue_provision(b, q))
		return;
	if (b->facts->ring_reset && !queue_enable(b, q))
		reclaim_done(b, q, "queue reset");
	else
		restart_for(b, q, "it can be enabled with the device alone");
}

void reclaim_look(struct blkd *b)
{
	double t = now();
	uint32_t i;

	for (i = 0; i < b->nr_queues && b->restart == RESTART_NONE; i++) {
		struct queue *q = &b->queues[i];

		queue_free_retired(q, false);
		if (q->state == QUEUE_EMPTY && t - q->noticed > 1) {
			q->noticed = t;
			try_again(b, q);
		}
		if (q->state != QUEUE_DRAINING)
			continue;
		if (queue_has_taken_back(q))
			restart_against(b, q, "its holder has taken back requests");
		else if (has_drained(b, q, t))
			renew(b, q);
		else if (is_late(b, q) && is_meant(b, q))
			restart_against(b, q, "its holder does not let it drain");
		else if (is_late(b, q))
			restart_for(b, q, "it did not drain in time");
	}
}

/* Is there something to be looked at soon? */
bool reclaim_is_busy(const struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queues[i].state == QUEUE_DRAINING)
			return true;
	return false;
}
