/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/dmabuf_importer does: each open file of it imports one DMABUF at most,
 * as a driver would that is to do DMA there. It lets go when it is told to, when
 * its file is closed, and, unless it is stubborn, when the exporter asks.
 */
#ifndef DMABUF_IMPORTER_H
#define DMABUF_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct importer_attach - what to import, and for whom
 * @dmabuf_fd: the DMABUF
 * @reserved: 0
 * @device: PCI function that would do the DMA, as DOMAIN:BUS:DEVICE.FUNCTION. It
 *	must reach the exporter's BAR; the exporter itself always does.
 */
struct importer_attach {
	__s32 dmabuf_fd;
	__u32 reserved;
	char device[24];
};

/* What IMPORTER_MAP maps for. */
enum importer_direction {
	IMPORTER_BOTH_WAYS,
	IMPORTER_TO_DEVICE, /* the device reads the buffer */
	IMPORTER_FROM_DEVICE, /* it writes it */
};

/* What a fence of IMPORTER_FENCE stands for. */
enum importer_fence_usage {
	IMPORTER_FENCE_WRITE,
	IMPORTER_FENCE_READ,
	IMPORTER_FENCE_BOOKKEEP,
};

/**
 * struct importer_fence - work that an importer has queued
 * @fence_fd: a sync_file
 * @usage: enum importer_fence_usage
 */
struct importer_fence {
	__s32 fence_fd;
	__u32 usage;
};

/* EBUSY: this file has one. Other errors are those of the DMABUF. */
#define IMPORTER_ATTACH		_IOW('b', 1, struct importer_attach)
/*
 * Maps for DMA in the direction that the argument, enum importer_direction, says. EINVAL:
 * nothing attached, or no direction. Mapped already, in whatever direction: 0.
 */
#define IMPORTER_MAP		_IO('b', 2)
/* Lets go of the mapping. Not mapped: 0. */
#define IMPORTER_UNMAP		_IO('b', 3)
/*
 * From now on lets go only when told or closed, or when as many seconds are over as
 * the argument says, so that a test that goes wrong is a failure and not a hang. With 0
 * there is no such end: whoever then waits for the importer waits for its test.
 */
#define IMPORTER_STUBBORN	_IO('b', 4)
/* Returns how often the exporter has asked so far. */
#define IMPORTER_ASKED		_IO('b', 5)
/* Returns 1 while mapped. */
#define IMPORTER_IS_MAPPED	_IO('b', 6)
/* Returns when all that waits for RCU to be freed has been. Nothing need be attached. */
#define IMPORTER_RCU_BARRIER	_IO('b', 7)
/* Adds a fence to those of the DMABUF, as an importer does with the work it queues. */
#define IMPORTER_FENCE		_IOW('b', 8, struct importer_fence)

#endif
