// SPDX-License-Identifier: LGPL-2.1-or-later
/* What in a ring shows that its holder made the device give up. */
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blkd.h"

#include "tap.h"

static struct blk_window w;
static struct vring_avail *avail;
static struct vring_used *used;
static void *table, *arena;
static char what[96];
static uint32_t late;

static void ring(uint16_t done, uint16_t available)
{
	used->idx = done;
	avail->idx = available;
}

static void put(uint16_t at, uint16_t head)
{
	avail->ring[at % w.queue_size] = head;
}

static bool evidence(void)
{
	*what = '\0';
	return culprit_evidence(&w, table, arena, late, what, sizeof(what));
}

static void begin(uint32_t flags, uint32_t depth)
{
	w = (struct blk_window){
		.flags = flags, .queue_size = 64, .depth = depth, .block_size = 512
	};
	if (blk_window_layout(&w, 4096))
		abort();
	table = calloc(1, w.table_size);
	arena = calloc(1, w.arena_size);
	avail = arena;
	used = (void *)((char *)table + w.used);
}

static void end(void)
{
	free(table);
	free(arena);
}

static void read_write(void)
{
	begin(0, 12);
	CHECK(!evidence(), "an empty ring is clean");
	put(0, 0);
	put(1, 3);
	put(2, 5 * 11 + 3);
	ring(0, 3);
	CHECK(!evidence(), "and one with reads and writes of its slots");
	put(1, 1);
	CHECK(evidence() && strstr(what, "head 1 "), "the middle of a chain: %s", what);
	ring(2, 3);
	CHECK(!evidence(), "which counts no more when it is done with");
	put(2, 5 * 12);
	CHECK(evidence() && strstr(what, "head 60 "), "a slot too many: %s", what);
	put(2, 65535);
	CHECK(evidence() && strstr(what, "head 65535 "), "no descriptor at all: %s", what);
	ring(2, 14);
	memset(avail->ring, 0, w.queue_size * sizeof(avail->ring[0]));
	CHECK(!evidence(), "all slots at once");
	ring(2, 15);
	CHECK(evidence() && strstr(what, "index 15") && strstr(what, "12 slots"),
	      "more than there are: %s", what);
	ring(2, 1);
	CHECK(evidence(), "back behind what is done: %s", what);
	end();
}

static void wraps(void)
{
	begin(0, 12);
	ring(65534, 2);
	CHECK(!evidence(), "indexes that go through 65536");
	put(0, 2);
	CHECK(evidence() && strstr(what, "head 2 "), "and are looked at behind it: %s", what);
	end();
}

/* Completions of its predecessor's may come into this ring: they set the used index ahead. */
static void successor(void)
{
	begin(0, 12);
	late = 64;
	ring(40, 0);
	CHECK(!evidence(), "40 late completions before its first request");
	ring(70, 6);
	CHECK(!evidence(), "as many as a ring has");
	ring(71, 6);
	CHECK(evidence(), "not more: %s", what);
	ring(5, 65535);
	CHECK(!evidence(), "round the 16 bits");
	ring(2, 15);
	CHECK(evidence(), "too far ahead is its own doing: %s", what);
	put(7, 1);
	ring(5, 10);
	CHECK(evidence(), "and so is such a head: %s", what);
	late = 0;
	end();
}

static void read_only(void)
{
	begin(BLK_READ_ONLY, 20);
	put(0, 3);
	ring(0, 1);
	CHECK(!evidence(), "head 3 is the second slot's where there are no writes");
	put(0, 4);
	CHECK(evidence(), "and 4 is none's: %s", what);
	end();
}

static void headers(void)
{
	struct virtio_blk_outhdr *h;
	unsigned int fixed;

	for (fixed = 0; fixed < 2; fixed++) {
		begin(fixed ? BLK_READ_ONLY | BLK_FIXED : BLK_READ_ONLY, 20);
		h = (void *)((char *)arena + w.headers);
		put(0, 3);
		ring(0, 1);
		h[1].type = VIRTIO_BLK_T_GET_ID;
		h[2].type = VIRTIO_BLK_T_DISCARD;
		CHECK(!evidence(), "a header that no request names counts for nothing");
		h[1].type = VIRTIO_BLK_T_DISCARD;
		if (fixed)
			CHECK(!evidence(), "nor does one where the device reads another");
		else
			CHECK(evidence() && strstr(what, "type 11"), "a discard: %s", what);
		end();
	}
}

int main(void)
{
	read_write();
	wraps();
	successor();
	read_only();
	headers();
	return tap_done();
}
