// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The client of the block example against a primary that does not keep the rules, or says no.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include <barbuf.h>

#include "client.h"
#include "client_lease.h"
#include "fake_blk.h"
#include "tap.h"
#include "wire.h"

static char why[300];

/* In place of libc's: a descriptor that is closed twice may be somebody else's by then. */
static unsigned int bad_closes;

int close(int fd)
{
	int ret = syscall(SYS_close, fd);

	bad_closes += ret < 0;
	return ret;
}

/* Grants -------------------------------------------------------------------------*/

/* Refused before it has asked, as one connection too many is. */
static void refused_at_once(const struct blk_text *text)
{
	struct blk_client *c;
	struct fake_blk f;

	fake_blk_new(&f, 0, 8, 1024);
	barbuf_message_send(f.sock, text, sizeof(*text), -1);
	shutdown(f.sock, SHUT_RDWR);
	CHECK(blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)) == -EBUSY &&
		      strstr(why, "to another"),
	      "who is refused and hung up on hears why: %s", why);
	close(f.client);
	fake_blk_free(&f);
}

static void refused(void)
{
	const struct blk_text text = {
		.kind = BLK_REFUSED,
		.error = -EBUSY,
		.text = "queue 2 is lent \033[1m to another",
	};
	struct blk_text good = { .kind = BLK_REFUSED, .text = "no" };
	struct blk_client_options o = client_any;
	struct blk_client *c = (void *)1;
	struct fake_blk f;
	int sock;

	fake_blk_new(&f, 0, 8, 1024);
	barbuf_message_send(f.sock, &text, sizeof(text), -1);
	CHECK(blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)) == -EBUSY &&
		      !strcmp(why, "queue 2 is lent ?[1m to another"),
	      "a refusal's error and words, with nothing in them for a terminal: '%s'", why);
	refused_at_once(&text);
	barbuf_message_send(f.sock, &good, sizeof(good), -1);
	CHECK(blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)) == -EPROTO,
	      "a refusal without an error is none");
	o.primary = geteuid() + 1;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EACCES,
	      "the other end is not who it should be: %s", why);
	o = client_any;
	o.timeout_ms = 20;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -ETIMEDOUT, "no answer: %s",
	      why);
	o.depth = BLK_DEPTH_MAX + 1;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EINVAL, "a depth of 65");
	o = client_any;
	o.queue = -2;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EINVAL, "a queue of -2");
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)) == -EPIPE,
	      "the primary is gone: %s", why);
	close(f.client);
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CHECK(blk_client_adopt(&c, sock, &client_any, why, sizeof(why)) < 0 && *why,
	      "a socket that is not connected: %s", why);
	close(sock);
	CHECK(blk_client_open(&c, "/nowhere/at/all", &client_any, why, sizeof(why)) == -ENOENT,
	      "a socket that is not there: %s", why);
	CHECK(c == (void *)1, "nothing came of all that");
	fake_blk_free(&f);
}

/* A grant of which one thing is wrong. */
static void bad_grant(const char *what, void (*spoil)(struct fake_blk *f, struct fake_memory *m))
{
	struct blk_client_options o = client_any;
	unsigned int fds = open_fds();
	struct blk_client *c = NULL;
	struct fake_memory good;
	struct fake_blk f;
	int ret;

	bad_closes = 0;
	fake_blk_new(&f, 0, 8, 1024);
	good = f.m;
	spoil(&f, &f.m);
	fake_grant(&f);
	f.m = good;
	o.queue = FAKE_QUEUE;
	o.depth = 8;
	o.timeout_ms = 200;
	ret = blk_client_adopt(&c, f.client, &o, why, sizeof(why));
	CHECK(ret == -EPROTO && !c, "%s: %d, %s", what, ret, why);
	close(f.client);
	fake_blk_free(&f);
	CHECK(open_fds() == fds && !bad_closes, "and each descriptor of it is closed once");
}

static struct barbuf_buffer *small_buffer;
static int spoilt_fd;

#define SPOIL(name, change)                                         \
	static void name(struct fake_blk *f, struct fake_memory *m) \
	{                                                           \
		change;                                             \
	}
SPOIL(other_queue, m->grant.queue = 3)
SPOIL(more_depth, {
	m->grant.window.depth = 16;
	blk_window_layout(&m->grant.window, 4096);
})
SPOIL(moved_used, m->grant.window.used += 4096)
SPOIL(moved_data, m->grant.window.data -= 64)
SPOIL(huge_arena, m->grant.window.arena_size = 1u << 31)
SPOIL(odd_queue_size, m->grant.window.queue_size = 100)
SPOIL(unknown_flags, m->grant.window.flags = 4)
SPOIL(no_blocks, m->grant.nr_blocks = 0)
SPOIL(wrapping_blocks, m->grant.first_block = UINT64_MAX / 2)
SPOIL(odd_doorbell, m->grant.doorbell = 25)
SPOIL(far_doorbell, m->grant.doorbell = 4096)
SPOIL(large_value, m->grant.doorbell_value = 0x10000)
SPOIL(wrong_kind, m->grant.kind = BLK_ARENA)
SPOIL(arena_is_an_eventfd, m->arena_fd = m->eventfd)
SPOIL(table_is_small, m->table_fd = spoilt_fd)
SPOIL(arena_is_not_sealed, m->arena_fd = spoilt_fd)
SPOIL(no_table, m->table_fd = -1)
SPOIL(no_arena, m->arena_fd = -1)
SPOIL(no_eventfd, m->eventfd = -1)
SPOIL(arena_cannot_be_written, m->arena_fd = m->table_fd)
SPOIL(read_only_buffer, m->buffer = small_buffer)
SPOIL(arena_has_huge_pages, m->arena_fd = spoilt_fd)
SPOIL(ping_as_arena, m->arena_kind = BLK_PING)
SPOIL(ping_as_eventfd, m->eventfd_kind = BLK_PING)
SPOIL(a_word_between, fake_say(f, BLK_PING, 0, -1); fake_say(f, BLK_ARENA, 0, -1))

static int memfd(size_t size, int seals)
{
	int fd = memfd_create("spoilt", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, seals))
		return -1;
	return fd;
}

static void bad_grants(void)
{
	char path[32];
	int fd;

	bad_grant("another queue", other_queue);
	bad_grant("more depth than was asked for", more_depth);
	bad_grant("a used ring that is elsewhere", moved_used);
	bad_grant("data that is elsewhere", moved_data);
	bad_grant("an arena of 2 GiB", huge_arena);
	bad_grant("a queue of 100", odd_queue_size);
	bad_grant("a flag that is not known", unknown_flags);
	bad_grant("no blocks", no_blocks);
	bad_grant("blocks past the last number of a sector", wrapping_blocks);
	bad_grant("an odd doorbell", odd_doorbell);
	bad_grant("a doorbell behind the buffer", far_doorbell);
	bad_grant("a value of 17 bits", large_value);
	bad_grant("another message", wrong_kind);
	bad_grant("an arena that is no memory", arena_is_an_eventfd);
	spoilt_fd = memfd(4096, F_SEAL_SHRINK);
	bad_grant("a table that is too small", table_is_small);
	close(spoilt_fd);
	spoilt_fd = memfd(1 << 20, F_SEAL_GROW);
	bad_grant("an arena that could be cut", arena_is_not_sealed);
	close(spoilt_fd);
	/* Made without any being there: that is seen by who maps it. */
	spoilt_fd = memfd_create("spoilt", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (spoilt_fd >= 0 && !ftruncate(spoilt_fd, 2 << 20) &&
	    !fcntl(spoilt_fd, F_ADD_SEALS, F_SEAL_SHRINK))
		bad_grant("an arena of huge pages", arena_has_huge_pages);
	else
		tap_skip("an arena of huge pages", "%s", strerror(errno));
	close(spoilt_fd);
	bad_grant("an arena that cannot be written", arena_cannot_be_written);
	bad_grant("no table", no_table);
	bad_grant("no arena", no_arena);
	bad_grant("no eventfd", no_eventfd);
	bad_grant("a PING with a descriptor in place of the arena", ping_as_arena);
	bad_grant("one in place of the eventfd", ping_as_eventfd);
	bad_grant("words before the grant", a_word_between);
	fd = memfd_create("dmabuf:small", MFD_CLOEXEC);
	if (ftruncate(fd, 4096))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (barbuf_buffer_adopt(&small_buffer, open(path, O_RDONLY | O_CLOEXEC)))
		return;
	bad_grant("a doorbell that cannot be written", read_only_buffer);
	barbuf_buffer_free(small_buffer);
	close(fd);
}

static void bad_regrant(const char *what, void (*spoil)(struct fake_blk *f, struct fake_memory *m))
{
	struct blk_client_options o = client_any;
	struct fake_memory former, good;
	struct blk_client *c;
	struct fake_blk f;
	unsigned int fds;

	o.timeout_ms = 50;
	c = client_lease(&f, 0, 8, &o);
	client_start(c, BLK_OP_READ, 1, 0);
	fds = open_fds();
	bad_closes = 0;
	fake_blk_renew(&f, &former);
	good = f.m;
	spoil(&f, &f.m);
	fake_grant(&f);
	f.m = good;
	fake_memory_drop(&former);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "%s instead ends it: %s", what, blk_end_name(blk_client_end(c)));
	CHECK(open_fds() == fds && !bad_closes, "and each descriptor of it is closed once");
	client_drop(&f, c);
}

SPOIL(less_depth, {
	m->grant.window.depth = 7;
	blk_window_layout(&m->grant.window, 4096);
})
SPOIL(other_block_size, {
	m->grant.window.block_size = 512;
	blk_window_layout(&m->grant.window, 4096);
})
SPOIL(other_flags, {
	m->grant.window.flags = BLK_READ_ONLY;
	blk_window_layout(&m->grant.window, 4096);
})
SPOIL(other_first, m->grant.first_block++)
SPOIL(fewer_blocks, m->grant.nr_blocks--)
SPOIL(no_flush, m->grant.flush = 0)

static void bad_regrants(void)
{
	bad_regrant("a grant of less depth", less_depth);
	bad_regrant("one of smaller blocks", other_block_size);
	bad_regrant("one that is read-only", other_flags);
	bad_regrant("one of other blocks", other_first);
	bad_regrant("one of fewer blocks", fewer_blocks);
	bad_regrant("one without the cache", no_flush);
	bad_regrant("one whose arena is missing", no_arena);
	bad_regrant("one with a PING in place of the arena", ping_as_arena);
}

/* Words ----------------------------------------------------------------------------*/

/* One that asks and asks, and does not read: it is waited for once. */
static void deaf_primary(void)
{
	struct blk_client_options o = client_any;
	struct blk_client *c;
	struct fake_blk f;
	unsigned int i;
	int small = 1;
	time_t began;

	o.timeout_ms = 1000;
	fake_blk_new(&f, 0, 8, 1024);
	setsockopt(f.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	fake_grant(&f);
	REQUIRE(!blk_client_adopt(&c, f.client, &o, why, sizeof(why)), "%s", why);
	for (i = 0; i < 64; i++)
		fake_say(&f, BLK_PING, i, -1);
	began = time(NULL);
	CHECK(blk_client_wait(c, 0) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "a primary that does not read the answers to %u PINGs: %s", i,
	      blk_end_name(blk_client_end(c)));
	CHECK(time(NULL) - began < 10, "is waited for once: %ld s", (long)(time(NULL) - began));
	client_drop(&f, c);
}

static void words(void)
{
	static const struct {
		uint32_t kind;
		const char *what;
	} bad[] = {
		{ BLK_RESUME, "RESUME without a pause" },
		{ BLK_ARENA, "ARENA" },
		{ BLK_COMPLETION, "COMPLETION" },
		{ BLK_ASK, "ASK" },
		{ BLK_PONG, "PONG" },
		{ BLK_STATUS, "STATUS" },
		{ BLK_REFUSED, "REFUSED, cut short" },
		{ BLK_GRANT, "GRANT, cut short" },
		{ 0, "zeros" },
		{ UINT32_MAX, "ones" },
	};
	const struct blk_text refusal = { .kind = BLK_REFUSED, .error = -EBUSY };
	const uint32_t ping[3] = { BLK_PING };
	struct blk_client *c;
	struct fake_blk f;
	unsigned int fds;
	uint32_t value;
	size_t i;

	c = client_lease(&f, 0, 8, &client_any);
	for (i = 0; i < 200; i++)
		fake_say(&f, BLK_PING, i, -1);
	for (i = 0; i < 200; i++) {
		blk_client_wait(c, 0);
		if (fake_hear(&f, &value) != BLK_PONG || value != i)
			break;
	}
	CHECK(i == 200, "each PING has its PONG: %zu", i);
	client_drop(&f, c);

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = client_lease(&f, 0, 8, &client_any);
		fds = open_fds();
		fake_say(&f, bad[i].kind, 0, i % 2 ? f.m.eventfd : -1);
		CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE &&
			      blk_client_end(c) == BLK_END_PROTOCOL && open_fds() == fds,
		      "%s ends it", bad[i].what);
		client_drop(&f, c);
	}
	c = client_lease(&f, 0, 8, &client_any);
	barbuf_message_send(f.sock, &refusal, sizeof(refusal), -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "a refusal of what was granted");
	client_drop(&f, c);
	c = client_lease(&f, 0, 8, &client_any);
	fds = open_fds();
	fake_say(&f, BLK_PING, 0, f.m.eventfd);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL &&
		      open_fds() == fds,
	      "a descriptor that belongs to nothing");
	client_drop(&f, c);
	c = client_lease(&f, 0, 8, &client_any);
	barbuf_message_send(f.sock, ping, sizeof(ping), -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "a PING that is too long");
	client_drop(&f, c);
	c = client_lease(&f, 0, 8, &client_any);
	CHECK(send(f.sock, "hello", 5, 0) == 5 && blk_client_wait(c, WAIT_MS) == -EPIPE &&
		      blk_client_end(c) == BLK_END_PROTOCOL,
	      "bytes that are no message");
	client_drop(&f, c);
}

/* A used ring that no device writes ------------------------------------------------*/

static void used_ring(void)
{
	const struct blk_client_counts *n;
	struct blk_completion done[8];
	struct vring_used *used;
	struct blk_client *c;
	struct fake_blk f;
	unsigned int i;
	int read, write;

	c = client_lease(&f, 0, 8, &client_any);
	n = blk_client_counts(c);
	used = (void *)((char *)f.m.table + f.m.grant.window.used);
	client_start(c, BLK_OP_READ, 1, 0);
	client_start(c, BLK_OP_WRITE, 2, 1);
	read = blk_window_head(&f.m.grant.window, 0, false);
	write = blk_window_head(&f.m.grant.window, 1, true);

	fake_complete(&f, UINT32_MAX, 0);
	fake_complete(&f, 0x10000 + read, 0);
	fake_complete(&f, read + 1, 0);
	fake_complete(&f, blk_window_head(&f.m.grant.window, 5, false), 0);
	fake_complete(&f, blk_window_head(&f.m.grant.window, 0, true), 0);
	fake_complete(&f, blk_window_head(&f.m.grant.window, 8, false), 0);
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 6,
	      "heads of nothing, and of what is not in flight: %ju", (uintmax_t)n->ignored);
	/* Of the fifth above the status was written: what is in flight has none. */
	((volatile uint8_t *)f.m.arena)[f.m.grant.window.status] = 0xff;
	fake_complete(&f, read, 0xff);
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 7,
	      "a request that is said to be done and has no status");
	fake_complete(&f, write, 0);
	fake_complete(&f, write, 0);
	CHECK(blk_client_reap(c, done, 8) == 1 && done[0].slot == 1 && n->ignored == 8,
	      "the same twice is done once");
	fake_complete(&f, write, 0);
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 9, "and not a third time");

	f.used += 1000;
	used->idx = f.used;
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 10, "an index far ahead");
	f.used -= 3;
	used->idx = f.used;
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 11, "an index that goes back");
	for (i = 0; i < f.m.grant.window.queue_size; i++)
		fake_complete(&f, i, 0xff);
	CHECK(blk_client_reap(c, done, 8) == 0 && n->ignored == 11 + i, "a whole ring of them");
	CHECK(blk_client_end(c) == -1, "all that ends nothing");
	fake_complete(&f, read, 0);
	CHECK(blk_client_reap(c, done, 8) == 1 && done[0].block == 1, "and the truth still comes");
	client_drop(&f, c);
}

/* The eventfd that came is something else. */
static void no_eventfd_at_all(void)
{
	struct blk_client *c = NULL;
	struct fake_memory good;
	struct fake_blk f;

	fake_blk_new(&f, 0, 8, 1024);
	good = f.m;
	f.m.eventfd = open("/dev/null", O_RDWR | O_CLOEXEC);
	fake_grant(&f);
	close(f.m.eventfd);
	f.m = good;
	REQUIRE(!blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)),
		"/dev/null as an eventfd");
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "ends the lease when it speaks");
	client_drop(&f, c);
}

int main(void)
{
	barbuf_guard_install();
	refused();
	bad_grants();
	bad_regrants();
	words();
	deaf_primary();
	used_ring();
	no_eventfd_at_all();
	return tap_done();
}
