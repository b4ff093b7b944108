/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that the library makes on devices, as a table, so that the
 * unit tests can put a kernel of their own under it. Each returns what the call
 * of its name returns, but -errno instead of -1.
 */
#ifndef BARBUF_SYS_H
#define BARBUF_SYS_H

#include <sys/types.h>

struct dirent;
struct rlimit;
struct stat;

struct barbuf_sys {
	int (*open)(void *ctx, const char *path, int flags);
	int (*close)(void *ctx, int fd);
	ssize_t (*readlink)(void *ctx, const char *path, char *buf, size_t size);
	int (*ioctl)(void *ctx, int fd, unsigned long request, void *arg);
	ssize_t (*pread)(void *ctx, int fd, void *buf, size_t len, off_t offset);
	ssize_t (*pwrite)(void *ctx, int fd, const void *buf, size_t len, off_t offset);
	/* 0, and *addr, which was the hint, is where it is */
	int (*mmap)(void *ctx, void **addr, size_t len, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *ctx, void *addr, size_t len);
	/* the entries in any order, each and the list from malloc() */
	int (*scandir)(void *ctx, const char *path, struct dirent ***list);
	int (*stat)(void *ctx, const char *path, struct stat *st);
	int (*getrlimit)(void *ctx, int resource, struct rlimit *limit);
	void *ctx;
};

/* The kernel's own. */
extern const struct barbuf_sys barbuf__sys_linux;

#endif
