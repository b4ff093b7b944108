// SPDX-License-Identifier: LGPL-2.1-or-later
/* barbuf_copy_from() and _to(): what arrives, what fails where, and whose fault it is. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

#include "pages.h"
#include "tap.h"

static size_t page;
static char *good, *bad; /* two pages, and two that raise SIGBUS */

#define ROOM 64

static void fill(void *p, size_t len, unsigned char seed)
{
	unsigned char *c = p;

	while (len--)
		*c++ = seed = seed * 5 + 17;
}

/* Every alignment of both sides, and every length up to some words. */
static void arrives(void)
{
	unsigned int wrong[2] = { 0, 0 }, n = 0;
	size_t device, memory, len;

	for (device = 0; device < 16; device++) {
		for (memory = 0; memory < 16; memory++) {
			for (len = 0; len < 40; len++, n++) {
				char expect[ROOM], mem[ROOM];

				fill(good, ROOM, 1);
				fill(mem, ROOM, 2);
				memcpy(expect, mem, ROOM);
				memcpy(expect + memory, good + device, len);
				wrong[0] += barbuf_copy_from(mem + memory, good + device, len) ||
					    memcmp(mem, expect, ROOM);

				memcpy(expect, good, ROOM);
				memcpy(expect + device, mem + memory, len);
				wrong[1] += barbuf_copy_to(good + device, mem + memory, len) ||
					    memcmp(good, expect, ROOM);
			}
		}
	}
	CHECK(!wrong[0], "of %u copies from a mapping %u were wrong", n, wrong[0]);
	CHECK(!wrong[1], "of %u copies to a mapping %u were wrong", n, wrong[1]);
}

/* From each byte before the end of the good pages: what is before it is copied. */
static void fails_at_the_edge(void)
{
	unsigned int from_ok = 0, to_ok = 0, from_data = 0, to_data = 0;
	const size_t most = 40;
	size_t before, after;

	for (before = 0; before < most; before++) {
		for (after = 1; after <= 17; after++) {
			char *at = bad - before;
			char mem[ROOM], expect[ROOM];

			fill(bad - most, most, 3);
			fill(mem, ROOM, 4);
			memcpy(expect, mem, ROOM);
			memcpy(expect, at, before);
			from_ok += barbuf_copy_from(mem, at, before + after) == -EIO;
			from_data += !memcmp(mem, expect, ROOM);

			to_ok += barbuf_copy_to(at, mem + 1, before + after) == -EIO;
			to_data += !memcmp(at, mem + 1, before);
		}
	}
	CHECK(from_ok == most * 17, "every read across the edge fails (%u)", from_ok);
	CHECK(to_ok == most * 17, "every write across it fails (%u)", to_ok);
	CHECK(from_data == most * 17, "what was before it is there, and no more (%u)", from_data);
	CHECK(to_data == most * 17, "as is what was written before it (%u)", to_data);
	CHECK(!barbuf_copy_from(good, bad, 0) && !barbuf_copy_to(bad, good, 0),
	      "nothing is copied without a fault");
}

/* A mapping whose first page is gone and whose second is not. */
static void fails_at_the_start(void)
{
	char *area = mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char mem[ROOM], expect[ROOM];
	unsigned int wrong = 0;
	size_t before;
	int fd;

	fd = memfd_create("start", MFD_CLOEXEC);
	REQUIRE(area != MAP_FAILED && fd >= 0 && !ftruncate(fd, page), "a file of one page");
	REQUIRE(mmap(area, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, page) ==
				area &&
			mmap(area + page, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			     0) == area + page,
		"mapped behind one past its end");
	close(fd);
	fill(area + page, ROOM, 5);
	memcpy(expect, area + page, ROOM);
	fill(mem, ROOM, 6);
	for (before = 1; before < 24; before++) {
		char was[ROOM];

		memcpy(was, mem, ROOM);
		wrong += barbuf_copy_from(mem, area + page - before, 48) != -EIO ||
			 memcmp(mem, was, ROOM);
		wrong += barbuf_copy_to(area + page - before, mem, 48) != -EIO ||
			 memcmp(area + page, expect, ROOM);
	}
	CHECK(!wrong, "a copy that fails at once moves nothing (%u did)", wrong);
	munmap(area, 2 * page);
}

/* The caller's memory: a fault there is a bug of the caller's, and not -EIO. */
static char *nowhere;
static char *memory_bad;

static int from_to_nowhere(void)
{
	barbuf_guard_install();
	return barbuf_copy_from(nowhere, good, 64);
}

static int to_from_nowhere(void)
{
	barbuf_guard_install();
	return barbuf_copy_to(good, nowhere, 64);
}

static int from_to_nowhere_byte(void)
{
	barbuf_guard_install();
	return barbuf_copy_from(nowhere, good + 1, 1);
}

static int to_from_nowhere_byte(void)
{
	barbuf_guard_install();
	return barbuf_copy_to(good + 1, nowhere, 1);
}

static int from_to_bad(void)
{
	barbuf_guard_install();
	return barbuf_copy_from(memory_bad, good, 64);
}

static int to_from_bad(void)
{
	barbuf_guard_install();
	return barbuf_copy_to(good, memory_bad, 64);
}

static int read_to_nowhere(void)
{
	barbuf_guard_install();
	return barbuf_read32(good, (uint32_t *)nowhere);
}

static int read_to_bad(void)
{
	barbuf_guard_install();
	return barbuf_read32(good, (uint32_t *)memory_bad);
}

/* No SIGBUS at the device: the library has no say in it. */
static int read_from_nowhere(void)
{
	uint32_t v;

	barbuf_guard_install();
	return barbuf_read32(nowhere, &v);
}

static void not_swallowed(void)
{
	static const struct {
		int (*fn)(void);
		int sig;
		const char *what;
	} cases[] = {
		{ from_to_nowhere, SIGSEGV, "copy_from() to no memory: SIGSEGV" },
		{ to_from_nowhere, SIGSEGV, "copy_to() from no memory: SIGSEGV" },
		{ from_to_nowhere_byte, SIGSEGV, "also of one byte" },
		{ to_from_nowhere_byte, SIGSEGV, "either way" },
		{ from_to_bad, SIGBUS, "copy_from() to memory that raises SIGBUS: SIGBUS" },
		{ to_from_bad, SIGBUS, "copy_to() from such memory" },
		{ read_to_nowhere, SIGSEGV, "a read to no memory" },
		{ read_to_bad, SIGBUS, "and to memory that raises SIGBUS" },
		{ read_from_nowhere, SIGSEGV, "a read of what is not mapped" },
	};
	size_t i;

	nowhere = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory_bad = bad;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = in_child(cases[i].fn);

		CHECK(KILLED_BY(status, cases[i].sig), "%s kills (status %#x)", cases[i].what,
		      status);
	}
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	good = pages_map(2, 2);
	if (!CHECK(good, "two pages and two past the end"))
		return tap_done();
	bad = good + 2 * page;
	not_swallowed();
	if (CHECK(!barbuf_guard_install(), "the handler")) {
		arrives();
		fails_at_the_edge();
		fails_at_the_start();
	}
	return tap_done();
}
