/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A value as a bar, on a logarithmic scale: what is measured goes from 1 to millions. */
#ifndef TOOL_BARCHART_H
#define TOOL_BARCHART_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the widest, in UTF-8, and the NUL. */
#define BAR_WIDTH_MAX 32
#define BAR_TEXT_MAX (BAR_WIDTH_MAX * 3 + 1)

/* Does the terminal have block characters? */
bool bar_has_blocks(void);

/* @most: the value that gets the whole width. Eighths of a character with blocks, else '#'. */
void bar_text(double value, double most, unsigned int width, bool blocks, char text[BAR_TEXT_MAX]);

#endif
