/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Run a command as env(1) or timeout(1) do, and stay behind it. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

struct run {
	char **argv;
	int fd; /* this one, close-on-exec here, is inherited by it */
	const char *const *env; /* NAME=VALUE, in addition; NULL at the end */
};

/**
 * run_command() - start it, pass signals on to it, wait for its end
 * @status: as a shell's: its exit status, or 128 and the number of a signal
 *
 * Signals that a terminal sends reach the command anyhow, and are not passed on.
 *
 * Errors: those of fork() and execvp(): nothing has run.
 */
int run_command(const struct run *r, int *status);

#endif
