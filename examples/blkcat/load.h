/* SPDX-License-Identifier: MIT */
/* The parts of blkload. */
#ifndef BLK_LOAD_H
#define BLK_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "histogram.h"

enum load_verify {
	LOAD_VERIFY_HOST, /* what was not written by this process is the host's content */
	LOAD_VERIFY_ANY, /* ...or a whole sector of another blkload's */
	LOAD_VERIFY_OWN, /* what was not written by this process is not looked at */
	LOAD_VERIFY_NONE,
};

/* The most blocks that an account is kept of: 8 bytes each. */
#define LOAD_BLOCKS_MAX (4u << 20)

struct load_options {
	const char *socket;
	struct blk_client_options client;
	uint64_t seconds; /* 0: no limit */
	uint64_t requests; /* UINT64_MAX: no limit */
	uint64_t first, count; /* blocks of the window; count 0: all from there */
	uint64_t write; /* percent */
	uint64_t seed;
	uint64_t period_ms;
	enum load_verify verify;
	bool json, hold, confine;
};

/* 0: run; 1: --help was printed; -1: wrong usage, said on stderr. */
int load_parse(struct load_options *o, int argc, char **argv);

/* load_check.c: what may be on the disk ------------------------------------*/

/* Generations: 0 is what was there before. Any from settled to latest may be found. */
struct load_block {
	uint32_t settled; /* the last whose write is known to have happened */
	uint32_t latest; /* the last that was submitted */
};

struct load_check {
	enum load_verify verify;
	uint64_t seed;
	uint64_t sector; /* of the disk, where block 0 of the account begins */
	uint32_t sectors; /* in a block */
	uint64_t nr_blocks;
	struct load_block *blocks;
};

/* @first: of the window, the account's block 0. -ENOMEM. */
int load_check_init(struct load_check *k, enum load_verify verify, uint64_t seed,
		    const struct blk_client_facts *facts, uint64_t first, uint64_t nr_blocks);
void load_check_free(struct load_check *k);
/* Data for the next write of a block, which may happen from now on. */
void load_check_fill(struct load_check *k, uint64_t block, void *data);
/* Make of what lies where a read will put its data what no sector can be: a read that moves nothing is seen. */
void load_check_spoil(const struct load_check *k, void *data);
/* That write has ended. */
void load_check_written(struct load_check *k, uint64_t block, int error);
/* How many sectors of it cannot be. @text: the first of them, in a sentence. */
unsigned int load_check_read(const struct load_check *k, uint64_t block, const void *data,
			     char *text, size_t size);
/* Of the sectors that are known to have been written: how many, and the sum of their checksums. */
void load_check_sum(const struct load_check *k, uint64_t *written, uint64_t *sum);

/* load_report.c ------------------------------------------------------------*/

struct load_stats {
	uint64_t start; /* blk_now() */
	uint64_t reads, writes;
	uint64_t errors; /* sectors that were not what they must be */
	uint64_t io_errors; /* requests that the device failed */
	uint64_t faults; /* RUSAGE_SELF's when the load began */
	uint64_t written, sum; /* at the end */
	struct histogram total;
	/* since the last line */
	uint64_t period_start;
	struct histogram period;
};

/* Faults of this process so far. */
uint64_t load_faults(void);
/* What was lent. */
void load_introduce(const struct load_options *o, const struct load_stats *s,
		    const struct blk_client *c);
/* A line about the period that ends now. @state: running, paused, holding, leaving. */
void load_report(const struct load_options *o, struct load_stats *s, const struct blk_client *c,
		 const char *state);
/* The last words. @end: why the lease was taken back, or NULL. */
void load_summary(const struct load_options *o, const struct load_stats *s, struct blk_client *c,
		  const char *end);

#endif
