// SPDX-License-Identifier: MIT
/*
 * The next client of a queue whose holder was killed: what it was lent has to be new,
 * to the last byte, before it does anything itself. Then it works with it.
 */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "role.h"

#define BLOCKS 32

static size_t not_zero(const void *memory, size_t from, size_t to)
{
	const unsigned char *p = memory;
	size_t n = 0;

	for (; from < to; from++)
		n += !!p[from];
	return n;
}

static void tell_zero(size_t wrong, size_t size, const char *what)
{
	char got[32];

	snprintf(got, sizeof(got), "%zu", wrong);
	tell("0", got, "counts bytes that are not 0 in its %s of %zu KiB", what, size >> 10);
}

/*
 * The client library has set the available ring's flags and index to 0, and read nothing. The
 * descriptors are new, and ours to know; used.flags changes while the device looks at the ring.
 */
static void look(struct blk_client *c)
{
	const struct blk_window *w = &blk_client_facts(c)->window;
	struct blk_client_raw raw;

	blk_client_raw(c, &raw);
	tell_zero(not_zero(raw.arena, 0, w->arena_size), w->arena_size, "rings, headers and data");
	tell_zero(not_zero(raw.table, w->used + 2, w->table_size), w->table_size - w->used,
		  "used ring");
}

static int transfer(struct blk_client *c, enum blk_op op, uint64_t block, unsigned char pattern,
		    uint64_t *wrong)
{
	uint32_t size = blk_client_facts(c)->window.block_size;
	int ret, slot = blk_client_slot(c);
	unsigned char *data;
	uint32_t i;

	if (slot < 0)
		return slot;
	data = blk_client_data(c, slot);
	memset(data, op == BLK_OP_WRITE ? pattern : 0, size);
	ret = role_request(c, slot, op, block);
	for (i = 0; !ret && op == BLK_OP_READ && i < size; i++)
		*wrong += data[i] != pattern;
	blk_client_put(c, slot);
	return ret;
}

static void work(struct blk_client *c)
{
	uint64_t block, wrong = 0;
	char got[32];
	int ret = 0;

	for (block = 0; !ret && block < BLOCKS; block++)
		ret = transfer(c, BLK_OP_WRITE, block, 0xa0 + block, &wrong);
	for (block = 0; !ret && block < BLOCKS; block++)
		ret = transfer(c, BLK_OP_READ, block, 0xa0 + block, &wrong);
	snprintf(got, sizeof(got), "%llu", (unsigned long long)wrong);
	tell("0", ret ? errno_name(-ret) : got,
	     "writes %d blocks, reads them back and counts wrong bytes", BLOCKS);
}

int heir_main(int argc, char **argv)
{
	struct blk_client *c;

	if (argc != 2)
		errx(2, "--role=heir: SOCKET QUEUE");
	c = role_lease(argv[0], atoi(argv[1]));
	look(c);
	work(c);
	tell_state("done");
	blk_client_close(c);
	return 0;
}
