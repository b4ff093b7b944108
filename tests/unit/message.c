// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <barbuf.h>

#include "tap.h"
#include "wire.h"

/* Linux 6.5 */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static int a, b; /* the two ends */

static bool same_file(int x, int y)
{
	struct stat sx, sy;

	return !fstat(x, &sx) && !fstat(y, &sy) && sx.st_dev == sy.st_dev && sx.st_ino == sy.st_ino;
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
	CHECK(!barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) && len == 5 &&
		      !memcmp(buf, "hello", 5),
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
	CHECK(!barbuf_message_send(a, NULL, 0, -1) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && !len,
	      "the shortest");

	CHECK(!barbuf_message_send(a, "1", 1, -1) && !barbuf_message_send(a, "22", 2, -1) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && len == 1 &&
		      *buf == '1' && !barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) &&
		      len == 2 && *buf == '2',
	      "two messages stay two");
}

static void bad_calls(void)
{
	char msg[BARBUF_MESSAGE_MAX + 1] = { 0 };
	int stream[2], other;
	size_t len;
	int p[2];

	CHECK(barbuf_message_send(a, msg, sizeof(msg), -1) == -EMSGSIZE,
	      "a message too long is not sent");
	CHECK(barbuf_message_recv(b, msg, sizeof(msg), &len, NULL) == -EAGAIN,
	      "and nothing arrives");
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, stream) && !pipe(p), "other fds");
	CHECK(barbuf_message_send(stream[0], "x", 1, -1) == -EPROTOTYPE,
	      "a stream cannot be sent to");
	CHECK(barbuf_message_recv(stream[0], msg, 1, &len, NULL) == -EPROTOTYPE,
	      "or received from");
	other = socket(AF_VSOCK, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (other < 0)
		tap_skip("nor can a socket of another family", "no AF_VSOCK: %s", strerror(errno));
	else
		CHECK(barbuf_message_send(other, "x", 1, -1) == -EPROTOTYPE &&
			      barbuf_message_recv(other, msg, 1, &len, NULL) == -EPROTOTYPE,
		      "nor can a socket of another family");
	close(other);
	CHECK(barbuf_message_send(p[1], "x", 1, -1) == -ENOTSOCK, "nor can a pipe");
	CHECK(barbuf_message_send(-1, "x", 1, -1) == -EBADF, "nor nothing");
	CHECK(barbuf_message_send(a, "x", 1, 9999) == -EBADF, "an fd that is none is not sent");
	CHECK(barbuf_message_recv(b, msg, sizeof(msg), &len, NULL) == -EAGAIN,
	      "and again nothing arrives");
	close(stream[0]);
	close(stream[1]);
	close(p[0]);
	close(p[1]);
}

static void refuse(const char *what, const void *bytes, size_t n, unsigned int nr_fds, bool want_fd,
		   size_t room, int want)
{
	char untouched[sizeof(struct wire)], buf[sizeof(struct wire)];
	int fds[WIRE_MAX_FDS];
	unsigned int before;
	size_t len = 4711;
	unsigned int i;
	int fd = -2;
	int ret;

	for (i = 0; i < nr_fds; i++)
		fds[i] = STDOUT_FILENO;
	memset(untouched, 'u', sizeof(untouched));
	memset(buf, 'u', sizeof(buf));
	before = open_fds();
	REQUIRE(wire_send(a, bytes, n, fds, nr_fds, WIRE_MAX_FDS), "%s: sent", what);
	ret = barbuf_message_recv(b, buf, room, &len, want_fd ? &fd : NULL);
	CHECK(ret == want && fd == -2 && len == 4711 && !memcmp(buf, untouched, sizeof(buf)),
	      "%s: %s, and nothing is written", what, strerror(-ret));
	CHECK(open_fds() == before, "%s: leaves no fd behind", what);
	CHECK(recv(b, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s: is consumed",
	      what);
}

static void hostile(void)
{
	struct wire w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .len = 4, .nr_fds = 1 };
	const size_t room = BARBUF_MESSAGE_MAX;
	struct wire v;

	refuse("nothing at all", &w, 0, 0, true, room, -EBADMSG);
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
	v.magic = __builtin_bswap32(WIRE_MAGIC);
	refuse("the other byte order", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v = w;
	v.version++;
	refuse("another version", &v, WIRE_HEAD + 4, 1, true, room, -EPROTO);
	v.len = 0;
	v.nr_fds = 9;
	refuse("another version, whatever else it says", &v, sizeof(v), 2, true, room, -EPROTO);
	v = w;
	v.kind = WIRE_KIND_BUFFER;
	refuse("a buffer", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v.kind = 2;
	refuse("an unknown kind", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v = w;
	v.len = UINT32_MAX;
	refuse("a length of 2^32 - 1", &v, WIRE_HEAD + 4, 1, true, room, -EBADMSG);
	v.len = sizeof(v.payload);
	refuse("a byte more than the longest", &v, WIRE_HEAD + v.len, 1, true, v.len, -EBADMSG);
	v.len = BARBUF_MESSAGE_MAX;
	refuse("a byte more than the longest and than it says", &v, WIRE_HEAD + v.len + 1, 1, true,
	       v.len, -EBADMSG);
}

/* The kernel makes one of them. */
static void several_control_messages(void)
{
	struct wire w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .len = 1, .nr_fds = 1 };
	int fds[] = { STDOUT_FILENO, STDOUT_FILENO, STDOUT_FILENO };
	unsigned int before = open_fds();
	char buf[8];
	size_t len;
	int fd = -2;

	REQUIRE(wire_send(a, &w, WIRE_HEAD + 1, fds, 3, 1),
		"three control messages with an fd each");
	CHECK(barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) == -EBADMSG && fd == -2,
	      "are three fds");
	CHECK(open_fds() == before, "and none is left");
}

/* What the receiver's own socket adds to each message. */
static void socket_options(void)
{
	unsigned int before = open_fds();
	int fds[WIRE_MAX_FDS];
	struct wire w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .len = 1, .nr_fds = 1 };
	bool has_pidfd;
	int on = 1, off = 0;
	char buf[8];
	size_t len;
	int fd = -1;
	int i;

	for (i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = STDOUT_FILENO;
	REQUIRE(!setsockopt(b, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) &&
			!setsockopt(b, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)),
		"the receiver wants credentials and time with each message");
	has_pidfd = !setsockopt(b, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on));
	if (!has_pidfd)
		tap_skip("and a pidfd", "no SO_PASSPIDFD: %s", strerror(errno));
	CHECK(!barbuf_message_send(a, "x", 1, STDOUT_FILENO) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) && len == 1,
	      "a message arrives");
	CHECK(fd >= 0 && same_file(fd, STDOUT_FILENO), "with the fd that was sent");
	close(fd);
	CHECK(!barbuf_message_send(a, "y", 1, -1) &&
		      !barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) && fd == -1,
	      "or with none");
	CHECK(wire_send(a, &w, WIRE_HEAD + 1, fds, WIRE_MAX_FDS, WIRE_MAX_FDS) &&
		      barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) == -EBADMSG,
	      "there is room for 253 fds and all of these");
	CHECK(wire_send(a, &w, 0, NULL, 0, 1) &&
		      barbuf_message_recv(b, buf, sizeof(buf), &len, &fd) == -EBADMSG,
	      "and nothing at all is still not the end");
	CHECK(open_fds() == before, "no fd is left");
	setsockopt(b, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
	setsockopt(b, SOL_SOCKET, SO_TIMESTAMP, &off, sizeof(off));
	if (has_pidfd)
		setsockopt(b, SOL_SOCKET, SO_PASSPIDFD, &off, sizeof(off));
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

/* One of two fits: what was installed must go. */
static void table_almost_full(void)
{
	struct wire w = { .magic = WIRE_MAGIC, .version = WIRE_VERSION, .len = 1, .nr_fds = 1 };
	int fds[] = { STDOUT_FILENO, STDOUT_FILENO };
	unsigned int before = open_fds();
	struct rlimit old, low;
	char buf[8];
	size_t len;
	int fd = -2;
	int ret;

	REQUIRE(wire_send(a, &w, WIRE_HEAD + 1, fds, 2, 2), "two fds are on their way");
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = dup(STDOUT_FILENO);
	close(low.rlim_cur++);
	setrlimit(RLIMIT_NOFILE, &low);
	ret = barbuf_message_recv(b, buf, sizeof(buf), &len, &fd);
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK(ret == -EMFILE && fd == -2, "one free descriptor for two: %s", strerror(-ret));
	CHECK(open_fds() == before, "and the one that came is closed");
}

static volatile sig_atomic_t interrupts;

static void interrupted(int sig)
{
	if (++interrupts == 3)
		barbuf_message_send(a, "late", 4, -1);
}

static void signals(void)
{
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };
	struct sigaction sa = { .sa_handler = interrupted };
	char buf[8];
	size_t len = 0;
	int ret;

	REQUIRE(!fcntl(b, F_SETFL, 0) && !sigaction(SIGALRM, &sa, NULL) &&
			!setitimer(ITIMER_REAL, &often, NULL),
		"signals without SA_RESTART");
	ret = barbuf_message_recv(b, buf, sizeof(buf), &len, NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	fcntl(b, F_SETFL, O_NONBLOCK);
	CHECK(!ret && len == 4 && interrupts >= 3, "%d signals do not end a receive",
	      (int)interrupts);
}

static void end_of_peer(void)
{
	char buf[8];
	size_t len;

	CHECK(!barbuf_message_send(a, "x", 1, -1), "a last message");
	close(a);
	CHECK(!barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) && len == 1,
	      "arrives after the end");
	CHECK(barbuf_message_recv(b, buf, sizeof(buf), &len, NULL) == -EPIPE,
	      "then the end is seen");
	CHECK(barbuf_message_send(b, "x", 1, -1) == -EPIPE, "and a send fails, without SIGPIPE");
	close(b);
}

/* The kernel tells the sender of what was not read, before what the peer had to say. */
static void peer_leaves_unread(void)
{
	char buf[8];
	size_t len;
	int s[2];

	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) &&
			!barbuf_message_send(s[0], "unread", 6, -1) &&
			!barbuf_message_send(s[1], "last", 4, -1) && !close(s[1]),
		"a peer sends a message and leaves another unread");
	CHECK(!barbuf_message_recv(s[0], buf, sizeof(buf), &len, NULL) && len == 4, "it arrives");
	CHECK(barbuf_message_recv(s[0], buf, sizeof(buf), &len, NULL) == -EPIPE, "then the end");
	close(s[0]);

	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) &&
			!barbuf_message_send(s[0], "unread", 6, -1) && !close(s[1]),
		"another one leaves");
	CHECK(barbuf_message_send(s[0], "x", 1, -1) == -EPIPE, "a send sees the end");
	CHECK(barbuf_message_send(s[0], "x", 1, -1) == -EPIPE, "and sees it again");
	close(s[0]);
}

/* A listening socket hands it on to connections, also to those that nobody has accepted yet. */
static void refused_fds(void)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(address);
	int server, fd = -2;
	char buf[8];
	size_t n;
	int ret;

	CHECK(barbuf_message_refuse_fds(-1) == -EBADF, "-1 refuses nothing");
	if (inet >= 0)
		CHECK(barbuf_message_refuse_fds(inet) == -EOPNOTSUPP, "no fds come by TCP");
	close(inet);
	ret = barbuf_message_refuse_fds(listener);
	if (ret == -EOPNOTSUPP) {
		tap_skip("fds are refused", "a kernel before 6.16");
		close(listener);
		close(client);
		return;
	}
	REQUIRE(!ret && !bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) &&
			!listen(listener, 4) &&
			!getsockname(listener, (struct sockaddr *)&address, &len) &&
			!connect(client, (struct sockaddr *)&address, len),
		"a listening socket that refuses fds");
	CHECK(barbuf_message_send(client, "x", 1, STDOUT_FILENO) == -EPERM,
	      "none can be sent to it");
	CHECK(!barbuf_message_send(client, "y", 1, -1), "but a message can");
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(!barbuf_message_recv(server, buf, sizeof(buf), &n, NULL) && n == 1 && *buf == 'y',
	      "which comes, and the other did not");
	CHECK(barbuf_message_send(client, "x", 1, STDOUT_FILENO) == -EPERM,
	      "nor once it is accepted");
	CHECK(!barbuf_message_send(server, "z", 1, STDOUT_FILENO) &&
		      !barbuf_message_recv(client, buf, sizeof(buf), &n, &fd) && fd >= 0,
	      "the other way they go");
	close(fd);
	close(server);
	close(client);
	close(listener);
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
		several_control_messages();
		socket_options();
		table_almost_full();
		signals();
		end_of_peer();
		peer_leaves_unread();
		refused_fds();
		CHECK(open_fds() == before, "no fd is left at the end");
	}
	return tap_done();
}
