/* SPDX-License-Identifier: MIT */
/*
 * What blkload writes: each sector says which it is, who wrote it, for the how manieth time, and
 * has a checksum over all of its 512 bytes, so that one of a wrong place or time, and one of
 * which a part is of another, is known.
 */
#ifndef BLK_STAMP_H
#define BLK_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

#define STAMP_MAGIC 0x31303044414f4c42ull /* "BLOAD001", as it is on the disk */

/* Little-endian. */
struct stamp {
	uint64_t magic;
	uint64_t sector; /* of the disk, in 512 bytes */
	uint64_t generation; /* how often this writer wrote it, from 1 */
	uint64_t seed; /* of the writer */
	uint8_t filling[BLK_SECTOR - 4 * 8 - 4]; /* pseudo-random, of the three above */
	uint32_t crc; /* CRC-32 (zlib's, of IEEE 802.3) of what precedes */
};
_Static_assert(sizeof(struct stamp) == BLK_SECTOR, "a sector");

void stamp_make(struct stamp *s, uint64_t sector, uint64_t generation, uint64_t seed);

enum stamp_kind {
	STAMP_OURS, /* stamped with this sector's number, whole */
	STAMP_HOST, /* the sector's number in decimal, as the lab prepares its disks */
	STAMP_ELSEWHERE, /* stamped and whole, and of another sector */
	STAMP_TORN, /* stamped, and the checksum is wrong */
	STAMP_OTHER, /* neither */
};

/* What is this sector? With STAMP_OURS, @s->generation and @s->seed are what was written. */
enum stamp_kind stamp_look(const struct stamp *s, uint64_t sector);
const char *stamp_kind_name(enum stamp_kind kind);

/* The content that the lab's disks begin with: "%-511d\n". */
void stamp_host(char *text, uint64_t sector);

#endif
