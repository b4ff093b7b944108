/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the block driver share: blkd under test, a client that speaks
 * proto.h by hand and may break every rule, and a load that keeps them all and knows
 * what has to be on the disk.
 *
 * Helpers end the case as failed, as harness.h has it, unless their name has try.
 */
#ifndef BARBUF_TESTS_BLK_LENT_H
#define BARBUF_TESTS_BLK_LENT_H

#include <jansson.h>

#include "client.h"
#include "harness.h"
#include "proto.h"

/* blkd ------------------------------------------------------------------------*/

struct blkd {
	pid_t pid;
	char address[32];
	char socket[64];
	char said[64]; /* file of what it wrote to stderr */
	int out;
	json_t *events; /* all so far */
	char line[2048];
	size_t have;
};

/* Starts blkd --json on the model's device, and waits until it is ready. More arguments up
 * to a NULL. Skips the case where the lab has no such device. */
void blkd_start(struct blkd *b, const char *model, const char *const *more);
/* For what is wrong from the start: runs it to its end, and returns the exit status. */
int blkd_run(const char *address, const char *const *more, char *said, size_t size);
/* Ends it as a user would; it has to end with 0. */
void blkd_stop(struct blkd *b);
/* What it wrote to stderr so far. */
const char *blkd_said(const struct blkd *b, char *buf, size_t size);

/* How many events there are so far. */
size_t blkd_mark(struct blkd *b);
/* The first event of this name from @mark on, waiting for it; @queue -1: of any queue. */
json_t *blkd_event(struct blkd *b, size_t mark, const char *name, int queue);
json_t *blkd_try_event(struct blkd *b, size_t mark, const char *name, int queue);
long long event_int(const json_t *event, const char *key);
const char *event_text(const json_t *event, const char *key);

/* Its answer. *why has room for a struct blk_text's sentence, or is NULL. */
int blkd_try_command(const struct blkd *b, enum blk_command cmd, int queue, uint32_t value,
		     char *why);
void blkd_command(const struct blkd *b, enum blk_command cmd, int queue, uint32_t value);
/* The status of one queue. */
struct blk_status blkd_status(const struct blkd *b, int queue);

/* The kernel's log from now on, and: the IOMMU has stopped nothing since. Closes it. */
int log_open(void);
void check_no_iommu_fault(int log);

/* A client by hand --------------------------------------------------------------*/

struct raw {
	const struct blkd *blkd;
	int sock;
	struct blk_grant g;
	int table_fd, arena_fd, event_fd;
	struct barbuf_buffer *buf;
	struct barbuf_map *bell;
	uint8_t *table; /* read-only */
	uint8_t *arena;
	uint16_t avail, used; /* indexes: next to be written, next to be seen */
};

/* Becomes somebody without any privilege. */
void drop_to(uid_t uid);

int raw_connect(const struct blkd *b);
/* Asks and gets a lease: all of it is received and mapped. */
void raw_open(struct raw *r, const struct blkd *b, int queue, uint32_t flags, uint32_t depth);
/* 0, or what REFUSED says, with its sentence. */
int raw_try_open(struct raw *r, const struct blkd *b, int queue, uint32_t flags, uint32_t depth,
		 char *why);
/* Receives what follows GRANT, and puts it in place of what was there. */
void raw_take(struct raw *r);
/* Closes the socket and forgets the rest, or leaves the rest mapped. */
void raw_close(struct raw *r);
void raw_send(const struct raw *r, uint32_t kind, uint32_t value);
/* Waits for a message of this kind, answering PING, PAUSE and RESUME meanwhile: its value. */
uint32_t raw_wait(struct raw *r, uint32_t kind);
/* Waits for REFUSED in a lease: its error. */
int raw_refused(struct raw *r);
/* Answers what is there, without waiting; true if the lease has ended, with *why. */
bool raw_answer(struct raw *r, uint32_t *why);
/* As a client that has nothing to do: its lease has to go on. */
void raw_sleep(struct raw *r, unsigned int ms);
bool raw_hung_up(const struct raw *r);

uint64_t raw_sector(const struct raw *r, uint64_t block);
uint8_t *raw_data(const struct raw *r, uint32_t slot);
uint8_t *raw_status(const struct raw *r, uint32_t slot);
uint16_t raw_used_idx(const struct raw *r);
void raw_header(const struct raw *r, uint32_t slot, uint32_t type, uint64_t sector);
/* Puts a head into the available ring. */
void raw_head(struct raw *r, uint16_t head);
void raw_avail_idx(struct raw *r, uint16_t idx);
/* 0 or -EIO. */
int raw_ring(struct raw *r);
/* Waits until @nr more requests are used, and takes them; how many were. */
unsigned int raw_reap(struct raw *r, unsigned int nr, unsigned int ms);
/* A request from start to end. Its status byte, or -ETIMEDOUT. */
int raw_io(struct raw *r, uint32_t slot, uint32_t type, uint64_t sector);
int raw_read(struct raw *r, uint32_t slot, uint64_t block);
int raw_write(struct raw *r, uint32_t slot, uint64_t block);

/* The disk ------------------------------------------------------------------------*/

#define DISK_BLOCKS 8192u /* of 4 KiB: the 32 MiB of lab/topology/blk */
#define DISK_BLOCK 4096u

/* What has to be in each block: version @stable, or also @pending while a write of it
 * is on its way or was lost. Version 0 is what the host has put there. */
#define LEDGER_UNKNOWN (~0u)

struct ledger {
	struct {
		uint32_t stable, pending;
	} block[DISK_BLOCKS];
};

/* In memory that children share. Nothing was written since the host did (@pristine), or
 * what is on the disk is not known and written before it is read. */
struct ledger *ledger_new(bool pristine);
void block_fill(uint8_t *data, uint32_t block, uint32_t version);
bool block_is(const uint8_t *data, uint32_t block, uint32_t version);
/* The disk's first blocks, as many as there are of @most, as the kernel's own driver reads them;
 * then the device is vfio-pci's again. To be freed. The debug kernel takes minutes for all. */
uint8_t *disk_read(const char *model, uint32_t most, uint32_t *blocks);
/* The blocks that are not as the ledger has it, the first of which are explained; *unknown: those
 * that it does not know. */
uint32_t disk_check(const uint8_t *disk, uint32_t blocks, const struct ledger *ledger,
		    uint32_t *unknown);

/* A load ----------------------------------------------------------------------------*/

enum load_state { LOAD_STARTED, LOAD_RUNNING, LOAD_ENDED };

/* In memory shared with the process that is the load. */
struct load {
	/* what it is to do */
	char socket[64];
	uid_t uid;
	int queue;
	uint32_t depth;
	bool read_only, poll;
	uint32_t first, count; /* blocks of the disk that are its own to use */
	struct ledger *ledger;
	uint64_t seed;
	int stop;
	int fenced; /* its lease is known to be over: it writes no ledger any more */
	/* what it has to say */
	pid_t pid;
	int state;
	uint32_t got_queue;
	uint64_t done, errors, io_errors, faults;
	struct blk_client_counts counts;
	int end; /* enum blk_end, -1: by its own will */
	int result; /* of the call that ended it */
	char why[256];
};

struct load *load_new(const struct blkd *b, struct ledger *ledger, uint32_t first, uint32_t count);
/* Starts its process. */
void load_start(struct load *l);
/* Waits until it has done so many requests more. */
void load_wait(struct load *l, uint64_t more);
/* Tells it to leave, and checks that it found no wrong data and nothing ended it. */
void load_stop(struct load *l);
/* It runs, and found nothing wrong. */
void load_check(const struct load *l);

#endif
