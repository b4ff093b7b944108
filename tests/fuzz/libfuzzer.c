// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = fuzz_subject.check(data, size);

	if (why) {
		fprintf(stderr, "%s: %s\n", fuzz_subject.name, why);
		abort();
	}
	return 0;
}
