// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barbuf.h>

#include "tap.h"

/* The wire format, written down a second time: a change of it must be noticed. */
struct wire {
	uint32_t magic, len, nr_fds, reserved;
	char payload[BARBUF_MESSAGE_MAX + 1];
};

#define WIRE_HEAD 16
#define WIRE_MAGIC 0x62726266

static int a, b; /* the two ends */

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static bool same_file(int x, int y)
{
	struct stat sx, sy;

	return !fstat(x, &sx) && !fstat(y, &sy) && sx.st_dev == sy.st_dev && sx.st_ino == sy.st_ino;
}

/* What no honest sender sends. */
static bool send_raw(int sock, const void *bytes, size_t len, const int *fds, unsigned int nr_fds)
{
	struct iovec iov = { (void *)bytes, len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds) {
		struct cmsghdr *cmsg = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)len;
}

static void round_trip(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char buf[BARBUF_MESSAGE_MAX];
	char msg[BARBUF_MESSAGE_MAX];
	size_t len = 0;
	int fd = -2;

	memset(msg, 'm', sizeof(msg));
	CHECK(!barbuf_message_send(a, "hello", 5, null), "a message with an fd is sent");
	CHECK(!barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) && len == 5 && !memcmp(buf, "hello", 5),
	      "and received");
	REQUIRE(fd >= 0 && fd != null && same_file(fd, null), "the fd is of the same file");
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC, "and is close-on-exec");
	close(fd);
	CHECK(fcntl(null, F_GETFD) >= 0, "the sender keeps its own");
	close(null);

	CHECK(!barbuf_message_send(a, msg, sizeof(msg), -1) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) && len == sizeof(msg) &&
		      !memcmp(buf, msg, sizeof(msg)) && fd == -1,
	      "the longest message, without an fd");
	CHECK(!barbuf_message_send(a, NULL, 0, -1) && !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && !len,
	      "the shortest");

	CHECK(!barbuf_message_send(a, "1", 1, -1) && !barbuf_message_send(a, "22", 2, -1) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && len == 1 && *buf == '1' &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && len == 2 && *buf == '2',
	      "two messages stay two");
}

static void bad_calls(void)
{
	char msg[BARBUF_MESSAGE_MAX + 1] = { 0 };
	int stream[2];
	size_t len;
	int p[2];

	CHECK(barbuf_message_send(a, msg, sizeof(msg), -1) == -EMSGSIZE, "a message too long is not sent");
	CHECK(barbuf_message_recv(b, msg, sizeof(msg), &len, NULL) == -EAGAIN, "and nothing arrives");
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, stream) && !pipe(p), "other fds");
	CHECK(barbuf_message_send(stream[0], "x", 1, -1) == -EPROTOTYPE, "a stream cannot be sent to");
	CHECK(barbuf_message_recv(stream[0], msg, 1, &len, NULL) == -EPROTOTYPE, "or received from");
	CHECK(barbuf_message_send(p[1], "x", 1, -1) == -ENOTSOCK, "nor can a pipe");
	CHECK(barbuf_message_send(-1, "x", 1, -1) == -EBADF, "nor nothing");
	CHECK(barbuf_message_send(a, "x", 1, 9999) == -EBADF, "an fd that is none is not sent");
	CHECK(barbuf_message_recv(b, msg, sizeof(msg), &len, NULL) == -EAGAIN, "and again nothing arrives");
	close(stream[0]);
	close(stream[1]);
	close(p[0]);
	close(p[1]);
}

static void refuse(const char *what, const void *bytes, size_t n, unsigned int nr_fds, bool want_fd,
		   size_t room, int want)
{
	struct wire scratch;
	unsigned int before;
	int fds[253];
	size_t len = 4711;
	unsigned int i;
	int fd = -2;
	int ret;

	for (i = 0; i < nr_fds; i++)
		fds[i] = STDOUT_FILENO;
	before = open_fds();
	REQUIRE(send_raw(a, bytes, n, fds, nr_fds), "%s: sent", what);
	ret = barbuf_message_recv(b, &scratch, room, &len, want_fd ? &fd : NULL);
	CHECK(ret == want && fd == -2 && len == 4711, "%s: %s", what, strerror(-ret));
	CHECK(open_fds() == before, "%s: leaves no fd behind", what);
	CHECK(recv(b, &scratch, sizeof(scratch), MSG_DONTWAIT) < 0 && errno == EAGAIN,
	      "%s: is consumed", what);
}

static void hostile(void)
{
	struct wire w = { .magic = WIRE_MAGIC, .len = 4, .nr_fds = 1 };
	const size_t room = sizeof(w.payload);
	struct wire v;

	refuse("one byte", &w, 1, 0, true, room, -EBADMSG);
	refuse("one byte and an fd", &w, 1, 1, true, room, -EBADMSG);
	refuse("no byte and an fd", &w, 0, 1, true, room, -EBADMSG);
	refuse("half a header", &w, WIRE_HEAD / 2, 1, true, room, -EBADMSG);
	refuse("a header alone", &w, WIRE_HEAD, 1, true, room, -EBADMSG);
	refuse("a message cut short", &w, WIRE_HEAD + 3, 1, true, room, -EBADMSG);
	refuse("a message with more than it says", &w, WIRE_HEAD + 5, 1, true, room, -EBADMSG);
	refuse("no fd where one is announced", &w, WIRE_HEAD + 4, 0, true, room, -EBADMSG);
	refuse("two fds", &w, WIRE_HEAD + 4, 2, true, room, -EBADMSG);
	refuse("253 fds", &w, WIRE_HEAD + 4, 253, true, room, -EBADMSG);
	refuse("an fd where none is wanted", &w, WIRE_HEAD + 4, 1, false, room, -EBADMSG);
	refuse("more than there is room for", &w, WIRE_HEAD + 4, 1, true, 3, -EMSGSIZE);

	v = w;
	v.nr_fds = 2;
	refuse("two fds, announced", &v, WIRE_HEAD + 4, 2, true, room, -EBADMSG);
	v.nr_fds = 0;
	refuse("an fd that is not announced", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v = w;
	v.magic++;
	refuse("another magic", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v = w;
	v.reserved = 1;
	refuse("a reserved field in use", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v = w;
	v.len = UINT32_MAX;
	refuse("a length of 2^32 - 1", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
}

/* The kernel drops what it cannot install: the message must not pass as one without fd. */
static void table_full(void)
{
	struct rlimit old, low;
	char buf[8];
	size_t len;
	int fd = -2;
	int ret;

	REQUIRE(!barbuf_message_send(a, "x", 1, STDOUT_FILENO), "an fd is on its way");
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &low);
	ret = barbuf_message_recv(b, buf, sizeof(buf), &len, &fd);
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK(ret == -EMFILE && fd == -2, "no free descriptor: %s", strerror(-ret));
}

static void randomly(void)
{
	unsigned int before = open_fds();
	unsigned int wrong = 0;
	struct wire w, got;
	int i;

	srand(1);
	for (i = 0; i < 20000; i++) {
		unsigned int nr_fds = rand() % 4;
		size_t n = rand() % (WIRE_HEAD + 24);
		int fds[3] = { 1, 1, 1 };
		int fd = -1;
		bool valid;
		size_t len;
		int ret;

		w = (struct wire){
			.magic = WIRE_MAGIC ^ (rand() % 8 == 0),
			.len = rand() % 4 ? n - WIRE_HEAD : (unsigned int)rand(),
			.nr_fds = rand() % 4 ? nr_fds : (unsigned int)rand() % 4,
			.reserved = rand() % 8 == 0,
		};
		if (!n && !nr_fds)
			continue; /* would read as the end */
		send_raw(a, &w, n, fds, nr_fds);
		valid = n >= WIRE_HEAD && w.magic == WIRE_MAGIC && !w.reserved &&
			w.len == n - WIRE_HEAD && w.nr_fds == nr_fds && nr_fds < 2;
		ret = barbuf_message_recv(b, &got, sizeof(got), &len, &fd);
		wrong += (ret == 0) != valid;
		wrong += !ret && (fd >= 0) != (nr_fds == 1);
		wrong += ret && ret != -EBADMSG;
		if (!ret && fd >= 0)
			close(fd);
	}
	CHECK(!wrong, "of 20000 random messages %u were judged wrongly", wrong);
	CHECK(open_fds() == before, "and no fd is left");
}

static void end_of_peer(void)
{
	char buf[8];
	size_t len;

	CHECK(!barbuf_message_send(a, "x", 1, -1), "a last message");
	close(a);
	CHECK(!barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && len == 1, "arrives after the end");
	CHECK(barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) == -EPIPE, "then the end is seen");
	CHECK(barbuf_message_send(b, "x", 1, -1) == -EPIPE, "and a send fails, without SIGPIPE");
	close(b);
}

int main(void)
{
	unsigned int before = open_fds();
	int s[2];

	if (CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s),
		  "a pair of sockets")) {
		a = s[0];
		b = s[1];
		round_trip();
		bad_calls();
		hostile();
		table_full();
		randomly();
		end_of_peer();
		CHECK(open_fds() == before, "no fd is left at the end");
	}
	return tap_done();
}
