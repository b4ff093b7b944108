// SPDX-License-Identifier: LGPL-2.1-or-later
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "out.h"

static void complain(const struct call *c, const char *fmt, va_list ap)
{
	/* One write, so that lines of several processes do not mix. */
	char line[1024], clean[1024];

	vsnprintf(line, sizeof(line), fmt, ap);
	/* Names of processes, mount points and buffers are of anybody's making. */
	out_clean(line, clean, sizeof(clean));
	fprintf(stderr, "barbuf: %s: %s\n", c->cmd->name, clean);
}

int wrong(const struct call *c, const char *argument, const char *value, const char *fmt, ...)
{
	char line[1024], text[1024], clean[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out_clean(value, text, sizeof(text));
	out_clean(line, clean, sizeof(clean));
	fprintf(stderr, "barbuf: %s: %s '%s': %s\n", c->cmd->name, argument, text, clean);
	return EXIT_WRONG;
}

int failed(const struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(c, fmt, ap);
	va_end(ap);
	return EXIT_FAILURE;
}

void note(const struct call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(c, fmt, ap);
	va_end(ap);
}

bool parse_number(const struct call *c, const char *argument, const char *value, uint64_t min,
		  uint64_t max, uint64_t *number, int *status)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || n < min || n > max) {
		*status = wrong(c, argument, value, "not a number from %llu to %llu",
				(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*number = n;
	return true;
}

const char *call_option_next(const struct call *c, const char *name, size_t *at)
{
	while (*at < c->nr_given) {
		const struct given *g = &c->given[(*at)++];

		if (!strcmp(g->option->name, name))
			return g->value;
	}
	return NULL;
}

static bool command_has_option(const struct command_desc *cmd, const char *name)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t i, nr = command_options(cmd, all, OPTIONS_MAX);

	for (i = 0; i < nr; i++) {
		if (!strcmp(all[i]->name, name))
			return true;
	}
	return false;
}

const char *call_option(const struct call *c, const char *name)
{
	const char *value, *last = NULL;
	size_t at = 0;

	assert(command_has_option(c->cmd, name));
	while ((value = call_option_next(c, name, &at)))
		last = value;
	return last;
}

const char *call_arg(const struct call *c, size_t i)
{
	return i < c->nr_args ? c->args[i] : NULL;
}

void call_free(struct call *c)
{
	free(c->given);
	c->given = NULL;
	c->nr_given = 0;
}

/* What is behind "--" is the command's, and getopt must not see it. */
static void split_command(struct call *c, int *argc, char **argv)
{
	int i;

	if (!c->cmd->takes_command)
		return;
	for (i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "--")) {
			argv[i] = NULL;
			*argc = i;
			c->command = argv + i + 1;
			return;
		}
	}
}

/* Optional arguments may stand before others: which is which is the command's to tell. */
static int check_args(const struct call *c)
{
	size_t required = 0, most = 0;
	const struct arg_desc *a;

	for (a = c->cmd->args; a && a->name; a++, most++) {
		required += !a->optional;
		if (required > c->nr_args)
			return wrong(c, a->name, "", "is missing (see barbuf %s --help)",
				     c->cmd->name);
		if (a->repeat)
			return -1;
	}
	if (c->nr_args > most)
		return wrong(c, "argument", c->args[most], "one too many (takes %zu)", most);
	return -1;
}

static int check_command(const struct call *c)
{
	if (!c->cmd->takes_command)
		return -1;
	if (c->command && !*c->command)
		return wrong(c, "COMMAND", "", "is missing behind '--'");
	if (!c->command && !c->cmd->command_optional)
		return wrong(c, "COMMAND", "", "is missing (-- COMMAND [ARG...])");
	return -1;
}

static int take_option(struct call *c, const struct option_desc *o, const char *value)
{
	size_t i;

	if (!strcmp(o->name, "help")) {
		print_usage(stdout, c->cmd);
		return EXIT_SUCCESS;
	}
	for (i = 0; i < c->nr_given && !o->repeat; i++) {
		if (c->given[i].option != o)
			continue;
		return o->arg ? wrong(c, "option", o->name, "given twice") : -1;
	}
	if (!strcmp(o->name, "json"))
		c->json = true;
	else if (!strcmp(o->name, "dry-run"))
		c->dry_run = true;
	else if (!strcmp(o->name, "verbose"))
		c->verbose = true;
	c->given[c->nr_given++] = (struct given){ o, value ? value : "" };
	return -1;
}

/* getopt says ':' or '?', and what it was about in optopt or the last argument. */
static int bad_option(const struct call *c, char **argv, int why, const struct option_desc *known)
{
	char letter[3] = { '-', optopt, '\0' };
	const char *text = argv[optind - 1];

	if (why == ':')
		return wrong(c, "option", text, "needs %s", known && known->arg ? known->arg : "a value");
	if (known && !strncmp(text, "--", 2))
		return wrong(c, "option", text, "takes no value");
	return wrong(c, "option", optopt && !known ? letter : text,
		     "not known, or not by that much of its name (see barbuf %s --help)",
		     c->cmd->name);
}

int call_parse(struct call *c, const struct command_desc *cmd, int argc, char **argv)
{
	const struct option_desc *all[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1] = { 0 };
	char shorts[2 * OPTIONS_MAX + 2] = ":";
	size_t i, nr, len = 1;
	int opt, status;

	*c = (struct call){ .cmd = cmd, .root = "" };
	split_command(c, &argc, argv);
	nr = command_options(cmd, all, OPTIONS_MAX);
	for (i = 0; i < nr; i++) {
		longs[i] = (struct option){ all[i]->name, all[i]->arg ? required_argument : no_argument,
					    NULL, 256 + (int)i };
		if (all[i]->letter) {
			shorts[len++] = all[i]->letter;
			if (all[i]->arg)
				shorts[len++] = ':';
		}
	}
	shorts[len] = '\0';
	c->given = calloc(argc + nr, sizeof(*c->given));
	if (!c->given)
		return failed(c, "%s", strerror(ENOMEM));

	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		bool is_bad = opt == ':' || opt == '?';
		int which = is_bad ? optopt : opt;
		const struct option_desc *o = NULL;

		for (i = 0; i < nr && !o; i++) {
			if (which == 256 + (int)i || (all[i]->letter && which == all[i]->letter))
				o = all[i];
		}
		status = is_bad ? bad_option(c, argv, opt, o) : take_option(c, o, optarg);
		if (status >= 0)
			return status;
	}
	c->args = argv + optind;
	c->nr_args = argc - optind;
	status = check_args(c);
	return status >= 0 ? status : check_command(c);
}
