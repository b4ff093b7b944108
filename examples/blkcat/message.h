/* SPDX-License-Identifier: MIT */
/* What the primary says, by a socket that does not block: waited for until a moment, and checked. */
#ifndef BLK_MESSAGE_H
#define BLK_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "proto.h"

union blk_message {
	uint32_t kind;
	struct blk_grant grant;
	struct blk_word word;
	struct blk_text text; /* with its NUL, and nothing in it that a terminal obeys */
};

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t blk_now(void);

/* Connect to blkd. Bounded by @timeout_ms. The socket, which does not block, or a negative errno. */
int blk_connect(const char *path, int timeout_ms);

/* -ETIMEDOUT: nothing to read (@events POLLIN) or no room (POLLOUT) until @deadline. */
int blk_socket_wait(int sock, short events, uint64_t deadline);

/*
 * One message. @fd: the descriptor that belongs to this kind, or -1; on error -1.
 * -EAGAIN: none, @deadline being 0; -ETIMEDOUT; -EPIPE: the primary is gone; -EPROTO: no message
 * of a primary's, or not of its length, or a descriptor too many or too few.
 */
int blk_message_take(int sock, union blk_message *m, int *fd, uint64_t deadline);

/* -EPIPE: the primary is gone; -ETIMEDOUT: it does not read for longer than @timeout_ms. */
int blk_message_say(int sock, const void *message, size_t size, int timeout_ms);

#endif
