// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of commands is whole, and call_parse() does what it says. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"

#include "tap.h"
#include "tree.h"

static void check_text(const char *command, const char *what, const char *text)
{
	CHECK(text && *text && text[strlen(text) - 1] != '\n', "%s: %s is there", command, what);
}

static void check_options(const struct command_desc *cmd)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t nr = command_options(cmd, all, OPTIONS_MAX), i, k;
	bool twice = false, whole = true;

	for (i = 0; i < nr; i++) {
		for (k = 0; k < i; k++)
			twice = twice || !strcmp(all[i]->name, all[k]->name) ||
				(all[i]->letter && all[i]->letter == all[k]->letter);
		whole = whole && all[i]->help && (all[i]->arg || all[i]->kind == KIND_NONE) &&
			(all[i]->kind == KIND_CHOICE) == !!all[i]->choices;
	}
	CHECK(nr < OPTIONS_MAX, "%s: %zu options, which fit", cmd->name, nr);
	CHECK(!twice, "%s: no option twice", cmd->name);
	CHECK(whole, "%s: options are described", cmd->name);
}

static void check_args(const struct command_desc *cmd)
{
	const struct arg_desc *a;
	bool good = true;

	for (a = cmd->args; a && a->name; a++)
		good = good && a->help && (!a->repeat || !a[1].name);
	CHECK(good, "%s: arguments are described, a repeated one is last", cmd->name);
}

static void table_is_whole(void)
{
	const struct example_desc *e;
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		const struct command_desc *cmd = &command_table[i];
		char start[64];

		check_text(cmd->name, "its name", cmd->name);
		check_text(cmd->name, "a brief line", cmd->brief);
		check_text(cmd->name, "a description", cmd->about);
		CHECK(find_command(cmd->name) == cmd, "%s: is found", cmd->name);
		check_options(cmd);
		check_args(cmd);
		snprintf(start, sizeof(start), "barbuf %s", cmd->name);
		REQUIRE(cmd->examples, "%s: has examples", cmd->name);
		for (e = cmd->examples; e->line; e++)
			CHECK(strstr(e->line, start) && e->text, "%s: example '%s'", cmd->name, e->line);
	}
	CHECK(!find_command("nope") && !find_command(""), "others are not found");
}

/* Options and arguments of every kind, as no command has them all. */
static const struct command_desc trial = {
	.name = "trial",
	.brief = "x",
	.about = "x",
	.options = (const struct option_desc[]){
		{ 's', "size", "SIZE", .help = "x" },
		{ 'u', "allow", "WHO", .repeat = true, .help = "x" },
		{ .name = "silent", .help = "x" },
		{ 0 },
	},
	.args = (const struct arg_desc[]){
		{ "ONE", KIND_NONE, .help = "x" },
		{ "TWO", KIND_NONE, .optional = true, .help = "x" },
		{ 0 },
	},
	.json = "x",
	.dry_run = true,
	.takes_command = true,
	.command_optional = true,
};

#define MAX_ARGS 16

/* Parses words separated by blanks; "" for '' . The words must live as long as the call. */
static int parse(struct call *c, char *text, char **argv)
{
	int argc = 0;
	char *word;

	while (argc < MAX_ARGS - 1 && (word = strsep(&text, " ")))
		argv[argc++] = word;
	argv[argc] = NULL;
	return call_parse(c, &trial, argc, argv);
}

static void takes(void)
{
	char text[] = "trial -s 4K one --allow=a -u b --silent -jn two -- cmd --json x";
	char *argv[MAX_ARGS];
	struct call c;
	size_t at = 0;

	REQUIRE(parse(&c, text, argv) == -1, "everything at once is taken");
	CHECK(!strcmp(call_option(&c, "size"), "4K"), "--size has its value");
	CHECK(!strcmp(call_option_next(&c, "allow", &at), "a") &&
		      !strcmp(call_option_next(&c, "allow", &at), "b") &&
		      !call_option_next(&c, "allow", &at),
	      "--allow has both of its values, in their order");
	CHECK(call_has(&c, "silent") && c.json && c.dry_run && !c.verbose, "switches are on");
	CHECK(c.nr_args == 2 && !strcmp(call_arg(&c, 0), "one") && !strcmp(call_arg(&c, 1), "two") &&
		      !call_arg(&c, 2),
	      "both arguments, from between the options");
	CHECK(c.command && !strcmp(c.command[0], "cmd") && !strcmp(c.command[1], "--json") &&
		      !strcmp(c.command[2], "x") && !c.command[3],
	      "the command keeps its own options");
	call_free(&c);
}

static void takes_little(void)
{
	char text[] = "trial one", abbreviated[] = "trial --si 3 one", flags[] = "trial -jjjjjjj one";
	char *argv[MAX_ARGS];
	struct call c;

	CHECK(parse(&c, text, argv) == -1 && !c.command && c.nr_args == 1 && !call_has(&c, "size") &&
		      !c.json && !c.dry_run,
	      "one argument and nothing else");
	call_free(&c);
	CHECK(parse(&c, flags, argv) == -1 && c.json && c.nr_given == 1, "a switch counts once");
	call_free(&c);
	CHECK(parse(&c, abbreviated, argv) == EXIT_WRONG, "--si may be --size or --silent");
	call_free(&c);
}

/* What a refused line says on standard error. */
static void refuses(const char *line, const char *want)
{
	char text[128], got[512] = "", *argv[MAX_ARGS];
	struct call c;
	int ends[2], status;
	ssize_t n;
	int old;

	snprintf(text, sizeof(text), "%s", line);
	if (pipe(ends))
		return;
	fflush(stderr);
	old = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	status = parse(&c, text, argv);
	dup2(old, STDERR_FILENO);
	close(old);
	close(ends[1]);
	n = read(ends[0], got, sizeof(got) - 1);
	close(ends[0]);
	call_free(&c);
	got[n > 0 ? n : 0] = '\0';
	got[strcspn(got, "\n")] = '\0';
	CHECK(status == EXIT_WRONG && !strcmp(got, want), "'%s': %d, %s", line, status, got);
}

static void refuses_all(void)
{
	refuses("trial", "barbuf: trial: ONE '': is missing (see barbuf trial --help)");
	refuses("trial a b c", "barbuf: trial: argument 'c': one too many (takes 2)");
	refuses("trial a -s 1 -s 2", "barbuf: trial: option 'size': given twice");
	refuses("trial a --size", "barbuf: trial: option '--size': needs SIZE");
	refuses("trial a -s", "barbuf: trial: option '-s': needs SIZE");
	refuses("trial a --silent=1", "barbuf: trial: option '--silent=1': takes no value");
	refuses("trial a --nope", "barbuf: trial: option '--nope': not known, or not by that much of its "
				  "name (see barbuf trial --help)");
	refuses("trial a -jx", "barbuf: trial: option '-x': not known, or not by that much of its name "
			       "(see barbuf trial --help)");
	refuses("trial a -v", "barbuf: trial: option '-v': not known, or not by that much of its name "
			      "(see barbuf trial --help)");
	refuses("trial a --", "barbuf: trial: COMMAND '': is missing behind '--'");
}

static void helps(void)
{
	char text[] = "trial --help", *argv[MAX_ARGS], *printed;
	struct call c;
	int status;

	printed = TREE_PRINTED(status = parse(&c, text, argv));
	CHECK(status == EXIT_SUCCESS, "--help is no error, although ONE is missing");
	CHECK(!strncmp(printed, "Usage: barbuf trial [OPTION]... ONE [TWO] [-- COMMAND [ARG...]]\n", 62),
	      "--help begins with the usage");
	CHECK(strstr(printed, "-s, --size SIZE") && strstr(printed, "      --silent") &&
		      strstr(printed, "-n, --dry-run") && !strstr(printed, "--verbose"),
	      "--help has the options, its own and the common ones");
	free(printed);
	call_free(&c);
	printed = TREE_PRINTED(print_overview(stdout));
	CHECK(strstr(printed, "  revoke ") && strstr(printed, "  doctor "), "the overview lists commands");
	free(printed);
}

static void widths(void)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		char *printed = TREE_PRINTED(print_usage(stdout, &command_table[i]));
		char *line, *next = printed;
		size_t longest = 0;

		while ((line = strsep(&next, "\n"))) {
			if (strlen(line) > longest)
				longest = strlen(line);
		}
		CHECK(longest <= 80, "%s --help fits 80 columns, its longest line has %zu",
		      command_table[i].name, longest);
		free(printed);
	}
}

static void numbers(void)
{
	struct call c = { .cmd = &trial };
	uint64_t n = 0;
	int status = 0;

	CHECK(parse_number(&c, "N", "1", 1, 9, &n, &status) && n == 1, "1 is at least 1");
	CHECK(parse_number(&c, "N", "9", 1, 9, &n, &status) && n == 9, "9 is at most 9");
	CHECK(!parse_number(&c, "N", "0", 1, 9, &n, &status) && status == EXIT_WRONG, "0 is not");
	CHECK(!parse_number(&c, "N", "10", 1, 9, &n, &status), "10 is not");
	CHECK(!parse_number(&c, "N", "", 0, 9, &n, &status), "nothing is not");
	CHECK(!parse_number(&c, "N", "-1", 0, UINT64_MAX, &n, &status), "-1 is not");
	CHECK(!parse_number(&c, "N", "1x", 0, 9, &n, &status), "1x is not");
	CHECK(!parse_number(&c, "N", "18446744073709551616", 0, UINT64_MAX, &n, &status), "2^64 is not");
}

int main(void)
{
	table_is_whole();
	takes();
	takes_little();
	refuses_all();
	helps();
	widths();
	numbers();
	return tap_done();
}
