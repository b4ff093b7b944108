// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <barbuf.h>

#include "message.h"

uint64_t blk_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int blk_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* A connect() to a primary that does not accept waits as long as a send would. */
	struct timeval limit = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	int sock, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(sock);
		return ret;
	}
	return sock;
}

int blk_socket_wait(int sock, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = sock, .events = events };

	for (;;) {
		uint64_t now = blk_now();
		int ret;

		if (now >= deadline)
			return -ETIMEDOUT;
		ret = poll(&p, 1, (deadline - now) / 1000000 + 1);
		if (ret > 0)
			return 0;
		if (ret < 0 && errno != EINTR)
			return -errno;
	}
}

/* The length of what a primary may say to a client, 0 for anything else. */
static size_t length_of(uint32_t kind, bool *has_fd)
{
	*has_fd = kind == BLK_GRANT || kind == BLK_ARENA || kind == BLK_COMPLETION;
	switch (kind) {
	case BLK_REFUSED:
		return sizeof(struct blk_text);
	case BLK_GRANT:
		return sizeof(struct blk_grant);
	case BLK_ARENA:
	case BLK_COMPLETION:
	case BLK_PING:
	case BLK_PAUSE:
	case BLK_RESUME:
	case BLK_LEAVE:
	case BLK_ENDED:
		return sizeof(struct blk_word);
	}
	return 0;
}

static void clean_text(struct blk_text *t)
{
	size_t i;

	t->text[sizeof(t->text) - 1] = '\0';
	for (i = 0; t->text[i]; i++)
		if (t->text[i] < ' ' || t->text[i] > '~')
			t->text[i] = '?';
}

int blk_message_take(int sock, union blk_message *m, int *fd, uint64_t deadline)
{
	size_t len, want;
	bool has_fd;
	int ret;

	*fd = -1;
	for (;;) {
		ret = barbuf_message_recv(sock, m, sizeof(*m), &len, fd);
		if (ret != -EAGAIN || !deadline)
			break;
		ret = blk_socket_wait(sock, POLLIN, deadline);
		if (ret)
			break;
	}
	/* Of a kind that libbarbuf has not, or longer than the longest of ours. */
	if (ret == -EBADMSG || ret == -EMSGSIZE)
		ret = -EPROTO;
	if (ret)
		return ret;

	want = len >= sizeof(m->kind) ? length_of(m->kind, &has_fd) : 0;
	if (!want || len != want || (*fd >= 0) != has_fd) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EPROTO;
	}
	if (m->kind == BLK_REFUSED)
		clean_text(&m->text);
	return 0;
}

int blk_message_say(int sock, const void *message, size_t size, int timeout_ms)
{
	uint64_t deadline = blk_now() + timeout_ms * 1000000ull;
	int ret;

	while ((ret = barbuf_message_send(sock, message, size, -1)) == -EAGAIN) {
		ret = blk_socket_wait(sock, POLLOUT, deadline);
		if (ret == -ETIMEDOUT)
			return ret;
	}
	return ret ? -EPIPE : 0;
}
