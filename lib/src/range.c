// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

/* Read a number with its unit. On error *p stays at the number. */
static int parse_number(const char **p, uint64_t *value)
{
	const char *s = *p;
	unsigned int shift = 0;
	int base = 10;
	uint64_t v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (base == 16 ? !isxdigit((unsigned char)*s) : !isdigit((unsigned char)*s))
		return -EINVAL;
	for (; base == 16 ? isxdigit((unsigned char)*s) : isdigit((unsigned char)*s); s++) {
		int digit = isdigit((unsigned char)*s) ? *s - '0' :
							 tolower((unsigned char)*s) - 'a' + 10;

		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit, &v))
			return -ERANGE;
	}

	switch (*s) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	}
	if (shift) {
		s++;
		if (v >> (64 - shift))
			return -ERANGE;
		v <<= shift;
	}
	*value = v;
	*p = s;
	return 0;
}

int barbuf_size_parse(const char *text, uint64_t *value, const char **end)
{
	const char *p = text;
	uint64_t v;
	int ret;

	ret = parse_number(&p, &v);
	if (!ret && !end && *p)
		return -EINVAL;
	if (end)
		*end = p;
	if (!ret)
		*value = v;
	return ret;
}

int barbuf_ranges_parse(const char *text, struct barbuf_range **ranges, size_t *nr,
			const char **bad)
{
	struct barbuf_range *list;
	size_t count = 1;
	const char *p;
	uint64_t end;
	size_t i;
	int ret;

	for (p = text; *p; p++)
		count += *p == ',';
	list = calloc(count, sizeof(*list));
	if (!list)
		return -ENOMEM;

	p = text;
	for (i = 0; i < count; i++) {
		const char *start = p;

		ret = parse_number(&p, &list[i].offset);
		if (ret)
			goto err;
		if (*p != ':') {
			ret = -EINVAL;
			goto err;
		}
		p++;
		ret = parse_number(&p, &list[i].length);
		if (ret)
			goto err;
		if (*p != (i + 1 < count ? ',' : '\0')) {
			ret = -EINVAL;
			goto err;
		}
		if (__builtin_add_overflow(list[i].offset, list[i].length, &end)) {
			ret = -ERANGE;
			p = start;
			goto err;
		}
		if (*p)
			p++;
	}
	*ranges = list;
	*nr = count;
	return 0;

err:
	free(list);
	if (bad)
		*bad = p;
	return ret;
}

int barbuf_ranges_size(const struct barbuf_range *ranges, size_t nr, uint64_t *size)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		if (__builtin_add_overflow(sum, ranges[i].length, &sum))
			return -EOVERFLOW;
	*size = sum;
	return 0;
}

int barbuf_ranges_locate(const struct barbuf_range *ranges, size_t nr, uint64_t pos,
			 uint64_t *offset, uint64_t *left)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (pos < ranges[i].length) {
			*offset = ranges[i].offset + pos;
			*left = ranges[i].length - pos;
			return 0;
		}
		pos -= ranges[i].length;
	}
	return -ERANGE;
}
