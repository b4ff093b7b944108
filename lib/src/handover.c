// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <barbuf.h>

/* The kernel's limit on descriptors in one message. */
#define SCM_FDS_MAX 253

#define MAGIC 0x62726266 /* "brbf" */

struct header {
	uint32_t magic;
	uint32_t len;
	uint32_t nr_fds;
	uint32_t reserved;
};

/* On a stream a short read could not be told from a short message. */
static int check_type(int sock)
{
	socklen_t len = sizeof(int);
	int type;

	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	return type == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

int barbuf_message_send(int sock, const void *msg, size_t len, int fd)
{
	struct header header = { .magic = MAGIC, .len = len, .nr_fds = fd >= 0 };
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
	ret = check_type(sock);
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
	return n < 0 ? -errno : 0;
}

/* Every descriptor of the message beyond the first is closed. Returns their number. */
static unsigned int take_fds(struct msghdr *mh, int *first)
{
	unsigned int count = 0;
	struct cmsghdr *cmsg;

	*first = -1;
	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		size_t i, n;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++, count++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (count)
				close(fd);
			else
				*first = fd;
		}
	}
	return count;
}

int barbuf_message_recv(int sock, void *buf, size_t size, size_t *len, int *fd)
{
	struct header header;
	struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = buf, .iov_len = size },
	};
	/* Room for all that can come: what did not fit could not be counted. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
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

	ret = check_type(sock);
	if (ret)
		return ret;

	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	count = take_fds(&mh, &received);
	if (n == 0 && !count && !(mh.msg_flags & MSG_CTRUNC))
		return -EPIPE;

	if (mh.msg_flags & MSG_CTRUNC)
		ret = -EMFILE;
	else if ((size_t)n < sizeof(header) || header.magic != MAGIC || header.reserved)
		ret = -EBADMSG;
	else if (mh.msg_flags & MSG_TRUNC)
		ret = -EMSGSIZE;
	else if (header.len != (size_t)n - sizeof(header) || header.nr_fds != count)
		ret = -EBADMSG;
	else if (count > (fd ? 1u : 0u))
		ret = -EBADMSG;
	if (ret) {
		if (received >= 0)
			close(received);
		return ret;
	}

	*len = header.len;
	if (fd)
		*fd = received;
	return 0;
}
