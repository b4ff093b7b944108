// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "call.h"

#define WIDTH 80

/* Print words of @text up to @end, broken at WIDTH, from column @at on, indented by @indent. */
static void print_wrapped(FILE *f, const char *text, const char *end, size_t at, size_t indent)
{
	bool begin = true;

	while (text < end) {
		size_t len = strcspn(text, " \n");

		if (len > (size_t)(end - text))
			len = end - text;
		if (len) {
			if (!begin && at + 1 + len > WIDTH) {
				fprintf(f, "\n%*s", (int)indent, "");
				at = indent;
				begin = true;
			}
			at += fprintf(f, "%s%.*s", begin ? "" : " ", (int)len, text);
			begin = false;
		}
		text += len;
		if (text < end)
			text++;
	}
	fputc('\n', f);
}

static void print_paragraphs(FILE *f, const char *text, size_t indent)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		const char *stop = end ? end : text + strlen(text);

		fprintf(f, "%*s", (int)indent, "");
		print_wrapped(f, text, stop, indent, indent);
		if (!end)
			break;
		fputc('\n', f);
		text = end + 2;
	}
}

static void print_item(FILE *f, const char *item, const char *help)
{
	const size_t column = 24;
	size_t at = fprintf(f, "  %s", item);

	if (at + 2 > column) {
		fputc('\n', f);
		at = 0;
	}
	fprintf(f, "%*s", (int)(column - at), "");
	print_wrapped(f, help, help + strlen(help), column, column);
}

void usage_line(const struct command_desc *cmd, char *line, size_t size)
{
	const struct arg_desc *a;
	size_t len = snprintf(line, size, "barbuf %s [OPTION]...", cmd->name);

	for (a = cmd->args; a && a->name && len < size; a++)
		len += snprintf(line + len, size - len, " %s%s%s%s", a->optional ? "[" : "", a->name,
				a->optional ? "]" : "", a->repeat ? "..." : "");
	if (cmd->takes_command && len < size)
		snprintf(line + len, size - len, cmd->command_optional ? " [-- COMMAND [ARG...]]" :
									 " -- COMMAND [ARG...]");
}

static void print_options(FILE *f, const struct command_desc *cmd)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t i, nr = command_options(cmd, all, OPTIONS_MAX);

	fputs("\nOptions:\n", f);
	for (i = 0; i < nr; i++) {
		const struct option_desc *o = all[i];
		char item[64], letter[5] = "    ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(item, sizeof(item), "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		print_item(f, item, o->help);
	}
}

void print_usage(FILE *f, const struct command_desc *cmd)
{
	const struct example_desc *e;
	const struct arg_desc *a;
	char line[256];

	usage_line(cmd, line, sizeof(line));
	fputs("Usage: ", f);
	print_wrapped(f, line, line + strlen(line), 7, 7);
	fputc('\n', f);
	print_paragraphs(f, cmd->about, 0);
	if (cmd->args && cmd->args->name) {
		fputc('\n', f);
		for (a = cmd->args; a->name; a++)
			print_item(f, a->name, a->help);
	}
	print_options(f, cmd);
	if (cmd->json) {
		fputs("\nJSON:\n", f);
		print_paragraphs(f, cmd->json, 2);
	}
	if (cmd->examples) {
		fputs("\nExamples:\n", f);
		for (e = cmd->examples; e->line; e++)
			fprintf(f, "  %s\n      %s\n", e->line, e->text);
	}
}

void print_overview(FILE *f)
{
	size_t i;

	fputs("Usage: barbuf COMMAND [OPTION]... [ARG]...\n"
	      "       barbuf COMMAND --help\n"
	      "       barbuf --help | --version\n"
	      "\n"
	      "Lend slices of PCI devices to other processes, watch them, and take them back.\n"
	      "\n"
	      "Commands:\n",
	      f);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(f, "  %-10s %s\n", command_table[i].name, command_table[i].brief);
	fputs("\n"
	      "ADDRESS is as lspci writes it: 00:05.0 or 0000:00:05.0. A BAR is ADDRESS/BAR:\n"
	      "00:05.0/2. Ranges are OFFSET:LENGTH[,OFFSET:LENGTH...], decimal or 0x, with K, M\n"
	      "or G of 1024.\n"
	      "\n"
	      "Exit status: 0 success, 1 failure, 2 wrong usage.\n",
	      f);
}
