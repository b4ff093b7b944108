/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the block example that a test drives, with a lease of fake_blk.h's.
 */
#ifndef BARBUF_TESTS_CLIENT_LEASE_H
#define BARBUF_TESTS_CLIENT_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "fake_blk.h"

/* For what comes, if anything works. */
#define WAIT_MS 5000

/* Whatever is there, of whomever. */
extern const struct blk_client_options client_any;

/* A lease, with the device standing still. Without one there is no test. */
struct blk_client *client_lease(struct fake_blk *f, uint32_t flags, uint32_t depth,
				const struct blk_client_options *o);
void client_drop(struct fake_blk *f, struct blk_client *c);

/* What version @version of a block holds. */
void block_fill(void *data, uint64_t block, uint32_t version);
bool block_is_filled(const void *data, uint64_t block, uint32_t version);

/* Submit a request; a write is of that version. Negative: it was refused. */
int client_start(struct blk_client *c, enum blk_op op, uint64_t block, uint32_t version);
/* Have @nr requests completed, and give their slots back. How many were, without error. */
unsigned int client_finish(struct blk_client *c, unsigned int nr);

/* What the client has made available. */
uint16_t fake_avail_idx(const struct fake_blk *f);

#endif
