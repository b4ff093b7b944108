// SPDX-License-Identifier: LGPL-2.1-or-later
/* Values that fit a width. */
#include <errno.h>
#include <string.h>

#include "width.h"
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

int main(void)
{
	values();
	return tap_done();
}
