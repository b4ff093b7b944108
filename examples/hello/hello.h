/* SPDX-License-Identifier: MIT */
/* What both programs need and is not libbarbuf's: to end with a message, and a socket. */
#ifndef HELLO_H
#define HELLO_H

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline void must(const char *what, int error)
{
	if (error < 0) {
		errno = -error;
		err(EXIT_FAILURE, "%s", what);
	}
}

static inline int hello_socket(const char *path, struct sockaddr_un *address)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		err(EXIT_FAILURE, "socket");
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		errx(EXIT_FAILURE, "the path of the socket, '%s', has %zu bytes or more", path,
		     sizeof(address->sun_path));
	strcpy(address->sun_path, path);
	return sock;
}

/* A connection with whoever comes first. */
static inline int accept_one(const char *path)
{
	struct sockaddr_un address;
	int listener = hello_socket(path, &address), sock;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		err(EXIT_FAILURE, "%s", path);
	sock = accept(listener, NULL, NULL);
	unlink(path);
	close(listener);
	if (sock < 0)
		err(EXIT_FAILURE, "accept");
	return sock;
}

/* A socket is seen from bind() on, and takes connections from listen() on: for a second it is waited for. */
static inline int connect_to(const char *path)
{
	struct sockaddr_un address;
	int sock = hello_socket(path, &address), tries = 100;

	while (connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		if (errno != ECONNREFUSED || !tries--)
			err(EXIT_FAILURE, "%s", path);
		usleep(10000);
	}
	return sock;
}

#endif
