// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include <barbuf.h>

#include "message.h"
#include "state.h"

/* blkd itself waits for a queue that is being reclaimed, for 5 s at most. */
#define DEFAULT_TIMEOUT_MS 10000
/* How often the socket is looked at by a client that reaps without waiting. */
#define LISTEN_NS 1000000ull

__attribute__((format(printf, 4, 5))) static int say(char *why, size_t size, int error,
						     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (size)
		vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return error;
}

static int check_peer(int sock, uid_t primary, char *why, size_t size)
{
	struct barbuf_peer peer;
	int ret = barbuf_peer_get(sock, &peer);

	if (ret)
		return say(why, size, ret, "the socket is not connected: %s", strerror(-ret));
	if (primary == (uid_t)-1 ? peer.uid == 0 || peer.uid == geteuid() : peer.uid == primary)
		return 0;
	return say(why, size, -EACCES, "the other end belongs to user %u, which is not asked for",
		   peer.uid);
}

static int ask(struct blk_client *c)
{
	const struct blk_ask message = {
		.kind = BLK_ASK,
		.version = BLK_VERSION,
		.queue = c->options.queue,
		.flags = c->options.read_only ? BLK_READ_ONLY : 0,
		.depth = c->options.depth,
	};

	return blk_message_say(c->sock, &message, sizeof(message), c->options.timeout_ms);
}

/* What is granted can be what was asked for? */
static int check_asked(const struct blk_client *c, const struct blk_grant *g)
{
	if (c->options.queue != BLK_ANY_QUEUE && g->queue != (uint32_t)c->options.queue)
		return -EPROTO;
	return c->options.depth && g->window.depth > c->options.depth ? -EPROTO : 0;
}

static int answer(struct blk_client *c, char *why, size_t size)
{
	uint64_t deadline = blk_now() + c->options.timeout_ms * 1000000ull;
	union blk_message m;
	int ret, fd;

	for (;;) {
		ret = blk_message_take(c->sock, &m, &fd, deadline);
		if (ret)
			break;
		if (m.kind == BLK_GRANT) {
			ret = blk_lease_take(&c->lease, c->sock, &m.grant, fd, deadline);
			if (ret)
				break;
			ret = check_asked(c, &m.grant);
			if (ret)
				blk_lease_drop(&c->lease);
			break;
		}
		if (m.kind == BLK_REFUSED && m.text.error < 0 && m.text.error >= -4095)
			return say(why, size, m.text.error, "%s", m.text.text);
		if (m.kind != BLK_PING) {
			if (fd >= 0)
				close(fd);
			ret = -EPROTO;
			break;
		}
		m.word.kind = BLK_PONG;
		ret = blk_message_say(c->sock, &m.word, sizeof(m.word), c->options.timeout_ms);
		if (ret)
			break;
	}
	switch (ret) {
	case 0:
		return 0;
	case -EPROTO:
		return say(why, size, ret, "the primary's answer makes no sense");
	case -ETIMEDOUT:
		return say(why, size, ret, "the primary did not answer within %d ms",
			   c->options.timeout_ms);
	case -EPIPE:
		return say(why, size, ret, "the primary closed the socket");
	}
	return say(why, size, ret, "what was granted cannot be taken: %s", strerror(-ret));
}

int blk_client_adopt(struct blk_client **out, int sock, const struct blk_client_options *o,
		     char *why, size_t size)
{
	struct blk_client *c;
	int ret;

	if (o->timeout_ms < 0 || o->queue < BLK_ANY_QUEUE || o->depth > BLK_DEPTH_MAX)
		return say(why, size, -EINVAL, "a timeout, queue or depth out of its limits");
	ret = check_peer(sock, o->primary, why, size);
	if (ret)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return say(why, size, -ENOMEM, "no memory");
	c->sock = sock;
	c->options = *o;
	if (!c->options.timeout_ms)
		c->options.timeout_ms = DEFAULT_TIMEOUT_MS;
	c->end = -1;
	if (fcntl(sock, F_SETFL, O_NONBLOCK)) {
		ret = say(why, size, -errno, "fcntl: %s", strerror(errno));
		goto err;
	}
	ret = ask(c);
	/* It has hung up, and may have said why before. */
	if (ret && ret != -EPIPE) {
		say(why, size, ret, "the primary does not read");
		goto err;
	}
	ret = answer(c, why, size);
	if (ret)
		goto err;
	blk_client_begin(c);
	c->counts.grant_faults = 0;
	*out = c;
	return 0;

err:
	free(c);
	return ret;
}

int blk_client_open(struct blk_client **out, const char *path, const struct blk_client_options *o,
		    char *why, size_t size)
{
	int timeout = o->timeout_ms > 0 ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
	int sock = blk_connect(path, timeout);
	int ret;

	if (sock < 0)
		return say(why, size, sock, "%s: %s", path, strerror(-sock));
	ret = blk_client_adopt(out, sock, o, why, size);
	if (ret)
		close(sock);
	return ret;
}

void blk_client_leave(struct blk_client *c)
{
	const struct blk_word bye = { .kind = BLK_BYE };

	if (c->end >= 0)
		return;
	blk_client_finish(c, BLK_END_BYE);
	barbuf_message_send(c->sock, &bye, sizeof(bye), -1);
}

void blk_client_close(struct blk_client *c)
{
	if (!c)
		return;
	blk_client_leave(c);
	blk_lease_drop(&c->lease);
	close(c->sock);
	free(c);
}

const struct blk_client_facts *blk_client_facts(const struct blk_client *c)
{
	return &c->facts;
}

const struct blk_client_counts *blk_client_counts(const struct blk_client *c)
{
	return &c->counts;
}

int blk_client_eventfd(const struct blk_client *c)
{
	return c->lease.eventfd;
}

int blk_client_socket(const struct blk_client *c)
{
	return c->sock;
}

bool blk_client_paused(const struct blk_client *c)
{
	return c->end < 0 && (c->paused || c->silent);
}

int blk_client_leaving(const struct blk_client *c)
{
	uint64_t now = blk_now();

	if (!c->leave_by)
		return -1;
	return now < c->leave_by ? (c->leave_by - now) / 1000000 : 0;
}

int blk_client_end(const struct blk_client *c)
{
	return c->end;
}

void blk_client_raw(struct blk_client *c, struct blk_client_raw *raw)
{
	*raw = (struct blk_client_raw){
		.table = c->lease.table,
		.arena = c->lease.arena,
		.doorbell = c->lease.doorbell,
		.table_fd = c->lease.table_fd,
		.arena_fd = c->lease.arena_fd,
		.eventfd = c->lease.eventfd,
		.buffer_fd = barbuf_buffer_fd(c->lease.buffer),
	};
}

int blk_client_slot(struct blk_client *c)
{
	uint32_t slot;

	for (slot = 0; slot < c->facts.window.depth; slot++) {
		if (c->slots[slot].state == BLK_SLOT_FREE) {
			c->slots[slot].state = BLK_SLOT_OWNED;
			return slot;
		}
	}
	return -EAGAIN;
}

static bool is_owned(const struct blk_client *c, uint32_t slot)
{
	return slot < c->facts.window.depth && c->slots[slot].state == BLK_SLOT_OWNED;
}

void blk_client_put(struct blk_client *c, uint32_t slot)
{
	if (is_owned(c, slot))
		c->slots[slot].state = BLK_SLOT_FREE;
}

void *blk_client_data(struct blk_client *c, uint32_t slot)
{
	const struct blk_window *w = &c->facts.window;

	return (char *)c->lease.arena + w->data + (size_t)slot * w->block_size;
}

static volatile uint8_t *status_of(struct blk_client *c, uint32_t slot)
{
	return (volatile uint8_t *)c->lease.arena + c->facts.window.status + slot;
}

/* Only a write and a flush go by the chain whose data the device reads. */
static uint16_t head_of(const struct blk_client *c, uint32_t slot)
{
	return blk_window_head(&c->facts.window, slot, c->slots[slot].op != BLK_OP_READ);
}

void blk_client_push(struct blk_client *c, uint32_t slot)
{
	static const uint32_t types[] = {
		[BLK_OP_READ] = VIRTIO_BLK_T_IN,
		[BLK_OP_WRITE] = VIRTIO_BLK_T_OUT,
		[BLK_OP_FLUSH] = VIRTIO_BLK_T_FLUSH,
	};
	const struct blk_window *w = &c->facts.window;
	struct virtio_blk_outhdr *headers = (void *)((char *)c->lease.arena + w->headers);
	struct blk_slot *s = &c->slots[slot];

	/* The header of a fixed slot is the primary's, and says the same. */
	if (!(w->flags & BLK_FIXED))
		headers[slot] = (struct virtio_blk_outhdr){
			.type = types[s->op],
			/* 0 in a flush (5.2.6.1) */
			.sector = s->op == BLK_OP_FLUSH ? 0 :
							  (c->facts.first_block + s->block) *
								  (w->block_size / BLK_SECTOR),
		};
	*status_of(c, slot) = BLK_NO_STATUS;
	blk_ring_put(&c->ring, head_of(c, slot));
	c->unrung = true;
	if (s->tries++)
		c->counts.resubmitted++;
}

int blk_client_submit(struct blk_client *c, uint32_t slot, enum blk_op op, uint64_t block)
{
	struct blk_slot *s;

	if (c->end >= 0)
		return -EPIPE;
	if (!is_owned(c, slot) || op > BLK_OP_FLUSH)
		return -EINVAL;
	if (op != BLK_OP_READ && c->facts.window.flags & BLK_READ_ONLY)
		return -EROFS;
	if (op == BLK_OP_FLUSH && !c->facts.flush)
		return -EOPNOTSUPP;
	if (block >= c->facts.nr_blocks)
		return -ERANGE;
	if (c->facts.window.flags & BLK_FIXED && block != slot)
		return -EINVAL;

	s = &c->slots[slot];
	*s = (struct blk_slot){
		.state = BLK_SLOT_FLYING,
		.op = op,
		.block = block,
		.since = blk_now(),
	};
	c->flying++;
	/* To a ring that nobody is told about any more nothing is added: a primary that takes it back
	 * waits until the device is through with what is there. */
	if (!c->paused && !c->silent)
		blk_client_push(c, slot);
	return 0;
}

int blk_client_ring(struct blk_client *c)
{
	if (c->end >= 0)
		return -EPIPE;
	if (!c->unrung || c->paused || c->silent)
		return 0;
	c->unrung = false;
	if (!blk_ring_wants_doorbell(&c->ring))
		return 0;
	c->counts.doorbells++;
	if (c->lease.doorbell) {
		if (!barbuf_map_doorbell16(c->lease.doorbell, c->lease.grant.doorbell,
					   c->lease.grant.doorbell_value))
			return 0;
		c->counts.sigbus++;
	}
	c->silent = true;
	c->unrung = true;
	return 0;
}

static void complete(struct blk_client *c, uint32_t head)
{
	int slot = blk_window_slot(&c->facts.window, head);
	struct blk_slot *s = slot < 0 ? NULL : &c->slots[slot];
	uint8_t status;

	/* Without a status it was not this request, but one of before a reset that came too late. */
	if (!s || s->state != BLK_SLOT_FLYING || head != head_of(c, slot) ||
	    (status = *status_of(c, slot)) == BLK_NO_STATUS) {
		c->counts.ignored++;
		return;
	}
	s->state = BLK_SLOT_DONE;
	s->ns = blk_now() - s->since;
	s->error = status == VIRTIO_BLK_S_OK	 ? 0 :
		   status == VIRTIO_BLK_S_UNSUPP ? -EOPNOTSUPP :
						   -EIO;
	c->flying--;
	c->done[(c->done_first + c->nr_done++) % BLK_DEPTH_MAX] = slot;
}

void blk_client_harvest(struct blk_client *c)
{
	uint32_t left = c->facts.window.queue_size; /* of a ring that runs for ever, too */
	uint32_t head;
	int ret;

	if (c->paused || c->end >= 0)
		return;
	while (left-- && (ret = blk_ring_get(&c->ring, &head))) {
		if (ret < 0)
			c->counts.ignored++;
		else
			complete(c, head);
	}
}

int blk_client_reap(struct blk_client *c, struct blk_completion *done, size_t nr)
{
	size_t i;

	blk_client_harvest(c);
	if (blk_now() - c->looked >= LISTEN_NS)
		blk_client_listen(c);
	for (i = 0; i < nr && c->nr_done; i++) {
		uint32_t slot = c->done[c->done_first];
		struct blk_slot *s = &c->slots[slot];

		done[i] = (struct blk_completion){
			.slot = slot,
			.op = s->op,
			.block = s->block,
			.error = s->error,
			.ns = s->ns,
			.tries = s->tries,
		};
		s->state = BLK_SLOT_OWNED;
		c->done_first = (c->done_first + 1) % BLK_DEPTH_MAX;
		c->nr_done--;
	}
	return !i && c->end >= 0 && !c->nr_done ? -EPIPE : (int)i;
}

/* Take the signals off the eventfd. */
static void take_interrupts(struct blk_client *c)
{
	uint64_t n;
	ssize_t ret = read(c->lease.eventfd, &n, sizeof(n));

	if (ret == sizeof(n))
		c->counts.interrupts += n;
	else if (ret >= 0 || (errno != EAGAIN && errno != EINTR))
		blk_client_finish(c, BLK_END_PROTOCOL); /* that is no eventfd */
}

/* Until something can be looked at. 0, -ETIMEDOUT, -EINTR. */
static int doze(struct blk_client *c, uint64_t deadline)
{
	struct pollfd p[] = {
		{ .fd = c->sock, .events = POLLIN },
		/* Poll ignores a negative one. */
		{ .fd = c->options.poll ? -1 : c->lease.eventfd, .events = POLLIN },
	};
	uint64_t now = blk_now();
	int timeout = -1;

	if (c->options.poll && !c->paused && !c->silent)
		timeout = 0;
	else if (deadline != UINT64_MAX)
		timeout = deadline > now ? (deadline - now) / 1000000 + 1 : 0;
	if (poll(p, 2, timeout) < 0)
		return -errno;
	if (p[1].revents)
		take_interrupts(c);
	if (p[0].revents)
		blk_client_listen(c);
	return 0;
}

int blk_client_wait(struct blk_client *c, int timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : blk_now() + timeout_ms * 1000000ull;
	unsigned int spins = 0;
	bool last = false;

	for (;;) {
		int ret;

		blk_client_harvest(c);
		if (c->nr_done)
			return 0;
		if (c->end >= 0)
			return -EPIPE;
		/* A look at the socket costs as much as many at the ring. */
		if (c->options.poll && !c->paused && !c->silent && ++spins % 256)
			continue;
		if (last)
			return -ETIMEDOUT;
		/* Also without any time there is one look at the socket. */
		last = blk_now() >= deadline;
		ret = doze(c, deadline);
		if (ret)
			return ret;
	}
}
