// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barbuf-cli-peer: what the tests of `barbuf export --socket` need besides barbuf itself.
 *
 *	barbuf-cli-peer as UID GID COMMAND [ARG...]	become that user, without other groups
 *	barbuf-cli-peer silent PATH N			connect N times, say nothing, print what each
 *						is told
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

static void print_answer(int sock)
{
	char answer[BARBUF_MESSAGE_MAX + 1];
	size_t len = 0;
	int ret = barbuf_message_recv(sock, answer, sizeof(answer) - 1, &len, NULL);

	answer[len] = '\0';
	printf("%s\n", ret ? strerror(-ret) : answer);
	fflush(stdout);
}

static void silent(char **argv)
{
	unsigned int nr = atoi(argv[1]), left, i;
	struct pollfd p[SILENT_MAX];

	if (nr > SILENT_MAX)
		nr = SILENT_MAX;
	for (i = 0; i < nr; i++)
		p[i] = (struct pollfd){ .fd = connect_to(argv[0]), .events = POLLIN };
	/* The server waits for 5 s. */
	for (left = nr; left && poll(p, nr, 30000) > 0;) {
		for (i = 0; i < nr; i++) {
			if (!p[i].revents)
				continue;
			print_answer(p[i].fd);
			close(p[i].fd);
			p[i].fd = -1;
			left--;
		}
	}
}

static void say(char **argv, bool raw)
{
	int sock = connect_to(argv[0]);
	int ret;

	if (raw)
		ret = send(sock, argv[1], strlen(argv[1]), MSG_NOSIGNAL) < 0 ? -errno : 0;
	else
		ret = barbuf_message_send(sock, argv[1], strlen(argv[1]), -1);
	if (ret)
		printf("%s\n", strerror(-ret));
	else
		print_answer(sock);
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
