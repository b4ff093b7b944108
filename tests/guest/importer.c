// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "importer.h"

#define NODE "/dev/dmabuf_importer"

static int open_node(void)
{
	int fd;

	if (access(NODE, F_OK) && system("modprobe dmabuf_importer"))
		FAIL("this guest has no module dmabuf_importer");
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		FAIL(NODE ": %s", strerror_name(errno));
	return fd;
}

int try_importer_open(const struct dev *dev, int dmabuf_fd)
{
	struct importer_attach attach = { .dmabuf_fd = dmabuf_fd };
	int fd = open_node(), err;

	snprintf(attach.device, sizeof(attach.device), "%s", dev->address);
	if (ioctl(fd, IMPORTER_ATTACH, &attach) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int importer_open(const struct dev *dev, int dmabuf_fd)
{
	return OK(try_importer_open(dev, dmabuf_fd));
}

int importer_open_stubborn(const struct dev *dev, int dmabuf_fd)
{
	int importer = importer_open(dev, dmabuf_fd);

	/* A case that hangs has been looked at by then. */
	OK(ioctl(importer, IMPORTER_STUBBORN, slow_kernel() ? 102 : 22));
	importer_map(importer);
	return importer;
}

int try_importer_map(int importer)
{
	return try_importer_map_for(importer, IMPORTER_BOTH_WAYS);
}

int try_importer_map_for(int importer, enum importer_direction direction)
{
	return ioctl(importer, IMPORTER_MAP, direction);
}

void importer_map(int importer)
{
	OK(try_importer_map(importer));
}

void importer_unmap(int importer)
{
	OK(ioctl(importer, IMPORTER_UNMAP));
}

void importer_add_fence(int importer, int fence_fd, enum importer_fence_usage usage)
{
	struct importer_fence fence = { .fence_fd = fence_fd, .usage = usage };

	OK(ioctl(importer, IMPORTER_FENCE, &fence));
}

bool importer_is_mapped(int importer)
{
	return OK(ioctl(importer, IMPORTER_IS_MAPPED));
}

unsigned int importer_asked(int importer)
{
	return OK(ioctl(importer, IMPORTER_ASKED));
}

void rcu_barrier(void)
{
	int fd = open_node();

	OK(ioctl(fd, IMPORTER_RCU_BARRIER));
	close(fd);
}

void lend(struct lent *lent, const char *model, unsigned int bar, size_t size, int *importer)
{
	int pair[2], said[2], pidfd, group;

	if (!dev_bind(model, lent->address, &group))
		SKIP("this lab has no %s", model);
	OK(pipe(pair));
	lent->owner = fork();
	CHECK(lent->owner >= 0);
	if (lent->owner == 0) {
		struct dev *dev = dev_open(model);

		said[0] = export_range(dev, bar, 0, size);
		said[1] = importer ? importer_open_stubborn(dev, said[0]) : -1;
		CHECK_ALIVE(map_buffer(said[0], 0, size));
		CHECK_ALIVE(map_bar(dev, bar, 0, size));
		OK(write(pair[1], said, sizeof(said)));
		for (;;)
			pause();
	}
	close(pair[1]);
	CHECK_EQ(read(pair[0], said, sizeof(said)), sizeof(said));
	close(pair[0]);
	pidfd = OK(syscall(SYS_pidfd_open, lent->owner, 0));
	lent->fd = OK(syscall(SYS_pidfd_getfd, pidfd, said[0], 0));
	if (importer)
		*importer = OK(syscall(SYS_pidfd_getfd, pidfd, said[1], 0));
	close(pidfd);
}

void lent_kill_owner(struct lent *lent)
{
	int status;

	kill(lent->owner, SIGKILL);
	status = wait_end(lent->owner, "the owner");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
