/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guarded accesses of a width that the user chose, and the numbers they are made of. */
#ifndef TOOL_WIDTH_H
#define TOOL_WIDTH_H

#include <stdbool.h>
#include <stdint.h>
#include <barbuf.h>

#include "call.h"

/* As barbuf_map_read32() and the others, of @bits 8, 16, 32 or 64. */
int access_read(struct barbuf_map *map, unsigned int bits, uint64_t offset, uint64_t *value);
int access_write(struct barbuf_map *map, unsigned int bits, uint64_t offset, uint64_t value);

/*
 * Decimal, or hexadecimal behind 0x. -EINVAL: no number; -ERANGE: does not fit @bits. Has no
 * unit: 4K is no value of a register.
 */
int value_parse(const char *text, unsigned int bits, uint64_t *value);

/* These return -1, or the exit status behind a line that says what is wrong. */

/* --width, or @fallback. */
int parse_width(const struct call *c, unsigned int fallback, unsigned int *bits);
int parse_value(const struct call *c, const char *text, unsigned int bits, uint64_t *value);
/* A number with an optional K, M or G that is a multiple of the width, from 0 to @max. */
int parse_size(const struct call *c, const char *what, const char *text, unsigned int bits,
	       uint64_t max, uint64_t *value);
/* An offset that has room for one access before @size. */
int parse_offset(const struct call *c, const char *text, unsigned int bits, uint64_t size,
		 uint64_t *offset);

#endif
