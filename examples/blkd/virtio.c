// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "virtio.h"
#include "virtio_pci.h"

#define RESET_NS 1000000000ll
#define BIT(n) (1ull << (n))
#define CONFIG(field) offsetof(struct virtio_blk_config, field)

#define BLK_F_ZONED 17 /* virtio 1.3, 5.2.3; not in older headers */

#define NEEDED (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM))
/* ORDER_PLATFORM: barriers are those of the platform anyhow (barbuf_wmb() and the like). */
#define TAKEN                                                                                      \
	(NEEDED | BIT(VIRTIO_F_ORDER_PLATFORM) | BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_BLK_F_MQ) | \
	 BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_BLK_SIZE) |             \
	 BIT(VIRTIO_BLK_F_SIZE_MAX))

struct virtio_blk {
	struct virtio_pci pci;
	struct virtio_blk_facts facts;
	uint64_t features;
	uint16_t *notify_off; /* of each queue */
};

/* Common configuration -------------------------------------------------------*/

static uint8_t get8(struct virtio_blk *v, uint32_t offset)
{
	return virtio_read8(&v->pci, &v->pci.common, offset);
}

static uint16_t get16(struct virtio_blk *v, uint32_t offset)
{
	return virtio_read16(&v->pci, &v->pci.common, offset);
}

static uint32_t get32(struct virtio_blk *v, uint32_t offset)
{
	return virtio_read32(&v->pci, &v->pci.common, offset);
}

static void put8(struct virtio_blk *v, uint32_t offset, uint8_t value)
{
	virtio_write8(&v->pci, &v->pci.common, offset, value);
}

static void put16(struct virtio_blk *v, uint32_t offset, uint16_t value)
{
	virtio_write16(&v->pci, &v->pci.common, offset, value);
}

static void put32(struct virtio_blk *v, uint32_t offset, uint32_t value)
{
	virtio_write32(&v->pci, &v->pci.common, offset, value);
}

static void put64(struct virtio_blk *v, uint32_t offset, uint64_t value)
{
	virtio_write64(&v->pci, &v->pci.common, offset, value);
}

static void select_queue(struct virtio_blk *v, uint32_t q)
{
	put16(v, VIRTIO_PCI_COMMON_Q_SELECT, q);
}

/* What an access that failed means: the device has left, or will be back. */
static int gone(struct virtio_blk *v)
{
	int error = virtio_pci_error(&v->pci);

	if (error)
		return virtio_pci_present(&v->pci) ? -EAGAIN : -ENODEV;
	return 0;
}

/* A step that did not come true: because the device is not there, or did not want. */
static int refused(struct virtio_blk *v)
{
	int ret = gone(v);

	return ret ? ret : -EIO;
}

/* Waits until register @offset, of 8 or 16 bits, is 0. */
static int wait_zero(struct virtio_blk *v, uint32_t offset, bool wide)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	struct timespec start, now;
	uint16_t value;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		/* Looked at after the clock, or a nap that lasts would be a device that is late. */
		clock_gettime(CLOCK_MONOTONIC, &now);
		value = wide ? get16(v, offset) : get8(v, offset);
		if (v->pci.error)
			return gone(v);
		if (!value)
			return 0;
		if ((now.tv_sec - start.tv_sec) * 1000000000ll + now.tv_nsec - start.tv_nsec >
		    RESET_NS)
			return virtio_pci_present(&v->pci) ? -ETIMEDOUT : -ENODEV;
		nanosleep(&nap, NULL);
	}
}

static int reset(struct virtio_blk *v)
{
	put8(v, VIRTIO_PCI_COMMON_STATUS, 0);
	return wait_zero(v, VIRTIO_PCI_COMMON_STATUS, false);
}

static void add_status(struct virtio_blk *v, uint8_t bit)
{
	put8(v, VIRTIO_PCI_COMMON_STATUS, get8(v, VIRTIO_PCI_COMMON_STATUS) | bit);
}

/* Features -------------------------------------------------------------------*/

static uint64_t offered(struct virtio_blk *v)
{
	uint64_t features;

	put32(v, VIRTIO_PCI_COMMON_DFSELECT, 0);
	features = get32(v, VIRTIO_PCI_COMMON_DF);
	put32(v, VIRTIO_PCI_COMMON_DFSELECT, 1);
	return features | (uint64_t)get32(v, VIRTIO_PCI_COMMON_DF) << 32;
}

/* From reset to FEATURES_OK (3.1.1). */
static int negotiate(struct virtio_blk *v)
{
	add_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(v, VIRTIO_CONFIG_S_DRIVER);
	put32(v, VIRTIO_PCI_COMMON_GFSELECT, 0);
	put32(v, VIRTIO_PCI_COMMON_GF, v->features);
	put32(v, VIRTIO_PCI_COMMON_GFSELECT, 1);
	put32(v, VIRTIO_PCI_COMMON_GF, v->features >> 32);
	add_status(v, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(get8(v, VIRTIO_PCI_COMMON_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		return refused(v);
	return gone(v);
}

/* Facts ----------------------------------------------------------------------*/

int virtio_blk_refresh(struct virtio_blk *v)
{
	const struct virtio_part *config = &v->pci.device;
	uint64_t sectors;
	uint8_t before;
	int tries, ret;

	for (tries = 0; tries < 1000; tries++) {
		before = get8(v, VIRTIO_PCI_COMMON_CFGGENERATION);
		sectors = virtio_read32(&v->pci, config, CONFIG(capacity));
		sectors |= (uint64_t)virtio_read32(&v->pci, config, CONFIG(capacity) + 4) << 32;
		if (get8(v, VIRTIO_PCI_COMMON_CFGGENERATION) == before) {
			ret = gone(v);
			if (!ret)
				v->facts.sectors = sectors;
			return ret;
		}
	}
	return refused(v);
}

/* Those that depend on features, and queues. */
static int read_facts(struct virtio_blk *v)
{
	const struct virtio_part *config = &v->pci.device;
	struct virtio_blk_facts *f = &v->facts;
	uint32_t q;
	int ret;

	f->read_only = v->features & BIT(VIRTIO_BLK_F_RO);
	f->flush = v->features & BIT(VIRTIO_BLK_F_FLUSH);
	f->ring_reset = v->features & BIT(VIRTIO_F_RING_RESET);
	f->block_size = 512;
	if (v->features & BIT(VIRTIO_BLK_F_BLK_SIZE))
		f->block_size = virtio_read32(&v->pci, config, CONFIG(blk_size));
	f->size_max = UINT32_MAX;
	if (v->features & BIT(VIRTIO_BLK_F_SIZE_MAX))
		f->size_max = virtio_read32(&v->pci, config, CONFIG(size_max));
	f->nr_queues = 1;
	if (v->features & BIT(VIRTIO_BLK_F_MQ))
		f->nr_queues = virtio_read16(&v->pci, config, CONFIG(num_queues));
	ret = gone(v);
	if (ret)
		return ret;

	v->notify_off = calloc(f->nr_queues, sizeof(*v->notify_off));
	if (!v->notify_off)
		return -ENOMEM;
	f->queue_size = 32768; /* 2.7 */
	for (q = 0; q < f->nr_queues; q++) {
		uint16_t size;

		select_queue(v, q);
		size = get16(v, VIRTIO_PCI_COMMON_Q_SIZE);
		while (f->queue_size > size)
			f->queue_size /= 2;
		v->notify_off[q] = get16(v, VIRTIO_PCI_COMMON_Q_NOFF);
	}
	ret = gone(v);
	return ret ? ret : virtio_blk_refresh(v);
}

/* Doorbells ------------------------------------------------------------------*/

int virtio_blk_doorbell(const struct virtio_blk *v, uint32_t q, uint32_t *bar,
			struct barbuf_range *page, uint32_t *offset, uint16_t *value)
{
	if (q >= v->facts.nr_queues)
		return -EINVAL;
	*bar = v->pci.notify.bar;
	*value = q;
	return virtio_pci_doorbell(&v->pci, v->notify_off[q], page, offset);
}

/* Each in a page with nothing else, or a client that may ring one could do more. */
static int check_doorbells(const struct virtio_blk *v, char *why, size_t size)
{
	struct barbuf_range page, other;
	uint32_t bar, offset, q, r;
	uint16_t value;
	int ret;

	for (q = 0; q < v->facts.nr_queues; q++) {
		ret = virtio_blk_doorbell(v, q, &bar, &page, &offset, &value);
		if (ret)
			return virtio_why(
				why, size, ret,
				"the page of the doorbell of queue %u, 0x%llx of BAR %u, has more than doorbells in it, or does not exist",
				q, (unsigned long long)page.offset, bar);
		for (r = 0; r < q; r++) {
			ret = virtio_blk_doorbell(v, r, &bar, &other, &offset, &value);
			if (!ret && other.offset == page.offset)
				return virtio_why(
					why, size, -EOPNOTSUPP,
					"the doorbells of queues %u and %u are in one page, 0x%llx of BAR %u: a lease would be of both",
					r, q, (unsigned long long)page.offset, bar);
		}
	}
	return 0;
}

/* Open and close -------------------------------------------------------------*/

/* What was found out must be such that it can be lent. */
static int check_facts(const struct virtio_blk *v, char *why, size_t size)
{
	const struct virtio_blk_facts *f = &v->facts;

	if (!f->nr_queues || !f->queue_size)
		return virtio_why(why, size, -EIO, "it has %u queues of %u entries", f->nr_queues,
				  f->queue_size);
	if (v->pci.nr_vectors < f->nr_queues + 1)
		return virtio_why(why, size, -EOPNOTSUPP,
				  "it has %u MSI-X vectors, and %u are needed for %u queues",
				  v->pci.nr_vectors, f->nr_queues + 1, f->nr_queues);
	return check_doorbells(v, why, size);
}

static int settle(struct virtio_blk *v, char *why, size_t size)
{
	const char *step;
	uint64_t has;
	int ret;

	step = "the PCI command register";
	ret = virtio_pci_enable(&v->pci);
	if (ret)
		goto failed;
	step = "reset";
	ret = reset(v);
	if (ret)
		goto failed;
	has = offered(v);
	if (~has & NEEDED)
		return virtio_why(why, size, -EOPNOTSUPP,
				  "it does not offer feature %d (%s), but 0x%llx alone",
				  has & BIT(VIRTIO_F_VERSION_1) ? VIRTIO_F_ACCESS_PLATFORM :
								  VIRTIO_F_VERSION_1,
				  has & BIT(VIRTIO_F_VERSION_1) ?
					  "ACCESS_PLATFORM: the IOMMU would be passed by" :
					  "VERSION_1",
				  (unsigned long long)has);
	/* A request without data erases a zone (virtio 1.3, 5.2.6.2): no table keeps a read-only
	 * holder from that, where the device does not ask what was agreed on. */
	if (has & BIT(BLK_F_ZONED))
		return virtio_why(why, size, -EOPNOTSUPP,
				  "it is zoned (feature %d): a read-only lease could erase zones",
				  BLK_F_ZONED);
	v->features = has & TAKEN;
	/* Structures grow with features (4.1.4.3): without the register there is no reset of a queue. */
	if (v->pci.common.length < VIRTIO_PCI_COMMON_Q_RESET + 2)
		v->features &= ~BIT(VIRTIO_F_RING_RESET);
	step = "the features";
	ret = negotiate(v);
	if (ret)
		goto failed;
	step = "the device configuration";
	ret = read_facts(v);
	if (ret)
		goto failed;
	step = "MSI-X";
	ret = virtio_irq_open(&v->pci);
	if (ret)
		goto failed;
	return check_facts(v, why, size);
failed:
	return virtio_why(why, size, ret, "%s: %s", step, strerror(-ret));
}

int virtio_blk_open(struct virtio_blk **out, struct barbuf_device *dev, char *why, size_t size)
{
	struct virtio_blk *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return virtio_why(why, size, -ENOMEM, "%s", strerror(ENOMEM));
	ret = virtio_pci_open(&v->pci, dev, VIRTIO_ID_BLOCK, why, size);
	if (ret) {
		free(v);
		return ret;
	}
	ret = settle(v, why, size);
	if (ret) {
		virtio_blk_close(v);
		return ret;
	}
	*out = v;
	return 0;
}

void virtio_blk_close(struct virtio_blk *v)
{
	if (!v)
		return;
	reset(v);
	virtio_irq_close(&v->pci);
	virtio_pci_close(&v->pci);
	free(v->notify_off);
	free(v);
}

const struct virtio_blk_facts *virtio_blk_facts(const struct virtio_blk *v)
{
	return &v->facts;
}

/* Running --------------------------------------------------------------------*/

int virtio_blk_reset(struct virtio_blk *v)
{
	return reset(v);
}

int virtio_blk_stop_dma(struct virtio_blk *v)
{
	return virtio_pci_stop_dma(&v->pci);
}

static int enable(struct virtio_blk *v, uint32_t q, const struct virtio_blk_queue *queue)
{
	select_queue(v, q);
	put16(v, VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
	put16(v, VIRTIO_PCI_COMMON_Q_MSIX, queue->vector);
	/* It says NO_VECTOR when it has none to give (4.1.5.1.2.2). */
	if (get16(v, VIRTIO_PCI_COMMON_Q_MSIX) != queue->vector)
		return refused(v);
	put64(v, VIRTIO_PCI_COMMON_Q_DESCLO, queue->desc);
	put64(v, VIRTIO_PCI_COMMON_Q_AVAILLO, queue->avail);
	put64(v, VIRTIO_PCI_COMMON_Q_USEDLO, queue->used);
	put16(v, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	if (get16(v, VIRTIO_PCI_COMMON_Q_ENABLE) != 1)
		return refused(v);
	return gone(v);
}

static int start(struct virtio_blk *v, const struct virtio_blk_queue *queues)
{
	uint32_t q;
	int ret;

	ret = negotiate(v);
	if (ret)
		return ret;
	put16(v, VIRTIO_PCI_COMMON_MSIX, VIRTIO_BLK_VECTOR_CONFIG);
	if (get16(v, VIRTIO_PCI_COMMON_MSIX) != VIRTIO_BLK_VECTOR_CONFIG)
		return refused(v);
	for (q = 0; q < v->facts.nr_queues; q++) {
		if (!queues[q].size)
			continue;
		ret = enable(v, q, &queues[q]);
		if (ret)
			return ret;
	}
	add_status(v, VIRTIO_CONFIG_S_DRIVER_OK);
	return virtio_blk_health(v);
}

int virtio_blk_start(struct virtio_blk *v, const struct virtio_blk_queue *queues)
{
	int ret = virtio_pci_enable(&v->pci);

	if (!ret)
		ret = reset(v);
	if (ret)
		return ret;
	ret = start(v, queues);
	if (ret)
		reset(v);
	return ret;
}

int virtio_blk_queue_reset(struct virtio_blk *v, uint32_t q)
{
	if (!v->facts.ring_reset)
		return -EOPNOTSUPP;
	if (q >= v->facts.nr_queues)
		return -EINVAL;
	select_queue(v, q);
	put16(v, VIRTIO_PCI_COMMON_Q_RESET, 1);
	return wait_zero(v, VIRTIO_PCI_COMMON_Q_RESET, true);
}

int virtio_blk_queue_enable(struct virtio_blk *v, uint32_t q, const struct virtio_blk_queue *queue)
{
	if (q >= v->facts.nr_queues || !queue->size || queue->size > v->facts.queue_size)
		return -EINVAL;
	return enable(v, q, queue);
}

int virtio_blk_health(struct virtio_blk *v)
{
	uint8_t status = get8(v, VIRTIO_PCI_COMMON_STATUS);
	int ret = gone(v);

	if (ret)
		return ret;
	/* Nobody answers: it sleeps, or its BARs are off, by who did not ask the kernel's driver. */
	if (status == 0xff)
		return virtio_pci_present(&v->pci) ? -EAGAIN : -ENODEV;
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET || !(status & VIRTIO_CONFIG_S_DRIVER_OK))
		return -EIO;
	return 0;
}

int virtio_blk_irq(struct virtio_blk *v, uint16_t vector, int eventfd)
{
	return virtio_irq_set(&v->pci, vector, eventfd);
}
