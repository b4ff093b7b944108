// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "leaf.h"

static int open_look(void)
{
	int fd = open("/dev/pfnmap_look", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		CHECK(system("modprobe pfnmap_look") == 0);
		fd = OK(open("/dev/pfnmap_look", O_RDONLY | O_CLOEXEC));
	}
	return fd;
}

static int look_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open_look();
	return fd;
}

int take_fault(const volatile void *p, int how)
{
	return OK(ioctl(look_fd(), _IO(0xb7, how), p));
}

bool leaf_at(const volatile void *p, struct leaf *leaf)
{
	ssize_t n;

	n = pread(look_fd(), leaf, sizeof(*leaf), (uintptr_t)p);
	CHECK_MSG(n == sizeof(*leaf) || (n < 0 && errno == ENXIO), "%zd, errno %s", n,
		  strerror_name(errno));
	return n > 0;
}

bool mm_has_pud_leaves(void)
{
	const char *kernel = getenv("LAB_KERNEL");

	return kernel && strcmp(kernel, "pud") == 0;
}

bool is_mapped(const volatile void *p)
{
	struct leaf leaf;

	return leaf_at(p, &leaf);
}

long count_leaves(const volatile void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, end = at + size;
	struct leaf leaf;
	long n = 0;

	while (at < end) {
		CHECK_MSG(leaf_at((void *)at, &leaf), "%#zx of %#zx", at - (uintptr_t)p, size);
		at = (at | (leaf.size - 1)) + 1;
		n++;
	}
	return n;
}

long count_mapped(const volatile void *p, size_t size)
{
	const volatile char *at = p;
	long n = 0;
	size_t i;

	for (i = 0; i < size; i += PAGE)
		n += is_mapped(at + i);
	return n;
}
