// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bytes and descriptors of any kind through a socket into barbuf_buffer_recv() and
 * barbuf_message_recv(). Memfds stand for DMABUFs (../unit/fake_dmabuf.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <barbuf.h>

#include "fuzz.h"
#include "wire.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

#define PAGE UINT64_C(4096)
#define SIZE (3 * PAGE)
#define MAX_FD 1024 /* this program has none beyond */
#define MAX_LEN (sizeof(struct wire) + 64)

enum kind {
	WRITABLE,
	READABLE,
	OTHER_SIZE,
	FILE_OF_SIZE,
	EVENT,
	DIRECTORY,
	BY_PATH,
	PIPE,
	NR_KINDS
};

/* What is sent, and how it is received. */
struct input {
	char bytes[MAX_LEN];
	size_t len;
	enum kind kinds[WIRE_MAX_FDS];
	unsigned int nr_fds;
	unsigned int per_cmsg;
	bool as_buffer;
	bool want_fd; /* barbuf_message_recv() with an fd */
	size_t room; /* and room for the message */
	bool closed; /* the sender has closed its end */
	bool unread; /* and what the receiver sent lies there */
	bool credentials, pidfd; /* SO_PASSCRED, SO_PASSPIDFD */
	unsigned int free_fds; /* of the receiver */
};

static struct {
	uint64_t buffers, messages, fds;
	uint64_t refused[6];
	uint64_t almost; /* refused as a buffer for what the description says */
} met;

static const int errors[6] = { EBADMSG, EPROTO, EMSGSIZE, EMFILE, EPIPE, 0 };

static int objects[NR_KINDS];

static const char *open_objects(void)
{
	char path[32];
	int p[2], i;

	if (objects[WRITABLE])
		return NULL;
	objects[WRITABLE] = memfd_create("dmabuf:fuzz", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", objects[WRITABLE]);
	objects[READABLE] = open(path, O_RDONLY | O_CLOEXEC);
	objects[OTHER_SIZE] = memfd_create("dmabuf:other", MFD_CLOEXEC);
	objects[FILE_OF_SIZE] = memfd_create("file", MFD_CLOEXEC);
	objects[EVENT] = eventfd(0, EFD_CLOEXEC);
	objects[DIRECTORY] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	objects[BY_PATH] = open("/", O_PATH | O_CLOEXEC);
	if (pipe2(p, O_CLOEXEC))
		return fuzz_wrong("no pipe: %s", strerror(errno));
	close(p[0]);
	objects[PIPE] = p[1];
	for (i = 0; i < NR_KINDS; i++)
		if (objects[i] < 0)
			return fuzz_wrong("no object %d: %s", i, strerror(errno));
	if (ftruncate(objects[WRITABLE], SIZE) || ftruncate(objects[FILE_OF_SIZE], SIZE) ||
	    ftruncate(objects[OTHER_SIZE], 2 * SIZE))
		return fuzz_wrong("ftruncate: %s", strerror(errno));
	return NULL;
}

/* How many descriptors are open, by one system call. */
static unsigned int count_fds(void)
{
	static struct pollfd p[MAX_FD];
	unsigned int n = 0;
	int i;

	for (i = 0; i < MAX_FD; i++)
		p[i] = (struct pollfd){ .fd = i };
	poll(p, MAX_FD, 0);
	for (i = 0; i < MAX_FD; i++)
		n += !(p[i].revents & POLLNVAL);
	return n;
}

/* Bytes of its own, or those of a good message with some changed. */
static void take_bytes(struct fuzz_input *in, struct input *x)
{
	unsigned int how = fuzz_take(in, 1);
	bool buffer = x->as_buffer ^ (how >> 6 == 3);
	struct wire w = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.kind = buffer ? WIRE_KIND_BUFFER : WIRE_KIND_MESSAGE,
		.nr_fds = x->nr_fds,
	};
	unsigned int changes = how >> 4 & 3;
	size_t i;

	if ((how >> 1 & 7) == 7) {
		x->len = fuzz_take(in, 2) % (MAX_LEN + 1);
		for (i = 0; i < x->len; i++)
			x->bytes[i] = fuzz_take(in, 1);
		return;
	}
	if (buffer) {
		static const unsigned int shifts[] = { 0, 21, 30, 30 };
		unsigned int choice = fuzz_take(in, 1);

		w.len = sizeof(w.d);
		w.d.size = SIZE;
		w.d.tag = fuzz_take(in, 8);
		w.d.phase = fuzz_take(in, 3) % (1u << 18) * PAGE;
		w.d.shift = shifts[choice & 3];
		w.d.flags = choice >> 2 & 1;
		w.d.memattr = choice >> 3 & 1;
		for (i = 0; i < (choice >> 4) * 2; i++)
			w.d.name[i] = ' ' + fuzz_take(in, 1) % 95;
	} else {
		w.len = how & 1 ? BARBUF_MESSAGE_MAX - fuzz_take(in, 1) % 4 : fuzz_take(in, 1);
		for (i = 0; i < w.len && in->left; i++)
			w.payload[i] = fuzz_take(in, 1);
	}
	x->len = WIRE_HEAD + w.len;
	memcpy(x->bytes, &w, sizeof(w));

	while (changes--) {
		unsigned int what = fuzz_take(in, 1);
		size_t at = fuzz_take(in, 1) % (WIRE_HEAD + sizeof(w.d));

		if (what < 32) /* one more or less */
			x->bytes[at] += what & 1 ? 1 : -1;
		else if (what < 64)
			x->bytes[at] ^= 1 << (what & 7);
		else if (what < 96)
			x->bytes[at] = fuzz_take(in, 1);
		else if (what < 128)
			memset(x->bytes + at / 8 * 8, what & 1 ? 0xff : 0, 8);
		else if (what < 160)
			x->len = (x->len + (what & 1 ? 1 : MAX_LEN)) % (MAX_LEN + 1);
		else if (what < 192)
			x->len = fuzz_take(in, 2) % (MAX_LEN + 1);
	}
}

/* Buffers as often as all else. */
static enum kind take_kind(struct fuzz_input *in)
{
	unsigned int v = fuzz_take(in, 1) % (2 * NR_KINDS);

	return v < NR_KINDS ? WRITABLE : v - NR_KINDS;
}

static void take_input(struct fuzz_input *in, struct input *x)
{
	unsigned int how = fuzz_take(in, 1), i;

	memset(x, 0, sizeof(*x));
	x->as_buffer = how & 1;
	x->want_fd = how & 2;
	x->credentials = (how >> 2 & 3) == 3;
	x->pidfd = (how >> 4 & 3) == 3;
	x->closed = how >> 6 == 3;
	x->unread = how & 4;

	how = fuzz_take(in, 1);
	x->nr_fds = how < 160 ? 1 :
		    how < 192 ? 0 :
		    how < 250 ? 2 + how % 3 :
				1 + fuzz_take(in, 1) % WIRE_MAX_FDS;
	x->per_cmsg = how & 1 ? WIRE_MAX_FDS : 1 + how % 3;
	for (i = 0; i < x->nr_fds; i++)
		x->kinds[i] = how < 250 ? take_kind(in) : (enum kind)(i % NR_KINDS);
	how = fuzz_take(in, 1);
	x->free_fds = how >= 240 ? how % 4 : MAX_FD;
	x->room = how & 32 ? fuzz_take(in, 2) % (BARBUF_MESSAGE_MAX + 2) : BARBUF_MESSAGE_MAX;
	take_bytes(in, x);
}

/* As the comments of barbuf.h have it, said once more. */
static bool good_description(const struct wire_description *d, enum kind kind)
{
	size_t i, end = strnlen(d->name, sizeof(d->name));

	if (kind != WRITABLE && kind != READABLE && kind != OTHER_SIZE)
		return false;
	if (d->size != (kind == OTHER_SIZE ? 2 * SIZE : SIZE))
		return false;
	if (d->flags > 1 || (kind == READABLE && !d->flags))
		return false;
	if (d->phase >= UINT64_C(1) << 30 || (d->phase & (PAGE - 1)) || d->memattr > BARBUF_MEMATTR_UNKNOWN ||
	    d->reserved)
		return false;
	if (d->shift != 30 && d->shift != 21 && d->shift)
		return false;
	if (end == sizeof(d->name))
		return false;
	for (i = 0; i < sizeof(d->name); i++)
		if (i < end ? (unsigned char)d->name[i] < 32 || (unsigned char)d->name[i] > 126 :
			      d->name[i])
			return false;
	return true;
}

static int expected(const struct input *x)
{
	const unsigned int kind = x->as_buffer ? WIRE_KIND_BUFFER : WIRE_KIND_MESSAGE;
	struct wire w = { 0 };

	/* A pidfd for which there is no room is left out. */
	if (x->nr_fds > x->free_fds)
		return -EMFILE;
	if (!x->len && !x->nr_fds)
		return x->closed ? -EPIPE : -EBADMSG;
	memcpy(&w, x->bytes, x->len < sizeof(w) ? x->len : sizeof(w));
	if (x->len < WIRE_HEAD || w.magic != WIRE_MAGIC)
		return -EBADMSG;
	if (w.version != WIRE_VERSION)
		return -EPROTO;
	if (w.kind != kind || x->len > WIRE_HEAD + BARBUF_MESSAGE_MAX ||
	    w.len != x->len - WIRE_HEAD || w.nr_fds != x->nr_fds)
		return -EBADMSG;
	if (!x->as_buffer) {
		if (x->nr_fds > x->want_fd)
			return -EBADMSG;
		return w.len > x->room ? -EMSGSIZE : 0;
	}
	if (x->nr_fds != 1 || w.len != sizeof(w.d))
		return -EBADMSG;
	if (!good_description(&w.d, x->kinds[0])) {
		met.almost++;
		return -EBADMSG;
	}
	return 0;
}

static bool same_file(int x, int y)
{
	struct stat sx, sy;

	return !fstat(x, &sx) && !fstat(y, &sy) && sx.st_dev == sy.st_dev && sx.st_ino == sy.st_ino;
}

static bool good_fd(const struct input *x, int fd)
{
	return fd >= 0 && same_file(fd, objects[x->kinds[0]]) &&
	       (fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
	       fcntl(fd, F_GETFL) == fcntl(objects[x->kinds[0]], F_GETFL);
}

/* So many can still be opened. */
static void limit_fds(unsigned int free_fds)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = MAX_FD;
	if (free_fds < MAX_FD) {
		limit.rlim_cur = 0;
		while (free_fds || fcntl(limit.rlim_cur, F_GETFD) >= 0)
			free_fds -= fcntl(limit.rlim_cur++, F_GETFD) < 0;
	}
	setrlimit(RLIMIT_NOFILE, &limit);
}

static const char *recv_buffer(const struct input *x, int sock, int want)
{
	struct barbuf_buffer *const untouched = (void *)&met;
	struct barbuf_buffer *buf = untouched;
	const char *why = NULL;
	struct wire w;
	int ret;

	limit_fds(x->free_fds);
	ret = barbuf_buffer_recv(sock, &buf);
	limit_fds(MAX_FD);
	if (ret != want)
		why = fuzz_wrong("a buffer: %d, not %d", ret, want);
	if (ret)
		return why || buf == untouched ? why : fuzz_wrong("a failed call wrote the buffer");

	met.buffers++;
	memcpy(&w, x->bytes, sizeof(w));
	if (!why &&
	    (!good_fd(x, barbuf_buffer_fd(buf)) || barbuf_buffer_size(buf) != w.d.size ||
	     barbuf_buffer_tag(buf) != w.d.tag || strcmp(barbuf_buffer_name(buf), w.d.name) ||
	     (uint32_t)barbuf_buffer_memattr(buf) != w.d.memattr ||
	     barbuf_buffer_read_only(buf) != (x->kinds[0] == READABLE)))
		why = fuzz_wrong("a buffer is not as it was sent");
	barbuf_buffer_free(buf);
	return why;
}

static const char *recv_message(const struct input *x, int sock, int want)
{
	static char buf[BARBUF_MESSAGE_MAX + 64], untouched[sizeof(buf)];
	const char *why = NULL;
	size_t len = 4711;
	int fd = -2;
	int ret;

	memset(buf, 'u', sizeof(buf));
	memset(untouched, 'u', sizeof(untouched));
	limit_fds(x->free_fds);
	ret = barbuf_message_recv(sock, buf, x->room, &len, x->want_fd ? &fd : NULL);
	limit_fds(MAX_FD);
	if (ret != want)
		why = fuzz_wrong("a message: %d, not %d", ret, want);
	if (ret) {
		if (!why && (len != 4711 || fd != -2 || memcmp(buf, untouched, sizeof(buf))))
			why = fuzz_wrong("a failed call wrote something");
		return why;
	}

	met.messages++;
	met.fds += x->want_fd && fd >= 0;
	if (!why && (len != x->len - WIRE_HEAD || memcmp(buf, x->bytes + WIRE_HEAD, len) ||
		     memcmp(buf + len, untouched, sizeof(buf) - len)))
		why = fuzz_wrong("a message is not as it was sent");
	if (!why && x->want_fd && (x->nr_fds ? !good_fd(x, fd) : fd != -1))
		why = fuzz_wrong("descriptor %d is not as it was sent", fd);
	if (fd >= 0)
		close(fd);
	return why;
}

static const char *check(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	static struct input x;
	unsigned int before, i;
	int fds[WIRE_MAX_FDS];
	const char *why;
	int on = 1;
	int want;
	int s[2];

	why = open_objects();
	if (why)
		return why;
	take_input(&in, &x);
	for (i = 0; i < x.nr_fds; i++)
		fds[i] = objects[x.kinds[i]];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s))
		return fuzz_wrong("no sockets: %s", strerror(errno));
	if (x.credentials)
		setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	if (x.pidfd && setsockopt(s[0], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)))
		x.pidfd = false;
	want = expected(&x);
	if (!wire_send(s[1], x.bytes, x.len, fds, x.nr_fds, x.per_cmsg)) {
		why = fuzz_wrong("cannot send %zu bytes and %u descriptors: %s", x.len, x.nr_fds,
			    strerror(errno));
		goto out;
	}
	if (x.closed) {
		if (x.unread)
			send(s[0], "x", 1, MSG_NOSIGNAL);
		close(s[1]);
		s[1] = -1;
	}

	before = count_fds();
	why = x.as_buffer ? recv_buffer(&x, s[0], want) : recv_message(&x, s[0], want);
	for (i = 0; i < 5 && want; i++)
		met.refused[i] += errors[i] == -want;
	if (!why && count_fds() != before)
		why = fuzz_wrong("%u descriptors were open, then %u", before, count_fds());
	/* The message is consumed: nothing else comes. */
	if (!why) {
		ssize_t n = recv(s[0], &on, sizeof(on), MSG_DONTWAIT);

		if (x.closed ? n != 0 : n >= 0 || errno != EAGAIN)
			why = fuzz_wrong("%zd bytes are left in the socket", n);
	}
out:
	close(s[1]);
	close(s[0]);
	return why;
}

static const char *coverage(unsigned int i, bool *enough)
{
	static char text[128];

	if (i == 0) {
		*enough = met.buffers;
		snprintf(text, sizeof(text), "%" PRIu64 " buffers were received", met.buffers);
	} else if (i == 1) {
		*enough = met.fds && met.fds < met.messages;
		snprintf(text, sizeof(text), "%" PRIu64 " messages, %" PRIu64 " with a descriptor",
			 met.messages, met.fds);
	} else if (i == 2) {
		*enough = met.almost;
		snprintf(text, sizeof(text), "%" PRIu64 " buffers but for their description",
			 met.almost);
	} else if (errors[i - 3]) {
		*enough = met.refused[i - 3];
		snprintf(text, sizeof(text), "%" PRIu64 " were refused: %s", met.refused[i - 3],
			 strerror(errors[i - 3]));
	} else {
		return NULL;
	}
	return text;
}

const struct fuzz_subject fuzz_subject = {
	.name = "message",
	.check = check,
	.coverage = coverage,
	.iterations = 20000,
};
