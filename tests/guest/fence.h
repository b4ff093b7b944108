/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fences that signal when a case likes: tests/modules/fence_make.c. Any client may put one
 * on a buffer that it was lent. These end the case when they cannot do what they are
 * asked for.
 */
#ifndef BARBUF_TESTS_FENCE_H
#define BARBUF_TESTS_FENCE_H

#include "harness.h"

struct fence {
	int node;
	int fd; /* the sync_file */
};

/* Signals when it is told to, when seconds are over, or, with 0, after any case's end. */
void fence_make(struct fence *fence, unsigned int seconds);
/*
 * The same, and a process that has no rights, and no descriptor but that of the buffer, puts
 * it there by DMA_BUF_IOCTL_IMPORT_SYNC_FILE.
 */
void fence_by_client(struct fence *fence, int dmabuf_fd, unsigned int seconds);
void fence_signal(struct fence *fence);
bool fence_is_signalled(const struct fence *fence);

#endif
