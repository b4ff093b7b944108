/* SPDX-License-Identifier: MIT */
/* What client.c (requests) and resume.c (what the primary says meanwhile) share. */
#ifndef BLK_STATE_H
#define BLK_STATE_H

#include "client.h"
#include "lease.h"
#include "ring.h"

/* The device has not written a status yet: it writes 0 to 2 (5.2.6). */
#define BLK_NO_STATUS 0xff

enum blk_slot_state {
	BLK_SLOT_FREE,
	BLK_SLOT_OWNED, /* by the caller */
	BLK_SLOT_FLYING, /* submitted; in the ring, or to be put there when a pause is over */
	BLK_SLOT_DONE, /* the device is done with it, and the caller does not know yet */
};

struct blk_slot {
	enum blk_slot_state state;
	enum blk_op op;
	uint64_t block;
	uint64_t since, ns; /* of submit, and from there until done */
	uint32_t tries; /* how often it was put into a ring */
	int error;
};

struct blk_client {
	int sock;
	struct blk_client_options options;
	struct blk_client_facts facts;
	struct blk_client_counts counts;
	struct blk_lease lease;
	struct blk_ring ring;
	struct blk_slot slots[BLK_DEPTH_MAX];
	uint32_t flying;
	uint32_t done[BLK_DEPTH_MAX]; /* slots in the order of their completion */
	uint32_t done_first, nr_done;
	bool paused; /* the rings are the primary's until RESUME or GRANT */
	bool silent; /* the doorbell is gone; what follows, the primary will say */
	bool unrung; /* something was put into the ring since the doorbell */
	int end; /* enum blk_end, or -1 */
	uint64_t leave_by; /* CLOCK_MONOTONIC, 0: not asked to */
	uint64_t looked; /* when the socket was read last */
};

/* Put a FLYING slot into the ring. */
void blk_client_push(struct blk_client *c, uint32_t slot);
/* Move what the device is done with from the used ring to the list of what is done. */
void blk_client_harvest(struct blk_client *c);
/* Begin with what was granted: the rings are empty, what is in flight is put into them. */
void blk_client_begin(struct blk_client *c);
/* Read what the primary has said, and obey. */
void blk_client_listen(struct blk_client *c);
/* It is over. What was completed can still be reaped. */
void blk_client_finish(struct blk_client *c, int end);

#endif
