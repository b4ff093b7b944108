// SPDX-License-Identifier: LGPL-2.1-or-later
/* What commands print: tables, JSON, and text from anywhere. */
#include <string.h>

#include "out.h"

#include "tap.h"
#include "tree.h"

static const struct command_desc trial = { .name = "trial", .json = "x" };

static const struct column columns[] = {
	{ .key = "name" },
	{ .key = "size", .format = FORMAT_SIZE, .right = true },
	{ .key = "n", .title = "number", .format = FORMAT_HEX },
	{ .key = "yes" },
	{ .key = "list" },
};
#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static json_t *rows(void)
{
	return json_pack("[{s:s, s:i, s:i, s:b, s:[i, i]}, {s:s, s:i, s:n, s:b, s:[]}]", "name", "a\tb",
			 "size", 4096, "n", 255, "yes", 1, "list", 1, 2, "name", "\xc3\xa4", "size", 12,
			 "n", "yes", 0, "list");
}

static void prints(bool aligned, const char *want)
{
	json_t *r = rows();
	char *printed;

	printed = TREE_PRINTED(out_rows(stdout, aligned, columns, NR_COLUMNS, r));
	if (!CHECK(!strcmp(printed, want), "a table %s", aligned ? "on a terminal" : "in a pipe"))
		fputs(printed, stderr);
	free(printed);
	json_decref(r);
}

static void json(void)
{
	struct call c = { .cmd = &trial, .json = true };
	json_t *root, *row;
	json_error_t error;
	char *printed;
	int status = -1;

	printed = TREE_PRINTED(status = out_table(&c, "rows", columns, NR_COLUMNS, rows()));
	root = json_loads(printed, 0, &error);
	free(printed);
	REQUIRE(root && !status, "--json is JSON");
	CHECK(json_integer_value(json_object_get(root, "version")) == OUT_JSON_VERSION &&
		      !strcmp(json_string_value(json_object_get(root, "command")), "trial"),
	      "it says version and command");
	row = json_array_get(json_object_get(root, "rows"), 0);
	CHECK(json_array_size(json_object_get(root, "rows")) == 2 &&
		      !strcmp(json_string_value(json_object_get(row, "name")), "a\tb") &&
		      json_integer_value(json_object_get(row, "size")) == 4096,
	      "and has the values as they are");
	json_decref(root);
}

static void cleans(const char *text, const char *want)
{
	char got[64];

	out_clean(text, got, sizeof(got));
	CHECK(!strcmp(got, want), "cleaned: %s", got);
}

static void cleans_all(void)
{
	char small[8];
	json_t *s;

	cleans("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	cleans("\033[31m\n\x7f", "\\x1b[31m\\x0a\\x7f");
	cleans("\xc2\x9b", "\\xc2\\x9b"); /* CSI as one character */
	cleans("\xff\xc3", "\\xff\\xc3");
	cleans("\xc0\xaf", "\\xc0\\xaf"); /* overlong */
	cleans("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
	cleans("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	out_clean("abcd\xc3\xa4\xc3\xa4", small, sizeof(small));
	CHECK(!strcmp(small, "abcd\xc3\xa4"), "cut between characters");
	s = out_string("x\xff\n");
	CHECK(s && !strcmp(json_string_value(s), "x\\xff\n"), "no UTF-8 in JSON is escaped, a newline is JSON's");
	json_decref(s);
}

static void sizes(void)
{
	char t[SIZE_TEXT_MAX];

	CHECK(!strcmp(out_size(0, t), "0"), "0");
	CHECK(!strcmp(out_size(1023, t), "1023"), "1023");
	CHECK(!strcmp(out_size(1024, t), "1K"), "1K");
	CHECK(!strcmp(out_size(1536 << 10, t), "1536K"), "1536K");
	CHECK(!strcmp(out_size(3ull << 30, t), "3G"), "3G");
	CHECK(!strcmp(out_size(UINT64_MAX, t), "18446744073709551615"), "2^64 - 1");
}

int main(void)
{
	prints(false, "name\tsize\tnumber\tyes\tlist\n"
		      "a\\x09b\t4K\t0xff\tyes\t1,2\n"
		      "\xc3\xa4\t12\t-\tno\t-\n");
	prints(true, "name    size  number  yes  list\n"
		     "a\\x09b    4K  0xff    yes  1,2\n"
		     "\xc3\xa4         12  -       no   -\n");
	json();
	cleans_all();
	sizes();
	return tap_done();
}
