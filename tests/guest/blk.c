// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blk.h"

#define WINDOWS GIB(1)
#define WINDOW_STEP MIB(16) /* far more than a window, so that there is a hole behind each */

struct blk *blk_open(const char *model)
{
	struct blk *b = calloc(1, sizeof(*b));
	char why[256];
	uint32_t q;
	int ret;

	CHECK(b);
	b->dev = dev_open(model);
	CHECK_EQ(barbuf_guard_install(), 0);
	ret = virtio_blk_open(&b->v, b->dev->lib, why, sizeof(why));
	if (ret)
		FAIL("%s: %s (%s)", model, strerror_name(-ret), why);
	b->facts = virtio_blk_facts(b->v);
	CHECK(b->facts->nr_queues <= BLK_MAX_QUEUES);
	for (q = 0; q < b->facts->nr_queues; q++) {
		struct barbuf_map_options o = { 0 };
		struct barbuf_range page;
		uint32_t bar;

		CHECK_EQ(virtio_blk_doorbell(b->v, q, &bar, &page, &b->q[q].bell_at,
					     &b->q[q].bell_value),
			 0);
		o.offset = page.offset;
		o.length = page.length;
		CHECK_EQ(barbuf_map_bar(&b->q[q].bell, b->dev->lib, bar, &o), 0);
		b->q[q].eventfd = OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		CHECK_EQ(virtio_blk_irq(b->v, VIRTIO_BLK_VECTOR_QUEUE(q), b->q[q].eventfd), 0);
	}
	return b;
}

static void drop_window(struct blk *b, struct blk_queue *q)
{
	size_t size = q->w.table_size + q->w.arena_size;

	if (!q->table)
		return;
	CHECK_EQ(barbuf_dma_unmap(b->dev->container, q->iova, size), 0);
	unmap(q->table, size);
	q->table = NULL;
}

void blk_close(struct blk *b)
{
	uint32_t q;

	virtio_blk_close(b->v);
	for (q = 0; q < BLK_MAX_QUEUES; q++) {
		drop_window(b, &b->q[q]);
		barbuf_unmap(b->q[q].bell);
		if (b->q[q].bell)
			close(b->q[q].eventfd);
	}
	dev_close(b->dev);
	free(b);
}

void blk_window_new(struct blk *b, uint32_t n, uint32_t flags, uint32_t block, uint32_t depth,
		    uint64_t first_sector)
{
	struct blk_queue *q = &b->q[n];
	size_t size;

	drop_window(b, q);
	q->w = (struct blk_window){
		.flags = flags,
		.queue_size = b->facts->queue_size,
		.block_size = block,
		.depth = depth,
	};
	CHECK_EQ(blk_window_layout(&q->w, PAGE), 0);
	size = q->w.table_size + q->w.arena_size;
	CHECK(size < WINDOW_STEP);
	q->table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(q->table != MAP_FAILED);
	q->arena = q->table + q->w.table_size;
	q->iova = WINDOWS + n * WINDOW_STEP;
	blk_window_fill(&q->w, q->table, q->iova, first_sector);
	CHECK_EQ(barbuf_dma_map(b->dev->container, q->iova, q->table, size,
				BARBUF_DMA_READ | BARBUF_DMA_WRITE),
		 0);
	q->avail = 0;
	q->seen = 0;
}

struct virtio_blk_queue blk_rings(struct blk *b, uint32_t n)
{
	struct blk_queue *q = &b->q[n];

	if (!q->table)
		return (struct virtio_blk_queue){ 0 };
	return (struct virtio_blk_queue){
		.size = q->w.queue_size,
		.desc = blk_window_desc_iova(&q->w, q->iova),
		.avail = blk_window_avail_iova(&q->w, q->iova),
		.used = blk_window_used_iova(&q->w, q->iova),
		.vector = VIRTIO_BLK_VECTOR_QUEUE(n),
	};
}

void blk_rewind(struct blk_queue *q)
{
	memset(q->table + q->w.used, 0, sizeof(struct vring_used));
	memset(q->arena, 0, sizeof(struct vring_avail));
	q->avail = 0;
	q->seen = 0;
}

int try_blk_start(struct blk *b)
{
	struct virtio_blk_queue rings[BLK_MAX_QUEUES];
	uint32_t n;
	int ret;

	/* What is in flight must not complete into rings that have begun anew. */
	ret = virtio_blk_reset(b->v);
	if (ret)
		return ret;
	for (n = 0; n < b->facts->nr_queues; n++) {
		if (b->q[n].table)
			blk_rewind(&b->q[n]);
		rings[n] = blk_rings(b, n);
	}
	return virtio_blk_start(b->v, rings);
}

void blk_start(struct blk *b)
{
	CHECK_EQ(try_blk_start(b), 0);
}

void blk_submit_head(struct blk *b, uint32_t n, uint16_t head)
{
	struct blk_queue *q = &b->q[n];
	struct vring_avail *avail = (void *)q->arena;

	avail->ring[q->avail++ % q->w.queue_size] = head;
	barbuf_wmb();
	*(volatile uint16_t *)&avail->idx = q->avail;
}

void blk_submit(struct blk *b, uint32_t n, uint32_t slot, uint32_t type, uint64_t sector)
{
	struct blk_queue *q = &b->q[n];
	struct virtio_blk_outhdr *hdr = (void *)(q->arena + q->w.headers);

	hdr[slot] = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	q->arena[q->w.status + slot] = -1;
	/* A table without write chains: what a client would do that tries all the same. */
	blk_submit_head(b, n,
			blk_window_head(&q->w, slot,
					type == VIRTIO_BLK_T_OUT && !(q->w.flags & BLK_READ_ONLY)));
}

void blk_ring(struct blk *b, uint32_t n)
{
	struct blk_queue *q = &b->q[n];

	CHECK_EQ(barbuf_map_doorbell16(q->bell, q->bell_at, q->bell_value), 0);
}

uint16_t blk_used(const struct blk_queue *q)
{
	const struct vring_used *used = (const void *)(q->table + q->w.used);

	return *(const volatile uint16_t *)&used->idx;
}

bool try_blk_wait(struct blk *b, uint32_t n, unsigned int msec)
{
	struct blk_queue *q = &b->q[n];
	uint64_t end = now_ns() + msec * 1000000ull;

	while (blk_used(q) != q->avail) {
		if (now_ns() > end)
			return false;
		sleep_ms(1);
	}
	barbuf_rmb();
	q->seen = q->avail;
	return true;
}

void blk_wait(struct blk *b, uint32_t n)
{
	if (!try_blk_wait(b, n, 20000))
		FAIL("queue %u: used index %u, not %u", n, blk_used(&b->q[n]), b->q[n].avail);
}

char *blk_data(const struct blk_queue *q, uint32_t slot)
{
	return q->arena + q->w.data + slot * q->w.block_size;
}

uint8_t blk_status_of(const struct blk_queue *q, uint32_t slot)
{
	return *(volatile uint8_t *)(q->arena + q->w.status + slot);
}

uint8_t blk_do(struct blk *b, uint32_t n, uint32_t slot, uint32_t type, uint64_t sector)
{
	blk_submit(b, n, slot, type, sector);
	blk_ring(b, n);
	blk_wait(b, n);
	return blk_status_of(&b->q[n], slot);
}

bool blk_is_original(const struct blk_queue *q, uint32_t slot, uint64_t sector)
{
	const char *data = blk_data(q, slot);
	char want[BLK_SECTOR + 1];
	uint32_t i;

	for (i = 0; i < BLK_SECTORS(&q->w); i++) {
		snprintf(want, sizeof(want), "%-511llu\n", (unsigned long long)sector + i);
		if (memcmp(data + i * BLK_SECTOR, want, BLK_SECTOR))
			return false;
	}
	return true;
}

/* What the device tells of one request, at @index of the used ring. */
static struct vring_used_elem *used_element(const struct blk_queue *q, uint16_t index)
{
	struct vring_used *used = (void *)(q->table + q->w.used);

	return &used->ring[index % q->w.queue_size];
}

void blk_read_check(struct blk *b, uint32_t n, uint64_t sector, unsigned int rounds)
{
	struct blk_queue *q = &b->q[n];
	uint32_t slot;

	while (rounds--) {
		for (slot = 0; slot < q->w.depth; slot++) {
			memset(blk_data(q, slot), 0, q->w.block_size);
			memset(used_element(q, q->avail), 0xff, sizeof(struct vring_used_elem));
			blk_submit(b, n, slot, VIRTIO_BLK_T_IN, sector + slot * BLK_SECTORS(&q->w));
		}
		blk_ring(b, n);
		blk_wait(b, n);
		for (slot = 0; slot < q->w.depth; slot++) {
			const struct vring_used_elem *e = used_element(q, q->avail - 1 - slot);

			CHECK(blk_window_slot(&q->w, e->id) >= 0);
			CHECK_EQ(e->len, q->w.block_size + 1);
			CHECK_EQ(blk_status_of(q, slot), VIRTIO_BLK_S_OK);
			CHECK_MSG(blk_is_original(q, slot, sector + slot * BLK_SECTORS(&q->w)),
				  "queue %u, slot %u, sector %llu", n, slot,
				  (unsigned long long)sector + slot * BLK_SECTORS(&q->w));
		}
		sector += q->w.depth * BLK_SECTORS(&q->w);
	}
}
