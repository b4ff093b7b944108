// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <grp.h>
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

struct client {
	int dmabuf_fd, fence_fd;
};

/* In a child, with the rights that a client has. */
static int put_on_buffer(void *data)
{
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_RW };
	struct client *client = data;
	unsigned int fd;

	for (fd = 3; fd < 1024; fd++) {
		if ((int)fd != client->dmabuf_fd && (int)fd != client->fence_fd)
			close(fd);
	}
	OK(setgroups(0, NULL));
	OK(setresgid(65534, 65534, 65534));
	OK(setresuid(65534, 65534, 65534));
	arg.fd = client->fence_fd;
	OK(ioctl(client->dmabuf_fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg));
	return 0;
}

void fence_by_client(struct fence *fence, int dmabuf_fd, unsigned int seconds)
{
	struct client client = { .dmabuf_fd = dmabuf_fd };

	fence_make(fence, seconds);
	client.fence_fd = fence->fd;
	join(spawn(put_on_buffer, &client));
}

void fence_signal(struct fence *fence)
{
	OK(ioctl(fence->node, FENCE_SIGNAL));
}

bool fence_is_signalled(const struct fence *fence)
{
	return OK(ioctl(fence->node, FENCE_IS_SIGNALLED));
}
