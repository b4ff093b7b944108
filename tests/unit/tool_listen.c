// SPDX-License-Identifier: LGPL-2.1-or-later
/* Socket files: their mode, who may replace them, and that they go away. */
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

static char folder[] = "/tmp/barbuf-listen-XXXXXX";
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

	REQUIRE(!listen_open(&l, path, 0640), "a server");
	CHECK(!stat(path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0640,
	      "its file has mode %o", st.st_mode & 07777);
	CHECK(fcntl(l.fd, F_GETFD) & FD_CLOEXEC, "and its socket is close-on-exec");
	CHECK(listen_open(&second, path, 0600) == -EADDRINUSE, "there is no second one");
	sock = listen_connect(path, 5);
	CHECK(sock >= 0, "a client reaches the first");
	close(sock);
	listen_close(&l);
	CHECK(!exists(), "the file goes with the server");
	CHECK(listen_connect(path, 5) == -ENOENT, "and then there is none");
}

static void stale(void)
{
	struct listener dead, l;

	REQUIRE(!listen_open(&dead, path, 0600), "a server");
	close(dead.fd);
	CHECK(exists() && listen_connect(path, 5) == -ECONNREFUSED, "that died and left its file");
	REQUIRE(!listen_open(&l, path, 0600), "is replaced");
	listen_close(&l);
	CHECK(!exists(), "and the new one takes its file away");
}

static void replaced(void)
{
	struct listener old, l;

	REQUIRE(!listen_open(&old, path, 0600) && !unlink(path) && !listen_open(&l, path, 0600),
		"a server whose file was removed, and the next one");
	listen_close(&old);
	CHECK(exists(), "the old one does not take the new one's file away");
	listen_close(&l);
	CHECK(!exists(), "the new one does");
}

static void full_queue(void)
{
	struct listener l, second;
	int socks[80], nr = 0, i;

	REQUIRE(!listen_open(&l, path, 0600), "a server that does not accept");
	for (i = 0; i < 80; i++) {
		struct sockaddr_un a = l.address;

		socks[nr] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
		if (connect(socks[nr], (struct sockaddr *)&a, sizeof(a))) {
			close(socks[nr]);
			break;
		}
		nr++;
	}
	CHECK(nr < 80 && errno == EAGAIN, "its queue is full after %d", nr);
	CHECK(listen_open(&second, path, 0600) == -EADDRINUSE, "and it is not taken for dead");
	CHECK(listen_connect(path, 1) == -EAGAIN, "a client does not wait for ever");
	while (nr)
		close(socks[--nr]);
	listen_close(&l);
}

static void others_files(void)
{
	char longer[200], link[80];
	struct listener l;
	int fd, stream;

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(listen_open(&l, path, 0600) == -EEXIST && exists(), "a file is left alone");
	close(fd);
	unlink(path);
	snprintf(link, sizeof(link), "%s.target", path);
	CHECK(!symlink(link, path) && listen_open(&l, path, 0600) == -EEXIST, "so is a link");
	unlink(path);

	stream = socket(AF_UNIX, SOCK_STREAM, 0);
	l.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(l.address.sun_path, path);
	REQUIRE(!bind(stream, (struct sockaddr *)&l.address, sizeof(l.address)) &&
			!listen(stream, 1),
		"another program's server");
	CHECK(listen_open(&l, path, 0600) == -EADDRINUSE && exists(), "it is left alone, too");
	CHECK(listen_connect(path, 1) == -EPROTOTYPE, "and not talked to");
	close(stream);
	unlink(path);

	memset(longer, 'x', sizeof(longer));
	longer[SOCKET_PATH_MAX + 1] = '\0';
	CHECK(listen_open(&l, longer, 0600) == -ENAMETOOLONG, "a path too long");
	CHECK(listen_connect(longer, 1) == -ENAMETOOLONG, "for a client, too");
	CHECK(listen_open(&l, "", 0600) == -ENOENT, "no path");
	CHECK(listen_open(&l, "/nonexistent/socket", 0600) == -ENOENT, "no folder");
}

static void locked(void)
{
	struct listener l;
	int fd = open(folder, O_RDONLY | O_DIRECTORY);

	REQUIRE(fd >= 0 && !flock(fd, LOCK_EX), "somebody holds the folder");
	CHECK(listen_open(&l, path, 0600) == -ETIMEDOUT && !exists(),
	      "it is not waited for without end");
	close(fd);
}

static void sends_descriptor(void)
{
	struct listener l;
	int sock;

	REQUIRE(!listen_open(&l, path, 0600), "one listens");
	sock = listen_connect(path, 5);
	check_refuses_fds(l.fd, sock);
	close(sock);
	listen_close(&l);
}

int main(void)
{
	if (CHECK(mkdtemp(folder), "a folder")) {
		snprintf(path, sizeof(path), "%s/socket", folder);
		one();
		stale();
		replaced();
		full_queue();
		others_files();
		locked();
		sends_descriptor();
		rmdir(folder);
	}
	return tap_done();
}
