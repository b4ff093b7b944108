/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk function through libbarbuf: virtio 1.2 over PCI, modern interface only.
 * The primary's alone; one thread.
 *
 * Errors are negative errno. *why, where there is one, is a sentence that names the value
 * and the limit, cut to its size.
 */
#ifndef BLKD_VIRTIO_H
#define BLKD_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

struct virtio_blk;

struct virtio_blk_facts {
	uint64_t sectors; /* of 512 bytes (5.2.4) */
	uint32_t nr_queues;
	uint32_t queue_size; /* the most that every queue takes, a power of two */
	uint32_t block_size; /* the disk's own (VIRTIO_BLK_F_BLK_SIZE), or 512 */
	uint32_t size_max; /* most bytes of one descriptor (VIRTIO_BLK_F_SIZE_MAX), or UINT32_MAX */
	bool read_only; /* VIRTIO_BLK_F_RO */
	bool flush; /* VIRTIO_BLK_F_FLUSH */
	bool ring_reset; /* VIRTIO_F_RING_RESET was negotiated */
};

/* Addresses of one queue's rings, as the device sees them, and its MSI-X vector. */
struct virtio_blk_queue {
	uint32_t size; /* 0: virtio_blk_start() leaves the queue disabled */
	uint64_t desc, avail, used;
	uint16_t vector;
};

/* Interrupt vectors: of a configuration change, and of queue q. */
#define VIRTIO_BLK_VECTOR_CONFIG 0
#define VIRTIO_BLK_VECTOR_QUEUE(q) ((uint16_t)(1 + (q)))

/**
 * virtio_blk_open() - find the device's structures, reset it and agree on features
 * @dev: must outlive it
 *
 * Needs VIRTIO_F_VERSION_1 and VIRTIO_F_ACCESS_PLATFORM; takes VIRTIO_F_RING_RESET,
 * VIRTIO_F_ORDER_PLATFORM, VIRTIO_BLK_F_MQ, _RO, _FLUSH, _BLK_SIZE, _SIZE_MAX; never
 * INDIRECT_DESC, EVENT_IDX or a packed ring.
 * Enables bus mastering and MSI-X (no eventfd wired yet).
 *
 * Errors: -ENODEV: no modern virtio-blk; -EOPNOTSUPP: lacks a feature, MSI-X vectors, or
 * has not one page a doorbell; -EIO, -ETIMEDOUT: it does not do what virtio says; the
 * library's. *why is set with each.
 */
int virtio_blk_open(struct virtio_blk **out, struct barbuf_device *dev, char *why, size_t size);
/* Resets the device. NULL is fine. */
void virtio_blk_close(struct virtio_blk *v);
const struct virtio_blk_facts *virtio_blk_facts(const struct virtio_blk *v);

/* Where queue @q's doorbell is: BAR, the one page it has for itself, the offset of the 16-bit
 * word in that page, and the value that rings (4.1.4.4, 4.1.5.2). -EINVAL: no such queue. */
int virtio_blk_doorbell(const struct virtio_blk *v, uint32_t q, uint32_t *bar,
			struct barbuf_range *page, uint32_t *offset, uint16_t *value);

/* Reset by device_status (4.1.4.3.2: 0 is read back when it is done): nothing is in flight after
 * it. -ETIMEDOUT: not within a second; -ENODEV: it has left. */
int virtio_blk_reset(struct virtio_blk *v);
/* Take bus mastering from the function, until virtio_blk_start(): for one that cannot be reset. */
int virtio_blk_stop_dma(struct virtio_blk *v);
/* As virtio_blk_reset(), then the features again and all queues as in @queues, facts.nr_queues of
 * them, then DRIVER_OK. Also after a PCI reset, which may take bus mastering: it is set up again.
 * -EIO: the device refused a step; it is left reset. */
int virtio_blk_start(struct virtio_blk *v, const struct virtio_blk_queue *queues);
/* Reset one queue (2.6.1): nothing of it is in flight afterwards, in a device that is as virtio
 * has it. -EOPNOTSUPP: not negotiated; -EINVAL: no such queue; -ETIMEDOUT. */
int virtio_blk_queue_reset(struct virtio_blk *v, uint32_t q);
/* Enable it again (2.6.1.2), with other rings. -EIO: the device refused. */
int virtio_blk_queue_enable(struct virtio_blk *v, uint32_t q, const struct virtio_blk_queue *queue);
/* Does the device, once started, still work? -EIO: it has given up (2.1.1, DEVICE_NEEDS_RESET), or
 * someone else reset it; -EAGAIN: it is out of reach, its BARs are off or it sleeps; -ENODEV: it
 * has left. */
int virtio_blk_health(struct virtio_blk *v);
/* Capacity may change: reads it again (config generation, 2.5.1). */
int virtio_blk_refresh(struct virtio_blk *v);

/* Signal @eventfd on this vector; -1: nobody. The kernel takes a reference. -EINVAL: no such
 * vector. */
int virtio_blk_irq(struct virtio_blk *v, uint16_t vector, int eventfd);

#endif
