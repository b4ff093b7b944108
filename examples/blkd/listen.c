// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
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
	if (strlen(path) > LISTEN_PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

/* Two that find the same file left behind must not replace each other's. */
static int lock_folder(const char *path)
{
	char copy[LISTEN_PATH_MAX + 1];
	int fd, tries;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Who may read the folder can lock it, and keep us waiting, but not for ever. */
	for (tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == LOCK_TRIES || errno != EWOULDBLOCK) {
			close(fd);
			return -ETIMEDOUT;
		}
		usleep(20000);
	}
	return fd;
}

static int remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, error;

	if (lstat(a->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? errno : 0;
	close(fd);
	/* Nobody listens is the one answer of a file that was left. */
	if (error != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(a->sun_path) && errno != ENOENT ? -errno : 0;
}

static int open_socket(struct listener *l, const struct sockaddr_un *a)
{
	struct stat st;
	mode_t mask;
	int ret;

	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	/* blkd takes none, and to close one may take long. A kernel before 6.16 lets them come. */
	barbuf_message_refuse_fds(l->fd);
	mask = umask(0);
	ret = bind(l->fd, (const struct sockaddr *)a, sizeof(*a)) ? -errno : 0;
	umask(mask);
	if (!ret && (listen(l->fd, BACKLOG) || lstat(a->sun_path, &st))) {
		ret = -errno;
		unlink(a->sun_path);
	}
	if (ret) {
		close(l->fd);
		return ret;
	}
	strcpy(l->path, a->sun_path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

int listen_open(struct listener *l, const char *path)
{
	struct sockaddr_un a;
	int lock, ret;

	ret = make_address(&a, path);
	if (ret)
		return ret;
	lock = lock_folder(path);
	if (lock < 0)
		return lock;
	ret = remove_stale(&a);
	if (!ret)
		ret = open_socket(l, &a);
	close(lock);
	return ret;
}

void listen_close(struct listener *l)
{
	struct stat st;

	if (!lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	close(l->fd);
}

int listen_connect(const char *path, unsigned int seconds)
{
	struct timeval limit = { .tv_sec = seconds };
	struct sockaddr_un a;
	int fd, ret;

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
