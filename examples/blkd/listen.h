/* SPDX-License-Identifier: MIT */
/* The socket that clients connect to, and its file. */
#ifndef BLKD_LISTEN_H
#define BLKD_LISTEN_H

#include <sys/types.h>
#include <sys/un.h>

/* Longest path, without the NUL. */
#define LISTEN_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct listener {
	int fd; /* does not block */
	char path[LISTEN_PATH_MAX + 1];
	dev_t dev; /* which file is ours */
	ino_t ino;
};

/**
 * listen_open() - make the socket file, for all users, and listen
 *
 * Who may have what is the policy's; a folder's mode can keep users out before. A file that a
 * blkd has left behind when it was killed is replaced.
 *
 * Errors: -EADDRINUSE: somebody listens there; -EEXIST: a file that is no socket;
 * -ENAMETOOLONG; -ETIMEDOUT: others keep the folder locked; those of the system calls.
 */
int listen_open(struct listener *l, const char *path);

/* Closes it and removes the file, unless it is another's by now. */
void listen_close(struct listener *l);

/* Connect to one. It blocks for @seconds at most. The socket or a negative errno. */
int listen_connect(const char *path, unsigned int seconds);

#endif
