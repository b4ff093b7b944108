// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtio-blk function as examples/blkd drives it, with tables of examples/blk, and no client:
 * I/O, resets of a queue, of the function and of the bus, what is refused, and that the
 * device does what blkd counts upon.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blk.h"

/* As lab/topology/blk has the disk: sectors that no other test writes. */
#define SECTORS (32 * 2048)
#define SCRATCH 60000

static void windows(struct blk *b, uint32_t block, uint32_t depth)
{
	uint32_t q;

	for (q = 0; q < b->facts->nr_queues; q++)
		blk_window_new(b, q, 0, block, depth, 0);
	blk_start(b);
}

static uint64_t signals(int eventfd)
{
	uint64_t n;

	return read(eventfd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static bool try_signal(int eventfd, unsigned int msec)
{
	uint64_t end = now_ns() + msec * 1000000ull;

	while (!signals(eventfd)) {
		if (now_ns() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

/* QEMU looks at all rings by itself when the device starts, at some time soon after. */
static void let_settle(void)
{
	sleep_ms(100);
}

/* Submits as many as there are slots, and does not wait. */
static void load(struct blk *b, uint32_t q)
{
	uint32_t slot;

	for (slot = 0; slot < b->q[q].w.depth; slot++)
		blk_submit(b, q, slot, VIRTIO_BLK_T_IN, slot * BLK_SECTORS(&b->q[q].w));
	blk_ring(b, q);
}

/* What it is -----------------------------------------------------------------*/

static void facts(void)
{
	struct blk *b = blk_open("blk");

	CHECK_EQ(b->facts->sectors, SECTORS);
	CHECK_EQ(b->facts->nr_queues, 4);
	CHECK_EQ(b->facts->queue_size, 512);
	CHECK_EQ(b->facts->block_size, 512);
	CHECK_EQ(b->facts->size_max, UINT32_MAX);
	CHECK(b->facts->flush);
	CHECK(b->facts->ring_reset);
	CHECK(!b->facts->read_only);
	blk_close(b);
}

static void doorbells(void)
{
	struct blk *b = blk_open("blk");
	struct barbuf_range page[4], more;
	uint32_t bar, offset, q, r;
	uint16_t value;

	for (q = 0; q < 4; q++) {
		CHECK_EQ(virtio_blk_doorbell(b->v, q, &bar, &page[q], &offset, &value), 0);
		CHECK_EQ(bar, 4);
		CHECK_EQ(page[q].length, PAGE);
		CHECK_EQ(page[q].offset % PAGE, 0);
		CHECK(offset + 2 <= PAGE);
		CHECK_EQ(value, q);
		for (r = 0; r < q; r++)
			CHECK(page[r].offset != page[q].offset);
	}
	CHECK_EQ(virtio_blk_doorbell(b->v, 4, &bar, &more, &offset, &value), -EINVAL);
	CHECK_EQ(virtio_blk_doorbell(b->v, UINT32_MAX, &bar, &more, &offset, &value), -EINVAL);
	blk_close(b);
}

/* The host resizes the disk: the device says so, and the new size is read. */
static void capacity_changes(void)
{
	struct blk *b = blk_open("blk");
	int fd = OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	CHECK_EQ(virtio_blk_irq(b->v, VIRTIO_BLK_VECTOR_CONFIG, fd), 0);
	windows(b, 4096, 8);
	OK(system("lab-monitor block_resize blk 40M"));
	CHECK_MSG(try_signal(fd, 5000), "no interrupt");
	CHECK_EQ(virtio_blk_refresh(b->v), 0);
	CHECK_EQ(b->facts->sectors, 40 * 2048);
	CHECK_EQ(blk_do(b, 0, 0, VIRTIO_BLK_T_IN, SECTORS), VIRTIO_BLK_S_OK);
	OK(system("lab-monitor block_resize blk 32M"));
	CHECK_MSG(try_signal(fd, 5000), "no interrupt");
	CHECK_EQ(virtio_blk_refresh(b->v), 0);
	CHECK_EQ(b->facts->sectors, SECTORS);
	CHECK_EQ(blk_do(b, 0, 0, VIRTIO_BLK_T_IN, SECTORS), VIRTIO_BLK_S_IOERR);
	blk_close(b);
}

static void refused(const char *model, int want, const char *words)
{
	struct dev *dev = dev_open(model);
	struct virtio_blk *v;
	char why[256] = "";
	char cut[8] = "";

	CHECK_EQ(virtio_blk_open(&v, dev->lib, why, sizeof(why)), want);
	CHECK_MSG(strstr(why, words), "'%s' has no '%s'", why, words);
	/* Twice: nothing was left behind by the first time. */
	CHECK_EQ(virtio_blk_open(&v, dev->lib, cut, sizeof(cut)), want);
	CHECK_MSG(strlen(cut) == 7 && !strncmp(cut, why, 7), "'%s'", cut);
	dev_close(dev);
}

static void doorbells_shared(void)
{
	refused("blk-shared", -EOPNOTSUPP, "queues 0 and 1 are in one page, 0x3000 of BAR 4");
}

static void around_the_iommu(void)
{
	refused("blk-direct", -EOPNOTSUPP, "feature 33 (ACCESS_PLATFORM");
}

static void too_few_vectors(void)
{
	refused("blk-few", -EOPNOTSUPP, "it has 3 MSI-X vectors, and 5 are needed for 4 queues");
}

static void legacy(void)
{
	refused("blk-old", -ENODEV, "has not the modern interface");
}

static void no_virtio(void)
{
	refused("nvme", -ENODEV, "is 1b36:0010, and virtio device 2 is 1af4:1042");
}

static void no_disk(void)
{
	struct blk *b = blk_open("blk-small");

	CHECK_EQ(b->facts->sectors, 0);
	windows(b, 512, 1);
	CHECK_EQ(blk_do(b, 0, 0, VIRTIO_BLK_T_IN, 0), VIRTIO_BLK_S_IOERR);
	blk_close(b);
}

/* I/O ------------------------------------------------------------------------*/

static void reads(const char *model, uint32_t block, uint32_t depth)
{
	struct blk *b = blk_open(model);
	uint32_t q;

	windows(b, block, depth);
	for (q = 0; q < b->facts->nr_queues; q++)
		blk_read_check(b, q, q * 1000, 2);
	blk_close(b);
}

static void reads_512(void)
{
	reads("blk", 512, 64);
}

static void reads_4096(void)
{
	reads("blk", 4096, 64);
}

static void reads_65536(void)
{
	reads("blk", 65536, 64);
}

static void reads_plain(void)
{
	reads("blk-plain", 4096, 1);
}

/* All elements of the used ring come, those at the end of a page too. */
static void rings_wrap(void)
{
	struct blk *b = blk_open("blk");

	windows(b, 512, 64);
	blk_read_check(b, 0, 0, 20);
	blk_close(b);
}

static void writes(void)
{
	struct blk *b = blk_open("blk");
	const uint32_t words = 4096 / sizeof(uint32_t);
	uint32_t i, q, slot;
	uint64_t at;

	windows(b, 4096, 8);
	for (q = 0; q < 4; q++) {
		for (slot = 0; slot < 8; slot++) {
			uint32_t *data = (void *)blk_data(&b->q[q], slot);

			at = SCRATCH + (8 * q + slot) * 8;
			for (i = 0; i < words; i++)
				data[i] = at * words + i;
			blk_submit(b, q, slot, VIRTIO_BLK_T_OUT, at);
		}
		blk_ring(b, q);
		blk_wait(b, q);
		for (slot = 0; slot < 8; slot++)
			CHECK_EQ(blk_status_of(&b->q[q], slot), VIRTIO_BLK_S_OK);
		CHECK_EQ(blk_do(b, q, 0, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
	}
	/* Each is read by another queue than wrote it, and put back as it was. */
	for (i = 0; i < 32; i++) {
		const uint32_t *data;
		uint32_t k;

		at = SCRATCH + i * 8;
		q = (i / 8 + 1) % 4;
		CHECK_EQ(blk_do(b, q, 0, VIRTIO_BLK_T_IN, at), VIRTIO_BLK_S_OK);
		data = (void *)blk_data(&b->q[q], 0);
		for (k = 0; k < words; k++)
			CHECK_EQ(data[k], (uint32_t)(at * words + k));
		for (k = 0; k < 8; k++)
			snprintf(blk_data(&b->q[q], 0) + k * 512, 513, "%-511u\n",
				 (unsigned int)at + k);
		CHECK_EQ(blk_do(b, q, 0, VIRTIO_BLK_T_OUT, at), VIRTIO_BLK_S_OK);
	}
	blk_read_check(b, 0, SCRATCH - 64, 6);
	blk_close(b);
}

/* A client of a read-only window asks for what writes, in every way it can. */
static void read_only_window(void)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_OUT,	   VIRTIO_BLK_T_SCSI_CMD | 1,	VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID,	   VIRTIO_BLK_T_DISCARD,	VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_SECURE_ERASE, VIRTIO_BLK_T_OUT | 1u << 31, 0xffffffff
	};
	struct blk *b = blk_open("blk");
	unsigned int i;
	uint64_t end;

	blk_window_new(b, 0, BLK_READ_ONLY, 4096, 64, 0);
	blk_window_new(b, 1, 0, 4096, 8, 0);
	blk_start(b);
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		memset(blk_data(&b->q[0], 0), 0xee, 4096);
		blk_submit(b, 0, 0, types[i], SCRATCH);
		blk_ring(b, 0);
		/* A few of them QEMU takes for broken, and gives up. */
		end = timeout();
		while (!try_blk_wait(b, 0, 10) && virtio_blk_health(b->v) != -EIO)
			CHECK_MSG(now_ns() < end, "type 0x%x: no answer", types[i]);
		if (virtio_blk_health(b->v))
			blk_start(b);
		blk_read_check(b, 1, SCRATCH, 1);
	}
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
}

/* Headers are the primary's: what a client writes where others have theirs is not looked at. */
static void fixed_window(void)
{
	struct blk *b = blk_open("blk");
	struct blk_queue *q = &b->q[2];
	uint32_t slot;

	blk_window_new(b, 2, BLK_READ_ONLY | BLK_FIXED, 4096, 64, 4000);
	blk_start(b);
	for (slot = 0; slot < 64; slot++)
		blk_submit(b, 2, slot, VIRTIO_BLK_T_OUT, 7);
	blk_ring(b, 2);
	blk_wait(b, 2);
	for (slot = 0; slot < 64; slot++) {
		CHECK_EQ(blk_status_of(q, slot), VIRTIO_BLK_S_OK);
		CHECK(blk_is_original(q, slot, 4000 + slot * 8));
	}
	blk_close(b);
}

/* The descriptors and the used ring have DMA mappings of their own: as they are lent. */
static void table_read_only(void)
{
	struct blk *b = blk_open("blk");
	struct barbuf_container *c = b->dev->container;
	struct blk_queue *q = &b->q[0];
	struct vring_desc *desc, before;
	size_t size, used;

	blk_window_new(b, 0, 0, 4096, 64, 0);
	size = q->w.table_size + q->w.arena_size;
	used = q->w.used & ~(PAGE - 1);
	CHECK_EQ(barbuf_dma_unmap(c, q->iova, size), 0);
	CHECK_EQ(barbuf_dma_map(c, q->iova, q->table, used, BARBUF_DMA_READ), 0);
	CHECK_EQ(barbuf_dma_map(c, q->iova + used, q->table + used, size - used,
				BARBUF_DMA_READ | BARBUF_DMA_WRITE),
		 0);
	blk_start(b);
	blk_read_check(b, 0, 0, 2);

	/* Not even the device can write there. */
	desc = (void *)q->table;
	desc[1].addr = q->iova;
	before = desc[0];
	blk_do(b, 0, 0, VIRTIO_BLK_T_IN, 3);
	CHECK(!memcmp(&before, &desc[0], sizeof(before)));

	CHECK_EQ(virtio_blk_reset(b->v), 0);
	CHECK_EQ(barbuf_dma_unmap(c, q->iova, used), 0);
	CHECK_EQ(barbuf_dma_unmap(c, q->iova + used, size - used), 0);
	CHECK_EQ(barbuf_dma_map(c, q->iova, q->table, size, BARBUF_DMA_READ), 0);
	blk_close(b);
}

static void interrupts(void)
{
	struct blk *b = blk_open("blk");
	uint32_t q, r;

	windows(b, 4096, 8);
	for (q = 0; q < 4; q++) {
		for (r = 0; r < 4; r++)
			signals(b->q[r].eventfd);
		blk_do(b, q, 0, VIRTIO_BLK_T_IN, q);
		CHECK(try_signal(b->q[q].eventfd, 5000));
		for (r = 0; r < 4; r++)
			CHECK_EQ(signals(b->q[r].eventfd), 0);
	}
	/* Nobody is told, and then another is. */
	CHECK_EQ(virtio_blk_irq(b->v, VIRTIO_BLK_VECTOR_QUEUE(1), -1), 0);
	blk_do(b, 1, 0, VIRTIO_BLK_T_IN, 1);
	CHECK(!try_signal(b->q[1].eventfd, 200));
	CHECK_EQ(virtio_blk_irq(b->v, VIRTIO_BLK_VECTOR_QUEUE(1), b->q[2].eventfd), 0);
	blk_do(b, 1, 0, VIRTIO_BLK_T_IN, 1);
	CHECK(try_signal(b->q[2].eventfd, 5000));
	CHECK_EQ(signals(b->q[1].eventfd), 0);

	CHECK_EQ(virtio_blk_irq(b->v, 5, b->q[0].eventfd), -EINVAL);
	CHECK_EQ(virtio_blk_irq(b->v, UINT16_MAX, b->q[0].eventfd), -EINVAL);
	CHECK_EQ(virtio_blk_irq(b->v, 0, 999), -EBADF);
	blk_close(b);
}

/* A request in each of two queues that the device is not told of. It may come upon the first ones
 * by itself, if it settles late, but not again and again. */
static void submit_unheard(struct blk *b, uint32_t one, uint32_t other)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		let_settle();
		blk_submit(b, one, 0, VIRTIO_BLK_T_IN, 1);
		blk_submit(b, other, 0, VIRTIO_BLK_T_IN, 1);
		if (!try_blk_wait(b, one, 200) && !try_blk_wait(b, other, 0))
			return;
		blk_ring(b, one);
		blk_ring(b, other);
		blk_wait(b, one);
		blk_wait(b, other);
	}
	FAIL("%u times requests were taken up without a doorbell", i);
}

/* The device goes by the doorbell's address: what is written there does not matter. */
static void doorbell_by_address(void)
{
	struct blk *b = blk_open("blk");

	windows(b, 4096, 8);
	submit_unheard(b, 0, 1);
	CHECK_EQ(barbuf_map_doorbell16(b->q[0].bell, b->q[0].bell_at, b->q[1].bell_value), 0);
	blk_wait(b, 0);
	CHECK(!try_blk_wait(b, 1, 200));
	blk_ring(b, 1);
	blk_wait(b, 1);
	CHECK_EQ(virtio_blk_health(b->v), 0);
	blk_close(b);
}

/* Resets ---------------------------------------------------------------------*/

static void queue_reset(void)
{
	struct blk *b = blk_open("blk");
	struct virtio_blk_queue rings;
	unsigned int i;

	windows(b, 4096, 64);
	for (i = 0; i < 8; i++) {
		uint32_t q = i % 4, other = (q + 1) % 4;

		blk_read_check(b, q, 0, 1);
		load(b, other);
		CHECK_EQ(virtio_blk_queue_reset(b->v, q), 0);
		/* A queue that was reset serves nobody. */
		load(b, q);
		CHECK(!try_blk_wait(b, q, 100));
		/* The next has another window, and the others have not noticed. */
		blk_window_new(b, q, i & 1 ? BLK_READ_ONLY : 0, 4096, 32, 0);
		rings = blk_rings(b, q);
		CHECK_EQ(virtio_blk_queue_enable(b->v, q, &rings), 0);
		signals(b->q[q].eventfd);
		blk_read_check(b, q, 500, 2);
		CHECK(try_signal(b->q[q].eventfd, 5000));
		blk_wait(b, other);
		CHECK_EQ(virtio_blk_health(b->v), 0);
	}
	blk_close(b);
}

static void queue_input(void)
{
	struct blk *b = blk_open("blk");
	struct virtio_blk_queue rings, bad;

	windows(b, 4096, 8);
	rings = blk_rings(b, 1);
	CHECK_EQ(virtio_blk_queue_reset(b->v, 4), -EINVAL);
	CHECK_EQ(virtio_blk_queue_enable(b->v, 4, &rings), -EINVAL);
	CHECK_EQ(virtio_blk_queue_reset(b->v, 1), 0);
	bad = rings;
	bad.size = 0;
	CHECK_EQ(virtio_blk_queue_enable(b->v, 1, &bad), -EINVAL);
	bad.size = 1024;
	CHECK_EQ(virtio_blk_queue_enable(b->v, 1, &bad), -EINVAL);
	bad = rings;
	bad.vector = 5; /* of 0 to 4 */
	CHECK_EQ(virtio_blk_queue_enable(b->v, 1, &bad), -EIO);
	blk_rewind(&b->q[1]);
	CHECK_EQ(virtio_blk_queue_enable(b->v, 1, &rings), 0);
	blk_read_check(b, 1, 0, 1);
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
}

static void no_queue_reset(void)
{
	struct blk *b = blk_open("blk-plain");

	CHECK(!b->facts->ring_reset);
	windows(b, 4096, 8);
	CHECK_EQ(virtio_blk_queue_reset(b->v, 0), -EOPNOTSUPP);
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
}

/* Nothing is in flight behind a reset, whatever was: no byte comes later. */
static void restart_under_load(const char *model)
{
	struct blk *b = blk_open(model);
	unsigned int i;
	uint32_t q, slot;

	windows(b, 65536, 64);
	for (i = 0; i < 4; i++) {
		for (q = 0; q < 4; q++)
			load(b, q);
		CHECK_EQ(virtio_blk_reset(b->v), 0);
		for (q = 0; q < 4; q++)
			for (slot = 0; slot < 64; slot++)
				memset(blk_data(&b->q[q], slot), 0xee, 65536);
		sleep_ms(100);
		for (q = 0; q < 4; q++)
			for (slot = 0; slot < 64; slot++)
				CHECK_EQ(blk_data(&b->q[q], slot)[65535], (char)0xee);
		blk_start(b);
		for (q = 0; q < 4; q++)
			blk_read_check(b, q, 0, 1);
	}
	blk_close(b);
}

static void restart(void)
{
	restart_under_load("blk");
}

static void restart_plain(void)
{
	restart_under_load("blk-plain");
}

/* A start that cannot be: a vector that the device has not. The next one works. */
static void start_refused(void)
{
	struct blk *b = blk_open("blk");
	struct virtio_blk_queue rings[4];
	uint32_t q;

	windows(b, 4096, 8);
	for (q = 0; q < 4; q++)
		rings[q] = blk_rings(b, q);
	rings[3].vector = 5;
	CHECK_EQ(virtio_blk_start(b->v, rings), -EIO);
	CHECK_EQ(virtio_blk_health(b->v), -EIO);
	blk_start(b);
	blk_read_check(b, 3, 0, 1);
	blk_close(b);
}

/* Of the bus, which takes the whole function back to where it was at power-on. */
static void pci_reset(void)
{
	struct blk *b = blk_open("blk");
	unsigned int i;
	uint32_t q;

	windows(b, 4096, 64);
	for (i = 0; i < 3; i++) {
		if (i)
			load(b, 0);
		CHECK_EQ(barbuf_device_hot_reset(b->dev->lib), 0);
		CHECK_EQ(virtio_blk_health(b->v), -EIO);
		/* Nothing more is needed, for interrupts neither. */
		blk_start(b);
		CHECK_EQ(virtio_blk_health(b->v), 0);
		for (q = 0; q < 4; q++) {
			signals(b->q[q].eventfd);
			blk_read_check(b, q, 0, 1);
			CHECK(try_signal(b->q[q].eventfd, 5000));
		}
	}
	blk_close(b);
}

/* Bus mastering is off after some resets: virtio_blk_start() sees to it. */
static void bus_master(void)
{
	struct blk *b = blk_open("blk");
	uint16_t command = config_read16(b->dev, PCI_COMMAND);

	CHECK(command & PCI_COMMAND_MASTER);
	windows(b, 4096, 8);
	config_write16(b->dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
	blk_submit(b, 0, 0, VIRTIO_BLK_T_IN, 0);
	blk_ring(b, 0);
	CHECK(!try_blk_wait(b, 0, 200));
	blk_start(b);
	CHECK_EQ(config_read16(b->dev, PCI_COMMAND), command);
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
}

/* Registers that do not answer for a while are not a device that has left. */
static void suspended(void)
{
	struct blk *b = blk_open("blk");
	uint64_t sectors = b->facts->sectors;

	windows(b, 4096, 8);
	memory_decode(b->dev, false);
	CHECK_EQ(virtio_blk_health(b->v), -EAGAIN);
	CHECK_EQ(virtio_blk_reset(b->v), -EAGAIN);
	CHECK_EQ(virtio_blk_queue_reset(b->v, 0), -EAGAIN);
	CHECK_EQ(virtio_blk_refresh(b->v), -EAGAIN);
	CHECK_EQ(b->facts->sectors, sectors);
	memory_decode(b->dev, true);
	CHECK_EQ(virtio_blk_health(b->v), 0);
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
}

static void closed_under_load(void)
{
	struct blk *b = blk_open("blk");
	struct barbuf_device *dev = b->dev->lib;
	uint16_t used;
	char why[256];

	windows(b, 65536, 64);
	load(b, 0);
	virtio_blk_close(b->v);
	used = blk_used(&b->q[0]);
	memset(blk_data(&b->q[0], 0), 0xee, 64 * 65536);
	sleep_ms(200);
	CHECK_EQ(blk_used(&b->q[0]), used);
	CHECK_EQ(blk_data(&b->q[0], 63)[0], (char)0xee);
	CHECK_EQ(virtio_blk_open(&b->v, dev, why, sizeof(why)), 0);
	blk_start(b);
	blk_read_check(b, 0, 0, 1);
	blk_close(b);
	virtio_blk_close(NULL);
}

/* What breaks it --------------------------------------------------------------*/

static void bad_head(struct blk_queue *q)
{
	struct vring_avail *avail = (void *)q->arena;

	avail->ring[avail->idx % q->w.queue_size] = q->w.queue_size;
	avail->idx++;
}

static void inner_head(struct blk_queue *q)
{
	struct vring_avail *avail = (void *)q->arena;

	avail->ring[avail->idx % q->w.queue_size] = blk_window_head(&q->w, 0, false) + 1;
	avail->idx++;
}

static void index_ahead(struct blk_queue *q)
{
	((struct vring_avail *)(void *)q->arena)->idx += q->w.queue_size + 1;
}

static void index_behind(struct blk_queue *q)
{
	((struct vring_avail *)(void *)q->arena)->idx--;
}

static void gives_up(void)
{
	void (*const nonsense[])(struct blk_queue *) = { bad_head, inner_head, index_ahead,
							 index_behind };
	struct blk *b = blk_open("blk");
	int fd = OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	struct virtio_blk_queue rings;
	unsigned int i;

	CHECK_EQ(virtio_blk_irq(b->v, VIRTIO_BLK_VECTOR_CONFIG, fd), 0);
	windows(b, 4096, 64);
	for (i = 0; i < ARRAY_SIZE(nonsense); i++) {
		blk_read_check(b, 0, 0, 1);
		CHECK_EQ(virtio_blk_health(b->v), 0);
		CHECK_EQ(signals(fd), 0);
		nonsense[i](&b->q[0]);
		blk_ring(b, 0);
		CHECK_MSG(try_signal(fd, 5000), "no interrupt for nonsense %u", i);
		CHECK_EQ(virtio_blk_health(b->v), -EIO);
		/* Nobody is served, and to reset the one queue is not enough. */
		blk_submit(b, 1, 0, VIRTIO_BLK_T_IN, 0);
		blk_ring(b, 1);
		CHECK(!try_blk_wait(b, 1, 100));
		CHECK_EQ(virtio_blk_queue_reset(b->v, 0), 0);
		blk_rewind(&b->q[0]);
		rings = blk_rings(b, 0);
		CHECK_EQ(virtio_blk_queue_enable(b->v, 0, &rings), 0);
		CHECK_EQ(virtio_blk_health(b->v), -EIO);
		blk_start(b);
		blk_read_check(b, 1, 0, 1);
	}
	blk_close(b);
}

/* From its end at the time of the call. */
static int open_kmsg(void)
{
	int fd = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));

	OK(lseek(fd, 0, SEEK_END));
	return fd;
}

static bool try_kmsg(int fd, const char *a, const char *b, unsigned int msec)
{
	uint64_t end = now_ns() + msec * 1000000ull;
	char line[1024];
	ssize_t n;

	for (;;) {
		n = read(fd, line, sizeof(line) - 1);
		if (n > 0) {
			line[n] = '\0';
			if (strstr(line, a) && strstr(line, b))
				return true;
		} else if (n < 0 && errno == EAGAIN) {
			if (now_ns() > end)
				return false;
			sleep_ms(5);
		}
	}
}

/*
 * A hole in a window: the device may go on as if nothing were, the IOMMU does not. The
 * kernel prints three faults in five seconds and no more.
 */
static void hole(void)
{
	struct blk *b = blk_open("blk");
	struct vring_desc *desc;
	char device[64], address[64];
	int fd;

	windows(b, 4096, 8);
	let_settle();
	desc = (void *)b->q[0].table;
	desc[1].addr = b->q[0].iova + MIB(8);
	snprintf(device, sizeof(device), "DMAR: [DMA Write NO_PASID] Request device [%s]",
		 b->dev->address);
	snprintf(address, sizeof(address), "fault addr 0x%llx [", (unsigned long long)desc[1].addr);
	sleep_ms(5500);
	fd = open_kmsg();
	memset(blk_data(&b->q[0], 0), 0xee, 4096);
	blk_do(b, 0, 0, VIRTIO_BLK_T_IN, 3);
	CHECK_MSG(try_kmsg(fd, device, address, 5000), "nothing like '%s fault addr ...'", device);
	CHECK_EQ(blk_data(&b->q[0], 0)[0], (char)0xee);
	CHECK_EQ(virtio_blk_health(b->v), 0);
	blk_read_check(b, 1, 0, 1);
	blk_close(b);
}

static const struct test_case cases[] = {
	CASE(facts),
	CASE(doorbells),
	CASE(capacity_changes),
	CASE(doorbells_shared),
	CASE(around_the_iommu),
	CASE(too_few_vectors),
	CASE(legacy),
	CASE(no_virtio),
	CASE(no_disk),
	CASE(reads_512),
	CASE(reads_4096),
	CASE(reads_65536),
	CASE(reads_plain),
	CASE(rings_wrap),
	CASE(writes),
	CASE(read_only_window),
	CASE(fixed_window),
	CASE(table_read_only),
	CASE(interrupts),
	CASE(doorbell_by_address),
	CASE(queue_reset),
	CASE(queue_input),
	CASE(no_queue_reset),
	CASE(restart),
	CASE(restart_plain),
	CASE(start_refused),
	CASE(pci_reset),
	CASE(bus_master),
	CASE(suspended),
	CASE(closed_under_load),
	CASE(gives_up),
	CASE(hole),
};

TEST_MAIN(cases)
