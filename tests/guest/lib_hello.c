// SPDX-License-Identifier: GPL-2.0-only
/* The two programs of README.md, examples/hello, against each other. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const char socket_path[] = "hello.socket";
static char address[32];

/* Each case has a folder of its own: the programs' output and the socket are in it. */
static void prepare(void)
{
	char dir[] = "/tmp/hello.XXXXXX";
	int group;

	if (!dev_bind("edu", address, &group))
		SKIP("this lab has no edu");
	CHECK(mkdtemp(dir));
	OK(chdir(dir));
}

/* Starts a program; what it prints goes to the file @out. */
static pid_t start(const char *out, const char *program, const char *a, const char *b)
{
	pid_t pid = OK(fork());

	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execlp(program, program, a, b, NULL);
		_exit(127);
	}
	return pid;
}

static void wait_listening(void)
{
	uint64_t end = patience();

	while (access(socket_path, F_OK)) {
		CHECK_MSG(now_ns() < end, "the primary does not listen");
		sleep_ms(1);
	}
}

static void check_said(const char *out, const char *want)
{
	char text[512];

	CHECK_MSG(strcmp(read_file(out, text, sizeof(text)), want) == 0, "%s has '%s', not '%s'",
		  out, text, want);
}

static int exit_status(pid_t pid, const char *what)
{
	int status = wait_end(pid, what);

	CHECK_MSG(WIFEXITED(status), "%s ended with status 0x%x", what, status);
	return WEXITSTATUS(status);
}

static void lent_and_taken_back(void)
{
	pid_t primary, client;

	prepare();
	primary = start("primary", "hello-primary", address, socket_path);
	wait_listening();
	client = start("client", "hello-client", socket_path, NULL);
	sleep_ms(300);
	CHECK_EQ(waitpid(client, NULL, WNOHANG), 0);
	CHECK_EQ(exit_status(primary, "the primary"), 0);
	CHECK_EQ(exit_status(client, "the client"), 0);
	check_said("primary", "");
	check_said("client", "read 0x010000ed, until it is taken back\n"
			     "Input/output error, and still here");
}

/* The client ends first, and nobody minds. */
static void client_leaves(void)
{
	pid_t primary, client;

	prepare();
	primary = start("primary", "hello-primary", address, socket_path);
	wait_listening();
	client = start("client", "hello-client", socket_path, NULL);
	sleep_ms(300);
	OK(kill(client, SIGKILL));
	wait_end(client, "the client");
	CHECK_EQ(exit_status(primary, "the primary"), 0);
}

static void what_stock_says(void)
{
	const char *kernel = getenv("LAB_KERNEL");
	pid_t primary, client;

	if (!kernel || strcmp(kernel, "stock"))
		SKIP("the kernel is not stock");
	prepare();
	primary = start("primary", "hello-primary", address, socket_path);
	wait_listening();
	client = start("client", "hello-client", socket_path, NULL);
	CHECK_EQ(exit_status(client, "the client"), 1);
	CHECK_EQ(exit_status(primary, "the primary"), 1);
	check_said("client", "hello-client: map: No such device");
	check_said("primary", "hello-primary: revoke: Inappropriate ioctl for device");
}

static void wrong_words(void)
{
	pid_t pid;

	prepare();
	pid = start("out", "hello-primary", address, NULL);
	CHECK_EQ(exit_status(pid, "a primary without socket"), 2);
	check_said("out", "hello-primary: usage: hello-primary ADDRESS SOCKET");
	pid = start("out", "hello-primary", "0000:7f:1f.7", socket_path);
	CHECK_EQ(exit_status(pid, "a primary of no device"), 1);
	check_said("out", "hello-primary: open: No such device");
	pid = start("out", "hello-client", "nowhere", NULL);
	CHECK_EQ(exit_status(pid, "a client of no socket"), 1);
	check_said("out", "hello-client: nowhere: No such file or directory");
}

static const struct test_case cases[] = {
	CASE_MMAP(lent_and_taken_back),
	CASE_MMAP(client_leaves),
	CASE(what_stock_says),
	CASE(wrong_words),
};

TEST_MAIN(cases)
