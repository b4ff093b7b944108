/* SPDX-License-Identifier: MIT */
/* Rows at the bottom of a terminal, below the lines of the timeline; in a pipe once, at the end. */
#ifndef SCREEN_H
#define SCREEN_H

#include <stdbool.h>

#include "rows.h"

/* @columns, @lines: of the terminal; columns 0: there is none. lines 0: not known. */
void screen_begin(unsigned int columns, unsigned int lines, const char *legend);
/* From now on also this row, which stays. */
void screen_add(struct row *r);
/* Draw again what may have changed, a few times a second at most. */
void screen_refresh(void);
/* Leave the rows where they are: what is printed from now on is below them. */
void screen_end(void);

#endif
