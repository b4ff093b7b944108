/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device whose buffers are memfds, for tests that go on to map them. Link with
 * fake_dmabuf.c.
 */
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include <barbuf.h>

#define FAKE_BAR 2
#define FAKE_BAR_SIZE (4ull << 30)

/* What the kernel shall do, and what it has seen. */
extern struct fake_device {
	uint64_t bar_address; /* 0: sysfs has no resource file */
	size_t areas; /* that can be mapped: 0 to 2 (a hole at 8 KiB), of the BAR */
	int export_error, memattr_error, name_error, revoke_error;
	unsigned int exports, revokes;
	uint32_t open_flags, memattr;
	int last_fd; /* exported or revoked */
	char name[64];
} fake;

/* NULL when that failed. */
struct barbuf_device *fake_device_open(void);
/* Descriptors of this process. */
unsigned int open_fds(void);

#endif
