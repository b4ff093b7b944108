/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that device.c makes, as a table, so that the unit tests can
 * put a kernel of their own under it. Each returns what the system call of its
 * name returns, but -errno instead of -1.
 */
#ifndef BARBUF_SYS_H
#define BARBUF_SYS_H

#include <sys/types.h>

struct barbuf_container;

struct barbuf_sys {
	int (*open)(void *ctx, const char *path, int flags);
	int (*close)(void *ctx, int fd);
	ssize_t (*readlink)(void *ctx, const char *path, char *buf, size_t size);
	int (*ioctl)(void *ctx, int fd, unsigned long request, void *arg);
	ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, off_t offset);
	ssize_t (*pwrite)(void *ctx, int fd, const void *buf, size_t len, off_t offset);
	void *ctx;
};

/* The kernel's own. */
extern const struct barbuf_sys barbuf_sys_linux;

/* barbuf_container_new() on another table, which must outlive the container. */
int barbuf_container_new_sys(struct barbuf_container **out, const struct barbuf_sys *sys);

#endif
