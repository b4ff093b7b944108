// SPDX-License-Identifier: GPL-2.0-only
/* The two programs of README.md, examples/hello, against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "program.h"

static const char socket_path[] = "hello.socket";
static char address[32];

static void prepare(void)
{
	int group;

	if (!dev_bind("edu", address, &group))
		SKIP("this lab has no edu");
	enter_scratch();
}

static void wait_listening(void)
{
	uint64_t end = timeout();

	while (access(socket_path, F_OK)) {
		CHECK_MSG(now_ns() < end, "the primary does not listen");
		sleep_ms(1);
	}
}

/* It has what it was lent. */
static void wait_mapped(pid_t client)
{
	char path[48], maps[16384];
	uint64_t end = timeout();

	snprintf(path, sizeof(path), "/proc/%d/maps", client);
	while (!strstr(read_file(path, maps, sizeof(maps)), "dmabuf:")) {
		CHECK_MSG(now_ns() < end, "the client maps nothing: %s", maps);
		sleep_ms(1);
	}
}

static void lent_and_taken_back(void)
{
	pid_t primary, client;

	prepare();
	primary = start_program("primary", "hello-primary", address, socket_path, NULL);
	wait_listening();
	client = start_program("client", "hello-client", socket_path, NULL);
	wait_mapped(client);
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
	primary = start_program("primary", "hello-primary", address, socket_path, NULL);
	wait_listening();
	client = start_program("client", "hello-client", socket_path, NULL);
	wait_mapped(client);
	OK(kill(client, SIGKILL));
	wait_end(client, "the client");
	CHECK_EQ(exit_status(primary, "the primary"), 0);
}

/* A socket that is bound, as one is for a moment before it listens. */
static void not_listening_yet(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	pid_t client;
	int sock;

	prepare();
	strcpy(at.sun_path, socket_path);
	sock = OK(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	OK(bind(sock, (struct sockaddr *)&at, sizeof(at)));
	client = start_program("client", "hello-client", socket_path, NULL);
	sleep_ms(200);
	OK(listen(sock, 1));
	close(OK(accept(sock, NULL, NULL)));
	CHECK_EQ(exit_status(client, "the client"), 1);
	check_said("client", "hello-client: receive: Broken pipe");
}

static void what_stock_says(void)
{
	const char *kernel = getenv("LAB_KERNEL");
	pid_t primary, client;

	if (!kernel || strcmp(kernel, "stock"))
		SKIP("the kernel is not stock");
	prepare();
	primary = start_program("primary", "hello-primary", address, socket_path, NULL);
	wait_listening();
	client = start_program("client", "hello-client", socket_path, NULL);
	CHECK_EQ(exit_status(client, "the client"), 1);
	CHECK_EQ(exit_status(primary, "the primary"), 1);
	check_said("client", "hello-client: map: No such device");
	check_said("primary", "hello-primary: revoke: Inappropriate ioctl for device");
}

static void wrong_words(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	pid_t pid;
	int sock;

	prepare();
	pid = start_program("out", "hello-primary", address, NULL);
	CHECK_EQ(exit_status(pid, "a primary without socket"), 2);
	check_said("out", "hello-primary: usage: hello-primary ADDRESS SOCKET");
	pid = start_program("out", "hello-primary", "0000:7f:1f.7", socket_path, NULL);
	CHECK_EQ(exit_status(pid, "a primary of no device"), 1);
	check_said("out", "hello-primary: open: No such device");
	pid = start_program("out", "hello-client", "nowhere", NULL);
	CHECK_EQ(exit_status(pid, "a client of no socket"), 1);
	check_said("out", "hello-client: nowhere: No such file or directory");
	/* A socket whose primary is gone. */
	strcpy(at.sun_path, "left");
	sock = OK(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	OK(bind(sock, (struct sockaddr *)&at, sizeof(at)));
	close(sock);
	pid = start_program("out", "hello-client", "left", NULL);
	CHECK_EQ(exit_status(pid, "a client of a socket that is left over"), 1);
	check_said("out", "hello-client: left: Connection refused");
}

static const struct test_case cases[] = {
	CASE_MMAP(lent_and_taken_back), CASE_MMAP(client_leaves), CASE(not_listening_yet),
	CASE(what_stock_says),		CASE(wrong_words),
};

TEST_MAIN(cases)
