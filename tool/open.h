/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening what ADDRESS/BAR names. */
#ifndef TOOL_OPEN_H
#define TOOL_OPEN_H

#include <stdbool.h>
#include <barbuf.h>

#include "pci.h"

/* Is this ADDRESS/BAR, rather than a number? */
bool looks_like_bar(const char *text);

struct open_bar {
	struct pci_function function;
	unsigned int index;
	struct barbuf_device *dev;
	struct barbuf_region region;
};

/* -1, or the exit status behind a line that says what is wrong. @b->dev is to be closed. */
int open_bar(const struct call *c, const char *text, struct open_bar *b);

#endif
