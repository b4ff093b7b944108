// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The client of the block example against a primary on a socketpair and a device that a thread
 * plays: I/O, pauses, new grants, and the end of a lease. blk_hostile_primary.c has those that do not
 * keep the rules.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include <barbuf.h>

#include "client.h"
#include "client_lease.h"
#include "fake_blk.h"
#include "tap.h"
#include "wire.h"

static char why[300];

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

/* I/O ----------------------------------------------------------------------------*/

/* Write blocks at random, and read them back, with as much in flight as there are slots. */
static void load(uint32_t depth, bool poll, unsigned int requests)
{
	struct blk_client_options o = client_any;
	uint32_t version[FAKE_BLOCKS] = { 0 }, slots = 0;
	bool busy[FAKE_BLOCKS] = { 0 };
	unsigned int submitted = 0, reaped = 0, bad = 0, stuck = 0, most = 0, seed = depth;
	const struct blk_client_counts *n;
	struct blk_client *c;
	struct fake_blk f;

	o.poll = poll;
	c = client_lease(&f, 0, depth, &o);
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
			if (client_start(c, write ? BLK_OP_WRITE : BLK_OP_READ, block,
					 version[block])) {
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
				bad += !block_is_filled(blk_client_data(c, done[i].slot), b,
							version[b]);
			blk_client_put(c, done[i].slot);
		}
	}
	n = blk_client_counts(c);
	CHECK(reaped == requests && !bad && !slots && !stuck,
	      "%u requests, %u bad, at most %u in flight, depth %u, %s", reaped, bad, most, depth,
	      poll ? "polling" : "by interrupts");
	CHECK(poll ? !n->interrupts : n->interrupts, "%ju interrupts", (uintmax_t)n->interrupts);
	CHECK(!n->ignored && !n->resubmitted && !n->sigbus, "nothing went wrong");
	client_drop(&f, c);
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

	c = client_lease(&f, 0, 4, &client_any);
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
	CHECK(client_finish(c, 1) == 1, "is read");
	f.status = VIRTIO_BLK_S_IOERR;
	blk_client_submit(c, 1, BLK_OP_READ, 0);
	CHECK(client_finish(c, 1) == 0, "a request that the device fails");
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
	CHECK(!client_start(c, BLK_OP_FLUSH, 0, 0) && client_finish(c, 1) == 1 && f.flushes == 1,
	      "a flush");
	CHECK(blk_client_wait(c, 10) == -ETIMEDOUT, "nothing to wait for");
	CHECK(blk_client_reap(c, &done, 1) == 0, "and nothing to reap");
	client_drop(&f, c);
}

static void read_only(void)
{
	struct blk_client *c;
	struct fake_blk f;

	c = client_lease(&f, BLK_READ_ONLY, 4, &client_any);
	block_fill(f.disk + 7 * 1024, 7, 1);
	fake_device_start(&f, UINT_MAX);
	CHECK(client_start(c, BLK_OP_WRITE, 0, 0) == -EROFS, "no write in a read-only lease");
	blk_client_put(c, 0);
	CHECK(client_start(c, BLK_OP_FLUSH, 0, 0) == -EROFS,
	      "no flush either, which goes by its chain");
	blk_client_put(c, 0);
	CHECK(!client_start(c, BLK_OP_READ, 7, 0) && client_finish(c, 1) == 1 &&
		      block_is_filled(blk_client_data(c, 0), 7, 1),
	      "a read");
	client_drop(&f, c);

	fake_blk_new(&f, 0, 4, 1024);
	f.m.grant.flush = 0;
	fake_grant(&f);
	REQUIRE(!blk_client_adopt(&c, f.client, &client_any, why, sizeof(why)),
		"one without a cache");
	CHECK(client_start(c, BLK_OP_FLUSH, 0, 0) == -EOPNOTSUPP, "has no flush");
	client_drop(&f, c);
}

static void fixed(void)
{
	struct blk_client *c;
	struct fake_blk f;
	int i, right = 0;

	c = client_lease(&f, BLK_READ_ONLY | BLK_FIXED, 4, &client_any);
	for (i = 0; i < 4; i++)
		block_fill(f.disk + i * 1024, i, 9);
	fake_device_start(&f, UINT_MAX);
	CHECK(blk_client_slot(c) == 0 && blk_client_submit(c, 0, BLK_OP_READ, 1) == -EINVAL,
	      "slot 0 is block 0 and no other");
	blk_client_put(c, 0);
	for (i = 0; i < 4; i++)
		right += !client_start(c, BLK_OP_READ, i, 0);
	CHECK(right == 4 && client_finish(c, 4) == 4, "each slot its own block");
	for (i = 0; i < 4; i++)
		right -= block_is_filled(blk_client_data(c, i), i, 9);
	CHECK(!right, "by the primary's headers");
	client_drop(&f, c);
}

/* Pauses, new grants, the end --------------------------------------------------*/

static void restart(void)
{
	const struct blk_client_counts *n;
	struct blk_completion done[20];
	struct blk_client *c;
	struct fake_blk f;
	uint32_t value;
	int i, got, once = 0, twice = 0, right = 0;

	c = client_lease(&f, 0, 20, &client_any);
	n = blk_client_counts(c);
	fake_device_start(&f, 4);
	for (i = 0; i < 16; i++)
		client_start(c, BLK_OP_WRITE, i, 3);
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
	client_start(c, BLK_OP_WRITE, 16, 3);
	client_start(c, BLK_OP_WRITE, 17, 3);
	blk_client_ring(c);
	CHECK(fake_avail_idx(&f) == 0, "nothing is put into the ring meanwhile");
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
		right += block_is_filled(f.disk + i * 1024, i, 3);
	CHECK(right == 18 && !n->ignored && !blk_client_paused(c), "and all are on the disk");
	client_drop(&f, c);
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

	c = client_lease(&f, 0, 8, &client_any);
	n = blk_client_counts(c);
	for (i = 0; i < 8; i++)
		block_fill(f.disk + (20 + i) * 1024, 20 + i, 5);
	fake_device_start(&f, 3);
	for (i = 0; i < 3; i++)
		client_start(c, BLK_OP_READ, 20 + i, 0);
	for (i = 0; i < 4; i++)
		client_start(c, BLK_OP_WRITE, 40 + i, 6);
	block_fill(blk_client_data(c, blk_client_slot(c)), 99, 1);
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
	CHECK(block_is_filled(blk_client_data(c, 7), 99, 1), "a slot of the caller's moved along");
	fake_device_start(&f, UINT_MAX);
	while (got < 7 && !blk_client_wait(c, WAIT_MS)) {
		int k, nr = blk_client_reap(c, done, 8);

		for (k = 0; k < nr; k++) {
			if (done[k].op == BLK_OP_READ)
				right += done[k].tries == 1 &&
					 block_is_filled(blk_client_data(c, done[k].slot),
							 done[k].block, 5);
			twice += done[k].tries == 2;
		}
		got += nr;
	}
	CHECK(right == 3, "what had been read before, too: %d", right);
	right = 0;
	for (i = 0; i < 4; i++)
		right += block_is_filled(f.disk + (40 + i) * 1024, 40 + i, 6);
	CHECK(got == 7 && twice == 4 && right == 4, "the writes are on the disk");
	client_drop(&f, c);
}

static void ends(void)
{
	struct blk_completion done[4];
	struct blk_client *c;
	struct fake_blk f;
	uint32_t value;

	c = client_lease(&f, 0, 8, &client_any);
	fake_device_start(&f, 1);
	client_start(c, BLK_OP_READ, 1, 0);
	client_start(c, BLK_OP_READ, 2, 0);
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
	CHECK(blk_client_ring(c) == -EPIPE && client_start(c, BLK_OP_READ, 1, 0) == -EPIPE &&
		      !blk_client_paused(c),
	      "and nothing more is done");
	client_drop(&f, c);

	c = client_lease(&f, 0, 8, &client_any);
	fake_say(&f, BLK_ENDED, UINT32_MAX, -1);
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_PROTOCOL,
	      "an end for no known reason");
	client_drop(&f, c);

	c = client_lease(&f, 0, 8, &client_any);
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_SHUTDOWN,
	      "a primary that is gone");
	client_drop(&f, c);

	c = client_lease(&f, 0, 8, &client_any);
	fake_say(&f, BLK_PING, 1, -1);
	fake_say(&f, BLK_PAUSE, 1, -1);
	fake_say(&f, BLK_ENDED, BLK_END_REVOKED, -1);
	close(f.sock);
	f.sock = -1;
	CHECK(blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_REVOKED,
	      "its last words are heard, although nobody is there to be answered: %s",
	      blk_end_name(blk_client_end(c)));
	client_drop(&f, c);

	c = client_lease(&f, 0, 8, &client_any);
	fake_device_start(&f, 1);
	client_start(c, BLK_OP_READ, 1, 0);
	blk_client_ring(c);
	while (f.used < 1)
		usleep(100);
	blk_client_leave(c);
	CHECK(fake_hear(&f, &value) == BLK_BYE && blk_client_end(c) == BLK_END_BYE,
	      "who leaves says so");
	CHECK(blk_client_reap(c, done, 4) == 1 && blk_client_reap(c, done, 4) == -EPIPE &&
		      client_start(c, BLK_OP_READ, 1, 0) == -EPIPE,
	      "what was done can be reaped, and nothing more is");
	blk_client_leave(c);
	fake_device_stop(&f);
	blk_client_close(c);
	CHECK(!fake_hear(&f, &value), "and says so once");
	fake_blk_free(&f);

	c = client_lease(&f, 0, 8, &client_any);
	fake_say(&f, BLK_LEAVE, 5000, -1);
	fake_say(&f, BLK_PING, 5, -1);
	CHECK(blk_client_wait(c, 20) == -ETIMEDOUT, "a request to leave ends nothing");
	CHECK(blk_client_leaving(c) > 1000 && blk_client_leaving(c) <= 5000, "there is time: %d",
	      blk_client_leaving(c));
	client_drop(&f, c);
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
	ret = blk_client_adopt(&c, f.client, &client_any, why, sizeof(why));
	CHECK(!ret && blk_client_paused(c), "a grant that is over is no error, but a pause: %d, %s",
	      ret, why);
	client_start(c, BLK_OP_WRITE, 1, 2);
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
	CHECK(client_finish(c, 1) == 1 && block_is_filled(f.disk + 1024, 1, 2), "the third works");
	client_drop(&f, c);

	fake_blk_new(&f, 0, 8, 1024);
	revoke_doorbell(&f.m);
	fake_grant(&f);
	fake_say(&f, BLK_ENDED, BLK_END_REVOKED, -1);
	ret = blk_client_adopt(&c, f.client, &client_any, why, sizeof(why));
	CHECK(!ret && blk_client_wait(c, WAIT_MS) == -EPIPE && blk_client_end(c) == BLK_END_REVOKED,
	      "one that was revoked at once says so");
	client_drop(&f, c);
}

static void doorbell_gone(void)
{
	const struct blk_client_counts *n;
	struct fake_memory former;
	struct blk_client *c;
	struct fake_blk f;
	uint64_t rung;
	uint32_t value;

	c = client_lease(&f, 0, 8, &client_any);
	n = blk_client_counts(c);
	rung = n->doorbells;
	CHECK(!blk_client_ring(c) && n->doorbells == rung, "nothing submitted, nothing rung");
	client_start(c, BLK_OP_WRITE, 1, 2);
	CHECK(!blk_client_ring(c) && n->doorbells == rung + 1, "one request, one doorbell");
	/* A page that is cut off a file raises SIGBUS, as one that is revoked. */
	if (ftruncate(f.m.doorbell_fd, 0))
		return;
	client_start(c, BLK_OP_WRITE, 2, 2);
	CHECK(!blk_client_ring(c) && n->sigbus == 1, "a doorbell that is gone is no SIGBUS");
	CHECK(blk_client_paused(c), "and I/O stands still");
	client_start(c, BLK_OP_WRITE, 3, 2);
	CHECK(!blk_client_ring(c) && n->sigbus == 1, "it is not tried again");
	CHECK(fake_avail_idx(&f) == 2, "and nothing is put where nobody looks: %u",
	      fake_avail_idx(&f));

	if (ftruncate(f.m.doorbell_fd, 4096))
		return;
	fake_say(&f, BLK_PAUSE, 1, -1);
	blk_client_wait(c, 10);
	CHECK(fake_hear(&f, &value) == BLK_PAUSED, "a pause");
	fake_rewind(&f);
	fake_device_start(&f, UINT_MAX);
	fake_say(&f, BLK_RESUME, 2, -1);
	CHECK(client_finish(c, 3) == 3, "and RESUME bring a doorbell back that works again");
	CHECK(n->resubmitted == 2, "two go again: %ju", (uintmax_t)n->resubmitted);
	fake_device_stop(&f);

	if (ftruncate(f.m.doorbell_fd, 0))
		return;
	client_start(c, BLK_OP_WRITE, 4, 2);
	blk_client_ring(c);
	CHECK(n->sigbus == 2, "gone again");
	fake_blk_renew(&f, &former);
	fake_device_start(&f, UINT_MAX);
	fake_grant(&f);
	CHECK(client_finish(c, 1) == 1 && block_is_filled(f.disk + 4 * 1024, 4, 2),
	      "a new grant heals it, too");
	client_drop(&f, c);
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

	c = client_lease(&f, 0, 8, &client_any);
	used = (void *)((char *)f.m.table + f.m.grant.window.used);
	rung = blk_client_counts(c)->doorbells;
	used->flags = VRING_USED_F_NO_NOTIFY;
	client_start(c, BLK_OP_READ, 1, 0);
	blk_client_ring(c);
	CHECK(blk_client_counts(c)->doorbells == rung, "a device that looks is not rung (2.7.10)");
	used->flags = 0;
	client_start(c, BLK_OP_READ, 2, 0);
	blk_client_ring(c);
	CHECK(blk_client_counts(c)->doorbells == rung + 1, "one that does not is");
	client_drop(&f, c);
}

static void on_alarm(int sig)
{
}

static void interrupted(void)
{
	const struct sigaction sa = { .sa_handler = on_alarm };
	struct blk_client *c;
	struct fake_blk f;

	c = client_lease(&f, 0, 8, &client_any);
	sigaction(SIGALRM, &sa, NULL);
	/* Again and again: the first may come before the wait. */
	ualarm(20000, 20000);
	CHECK(blk_client_wait(c, -1) == -EINTR, "a signal ends a wait");
	ualarm(0, 0);
	client_drop(&f, c);
}

int main(void)
{
	barbuf_guard_install();
	facts();
	loads();
	limits();
	read_only();
	fixed();
	restart();
	regrant();
	ends();
	doorbell_gone();
	doorbell_gone_at_once();
	unwanted_doorbell();
	interrupted();
	return tap_done();
}
