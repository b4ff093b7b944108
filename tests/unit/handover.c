// SPDX-License-Identifier: LGPL-2.1-or-later
/* Buffers over a socket; memfds stand for DMABUFs (fake_dmabuf.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffer.h"
#include "tap.h"
#include "wire.h"

#define SIZE 0x5000

static int a, b; /* the two ends */
static int writable, readable; /* two descriptors of one "DMABUF" */

static const struct wire good = {
	.magic = WIRE_MAGIC,
	.version = WIRE_VERSION,
	.kind = WIRE_KIND_BUFFER,
	.len = sizeof(struct wire_description),
	.nr_fds = 1,
	.d = {
		.size = SIZE,
		.tag = 0xfeedfacecafebeef,
		.phase = 0x3ffff000,
		.shift = 30,
		.memattr = BARBUF_WC,
		.name = "doorbells",
	},
};

#define GOOD_LEN (WIRE_HEAD + sizeof(struct wire_description))

static bool open_buffer(void)
{
	char path[32];

	writable = memfd_create("dmabuf:of the kernel", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", writable);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	return writable >= 0 && readable >= 0 && !ftruncate(writable, SIZE);
}

static bool same_file(int x, int y)
{
	struct stat sx, sy;

	return !fstat(x, &sx) && !fstat(y, &sy) && sx.st_dev == sy.st_dev && sx.st_ino == sy.st_ino;
}

static void round_trip(void)
{
	struct barbuf_range range = { 0, SIZE };
	struct barbuf_buffer sent = {
		.fd = writable,
		.size = SIZE,
		.memattr = BARBUF_WC,
		.phase = 0x12345000,
		.shift = 21,
		.name = "queue 7",
		.ranges = &range,
		.nr_ranges = 1,
	};
	struct barbuf_buffer *got;
	unsigned int before = open_fds();
	size_t nr = 4711;

	CHECK(!barbuf_buffer_send(a, &sent, UINT64_MAX - 1), "a buffer is sent");
	REQUIRE(!barbuf_buffer_recv(b, &got), "and received");
	CHECK(same_file(barbuf_buffer_fd(got), writable) && barbuf_buffer_fd(got) != writable,
	      "it is the same, by another descriptor");
	CHECK(fcntl(barbuf_buffer_fd(got), F_GETFD) & FD_CLOEXEC, "which is close-on-exec");
	CHECK(barbuf_buffer_size(got) == SIZE && !barbuf_buffer_read_only(got) &&
		      barbuf_buffer_memattr(got) == BARBUF_WC &&
		      barbuf_buffer_tag(got) == UINT64_MAX - 1 &&
		      !strcmp(barbuf_buffer_name(got), "queue 7"),
	      "with size, access, attribute, tag and name");
	CHECK(got->phase == 0x12345000 && got->shift == 21, "and alignment");
	CHECK(!barbuf_buffer_ranges(got, &nr) && !nr, "the ranges are not told");
	CHECK(barbuf_buffer_revoke(got) == -EOPNOTSUPP, "and it is not the receiver's to revoke");
	barbuf_buffer_free(got);

	sent = (struct barbuf_buffer){ .fd = readable, .size = SIZE, .read_only = true };
	CHECK(!barbuf_buffer_send(a, &sent, 0), "a read-only buffer, and nothing known of it");
	REQUIRE(!barbuf_buffer_recv(b, &got), "is received");
	CHECK(barbuf_buffer_read_only(got) && barbuf_buffer_memattr(got) == BARBUF_NC &&
		      !barbuf_buffer_tag(got) && !*barbuf_buffer_name(got) && !got->shift,
	      "as such");
	barbuf_buffer_free(got);
	CHECK(open_fds() == before, "no fd is left");
}

static void names(void)
{
	struct barbuf_buffer sent = { .fd = writable, .size = SIZE };
	struct barbuf_buffer *got;

	memset(sent.name, 'n', BARBUF_NAME_MAX);
	CHECK(!barbuf_buffer_send(a, &sent, 0), "the longest name");
	REQUIRE(!barbuf_buffer_recv(b, &got), "arrives");
	CHECK(!strcmp(barbuf_buffer_name(got), sent.name), "whole");
	barbuf_buffer_free(got);

	strcpy(sent.name, "\x1b[2J\n\xc3\xa4\x7f");
	CHECK(!barbuf_buffer_send(a, &sent, 0), "a name that a terminal would obey");
	REQUIRE(!barbuf_buffer_recv(b, &got), "arrives");
	CHECK(!strcmp(barbuf_buffer_name(got), "?[2J????"), "as %s", barbuf_buffer_name(got));
	barbuf_buffer_free(got);
}

static void refuse(const char *what, const struct wire *w, size_t n, const int *fds,
		   unsigned int nr_fds, int want)
{
	struct barbuf_buffer *const untouched = (void *)&a;
	struct barbuf_buffer *got = untouched;
	unsigned int before = open_fds();
	char byte;
	int ret;

	REQUIRE(wire_send(a, w, n, fds, nr_fds, WIRE_MAX_FDS), "%s: sent", what);
	ret = barbuf_buffer_recv(b, &got);
	CHECK(ret == want && got == untouched, "%s: %s", what, strerror(-ret));
	CHECK(open_fds() == before, "%s: leaves no fd behind", what);
	CHECK(recv(b, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s: is consumed", what);
}

/* One field of a good message is another. */
#define REFUSE(what, field, value, want)                         \
	do {                                                     \
		struct wire w_ = good;                           \
		w_.field = value;                                \
		refuse(what, &w_, GOOD_LEN, &writable, 1, want); \
	} while (0)

static void bad_descriptions(void)
{
	struct wire w;

	REFUSE("another version", version, 2, -EPROTO);
	REFUSE("no version", version, 0, -EPROTO);
	REFUSE("a message of the program's own", kind, WIRE_KIND_MESSAGE, -EBADMSG);
	REFUSE("another magic", magic, WIRE_MAGIC + 1, -EBADMSG);
	REFUSE("a smaller size than the buffer's", d.size, SIZE - 0x1000, -EBADMSG);
	REFUSE("a larger one", d.size, SIZE + 1, -EBADMSG);
	REFUSE("no size", d.size, 0, -EBADMSG);
	REFUSE("a phase within a page", d.phase, 0x800, -EBADMSG);
	REFUSE("a phase of 1 GiB", d.phase, 1u << 30, -EBADMSG);
	REFUSE("a phase of 2^63", d.phase, UINT64_C(1) << 63, -EBADMSG);
	REFUSE("a shift of 12", d.shift, 12, -EBADMSG);
	REFUSE("a shift of 64", d.shift, 64, -EBADMSG);
	REFUSE("a shift of 2^32 - 1", d.shift, UINT32_MAX, -EBADMSG);
	REFUSE("an unknown flag", d.flags, 2, -EBADMSG);
	REFUSE("an unknown attribute", d.memattr, 3, -EBADMSG);
	REFUSE("a reserved field in use", d.reserved, 1, -EBADMSG);
	REFUSE("a byte behind the name", d.name[31], 'x', -EBADMSG);
	REFUSE("an escape in the name", d.name[0], '\x1b', -EBADMSG);
	REFUSE("DEL in the name", d.name[0], '\x7f', -EBADMSG);
	REFUSE("a byte beyond ASCII in the name", d.name[0], '\x80', -EBADMSG);
	w = good;
	memset(w.d.name, 'n', sizeof(w.d.name));
	refuse("a name without an end", &w, GOOD_LEN, &writable, 1, -EBADMSG);

	w = good;
	refuse("a description cut short", &w, GOOD_LEN - 1, &writable, 1, -EBADMSG);
	w.len--;
	refuse("one that is a byte short, and says so", &w, GOOD_LEN - 1, &writable, 1, -EBADMSG);
	w.len += 2;
	refuse("one with a byte more", &w, GOOD_LEN + 1, &writable, 1, -EBADMSG);
	w.len = 0;
	refuse("none", &w, WIRE_HEAD, &writable, 1, -EBADMSG);
	w.len = BARBUF_MESSAGE_MAX;
	refuse("one of 1024 bytes", &w, WIRE_HEAD + BARBUF_MESSAGE_MAX, &writable, 1, -EBADMSG);
	refuse("nothing at all", &w, 0, NULL, 0, -EBADMSG);
}

static void bad_descriptors(void)
{
	int none = eventfd(0, EFD_CLOEXEC);
	int file = memfd_create("no dmabuf", MFD_CLOEXEC);
	int fds[WIRE_MAX_FDS];
	struct wire w = good;
	int i;

	for (i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = writable;
	REQUIRE(!ftruncate(file, SIZE), "a file of that size");
	refuse("two buffers", &good, GOOD_LEN, fds, 2, -EBADMSG);
	refuse("253 buffers", &good, GOOD_LEN, fds, WIRE_MAX_FDS, -EBADMSG);
	refuse("no buffer", &good, GOOD_LEN, NULL, 0, -EBADMSG);
	w.nr_fds = 2;
	refuse("two, announced", &w, GOOD_LEN, fds, 2, -EBADMSG);
	w.nr_fds = 0;
	refuse("none, announced", &w, GOOD_LEN, NULL, 0, -EBADMSG);
	refuse("an eventfd", &good, GOOD_LEN, &none, 1, -EBADMSG);
	refuse("a file", &good, GOOD_LEN, &file, 1, -EBADMSG);
	refuse("a read-only descriptor, called writable", &good, GOOD_LEN, &readable, 1, -EBADMSG);
	close(none);
	close(file);
}

/* More than was promised is not refused, and not hidden. */
static void writable_called_read_only(void)
{
	struct wire w = good;
	struct barbuf_buffer *got;

	w.d.flags = WIRE_READ_ONLY;
	REQUIRE(wire_send(a, &w, GOOD_LEN, &writable, 1, 1), "a writable buffer, called read-only");
	REQUIRE(!barbuf_buffer_recv(b, &got), "is received");
	CHECK(!barbuf_buffer_read_only(got), "as what it is");
	CHECK(got->phase == 0x3ffff000 && got->shift == 30 && got->tag == 0xfeedfacecafebeef,
	      "and all else as it was sent");
	barbuf_buffer_free(got);
}

static void two_kinds(void)
{
	struct barbuf_buffer sent = { .fd = writable, .size = SIZE };
	struct barbuf_buffer *got = (void *)&a;
	unsigned int before = open_fds();
	char text[BARBUF_MESSAGE_MAX] = "";
	size_t len = 4711;
	int fd = -2;

	CHECK(!barbuf_buffer_send(a, &sent, 0) &&
		      barbuf_message_recv(b, text, sizeof(text), &len, &fd) == -EBADMSG &&
		      len == 4711 && fd == -2 && !*text,
	      "a buffer is not received as a message");
	CHECK(!barbuf_message_send(a, "text", 4, writable) &&
		      barbuf_buffer_recv(b, &got) == -EBADMSG && got == (void *)&a,
	      "nor a message as a buffer");
	CHECK(!barbuf_message_send(a, &good.d, sizeof(good.d), writable) &&
		      barbuf_buffer_recv(b, &got) == -EBADMSG && got == (void *)&a,
	      "whatever it says");
	CHECK(open_fds() == before, "no fd is left");
}

static void bad_sockets(void)
{
	struct barbuf_buffer sent = { .fd = writable, .size = SIZE };
	struct barbuf_buffer none = { .fd = -1, .size = SIZE };
	struct barbuf_buffer *got = (void *)&a;
	int s[2];

	CHECK(barbuf_buffer_recv(b, &got) == -EAGAIN, "nothing has come");
	CHECK(barbuf_buffer_send(-1, &sent, 0) == -EBADF && barbuf_buffer_recv(-1, &got) == -EBADF,
	      "no socket");
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, s), "a stream");
	CHECK(barbuf_buffer_send(s[0], &sent, 0) == -EPROTOTYPE &&
		      barbuf_buffer_recv(s[1], &got) == -EPROTOTYPE,
	      "keeps no boundaries");
	close(s[0]);
	close(s[1]);

	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) && !close(s[1]), "a peer leaves");
	CHECK(barbuf_buffer_send(s[0], &sent, 0) == -EPIPE &&
		      barbuf_buffer_recv(s[0], &got) == -EPIPE,
	      "and is gone");
	close(s[0]);
	CHECK(got == (void *)&a, "nothing was written");
	none.fd = 9999;
	CHECK(barbuf_buffer_send(a, &none, 0) == -EBADF, "a buffer whose descriptor was closed");
}

int main(void)
{
	int s[2];

	if (CHECK(open_buffer() &&
			  !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s),
		  "a buffer and a pair of sockets")) {
		a = s[0];
		b = s[1];
		round_trip();
		names();
		bad_descriptions();
		bad_descriptors();
		writable_called_read_only();
		two_kinds();
		bad_sockets();
	}
	return tap_done();
}
