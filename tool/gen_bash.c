// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gen.h"

/* One that works with and without the package bash-completion. */
static const char head[] =
	"# bash completion for barbuf(1)                            -*- shell-script -*-\n"
	"# SPDX-License-Identifier: LGPL-2.1-or-later\n"
	"# Made by barbuf-gen of the table in tool/table.c.\n"
	"\n"
	"# Addresses below the given folders, without domain 0 unless that was typed.\n"
	"_barbuf_addresses() {\n"
	"\tlocal d\n"
	"\n"
	"\tfor d; do\n"
	"\t\t[[ -e $d ]] || continue\n"
	"\t\td=${d##*/}\n"
	"\t\t[[ $cur == 0000:* ]] || d=${d#0000:}\n"
	"\t\tprintf '%s\\n' \"$d\"\n"
	"\tdone\n"
	"}\n"
	"\n"
	"_barbuf_bars() {\n"
	"\tlocal a b\n"
	"\n"
	"\tfor a; do\n"
	"\t\tfor b in \"$a\"/resource[0-5]; do\n"
	"\t\t\t[[ -e $b ]] && printf '%s/%s\\n' \"$(_barbuf_addresses \"$a\")\" \"${b##*resource}\"\n"
	"\t\tdone\n"
	"\tdone\n"
	"}\n"
	"\n"
	"# Values of one column of barbuf ps, counted from 1.\n"
	"_barbuf_ps() {\n"
	"\tbarbuf ps 2>/dev/null | cut -f \"$1\" | sed 1d | sort -u\n"
	"}\n"
	"\n"
	"# Put what begins with $cur, of the lines of standard input, into COMPREPLY.\n"
	"_barbuf_take() {\n"
	"\tlocal line word typed=${cur//\\\\/}\n"
	"\n"
	"\ttyped=${typed#[\\\"\\']}\n"
	"\twhile IFS= read -r line; do\n"
	"\t\t[[ $line && $line == \"$typed\"* ]] || continue\n"
	"\t\tword=$line\n"
	"\t\t[[ $cur == [\\\"\\']* ]] || printf -v word %q \"$line\"\n"
	"\t\tCOMPREPLY+=(\"$word\")\n"
	"\tdone\n"
	"}\n"
	"\n"
	"# KIND [CHOICE...]\n"
	"_barbuf_offer() {\n"
	"\tlocal pci=/sys/bus/pci\n"
	"\n"
	"\tcase $1 in\n"
	"\tdevice) _barbuf_take < <(_barbuf_addresses \"$pci\"/devices/*) ;;\n"
	"\tvfio_device) _barbuf_take < <(_barbuf_addresses \"$pci\"/drivers/*vfio*/*:*) ;;\n"
	"\tvfio_bar) _barbuf_take < <(_barbuf_bars \"$pci\"/drivers/*vfio*/*:*) ;;\n"
	"\tbuffer) _barbuf_take < <(_barbuf_ps 12) ;;\n"
	"\tvfio_device_or_buffer)\n"
	"\t\t_barbuf_offer vfio_device\n"
	"\t\t_barbuf_offer buffer\n"
	"\t\t;;\n"
	"\tpid) _barbuf_take < <(_barbuf_ps 1) ;;\n"
	"\tfile)\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\t\t;;\n"
	"\tuser) mapfile -t COMPREPLY < <(compgen -u -- \"$cur\") ;;\n"
	"\tgroup) mapfile -t COMPREPLY < <(compgen -g -- \"$cur\") ;;\n"
	"\tchoice) _barbuf_take < <(printf '%s\\n' \"${@:2}\") ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_barbuf() {\n"
	"\tlocal words=() cur i word glue options valued args rest command count part reply\n"
	"\n"
	"\t# Bash takes words apart at colons, and at the = of --option=value.\n"
	"\tfor ((i = 0; i <= COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif [[ $word == = ]]; then\n"
	"\t\t\t((i < COMP_CWORD)) || words+=('')\n"
	"\t\telif [[ ${#words[@]} -gt 0 && ($glue || $word == :*) ]]; then\n"
	"\t\t\twords[${#words[@]} - 1]+=$word\n"
	"\t\telse\n"
	"\t\t\twords+=(\"$word\")\n"
	"\t\tfi\n"
	"\t\tglue=\n"
	"\t\t[[ $word == *: ]] && glue=1\n"
	"\tdone\n"
	"\tcur=${words[${#words[@]} - 1]}\n"
	"\tCOMPREPLY=()\n"
	"\n"
	"\tif ((${#words[@]} == 2)); then\n";

static const char tail[] =
	"\tesac\n"
	"\n"
	"\t# How many arguments were there, and is an option waiting for its value?\n"
	"\tcount=0 word=\n"
	"\tfor ((i = 2; i < ${#words[@]} - 1; i++)); do\n"
	"\t\tif [[ $word ]]; then\n"
	"\t\t\tword=\n"
	"\t\telif [[ ${words[i]} == -- && $command ]]; then\n"
	"\t\t\tif ((i == ${#words[@]} - 2)); then\n"
	"\t\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
	"\t\t\telse\n"
	"\t\t\t\t_barbuf_offer file\n"
	"\t\t\tfi\n"
	"\t\t\treturn\n"
	"\t\telif [[ ${words[i]} == -* ]]; then\n"
	"\t\t\t[[ $valued == *\" ${words[i]}:\"* ]] && word=${words[i]}\n"
	"\t\telse\n"
	"\t\t\tcount=$((count + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ $word ]]; then\n"
	"\t\tpart=${valued#*\" $word:\"}\n"
	"\t\tpart=${part%%;*}\n"
	"\t\t# shellcheck disable=SC2086 # choices are words\n"
	"\t\t_barbuf_offer $part\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t# shellcheck disable=SC2086\n"
	"\t\t_barbuf_take < <(printf '%s\\n' $options)\n"
	"\telse\n"
	"\t\tpart=${args[count]-}\n"
	"\t\t[[ ! $part && $rest ]] && part=$rest\n"
	"\t\t# shellcheck disable=SC2086\n"
	"\t\t_barbuf_offer $part\n"
	"\tfi\n"
	"\n"
	"\t# Readline replaces what is behind the last colon only.\n"
	"\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"\t\tpart=${cur%\"${cur##*:}\"}\n"
	"\t\tfor i in \"${!COMPREPLY[@]}\"; do\n"
	"\t\t\treply=${COMPREPLY[i]}\n"
	"\t\t\tCOMPREPLY[i]=${reply#\"$part\"}\n"
	"\t\tdone\n"
	"\tfi\n"
	"} &&\n"
	"\tcomplete -F _barbuf barbuf\n";

static void put_kind(FILE *f, enum kind kind, const char *choices)
{
	fputs(gen_kind_name(kind), f);
	if (choices)
		fprintf(f, " %s", choices);
}

static void put_command(FILE *f, const struct command_desc *cmd)
{
	const struct option_desc *all[OPTIONS_MAX];
	size_t i, nr = command_options(cmd, all, OPTIONS_MAX);
	const struct arg_desc *a;

	fprintf(f, "\t%s)\n\t\toptions='", cmd->name);
	for (i = 0; i < nr; i++)
		fprintf(f, "%s--%s", i ? " " : "", all[i]->name);
	fputs("'\n\t\tvalued='", f);
	for (i = 0; i < nr; i++) {
		if (!all[i]->arg)
			continue;
		fprintf(f, " --%s:", all[i]->name);
		put_kind(f, all[i]->kind, all[i]->choices);
		fputc(';', f);
		if (all[i]->letter) {
			fprintf(f, " -%c:", all[i]->letter);
			put_kind(f, all[i]->kind, all[i]->choices);
			fputc(';', f);
		}
	}
	fputs("'\n\t\targs=(", f);
	for (a = cmd->args; a && a->name; a++) {
		fprintf(f, "%s'", a == cmd->args ? "" : " ");
		put_kind(f, a->kind, a->choices);
		fputc('\'', f);
	}
	fputs(")\n\t\trest=", f);
	for (a = cmd->args; a && a->name; a++) {
		if (a->repeat) {
			fputc('\'', f);
			put_kind(f, a->kind, a->choices);
			fputc('\'', f);
		}
	}
	fprintf(f, "\n\t\tcommand=%s\n\t\t;;\n", cmd->takes_command ? "1" : "");
}

void gen_bash(FILE *f)
{
	size_t i;

	fputs(head, f);
	fputs("\t\t_barbuf_take < <(printf '%s\\n'", f);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(f, " %s", command_table[i].name);
	fputs(" --help --version)\n\t\treturn\n\tfi\n\tcase ${words[1]} in\n", f);
	for (i = 0; i < NR_COMMANDS; i++)
		put_command(f, &command_table[i]);
	fputs("\t*) return ;;\n", f);
	fputs(tail, f);
}
