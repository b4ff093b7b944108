// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barbuf.h>

#include "listen.h"

#define BACKLOG 64
#define LOCK_TRIES 100 /* of 20 ms */

static int make_address(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path)
		return -ENOENT;
	if (strlen(path) > SOCKET_PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

/* Whoever makes or replaces a socket file holds this, so that two do not replace each other's. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd, tries;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == LOCK_TRIES || errno != EWOULDBLOCK) {
			close(fd);
			return -ETIMEDOUT;
		}
		usleep(20000);
	}
	return fd;
}

/* Removes the file if nobody listens there. */
static int remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, ret;

	if (lstat(a->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: its queue is full; EPROTOTYPE: it is of another type. Both are alive. */
	ret = connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? -errno : 0;
	close(fd);
	if (!ret || ret == -EAGAIN || ret == -EPROTOTYPE)
		return -EADDRINUSE;
	if (ret != -ECONNREFUSED)
		return ret;
	return unlink(a->sun_path) && errno != ENOENT ? -errno : 0;
}

int listen_open(struct listener *l, const char *path, mode_t mode)
{
	struct stat st;
	mode_t mask;
	int lock;
	int ret;

	ret = make_address(&l->address, path);
	if (ret)
		return ret;
	lock = lock_folder(path);
	if (lock < 0)
		return lock;
	ret = remove_stale(&l->address);
	if (ret)
		goto out_unlock;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0) {
		ret = -errno;
		goto out_unlock;
	}
	/* A server takes none, and to close one may take long. A kernel before 6.16 lets them come. */
	barbuf_message_refuse_fds(l->fd);
	/* It has its mode from its first moment on. */
	mask = umask(0777 & ~mode);
	ret = bind(l->fd, (struct sockaddr *)&l->address, sizeof(l->address)) ? -errno : 0;
	umask(mask);
	if (ret)
		goto err_close;
	if (listen(l->fd, BACKLOG) || lstat(path, &st)) {
		ret = -errno;
		unlink(path);
		goto err_close;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	goto out_unlock;

err_close:
	close(l->fd);
out_unlock:
	close(lock);
	return ret;
}

void listen_close(struct listener *l)
{
	struct stat st;

	if (!lstat(l->address.sun_path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->address.sun_path);
	close(l->fd);
}

int listen_connect(const char *path, unsigned int seconds)
{
	struct timeval limit = { .tv_sec = seconds };
	struct sockaddr_un a;
	int fd;
	int ret;

	ret = make_address(&a, path);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The one for sending limits connect(), too. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}
