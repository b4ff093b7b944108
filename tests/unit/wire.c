// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "wire.h"

_Static_assert(offsetof(struct wire, payload) == WIRE_HEAD, "a header of 16 bytes");
_Static_assert(sizeof(struct wire_description) == 72, "a description of 72");

bool wire_send(int sock, const void *bytes, size_t len, const int *fds, unsigned int nr_fds,
	       unsigned int per_cmsg)
{
	struct iovec iov = { (void *)bytes, len };
	union {
		struct cmsghdr align;
		char bytes[WIRE_MAX_FDS * CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t at = 0;
	unsigned int i, n;

	for (i = 0; i < nr_fds; i += n) {
		struct cmsghdr *cmsg = (void *)(control.bytes + at);

		n = nr_fds - i < per_cmsg ? nr_fds - i : per_cmsg;
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds + i, n * sizeof(int));
		at += CMSG_SPACE(n * sizeof(int));
	}
	if (at) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = at;
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)len;
}

unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}
