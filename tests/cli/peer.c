// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barbuf-cli-peer: what the tests of `barbuf export --socket` need besides barbuf itself.
 *
 *	barbuf-cli-peer as UID GID COMMAND [ARG...]	become that user, without other groups
 *	barbuf-cli-peer silent PATH N			connect N times, say nothing, say how many are
 *						left open after 1 s and at the end
 *	barbuf-cli-peer say PATH TEXT			send one message, print what is answered
 *	barbuf-cli-peer raw PATH TEXT			the same without the library's header
 *	barbuf-cli-peer deaf PATH NAME			ask, and never read the answer
 */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <barbuf.h>

#define SILENT_MAX 64

static void die(const char *what)
{
	fprintf(stderr, "barbuf-cli-peer: %s: %s\n", what, strerror(errno));
	exit(3);
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)))
		die(path);
	return sock;
}

static void as(char **argv)
{
	if (setgroups(0, NULL) || setgid(atoi(argv[1])) || setuid(atoi(argv[0])))
		die("setuid");
	execvp(argv[2], argv + 2);
	die(argv[2]);
}

static unsigned int count_open(const int *socks, unsigned int nr)
{
	unsigned int open = 0, i;

	for (i = 0; i < nr; i++) {
		struct pollfd p = { .fd = socks[i], .events = POLLRDHUP };

		open += poll(&p, 1, 0) == 0;
	}
	return open;
}

static void silent(char **argv)
{
	unsigned int nr = atoi(argv[1]), i;
	int socks[SILENT_MAX];

	if (nr > SILENT_MAX)
		nr = SILENT_MAX;
	for (i = 0; i < nr; i++)
		socks[i] = connect_to(argv[0]);
	sleep(1);
	printf("%u of %u open\n", count_open(socks, nr), nr);
	fflush(stdout);
	/* The server waits for 5 s. */
	sleep(6);
	printf("%u of %u open at the end\n", count_open(socks, nr), nr);
}

static void say(char **argv, bool raw)
{
	int sock = connect_to(argv[0]);
	char answer[BARBUF_MESSAGE_MAX + 1];
	size_t len = 0;
	int ret;

	if (raw)
		ret = send(sock, argv[1], strlen(argv[1]), MSG_NOSIGNAL) < 0 ? -errno : 0;
	else
		ret = barbuf_message_send(sock, argv[1], strlen(argv[1]), -1);
	if (!ret)
		ret = barbuf_message_recv(sock, answer, sizeof(answer) - 1, &len, NULL);
	answer[len] = '\0';
	printf("%s\n", ret ? strerror(-ret) : answer);
}

static void deaf(char **argv)
{
	int sock = connect_to(argv[0]);
	char text[64];

	snprintf(text, sizeof(text), "barbuf/1 lend %s", argv[1]);
	/* Again and again, until what the server does not read fills the socket. */
	while (!barbuf_message_send(sock, text, strlen(text), -1))
		;
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "as"))
		as(argv + 2);
	else if (argc == 4 && !strcmp(argv[1], "silent"))
		silent(argv + 2);
	else if (argc == 4 && !strcmp(argv[1], "say"))
		say(argv + 2, false);
	else if (argc == 4 && !strcmp(argv[1], "raw"))
		say(argv + 2, true);
	else if (argc == 4 && !strcmp(argv[1], "deaf"))
		deaf(argv + 2);
	else
		return 2;
	return 0;
}
