/* SPDX-License-Identifier: MIT */
/* What one GRANT brings: descriptors, received and checked, and their mappings. */
#ifndef BLK_LEASE_H
#define BLK_LEASE_H

#include <stdint.h>

#include <barbuf.h>

#include "proto.h"

struct blk_lease {
	struct blk_grant grant;
	const void *
		table; /* grant.window.table_size bytes that only the primary and the device write */
	void *arena; /* grant.window.arena_size bytes */
	struct barbuf_buffer *buffer;
	struct barbuf_map *doorbell; /* NULL: the buffer was revoked already */
	int table_fd, arena_fd, eventfd;
};

/*
 * Takes @table_fd, which came with @grant and is closed in any case, and receives the rest.
 * -EPROTO: what came makes no sense; -ETIMEDOUT, -EPIPE; -ENODEV: buffers cannot
 * be mapped on this kernel; -ENOMEM.
 */
int blk_lease_take(struct blk_lease *l, int sock, const struct blk_grant *grant, int table_fd,
		   uint64_t deadline);
void blk_lease_drop(struct blk_lease *l);

#endif
