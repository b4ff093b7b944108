// SPDX-License-Identifier: MIT
/* What blkctl asks for. Root and blkd's own user may; the connection is one of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkd.h"
#include "events.h"

/* The longest notice to leave: a day. */
#define LEAVE_MS_MAX 86400000u

static void done(struct blkd *b, struct conn *c, int error, const char *text)
{
	struct blk_text msg = { .kind = BLK_DONE, .error = error };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	conn_send(c, &msg, sizeof(msg), -1);
	c->waits = false;
	c->deadline = b->clock + ASK_SECONDS;
}

static void send_status(struct blkd *b, struct conn *c)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];
		struct blk_status s = {
			.kind = BLK_STATUS,
			.queue = i,
			.block_size = b->most.block_size,
			.leases = q->leases,
		};

		if (q->state == QUEUE_LENT) {
			queue_count(q);
			s.lent = 1;
			s.pid = q->holder.pid;
			s.uid = q->holder.uid;
			s.flags = q->grant.window.flags;
			s.depth = q->grant.window.depth;
			s.first_block = q->grant.first_block;
			s.nr_blocks = q->grant.nr_blocks;
			s.done = q->done;
			s.seconds = now() - q->since;
		}
		conn_send(c, &s, sizeof(s), -1);
	}
	done(b, c, 0, "");
}

/* The queue that is meant, which is to be lent. NULL: it was answered. */
static struct queue *meant(struct blkd *b, struct conn *c, int32_t nr)
{
	char text[96];

	if (nr < 0 || (uint32_t)nr >= b->nr_queues) {
		snprintf(text, sizeof(text), "queue %d: there are queues 0 to %u", nr,
			 b->nr_queues - 1);
		done(b, c, -ERANGE, text);
		return NULL;
	}
	if (b->queues[nr].state != QUEUE_LENT) {
		snprintf(text, sizeof(text), "queue %d is not lent", nr);
		done(b, c, -ENOENT, text);
		return NULL;
	}
	return &b->queues[nr];
}

static void tell_to_leave(struct blkd *b, struct conn *c, struct queue *q, uint32_t ms)
{
	char text[96];

	if (ms > LEAVE_MS_MAX) {
		snprintf(text, sizeof(text), "%u ms: the most is %u", ms, LEAVE_MS_MAX);
		done(b, c, -ERANGE, text);
		return;
	}
	event("leave", "{s:i, s:i, s:I}", "queue", (int)q->nr, "pid", (int)q->holder.pid, "ms",
	      (json_int_t)ms);
	q->conn->leave_by = b->clock + ms / 1e3;
	lease_tell(b, q, BLK_LEAVE, ms);
	done(b, c, 0, "");
}

static void reset(struct blkd *b, struct conn *c)
{
	char why[WHY_MAX] = "";
	int ret = pci_reset(b, why, sizeof(why));

	done(b, c, ret, why);
}

void control_ask(struct blkd *b, struct conn *c, const struct blk_request *r)
{
	char text[64];
	struct queue *q;

	if (!conn_is_controller(c->peer.uid)) {
		conn_refuse(b, c, -EACCES, "uid %u does not control this blkd", c->peer.uid);
		return;
	}
	if (r->version != BLK_VERSION) {
		snprintf(text, sizeof(text), "version %u: this is version %u", r->version,
			 BLK_VERSION);
		done(b, c, -EPROTO, text);
		return;
	}
	switch (r->command) {
	case BLK_CMD_STATUS:
		send_status(b, c);
		break;
	case BLK_CMD_REVOKE:
		q = meant(b, c, r->queue);
		if (q) {
			lease_end(b, q, BLK_END_REVOKED);
			done(b, c, 0, "");
		}
		break;
	case BLK_CMD_LEAVE:
		q = meant(b, c, r->queue);
		if (q)
			tell_to_leave(b, c, q, r->value);
		break;
	case BLK_CMD_RESTART:
		c->waits = true;
		restart_want(b, "on command");
		break;
	case BLK_CMD_RESET:
		reset(b, c);
		break;
	case BLK_CMD_STOP:
		b->stop = true;
		done(b, c, 0, "");
		break;
	default:
		snprintf(text, sizeof(text), "command %u is not known", r->command);
		done(b, c, -EINVAL, text);
	}
}

/* A restart is over. */
void control_answer_waiting(struct blkd *b, int error, const char *text)
{
	size_t i;

	for (i = 0; i < b->nr_conns; i++)
		if (b->conns[i]->waits && !b->conns[i]->dead)
			done(b, b->conns[i], error, text);
}
