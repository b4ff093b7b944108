/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A primary of blkd's kind on one end of a socketpair, and a virtio-blk device that a thread
 * plays on the memory that is granted. Link with fake_dmabuf.c: the doorbell's buffer is a memfd.
 */
#ifndef FAKE_BLK_H
#define FAKE_BLK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <barbuf.h>

#include "proto.h"

#define FAKE_QUEUE 2
#define FAKE_FIRST 100 /* block of the disk */
#define FAKE_BLOCKS 256
#define FAKE_DOORBELL 24
#define FAKE_RING 0x7007

/* What was granted last, as the primary has it. */
struct fake_memory {
	struct blk_grant grant;
	void *table, *arena;
	int table_fd, arena_fd, eventfd, doorbell_fd;
	uint32_t arena_kind, eventfd_kind; /* of the messages that bring them */
	volatile uint16_t *doorbell;
	struct barbuf_buffer *buffer;
};

struct fake_blk {
	int sock; /* the primary's end */
	int client; /* the other one */
	struct fake_memory m;
	unsigned char *disk; /* FAKE_BLOCKS of block_size */
	uint8_t status; /* what the device answers */
	unsigned int flushes;
	pthread_t thread;
	bool runs;
	atomic_bool stop;
	uint16_t seen, used; /* the device's indexes */
	unsigned int limit; /* requests that it does before it hangs, UINT_MAX: all */
	unsigned int done;
	unsigned int
		idle_from; /* it moves no data from this request on, and says that it did; 0: it does */
};

/* Both ends of the socket, and memory as a grant has it. The device stands still. */
void fake_blk_new(struct fake_blk *f, uint32_t flags, uint32_t depth, uint32_t block_size);
void fake_blk_free(struct fake_blk *f);
/* Other memory, for another grant of the same. The former stays the caller's to drop. */
void fake_blk_renew(struct fake_blk *f, struct fake_memory *former);
void fake_memory_drop(struct fake_memory *m);
/* Start the device; it does @limit requests. And stop it. */
void fake_device_start(struct fake_blk *f, unsigned int limit);
void fake_device_stop(struct fake_blk *f);
/* What a restart does to the rings. The device stands still. */
void fake_rewind(struct fake_blk *f);
/* Put an entry into the used ring, as the device. */
void fake_complete(struct fake_blk *f, uint32_t id, uint8_t status);

/* Messages of the primary's. */
bool fake_say(struct fake_blk *f, uint32_t kind, uint32_t value, int fd);
bool fake_grant(struct fake_blk *f);
/* A word of the client's, or 0: there is none. */
uint32_t fake_hear(struct fake_blk *f, uint32_t *value);

#endif
