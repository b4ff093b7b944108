/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket file of a server, and a client's way to it. SOCK_SEQPACKET, close-on-exec. */
#ifndef TOOL_LISTEN_H
#define TOOL_LISTEN_H

#include <sys/types.h>
#include <sys/un.h>

/* Longest path of a socket, without the NUL. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct listener {
	int fd; /* does not block */
	struct sockaddr_un address;
	dev_t dev; /* which file is ours */
	ino_t ino;
};

/**
 * listen_open() - make a socket file of this mode, and listen
 *
 * A file that a server has left behind when it died is replaced.
 *
 * Errors: -EADDRINUSE: a server answers there; -EEXIST: a file that is no socket;
 * -ENAMETOOLONG; -ETIMEDOUT: others keep the folder locked; those of the system calls.
 */
int listen_open(struct listener *l, const char *path, mode_t mode);

/* Closes it and removes the file, unless another's is there by now. */
void listen_close(struct listener *l);

/* Returns a connected socket that blocks for @seconds at most, or a negative errno. */
int listen_connect(const char *path, unsigned int seconds);

#endif
