/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio-blk function that the test drives alone, through examples/blkd's virtio.h and
 * tables of examples/blk/window.h: no server, no client, no socket.
 *
 * Helpers end the case as failed when they can't do what they are asked for.
 */
#ifndef BARBUF_TESTS_BLK_H
#define BARBUF_TESTS_BLK_H

#include "virtio.h"
#include "window.h"

#include "harness.h"

#define BLK_MAX_QUEUES 8
#define BLK_SECTORS(w) ((w)->block_size / BLK_SECTOR)

struct blk_queue {
	struct blk_window w;
	struct barbuf_map *bell;
	uint32_t bell_at;
	uint16_t bell_value;
	uint64_t iova;
	char *table, *arena; /* NULL: no window */
	uint16_t avail, seen; /* indexes: requests submitted, completions taken */
	int eventfd;
};

struct blk {
	struct dev *dev;
	struct virtio_blk *v;
	const struct virtio_blk_facts *facts;
	struct blk_queue q[BLK_MAX_QUEUES];
};

/* Opens the model's device and maps the doorbells; skips if the lab has none. */
struct blk *blk_open(const char *model);
void blk_close(struct blk *b);

/* A window for queue @q in new memory; what it had before is unmapped and forgotten. */
void blk_window_new(struct blk *b, uint32_t q, uint32_t flags, uint32_t block, uint32_t depth,
		    uint64_t first_sector);
/* The queue as virtio_blk_start() wants it; size 0 if it has no window. */
struct virtio_blk_queue blk_rings(struct blk *b, uint32_t q);
/* Rings empty again, then virtio_blk_start() with all the windows there are. */
void blk_start(struct blk *b);
int try_blk_start(struct blk *b);
/* The rings of a queue that is not enabled begin at 0 again. */
void blk_rewind(struct blk_queue *q);

/* Puts a request into the available ring; nobody is told. */
void blk_submit(struct blk *b, uint32_t q, uint32_t slot, uint32_t type, uint64_t sector);
void blk_submit_head(struct blk *b, uint32_t q, uint16_t head);
void blk_ring(struct blk *b, uint32_t q);
uint16_t blk_used(const struct blk_queue *q);
/* Waits until all that was submitted has completed, and takes it. false: it does not come. */
bool try_blk_wait(struct blk *b, uint32_t q, unsigned int msec);
void blk_wait(struct blk *b, uint32_t q);

char *blk_data(const struct blk_queue *q, uint32_t slot);
/* What the device said of a slot; 0xff until it has. */
uint8_t blk_status_of(const struct blk_queue *q, uint32_t slot);
/* One request to its end; returns its status. */
uint8_t blk_do(struct blk *b, uint32_t q, uint32_t slot, uint32_t type, uint64_t sector);
/* Each sector of the block begins with its number, as the lab makes disks. */
bool blk_is_original(const struct blk_queue *q, uint32_t slot, uint64_t sector);
/* Reads block after block with all slots at once, and checks them. */
void blk_read_check(struct blk *b, uint32_t q, uint64_t sector, unsigned int rounds);

#endif
