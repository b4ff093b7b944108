// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "buffer.h"
#include "device.h"

#define LINK_PREFIX "/dmabuf:"

/* Where /proc is not mounted the name is not known. */
static void read_name(int fd, char name[BARBUF_NAME_MAX + 1])
{
	char link[sizeof(LINK_PREFIX) + BARBUF_NAME_MAX];
	char path[sizeof("/proc/self/fd/") + 12];
	ssize_t len;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return;
	link[len] = '\0';
	if (!strncmp(link, LINK_PREFIX, strlen(LINK_PREFIX)))
		strcpy(name, link + strlen(LINK_PREFIX));
}

int barbuf__dmabuf_describe(int fd, struct barbuf__dmabuf *d)
{
	struct statfs fs;
	off_t size;
	int flags;

	if (fstatfs(fd, &fs))
		return errno == EBADF ? -EBADF : -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	/* O_PATH names the object and cannot be mapped. */
	if (fs.f_type != DMA_BUF_MAGIC || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
		return -EINVAL;
	size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return -EINVAL;
	d->size = size;
	d->read_only = (flags & O_ACCMODE) == O_RDONLY;
	read_name(fd, d->name);
	return 0;
}

int barbuf__dmabuf_check(int fd)
{
	int ret = barbuf__try_mmap(&barbuf__sys_linux, fd, PROT_READ);

	switch (ret) {
	case -ENODEV:
		return -EBADFD;
	case -EINVAL: /* of a DMABUF without an mmap of its own */
		return -EOPNOTSUPP;
	default:
		return ret;
	}
}
