/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TCP connection of this machine with itself, whose last close() takes so many seconds. */
#ifndef LINGER_H
#define LINGER_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct lingering {
	int listener; /* at the other end, where nobody reads */
	int sock;
};

/* -1 in both if there is no such connection to be had. */
static inline struct lingering linger_open(int seconds)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };
	struct lingering l = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			       socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	socklen_t len = sizeof(at);
	char bytes[4096] = { 0 };

	if (l.listener < 0 || l.sock < 0 || bind(l.listener, (struct sockaddr *)&at, len) ||
	    listen(l.listener, 1) || getsockname(l.listener, (struct sockaddr *)&at, &len) ||
	    connect(l.sock, (struct sockaddr *)&at, len) ||
	    setsockopt(l.sock, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger))) {
		close(l.listener);
		close(l.sock);
		return (struct lingering){ -1, -1 };
	}
	/* Until something has to stay on this side. */
	while (send(l.sock, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	return l;
}

/* This side's descriptor: waits if it is the last, unless @wait is false. */
static inline void linger_close(struct lingering *l, int wait)
{
	struct linger none = { .l_onoff = 1 };

	if (!wait)
		setsockopt(l->sock, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(l->sock);
}

#endif
