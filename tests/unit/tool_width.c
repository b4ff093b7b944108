// SPDX-License-Identifier: LGPL-2.1-or-later
/* Values that fit a width, and bars of a chart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"
#include "barchart.h"
#include "tap.h"

static void values(void)
{
	static const struct {
		const char *text;
		unsigned int bits;
		int ret;
		uint64_t value;
	} cases[] = {
		{ "0", 8, 0, 0 },
		{ "255", 8, 0, 255 },
		{ "0xff", 8, 0, 255 },
		{ "0XFF", 8, 0, 255 },
		{ "256", 8, -ERANGE, 0 },
		{ "0x100", 8, -ERANGE, 0 },
		{ "0xffff", 16, 0, 0xffff },
		{ "65536", 16, -ERANGE, 0 },
		{ "4294967295", 32, 0, UINT32_MAX },
		{ "4294967296", 32, -ERANGE, 0 },
		{ "18446744073709551615", 64, 0, UINT64_MAX },
		{ "0xffffffffffffffff", 64, 0, UINT64_MAX },
		{ "18446744073709551616", 64, -ERANGE, 0 },
		{ "0x1ffffffffffffffff", 64, -ERANGE, 0 },
		{ "010", 8, 0, 10 },
		{ "", 8, -EINVAL, 0 },
		{ "0x", 8, -EINVAL, 0 },
		{ "-1", 8, -EINVAL, 0 },
		{ "+1", 8, -EINVAL, 0 },
		{ " 1", 8, -EINVAL, 0 },
		{ "1 ", 8, -EINVAL, 0 },
		{ "0x-1", 8, -EINVAL, 0 },
		{ "4K", 32, -EINVAL, 0 },
		{ "12a", 32, -EINVAL, 0 },
		{ "ff", 32, -EINVAL, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 4711;
		int ret = value_parse(cases[i].text, cases[i].bits, &value);

		CHECK(ret == cases[i].ret && value == (ret ? 4711 : cases[i].value),
		      "'%s' in %u bits: %s", cases[i].text, cases[i].bits, strerror(-ret));
	}
}

static void bars(void)
{
	char text[BAR_TEXT_MAX], whole[BAR_TEXT_MAX];

	bar_text(1000, 1000, 32, false, whole);
	CHECK(strlen(whole) == BAR_WIDTH_MAX, "the most has the whole width");
	bar_text(1e9, 1000, 32, false, text);
	CHECK(!strcmp(text, whole), "and nothing has more");
	bar_text(0, 1000, 32, false, text);
	CHECK(!*text, "nothing has no bar");
	bar_text(1000, 0, 32, true, text);
	CHECK(!*text, "of nothing there is none");
	bar_text(1000, 1000000, 32, false, text);
	CHECK(strlen(text) == BAR_WIDTH_MAX / 2, "a thousand is half a million: %zu", strlen(text));
	bar_text(1e6, 1e6, 32, true, text);
	CHECK(strlen(text) == BAR_TEXT_MAX - 1, "blocks are three bytes each");
}

static void encoding(void)
{
	unsetenv("LC_ALL");
	unsetenv("LC_CTYPE");
	unsetenv("LANG");
	CHECK(!bar_has_blocks(), "no locale, no blocks");
	setenv("LANG", "de_DE.UTF-8", 1);
	CHECK(bar_has_blocks(), "UTF-8 has them");
	setenv("LC_ALL", "C", 1);
	CHECK(!bar_has_blocks(), "C has not, and LC_ALL counts first");
}

int main(void)
{
	values();
	bars();
	encoding();
	return tap_done();
}
