// SPDX-License-Identifier: MIT
/*
 * A restart of the virtio device under its lessees. They keep memory, doorbell and eventfd, and
 * take no fault; they see a pause. The order, and why:
 *
 * 1. PAUSE to each, and wait for PAUSED: until then a lessee may be in the middle of its ring, or
 *    look at it, and after it takes no index for granted. Who does not answer in time is hung and
 *    its lease ends: one client cannot hold up the others for longer.
 * 2. The device is reset. All that was in flight is done or forgotten; no memory is in use.
 * 3. Queues whose leases ended get new memory (reclaim.c, 5 and 6). The others' rings go to 0,
 *    as a device that was reset has them (2.7): the table is written again, which a lessee
 *    could not have spoilt, and the available index, which it could.
 * 4. The device starts with all queues, and nobody rings yet.
 * 5. RESUME: what a lessee has not seen completed it submits again. Requests are reads and
 *    writes of whole blocks: done twice is as good as done once.
 *
 * If the device does not start again, a reset by PCI follows (pci_reset.c), and if that does not
 * help either, blkd ends.
 *
 * A lessee that rings in spite of PAUSE rings a device in reset, or gets its own ring confused:
 * only its own descriptors are in reach of that ring.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkd.h"
#include "events.h"

/*
 * It begins at the next look and not here: this is called where leases end, and so in the middle of
 * loops over queues, some of which are not yet as they will be.
 */
void restart_want(struct blkd *b, const char *why)
{
	if (b->restart != RESTART_NONE)
		return; /* This one serves that, too. */
	b->restart = RESTART_WANTED;
	b->restart_noticed = now();
	snprintf(b->restart_why, sizeof(b->restart_why), "%s", why);
}

static void begin(struct blkd *b)
{
	uint32_t i;

	b->restart = RESTART_PAUSING;
	b->paused_by = b->clock + PAUSE_SECONDS;
	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		if (q->state != QUEUE_LENT)
			continue;
		q->conn->pause = CONN_TOLD;
		q->conn->owed++;
		event("pause", "{s:i, s:i}", "queue", (int)q->nr, "pid", (int)q->conn->peer.pid);
		lease_tell(b, q, BLK_PAUSE, q->conn->epoch);
	}
}

static void resume(struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		if (q->state != QUEUE_LENT)
			continue;
		q->conn->pause = CONN_RUNS;
		lease_tell(b, q, BLK_RESUME, ++q->conn->epoch);
	}
}

/* The device has forgotten all. Memory as it is to be started with. */
void restart_renew(struct blkd *b)
{
	uint32_t i;

	b->suspended = false;
	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		queue_free_retired(q, true);
		if (q->state == QUEUE_LENT)
			queue_count(q);
		if ((q->state == QUEUE_LENT || q->state == QUEUE_FREE) && !queue_rewind(b, q))
			continue;
		/* Its holder has all it was lent, but the device has not. */
		if (q->state == QUEUE_LENT)
			lease_end(b, q, BLK_END_NO_RESOURCES);
		queue_drop(b, q);
		if (!queue_provision(b, q))
			q->state = QUEUE_STOPPED; /* until the device has started */
	}
}

/* The device runs: what was renewed can be lent. */
void restart_renewed(struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queues[i].state == QUEUE_STOPPED)
			reclaim_done(b, &b->queues[i], "restart");
}

static void restart_now(struct blkd *b)
{
	char why[WHY_MAX] = "";
	double start = now();
	int ret;

	ret = virtio_blk_reset(b->virtio);
	if (!ret) {
		restart_renew(b);
		ret = queue_start_all(b);
	}
	b->restart = RESTART_NONE;
	if (ret) {
		/* It is not as it should be: the bus has a stronger means. */
		complain("the device does not come back from its reset: %s", strerror(-ret));
		ret = pci_reset(b, why, sizeof(why));
		control_answer_waiting(b, ret, why);
		return;
	}
	restart_renewed(b);
	/* "us": the reset itself; "pause_us": what a lessee saw of it. */
	event("restart", "{s:s, s:i, s:i}", "why", b->restart_why, "us",
	      (int)((now() - start) * 1e6), "pause_us", (int)((now() - b->restart_noticed) * 1e6));
	resume(b);
	control_answer_waiting(b, 0, "");
}

static bool is_silent(const struct queue *q)
{
	return q->state == QUEUE_LENT && q->conn->pause == CONN_TOLD;
}

/* Its holder has cost everyone the time. Once for all that a user has: they may be of one job that
 * is stopped. */
static void end_silent(struct blkd *b, uint32_t nr)
{
	uid_t uid = b->queues[nr].holder.uid;
	uint32_t i;

	lease_end(b, &b->queues[nr], BLK_END_HUNG);
	for (i = nr + 1; i < b->nr_queues; i++)
		if (is_silent(&b->queues[i]) && b->queues[i].holder.uid == uid)
			return;
	ban_count(&b->bans, uid, SILENCE_POINTS, now());
}

/* Has everyone answered, or had the time to? Then go on. */
void restart_look(struct blkd *b)
{
	uint32_t i;

	if (b->restart == RESTART_WANTED)
		begin(b);
	if (b->restart != RESTART_PAUSING)
		return;
	for (i = 0; i < b->nr_queues; i++) {
		if (!is_silent(&b->queues[i]))
			continue;
		if (b->clock < b->paused_by)
			return;
		end_silent(b, i);
	}
	restart_now(b);
}

/* It does not come back from a restart, or it is to be given back: the end of blkd, too. */
void device_gone(struct blkd *b, const char *why)
{
	uint32_t i;

	complain("%s: the device is gone: %s", b->o.address, why);
	b->stop = true;
	b->status = 1;
	b->restart = RESTART_NONE;
	for (i = 0; i < b->nr_queues; i++)
		if (b->queues[i].state == QUEUE_LENT)
			lease_end(b, &b->queues[i], BLK_END_DEVICE_GONE);
}
