/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes over the socket, written down a second time: a change of it must be
 * noticed. And a sender that is not honest.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

#define WIRE_MAGIC 0x62726266
#define WIRE_VERSION 1
#define WIRE_KIND_MESSAGE 0
#define WIRE_KIND_BUFFER 1
#define WIRE_READ_ONLY 1
#define WIRE_HEAD 16
#define WIRE_MAX_FDS 253 /* the kernel's limit */

struct wire_description {
	uint64_t size, tag, phase;
	uint32_t shift, flags, memattr, reserved;
	char name[32];
};

struct wire {
	uint32_t magic;
	uint16_t version, kind;
	uint32_t len, nr_fds;
	union {
		struct wire_description d;
		char payload[BARBUF_MESSAGE_MAX + 1];
	};
};

/* sendmsg() of the first @len bytes; each control message has @per_cmsg of the descriptors. */
bool wire_send(int sock, const void *bytes, size_t len, const int *fds, unsigned int nr_fds,
	       unsigned int per_cmsg);

/* How many descriptors this process has open. */
unsigned int open_fds(void);

#endif
