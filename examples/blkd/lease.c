// SPDX-License-Identifier: MIT
/*
 * Granting a queue and taking it back. A free queue is ready to go: a grant only writes the
 * descriptors for what this holder may do, exports the doorbell's page, and sends all of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blkd.h"
#include "events.h"

/* Messages of a holder that went which are looked at. */
#define LAST_WORDS 8

/* Queues that a user holds, and *of_late: that it held, and which the device may still be at work on. */
static uint32_t held_by(const struct blkd *b, uid_t uid, uint32_t *of_late)
{
	uint32_t i, n = 0;

	*of_late = 0;
	for (i = 0; i < b->nr_queues; i++) {
		const struct queue *q = &b->queues[i];

		if (q->holder.uid != uid)
			continue;
		n += q->state == QUEUE_LENT;
		*of_late += q->state == QUEUE_DRAINING || q->state == QUEUE_STOPPED;
	}
	return n;
}

static bool is_wanted(const struct blk_ask *ask, const struct queue *q)
{
	return ask->queue == BLK_ANY_QUEUE || (uint32_t)ask->queue == q->nr;
}

/* A free one, or NULL; *soon: one will be, which is being reclaimed. */
static struct queue *find_free(struct blkd *b, const struct blk_ask *ask, bool *soon)
{
	uint32_t i;

	*soon = false;
	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		if (!is_wanted(ask, q) || q->state == QUEUE_LENT)
			continue;
		/* What is lent while the device restarts would have to be paused at once. */
		if (q->state == QUEUE_FREE && b->restart == RESTART_NONE)
			return q;
		*soon = true;
	}
	return NULL;
}

static void lay_out(struct blkd *b, struct queue *q, const struct rule *r)
{
	const struct blk_ask *ask = &q->ask;
	uint32_t flags = r->flags | (ask->flags & BLK_READ_ONLY);
	uint32_t depth;

	if (b->facts->read_only)
		flags |= BLK_READ_ONLY;
	depth = blk_window_depth(b->most.queue_size, flags);
	if (depth > b->o.depth)
		depth = b->o.depth;
	if (ask->depth && depth > ask->depth)
		depth = ask->depth;
	/* Slot N is block N: no more slots than blocks. */
	if (flags & BLK_FIXED && depth > r->count)
		depth = r->count;

	q->grant = (struct blk_grant){
		.kind = BLK_GRANT,
		.window = { .flags = flags, .depth = depth },
		.first_block = r->first,
		.nr_blocks = r->count,
		.queue = q->nr,
		.flush = b->facts->flush && !(flags & BLK_READ_ONLY),
	};
}

/* The doorbell's page as a buffer, tied to the holder's life. */
static int lend_doorbell(struct blkd *b, struct queue *q, struct conn *c)
{
	struct barbuf_range page;
	char name[BARBUF_NAME_MAX + 1];
	struct barbuf_export x = { .ranges = &page, .nr_ranges = 1, .name = name };
	uint16_t value;
	int pidfd;
	int ret;

	ret = virtio_blk_doorbell(b->virtio, q->nr, &x.bar, &page, &q->grant.doorbell, &value);
	if (ret)
		return ret;
	q->grant.doorbell_value = value;
	pidfd = barbuf_peer_pidfd(c->watch.fd);
	if (pidfd < 0)
		return pidfd;
	snprintf(name, sizeof(name), "blkd-queue-%u", q->nr);
	ret = barbuf_buffer_export(&q->doorbell, b->dev, &x);
	if (ret == -EOPNOTSUPP) {
		x.name = NULL; /* A kernel without names. */
		ret = barbuf_buffer_export(&q->doorbell, b->dev, &x);
	}
	if (!ret) {
		ret = barbuf_lease(b->table, q->doorbell, pidfd, c->watch.fd, &c->peer, q,
				   &q->lease);
		if (ret) {
			barbuf_buffer_free(q->doorbell);
			q->doorbell = NULL;
		}
	}
	close(pidfd);
	return ret;
}

/* The table goes with the grant, then arena, eventfd and doorbell, see proto.h. */
static int send_all(const struct queue *q, struct conn *c)
{
	const struct blk_word arena = { .kind = BLK_ARENA };
	const struct blk_word completion = { .kind = BLK_COMPLETION };
	int ret;

	ret = conn_send(c, &q->grant, sizeof(q->grant), q->mem.table_fd);
	if (!ret)
		ret = conn_send(c, &arena, sizeof(arena), q->mem.arena_fd);
	if (!ret)
		ret = conn_send(c, &completion, sizeof(completion), q->irq);
	if (!ret)
		ret = barbuf_buffer_send(c->watch.fd, q->doorbell, q->nr);
	return ret;
}

/* What a holder that went has sent before it did: it may have said goodbye. */
static bool said_bye(struct conn *c)
{
	int left = LAST_WORDS, ret = 0;
	struct blk_word word;
	size_t len;

	/* A child that has the socket may go on talking. */
	while (!ret && left--) {
		ret = barbuf_message_recv(c->watch.fd, &word, sizeof(word), &len, NULL);
		if (!ret && len == sizeof(word) && word.kind == BLK_BYE)
			return true;
	}
	return false;
}

/* Why the lease of who could not be sent something is over. */
static enum blk_end lost(const struct queue *q, int error)
{
	if (error == -EAGAIN)
		return BLK_END_HUNG; /* It does not read. */
	if (error == -EPIPE)
		return said_bye(q->conn) ? BLK_END_BYE : BLK_END_EXITED;
	/* Such as ETOOMANYREFS: others leave too much unread. Not the holder's doing. */
	complain("queue %u: cannot be sent to pid %d of uid %u: %s", q->nr, (int)q->holder.pid,
		 q->holder.uid, strerror(-error));
	return BLK_END_NO_RESOURCES;
}

/* Lend a free queue; q->ask says what for. On error the queue is as it was. */
int lease_grant(struct blkd *b, struct queue *q, struct conn *c)
{
	const struct rule *r = policy_find(&b->policy, c->peer.uid);
	const struct blk_window *w = &q->mem.w;
	uint32_t late;
	int ret;

	if (!r)
		return -EACCES;
	lay_out(b, q, r);
	/* Before the used index is set to 0, which the device does not hear of. */
	late = queue_late(q);
	ret = memory_fill(&q->mem, q->grant.window.flags, q->grant.window.depth,
			  queue_first_sector(b, q));
	if (!ret)
		ret = lend_doorbell(b, q, c);
	if (ret)
		return ret;

	q->state = QUEUE_LENT;
	q->conn = c;
	q->since = now();
	q->checked = b->clock;
	q->done = q->looked = q->seen_used = q->seen_avail = 0;
	q->leases++;
	q->late = late;
	q->grant.window = *w;
	q->grant.epoch = ++c->epoch;
	c->queue = q;
	c->asking = false;
	c->pause = CONN_RUNS;
	q->holder = c->peer;

	ret = send_all(q, c);
	event("lease", "{s:i, s:i, s:I, s:s, s:i, s:I, s:I, s:I}", "queue", (int)q->nr, "pid",
	      (int)c->peer.pid, "uid", (json_int_t)c->peer.uid, "access", policy_access(w->flags),
	      "depth", (int)w->depth, "first", (json_int_t)q->grant.first_block, "blocks",
	      (json_int_t)q->grant.nr_blocks, "epoch", (json_int_t)c->epoch);
	/* It was lent, so it ends as any lease. */
	if (ret)
		lease_end(b, q, lost(q, ret));
	return 0;
}

/* Sentences of a refusal. 0: there is a free queue, *out; 1: there will be one. */
static int choose(struct blkd *b, struct conn *c, struct queue **out, char *why)
{
	const struct rule *r = policy_find(&b->policy, c->peer.uid);
	const struct blk_ask *ask = &c->ask;
	double banned = ban_left(&b->bans, c->peer.uid, now());
	uint32_t held, of_late;
	bool soon;

	if (!r) {
		snprintf(why, WHY_MAX, "uid %u is not allowed here", c->peer.uid);
		return -EACCES;
	}
	if (banned > 0) {
		snprintf(why, WHY_MAX,
			 "uid %u has stopped the device for all too often: no queue for %u s",
			 c->peer.uid, (unsigned int)banned + 1);
		return -EACCES;
	}
	if (ask->queue != BLK_ANY_QUEUE &&
	    (ask->queue < 0 || (uint32_t)ask->queue >= b->nr_queues)) {
		snprintf(why, WHY_MAX, "queue %d: there are queues 0 to %u", ask->queue,
			 b->nr_queues - 1);
		return -ERANGE;
	}
	held = held_by(b, c->peer.uid, &of_late);
	if (r->queues && held >= r->queues) {
		snprintf(why, WHY_MAX, "uid %u holds %u of the %u queues it may hold", c->peer.uid,
			 held, r->queues);
		return -EDQUOT;
	}
	if (r->queues && held + of_late >= r->queues)
		return 1;
	*out = find_free(b, ask, &soon);
	if (*out)
		return 0;
	if (soon)
		return 1;
	if (ask->queue == BLK_ANY_QUEUE)
		snprintf(why, WHY_MAX, "all of the %u queues are lent", b->nr_queues);
	else
		snprintf(why, WHY_MAX, "queue %d is lent to another", ask->queue);
	return -EBUSY;
}

static void try_grant(struct blkd *b, struct conn *c)
{
	char why[WHY_MAX];
	struct queue *q;
	int ret;

	ret = choose(b, c, &q, why);
	if (!ret) {
		q->ask = c->ask;
		ret = lease_grant(b, q, c);
		if (ret)
			snprintf(why, WHY_MAX, "queue %u cannot be lent: %s", q->nr,
				 strerror(-ret));
	} else if (ret == 1) {
		if (b->clock < c->deadline)
			return;
		ret = -EBUSY;
		snprintf(why, WHY_MAX, "no queue came free within %.0f s", ASK_SECONDS);
	}
	if (ret)
		conn_refuse(b, c, ret, "%s", why);
}

/* Queues came free: those who wait, in the order in which they connected. */
void lease_try_waiting(struct blkd *b)
{
	size_t i;

	for (i = 0; i < b->nr_conns; i++)
		if (b->conns[i]->asking && !b->conns[i]->dead)
			try_grant(b, b->conns[i]);
}

/* A message ASK. */
void lease_ask(struct blkd *b, struct conn *c)
{
	if (c->ask.version != BLK_VERSION) {
		conn_refuse(b, c, -EPROTO, "version %u: this is version %u", c->ask.version,
			    BLK_VERSION);
		return;
	}
	if (c->ask.flags & ~BLK_READ_ONLY) {
		conn_refuse(b, c, -EINVAL, "flags 0x%x: 0x%x is all there is", c->ask.flags,
			    BLK_READ_ONLY);
		return;
	}
	if (c->ask.depth > BLK_DEPTH_MAX) {
		conn_refuse(b, c, -EINVAL, "depth %u: the most is %u", c->ask.depth, BLK_DEPTH_MAX);
		return;
	}
	c->deadline = b->clock + ASK_SECONDS;
	c->asking = true;
	/* Not ahead of others: what they wait for may have come free in this round. */
	lease_try_waiting(b);
}

/* The lease is over and the doorbell is revoked: its end is told, and the queue reclaimed. */
static void finish(struct blkd *b, struct queue *q, enum blk_end why)
{
	struct conn *c = q->conn;

	queue_count(q);
	event("end", "{s:i, s:i, s:I, s:s, s:I}", "queue", (int)q->nr, "pid", (int)c->peer.pid,
	      "uid", (json_int_t)c->peer.uid, "why", blk_end_name(why), "done",
	      (json_int_t)q->done);
	q->lease = 0;
	barbuf_buffer_free(q->doorbell);
	q->doorbell = NULL;
	c->queue = NULL;
	q->conn = NULL;
}

static void tell_revoke(const struct queue *q, int error, double seconds)
{
	/* EBADFD: somebody was faster, such as `barbuf revoke`. */
	if (error && error != -EBADFD)
		complain("queue %u: its doorbell cannot be revoked: %s", q->nr, strerror(-error));
	event("revoke", "{s:i, s:i, s:i}", "queue", (int)q->nr, "pid", (int)q->conn->peer.pid, "us",
	      (int)(seconds * 1e6));
}

static void revoke_doorbell(struct blkd *b, struct queue *q)
{
	double start = now();
	int ret = barbuf_lease_end(b->table, q->lease);

	tell_revoke(q, ret, now() - start);
}

/* End a lease, and tell its holder. The queue is reclaimed from here on. */
void lease_end(struct blkd *b, struct queue *q, enum blk_end why)
{
	struct conn *c = q->conn;

	q->noticed = now();
	revoke_doorbell(b, q);
	if (why != BLK_END_BROKE_DEVICE)
		reclaim_push(b, q);
	conn_word(c, BLK_ENDED, why);
	finish(b, q, why);
	conn_drop(b, c);
	reclaim_begin(b, q, why);
}

/* A word to its holder. One that does not take it loses the lease: false. */
bool lease_tell(struct blkd *b, struct queue *q, enum blk_kind kind, uint32_t value)
{
	int ret = conn_word(q->conn, kind, value);

	if (ret)
		lease_end(b, q, lost(q, ret));
	return !ret;
}

/* End a lease whose holder gets another at once: the connection stays, the queue is the caller's. */
void lease_let_go(struct blkd *b, struct queue *q, enum blk_end why)
{
	q->noticed = now();
	revoke_doorbell(b, q);
	finish(b, q, why);
}

/* Holders ended. Their doorbells are revoked by barbuf_leases_next(). */
void lease_ends(struct blkd *b)
{
	struct barbuf_lease_event e;
	double start = now();
	int ret;

	while ((ret = barbuf_leases_next(b->table, &e)) > 0) {
		struct queue *q = e.lease.cookie;
		struct conn *c = q->conn;
		enum blk_end why = said_bye(c) ? BLK_END_BYE : BLK_END_EXITED;

		tell_revoke(q, e.error, now() - start);
		q->noticed = start;
		reclaim_push(b, q);
		finish(b, q, why);
		conn_drop(b, c);
		reclaim_begin(b, q, why);
		start = now();
	}
	if (ret < 0)
		complain("ends of leases: %s", strerror(-ret));
}

static void look_at(struct blkd *b, struct queue *q, double t)
{
	struct conn *c = q->conn;

	queue_count(q);
	if (c->leave_by && t >= c->leave_by) {
		lease_end(b, q, BLK_END_OVERSTAYED);
		return;
	}
	/* Somebody else may have revoked it, such as `barbuf revoke`: its holder waits for our word. */
	if (t - q->checked >= CHECK_SECONDS) {
		q->checked = t;
		if (barbuf_buffer_check(q->doorbell) == -EBADFD) {
			lease_end(b, q, BLK_END_REVOKED);
			return;
		}
	}
	if (!b->o.hang)
		return;
	if (c->ping_sent) {
		if (t - c->ping_sent >= b->o.hang)
			lease_end(b, q, BLK_END_HUNG);
		return;
	}
	if (t < c->ping_at)
		return;
	if (!lease_tell(b, q, BLK_PING, c->epoch))
		return;
	c->ping_sent = t;
	/* Every few seconds, and more often if the limit is shorter. */
	c->ping_at = t + (b->o.hang < 4 ? b->o.hang / 2 : 2);
}

/* Who was told to leave, and who does not answer. */
void lease_look(struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++)
		if (b->queues[i].state == QUEUE_LENT)
			look_at(b, &b->queues[i], b->clock);
}
