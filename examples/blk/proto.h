/* SPDX-License-Identifier: MIT */
/*
 * What blkd and its clients say to each other, over a UNIX socket of type
 * SOCK_SEQPACKET: libbarbuf's messages, each one of the structs below, told apart by
 * their first word. Both ends are of one machine and one build: the structs are sent as
 * they are, and a message of another length or version is refused.
 *
 *	client                       blkd
 *	ASK          ->
 *	                          <- REFUSED                     or, without a message between:
 *	                          <- GRANT, with the table's memfd
 *	                          <- ARENA, with the arena's memfd
 *	                          <- COMPLETION, with an eventfd
 *	                          <- a buffer: the doorbell's page
 *	                          <- PING: are you there? at any time
 *	PONG         ->
 *	                          <- PAUSE: the device is about to be restarted. Ring no more
 *	PAUSED       ->                  and tell; what is in flight may be lost
 *	                          <- RESUME: rings and indexes are 0 again, submit again
 *	                          <- GRANT...: in place of what was lent, which is over. What
 *	                                  was in flight is to be submitted again
 *	                          <- LEAVE: be gone within so many milliseconds
 *	BYE          ->                  at any time: the lease may be ended
 *	                          <- ENDED: it is over, and why. The last message
 *
 * A connection holds one lease at most. Who controls blkd (root, or blkd's own user) asks
 * on a connection of its own:
 *
 *	COMMAND      ->
 *	                          <- STATUS, one for each queue, if that was asked
 *	                          <- DONE
 */
#ifndef BLK_PROTO_H
#define BLK_PROTO_H

#include <stdint.h>

#include "window.h"

#define BLK_VERSION 1u
#define BLK_ANY_QUEUE (-1)

enum blk_kind {
	BLK_ASK = 0x424c4b01, /* "BLK", 1: a stray message is none of these */
	BLK_REFUSED,
	BLK_GRANT,
	BLK_ARENA,
	BLK_COMPLETION,
	BLK_PING,
	BLK_PONG,
	BLK_PAUSE,
	BLK_PAUSED,
	BLK_RESUME,
	BLK_LEAVE,
	BLK_BYE,
	BLK_ENDED,
	BLK_COMMAND,
	BLK_STATUS,
	BLK_DONE,
};

/* Why a lease ended. */
enum blk_end {
	BLK_END_BYE, /* the client said so */
	BLK_END_EXITED, /* its process ended, or closed the socket */
	BLK_END_REVOKED, /* taken back on command */
	BLK_END_OVERSTAYED, /* told to leave, and did not in time */
	BLK_END_HUNG, /* no answer to PING or PAUSE in time, or it does not read */
	BLK_END_BROKE_DEVICE, /* what it put into its ring made the device give up */
	BLK_END_IOMMU_FAULT, /* the device was stopped by the IOMMU in its window */
	BLK_END_PROTOCOL, /* a message that is none, or not due */
	BLK_END_RESET, /* the device was reset. No ENDED says so: another GRANT comes */
	BLK_END_SHUTDOWN, /* blkd ends */
	BLK_END_DEVICE_GONE, /* the device does not come back from a restart */
	BLK_END_NO_RESOURCES, /* what it is lent cannot be sent to it, or not be mapped
			       * for the device again after a restart */
};

struct blk_ask {
	uint32_t kind;
	uint32_t version;
	int32_t queue; /* which, or BLK_ANY_QUEUE */
	uint32_t flags; /* BLK_READ_ONLY: no more is wanted */
	uint32_t depth; /* slots wanted; 0: as many as there are. May get fewer */
	uint32_t reserved;
};

struct blk_grant {
	uint32_t kind;
	uint32_t epoch; /* counts grants and resumes of this connection */
	struct blk_window window;
	uint64_t first_block; /* of the window, in block_size */
	uint64_t nr_blocks;
	uint32_t queue;
	uint32_t doorbell; /* offset in the buffer, of 16 bits */
	uint32_t doorbell_value; /* what rings it: virtio 1.2, 4.1.5.2 */
	uint32_t flush; /* the device has VIRTIO_BLK_T_FLUSH */
};

/* ARENA, COMPLETION, PONG, BYE: nothing else to say. PING, PAUSE, PAUSED, RESUME: .value is
 * the epoch. LEAVE: milliseconds. ENDED: enum blk_end. */
struct blk_word {
	uint32_t kind;
	uint32_t value;
};

/* REFUSED and DONE. */
struct blk_text {
	uint32_t kind;
	int32_t error; /* 0 or a negative errno */
	char text[248]; /* one sentence, with its NUL; names the value and the limit */
};

enum blk_command {
	BLK_CMD_STATUS,
	BLK_CMD_REVOKE, /* .queue: now */
	BLK_CMD_LEAVE, /* .queue: within .value ms */
	BLK_CMD_RESTART, /* reset and restart the virtio device; leases stay */
	BLK_CMD_RESET, /* reset the PCI function or its bus; leases end and are granted anew */
	BLK_CMD_STOP, /* end blkd */
};

struct blk_request {
	uint32_t kind; /* BLK_COMMAND */
	uint32_t version;
	uint32_t command;
	int32_t queue;
	uint32_t value;
	uint32_t reserved;
};

struct blk_status {
	uint32_t kind;
	int32_t queue;
	uint32_t lent; /* 0: free, and the rest of the holder is 0 */
	int32_t pid;
	uint32_t uid;
	uint32_t flags;
	uint32_t depth;
	uint32_t block_size;
	uint64_t first_block;
	uint64_t nr_blocks;
	uint64_t done; /* requests completed in this lease, counted modulo 65536 between looks */
	uint64_t leases; /* so far, this one included */
	uint64_t seconds; /* that this lease lasts */
};

/* The end of a lease, in a word or two. */
const char *blk_end_name(uint32_t end);

#endif
