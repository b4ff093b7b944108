/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/dmabuf_forward does: it exports a DMABUF that has no memory of its own and
 * forwards its mmap to another one by dma_buf_mmap(), as graphics drivers do with what they
 * have imported. The rights of a mapping are those of the descriptor that was mapped.
 */
#ifndef DMABUF_FORWARD_H
#define DMABUF_FORWARD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct dmabuf_forward - what to forward to
 * @dmabuf_fd: the DMABUF that is mapped in truth
 * @open_flags: of the new one: O_RDONLY or O_RDWR, O_CLOEXEC
 */
struct dmabuf_forward {
	__s32 dmabuf_fd;
	__u32 open_flags;
};

/* Returns the descriptor of the new DMABUF. */
#define DMABUF_FORWARD		_IOW('d', 1, struct dmabuf_forward)

#endif
