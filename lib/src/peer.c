// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <barbuf.h>

#include "peer.h"

/* Linux 6.5 */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int barbuf_peer_get(int sock, struct barbuf_peer *peer)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address);
	struct ucred cred;

	/* A listening socket has credentials, too: its own. */
	if (getpeername(sock, (struct sockaddr *)&address, &len))
		return -errno;
	if (address.sun_family != AF_UNIX)
		return -ENOTCONN;
	len = sizeof(cred);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	/* Datagram sockets have none unless they came as a pair. */
	if (!cred.pid && cred.uid == (uid_t)-1)
		return -ENOTCONN;
	*peer = (struct barbuf_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return 0;
}

static int poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) > 0;
}

/* Up to Linux 6.15 there is none of a process that was reaped, later there is. */
static int not_of_the_dead(int pidfd)
{
	if (!poll_now(pidfd, POLLIN))
		return pidfd;
	close(pidfd);
	return -ESRCH;
}

int barbuf__peer_pidfd_of_pid(int sock)
{
	struct barbuf_peer peer;
	int pidfd;
	int ret;

	ret = barbuf_peer_get(sock, &peer);
	if (ret)
		return ret;
	/* Not of our PID namespace. */
	if (!peer.pid)
		return -ESRCH;
	pidfd = pidfd_open(peer.pid, 0);
	if (pidfd < 0)
		return -errno;
	/*
	 * The pid was this process's as long as it had not ended, which would have
	 * closed the socket. One that has given its end of the socket to another
	 * process may deceive us; it could give that process the buffer as well.
	 */
	if (poll_now(sock, POLLRDHUP)) {
		close(pidfd);
		return -ESRCH;
	}
	return not_of_the_dead(pidfd);
}

int barbuf_peer_pidfd(int sock)
{
	struct barbuf_peer peer;
	socklen_t len = sizeof(int);
	int pidfd;
	int ret;

	ret = barbuf_peer_get(sock, &peer);
	if (ret)
		return ret;
	if (!getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return not_of_the_dead(pidfd);
	switch (errno) {
	case ENOPROTOOPT:
		return barbuf__peer_pidfd_of_pid(sock);
	case EINVAL: /* reaped, on the first kernels that have the option */
	case ENODATA:
		return -ESRCH;
	default:
		return -errno;
	}
}

int barbuf_peer_check(int sock, uid_t uid, gid_t gid)
{
	struct barbuf_peer peer;
	int ret;

	ret = barbuf_peer_get(sock, &peer);
	if (ret)
		return ret;
	if ((uid != (uid_t)-1 && peer.uid != uid) || (gid != (gid_t)-1 && peer.gid != gid))
		return -EACCES;
	return 0;
}
