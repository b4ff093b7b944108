// SPDX-License-Identifier: MIT
/*
 * A reset of the PCI function under its lessees: on command, for a device that a reset by virtio's
 * means does not help. The kernel takes all access to the BARs away meanwhile and gives it back.
 *
 * Leases end before it, and with them every doorbell: who rings gets an error and waits for
 * what comes. After it everyone gets a lease anew on the same connection, with fresh memory,
 * and submits again what was in flight.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkd.h"
#include "events.h"

/* Of the function, else of its bus, where it must be alone or among its own. */
static int reset(struct blkd *b, const char **how)
{
	int ret;

	*how = "function";
	ret = barbuf_device_reset(b->dev);
	if (!ret)
		return 0;
	*how = "bus";
	return barbuf_device_hot_reset(b->dev);
}

static void let_go(struct blkd *b, struct conn **holders)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		holders[i] = q->state == QUEUE_LENT ? q->conn : NULL;
		if (holders[i])
			lease_let_go(b, q, BLK_END_RESET);
		if (q->state != QUEUE_FREE)
			q->state = QUEUE_STOPPED;
	}
}

static void grant_anew(struct blkd *b, struct conn **holders)
{
	uint32_t i;
	int ret;

	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		if (!holders[i])
			continue;
		ret = q->state == QUEUE_FREE ? lease_grant(b, q, holders[i]) : -ENOMEM;
		if (ret)
			conn_refuse(b, holders[i], ret, "queue %u cannot be lent anew: %s", q->nr,
				    strerror(-ret));
	}
}

/* There is nothing to grant anew: their last word, as their leases are over already. */
static void part(struct blkd *b, struct conn **holders)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++) {
		if (!holders[i])
			continue;
		conn_word(holders[i], BLK_ENDED, BLK_END_DEVICE_GONE);
		conn_drop(b, holders[i]);
	}
}

/* Returns what the reset answered; the leases are anew in any case. */
int pci_reset(struct blkd *b, char *why, size_t size)
{
	struct conn *holders[QUEUES_MAX];
	double start = now();
	const char *how;
	int ret, reset_ret;

	/* It does all that a restart which is under way would. */
	b->restart = RESTART_NONE;
	let_go(b, holders);
	/* No DMA while the memory changes. That may fail: it is why the reset is wanted. */
	virtio_blk_reset(b->virtio);
	reset_ret = reset(b, &how);
	if (reset_ret) {
		snprintf(why, size, "reset of the %s: %s", how, strerror(-reset_ret));
		/* Then nothing has stopped it yet. */
		virtio_blk_stop_dma(b->virtio);
	}
	restart_renew(b);
	ret = queue_start_all(b);
	if (ret) {
		snprintf(why, size, "the device does not start: %s", strerror(-ret));
		part(b, holders);
		device_gone(b, why);
		return ret;
	}
	if (!reset_ret)
		event("reset", "{s:s, s:i}", "how", how, "us", (int)((now() - start) * 1e6));
	restart_renewed(b);
	grant_anew(b, holders);
	control_answer_waiting(b, 0, "");
	return reset_ret;
}
