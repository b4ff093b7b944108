/* SPDX-License-Identifier: MIT */
/* The lines that a demo prints, and the count of what it claims. One thread. */
#ifndef TIMELINE_H
#define TIMELINE_H

#include <stdbool.h>

/* Seconds since the first call of any of these. */
double timeline_now(void);

void say(const char *who, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Print and count what should hold; returns whether it does. */
bool claim(const char *who, bool holds, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Print the totals; returns the exit status. */
int timeline_end(void);

/*
 * What stands at the bottom of a terminal, below the lines: erased before a line is printed,
 * drawn again behind it. NULL: nothing. They print to stdout and do not flush.
 */
void timeline_bottom(void (*erase)(void), void (*draw)(void));

/* Colours: by default if stdout is a terminal; never if the environment has NO_COLOR. */
void timeline_terminal(bool is_terminal);
bool timeline_colours(void);

#endif
