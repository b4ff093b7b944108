// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <string.h>

#include "hexdump.h"

void hexdump_begin(struct hexdump *h, FILE *out, uint64_t offset)
{
	*h = (struct hexdump){ .out = out, .offset = offset };
}

static void print_line(struct hexdump *h)
{
	char text[sizeof(h->line) + 1];
	size_t i;

	if (h->has_last && h->fill == sizeof(h->line) && !memcmp(h->line, h->last, h->fill)) {
		if (!h->folded)
			fputs("*\n", h->out);
		h->folded = true;
		goto out;
	}
	fprintf(h->out, "%08" PRIx64 " ", h->offset);
	for (i = 0; i < sizeof(h->line); i++) {
		unsigned char c = h->line[i];

		if (i == sizeof(h->line) / 2)
			fputc(' ', h->out);
		if (i < h->fill)
			fprintf(h->out, " %02x", c);
		else
			fputs("   ", h->out);
		/* Not isprint(): a byte is no character of the locale. */
		text[i] = c >= ' ' && c <= '~' ? c : '.';
	}
	text[h->fill] = '\0';
	fprintf(h->out, "  |%s|\n", text);
	memcpy(h->last, h->line, sizeof(h->last));
	h->has_last = true;
	h->folded = false;
out:
	h->offset += h->fill;
	h->fill = 0;
}

void hexdump_add(struct hexdump *h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len) {
		size_t n = sizeof(h->line) - h->fill;

		if (n > len)
			n = len;
		memcpy(h->line + h->fill, p, n);
		h->fill += n;
		p += n;
		len -= n;
		if (h->fill == sizeof(h->line))
			print_line(h);
	}
}

void hexdump_end(struct hexdump *h)
{
	if (h->fill)
		print_line(h);
	fprintf(h->out, "%08" PRIx64 "\n", h->offset);
}
