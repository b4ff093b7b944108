// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../modules/fence_make.h"
#include "fence.h"

#define NODE "/dev/fence_make"

void fence_make(struct fence *fence, unsigned int seconds)
{
	if (access(NODE, F_OK) && system("modprobe fence_make"))
		FAIL("this guest has no module fence_make");
	fence->node = OK(open(NODE, O_RDWR | O_CLOEXEC));
	/* A case that hangs has been looked at by then. */
	if (!seconds)
		seconds = slow_kernel() ? 105 : 25;
	fence->fd = OK(ioctl(fence->node, FENCE_MAKE, seconds));
	CHECK(!fence_is_signalled(fence));
}

void fence_buffer(struct fence *fence, int dmabuf_fd, unsigned int seconds)
{
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_RW };

	fence_make(fence, seconds);
	arg.fd = fence->fd;
	OK(ioctl(dmabuf_fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg));
}

void fence_signal(struct fence *fence)
{
	OK(ioctl(fence->node, FENCE_SIGNAL));
}

bool fence_is_signalled(const struct fence *fence)
{
	return OK(ioctl(fence->node, FENCE_IS_SIGNALLED));
}
