// SPDX-License-Identifier: LGPL-2.1-or-later
/* A reset of the PCI function by which the device does not come back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkd.h"
#include "events.h"
#include "tap.h"

#define NR_QUEUES 3

static struct {
	int reset, start; /* what these return */
	char log[400];
	enum blk_end told[NR_QUEUES];
} fake;

static struct queue queues[NR_QUEUES];
static struct conn conns[NR_QUEUES];
static struct blkd primary;

static void done(const char *what)
{
	snprintf(fake.log + strlen(fake.log), sizeof(fake.log) - strlen(fake.log), "%s ", what);
}

/* What pci_reset.c is made of -------------------------------------------------------*/

double now(void)
{
	return 0;
}

void event(const char *name, const char *fmt, ...)
{
}

int barbuf_device_reset(struct barbuf_device *dev)
{
	done("reset");
	return fake.reset;
}

int barbuf_device_hot_reset(struct barbuf_device *dev)
{
	return fake.reset;
}

int virtio_blk_reset(struct virtio_blk *v)
{
	return -EIO;
}

int virtio_blk_stop_dma(struct virtio_blk *v)
{
	done("stop_dma");
	return 0;
}

void lease_let_go(struct blkd *b, struct queue *q, enum blk_end why)
{
	q->conn->queue = NULL;
	q->conn = NULL;
	q->state = QUEUE_STOPPED;
}

int lease_grant(struct blkd *b, struct queue *q, struct conn *c)
{
	done("grant");
	return 0;
}

int conn_word(struct conn *c, enum blk_kind kind, uint32_t value)
{
	if (kind == BLK_ENDED)
		fake.told[c - conns] = value;
	return 0;
}

void conn_drop(struct blkd *b, struct conn *c)
{
	c->dead = true;
}

void conn_refuse(struct blkd *b, struct conn *c, int error, const char *fmt, ...)
{
}

void restart_renew(struct blkd *b)
{
	done("renew");
}

void restart_renewed(struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++)
		b->queues[i].state = QUEUE_FREE;
}

int queue_start_all(struct blkd *b)
{
	return fake.start;
}

void device_gone(struct blkd *b, const char *why)
{
	done("gone");
}

void control_answer_waiting(struct blkd *b, int error, const char *text)
{
}

/* Cases -----------------------------------------------------------------------------*/

/* Queues 0 and 2 are lent. */
static int run(int reset, int start, char *why)
{
	uint32_t i;

	memset(&fake, 0, sizeof(fake));
	fake.reset = reset;
	fake.start = start;
	for (i = 0; i < NR_QUEUES; i++) {
		conns[i] = (struct conn){ .queue = &queues[i] };
		queues[i] = (struct queue){ .nr = i, .state = QUEUE_LENT, .conn = &conns[i] };
	}
	queues[1].state = QUEUE_FREE;
	primary = (struct blkd){ .queues = queues, .nr_queues = NR_QUEUES };
	return pci_reset(&primary, why, WHY_MAX);
}

int main(void)
{
	char why[WHY_MAX];
	int ret;

	ret = run(0, 0, why);
	CHECK(!ret && !strcmp(fake.log, "reset renew grant grant "), "it comes back: %s", fake.log);
	ret = run(0, -EIO, why);
	CHECK(ret == -EIO && !strcmp(fake.log, "reset renew gone "), "it does not start: %s: %s",
	      why, fake.log);
	CHECK(fake.told[0] == BLK_END_DEVICE_GONE && fake.told[2] == BLK_END_DEVICE_GONE &&
		      conns[0].dead && conns[2].dead,
	      "those who held a queue are told, and let go");
	CHECK(!conns[1].dead, "and nobody else");
	ret = run(-ENOTTY, 0, why);
	CHECK(ret == -ENOTTY && !strcmp(fake.log, "reset stop_dma renew grant grant "),
	      "one that nothing resets is kept from memory that changes: %s", fake.log);
	return tap_done();
}
