// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "program.h"

void enter_scratch(void)
{
	char dir[] = "/tmp/program.XXXXXX";

	CHECK(mkdtemp(dir));
	OK(chdir(dir));
}

pid_t start_program(const char *out, const char *program, ...)
{
	const char *argv[16] = { program };
	size_t n = 0;
	va_list ap;
	pid_t pid;

	va_start(ap, program);
	do
		CHECK(++n < ARRAY_SIZE(argv));
	while ((argv[n] = va_arg(ap, const char *)));
	va_end(ap);
	pid = OK(fork());
	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execvp(program, (char **)argv);
		_exit(127);
	}
	return pid;
}

int exit_status(pid_t pid, const char *what)
{
	int status = wait_end(pid, what);

	CHECK_MSG(WIFEXITED(status), "%s ended with status 0x%x", what, status);
	return WEXITSTATUS(status);
}

void check_said(const char *out, const char *want)
{
	char text[2048];

	CHECK_MSG(strcmp(read_file(out, text, sizeof(text)), want) == 0, "%s has '%s', not '%s'",
		  out, text, want);
}

void check_mentions(const char *out, const char *want)
{
	char text[2048];

	CHECK_MSG(strstr(read_file(out, text, sizeof(text)), want), "%s has '%s', without '%s'",
		  out, text, want);
}
