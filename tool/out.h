/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What commands print. They make JSON values, with --json or without: a row is an
 * object, and a column shows one key of it.
 *
 *	json_t *rows = json_array();
 *	json_array_append_new(rows, json_pack("{s:o, s:I}", "name", out_string(name), "size", size));
 *	status = out_table(c, "buffers", columns, nr_columns, rows);
 *
 * Columns are aligned on a terminal, separated by a tab elsewhere; a header line comes
 * first in both.
 */
#ifndef TOOL_OUT_H
#define TOOL_OUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "call.h"

#define OUT_JSON_VERSION 1
/* Nanoseconds of days, and no 0.72415399999999996. */
#define OUT_JSON_DIGITS 15

enum format {
	FORMAT_TEXT, /* numbers decimal, null as -, false and true as no and yes, arrays with commas */
	FORMAT_SIZE, /* 4K, 64M: the largest unit that divides it */
	FORMAT_HEX, /* 0x1000 */
};

struct column {
	const char *key;
	const char *title; /* NULL: the key */
	enum format format;
	bool right; /* aligned to the right */
};

/* A string from anywhere as JSON: bytes that are no UTF-8 become \xHH. */
json_t *out_string(const char *text);

/*
 * Print and drop @rows: a table, or with --json the object with "version", "command" and
 * @key. Returns EXIT_SUCCESS or EXIT_FAILURE (memory), also when @rows is NULL.
 */
int out_table(const struct call *c, const char *key, const struct column *columns, size_t nr,
	      json_t *rows);
/* Print and drop one row: as a table, or with --json its keys beside "version" and "command". */
int out_record(const struct call *c, const struct column *columns, size_t nr, json_t *row);
/* The table alone, on any stream; keeps @rows. */
int out_rows(FILE *f, bool aligned, const struct column *columns, size_t nr, const json_t *rows);
/* With --json: print "version", "command" and the keys of @object, and drop it. */
int out_object(const struct call *c, json_t *object);

/* Printable text of a string from anywhere: control characters and bytes that are no
 * UTF-8 become \xHH. Cut to @size. */
void out_clean(const char *text, char *buf, size_t size);
/* "64M" */
#define SIZE_TEXT_MAX 24
char *out_size(uint64_t size, char *buf);

/* Is it a terminal? Then lines may be aligned, and coloured unless NO_COLOR or TERM say no. */
bool out_is_terminal(FILE *f);
bool out_has_colour(FILE *f);
#define COLOUR_RED "\033[31m"
#define COLOUR_GREEN "\033[32m"
#define COLOUR_YELLOW "\033[33m"
#define COLOUR_OFF "\033[0m"

#endif
