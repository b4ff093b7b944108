/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DMA engine of QEMU's edu device (docs/specs/edu in its source): it copies
 * between memory, through the IOMMU, and 4 KiB of its own.
 */
#ifndef BARBUF_TESTS_EDU_H
#define BARBUF_TESTS_EDU_H

#include <barbuf.h>

/* The engine's addresses have 28 bits. */
#define EDU_IOVA_MAX	((1ull << 28) - 1)
#define EDU_ROOM	2048

struct edu {
	struct barbuf_device *dev;
	volatile char *regs;
};

/* Opens it in this container, bus master on. */
void edu_open(struct edu *edu, struct barbuf_container *c);
void edu_close(struct edu *edu);
/* The same of a device of this model that is open already, and stays open. */
void edu_start(struct edu *edu, struct barbuf_device *dev);
void edu_stop(struct edu *edu);
/* From memory into the device, and the reverse. At most EDU_ROOM bytes. Returns when it is done. */
void edu_fetch(struct edu *edu, uint64_t iova, size_t len);
void edu_store(struct edu *edu, uint64_t iova, size_t len);

#endif
