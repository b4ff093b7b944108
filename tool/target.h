/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What map, peek, poke, dump and fill work on: a BAR that they open, or a buffer that
 * they are given by a server, by inheritance or by BARBUF_FD.
 */
#ifndef TOOL_TARGET_H
#define TOOL_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <barbuf.h>

#include "call.h"

struct target {
	struct barbuf_device *dev; /* of a BAR, else NULL */
	uint32_t bar;
	struct barbuf_buffer *buf; /* else NULL */
	int sock; /* to the server that lent it, or -1 */
	uint64_t size;
	bool read_only;
	char label[96]; /* what to call it in a message */
	bool gone; /* an access failed */
	enum barbuf_gone why;
};

/*
 * -1, or an exit status behind a line that says what is wrong. *@taken: how many positional
 * arguments it took, 0 or 1.
 */
int target_open(struct target *t, const struct call *c, size_t *taken);
void target_close(struct target *t);

/*
 * Map the pages of [@offset, @offset + @length), which must be within it; @offset is
 * at *@at of the mapping. -1 or an exit status, as above.
 */
int target_map(struct target *t, const struct call *c, uint64_t offset, uint64_t length,
	       bool writable, struct barbuf_map **map, uint64_t *at);

/* After an access failed: says why, returns the exit status. */
int target_lost(const struct target *t, const struct call *c, uint64_t offset);

#endif
