// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Linked into a test it takes the place of lib/src/dmabuf.c: a memfd is a DMABUF,
 * its name after "dmabuf:" the buffer's. One that can't be sealed any more is revoked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"

int barbuf__dmabuf_describe(int fd, struct barbuf__dmabuf *d)
{
	static const char prefix[] = "/memfd:dmabuf:";
	char path[64], link[256];
	ssize_t len;
	int flags;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, link, sizeof(link) - 1);
	link[len < 0 ? 0 : len] = '\0';
	if (strncmp(link, prefix, strlen(prefix)))
		return -EINVAL;
	*strchrnul(link, ' ') = '\0'; /* "(deleted)" */
	d->size = lseek(fd, 0, SEEK_END);
	d->read_only = (flags & O_ACCMODE) == O_RDONLY;
	snprintf(d->name, sizeof(d->name), "%.*s", BARBUF_NAME_MAX, link + strlen(prefix));
	return 0;
}

int barbuf__dmabuf_check(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	/* Long enough for another thread to ask, too. */
	usleep(100);
	return seals > 0 && seals & F_SEAL_SEAL ? -EBADFD : 0;
}
