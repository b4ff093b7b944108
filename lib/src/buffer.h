/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_BUFFER_H
#define BARBUF_BUFFER_H

#include <barbuf.h>

struct barbuf_buffer {
	int fd;
	uint64_t size;
	bool read_only;
	enum barbuf_memattr memattr;
	uint64_t tag;
	uint64_t phase; /* physical address of offset 0 modulo 1 GiB; a multiple of the page size */
	unsigned int
		shift; /* log2 of the largest page worth aligning for: 30, 21, or 0 (not known, no use) */
	char name[BARBUF_NAME_MAX + 1];
	struct barbuf_range *ranges; /* exporter's; NULL in a client */
	size_t nr_ranges;
	struct barbuf_device
		*dev; /* exporter's; NULL in a client and after the device was closed */
	struct barbuf_buffer *next; /* in the device's list */
};

/* A buffer around @fd with what the kernel says of it. @fd is the buffer's on success. */
int barbuf__buffer_wrap(struct barbuf_buffer **out, int fd);

struct barbuf__exported;

void barbuf__exported_init(struct barbuf__exported *exported);
/* The device is about to be closed: its buffers end, and forget it. */
void barbuf__exported_end(struct barbuf_device *dev);

/* What the kernel says of a DMABUF. */
struct barbuf__dmabuf {
	uint64_t size;
	bool read_only;
	char name[BARBUF_NAME_MAX + 1];
};

/*
 * These two are in a file of their own, because the unit tests put another in its
 * place: they have no DMABUFs. -EBADF: no fd; -EINVAL: no DMABUF.
 */
int barbuf__dmabuf_describe(int fd, struct barbuf__dmabuf *d);
/* What barbuf_buffer_check() returns, of any fd of a DMABUF. */
int barbuf__dmabuf_check(int fd);

#endif
