// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"
#include "out.h"
#include "target.h"

struct peek {
	unsigned int bits;
	uint64_t offset, count;
};

static int parse(const struct call *c, const struct target *t, size_t first, struct peek *p)
{
	const char *offset = call_arg(c, first);
	const char *count = call_arg(c, first + 1);
	unsigned int bytes;
	int status;

	if (!offset)
		return wrong(c, "OFFSET", "", "is missing");
	if (c->nr_args > first + 2)
		return wrong(c, "argument", c->args[first + 2], "one too many");
	status = parse_width(c, 32, &p->bits);
	if (status < 0)
		status = parse_offset(c, offset, p->bits, t->size, &p->offset);
	if (status >= 0)
		return status;
	p->count = 1;
	if (!count)
		return -1;
	status = parse_size(c, "COUNT", count, 8, UINT64_MAX, &p->count);
	if (status >= 0)
		return status;
	bytes = p->bits / 8;
	if (!p->count)
		return wrong(c, "COUNT", count, "must be 1 at least");
	if (p->count > (t->size - p->offset) / bytes)
		return wrong(c, "COUNT", count,
			     "%" PRIu64 " values of %u bits is all there is from offset %s on",
			     (t->size - p->offset) / bytes, p->bits, offset);
	return -1;
}

static void print_value(const struct peek *p, uint64_t offset, uint64_t value)
{
	printf("0x%08" PRIx64 "%s0x%0*" PRIx64 "\n", offset, out_is_terminal(stdout) ? "  " : "\t",
	       (int)p->bits / 4, value);
}

/* As strings: many readers of JSON keep 53 bits of a number. */
static int add_value(const struct peek *p, json_t *values, uint64_t offset, uint64_t value)
{
	char o[24], v[24];

	snprintf(o, sizeof(o), "0x%" PRIx64, offset);
	snprintf(v, sizeof(v), "0x%0*" PRIx64, (int)p->bits / 4, value);
	return json_array_append_new(values, json_pack("{s:s, s:s}", "offset", o, "value", v));
}

static int peek(const struct call *c, struct target *t, const struct peek *p)
{
	unsigned int bytes = p->bits / 8;
	json_t *values = c->json ? json_array() : NULL;
	struct barbuf_map *map;
	uint64_t at, value, i;
	int status;

	status = target_map(t, c, p->offset, p->count * bytes, false, &map, &at);
	if (status >= 0)
		goto out;
	for (i = 0; i < p->count; i++) {
		uint64_t offset = p->offset + i * bytes;

		if (access_read(map, p->bits, at + i * bytes, &value)) {
			status = target_lost(t, c, offset);
			break;
		}
		if (!c->json)
			print_value(p, offset, value);
		else if (add_value(p, values, offset, value))
			status = failed(c, "%s", strerror(ENOMEM));
		if (status >= 0)
			break;
	}
	barbuf_unmap(map);
	if (status >= 0)
		goto out;
	if (!c->json)
		return EXIT_SUCCESS;
	return out_object(c, json_pack("{s:i, s:o}", "width", (int)p->bits, "values", values));
out:
	json_decref(values);
	return status;
}

int cmd_peek(struct call *c)
{
	struct target t;
	struct peek p;
	size_t taken;
	int status;

	status = target_open(&t, c, &taken);
	if (status >= 0)
		return status;
	status = parse(c, &t, taken, &p);
	if (status < 0)
		status = peek(c, &t, &p);
	target_close(&t);
	return status;
}
