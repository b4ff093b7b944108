// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf/range.h>

/* Read a number with its unit. On error *p stays at the number. */
static int parse_number(const char **p, __u64 *value)
{
	const char *s = *p;
	unsigned int shift = 0;
	int base = 10;
	__u64 v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (base == 16 ? !isxdigit((unsigned char)*s) : !isdigit((unsigned char)*s))
		return -EINVAL;
	for (; base == 16 ? isxdigit((unsigned char)*s) : isdigit((unsigned char)*s); s++) {
		int digit = isdigit((unsigned char)*s) ? *s - '0' :
							 tolower((unsigned char)*s) - 'a' + 10;

		if (__builtin_mul_overflow(v, (__u64)base, &v) ||
		    __builtin_add_overflow(v, (__u64)digit, &v))
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

int barbuf_ranges_parse(const char *text, struct vfio_region_dma_range **ranges, size_t *nr,
			const char **bad)
{
	struct vfio_region_dma_range *list;
	size_t count = 1;
	const char *p;
	__u64 end;
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
		if (*p != '+') {
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

int barbuf_ranges_size(const struct vfio_region_dma_range *ranges, size_t nr, __u64 *size)
{
	__u64 sum = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		if (__builtin_add_overflow(sum, ranges[i].length, &sum))
			return -EOVERFLOW;
	*size = sum;
	return 0;
}

int barbuf_ranges_locate(const struct vfio_region_dma_range *ranges, size_t nr, __u64 pos,
			 __u64 *offset, __u64 *left)
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
