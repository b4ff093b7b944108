/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that are run as a user would: their words and exit status. */
#ifndef BARBUF_TESTS_PROGRAM_H
#define BARBUF_TESTS_PROGRAM_H

#include <sys/types.h>

/* Makes a folder for the case's files and goes there. */
void enter_scratch(void);
/* Starts a program with these arguments, the last of them NULL; what it prints goes to the file @out. */
pid_t start_program(const char *out, const char *program, ...) __attribute__((sentinel));
/* Waits for its end and gives its exit status; a signal fails the case. */
int exit_status(pid_t pid, const char *what);
/* It printed exactly this; it printed this among other things. */
void check_said(const char *out, const char *want);
void check_mentions(const char *out, const char *want);

#endif
