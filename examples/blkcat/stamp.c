// SPDX-License-Identifier: MIT
#include <string.h>
#include <zlib.h>

#include "stamp.h"

static uint32_t checksum(const struct stamp *s)
{
	return crc32(0, (const void *)s, offsetof(struct stamp, crc));
}

/* xorshift64* by Vigna. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

void stamp_make(struct stamp *s, uint64_t sector, uint64_t generation, uint64_t seed)
{
	uint64_t state = (seed ^ sector << 20 ^ generation) * 0x9e3779b97f4a7c15ull | 1;
	size_t i;

	s->magic = STAMP_MAGIC;
	s->sector = sector;
	s->generation = generation;
	s->seed = seed;
	for (i = 0; i < sizeof(s->filling); i += 4) {
		uint32_t word = next(&state) >> 32;

		memcpy(s->filling + i, &word, sizeof(word));
	}
	s->crc = checksum(s);
}

void stamp_host(char *text, uint64_t sector)
{
	char digits[20];
	size_t n = 0, i;

	do {
		digits[n++] = '0' + sector % 10;
		sector /= 10;
	} while (sector);
	memset(text, ' ', BLK_SECTOR - 1);
	for (i = 0; i < n; i++)
		text[i] = digits[n - 1 - i];
	text[BLK_SECTOR - 1] = '\n';
}

enum stamp_kind stamp_look(const struct stamp *s, uint64_t sector)
{
	char host[BLK_SECTOR];

	if (s->magic == STAMP_MAGIC) {
		if (s->crc != checksum(s))
			return STAMP_TORN;
		return s->sector == sector ? STAMP_OURS : STAMP_ELSEWHERE;
	}
	stamp_host(host, sector);
	return memcmp(s, host, sizeof(host)) ? STAMP_OTHER : STAMP_HOST;
}

const char *stamp_kind_name(enum stamp_kind kind)
{
	static const char *const names[] = {
		[STAMP_OURS] = "a sector that blkload wrote",
		[STAMP_HOST] = "the host's content",
		[STAMP_ELSEWHERE] = "what blkload wrote to another sector",
		[STAMP_TORN] = "a sector of blkload's whose checksum is wrong",
		[STAMP_OTHER] = "neither the host's content nor a sector of blkload's",
	};

	return names[kind];
}
