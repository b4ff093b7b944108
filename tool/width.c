// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"

int access_read(struct barbuf_map *map, unsigned int bits, uint64_t offset, uint64_t *value)
{
	uint8_t v8 = 0;
	uint16_t v16 = 0;
	uint32_t v32 = 0;
	int ret;

	switch (bits) {
	case 8:
		ret = barbuf_map_read8(map, offset, &v8);
		*value = v8;
		return ret;
	case 16:
		ret = barbuf_map_read16(map, offset, &v16);
		*value = v16;
		return ret;
	case 32:
		ret = barbuf_map_read32(map, offset, &v32);
		*value = v32;
		return ret;
	case 64:
		return barbuf_map_read64(map, offset, value);
	}
	return -EINVAL;
}

int access_write(struct barbuf_map *map, unsigned int bits, uint64_t offset, uint64_t value)
{
	switch (bits) {
	case 8:
		return barbuf_map_write8(map, offset, value);
	case 16:
		return barbuf_map_write16(map, offset, value);
	case 32:
		return barbuf_map_write32(map, offset, value);
	case 64:
		return barbuf_map_write64(map, offset, value);
	}
	return -EINVAL;
}

int value_parse(const char *text, unsigned int bits, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long v;
	char *end;

	/* Neither signs nor blanks, and a leading 0 is not octal. */
	if (hex ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return -EINVAL;
	errno = 0;
	v = strtoull(digits, &end, hex ? 16 : 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE || (bits < 64 && v >> bits))
		return -ERANGE;
	*value = v;
	return 0;
}

int parse_width(const struct call *c, unsigned int fallback, unsigned int *bits)
{
	const char *text = call_option(c, "width");

	*bits = fallback;
	if (!text)
		return -1;
	if (!strcmp(text, "8") || !strcmp(text, "16") || !strcmp(text, "32") ||
	    !strcmp(text, "64")) {
		*bits = atoi(text);
		return -1;
	}
	return wrong(c, "--width", text, "not one of 8, 16, 32, 64");
}

int parse_value(const struct call *c, const char *text, unsigned int bits, uint64_t *value)
{
	uint64_t max = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
	int ret = value_parse(text, bits, value);

	if (ret == -ERANGE)
		return wrong(c, "VALUE", text, "exceeds 0x%" PRIx64 ", the most that fits %u bits",
			     max, bits);
	if (ret)
		return wrong(c, "VALUE", text, "not a number (decimal, or hexadecimal behind 0x)");
	return -1;
}

int parse_size(const struct call *c, const char *what, const char *text, unsigned int bits,
	       uint64_t max, uint64_t *value)
{
	const char *end;
	int ret = barbuf_size_parse(text, value, &end);

	if (!ret && *end)
		ret = -EINVAL;
	if (ret == -EINVAL)
		return wrong(c, what, text,
			     "not a number (decimal or 0x, then K, M, G or nothing)");
	if (ret == -ERANGE || *value > max)
		return wrong(c, what, text, "exceeds 0x%" PRIx64, max);
	if (*value % (bits / 8))
		return wrong(c, what, text, "not a multiple of %u, the width in bytes", bits / 8);
	return -1;
}

int parse_offset(const struct call *c, const char *text, unsigned int bits, uint64_t size,
		 uint64_t *offset)
{
	unsigned int bytes = bits / 8;
	int status = parse_size(c, "OFFSET", text, bits, UINT64_MAX, offset);

	if (status >= 0)
		return status;
	if (size < bytes || *offset > size - bytes)
		return wrong(c, "OFFSET", text, "past the end: the size is 0x%" PRIx64, size);
	return -1;
}
