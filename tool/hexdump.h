/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes as `hexdump -C` prints them: repeated lines are one '*', the last line is the end. */
#ifndef TOOL_HEXDUMP_H
#define TOOL_HEXDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct hexdump {
	FILE *out;
	uint64_t offset; /* of the line that is being filled */
	unsigned char line[16], last[16];
	size_t fill;
	bool has_last, folded;
};

void hexdump_begin(struct hexdump *h, FILE *out, uint64_t offset);
void hexdump_add(struct hexdump *h, const void *data, size_t len);
void hexdump_end(struct hexdump *h);

#endif
