// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"
#include "stamp.h"

int load_check_init(struct load_check *k, enum load_verify verify, uint64_t seed,
		    const struct blk_client_facts *facts, uint64_t first, uint64_t nr_blocks)
{
	uint32_t sectors = facts->window.block_size / BLK_SECTOR;

	*k = (struct load_check){
		.verify = verify,
		.seed = seed,
		.sector = (facts->first_block + first) * sectors,
		.sectors = sectors,
		.nr_blocks = nr_blocks,
		.blocks = calloc(nr_blocks, sizeof(*k->blocks)),
	};
	return k->blocks ? 0 : -ENOMEM;
}

void load_check_free(struct load_check *k)
{
	free(k->blocks);
}

static uint64_t sector_of(const struct load_check *k, uint64_t block, uint32_t i)
{
	return k->sector + block * k->sectors + i;
}

void load_check_fill(struct load_check *k, uint64_t block, void *data)
{
	struct stamp *s = data;
	uint32_t i;

	k->blocks[block].latest++;
	for (i = 0; i < k->sectors; i++)
		stamp_make(&s[i], sector_of(k, block, i), k->blocks[block].latest, k->seed);
}

void load_check_spoil(const struct load_check *k, void *data)
{
	struct stamp *s = data;
	uint32_t i;

	/* Both ends of each: one of which a part came is torn. */
	for (i = 0; i < k->sectors; i++)
		s[i].magic = s[i].crc = 0;
}

void load_check_written(struct load_check *k, uint64_t block, int error)
{
	/* One that failed may have happened, in part or whole. */
	if (!error)
		k->blocks[block].settled = k->blocks[block].latest;
}

/* Of a sector that holds what was there before our first write. */
static bool may_be_old(const struct load_check *k, enum stamp_kind kind, const struct stamp *s)
{
	switch (k->verify) {
	case LOAD_VERIFY_HOST:
		return kind == STAMP_HOST;
	case LOAD_VERIFY_ANY:
		return kind == STAMP_HOST || kind == STAMP_OURS;
	default: /* anything but a part of what this process writes */
		return kind != STAMP_TORN || s->seed != k->seed;
	}
}

static bool may_be(const struct load_check *k, const struct load_block *b, enum stamp_kind kind,
		   const struct stamp *s)
{
	if (!b->settled && may_be_old(k, kind, s))
		return true;
	return kind == STAMP_OURS && s->seed == k->seed && s->generation &&
	       s->generation >= b->settled && s->generation <= b->latest;
}

static void describe(const struct load_check *k, const struct load_block *b, enum stamp_kind kind,
		     const struct stamp *s, uint64_t sector, char *text, size_t size)
{
	char found[160];

	if (kind == STAMP_OURS || kind == STAMP_ELSEWHERE)
		snprintf(found, sizeof(found), "generation %ju of seed %ju, stamped for sector %ju",
			 (uintmax_t)s->generation, (uintmax_t)s->seed, (uintmax_t)s->sector);
	else
		snprintf(found, sizeof(found), "%s", stamp_kind_name(kind));
	if (b->latest)
		snprintf(text, size, "sector %ju has %s, not generation %u to %u of seed %ju",
			 (uintmax_t)sector, found, b->settled, b->latest, (uintmax_t)k->seed);
	else
		snprintf(text, size, "sector %ju has %s, and was not written by this process",
			 (uintmax_t)sector, found);
}

unsigned int load_check_read(const struct load_check *k, uint64_t block, const void *data,
			     char *text, size_t size)
{
	const struct load_block *b = &k->blocks[block];
	const struct stamp *s = data;
	unsigned int wrong = 0;
	uint32_t i;

	if (k->verify == LOAD_VERIFY_NONE || (k->verify == LOAD_VERIFY_OWN && !b->latest))
		return 0;
	for (i = 0; i < k->sectors; i++) {
		uint64_t sector = sector_of(k, block, i);
		enum stamp_kind kind = stamp_look(&s[i], sector);

		if (may_be(k, b, kind, &s[i]))
			continue;
		if (!wrong++)
			describe(k, b, kind, &s[i], sector, text, size);
	}
	return wrong;
}

void load_check_sum(const struct load_check *k, uint64_t *written, uint64_t *sum)
{
	struct stamp s;
	uint64_t block;
	uint32_t i;

	*written = 0;
	*sum = 0;
	for (block = 0; block < k->nr_blocks; block++) {
		const struct load_block *b = &k->blocks[block];

		if (!b->latest || b->settled != b->latest)
			continue;
		for (i = 0; i < k->sectors; i++) {
			stamp_make(&s, sector_of(k, block, i), b->latest, k->seed);
			*sum += s.crc;
			++*written;
		}
	}
}
