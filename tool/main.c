// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

#include "call.h"

#define COMMAND_RUN(name) [CMD_##name] = cmd_##name,
static int (*const runs[NR_COMMANDS])(struct call *) = { TOOL_COMMANDS(COMMAND_RUN) };

/* What was printed must have arrived: a full disk is a failure. */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "barbuf: standard output: %s\n", strerror(errno));
		return status ? status : EXIT_FAILURE;
	}
	return status;
}

int main(int argc, char **argv)
{
	const struct command_desc *cmd;
	struct call c;
	int status;

	if (argc < 2) {
		fputs("barbuf: COMMAND '': is missing (see barbuf --help)\n", stderr);
		return EXIT_WRONG;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_overview(stdout);
		return finish(EXIT_SUCCESS);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("barbuf %s\n", BARBUF_TOOL_VERSION);
		return finish(EXIT_SUCCESS);
	}
	cmd = find_command(argv[1]);
	if (!cmd) {
		fprintf(stderr, "barbuf: COMMAND '%s': not known (see barbuf --help)\n", argv[1]);
		return EXIT_WRONG;
	}
	status = call_parse(&c, cmd, argc - 1, argv + 1);
	if (status < 0)
		status = runs[cmd - command_table](&c);
	call_free(&c);
	return finish(status);
}
