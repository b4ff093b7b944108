// SPDX-License-Identifier: MIT
/* A load on a lent virtqueue: keep it filled, verify what comes, report. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <barbuf.h>

#include "args.h"
#include "syscalls.h"
#include "load.h"
#include "message.h"
#include "pin.h"

#define SECOND 1000000000ull
/* A device that answers nothing for so long, or a pause that takes it, is a failure. */
#define STALL (60 * SECOND)
/* Data errors that are told one by one. */
#define TELL_MAX 10

static volatile sig_atomic_t told_to_stop;

static void on_signal(int sig)
{
	told_to_stop = 1;
}

struct load {
	struct load_options o;
	struct blk_client *c;
	struct load_check check;
	struct load_stats stats;
	uint64_t random;
	uint64_t submitted;
	uint32_t flying;
	uint64_t block[BLK_DEPTH_MAX]; /* of the account, what a slot in flight is about */
	bool busy[BLK_DEPTH_MAX];
	uint64_t last_done;
	int failure; /* negative errno, said on stderr */
};

static uint64_t next_random(struct load *l)
{
	/* xorshift64 by Marsaglia */
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

/* Two requests for one block at once have no order, and then no right answer. */
static bool is_busy(const struct load *l, uint64_t block)
{
	uint32_t i;

	for (i = 0; i < BLK_DEPTH_MAX; i++)
		if (l->busy[i] && l->block[i] == block)
			return true;
	return false;
}

/* Returns false if each block of a small range has a request in flight already. */
static bool choose_block(struct load *l, uint32_t slot, uint64_t *block)
{
	uint64_t nr = l->check.nr_blocks;
	uint32_t tries;

	if (blk_client_facts(l->c)->window.flags & BLK_FIXED) {
		*block = slot - l->o.first;
		return slot >= l->o.first && *block < nr;
	}
	*block = next_random(l) % nr;
	for (tries = 0; tries <= BLK_DEPTH_MAX; tries++, *block = (*block + 1) % nr)
		if (!is_busy(l, *block))
			return true;
	return false;
}

/* One request into the ring; false: no more for now. */
static bool submit(struct load *l)
{
	bool write = next_random(l) % 100 < l->o.write;
	uint64_t block;
	int slot, ret;

	slot = blk_client_slot(l->c);
	if (slot < 0)
		return false;
	if (!choose_block(l, slot, &block)) {
		/* Of a fixed slot that has no block here nothing more is wanted: it stays taken. */
		if (!(blk_client_facts(l->c)->window.flags & BLK_FIXED))
			blk_client_put(l->c, slot);
		return blk_client_facts(l->c)->window.flags & BLK_FIXED;
	}
	if (write)
		load_check_fill(&l->check, block, blk_client_data(l->c, slot));
	else
		load_check_spoil(&l->check, blk_client_data(l->c, slot));
	ret = blk_client_submit(l->c, slot, write ? BLK_OP_WRITE : BLK_OP_READ, l->o.first + block);
	if (ret) {
		blk_client_put(l->c, slot);
		if (ret != -EPIPE) {
			warnx("block %ju: submit: %s", (uintmax_t)(l->o.first + block),
			      strerror(-ret));
			l->failure = ret;
		}
		return false;
	}
	l->busy[slot] = true;
	l->block[slot] = block;
	l->flying++;
	l->submitted++;
	return true;
}

static void verify(struct load *l, uint32_t slot)
{
	char text[300];
	unsigned int wrong = load_check_read(&l->check, l->block[slot], blk_client_data(l->c, slot),
					     text, sizeof(text));

	if (wrong && l->stats.errors < TELL_MAX)
		warnx("data error: %s", text);
	l->stats.errors += wrong;
}

static void completed(struct load *l, const struct blk_completion *done)
{
	bool write = done->op == BLK_OP_WRITE;

	l->busy[done->slot] = false;
	l->flying--;
	histogram_add(&l->stats.total, done->ns);
	histogram_add(&l->stats.period, done->ns);
	if (write)
		l->stats.writes++;
	else
		l->stats.reads++;
	if (done->error && !l->stats.io_errors++)
		warnx("block %ju: the device failed to %s it: %s", (uintmax_t)done->block,
		      write ? "write" : "read", strerror(-done->error));
	if (write)
		load_check_written(&l->check, l->block[done->slot], done->error);
	else if (!done->error)
		verify(l, done->slot);
	blk_client_put(l->c, done->slot);
}

/* Returns false when the lease is over. */
static bool reap(struct load *l)
{
	struct blk_completion done[BLK_DEPTH_MAX];
	int i, n = blk_client_reap(l->c, done, BLK_DEPTH_MAX);

	for (i = 0; i < n; i++)
		completed(l, &done[i]);
	if (n > 0)
		l->last_done = blk_now();
	return n >= 0;
}

static const char *state_of(const struct load *l, bool holding)
{
	if (blk_client_paused(l->c))
		return "paused";
	if (blk_client_leaving(l->c) >= 0)
		return "leaving";
	return holding ? "holding" : "running";
}

static int ms_until(uint64_t when)
{
	uint64_t now = blk_now();

	return when > now ? (when - now + 999999) / 1000000 : 0;
}

/* What was written shall outlive the machine's power. False: the device failed to do it. */
static bool flush(struct load *l)
{
	struct blk_completion done;
	int ret, slot;

	if (!l->stats.writes || !blk_client_facts(l->c)->flush)
		return true;
	slot = blk_client_slot(l->c);
	ret = slot < 0 ? slot : blk_client_submit(l->c, slot, BLK_OP_FLUSH, 0);
	if (!ret) {
		blk_client_ring(l->c);
		ret = blk_client_wait(l->c, STALL / 1000000);
	}
	if (!ret && blk_client_reap(l->c, &done, 1) == 1) {
		blk_client_put(l->c, done.slot);
		ret = done.error;
	}
	if (!ret || blk_client_end(l->c) >= 0)
		return true;
	warnx("flush: %s", strerror(-ret));
	return false;
}

static void run(struct load *l)
{
	const struct load_options *o = &l->o;
	uint64_t end = o->seconds ? l->stats.start + o->seconds * SECOND : UINT64_MAX;
	uint64_t next_line = l->stats.start + o->period_ms * 1000000;
	bool over = false;

	l->last_done = l->stats.start;
	while (!over && !l->failure) {
		uint64_t now = blk_now();
		bool done = l->submitted >= o->requests || now >= end;
		bool stop = told_to_stop || blk_client_leaving(l->c) >= 0;

		if (!l->flying && (stop || (done && !o->hold)))
			break;
		while (!done && !stop && l->submitted < o->requests && submit(l))
			;
		if (l->failure)
			break;
		blk_client_ring(l->c);
		blk_client_wait(l->c, ms_until(next_line < end || done ? next_line : end));
		over = !reap(l);

		now = blk_now();
		if (!over && l->flying && now - l->last_done > STALL &&
		    now - l->stats.start > STALL) {
			warnx("no completion for %u seconds, with %u requests in flight",
			      (unsigned int)(STALL / SECOND), l->flying);
			l->failure = -ETIMEDOUT;
		}
		if (now >= next_line) {
			load_report(o, &l->stats, l->c, state_of(l, done && !l->flying));
			next_line = now + o->period_ms * 1000000;
		}
	}
	if (!over && !l->failure && !flush(l))
		l->failure = -EIO;
}

/* What was lent can be what is to be done? */
static bool prepare(struct load *l)
{
	const struct blk_client_facts *facts = blk_client_facts(l->c);
	int ret;

	if (l->o.write && facts->window.flags & BLK_READ_ONLY) {
		warnx("--write: the lease is read-only");
		return false;
	}
	if (!arg_fit_blocks("--blocks", facts, l->o.first, &l->o.count))
		return false;
	if (facts->window.flags & BLK_FIXED && l->o.first >= facts->window.depth) {
		warnx("--blocks: %ju: of a fixed lease only the blocks up to %u can be read",
		      (uintmax_t)l->o.first, facts->window.depth - 1);
		return false;
	}
	if (l->o.count > LOAD_BLOCKS_MAX) {
		warnx("--blocks: the account of %ju blocks would be too large, %u at most",
		      (uintmax_t)l->o.count, LOAD_BLOCKS_MAX);
		return false;
	}
	ret = load_check_init(&l->check, l->o.verify, l->o.seed, facts, l->o.first, l->o.count);
	if (ret)
		warnx("an account of %ju blocks: %s", (uintmax_t)l->o.count, strerror(-ret));
	return !ret;
}

/* All that would take a fault later, or a system call that --confine does not have. */
static bool settle(struct load *l)
{
	int ret;

	l->stats.start = blk_now();
	l->stats.faults = load_faults();
	load_introduce(&l->o, &l->stats, l->c);
	ret = pin_memory();
	if (ret)
		warnx("cannot lock memory (%s): 'faults' counts this process's own, too",
		      strerror(-ret));
	if (l->o.confine) {
		ret = syscalls_restrict();
		if (ret) {
			warnx("--confine: %s", strerror(-ret));
			return false;
		}
	}
	l->stats.start = l->stats.period_start = blk_now();
	l->stats.faults = load_faults();
	return true;
}

static int load(struct load *l)
{
	bool asked_to_leave;
	int end;

	if (!prepare(l) || !settle(l))
		return 1;
	run(l);
	end = blk_client_end(l->c);
	asked_to_leave = blk_client_leaving(l->c) >= 0;
	/* Whoever waits for the queue does not wait for the sums, or for who reads them. */
	blk_client_leave(l->c);
	load_check_sum(&l->check, &l->stats.written, &l->stats.sum);
	load_summary(&l->o, &l->stats, l->c,
		     end >= 0	    ? blk_end_name(end) :
		     asked_to_leave ? "asked to leave" :
				      NULL);
	if (l->failure || l->stats.errors || l->stats.io_errors)
		return 1;
	return end >= 0 || asked_to_leave ? 3 : 0;
}

int main(int argc, char **argv)
{
	static struct load l; /* too large for a stack */
	struct sigaction stop = { .sa_handler = on_signal };
	char why[300];
	int ret;

	ret = load_parse(&l.o, argc, argv);
	if (ret)
		return ret > 0 ? 0 : 2;
	/* Never 0, which xorshift stays at. */
	l.random = (l.o.seed + 1) * 0x9e3779b97f4a7c15ull | 1;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	ret = barbuf_guard_install();
	if (ret)
		errx(1, "the guard against SIGBUS: %s", strerror(-ret));
	if (blk_client_open(&l.c, l.o.socket, &l.o.client, why, sizeof(why)))
		errx(1, "%s", why);
	ret = load(&l);
	blk_client_close(l.c);
	load_check_free(&l.check);
	return ret;
}
