/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands of barbuf are: one table, from which the options are parsed and
 * from which help, man page and completions are made. It has no code of the commands,
 * so that barbuf-gen can be built of it alone.
 *
 * A new command: a line in TOOL_COMMANDS, its description in table.c, and
 * int cmd_NAME(struct call *) in a file of its own.
 */
#ifndef TOOL_TABLE_H
#define TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* In the order in which --help lists them. */
#define TOOL_COMMANDS(X) \
	X(doctor)        \
	X(list)          \
	X(bind)          \
	X(unbind)        \
	X(export)        \
	X(map)           \
	X(peek)          \
	X(poke)          \
	X(dump)          \
	X(fill)          \
	X(ps)            \
	X(revoke)        \
	X(trace)         \
	X(bench)

#define TOOL_COMMAND_ENUM(name) CMD_##name,
enum tool_command_id { TOOL_COMMANDS(TOOL_COMMAND_ENUM) NR_COMMANDS };

/* What a value is: completion offers it. */
enum kind {
	KIND_NONE, /* nothing to offer: a number, a new name */
	KIND_DEVICE, /* PCI address */
	KIND_VFIO_DEVICE, /* of one that is bound to a VFIO driver */
	KIND_VFIO_BAR, /* ADDRESS/BAR of such a one */
	KIND_FILE, /* path, also of a socket */
	KIND_BUFFER, /* name of a buffer that somebody has mapped */
	KIND_VFIO_DEVICE_OR_BUFFER,
	KIND_PID,
	KIND_USER,
	KIND_GROUP,
	KIND_CHOICE, /* one of .choices */
};

struct option_desc {
	char letter; /* or 0 */
	const char *name; /* long, without the dashes */
	const char *arg; /* name of its argument; NULL: takes none */
	enum kind kind;
	const char *choices; /* separated by blanks */
	bool repeat; /* may be given more than once */
	const char *help; /* a clause, no full stop */
};

struct arg_desc {
	const char *name; /* as in the usage line: ADDRESS */
	enum kind kind;
	const char *choices;
	bool optional;
	bool repeat; /* the last one only: any number from here on */
	const char *help;
};

struct example_desc {
	const char *line; /* what is typed */
	const char *text; /* what it is for */
};

struct command_desc {
	const char *name;
	const char *brief; /* one line, lower case, no full stop */
	const char *about; /* paragraphs, separated by an empty line */
	const struct option_desc *options; /* of its own; up to one without .name */
	const struct arg_desc *args; /* up to one without .name */
	const char *json; /* the keys of its object, in paragraphs; NULL: no --json */
	bool dry_run; /* takes --dry-run */
	bool verbose; /* takes --verbose */
	bool takes_command; /* "-- COMMAND [ARG...]" at the end */
	bool command_optional;
	const struct example_desc *examples; /* up to one without .line */
};

extern const struct command_desc command_table[NR_COMMANDS];

/* Options that several commands have: --help and what the flags above say. */
size_t command_options(const struct command_desc *cmd, const struct option_desc **all, size_t max);
#define OPTIONS_MAX 32

const struct command_desc *find_command(const char *name);

#endif
