// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"
#include "hexdump.h"
#include "out.h"
#include "progress.h"
#include "target.h"

#define PIECE 4096

struct dump {
	unsigned int bits;
	uint64_t offset, length;
	bool raw;
};

static int parse(const struct call *c, const struct target *t, size_t first, struct dump *d)
{
	const char *offset = call_arg(c, first);
	const char *length = call_arg(c, first + 1);
	int status;

	if (c->nr_args > first + 2)
		return wrong(c, "argument", c->args[first + 2], "one too many");
	status = parse_width(c, 32, &d->bits);
	d->raw = call_has(c, "raw");
	d->offset = 0;
	if (status < 0 && offset)
		status = parse_offset(c, offset, d->bits, t->size, &d->offset);
	if (status >= 0)
		return status;
	d->length = t->size - d->offset;
	d->length -= d->length % (d->bits / 8);
	if (length)
		status = parse_size(c, "LENGTH", length, d->bits, t->size - d->offset, &d->length);
	if (status >= 0)
		return status;
	if (!d->length)
		return wrong(c, "LENGTH", length ? length : "0", "nothing to print");
	if (d->raw && out_is_terminal(stdout))
		return wrong(c, "--raw", "", "standard output is a terminal");
	return -1;
}

/* By accesses of the width, each once. Returns how many bytes could be read. */
static size_t read_piece(struct barbuf_map *map, unsigned int bits, uint64_t at, void *buf,
			 size_t len)
{
	size_t bytes = bits / 8, i;
	uint64_t value;

	for (i = 0; i < len; i += bytes) {
		if (access_read(map, bits, at + i, &value))
			break;
		/* What is in the BAR, byte by byte: x86-64 and arm64 are little-endian. */
		memcpy((char *)buf + i, &value, bytes);
	}
	return i;
}

static int dump(const struct call *c, struct target *t, const struct dump *d)
{
	int status = EXIT_SUCCESS;
	struct barbuf_map *map;
	struct progress progress;
	char buf[PIECE];
	uint64_t at, i;
	struct hexdump h;
	size_t len, got;
	int ret;

	ret = target_map(t, c, d->offset, d->length, false, &map, &at);
	if (ret >= 0)
		return ret;
	hexdump_begin(&h, stdout, d->offset);
	/* Lines that scroll by are progress enough. */
	progress_begin(&progress, c, out_is_terminal(stdout) ? 0 : d->length);
	for (i = 0; i < d->length && !status; i += got) {
		len = d->length - i < sizeof(buf) ? d->length - i : sizeof(buf);
		got = read_piece(map, d->bits, at + i, buf, len);
		if (d->raw)
			fwrite(buf, 1, got, stdout);
		else
			hexdump_add(&h, buf, got);
		progress_at(&progress, i + got);
		if (got < len) {
			progress_end(&progress);
			status = target_lost(t, c, d->offset + i + got);
		}
		if (ferror(stdout))
			break;
	}
	progress_end(&progress);
	if (!d->raw)
		hexdump_end(&h);
	barbuf_unmap(map);
	return status;
}

int cmd_dump(struct call *c)
{
	struct target t;
	struct dump d;
	size_t taken;
	int status;

	status = target_open(&t, c, &taken);
	if (status >= 0)
		return status;
	status = parse(c, &t, taken, &d);
	if (status < 0)
		status = dump(c, &t, &d);
	target_close(&t);
	return status;
}
