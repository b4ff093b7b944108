// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <string.h>

#include "call.h"
#include "gen.h"

/* Text as roff: no request by accident, minus signs that can be typed, no long lines. */
static void put(FILE *f, const char *text, size_t len)
{
	bool begin = true;
	size_t i, at = 0;

	for (i = 0; i < len; i++, at++) {
		if (begin && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", f);
		begin = text[i] == ' ' && at > 60;
		if (begin) {
			fputc('\n', f);
			at = 0;
			continue;
		}
		switch (text[i]) {
		case '-':
			fputs("\\-", f);
			break;
		case '\\':
			fputs("\\e", f);
			break;
		case '\'':
			fputs("\\(aq", f);
			break;
		default:
			fputc(text[i], f);
		}
	}
}

static void puts_roff(FILE *f, const char *text)
{
	put(f, text, strlen(text));
}

/* Sentences on lines of their own, as roff has it. */
static void paragraphs(FILE *f, const char *text, const char *macro)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t len = end ? (size_t)(end - text) : strlen(text);
		const char *stop;

		while ((stop = memmem(text, len, ". ", 2))) {
			put(f, text, stop + 1 - text);
			fputc('\n', f);
			len -= stop + 2 - text;
			text = stop + 2;
		}
		put(f, text, len);
		fputc('\n', f);
		if (!end)
			return;
		fprintf(f, "%s\n", macro);
		text = end + 2;
	}
}

static void synopsis(FILE *f, const struct command_desc *cmd)
{
	const struct arg_desc *a;

	fprintf(f, "barbuf %s\n[OPTION]...\n", cmd->name);
	for (a = cmd->args; a && a->name; a++)
		fprintf(f, "%s%s%s%s\n", a->optional ? "[" : "", a->name, a->optional ? "]" : "",
			a->repeat ? "..." : "");
	if (cmd->takes_command)
		fputs(cmd->command_optional ? "[\\-\\- COMMAND [ARG]...]\n" :
					      "\\-\\- COMMAND [ARG]...\n",
		      f);
}

static void options(FILE *f, const struct command_desc *cmd)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t i, nr = command_options(cmd, all, OPTIONS_MAX);

	for (i = 0; i < nr; i++) {
		const struct option_desc *o = all[i];

		fputs(".TP\n", f);
		if (o->letter)
			fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", f);
		puts_roff(f, o->name);
		fputs("\\fR", f);
		if (o->arg)
			fprintf(f, " \\fI%s\\fR", o->arg);
		fputc('\n', f);
		puts_roff(f, o->help);
		fputs(".\n", f);
	}
}

static void command(FILE *f, const struct command_desc *cmd)
{
	const struct example_desc *e;
	const struct arg_desc *a;

	fprintf(f, ".SS %s\n", cmd->name);
	synopsis(f, cmd);
	fputs(".PP\n", f);
	paragraphs(f, cmd->about, ".PP");
	for (a = cmd->args; a && a->name; a++) {
		fprintf(f, ".TP\n\\fI%s\\fR\n", a->name);
		puts_roff(f, a->help);
		fputs(".\n", f);
	}
	options(f, cmd);
	if (cmd->json) {
		fputs(".TP\nThe keys of its JSON\n", f);
		paragraphs(f, cmd->json, ".IP");
	}
	for (e = cmd->examples; e && e->line; e++) {
		fprintf(f, "%s", e == cmd->examples ? ".TP\nExamples\n" : ".IP\n");
		fputs(".B ", f);
		puts_roff(f, e->line);
		fputs("\n.br\n", f);
		puts_roff(f, e->text);
		fputs(".\n", f);
	}
}

void gen_man(FILE *f)
{
	size_t i;

	fputs(".\\\" SPDX-License-Identifier: LGPL-2.1-or-later\n"
	      ".\\\" Made by barbuf-gen of the table in tool/table.c.\n"
	      ".TH BARBUF 1 " BARBUF_MAN_DATE " \"barbuf " BARBUF_TOOL_VERSION "\" \"User Commands\"\n"
	      ".SH NAME\n"
	      "barbuf \\- lend slices of PCI devices to other processes, and take them back\n"
	      ".SH SYNOPSIS\n"
	      ".B barbuf\n"
	      ".I COMMAND\n"
	      "[OPTION]...\n"
	      "[ARG]...\n"
	      ".br\n"
	      ".B barbuf\n"
	      "[\\fICOMMAND\\fR]\n"
	      ".B \\-\\-help\n"
	      ".br\n"
	      ".B barbuf \\-\\-version\n"
	      ".SH DESCRIPTION\n"
	      "A PCI device that is bound to vfio\\-pci can be lent in slices: a buffer is a\n"
	      "list of ranges of one BAR, and whoever gets its descriptor can map these and\n"
	      "nothing else.\n"
	      "The primary, which has the device open, can revoke one buffer without touching\n"
	      "the others.\n"
	      ".PP\n"
	      "A PCI address is written as\n"
	      ".BR lspci (8)\n"
	      "writes it: 00:05.0 or 0000:00:05.0.\n"
	      "A BAR is \\fIADDRESS\\fR/\\fIBAR\\fR, as in 00:05.0/2.\n"
	      "Ranges are\n"
	      "\\fIOFFSET\\fR:\\fILENGTH\\fR[,\\fIOFFSET\\fR:\\fILENGTH\\fR...],\n"
	      "where numbers are decimal or hexadecimal with 0x, and may end with K, M or G\n"
	      "(of 1024).\n"
	      ".PP\n"
	      "Tables have aligned columns on a terminal, and a tab between columns elsewhere;\n"
	      "both begin with a line of the columns\\(aq names.\n"
	      "What is unknown or absent is \\-.\n"
	      "There is colour on a terminal only, and not with\n"
	      ".B NO_COLOR\n"
	      "in the environment.\n"
	      ".PP\n"
	      "With\n"
	      ".B \\-\\-json\n"
	      "one object is printed. It has\n"
	      ".B version\n"
	      "(1; it changes when a key does not mean any more what it did),\n"
	      ".BR command ,\n"
	      "and the keys that are listed with the command.\n"
	      "Sizes and offsets are in bytes.\n"
	      ".SH COMMANDS\n",
	      f);
	for (i = 0; i < NR_COMMANDS; i++)
		command(f, &command_table[i]);
	fputs(".SH EXIT STATUS\n"
	      "0 success, 1 failure, 2 wrong usage.\n"
	      "Each error is one line on standard error.\n"
	      ".SH FILES\n"
	      ".TP\n"
	      "/run/barbuf/ADDRESS\n"
	      "The driver that \\fBbarbuf bind\\fR took a function from.\n"
	      ".TP\n"
	      "/sys/kernel/debug/vfio_pci_dmabuf/ADDRESS\n"
	      "The kernel\\(aqs list of the buffers of a device.\n"
	      ".SH SEE ALSO\n"
	      ".BR libbarbuf (7),\n"
	      ".BR driverctl (8),\n"
	      ".BR lspci (8)\n",
	      f);
}
