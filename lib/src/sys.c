// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"

static int linux_open(void *ctx, const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? -errno : fd;
}

static int linux_close(void *ctx, int fd)
{
	return close(fd) ? -errno : 0;
}

static ssize_t linux_readlink(void *ctx, const char *path, char *buf, size_t size)
{
	ssize_t n = readlink(path, buf, size);

	return n < 0 ? -errno : n;
}

static int linux_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static ssize_t linux_pread(void *ctx, int fd, void *buf, size_t len, off_t offset)
{
	ssize_t n = pread(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

static ssize_t linux_pwrite(void *ctx, int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t n = pwrite(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

static int linux_mmap(void *ctx, void **addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(*addr, len, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	*addr = p;
	return 0;
}

static int linux_munmap(void *ctx, void *addr, size_t len)
{
	return munmap(addr, len) ? -errno : 0;
}

static int linux_scandir(void *ctx, const char *path, struct dirent ***list)
{
	int n = scandir(path, list, NULL, NULL);

	return n < 0 ? -errno : n;
}

static int linux_stat(void *ctx, const char *path, struct stat *st)
{
	return stat(path, st) ? -errno : 0;
}

static int linux_getrlimit(void *ctx, int resource, struct rlimit *limit)
{
	return getrlimit(resource, limit) ? -errno : 0;
}

const struct barbuf_sys barbuf__sys_linux = {
	.open = linux_open,
	.close = linux_close,
	.readlink = linux_readlink,
	.ioctl = linux_ioctl,
	.pread = linux_pread,
	.pwrite = linux_pwrite,
	.mmap = linux_mmap,
	.munmap = linux_munmap,
	.scandir = linux_scandir,
	.stat = linux_stat,
	.getrlimit = linux_getrlimit,
};
