// SPDX-License-Identifier: LGPL-2.1-or-later
/* Barriers, doorbells, and each way of storing 64 bytes that this CPU has. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <barbuf.h>

#include "order.h"
#include "pages.h"
#include "tap.h"

static const char *const names[] = {
	[BARBUF_STORE_8X8] = "eight stores",	[BARBUF_STORE_PAIRS] = "four pairs",
	[BARBUF_STORE_AVX2] = "AVX2",		[BARBUF_STORE_AVX512] = "AVX-512",
	[BARBUF_STORE_MOVDIR64B] = "MOVDIR64B",
};
#define NR_KINDS (sizeof(names) / sizeof(names[0]))

static char *good, *bad;
static enum barbuf_store forced;
static char *source;

static int store_from_source(void)
{
	barbuf_guard_install();
	return barbuf__store64b_as(forced, good, source);
}

/* What is around it, from a source at any alignment. */
static void stores(enum barbuf_store kind)
{
	unsigned char src[80];
	unsigned int wrong = 0;
	size_t at, skew, i;

	for (at = 64; at <= 256; at += 64) {
		for (skew = 0; skew < 16; skew++) {
			for (i = 0; i < sizeof(src); i++)
				src[i] = i * 7 + skew + at;
			memset(good, 0xee, 512);
			wrong += barbuf__store64b_as(kind, good + at, src + skew) ||
				 memcmp(good + at, src + skew, 64);
			for (i = 0; i < 512; i++)
				wrong += (i < at || i >= at + 64) && (unsigned char)good[i] != 0xee;
		}
	}
	CHECK(!wrong, "%s: 64 bytes arrive, and no others (%u wrong)", names[kind], wrong);
	CHECK(barbuf__store64b_as(kind, bad, src) == -EIO, "%s: SIGBUS is -EIO", names[kind]);
	CHECK(barbuf__store64b_as(kind, good, src) == 0, "%s: the next one is as before",
	      names[kind]);

	/* Each of the stores is guarded: half of them are before the edge. */
	if (kind < BARBUF_STORE_AVX512) {
		memset(bad - 64, 0xee, 64);
		CHECK(barbuf__store64b_as(kind, bad - 32, src) == -EIO &&
			      !memcmp(bad - 32, src, 32) && (unsigned char)bad[-33] == 0xee,
		      "%s: so is SIGBUS half way", names[kind]);
	}

	/* The caller's memory is the caller's: a source half past the end. */
	forced = kind;
	source = bad - 32;
	CHECK(KILLED_BY(in_child(store_from_source), SIGBUS), "%s: SIGBUS of the source kills",
	      names[kind]);
}

static void each_kind(void)
{
	enum barbuf_store kind, best = barbuf_store_kind();

	for (kind = 0; kind < NR_KINDS; kind++) {
		if (barbuf__store_available(kind)) {
			stores(kind);
			CHECK(kind <= best, "%s is not better than what is chosen", names[kind]);
		} else {
			tap_skip(names[kind], "this CPU has no such store");
		}
	}
	CHECK(barbuf__store_available(best) && barbuf_store_kind() == best, "chosen is %s",
	      names[best]);
}

static void chosen(void)
{
	unsigned char src[64];

	memset(src, 0x3c, sizeof(src));
	CHECK(!barbuf_store64b(good, src) && !memcmp(good, src, 64), "barbuf_store64b()");
	CHECK(barbuf_store64b(bad, src) == -EIO, "fails where it must");
}

#define DOORBELL(bits, value)                                                                 \
	static void doorbell##bits(void)                                                      \
	{                                                                                     \
		memset(good, 0, 16);                                                          \
		CHECK(!barbuf_doorbell##bits(good, value) &&                                  \
			      *(volatile uint##bits##_t *)good == (value) && !good[bits / 8], \
		      "a doorbell of " #bits " bits");                                        \
		CHECK(barbuf_doorbell##bits(bad, value) == -EIO, "fails where it must");      \
	}

DOORBELL(16, 0xa55a)
DOORBELL(32, 0xa55aa55a)
DOORBELL(64, 0xa55aa55aa55aa55a)

/* That they order anything cannot be seen here; that they are instructions this CPU has can. */
static void barriers(void)
{
	volatile int before = 1;

	barbuf_wmb();
	barbuf_rmb();
	barbuf_mb();
	barbuf_wc_flush();
	CHECK(before == 1, "the barriers return");
}

int main(void)
{
	good = pages_map(1, 1);
	if (!CHECK(good, "a page and one past the end"))
		return tap_done();
	bad = good + sysconf(_SC_PAGESIZE);
	if (CHECK(!barbuf_guard_install(), "the handler")) {
		barriers();
		doorbell16();
		doorbell32();
		doorbell64();
		each_kind();
		chosen();
	}
	return tap_done();
}
