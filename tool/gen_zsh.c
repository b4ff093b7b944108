// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "gen.h"

static const char head[] =
	"#compdef barbuf\n"
	"# SPDX-License-Identifier: LGPL-2.1-or-later\n"
	"# Made by barbuf-gen of the table in tool/table.c.\n"
	"\n"
	"# Domain 0 need not be typed.\n"
	"_barbuf_addresses() {\n"
	"\tlocal -a found\n"
	"\tfound=(${@:t})\n"
	"\t[[ $PREFIX == 0000:* ]] || found=(${found#0000:})\n"
	"\tcompadd -- $found\n"
	"}\n"
	"\n"
	"_barbuf_device() { _barbuf_addresses /sys/bus/pci/devices/*(N) }\n"
	"_barbuf_vfio_device() { _barbuf_addresses /sys/bus/pci/drivers/*vfio*/*:*(N) }\n"
	"\n"
	"_barbuf_vfio_bar() {\n"
	"\tlocal -a found\n"
	"\tfound=(/sys/bus/pci/drivers/*vfio*/*:*/resource[0-5](N))\n"
	"\tfound=(${${found#/sys/bus/pci/drivers/*/}/resource/})\n"
	"\t[[ $PREFIX == 0000:* ]] || found=(${found#0000:})\n"
	"\tcompadd -- $found\n"
	"}\n"
	"\n"
	"_barbuf_ps() {\n"
	"\tlocal -aU found\n"
	"\tfound=(${(f)\"$(barbuf ps 2>/dev/null | cut -f $1 | sed 1d)\"})\n"
	"\tcompadd -- $found\n"
	"}\n"
	"\n"
	"_barbuf_buffer() { _barbuf_ps 12 }\n"
	"_barbuf_pid() { _barbuf_ps 1 }\n"
	"_barbuf_vfio_device_or_buffer() { _barbuf_vfio_device; _barbuf_buffer }\n"
	"\n"
	"_barbuf() {\n"
	"\tlocal curcontext=$curcontext state line ret=1\n"
	"\tlocal -a commands\n"
	"\n"
	"\tcommands=(\n";

static const char middle[] =
	"\t)\n"
	"\t_arguments -C \\\n"
	"\t\t'(- *)'{-h,--help}'[what barbuf can do]' \\\n"
	"\t\t'(- *)'{-V,--version}'[the version]' \\\n"
	"\t\t'1:command:->command' \\\n"
	"\t\t'*::argument:->argument' && ret=0\n"
	"\tcase $state in\n"
	"\tcommand) _describe -t commands command commands && ret=0 ;;\n"
	"\targument)\n"
	"\t\tcurcontext=${curcontext%:*:*}:barbuf-$words[1]:\n"
	"\t\tcase $words[1] in\n";

/* Inside of single quotes, where _arguments and _describe read brackets and colons. */
static void put(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", f);
		else if (strchr("[]:\\", *text))
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void put_action(FILE *f, const char *what, enum kind kind, const char *choices)
{
	fputc(':', f);
	put(f, what);
	fputc(':', f);
	switch (kind) {
	case KIND_NONE:
		fputc(' ', f);
		break;
	case KIND_FILE:
		fputs("_files", f);
		break;
	case KIND_USER:
		fputs("_users", f);
		break;
	case KIND_GROUP:
		fputs("_groups", f);
		break;
	case KIND_CHOICE:
		fprintf(f, "(%s)", choices);
		break;
	default:
		fprintf(f, "_barbuf_%s", gen_kind_name(kind));
	}
}

static void put_option(FILE *f, const struct option_desc *o)
{
	fputs(" \\\n\t\t\t\t", f);
	if (o->repeat)
		fputs(o->letter ? "'*'" : "'*", f);
	else if (o->letter)
		fprintf(f, "'(-%c --%s)'", o->letter, o->name);
	else
		fputc('\'', f);
	if (o->letter)
		fprintf(f, "{-%c,--%s%s}'[", o->letter, o->name, o->arg ? "=" : "");
	else
		fprintf(f, "--%s%s[", o->name, o->arg ? "=" : "");
	put(f, o->help);
	fputc(']', f);
	if (o->arg)
		put_action(f, o->arg, o->kind, o->choices);
	fputc('\'', f);
}

static void put_command(FILE *f, const struct command_desc *cmd)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t i, nr = command_options(cmd, all, OPTIONS_MAX);
	const struct arg_desc *a;

	fprintf(f, "\t\t%s)\n\t\t\t_arguments -s", cmd->name);
	for (i = 0; i < nr; i++)
		put_option(f, all[i]);
	for (a = cmd->args; a && a->name; a++) {
		fprintf(f, " \\\n\t\t\t\t'%s%s", a->repeat ? "*" : "", a->optional && !a->repeat ? ":" : "");
		put_action(f, a->name, a->kind, a->choices);
		fputc('\'', f);
	}
	if (cmd->takes_command)
		fputs(" \\\n\t\t\t\t'*::command:_normal'", f);
	fputs(" && ret=0\n\t\t\t;;\n", f);
}

void gen_zsh(FILE *f)
{
	size_t i;

	fputs(head, f);
	for (i = 0; i < NR_COMMANDS; i++) {
		fprintf(f, "\t\t'%s:", command_table[i].name);
		put(f, command_table[i].brief);
		fputs("'\n", f);
	}
	fputs(middle, f);
	for (i = 0; i < NR_COMMANDS; i++)
		put_command(f, &command_table[i]);
	fputs("\t\tesac\n"
	      "\t\t;;\n"
	      "\tesac\n"
	      "\treturn ret\n"
	      "}\n"
	      "\n"
	      "_barbuf \"$@\"\n",
	      f);
}
