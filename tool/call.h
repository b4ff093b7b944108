/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of one command: its arguments, and how it says what is wrong. */
#ifndef TOOL_CALL_H
#define TOOL_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "table.h"

#define EXIT_WRONG 2

struct given {
	const struct option_desc *option;
	const char *value; /* "" if it takes none */
};

struct call {
	const struct command_desc *cmd;
	const char *root; /* before /sys, /proc, /dev, /run; "" but in tests */
	bool json, dry_run, verbose;
	struct given *given;
	size_t nr_given;
	char **args; /* positional ones, NULL at the end */
	size_t nr_args;
	char **command; /* behind "--", NULL at the end; NULL: none was given */
};

/*
 * Parse argv[0] (the command's name) and what follows; argv is permuted. Returns -1,
 * or the exit status if there is nothing more to do: --help was given, or wrong usage
 * (one line was printed). End with call_free().
 */
int call_parse(struct call *c, const struct command_desc *cmd, int argc, char **argv);
void call_free(struct call *c);

/* The value of the option of this long name, given last; NULL: it was not given. */
const char *call_option(const struct call *c, const char *name);
static inline bool call_has(const struct call *c, const char *name)
{
	return call_option(c, name);
}
/* Those of a .repeat option: the one at or after *at, which begins with 0; NULL: no more. */
const char *call_option_next(const struct call *c, const char *name, size_t *at);
/* The positional argument @i, NULL: not given. */
const char *call_arg(const struct call *c, size_t i);

/* "barbuf: COMMAND: ARGUMENT 'VALUE': ..." and EXIT_WRONG. */
__attribute__((format(printf, 4, 5))) int wrong(const struct call *c, const char *argument,
						const char *value, const char *fmt, ...);
/* "barbuf: COMMAND: ..." and EXIT_FAILURE. */
__attribute__((format(printf, 2, 3))) int failed(const struct call *c, const char *fmt, ...);
/* The same, but the run goes on. */
__attribute__((format(printf, 2, 3))) void note(const struct call *c, const char *fmt, ...);

/* A whole decimal number of at most @max. False: wrong() was called and *status is its status. */
bool parse_number(const struct call *c, const char *argument, const char *value, uint64_t min,
		  uint64_t max, uint64_t *number, int *status);

/* usage.c */
void print_overview(FILE *f);
void print_usage(FILE *f, const struct command_desc *cmd);
/* "[OPTION]... ADDRESS [--] ..." */
void usage_line(const struct command_desc *cmd, char *line, size_t size);

#define TOOL_COMMAND_PROTOTYPE(name) int cmd_##name(struct call *c);
TOOL_COMMANDS(TOOL_COMMAND_PROTOTYPE)

#endif
