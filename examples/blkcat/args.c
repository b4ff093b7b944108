// SPDX-License-Identifier: MIT
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

/* Digits alone: strtoull() takes a sign and blanks. False: no digit, or more than 64 bits. */
static bool parse(const char **text, uint64_t *value)
{
	const char *p = *text;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, *p - '0', value))
			return false;
	if (p == *text)
		return false;
	*text = p;
	return true;
}

bool arg_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *end = text;

	if (parse(&end, value) && !*end && *value >= min && *value <= max)
		return true;
	warnx("%s: '%s' is not a number from %ju to %ju", option, text, (uintmax_t)min,
	      (uintmax_t)max);
	return false;
}

bool arg_blocks(const char *option, const char *text, uint64_t *first, uint64_t *count)
{
	const char *end = text;

	*count = 0;
	if (parse(&end, first)) {
		if (!*end)
			return true;
		if (*end++ == '+' && parse(&end, count) && !*end && *count)
			return true;
	}
	warnx("%s: '%s' is not FIRST or FIRST+COUNT, as 0+16", option, text);
	return false;
}

bool arg_fit_blocks(const char *option, const struct blk_client_facts *facts, uint64_t first,
		    uint64_t *count)
{
	if (first < facts->nr_blocks && *count <= facts->nr_blocks - first) {
		if (!*count)
			*count = facts->nr_blocks - first;
		return true;
	}
	warnx("%s: %ju+%ju is not in the lease, which has %ju blocks of %u bytes", option,
	      (uintmax_t)first, (uintmax_t)(*count ? *count : 1), (uintmax_t)facts->nr_blocks,
	      facts->window.block_size);
	return false;
}

bool arg_socket(int argc, char **argv, int at, const char **socket)
{
	if (argc - at == 1) {
		*socket = argv[at];
		return true;
	}
	if (argc == at)
		warnx("the SOCKET of blkd is missing, see --help");
	else
		warnx("'%s': one SOCKET is taken and no more, see --help", argv[at + 1]);
	return false;
}
