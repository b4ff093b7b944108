// SPDX-License-Identifier: MIT
/*
 * A queue of the device and the memory it stands on. Memory and eventfd serve one lease and
 * are never lent twice: a predecessor that kept its eventfd could eat a successor's wake-ups.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blkd.h"
#include "events.h"

static uint32_t hole_of(const struct blkd *b, const struct queue *q)
{
	if (q->nr != b->o.hole)
		return MEMORY_NO_HOLE;
	/* The page that the last slot's data begins in. */
	return (b->most.data + (b->most.depth - 1) * b->most.block_size) / b->page * b->page;
}

static int wire(struct blkd *b, struct queue *q)
{
	int ret;

	q->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->irq < 0)
		return -errno;
	ret = virtio_blk_irq(b->virtio, VIRTIO_BLK_VECTOR_QUEUE(q->nr), q->irq);
	if (ret) {
		close(q->irq);
		q->irq = -1;
	}
	return ret;
}

/* Fresh memory and a fresh eventfd. The queue is not enabled yet. */
int queue_provision(struct blkd *b, struct queue *q)
{
	char advice[256];
	int ret;

	ret = memory_make(&q->mem, b->container, &b->most,
			  b->iova + (q->nr * WINDOWS + q->made % WINDOWS) * b->stride, b->page,
			  hole_of(b, q));
	if (ret) {
		if (barbuf_dma_advice(b->container, ret, b->most.table_size + b->most.arena_size,
				      advice, sizeof(advice)))
			strcpy(advice, strerror(-ret));
		complain("queue %u: no memory for it: %s", q->nr, advice);
		return ret;
	}
	q->made++;
	ret = wire(b, q);
	if (ret) {
		complain("queue %u: no interrupt for it: %s", q->nr, strerror(-ret));
		memory_drop(&q->mem);
	}
	return ret;
}

static void unwire(struct blkd *b, struct queue *q)
{
	if (q->irq < 0)
		return;
	virtio_blk_irq(b->virtio, VIRTIO_BLK_VECTOR_QUEUE(q->nr), -1);
	close(q->irq);
	q->irq = -1;
}

/* The device must have been reset. */
void queue_drop(struct blkd *b, struct queue *q)
{
	unwire(b, q);
	memory_drop(&q->mem);
	q->state = QUEUE_EMPTY;
}

/* Is the next window free? It is when this queue was not reset often in a short time. */
bool queue_can_retire(const struct queue *q)
{
	return !q->retired[q->made % WINDOWS].mem.container;
}

/* This queue was reset. What it stood on stays as it is, out of everyone's use: see reclaim.c, 5. */
void queue_retire(struct blkd *b, struct queue *q)
{
	uint32_t window = (q->made - 1) % WINDOWS;

	unwire(b, q);
	memory_close_fds(&q->mem);
	q->retired[window].mem = q->mem;
	q->retired[window].until = now() + RETIRED_SECONDS;
	q->mem.container = NULL;
	q->state = QUEUE_EMPTY;
}

/* @all: the device was reset. Else what is old enough. */
void queue_free_retired(struct queue *q, bool all)
{
	double t = now();
	uint32_t i;

	for (i = 0; i < WINDOWS; i++)
		if (all || t >= q->retired[i].until)
			memory_drop(&q->retired[i].mem);
}

/*
 * How many requests of holders before may still be completed into the ring of who is granted
 * this queue now, or have been: a device may complete late what was in flight when it was reset,
 * at most a ring full each time, and count it in the used index.
 */
uint32_t queue_late(const struct queue *q)
{
	uint32_t late = memory_used_index(&q->mem), i;

	for (i = 0; i < WINDOWS; i++)
		if (q->retired[i].mem.container)
			late += q->retired[i].mem.most.queue_size;
	return late;
}

struct virtio_blk_queue queue_rings(const struct blkd *b, const struct queue *q)
{
	const struct memory *m = &q->mem;

	if (!m->container)
		return (struct virtio_blk_queue){ 0 };
	return (struct virtio_blk_queue){
		.size = m->most.queue_size,
		.desc = blk_window_desc_iova(&m->most, m->iova),
		.avail = blk_window_avail_iova(&m->most, m->iova),
		.used = blk_window_used_iova(&m->most, m->iova),
		.vector = VIRTIO_BLK_VECTOR_QUEUE(q->nr),
	};
}

int queue_enable(struct blkd *b, struct queue *q)
{
	struct virtio_blk_queue rings = queue_rings(b, q);

	return virtio_blk_queue_enable(b->virtio, q->nr, &rings);
}

/* Reset the device and start it with all queues that have memory. */
int queue_start_all(struct blkd *b)
{
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++)
		b->rings[i] = queue_rings(b, &b->queues[i]);
	return virtio_blk_start(b->virtio, b->rings);
}

uint64_t queue_first_sector(const struct blkd *b, const struct queue *q)
{
	return q->grant.first_block * (b->most.block_size / BLK_SECTOR);
}

/* The device was reset: as it was lent, or made. On error the device must not start on it. */
int queue_rewind(struct blkd *b, struct queue *q)
{
	int ret = memory_rewind(&q->mem, queue_first_sector(b, q));

	if (ret)
		complain("queue %u: its arena is out of the device's reach: %s", q->nr,
			 strerror(-ret));
	q->looked = q->seen_used = q->seen_avail = 0;
	q->late = 0;
	return ret;
}

/* Ring its doorbell, as its holder does, but through the device fd. */
int queue_ring(struct blkd *b, struct queue *q)
{
	struct barbuf_region region;
	struct barbuf_range page;
	uint32_t bar, offset;
	uint16_t value;
	int ret;

	ret = virtio_blk_doorbell(b->virtio, q->nr, &bar, &page, &offset, &value);
	if (!ret)
		ret = barbuf_device_get_region(b->dev, bar, &region);
	if (ret)
		return ret;
	if (pwrite(barbuf_device_fd(b->dev), &value, sizeof(value),
		   region.offset + page.offset + offset) != sizeof(value))
		return -EIO;
	return 0;
}

/*
 * Is the available index behind what was seen of it before? Then its holder hides requests that
 * the device has. Told by the distance from the used index of then, as a fast device is round all
 * 16 bits between two looks: that is taken for a lie once in a thousand times, and costs a restart.
 */
bool queue_has_taken_back(struct queue *q)
{
	/* In this order, or the used index could be ahead of the other. */
	uint16_t used = memory_used_index(&q->mem);
	uint16_t avail = memory_avail_index(&q->mem);

	if ((uint16_t)(avail - q->seen_used) < (uint16_t)(q->seen_avail - q->seen_used))
		return true;
	q->seen_used = used;
	q->seen_avail = avail;
	return false;
}

/* The ring's index has 16 bits: looked at often enough, it counts. */
void queue_count(struct queue *q)
{
	uint16_t used = memory_used_index(&q->mem);

	q->done += (uint16_t)(used - q->looked);
	q->looked = used;
	queue_has_taken_back(q);
}
