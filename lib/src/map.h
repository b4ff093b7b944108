/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_MAP_H
#define BARBUF_MAP_H

#include <stdatomic.h>

#include <barbuf.h>

struct barbuf_map {
	volatile char *addr;
	uint64_t length;
	int fd; /* of the buffer, to ask whether it still stands; -1: a BAR, or no one to tell */
	atomic_int told; /* the worst that gone() was told: enum barbuf_gone, or -1 */
	void (*gone)(struct barbuf_map *map, enum barbuf_gone why, void *arg);
	void *arg;
};

#endif
