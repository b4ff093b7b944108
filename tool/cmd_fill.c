// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"
#include "progress.h"
#include "target.h"

#define PIECE 4096

struct fill {
	unsigned int bits;
	uint64_t offset, length, value;
	bool from_input;
};

static int parse(const struct call *c, const struct target *t, size_t first, struct fill *f)
{
	static const char *const names[] = { "OFFSET", "LENGTH", "VALUE" };
	size_t i;
	int status;

	for (i = 0; i < 3; i++) {
		if (!call_arg(c, first + i))
			return wrong(c, names[i], "", "is missing");
	}
	if (c->nr_args > first + 3)
		return wrong(c, "argument", c->args[first + 3], "one too many");
	status = parse_width(c, 32, &f->bits);
	if (status < 0)
		status = parse_offset(c, c->args[first], f->bits, t->size, &f->offset);
	if (status < 0)
		status = parse_size(c, "LENGTH", c->args[first + 1], f->bits, t->size - f->offset,
				    &f->length);
	if (status >= 0)
		return status;
	if (!f->length)
		return wrong(c, "LENGTH", c->args[first + 1], "nothing to write");
	f->from_input = !strcmp(c->args[first + 2], "-");
	return f->from_input ? -1 : parse_value(c, c->args[first + 2], f->bits, &f->value);
}

/* @len bytes of standard input, or less at its end. */
static int read_input(const struct call *c, const struct fill *f, struct progress *progress,
		      uint64_t done, char *buf, size_t len, size_t *got)
{
	*got = fread(buf, 1, len, stdin);
	if (*got == len)
		return EXIT_SUCCESS;
	progress_end(progress);
	if (ferror(stdin))
		return failed(c, "standard input: %s", strerror(errno));
	return failed(c, "standard input ended after %" PRIu64 " of %" PRIu64 " bytes", done + *got,
		      f->length);
}

static int fill(const struct call *c, struct target *t, const struct fill *f)
{
	unsigned int bytes = f->bits / 8;
	int status = EXIT_SUCCESS, written = 0;
	struct progress progress;
	struct barbuf_map *map;
	uint64_t at, i, value;
	char buf[PIECE];
	size_t len, got, k;
	int ret;

	ret = target_map(t, c, f->offset, f->length, true, &map, &at);
	if (ret >= 0)
		return ret;
	if (c->dry_run) {
		printf("would write 0x%" PRIx64 " bytes from offset 0x%08" PRIx64
		       " on, %u bits at a time\n",
		       f->length, f->offset, f->bits);
		goto out;
	}
	progress_begin(&progress, c, f->length);
	for (i = 0; i < f->length && !status && !written; i += got) {
		got = len = f->length - i < sizeof(buf) ? f->length - i : sizeof(buf);
		if (f->from_input)
			status = read_input(c, f, &progress, i, buf, len, &got);
		/* What came is written; of a last one that is not whole nothing is. */
		for (k = 0; k + bytes <= got && !written; k += bytes) {
			value = f->value;
			if (f->from_input) {
				value = 0;
				memcpy(&value, buf + k, bytes);
			}
			written = access_write(map, f->bits, at + i + k, value);
		}
		if (written) {
			progress_end(&progress);
			status = target_lost(t, c, f->offset + i + k - bytes);
		}
		progress_at(&progress, i + got);
	}
	progress_end(&progress);
out:
	barbuf_unmap(map);
	return status;
}

int cmd_fill(struct call *c)
{
	struct target t;
	struct fill f;
	size_t taken;
	int status;

	status = target_open(&t, c, &taken);
	if (status >= 0)
		return status;
	status = parse(c, &t, taken, &f);
	if (status < 0)
		status = fill(c, &t, &f);
	target_close(&t);
	return status;
}
