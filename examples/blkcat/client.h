/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a lent virtqueue: ask blkd for one, do I/O, outlive its end.
 * Needs no privilege and no /dev/vfio: a socket, two memfds, an eventfd and one page of
 * a BAR. One thread per struct blk_client. Errors are negative errno.
 *
 * What was submitted stays the client's until blk_client_reap() gives it back, also across a
 * restart of the device or a new grant: then it is submitted again (reads and writes of whole
 * blocks can be repeated), and the caller sees a pause. Slots' data moves along.
 *
 * Neither the primary nor the device is believed more than need be: what cannot be so ends the
 * lease (BLK_END_PROTOCOL) or, in the used ring, is ignored and counted. The device is the
 * judge of what the data is.
 *
 * The program calls barbuf_guard_install() first: a doorbell that was taken back is a SIGBUS.
 */
#ifndef BLK_CLIENT_H
#define BLK_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto.h"

struct blk_client;
struct barbuf_map;

struct blk_client_options {
	int queue; /* or BLK_ANY_QUEUE */
	bool read_only;
	uint32_t depth; /* 0: what there is */
	uid_t primary; /* who must be at the other end; (uid_t)-1: root or this process's own user */
	int timeout_ms; /* for each answer of the primary that is due; 0: 10 s */
	bool poll; /* completions by looking at the used ring, no interrupts asked for */
};

struct blk_client_facts {
	struct blk_window window;
	uint64_t first_block, nr_blocks;
	uint32_t queue;
	bool flush;
};

enum blk_op { BLK_OP_READ, BLK_OP_WRITE, BLK_OP_FLUSH };

struct blk_completion {
	uint32_t slot;
	enum blk_op op;
	uint64_t block;
	int error; /* 0, -EIO (VIRTIO_BLK_S_IOERR), -EOPNOTSUPP (VIRTIO_BLK_S_UNSUPP) */
	uint64_t ns; /* from submit until it was seen in the used ring */
	uint32_t tries; /* 1, more if it was submitted again */
};

struct blk_client_counts {
	uint64_t doorbells, sigbus, interrupts, pauses, regrants, resubmitted;
	uint64_t ignored; /* entries of the used ring that were of no request in flight */
	uint64_t grant_faults; /* page faults that taking up grants took, which are not the I/O's */
};

/* -ECONNREFUSED etc. of the socket; -EACCES: the other end is not @primary (or not allowed there);
 * what REFUSED says, whose sentence is in @why; -EPROTO: answers that make no sense; -ETIMEDOUT.
 * @why is always set on error: a sentence without a full stop. */
int blk_client_open(struct blk_client **out, const char *path, const struct blk_client_options *o,
		    char *why, size_t size);
/* The same on a socket that is connected already (SOCK_SEQPACKET): on success the client's, and
 * closed with it. It is made non-blocking. */
int blk_client_adopt(struct blk_client **out, int sock, const struct blk_client_options *o,
		     char *why, size_t size);
/* Says BYE: from here on the queue can be another's, what is in flight is lost, and requests are -EPIPE.
 * Facts, counts and memory stay until it is closed. Nothing if the lease is over already. */
void blk_client_leave(struct blk_client *c);
/* Leaves, and frees it. NULL is fine. */
void blk_client_close(struct blk_client *c);
/* May change with a regrant (counts.regrants grows): the queue, and the window is elsewhere in
 * memory. Block size, flags and first block stay; depth and nr_blocks do not become less. */
const struct blk_client_facts *blk_client_facts(const struct blk_client *c);
const struct blk_client_counts *blk_client_counts(const struct blk_client *c);

/* A free slot, the lowest, or -EAGAIN. It is the caller's until submitted or put back. */
int blk_client_slot(struct blk_client *c);
void blk_client_put(struct blk_client *c, uint32_t slot);
/* Its block_size bytes of data. Valid until the next call of wait or reap that regrants. */
void *blk_client_data(struct blk_client *c, uint32_t slot);

/* Put a request for a block (of this window, from 0) into the available ring; the device is not told yet.
 * -EINVAL: not the caller's slot, or with BLK_FIXED slot != block; -ERANGE: not in the window; -EROFS:
 * a write or flush in a read-only lease; -EOPNOTSUPP: a flush, which the device does not have; -EPIPE:
 * the lease is over. On error the slot stays the caller's. A flush has no block: 0. */
int blk_client_submit(struct blk_client *c, uint32_t slot, enum blk_op op, uint64_t block);
/* Ring the doorbell if something was submitted since. Never raises SIGBUS. 0 also while paused, and
 * after a doorbell that was taken back, until the primary says what is next. -EPIPE: the lease is over. */
int blk_client_ring(struct blk_client *c);
/* Take up to @nr completions; their slots are the caller's again until put back or submitted. How many, or -EPIPE:
 * the lease is over and all that was completed is taken, blk_client_end() says why. Handles the
 * primary's messages. */
int blk_client_reap(struct blk_client *c, struct blk_completion *done, size_t nr);
/* Wait until reap would have something, at most so long (-1: for ever). 0, -ETIMEDOUT, -EPIPE, -EINTR.
 * With .poll it does not sleep. */
int blk_client_wait(struct blk_client *c, int timeout_ms);
/* For a poll() of one's own: eventfd and socket. They change with a regrant, and stay the client's. */
int blk_client_eventfd(const struct blk_client *c);
int blk_client_socket(const struct blk_client *c);
/* Is the device out of reach for now: paused, or the doorbell is gone and nothing was said yet? */
bool blk_client_paused(const struct blk_client *c);
/* Asked to leave by LEAVE? milliseconds that are left, or -1. */
int blk_client_leaving(const struct blk_client *c);
/* Why it is over (enum blk_end), or -1 while it is not. A primary that is gone without a word:
 * BLK_END_SHUTDOWN; one that says what makes no sense, or does not read: BLK_END_PROTOCOL. */
int blk_client_end(const struct blk_client *c);

/* For those who try what they must not: the mappings and descriptors as they were received. */
struct blk_client_raw {
	const void *table;
	void *arena;
	struct barbuf_map *doorbell; /* NULL: it was revoked before it could be mapped */
	int table_fd, arena_fd, eventfd, buffer_fd;
};
void blk_client_raw(struct blk_client *c, struct blk_client_raw *raw);

#endif
