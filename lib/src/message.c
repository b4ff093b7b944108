// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <barbuf.h>

#include "message.h"

/* Linux 6.5 */
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif
/* Linux 6.16; the number of all but parisc and sparc */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* The kernel's limit on descriptors in one message. */
#define SCM_FDS_MAX 253
/* For what the socket's options add: credentials, a pidfd, a label, timestamps. */
#define SCM_OTHER_MAX 1024

#define MAGIC 0x62726266 /* "brbf", and the byte order */
#define VERSION 1

struct header {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t len;
	uint32_t nr_fds;
};

static int check_socket(int sock)
{
	socklen_t len = sizeof(int);
	int value;

	if (getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &value, &len))
		return -errno;
	if (value != AF_UNIX)
		return -EPROTOTYPE;
	/* On a stream a short read could not be told from a short message. */
	len = sizeof(int);
	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &value, &len))
		return -errno;
	return value == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

int barbuf__message_send(int sock, enum barbuf__kind kind, const void *msg, size_t len, int fd)
{
	struct header header = {
		.magic = MAGIC,
		.version = VERSION,
		.kind = kind,
		.len = len,
		.nr_fds = fd >= 0,
	};
	struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)msg, .iov_len = len },
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;
	int ret;

	if (len > BARBUF_MESSAGE_MAX)
		return -EMSGSIZE;
	ret = check_socket(sock);
	if (ret)
		return ret;

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		mh.msg_control = control.bytes;
		mh.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}

	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	/* The peer closed the socket, and had not read all. */
	return errno == ECONNRESET ? -EPIPE : -errno;
}

/*
 * Every descriptor that came is closed but the first of SCM_RIGHTS. Returns how
 * many SCM_RIGHTS brought.
 */
static unsigned int take_fds(struct msghdr *mh, int *first)
{
	unsigned int count = 0;
	struct cmsghdr *cmsg;

	*first = -1;
	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		bool rights = cmsg->cmsg_type == SCM_RIGHTS;
		size_t i, n;

		/* SO_PASSPIDFD installs one with each message, which nobody asked us for. */
		if (cmsg->cmsg_level != SOL_SOCKET || (!rights && cmsg->cmsg_type != SCM_PIDFD))
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (rights && !count++)
				*first = fd;
			else if (fd >= 0)
				close(fd);
		}
	}
	return count;
}

/* An empty message reads like the end of the socket. */
static bool has_ended(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

int barbuf__message_recv(int sock, enum barbuf__kind kind, void *buf, size_t size, size_t *len,
			 int *fd)
{
	struct header header;
	/* Not into @buf: what is refused must not be seen there. */
	char bytes[BARBUF_MESSAGE_MAX];
	struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = bytes, .iov_len = sizeof(bytes) },
	};
	/* Room for all that can come: what did not fit could not be counted. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SCM_FDS_MAX * sizeof(int)) + SCM_OTHER_MAX];
	} control;
	struct msghdr mh = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned int count;
	int received;
	ssize_t n;
	int ret;

	ret = check_socket(sock);
	if (ret)
		return ret;

	/* ECONNRESET overtakes what the peer sent before it closed the socket, and is told once. */
	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;

	count = take_fds(&mh, &received);
	if (mh.msg_flags & MSG_CTRUNC)
		ret = -EMFILE;
	else if (n == 0 && !count)
		ret = has_ended(sock) ? -EPIPE : -EBADMSG;
	else if ((size_t)n < sizeof(header) || header.magic != MAGIC)
		ret = -EBADMSG;
	else if (header.version != VERSION)
		ret = -EPROTO;
	else if (header.kind != kind || (mh.msg_flags & MSG_TRUNC) ||
		 header.len != (size_t)n - sizeof(header) || header.nr_fds != count ||
		 count > (fd ? 1u : 0u))
		ret = -EBADMSG;
	else if (header.len > size)
		ret = -EMSGSIZE;
	if (ret) {
		if (received >= 0)
			close(received);
		return ret;
	}

	if (header.len)
		memcpy(buf, bytes, header.len);
	*len = header.len;
	if (fd)
		*fd = received;
	return 0;
}

int barbuf_message_send(int sock, const void *msg, size_t len, int fd)
{
	return barbuf__message_send(sock, BARBUF__KIND_MESSAGE, msg, len, fd);
}

int barbuf_message_recv(int sock, void *buf, size_t size, size_t *len, int *fd)
{
	return barbuf__message_recv(sock, BARBUF__KIND_MESSAGE, buf, size, len, fd);
}

int barbuf_message_refuse_fds(int sock)
{
	int off = 0;

	if (!setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)))
		return 0;
	return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
}
