// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "width.h"
#include "target.h"

struct poke {
	unsigned int bits;
	uint64_t offset, *values;
	size_t nr;
};

/* All of it, before anything is written. */
static int parse(const struct call *c, const struct target *t, size_t first, struct poke *p)
{
	const char *offset = call_arg(c, first);
	size_t i;
	int status;

	if (!offset)
		return wrong(c, "OFFSET", "", "is missing");
	if (c->nr_args < first + 2)
		return wrong(c, "VALUE", "", "is missing");
	status = parse_width(c, 32, &p->bits);
	if (status < 0)
		status = parse_offset(c, offset, p->bits, t->size, &p->offset);
	if (status >= 0)
		return status;

	p->nr = c->nr_args - first - 1;
	if (p->nr > (t->size - p->offset) / (p->bits / 8))
		return wrong(c, "VALUE", c->args[c->nr_args - 1],
			     "past the end: %" PRIu64 " values of %u bits fit from offset %s on",
			     (t->size - p->offset) / (p->bits / 8), p->bits, offset);
	p->values = calloc(p->nr, sizeof(*p->values));
	if (!p->values)
		return failed(c, "%s", strerror(ENOMEM));
	for (i = 0; i < p->nr && status < 0; i++)
		status = parse_value(c, c->args[first + 1 + i], p->bits, &p->values[i]);
	return status;
}

static int poke(const struct call *c, struct target *t, const struct poke *p)
{
	unsigned int bytes = p->bits / 8;
	int status = EXIT_SUCCESS;
	struct barbuf_map *map;
	uint64_t at;
	size_t i;
	int ret;

	/* A dry run maps, too: whether it could be done is what it is asked. */
	ret = target_map(t, c, p->offset, p->nr * bytes, true, &map, &at);
	if (ret >= 0)
		return ret;
	for (i = 0; i < p->nr && !status; i++) {
		uint64_t offset = p->offset + i * bytes;

		if (c->dry_run)
			printf("would write 0x%0*" PRIx64 " to 0x%08" PRIx64 "\n", (int)p->bits / 4,
			       p->values[i], offset);
		else if (access_write(map, p->bits, at + i * bytes, p->values[i]))
			status = target_lost(t, c, offset);
	}
	barbuf_unmap(map);
	return status;
}

int cmd_poke(struct call *c)
{
	struct poke p = { 0 };
	struct target t;
	size_t taken;
	int status;

	status = target_open(&t, c, &taken);
	if (status >= 0)
		return status;
	status = parse(c, &t, taken, &p);
	if (status < 0)
		status = poke(c, &t, &p);
	free(p.values);
	target_close(&t);
	return status;
}
