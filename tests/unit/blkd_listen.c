// SPDX-License-Identifier: LGPL-2.1-or-later
/* The socket file of blkd: what is left by one that was killed is in nobody's way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listen.h"
#include "refuses_fds.h"
#include "tap.h"

static char folder[] = "/tmp/blkd-listen-XXXXXX";
static char path[64];

static bool exists(void)
{
	struct stat st;

	return !lstat(path, &st);
}

static void one(void)
{
	struct listener l, second;
	struct stat st;
	int sock;

	REQUIRE(!listen_open(&l, path), "one listens");
	CHECK(!stat(path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0777,
	      "for all users: mode %o", st.st_mode & 0777);
	CHECK(fcntl(l.fd, F_GETFD) & FD_CLOEXEC && fcntl(l.fd, F_GETFL) & O_NONBLOCK,
	      "close-on-exec, and does not block");
	CHECK(listen_open(&second, path) == -EADDRINUSE, "a second is refused");
	sock = listen_connect(path, 5);
	CHECK(sock >= 0, "and the first is still reached");
	close(sock);
	listen_close(&l);
	CHECK(!exists() && listen_connect(path, 5) == -ENOENT, "the file goes with it");
}

static void killed(void)
{
	struct listener dead, l;

	REQUIRE(!listen_open(&dead, path), "one that listens");
	close(dead.fd);
	CHECK(exists() && listen_connect(path, 5) == -ECONNREFUSED, "is killed, its file stays");
	REQUIRE(!listen_open(&l, path), "the next takes its place");
	CHECK(exists(), "with a file of its own");
	listen_close(&l);
	CHECK(!exists(), "that it removes");
}

static void of_another(void)
{
	struct listener old, l;

	REQUIRE(!listen_open(&old, path) && !unlink(path) && !listen_open(&l, path),
		"a file that was removed and is another's");
	listen_close(&old);
	CHECK(exists(), "is left alone");
	listen_close(&l);
}

static void bad(void)
{
	char longest[LISTEN_PATH_MAX + 2];
	struct listener l;
	int fd;

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(listen_open(&l, path) == -EEXIST && exists(), "a file that is no socket stays");
	close(fd);
	unlink(path);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK(listen_open(&l, longest) == -ENAMETOOLONG, "%zu characters are too many",
	      strlen(longest));
	CHECK(listen_open(&l, "") == -ENOENT, "and none too few");
	CHECK(listen_open(&l, "/no/such/folder/socket") == -ENOENT, "no folder");
}

static void locked(void)
{
	struct listener l;
	int fd = open(folder, O_RDONLY | O_DIRECTORY);
	int ret;

	REQUIRE(fd >= 0 && !flock(fd, LOCK_EX), "a folder that somebody has locked");
	ret = listen_open(&l, path);
	CHECK(ret == -ETIMEDOUT && !exists(), "is not waited for without an end: %d", ret);
	close(fd);
}

static void sends_descriptor(void)
{
	struct listener l;
	int sock;

	REQUIRE(!listen_open(&l, path), "one listens");
	sock = listen_connect(path, 5);
	check_refuses_fds(l.fd, sock);
	close(sock);
	listen_close(&l);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	one();
	killed();
	of_another();
	bad();
	locked();
	sends_descriptor();
	rmdir(folder);
	return tap_done();
}
