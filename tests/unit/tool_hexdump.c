// SPDX-License-Identifier: LGPL-2.1-or-later
/* What `barbuf dump` prints is what `hexdump -C` prints. */
#include <stdlib.h>
#include <string.h>

#include "hexdump.h"
#include "tap.h"

static char *text;
static size_t size;

/* In pieces of @step bytes. */
static void dump(uint64_t offset, const void *data, size_t len, size_t step)
{
	struct hexdump h;
	size_t i;
	FILE *f;

	free(text);
	text = NULL;
	f = open_memstream(&text, &size);
	hexdump_begin(&h, f, offset);
	for (i = 0; i < len; i += step)
		hexdump_add(&h, (const char *)data + i, len - i < step ? len - i : step);
	hexdump_end(&h);
	fclose(f);
}

static void lines(void)
{
	static const char whole[] =
		"00000000  00 1f 20 41 7e 7f 80 ff  30 31 32 33 34 35 36 37  |.. A~...01234567|\n"
		"00000010\n";
	static const char part[] =
		"00001000  00 1f 20 41 7e 7f 80 ff  30                       |.. A~...0|\n"
		"00001009\n";
	static const char data[] = "\0\x1f A~\x7f\x80\xff"
				   "01234567";

	dump(0, data, 16, 16);
	CHECK(!strcmp(text, whole), "a whole line");
	dump(0, data, 16, 1);
	CHECK(!strcmp(text, whole), "a whole line, byte by byte");
	dump(0x1000, data, 9, 4);
	CHECK(!strcmp(text, part), "a part of a line, from an offset");
	dump(0x40, data, 0, 1);
	CHECK(!strcmp(text, "00000040\n"), "nothing");
	dump(UINT64_C(0x123456789), data, 0, 1);
	CHECK(!strcmp(text, "123456789\n"), "an offset beyond 32 bits");
}

static void folding(void)
{
	unsigned char data[16 * 6 + 4] = { 0 };
	static const char want[] =
		"00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
		"*\n"
		"00000030  01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
		"00000040  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
		"*\n"
		"00000060  00 00 00 00                                       |....|\n"
		"00000064\n";

	data[0x30] = 1;
	dump(0, data, sizeof(data), 7);
	CHECK(!strcmp(text, want), "equal lines are folded, a short one is not");
}

int main(void)
{
	lines();
	folding();
	free(text);
	return tap_done();
}
