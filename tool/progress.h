/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of progress on standard error, if that is a terminal and it takes long. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "call.h"

struct progress {
	const char *command;
	uint64_t total; /* 0: show nothing */
	double last; /* when it was drawn */
	bool drawn;
};

void progress_begin(struct progress *p, const struct call *c, uint64_t total);
void progress_at(struct progress *p, uint64_t done);
/* Takes the line away; also before another line on standard error. */
void progress_end(struct progress *p);

#endif
