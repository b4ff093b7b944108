// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A queue's memory: whether its holder has set the available index back, told from two looks at
 * the rings; what of it stays when it is retired; a restart that cannot map it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "blkd.h"
#include "events.h"
#include "fake_kernel.h"

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

static void indexes(void)
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
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct blkd b;
static struct barbuf_device *dev;

/* A queue with memory, on an IOMMU of our own. */
static bool begin(void)
{
	dev = open_one(&b.container, BARBUF_IOMMU_TYPE1, A0);
	q = (struct queue){ .irq = -1, .made = 1 };
	b.queues = &q;
	b.nr_queues = 1;
	b.page = 4096;
	b.iova = 1 << 20;
	b.o.hole = MEMORY_NO_HOLE;
	return CHECK(
		dev && !memory_layout(&b.most, 64, 8, 512, b.page) &&
			!memory_make(&q.mem, b.container, &b.most, b.iova, b.page, MEMORY_NO_HOLE),
		"a queue with memory");
}

static void retired(void)
{
	unsigned int mapped;
	int table, arena;

	if (!begin())
		return;
	mapped = k.nr_dma;
	table = q.mem.table_fd;
	arena = q.mem.arena_fd;
	*(char *)q.mem.arena = 1;
	queue_retire(&b, &q);
	CHECK(!q.mem.container && q.state == QUEUE_EMPTY, "it is retired");
	CHECK(!is_open(table) && !is_open(arena), "and no descriptor is kept for it");
	CHECK(!memory_make(&q.mem, b.container, &b.most, b.iova + (1 << 20), b.page,
			   MEMORY_NO_HOLE) &&
		      queue_late(&q) == b.most.queue_size,
	      "in the next ring its requests may still be completed, a ring full");
	((struct vring_used *)((char *)q.mem.table + b.most.used))->idx = 3;
	CHECK(queue_late(&q) == b.most.queue_size + 3u, "and 3 were already");
	memory_drop(&q.mem);
	CHECK(k.nr_dma == mapped && *(char *)q.retired[0].mem.arena == 1,
	      "the device and we still reach it");
	queue_free_retired(&q, true);
	CHECK(!k.nr_dma, "until it goes");
	close_one(b.container, dev);
}

/* Its events are no lines of a test's. */
static void renew_quietly(void)
{
	int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);

	dup2(null, STDOUT_FILENO);
	restart_renew(&b);
	dup2(out, STDOUT_FILENO);
	close(null);
	close(out);
}

/* RESUME would send its holder to wait for a device that cannot reach the arena. */
static void out_of_reach(bool lent)
{
	static const struct virtio_blk_facts facts = { .ring_reset = true };
	static struct conn c;
	struct blk_word word = { 0 };
	size_t len;
	int s[2];

	if (!begin())
		return;
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) &&
			!barbuf_leases_new(&b.table),
		"a connection");
	c = (struct conn){ .watch = { .ready = conn_accept, .fd = s[0] }, .queue = &q };
	q.state = lent ? QUEUE_LENT : QUEUE_FREE;
	q.conn = &c;
	b.facts = &facts;
	b.restart = RESTART_PAUSING;
	k.map_result = -ENOMEM;
	renew_quietly();
	CHECK(!q.mem.container && !queue_rings(&b, &q).size && q.state == QUEUE_EMPTY,
	      "%s, and not mapped again: the device is not started on it", lent ? "lent" : "free");
	if (lent)
		CHECK(!barbuf_message_recv(s[1], &word, sizeof(word), &len, NULL) &&
			      word.kind == BLK_ENDED && word.value == BLK_END_NO_RESOURCES &&
			      c.dead && !c.queue,
		      "the lease is over: %s", blk_end_name(word.value));
	else
		close(s[0]);
	close(s[1]);
	barbuf_leases_free(b.table);
	CHECK(!k.nr_dma, "nothing of it is left");
	close_one(b.container, dev);
}

int main(void)
{
	events_begin("blkd_queue", false);
	indexes();
	retired();
	out_of_reach(true);
	out_of_reach(false);
	return tap_done();
}
