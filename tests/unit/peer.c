// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who is at the other end: of pairs, of connections, of a process that has ended. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "peer.h"
#include "tap.h"

#define NOBODY 65534

static int listener = -1;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_len;

/* In the abstract name space, by a name that the kernel chooses. */
static void listen_somewhere(void)
{
	address_len = sizeof(address);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) &&
		      !listen(listener, 4) &&
		      !getsockname(listener, (struct sockaddr *)&address, &address_len),
	      "a listening socket");
}

/*
 * A client as somebody else where we may: it connects and stays until its socket
 * ends or, with leave_to_child, leaves the socket to a child of its own.
 */
static pid_t start_client(bool leave_to_child, int *sock)
{
	char c;
	pid_t pid = fork();

	if (!pid) {
		int s;

		if (!getuid() && (setgid(NOBODY) || setuid(NOBODY)))
			_exit(1);
		s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (connect(s, (struct sockaddr *)&address, address_len))
			_exit(1);
		if (leave_to_child && fork())
			_exit(0);
		_exit(recv(s, &c, 1, 0) > 0);
	}
	*sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return pid;
}

static bool ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void of_a_pair(void)
{
	struct barbuf_peer peer;
	int pidfd;
	int s[2];

	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), "a pair");
	CHECK(!barbuf_peer_get(s[0], &peer) && peer.pid == getpid() && peer.uid == geteuid() &&
		      peer.gid == getegid(),
	      "the peer is who made the pair");
	CHECK(!barbuf_peer_check(s[0], geteuid(), getegid()), "and passes as such");
	pidfd = barbuf_peer_pidfd(s[0]);
	CHECK(pidfd >= 0 && !ended(pidfd), "and lives");
	close(pidfd);
	close(s[0]);
	close(s[1]);
}

static void of_a_connection(void)
{
	uid_t uid = getuid() ? getuid() : NOBODY;
	gid_t gid = getuid() ? getgid() : NOBODY;
	struct barbuf_peer peer = { 0 };
	int sock, pidfd[2], i;
	pid_t pid;

	pid = start_client(false, &sock);
	REQUIRE(sock >= 0, "a client connects");
	CHECK(!barbuf_peer_get(sock, &peer) && peer.pid == pid && peer.uid == uid &&
		      peer.gid == gid,
	      "it is pid %d, uid %d, gid %d", peer.pid, (int)peer.uid, (int)peer.gid);
	CHECK(!barbuf_peer_check(sock, uid, gid) && !barbuf_peer_check(sock, -1, gid) &&
		      !barbuf_peer_check(sock, uid, -1) && !barbuf_peer_check(sock, -1, -1),
	      "that is who may come");
	CHECK(barbuf_peer_check(sock, uid + 1, gid) == -EACCES, "not with another uid");
	CHECK(barbuf_peer_check(sock, uid, gid + 1) == -EACCES, "or another gid");
	CHECK(barbuf_peer_check(sock, uid + 1, -1) == -EACCES, "or another uid and any gid");
	CHECK(barbuf_peer_check(sock, -1, gid + 1) == -EACCES, "or any uid and another gid");

	pidfd[0] = barbuf_peer_pidfd(sock);
	pidfd[1] = barbuf__peer_pidfd_of_pid(sock);
	for (i = 0; i < 2; i++)
		CHECK(pidfd[i] >= 0 && !ended(pidfd[i]), "%s: it lives",
		      i ? "by pid" : "by socket");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (i = 0; i < 2; i++) {
		CHECK(ended(pidfd[i]), "%s: it is dead", i ? "by pid" : "by socket");
		close(pidfd[i]);
	}
	CHECK(barbuf_peer_pidfd(sock) == -ESRCH, "no new pidfd of it");
	CHECK(barbuf__peer_pidfd_of_pid(sock) == -ESRCH, "nor by its pid");
	CHECK(!barbuf_peer_get(sock, &peer) && peer.pid == pid, "who it was is still known");
	close(sock);
}

/* Its pid may be another's by now: nothing says that the socket is not its own any more. */
static void who_left_the_socket(void)
{
	int sock;
	pid_t pid = start_client(true, &sock);

	REQUIRE(sock >= 0 && waitpid(pid, NULL, 0) == pid, "a client leaves its socket to a child");
	CHECK(barbuf_peer_pidfd(sock) == -ESRCH, "it has ended");
	CHECK(barbuf__peer_pidfd_of_pid(sock) == -ESRCH, "nobody has its pid");
	close(sock);
}

/* As a pid that is used again: the process lives, the end of the socket does not. */
static void pid_without_socket(void)
{
	int s[2];

	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) && !close(s[1]),
		"a pair, one end closed");
	CHECK(barbuf__peer_pidfd_of_pid(s[0]) == -ESRCH, "the pid alone proves nothing");
	close(s[0]);
}

static void no_peer(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct barbuf_peer peer = { .pid = 4711 };
	int lone = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
	int inet = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_un self = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(self);
	int p[2];

	CHECK(barbuf_peer_get(lone, &peer) == -ENOTCONN && barbuf_peer_pidfd(lone) == -ENOTCONN &&
		      barbuf_peer_check(lone, -1, -1) == -ENOTCONN,
	      "a socket that is not connected has no peer");
	CHECK(barbuf_peer_get(listener, &peer) == -ENOTCONN &&
		      barbuf_peer_check(listener, -1, -1) == -ENOTCONN,
	      "nor has one that listens");
	CHECK(!bind(datagram, (struct sockaddr *)&self, sizeof(sa_family_t)) &&
		      !getsockname(datagram, (struct sockaddr *)&self, &len) &&
		      !connect(datagram, (struct sockaddr *)&self, len) &&
		      barbuf_peer_get(datagram, &peer) == -ENOTCONN,
	      "nor one of datagrams that was connected by address");
	if (inet < 0 || bind(inet, (struct sockaddr *)&any, sizeof(any)))
		tap_skip("nor one of the Internet", "there is none: %s", strerror(errno));
	else
		CHECK((len = sizeof(any), !getsockname(inet, (struct sockaddr *)&any, &len)) &&
			      !connect(inet, (struct sockaddr *)&any, len) &&
			      barbuf_peer_get(inet, &peer) == -ENOTCONN,
		      "nor one of the Internet");
	REQUIRE(!pipe(p), "a pipe");
	CHECK(barbuf_peer_get(p[0], &peer) == -ENOTSOCK && barbuf_peer_pidfd(p[0]) == -ENOTSOCK,
	      "is no socket");
	CHECK(barbuf_peer_get(-1, &peer) == -EBADF, "and -1 nothing");
	CHECK(peer.pid == 4711, "nothing was written");
	close(p[0]);
	close(p[1]);
	close(lone);
	close(datagram);
	close(inet);
}

int main(void)
{
	listen_somewhere();
	of_a_pair();
	of_a_connection();
	who_left_the_socket();
	pid_without_socket();
	no_peer();
	return tap_done();
}
