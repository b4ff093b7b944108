/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands that run on print with --json: one object a line, as it happens. */
#ifndef TOOL_JSONLINE_H
#define TOOL_JSONLINE_H

#include <jansson.h>

#include "call.h"

/* Prints "version", "command" and the keys of @object, and drops it. 0 or EXIT_FAILURE. */
int out_line(const struct call *c, json_t *object);

#endif
