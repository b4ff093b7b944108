// SPDX-License-Identifier: MIT
/* The device restarts, or another window takes the place of the one that was lent. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "message.h"
#include "state.h"

/* The end of a list, not a limit of the protocol: a primary that never stops does not stop us. */
#define MESSAGES_AT_ONCE 64

void blk_client_finish(struct blk_client *c, int end)
{
	blk_client_harvest(c);
	if (c->end < 0)
		c->end = end;
}

static uint64_t faults_taken(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static void set_facts(struct blk_client *c)
{
	const struct blk_grant *g = &c->lease.grant;

	c->facts = (struct blk_client_facts){
		.window = g->window,
		.first_block = g->first_block,
		.nr_blocks = g->nr_blocks,
		.queue = g->queue,
		.flush = g->flush,
	};
}

/* Empty rings, and into them what was in flight. */
static void refill(struct blk_client *c)
{
	uint32_t slot;

	blk_ring_start(&c->ring, &c->facts.window, c->lease.table, c->lease.arena,
		       !c->options.poll);
	c->paused = false;
	c->silent = false;
	/* Also with nothing to tell: the first access to a new mapping takes a fault, now. A device
	 * that is rung for an empty ring finds it empty. */
	c->unrung = true;
	for (slot = 0; slot < c->facts.window.depth; slot++)
		if (c->slots[slot].state == BLK_SLOT_FLYING)
			blk_client_push(c, slot);
	blk_client_ring(c);
}

void blk_client_begin(struct blk_client *c)
{
	set_facts(c);
	refill(c);
}

/* The same blocks by the same rules, and room for what is in flight? */
static bool can_replace(const struct blk_grant *old, const struct blk_grant *next)
{
	const struct blk_window *was = &old->window, *is = &next->window;

	return is->block_size == was->block_size && is->flags == was->flags &&
	       is->depth >= was->depth && next->first_block == old->first_block &&
	       next->nr_blocks >= old->nr_blocks && (next->flush || !old->flush);
}

static void regrant(struct blk_client *c, const struct blk_grant *grant, int table_fd)
{
	uint64_t deadline = blk_now() + c->options.timeout_ms * 1000000ull;
	const struct blk_window *w = &c->facts.window;
	uint64_t faults = faults_taken();
	struct blk_lease next;
	int ret;

	ret = blk_lease_take(&next, c->sock, grant, table_fd, deadline);
	if (!ret && !can_replace(&c->lease.grant, grant)) {
		blk_lease_drop(&next);
		ret = -EPROTO;
	}
	if (ret) {
		blk_client_finish(c, ret == -EPIPE ? BLK_END_SHUTDOWN : BLK_END_PROTOCOL);
		return;
	}
	memcpy((char *)next.arena + next.grant.window.data, (char *)c->lease.arena + w->data,
	       (size_t)w->depth * w->block_size);
	blk_lease_drop(&c->lease);
	c->lease = next;
	c->counts.regrants++;
	blk_client_begin(c);
	c->counts.grant_faults += faults_taken() - faults;
}

static void reply(struct blk_client *c, uint32_t kind, uint32_t value)
{
	const struct blk_word word = { .kind = kind, .value = value };

	/* One that is gone may have said why before it went: that is still to be read. One that does not
	 * read is not waited for again. */
	if (blk_message_say(c->sock, &word, sizeof(word), c->options.timeout_ms) == -ETIMEDOUT)
		blk_client_finish(c, BLK_END_PROTOCOL);
}

static void obey(struct blk_client *c, const union blk_message *m, int fd)
{
	/* What was completed until now counts; from here on the rings may be anything. */
	blk_client_harvest(c);
	switch (m->kind) {
	case BLK_PING:
		reply(c, BLK_PONG, m->word.value);
		return;
	case BLK_PAUSE:
		c->counts.pauses += !c->paused;
		c->paused = true;
		reply(c, BLK_PAUSED, m->word.value);
		return;
	case BLK_RESUME:
		if (!c->paused)
			break;
		refill(c);
		return;
	case BLK_GRANT:
		regrant(c, &m->grant, fd);
		return;
	case BLK_LEAVE:
		c->leave_by = blk_now() + m->word.value * 1000000ull;
		return;
	case BLK_ENDED:
		blk_client_finish(c, m->word.value <= INT32_MAX ? (int)m->word.value :
								  BLK_END_PROTOCOL);
		return;
	}
	if (fd >= 0)
		close(fd);
	blk_client_finish(c, BLK_END_PROTOCOL);
}

void blk_client_listen(struct blk_client *c)
{
	unsigned int left = MESSAGES_AT_ONCE;
	union blk_message m;
	int ret, fd;

	c->looked = blk_now();
	while (c->end < 0 && left--) {
		ret = blk_message_take(c->sock, &m, &fd, 0);
		if (ret == -EAGAIN)
			return;
		if (!ret)
			obey(c, &m, fd);
		else
			blk_client_finish(c, ret == -EPIPE ? BLK_END_SHUTDOWN : BLK_END_PROTOCOL);
	}
}
