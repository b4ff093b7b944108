// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <time.h>

#include "out.h"
#include "progress.h"

/* Seconds before the first line, and between two. */
#define INTERVAL 0.5

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void progress_begin(struct progress *p, const struct call *c, uint64_t total)
{
	*p = (struct progress){ .command = c->cmd->name };
	if (out_is_terminal(stderr))
		p->total = total;
	p->last = now();
}

void progress_at(struct progress *p, uint64_t done)
{
	if (!p->total || now() - p->last < INTERVAL)
		return;
	p->last = now();
	p->drawn = true;
	fprintf(stderr, "\rbarbuf: %s: %3d %%", p->command, (int)(100.0 * done / p->total));
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
