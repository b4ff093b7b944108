// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

#include "tap.h"

static void accepts(const char *text, size_t want_nr, const struct barbuf_range *want)
{
	struct barbuf_range *ranges = NULL;
	size_t nr = 0;
	int ret;

	ret = barbuf_ranges_parse(text, &ranges, &nr, NULL);
	REQUIRE(!ret && nr == want_nr, "\"%s\": %zu ranges (%s)", text, nr, strerror(-ret));
	CHECK(!memcmp(ranges, want, nr * sizeof(*want)), "\"%s\": the right ones", text);
	free(ranges);
}

static void refuses(const char *text, int want, size_t want_bad)
{
	struct barbuf_range *ranges = NULL;
	const char *bad = NULL;
	size_t nr;
	int ret;

	ret = barbuf_ranges_parse(text, &ranges, &nr, &bad);
	CHECK(ret == want && !ranges && bad == text + want_bad,
	      "\"%s\": refused (%s), points at character %td", text, strerror(-ret),
	      bad ? bad - text : -1);
}

static void parses(void)
{
	accepts("0:1", 1, (struct barbuf_range[]){ { 0, 1 } });
	accepts("0x1000:0xfFf", 1, (struct barbuf_range[]){ { 0x1000, 0xfff } });
	accepts("4K:2M,1G:3,0:0", 3,
		(struct barbuf_range[]){ { 4096, 2 << 20 }, { 1 << 30, 3 }, { 0, 0 } });
	accepts("0xfffffffffffff000:0xfff", 1,
		(struct barbuf_range[]){ { 0xfffffffffffff000, 0xfff } });
	accepts("18446744073709551615:0", 1, (struct barbuf_range[]){ { UINT64_MAX, 0 } });
	accepts("17179869183G:0", 1,
		(struct barbuf_range[]){ { 17179869183ull << 30, 0 } });
	accepts("010:0", 1, (struct barbuf_range[]){ { 10, 0 } });

	refuses("", -EINVAL, 0);
	refuses("x", -EINVAL, 0);
	refuses("1", -EINVAL, 1);
	refuses("1:", -EINVAL, 2);
	refuses(":1", -EINVAL, 0);
	refuses("-1:1", -EINVAL, 0);
	refuses(" 1:1", -EINVAL, 0);
	refuses("1:1,", -EINVAL, 4);
	refuses("1:1,,1:1", -EINVAL, 4);
	refuses("1:1;1:1", -EINVAL, 3);
	refuses("1:1 ", -EINVAL, 3);
	refuses("0x:1", -EINVAL, 0);
	refuses("0xg:1", -EINVAL, 0);
	refuses("1k:1", -EINVAL, 1);
	refuses("1KB:1", -EINVAL, 2);
	refuses("18446744073709551616:0", -ERANGE, 0);
	refuses("0x10000000000000000:0", -ERANGE, 0);
	refuses("0:17179869184G", -ERANGE, 2);
	refuses("1:1,0xfffffffffffff000:0x1000", -ERANGE, 4);
}

static void number(const char *text, int want, uint64_t want_value, size_t want_end)
{
	uint64_t value = 99;
	const char *end = NULL;
	int ret;

	ret = barbuf_size_parse(text, &value, &end);
	CHECK(ret == want && value == want_value && end == text + want_end,
	      "\"%s\": %s, %llu, ends at character %td", text, strerror(-ret),
	      (unsigned long long)value, end ? end - text : -1);
}

static void numbers(void)
{
	uint64_t value = 99;

	number("0", 0, 0, 1);
	number("0x1F", 0, 31, 4);
	number("4K", 0, 4096, 2);
	number("4Kx", 0, 4096, 2);
	number("12 ", 0, 12, 2);
	number("0xffffffffffffffff", 0, UINT64_MAX, 18);
	number("", -EINVAL, 99, 0);
	number("K", -EINVAL, 99, 0);
	number("0x", -EINVAL, 99, 0);
	number("18446744073709551616", -ERANGE, 99, 0);
	number("16777216G", 0, 1ull << 54, 9);
	CHECK(barbuf_size_parse("2M", &value, NULL) == 0 && value == 2 << 20,
	      "a number alone, with no one to ask where it ends");
	value = 99;
	CHECK(barbuf_size_parse("2Mx", &value, NULL) == -EINVAL && value == 99,
	      "nothing may follow then");
}

static void adds_up(void)
{
	const struct barbuf_range two[] = { { 5, 3 }, { 1, 4 } };
	const struct barbuf_range huge[] = { { 0, UINT64_MAX }, { 0, 1 } };
	uint64_t size = 99;

	CHECK(barbuf_ranges_size(two, 2, &size) == 0 && size == 7, "3 + 4 is %llu",
	      (unsigned long long)size);
	CHECK(barbuf_ranges_size(huge, 1, &size) == 0 && size == UINT64_MAX, "2^64 - 1 fits");
	size = 99;
	CHECK(barbuf_ranges_size(huge, 2, &size) == -EOVERFLOW && size == 99, "2^64 does not");
	CHECK(barbuf_ranges_size(NULL, 0, &size) == 0 && size == 0, "nothing has size 0");
}

static void locates(void)
{
	const struct barbuf_range ranges[] = { { 100, 3 }, { 50, 0 }, { 10, 2 } };
	static const uint64_t want_offset[] = { 100, 101, 102, 10, 11 };
	static const uint64_t want_left[] = { 3, 2, 1, 2, 1 };
	uint64_t offset, left, pos;

	for (pos = 0; pos < 5; pos++) {
		int ret = barbuf_ranges_locate(ranges, 3, pos, &offset, &left);

		CHECK(!ret && offset == want_offset[pos] && left == want_left[pos],
		      "offset %llu of the buffer is %llu of the BAR, %llu left",
		      (unsigned long long)pos, (unsigned long long)offset,
		      (unsigned long long)left);
	}
	CHECK(barbuf_ranges_locate(ranges, 3, 5, &offset, &left) == -ERANGE, "the end is outside");
	CHECK(barbuf_ranges_locate(ranges, 3, UINT64_MAX, &offset, &left) == -ERANGE,
	      "2^64 - 1 is outside");
}

int main(void)
{
	parses();
	numbers();
	adds_up();
	locates();
	return tap_done();
}
