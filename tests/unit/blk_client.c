// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The client of the block example against a primary on a socketpair and a device that a thread
 * plays: I/O, pauses, new grants, the end of a lease, and others that do not keep the rules.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include <barbuf.h>

#include "client.h"
#include "fake_blk.h"
#include "tap.h"
#include "wire.h"

#define WAIT_MS 5000

static const struct blk_client_options any = {
	.queue = BLK_ANY_QUEUE,
	.primary = (uid_t)-1,
	.timeout_ms = WAIT_MS,
};

static char why[300];

/* In place of libc's: a descriptor that is closed twice may be somebody else's by then. */
static unsigned int bad_closes;

int close(int fd)
{
	int ret = syscall(SYS_close, fd);

	bad_closes += ret < 0;
	return ret;
}

/* A lease, with the device standing still. */
static struct blk_client *lease(struct fake_blk *f, uint32_t flags, uint32_t depth,
				const struct blk_client_options *o)
{
	struct blk_client *c = NULL;
	uint32_t value;

	fake_blk_new(f, flags, depth, 1024);
	if (!fake_grant(f) || blk_client_adopt(&c, f->client, o, why, sizeof(why)) ||
	    fake_hear(f, &value) != BLK_ASK) {
		printf("Bail out! no lease: %s\n", why);
		exit(1);
	}
	return c;
}

static void drop(struct fake_blk *f, struct blk_client *c)
{
	fake_device_stop(f);
	blk_client_close(c);
	fake_blk_free(f);
}

static void fill(void *data, uint64_t block, uint32_t version)
{
	uint32_t i, *word = data;

	for (i = 0; i < 256; i++)
		word[i] = block * 2654435761u + version * 40503 + i;
}

static bool is_filled(const void *data, uint64_t block, uint32_t version)
{
	uint32_t want[256];

	fill(want, block, version);
	return !memcmp(data, want, sizeof(want));
}

static int start(struct blk_client *c, enum blk_op op, uint64_t block, uint32_t version)
{
	int slot = blk_client_slot(c);

	if (slot < 0)
		return slot;
	if (op == BLK_OP_WRITE)
		fill(blk_client_data(c, slot), block, version);
	return blk_client_submit(c, slot, op, block);
}

/* Have @nr requests completed, and give their slots back. How many were, without error. */
static unsigned int finish(struct blk_client *c, unsigned int nr)
{
	struct blk_completion done[BLK_DEPTH_MAX];
	unsigned int good = 0;

	while (nr) {
		int i, n;

		blk_client_ring(c);
		if (blk_client_wait(c, WAIT_MS))
			break;
		n = blk_client_reap(c, done, nr < BLK_DEPTH_MAX ? nr : BLK_DEPTH_MAX);
		for (i = 0; i < n; i++) {
			good += !done[i].error;
			nr--;
			blk_client_put(c, done[i].slot);
		}
		if (n < 0)
			break;
	}
	return good;
}

/* Asking -------------------------------------------------------------------------*/

static void facts(void)
{
	const struct blk_client_options want = {
		.queue = FAKE_QUEUE,
		.read_only = true,
		.depth = 16,
		.primary = geteuid(),
	};
	unsigned int fds = open_fds();
	const struct blk_client_facts *facts;
	struct blk_client_raw raw;
	struct blk_ask ask;
	struct blk_client *c = NULL;
	struct fake_blk f;
	uint32_t value;
	size_t len;

	fake_blk_new(&f, BLK_READ_ONLY, 8, 1024);
	fake_say(&f, BLK_PING, 77, -1);
	fake_grant(&f);
	REQUIRE(!blk_client_adopt(&c, f.client, &want, why, sizeof(why)),
		"less depth than asked for is fine");
	CHECK(!barbuf_message_recv(f.sock, &ask, sizeof(ask), &len, NULL) && len == sizeof(ask) &&
		      ask.kind == BLK_ASK && ask.version == BLK_VERSION &&
		      ask.queue == FAKE_QUEUE && ask.flags == BLK_READ_ONLY && ask.depth == 16,
	      "what was asked for is in ASK");
	CHECK(fake_hear(&f, &value) == BLK_PONG && value == 77, "a PING before is answered");
	facts = blk_client_facts(c);
	CHECK(facts->first_block == FAKE_FIRST && facts->nr_blocks == FAKE_BLOCKS &&
		      facts->queue == FAKE_QUEUE && facts->window.depth == 8,
	      "the facts are the grant's");
	CHECK(blk_client_end(c) == -1 && blk_client_leaving(c) == -1 && !blk_client_paused(c),
	      "and all is well");
	blk_client_raw(c, &raw);
	CHECK(raw.table_fd >= 0 && raw.arena_fd >= 0 && raw.eventfd == blk_client_eventfd(c) &&
		      raw.buffer_fd >= 0 && raw.doorbell && raw.table && raw.arena,
	      "what came is shown to those who ask");
	CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, raw.table_fd, 0) == MAP_FAILED,
	      "the table cannot be mapped to be written");
	blk_client_close(c);
	CHECK(fake_hear(&f, &value) == BLK_BYE, "the end is told");
	fake_blk_free(&f);
	blk_client_close(NULL);
	CHECK(open_fds() == fds, "no descriptor is left");
}

/* Refused before it has asked, as one connection too many is. */
static void refused_at_once(const struct blk_text *text)
{
	struct blk_client *c;
	struct fake_blk f;

	fake_blk_new(&f, 0, 8, 1024);
	barbuf_message_send(f.sock, text, sizeof(*text), -1);
	shutdown(f.sock, SHUT_RDWR);
	CHECK(blk_client_adopt(&c, f.client, &any, why, sizeof(why)) == -EBUSY &&
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
	struct blk_client_options o = any;
	struct blk_client *c = (void *)1;
	struct fake_blk f;
	int sock;

	fake_blk_new(&f, 0, 8, 1024);
	barbuf_message_send(f.sock, &text, sizeof(text), -1);
	CHECK(blk_client_adopt(&c, f.client, &any, why, sizeof(why)) == -EBUSY &&
		      !strcmp(why, "queue 2 is lent ?[1m to another"),
	      "a refusal's error and words, with nothing in them for a terminal: '%s'", why);
	refused_at_once(&text);
	barbuf_message_send(f.sock, &good, sizeof(good), -1);
	CHECK(blk_client_adopt(&c, f.client, &any, why, sizeof(why)) == -EPROTO,
	      "a refusal without an error is none");
	o.primary = geteuid() + 1;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EACCES,
	      "the other end is not who it should be: %s", why);
	o = any;
	o.timeout_ms = 20;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -ETIMEDOUT, "no answer: %s",
	      why);
	o.depth = BLK_DEPTH_MAX + 1;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EINVAL, "a depth of 65");
	o = any;
	o.queue = -2;
	CHECK(blk_client_adopt(&c, f.client, &o, why, sizeof(why)) == -EINVAL, "a queue of -2");
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_adopt(&c, f.client, &any, why, sizeof(why)) == -EPIPE,
	      "the primary is gone: %s", why);
	close(f.client);
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CHECK(blk_client_adopt(&c, sock, &any, why, sizeof(why)) < 0 && *why,
	      "a socket that is not connected: %s", why);
	close(sock);
	CHECK(blk_client_open(&c, "/nowhere/at/all", &any, why, sizeof(why)) == -ENOENT,
	      "a socket that is not there: %s", why);
	CHECK(c == (void *)1, "nothing came of all that");
	fake_blk_free(&f);
}

/* A grant of which one thing is wrong. */
static void bad_grant(const char *what, void (*spoil)(struct fake_blk *f, struct fake_memory *m))
{
	struct blk_client_options o = any;
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

/* I/O ----------------------------------------------------------------------------*/

/* Write blocks at random, and read them back, with as much in flight as there are slots. */
static void load(uint32_t depth, bool poll, unsigned int requests)
{
	struct blk_client_options o = any;
	uint32_t version[FAKE_BLOCKS] = { 0 }, slots = 0;
	bool busy[FAKE_BLOCKS] = { 0 };
	unsigned int submitted = 0, reaped = 0, bad = 0, stuck = 0, most = 0, seed = depth;
	const struct blk_client_counts *n;
	struct blk_client *c;
	struct fake_blk f;

	o.poll = poll;
	c = lease(&f, 0, depth, &o);
	fake_device_start(&f, UINT_MAX);
	while (reaped < requests && !stuck) {
		struct blk_completion done[7];
		int i, got;

		while (submitted < requests) {
			unsigned int block = rand_r(&seed) % FAKE_BLOCKS;
			bool write = !version[block] || rand_r(&seed) % 2;

			/* Each block has one request in flight. */
			if (busy[block])
				break;
			if (write)
				version[block]++;
			if (start(c, write ? BLK_OP_WRITE : BLK_OP_READ, block, version[block])) {
				version[block] -= write;
				break;
			}
			busy[block] = true;
			submitted++;
		}
		if (submitted - reaped > most)
			most = submitted - reaped;
		blk_client_ring(c);
		stuck = !!blk_client_wait(c, WAIT_MS);
		got = blk_client_reap(c, done, 7);
		for (i = 0; i < got; i++) {
			uint64_t b = done[i].block;

			reaped++;
			busy[b] = false;
			slots |= done[i].slot >= depth;
			bad += done[i].error || done[i].tries != 1 || !done[i].ns;
			if (done[i].op == BLK_OP_READ)
				bad += !is_filled(blk_client_data(c, done[i].slot), b, version[b]);
			blk_client_put(c, done[i].slot);
		}
	}
	n = blk_client_counts(c);
	CHECK(reaped == requests && !bad && !slots && !stuck,
	      "%u requests, %u bad, at most %u in flight, depth %u, %s", reaped, bad, most, depth,
	      poll ? "polling" : "by interrupts");
	CHECK(poll ? !n->interrupts : n->interrupts, "%ju interrupts", (uintmax_t)n->interrupts);
	CHECK(!n->ignored && !n->resubmitted && !n->sigbus, "nothing went wrong");
	drop(&f, c);
}

static void loads(void)
{
	static const uint32_t depths[] = { 1, 2, 7, 25, 26, 64 };
	size_t i;

	for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		load(depths[i], false, 1000);
		load(depths[i], true, 1000);
	}
	/* The indexes have 16 bits. */
	load(64, false, 70000);
	load(3, true, 70000);
}

static void limits(void)
{
	struct blk_completion done = { 0 };
	struct blk_client *c;
	struct fake_blk f;
	int slot, i;

	c = lease(&f, 0, 4, &any);
	for (i = 0; i < 4; i++)
		CHECK(blk_client_slot(c) == i, "slot %d", i);
	CHECK(blk_client_slot(c) == -EAGAIN, "and no more");
	blk_client_put(c, 2);
	blk_client_put(c, 2);
	blk_client_put(c, 4);
	blk_client_put(c, UINT32_MAX);
	CHECK(blk_client_submit(c, 2, BLK_OP_READ, 0) == -EINVAL, "a slot that was put back");
	CHECK(blk_client_submit(c, 4, BLK_OP_READ, 0) == -EINVAL, "a slot too high");
	CHECK(blk_client_submit(c, 0, BLK_OP_FLUSH + 1, 0) == -EINVAL, "no such request");
	CHECK(blk_client_submit(c, 0, BLK_OP_READ, FAKE_BLOCKS) == -ERANGE, "a block too high");
	CHECK(blk_client_submit(c, 0, BLK_OP_READ, UINT64_MAX) == -ERANGE, "far too high");
	CHECK(!blk_client_submit(c, 0, BLK_OP_READ, FAKE_BLOCKS - 1), "the last one");
	CHECK(blk_client_submit(c, 0, BLK_OP_READ, 0) == -EINVAL, "a slot in flight");
	fake_device_start(&f, UINT_MAX);
	CHECK(finish(c, 1) == 1, "is read");
	f.status = VIRTIO_BLK_S_IOERR;
	blk_client_submit(c, 1, BLK_OP_READ, 0);
	CHECK(finish(c, 1) == 0, "a request that the device fails");
	for (i = 1; i < 4; i++) {
		f.status = i;
		slot = blk_client_slot(c);
		blk_client_submit(c, slot, BLK_OP_READ, 5);
		blk_client_ring(c);
		blk_client_wait(c, WAIT_MS);
		CHECK(blk_client_reap(c, &done, 1) == 1 && done.slot == (uint32_t)slot &&
			      done.block == 5 &&
			      done.error == (i == VIRTIO_BLK_S_UNSUPP ? -EOPNOTSUPP : -EIO),
		      "status %d: %d", i, done.error);
		blk_client_put(c, slot);
	}
	f.status = 0;
	CHECK(!start(c, BLK_OP_FLUSH, 0, 0) && finish(c, 1) == 1 && f.flushes == 1, "a flush");
	CHECK(blk_client_wait(c, 10) == -ETIMEDOUT, "nothing to wait for");
	CHECK(blk_client_reap(c, &done, 1) == 0, "and nothing to reap");
	drop(&f, c);
}

static void read_only(void)
{
	struct blk_client *c;
	struct fake_blk f;

	c = lease(&f, BLK_READ_ONLY, 4, &any);
	fill(f.disk + 7 * 1024, 7, 1);
	fake_device_start(&f, UINT_MAX);
	CHECK(start(c, BLK_OP_WRITE, 0, 0) == -EROFS, "no write in a read-only lease");
	blk_client_put(c, 0);
	CHECK(start(c, BLK_OP_FLUSH, 0, 0) == -EROFS, "no flush either, which goes by its chain");
	blk_client_put(c, 0);
	CHECK(!start(c, BLK_OP_READ, 7, 0) && finish(c, 1) == 1 &&
		      is_filled(blk_client_data(c, 0), 7, 1),
	      "a read");
	drop(&f, c);

	fake_blk_new(&f, 0, 4, 1024);
	f.m.grant.flush = 0;
	fake_grant(&f);
	REQUIRE(!blk_client_adopt(&c, f.client, &any, why, sizeof(why)), "one without a cache");
	CHECK(start(c, BLK_OP_FLUSH, 0, 0) == -EOPNOTSUPP, "has no flush");
	drop(&f, c);
}

static void fixed(void)
{
	struct blk_client *c;
	struct fake_blk f;
	int i, right = 0;

	c = lease(&f, BLK_READ_ONLY | BLK_FIXED, 4, &any);
	for (i = 0; i < 4; i++)
		fill(f.disk + i * 1024, i, 9);
	fake_device_start(&f, UINT_MAX);
	CHECK(blk_client_slot(c) == 0 && blk_client_submit(c, 0, BLK_OP_READ, 1) == -EINVAL,
	      "slot 0 is block 0 and no other");
	blk_client_put(c, 0);
	for (i = 0; i < 4; i++)
		right += !start(c, BLK_OP_READ, i, 0);
	CHECK(right == 4 && finish(c, 4) == 4, "each slot its own block");
	for (i = 0; i < 4; i++)
		right -= is_filled(blk_client_data(c, i), i, 9);
	CHECK(!right, "by the primary's headers");
	drop(&f, c);
}

/* Pauses, new grants, the end --------------------------------------------------*/

static uint16_t avail_idx(const struct fake_blk *f)
{
	return ((struct vring_avail *)f->m.arena)->idx;
}

static void restart(void)
{
	const struct blk_client_counts *n;
	struct blk_completion done[20];
	struct blk_client *c;
	struct fake_blk f;
	uint32_t value;
	int i, got, once = 0, twice = 0, right = 0;

	c = lease(&f, 0, 20, &any);
	n = blk_client_counts(c);
	fake_device_start(&f, 4);
	for (i = 0; i < 16; i++)
		start(c, BLK_OP_WRITE, i, 3);
	blk_client_ring(c);
	while (blk_client_wait(c, WAIT_MS) == 0 && f.used < 4)
		;
	fake_device_stop(&f);
	CHECK(f.used == 4, "4 of 16 are done when the device stops");
	fake_say(&f, BLK_PAUSE, 41, -1);
	usleep(2000);
	got = blk_client_reap(c, done, 2);
	CHECK(fake_hear(&f, &value) == BLK_PAUSED && value == 41,
	      "PAUSE is answered with its epoch");
	CHECK(blk_client_paused(c) && n->pauses == 1, "and is seen");
	fake_say(&f, BLK_PAUSE, 42, -1);
	CHECK(got == 2 && done[0].tries == 1, "what was done before is not lost");
	blk_client_put(c, done[0].slot);
	blk_client_put(c, done[1].slot);
	fake_rewind(&f);
	/* What the primary does to the rings until RESUME is not looked at. */
	fake_complete(&f, 0x55, 0);
	fake_rewind(&f);
	start(c, BLK_OP_WRITE, 16, 3);
	start(c, BLK_OP_WRITE, 17, 3);
	blk_client_ring(c);
	CHECK(avail_idx(&f) == 0, "nothing is put into the ring meanwhile");
	CHECK(fake_hear(&f, &value) == 0, "a message is not answered before it is read");
	usleep(2000);
	got = blk_client_reap(c, done, 20);
	CHECK(got == 2, "the others that were done: %d", got);
	CHECK(fake_hear(&f, &value) == BLK_PAUSED && value == 42 && n->pauses == 1,
	      "a second PAUSE is answered, and is the same pause");
	for (i = 0; i < got; i++)
		blk_client_put(c, done[i].slot);
	CHECK(blk_client_wait(c, 20) == -ETIMEDOUT && blk_client_paused(c), "a pause lasts");

	fake_device_start(&f, UINT_MAX);
	fake_say(&f, BLK_RESUME, 43, -1);
	for (i = 0; i < 14; i += got) {
		int k;

		if (blk_client_wait(c, WAIT_MS))
			break;
		got = blk_client_reap(c, done, 20);
		for (k = 0; k < got; k++) {
			once += done[k].tries == 1 && done[k].block >= 16;
			twice += done[k].tries == 2 && done[k].block >= 4;
			blk_client_put(c, done[k].slot);
		}
	}
	CHECK(once == 2 && twice == 12 && n->resubmitted == 12,
	      "12 were in flight and go again, 2 for the first time: %d, %d", twice, once);
	for (i = 0; i < 18; i++)
		right += is_filled(f.disk + i * 1024, i, 3);
	CHECK(right == 18 && !n->ignored && !blk_client_paused(c), "and all are on the disk");
	drop(&f, c);
}

static void regrant(void)
{
	const struct blk_client_counts *n;
	struct blk_completion done[8];
	struct fake_memory former;
	struct blk_client *c;
	struct fake_blk f;
	unsigned int fds;
	int i, right = 0, twice = 0, got = 0;

	c = lease(&f, 0, 8, &any);
	n = blk_client_counts(c);
	for (i = 0; i < 8; i++)
		fill(f.disk + (20 + i) * 1024, 20 + i, 5);
	fake_device_start(&f, 3);
	for (i = 0; i < 3; i++)
		start(c, BLK_OP_READ, 20 + i, 0);
	for (i = 0; i < 4; i++)
		start(c, BLK_OP_WRITE, 40 + i, 6);
	fill(blk_client_data(c, blk_client_slot(c)), 99, 1);
	blk_client_ring(c);
	while (f.used < 3)
		usleep(100);
	fake_device_stop(&f);
	fds = open_fds();

	/* 3 are done and not reaped, 4 are in flight, one is the caller's. */
	fake_blk_renew(&f, &former);
	memset(f.m.arena, 0xa5, f.m.grant.window.arena_size);
	((struct vring_avail *)f.m.arena)->idx = 0;
	f.m.grant.queue = 1;
	*f.m.doorbell = 0;
	fake_grant(&f);
	usleep(2000);
	CHECK(blk_client_reap(c, done, 0) == 0 && n->regrants == 1 &&
		      blk_client_facts(c)->queue == 1,
	      "another grant takes the place of the first");
	CHECK(*f.m.doorbell == FAKE_RING, "its doorbell is rung");
	fake_memory_drop(&former);
	CHECK(open_fds() == fds, "the former grant's descriptors are closed");
	CHECK(n->resubmitted == 4, "what was in flight was submitted again: %ju",
	      (uintmax_t)n->resubmitted);
	CHECK(is_filled(blk_client_data(c, 7), 99, 1), "a slot of the caller's moved along");
	fake_device_start(&f, UINT_MAX);
	while (got < 7 && !blk_client_wait(c, WAIT_MS)) {
		int k, nr = blk_client_reap(c, done, 8);

		for (k = 0; k < nr; k++) {
			if (done[k].op == BLK_OP_READ)
				right += done[k].tries == 1 &&
					 is_filled(blk_client_data(c, done[k].slot), done[k].block,
						   5);
			twice += done[k].tries == 2;
		}
		got += nr;
	}
	CHECK(right == 3, "what had been read before, too: %d", right);
	right = 0;
	for (i = 0; i < 4; i++)
		right += is_filled(f.disk + (40 + i) * 1024, 40 + i, 6);
	CHECK(got == 7 && twice == 4 && right == 4, "the writes are on the disk");
	drop(&f, c);
}

static void bad_regrant(const char *what, void (*spoil)(struct fake_blk *f, struct fake_memory *m))
{
	struct blk_client_options o = any;
	struct fake_memory former, good;
	struct blk_client *c;
	struct fake_blk f;
	unsigned int fds;

	o.timeout_ms = 50;
	c = lease(&f, 0, 8, &o);
	start(c, BLK_OP_READ, 1, 0);
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
	drop(&f, c);
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

static void ends(void)
{
	struct blk_completion done[4];
	struct blk_client *c;
	struct fake_blk f;
	uint32_t value;

	c = lease(&f, 0, 8, &any);
	fake_device_start(&f, 1);
	start(c, BLK_OP_READ, 1, 0);
	start(c, BLK_OP_READ, 2, 0);
	blk_client_ring(c);
	while (f.used < 1)
		usleep(100);
	fake_say(&f, BLK_ENDED, BLK_END_REVOKED, -1);
	usleep(2000);
	CHECK(blk_client_reap(c, done, 0) == 0 && blk_client_end(c) == BLK_END_REVOKED,
	      "the end, and why: %s", blk_end_name(blk_client_end(c)));
	CHECK(!blk_client_wait(c, 0) && blk_client_reap(c, done, 4) == 1 && done[0].block == 1,
	      "what was done can be reaped");
	CHECK(blk_client_reap(c, done, 4) == -EPIPE && blk_client_wait(c, WAIT_MS) == -EPIPE,
	      "then it is over");
	CHECK(blk_client_ring(c) == -EPIPE && start(c, BLK_OP_READ, 1, 0) == -EPIPE &&
		      !blk_client_paused(c),
	      "and nothing more is done");
	drop(&f, c);

	c = lease(&f, 0, 8, &any);
	fake_say(&f, BLK_ENDED, UINT32_MAX, -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "an end for no known reason");
	drop(&f, c);

	c = lease(&f, 0, 8, &any);
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_SHUTDOWN,
	      "a primary that is gone");
	drop(&f, c);

	c = lease(&f, 0, 8, &any);
	fake_say(&f, BLK_PING, 1, -1);
	fake_say(&f, BLK_PAUSE, 1, -1);
	fake_say(&f, BLK_ENDED, BLK_END_REVOKED, -1);
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_REVOKED,
	      "its last words are heard, although nobody is there to be answered: %s",
	      blk_end_name(blk_client_end(c)));
	drop(&f, c);

	c = lease(&f, 0, 8, &any);
	fake_device_start(&f, 1);
	start(c, BLK_OP_READ, 1, 0);
	blk_client_ring(c);
	while (f.used < 1)
		usleep(100);
	blk_client_leave(c);
	CHECK(fake_hear(&f, &value) == BLK_BYE && blk_client_end(c) == BLK_END_BYE,
	      "who leaves says so");
	CHECK(blk_client_reap(c, done, 4) == 1 && blk_client_reap(c, done, 4) == -EPIPE &&
		      start(c, BLK_OP_READ, 1, 0) == -EPIPE,
	      "what was done can be reaped, and nothing more is");
	blk_client_leave(c);
	fake_device_stop(&f);
	blk_client_close(c);
	CHECK(!fake_hear(&f, &value), "and says so once");
	fake_blk_free(&f);

	c = lease(&f, 0, 8, &any);
	fake_say(&f, BLK_LEAVE, 5000, -1);
	fake_say(&f, BLK_PING, 5, -1);
	CHECK(blk_client_wait(c, 20) == -ETIMEDOUT, "a request to leave ends nothing");
	CHECK(blk_client_leaving(c) > 1000 && blk_client_leaving(c) <= 5000, "there is time: %d",
	      blk_client_leaving(c));
	drop(&f, c);
}

/* One that asks and asks, and does not read: it is waited for once. */
static void deaf_primary(void)
{
	struct blk_client_options o = any;
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
	drop(&f, c);
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

	c = lease(&f, 0, 8, &any);
	for (i = 0; i < 200; i++)
		fake_say(&f, BLK_PING, i, -1);
	for (i = 0; i < 200; i++) {
		blk_client_wait(c, 0);
		if (fake_hear(&f, &value) != BLK_PONG || value != i)
			break;
	}
	CHECK(i == 200, "each PING has its PONG: %zu", i);
	drop(&f, c);

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = lease(&f, 0, 8, &any);
		fds = open_fds();
		fake_say(&f, bad[i].kind, 0, i % 2 ? f.m.eventfd : -1);
		CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE &&
			      blk_client_end(c) == BLK_END_PROTOCOL && open_fds() == fds,
		      "%s ends it", bad[i].what);
		drop(&f, c);
	}
	c = lease(&f, 0, 8, &any);
	barbuf_message_send(f.sock, &refusal, sizeof(refusal), -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "a refusal of what was granted");
	drop(&f, c);
	c = lease(&f, 0, 8, &any);
	fds = open_fds();
	fake_say(&f, BLK_PING, 0, f.m.eventfd);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL &&
		      open_fds() == fds,
	      "a descriptor that belongs to nothing");
	drop(&f, c);
	c = lease(&f, 0, 8, &any);
	barbuf_message_send(f.sock, ping, sizeof(ping), -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "a PING that is too long");
	drop(&f, c);
	c = lease(&f, 0, 8, &any);
	CHECK(send(f.sock, "hello", 5, 0) == 5 && blk_client_wait(c, WAIT_MS) == -EPIPE &&
		      blk_client_end(c) == BLK_END_PROTOCOL,
	      "bytes that are no message");
	drop(&f, c);
}

/* The doorbell -------------------------------------------------------------------*/

/* A buffer that cannot be mapped any more, see fake_dmabuf.c. */
static void revoke_doorbell(struct fake_memory *m)
{
	int fd = memfd_create("dmabuf:revoked", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	barbuf_buffer_free(m->buffer);
	if (ftruncate(fd, 4096) || fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) ||
	    barbuf_buffer_adopt(&m->buffer, fd))
		abort();
}

/* A device is reset, or a lease ends, while its grant is still on its way. */
static void doorbell_gone_at_once(void)
{
	struct fake_memory former;
	struct blk_client *c;
	struct fake_blk f;
	int ret;

	fake_blk_new(&f, 0, 8, 1024);
	revoke_doorbell(&f.m);
	fake_grant(&f);
	ret = blk_client_adopt(&c, f.client, &any, why, sizeof(why));
	CHECK(!ret && blk_client_paused(c), "a grant that is over is no error, but a pause: %d, %s",
	      ret, why);
	start(c, BLK_OP_WRITE, 1, 2);
	CHECK(!blk_client_ring(c) && !blk_client_counts(c)->sigbus, "which is waited for");
	fake_blk_renew(&f, &former);
	fake_memory_drop(&former);
	revoke_doorbell(&f.m);
	fake_grant(&f);
	blk_client_wait(c, 10);
	CHECK(blk_client_counts(c)->regrants == 1 && blk_client_paused(c), "and so is the next");
	fake_blk_renew(&f, &former);
	fake_memory_drop(&former);
	fake_device_start(&f, UINT_MAX);
	fake_grant(&f);
	CHECK(finish(c, 1) == 1 && is_filled(f.disk + 1024, 1, 2), "the third works");
	drop(&f, c);

	fake_blk_new(&f, 0, 8, 1024);
	revoke_doorbell(&f.m);
	fake_grant(&f);
	fake_say(&f, BLK_ENDED, BLK_END_REVOKED, -1);
	ret = blk_client_adopt(&c, f.client, &any, why, sizeof(why));
	CHECK(!ret && blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_REVOKED,
	      "one that was revoked at once says so");
	drop(&f, c);
}

static void doorbell_gone(void)
{
	const struct blk_client_counts *n;
	struct fake_memory former;
	struct blk_client *c;
	struct fake_blk f;
	uint64_t rung;
	uint32_t value;

	c = lease(&f, 0, 8, &any);
	n = blk_client_counts(c);
	rung = n->doorbells;
	CHECK(!blk_client_ring(c) && n->doorbells == rung, "nothing submitted, nothing rung");
	start(c, BLK_OP_WRITE, 1, 2);
	CHECK(!blk_client_ring(c) && n->doorbells == rung + 1, "one request, one doorbell");
	/* A page that is cut off a file raises SIGBUS, as one that is revoked. */
	if (ftruncate(f.m.doorbell_fd, 0))
		return;
	start(c, BLK_OP_WRITE, 2, 2);
	CHECK(!blk_client_ring(c) && n->sigbus == 1, "a doorbell that is gone is no SIGBUS");
	CHECK(blk_client_paused(c), "and I/O stands still");
	start(c, BLK_OP_WRITE, 3, 2);
	CHECK(!blk_client_ring(c) && n->sigbus == 1, "it is not tried again");
	CHECK(avail_idx(&f) == 2, "and nothing is put where nobody looks: %u", avail_idx(&f));

	if (ftruncate(f.m.doorbell_fd, 4096))
		return;
	fake_say(&f, BLK_PAUSE, 1, -1);
	blk_client_wait(c, 10);
	CHECK(fake_hear(&f, &value) == BLK_PAUSED, "a pause");
	fake_rewind(&f);
	fake_device_start(&f, UINT_MAX);
	fake_say(&f, BLK_RESUME, 2, -1);
	CHECK(finish(c, 3) == 3, "and RESUME bring a doorbell back that works again");
	CHECK(n->resubmitted == 2, "two go again: %ju", (uintmax_t)n->resubmitted);
	fake_device_stop(&f);

	if (ftruncate(f.m.doorbell_fd, 0))
		return;
	start(c, BLK_OP_WRITE, 4, 2);
	blk_client_ring(c);
	CHECK(n->sigbus == 2, "gone again");
	fake_blk_renew(&f, &former);
	fake_device_start(&f, UINT_MAX);
	fake_grant(&f);
	CHECK(finish(c, 1) == 1 && is_filled(f.disk + 4 * 1024, 4, 2), "a new grant heals it, too");
	drop(&f, c);
	/* Its doorbell has no pages to unmap, but addresses. */
	if (ftruncate(former.doorbell_fd, 4096))
		return;
	fake_memory_drop(&former);
}

static void unwanted_doorbell(void)
{
	struct vring_used *used;
	struct blk_client *c;
	struct fake_blk f;
	uint64_t rung;

	c = lease(&f, 0, 8, &any);
	used = (void *)((char *)f.m.table + f.m.grant.window.used);
	rung = blk_client_counts(c)->doorbells;
	used->flags = VRING_USED_F_NO_NOTIFY;
	start(c, BLK_OP_READ, 1, 0);
	blk_client_ring(c);
	CHECK(blk_client_counts(c)->doorbells == rung, "a device that looks is not rung (2.7.10)");
	used->flags = 0;
	start(c, BLK_OP_READ, 2, 0);
	blk_client_ring(c);
	CHECK(blk_client_counts(c)->doorbells == rung + 1, "one that does not is");
	drop(&f, c);
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

	c = lease(&f, 0, 8, &any);
	n = blk_client_counts(c);
	used = (void *)((char *)f.m.table + f.m.grant.window.used);
	start(c, BLK_OP_READ, 1, 0);
	start(c, BLK_OP_WRITE, 2, 1);
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
	drop(&f, c);
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
	REQUIRE(!blk_client_adopt(&c, f.client, &any, why, sizeof(why)), "/dev/null as an eventfd");
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "ends the lease when it speaks");
	drop(&f, c);
}

static void on_alarm(int sig)
{
}

static void interrupted(void)
{
	const struct sigaction sa = { .sa_handler = on_alarm };
	struct blk_client *c;
	struct fake_blk f;

	c = lease(&f, 0, 8, &any);
	sigaction(SIGALRM, &sa, NULL);
	/* Again and again: the first may come before the wait. */
	ualarm(20000, 20000);
	CHECK(blk_client_wait(c, -1) == -EINTR, "a signal ends a wait");
	ualarm(0, 0);
	drop(&f, c);
}

int main(void)
{
	barbuf_guard_install();
	facts();
	refused();
	bad_grants();
	loads();
	limits();
	read_only();
	fixed();
	restart();
	regrant();
	bad_regrants();
	ends();
	words();
	deaf_primary();
	doorbell_gone();
	doorbell_gone_at_once();
	unwanted_doorbell();
	used_ring();
	no_eventfd_at_all();
	interrupted();
	return tap_done();
}
