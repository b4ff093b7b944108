/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers as the kernel lists them, for each open device in
 * /sys/kernel/debug/vfio_pci_dmabuf/ADDRESS.
 */
#ifndef TOOL_BUFFERS_H
#define TOOL_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pci.h"

/* Somebody who maps a buffer for DMA by a device. */
struct buffer_importer {
	char name[64]; /* vfio_iommu_type1, iommu, or the device of another driver */
	pid_t pid; /* attached */
	char comm[64]; /* then */
	uint64_t iova, length, offset; /* length 0: it has not said where */
};

struct buffer_info {
	char device[PCI_ADDRESS_MAX];
	uint64_t inode; /* the key: see docs/observability.md */
	bool exported; /* false: under an mmap of the device fd */
	unsigned int bar;
	char state[16]; /* live, quiescing, suspended, revoked */
	char memattr[8];
	uint64_t size;
	unsigned int vmas, importers, dma_maps;
	pid_t pid; /* made it */
	char comm[64];
	struct buffer_importer *attached; /* the last one first */
	size_t nr_attached; /* may be fewer than .importers */
	char *ranges;
};

/* How a command says what it cannot tell. */
enum buffers_known {
	BUFFERS_KNOWN,
	BUFFERS_NO_DEBUGFS, /* it is not mounted */
	BUFFERS_DENIED, /* root may */
	BUFFERS_NOT_OURS, /* this kernel's vfio-pci has no such folder */
};

/* Of all open devices, ordered by device, then inode. buffers_free() it. */
enum buffers_known buffers_read(const char *root, struct buffer_info **buffers, size_t *nr);
void buffers_free(struct buffer_info *buffers, size_t nr);
/* What to say instead of buffers. NULL for BUFFERS_KNOWN. */
const char *buffers_why_not(enum buffers_known known);

const struct buffer_info *buffers_find(const struct buffer_info *buffers, size_t nr, uint64_t inode);

/* The lines of one such file, added to *buffers. -EPROTO: it looks otherwise. */
int buffers_parse(const char *device, char *text, struct buffer_info **buffers, size_t *nr);

#endif
