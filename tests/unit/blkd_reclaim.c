// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How long a queue may take to drain when blkd is kept from looking at it; on the device that is
 * played here, and by a clock that jumps.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "blkd.h"
#include "events.h"
#include "tap.h"

#define DRAIN 0.5

static const struct virtio_blk_facts facts = { .ring_reset = true };
static double time_now;
static char said[200];
static struct queue q;
static struct blkd b;
static struct vring_used *used;
static struct vring_avail *avail;

/* In place of events.c ---------------------------------------------------------*/

double now(void)
{
	return time_now;
}

void event(const char *name, const char *fmt, ...)
{
}

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

/* And of virtio.c: a queue reset is where a queue that has drained gets to, and ends the case. --*/

int virtio_blk_queue_reset(struct virtio_blk *v, uint32_t nr)
{
	return -EIO;
}

int virtio_blk_doorbell(const struct virtio_blk *v, uint32_t nr, uint32_t *bar,
			struct barbuf_range *page, uint32_t *offset, uint16_t *value)
{
	return -EINVAL;
}

int virtio_blk_queue_enable(struct virtio_blk *v, uint32_t nr, const struct virtio_blk_queue *rings)
{
	return -EIO;
}

int virtio_blk_irq(struct virtio_blk *v, uint16_t vector, int eventfd)
{
	return -EIO;
}

int virtio_blk_reset(struct virtio_blk *v)
{
	return -EIO;
}

int virtio_blk_stop_dma(struct virtio_blk *v)
{
	return -EIO;
}

int virtio_blk_start(struct virtio_blk *v, const struct virtio_blk_queue *queues)
{
	return -EIO;
}

int virtio_blk_health(struct virtio_blk *v)
{
	return -EIO;
}

/* Cases ------------------------------------------------------------------------*/

/* A lease has ended with @flying requests on the way. */
static void begin(uint16_t flying)
{
	time_now += 10;
	b.clock = b.ticked = time_now;
	b.restart = RESTART_NONE;
	*said = '\0';
	used->idx = 100;
	avail->idx = 100 + flying;
	q.seen_used = 100;
	q.seen_avail = q.rung_for = avail->idx;
	q.noticed = time_now;
	reclaim_begin(&b, &q, BLK_END_BYE);
}

/* The loop comes by again after so long; true: it has come to a decision. */
static bool look_after(double seconds)
{
	time_now += seconds;
	server_tick(&b, time_now);
	reclaim_look(&b);
	return q.state != QUEUE_DRAINING;
}

static bool has_drained(void)
{
	return strstr(said, "its reset failed");
}

static bool is_late(void)
{
	return strstr(said, "did not drain in time") || strstr(said, "does not let it drain");
}

static void drains(void)
{
	begin(4);
	CHECK(!look_after(0.001), "with requests on the way it is waited for");
	used->idx = 104;
	CHECK(!look_after(0.001) && !look_after(0.001), "and until the index stands still");
	CHECK(look_after(0.005) && has_drained(), "then it has drained: %s", said);
}

static void is_not_looked_at(void)
{
	begin(4);
	look_after(0.001);
	used->idx = 104;
	CHECK(!look_after(3), "one that drained while nobody looked is not late: %s", said);
	CHECK(look_after(0.006) && has_drained(), "but has drained: %s", said);

	begin(4);
	CHECK(!look_after(3), "nor is one that nobody looked at before: %s", said);
	used->idx = 104;
	CHECK(!look_after(3), "and that drained since: %s", said);
	CHECK(look_after(3) && has_drained(), "is seen to: %s", said);

	begin(4);
	while (b.clock < q.drained_by - 0.001)
		look_after(0.001);
	used->idx = 104;
	CHECK(!look_after(0.09), "one that is empty at the end may yet stand still: %s", said);
	CHECK(look_after(0.006) && has_drained(), "which it does: %s", said);
}

static void is_late_in_any_case(void)
{
	double start;

	begin(4);
	start = time_now;
	while (!look_after(0.001) && time_now < start + 10)
		;
	CHECK(is_late() && time_now - start < DRAIN + 0.01, "it does not drain in %.3f s: %s",
	      time_now - start, said);

	begin(4);
	start = time_now;
	do {
		used->idx = ++avail->idx;
	} while (!look_after(0.001) && time_now < start + 10);
	CHECK(is_late() && time_now - start < DRAIN + LOOK_SECONDS + 0.01,
	      "nor does one that is filled again and again, in %.3f s: %s", time_now - start, said);

	begin(4);
	start = time_now;
	while (!look_after(2) && time_now < start + 100)
		;
	CHECK(is_late() && time_now - start > 4, "nor in some looks, far apart: %.0f s: %s",
	      time_now - start, said);
}

static double banned(void)
{
	return ban_left(&b.bans, q.holder.uid, time_now);
}

/* Enough of the same within BAN_WITHIN_SECONDS, and what is held against the holder. */
static double after_many(void (*once)(void))
{
	unsigned int i;

	b.bans = (struct bans){ 0 };
	for (i = 0; i < BAN_POINTS; i++) {
		begin(4);
		time_now -= 10; /* begin() puts cases far apart */
		b.ticked = b.clock = q.noticed = time_now;
		q.drained_by = b.clock + DRAIN;
		once();
	}
	return banned();
}

static void is_slow(void)
{
	while (!look_after(0.05))
		;
}

static void takes_back(void)
{
	avail->idx -= 2;
	look_after(0.001);
}

static void goes_on_filling(void)
{
	do {
		used->idx = ++avail->idx;
	} while (!look_after(0.05));
}

static void adds_once(void)
{
	avail->idx++;
	while (!look_after(0.05))
		;
}

static void leaves_nonsense(void)
{
	used->idx = avail->idx;
	avail->idx -= 4;
	q.seen_used = q.seen_avail = used->idx;
	q.rung_for = avail->idx;
	/* As much ahead as it takes to look like an index that went round. */
	avail->idx += 300;
	while (!look_after(0.05))
		;
}

/* What shows intent costs points, and what can happen to anybody does not. */
static void is_held_against_it(void)
{
	CHECK(!after_many(is_slow), "who dies on a slow disk may come again");
	CHECK(!after_many(adds_once), "also who had not heard yet that it is over");
	CHECK(after_many(takes_back) > 0, "who takes requests back may not");
	CHECK(after_many(goes_on_filling) > 0, "nor who goes on filling the queue");
	CHECK(after_many(leaves_nonsense) > 0, "nor who leaves in it what no device can drain");
}

/* The clock itself. */
static void ticks(void)
{
	begin(0);
	server_tick(&b, time_now + 0.05);
	CHECK(b.clock - time_now > 0.049 && b.clock - time_now < 0.051, "it goes as time does");
	server_tick(&b, time_now + 60.05);
	CHECK(b.clock - time_now < 0.051 + LOOK_SECONDS, "but not when nobody looks: %.3f",
	      b.clock - time_now);
}

int main(void)
{
	q.mem.most = (struct blk_window){ .queue_size = 128, .depth = 8, .block_size = 512 };
	if (blk_window_layout(&q.mem.most, 4096))
		abort();
	q.mem.w = q.mem.most;
	q.mem.table = calloc(1, q.mem.most.table_size);
	q.mem.arena = calloc(1, q.mem.most.arena_size);
	used = (void *)((char *)q.mem.table + q.mem.most.used);
	avail = q.mem.arena;
	q.irq = -1;
	b = (struct blkd){
		.o.drain = DRAIN, .facts = &facts, .queues = &q, .nr_queues = 1, .epoll = -1
	};

	drains();
	is_not_looked_at();
	is_late_in_any_case();
	is_held_against_it();
	ticks();
	free(q.mem.table);
	free(q.mem.arena);
	return tap_done();
}
