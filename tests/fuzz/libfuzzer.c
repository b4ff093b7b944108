// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>

#include "oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oracle_stats stats;
	const char *why = oracle_check(data, size, &stats);

	if (why) {
		fprintf(stderr, "layout: %s\n", why);
		abort();
	}
	return 0;
}
