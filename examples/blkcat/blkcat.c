// SPDX-License-Identifier: MIT
/* Blocks of a lent virtqueue to standard output, or from standard input. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <barbuf.h>

#include "args.h"
#include "client.h"
#include "syscalls.h"

static const char usage[] =
	"usage: blkcat SOCKET [OPTION]...\n"
	"\n"
	"Lease a queue of a block device from blkd, and copy blocks from it to standard output.\n"
	"\n"
	"  --block FIRST[+COUNT]  of the lease, in its blocks (all)\n"
	"  --write          copy from standard input, to its end, which is a block's\n"
	"  --flush          when done have the device flush its cache\n"
	"  --queue N        that queue, not any\n"
	"  --depth N        requests in flight, 1 to 64 (as many as there are)\n"
	"  --confine        once the lease is there, allow only the system calls it needs\n"
	"\n"
	"Exit status: 0 all was copied; 1 not; 2 wrong usage; 3 the lease was taken back before.\n";

/* How often the primary's messages are looked at while the other side of a pipe is slow. */
#define LISTEN_MS 100
/* So much goes into a pipe that poll() calls writable. */
#define PIECE 4096

#define NO_SLOT UINT32_MAX

struct cat {
	const char *socket;
	struct blk_client_options client;
	bool write, flush, confine;
	uint64_t first, count;
	struct blk_client *c;
	/* of the blocks in flight, by the block's number modulo BLK_DEPTH_MAX */
	struct {
		uint32_t slot;
		bool done;
	} blocks[BLK_DEPTH_MAX];
	uint32_t flying;
};

/* Copy to or from a pipe, at the other's pace, and stay there for the primary. */
static int wait_for(struct cat *cat, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int ret = poll(&p, 1, LISTEN_MS);

		if (ret > 0)
			return 0;
		if (ret < 0 && errno != EINTR)
			return -errno;
		/* Takes no completion, but hears messages. */
		if (blk_client_reap(cat->c, NULL, 0) < 0)
			return -EPIPE;
	}
}

static int put_out(struct cat *cat, const char *data, size_t size)
{
	while (size) {
		ssize_t n = size < PIECE ? size : PIECE;
		int ret = wait_for(cat, STDOUT_FILENO, POLLOUT);

		if (ret)
			return ret;
		n = write(STDOUT_FILENO, data, n);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			warn("standard output");
			return -EIO;
		}
		if (n > 0) {
			data += n;
			size -= n;
		}
	}
	return 0;
}

/* A whole block: 1; the end: 0. */
static int take_in(struct cat *cat, char *data, size_t size)
{
	size_t have = 0;

	while (have < size) {
		int ret = wait_for(cat, STDIN_FILENO, POLLIN);
		ssize_t n;

		if (ret)
			return ret;
		n = read(STDIN_FILENO, data + have, size - have);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			warn("standard input");
			return -EIO;
		}
		if (!n)
			break;
		if (n > 0)
			have += n;
	}
	if (have && have < size) {
		warnx("standard input ends within a block, after %zu of %zu bytes: it is not written",
		      have, size);
		return -EIO;
	}
	return have == size;
}

static void set_done(struct cat *cat, const struct blk_completion *done, int *error)
{
	cat->blocks[done->block % BLK_DEPTH_MAX].done = true;
	cat->flying--;
	if (done->error && !*error) {
		warnx("block %ju: %s", (uintmax_t)done->block, strerror(-done->error));
		*error = -EIO;
	}
}

/* Have at least one of what is in flight done. @put: its slot is free again. */
static int reap(struct cat *cat, bool put)
{
	struct blk_completion done[BLK_DEPTH_MAX];
	int error = 0;
	int i, n;

	blk_client_ring(cat->c);
	n = blk_client_wait(cat->c, -1);
	if (n && n != -EPIPE)
		return n == -EINTR ? 0 : n;
	n = blk_client_reap(cat->c, done, BLK_DEPTH_MAX);
	for (i = 0; i < n; i++) {
		set_done(cat, &done[i], &error);
		if (put)
			blk_client_put(cat->c, done[i].slot);
	}
	return n < 0 ? n : error;
}

/* With BLK_FIXED a block has a slot of its own; the others go back. */
static int slot_for(struct cat *cat, uint64_t block)
{
	int slots[BLK_DEPTH_MAX], nr = 0, found = -EAGAIN;

	if (!(blk_client_facts(cat->c)->window.flags & BLK_FIXED))
		return blk_client_slot(cat->c);
	do {
		slots[nr] = blk_client_slot(cat->c);
		if (slots[nr] >= 0 && (uint64_t)slots[nr] == block)
			found = slots[nr];
	} while (slots[nr] >= 0 && found < 0 && ++nr < (int)BLK_DEPTH_MAX);
	while (nr--)
		blk_client_put(cat->c, slots[nr]);
	return found;
}

static int copy_out(struct cat *cat)
{
	uint64_t end = cat->first + cat->count, next = cat->first, out = cat->first;
	uint32_t size = blk_client_facts(cat->c)->window.block_size;
	static char block[BLK_BLOCK_MAX];
	int ret, slot;

	while (out < end) {
		/* In flight are the blocks from out to next: they come in any order. */
		while (next < end && next - out < BLK_DEPTH_MAX) {
			slot = slot_for(cat, next);
			if (slot < 0)
				break;
			ret = blk_client_submit(cat->c, slot, BLK_OP_READ, next);
			if (ret)
				return ret;
			cat->blocks[next % BLK_DEPTH_MAX].slot = slot;
			cat->blocks[next % BLK_DEPTH_MAX].done = false;
			cat->flying++;
			next++;
		}
		if (next == out)
			return -ERANGE; /* a fixed lease has no slot for this block */
		if (!cat->blocks[out % BLK_DEPTH_MAX].done) {
			ret = reap(cat, false);
			if (ret)
				return ret;
			continue;
		}
		ret = blk_client_ring(cat->c);
		if (ret)
			return ret;
		/* Not out of the slot: while a pipe is waited for, slots may move. */
		slot = cat->blocks[out++ % BLK_DEPTH_MAX].slot;
		memcpy(block, blk_client_data(cat->c, slot), size);
		blk_client_put(cat->c, slot);
		ret = put_out(cat, block, size);
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_in(struct cat *cat)
{
	uint64_t end = cat->first + cat->count, next;
	uint32_t size = blk_client_facts(cat->c)->window.block_size;
	static char block[BLK_BLOCK_MAX];
	int ret = 1;

	for (next = cat->first; ret > 0; next++) {
		int slot;

		/* Not into a slot: while it is waited for, slots may move. */
		ret = take_in(cat, block, size);
		if (ret <= 0)
			break;
		if (next == end) {
			warnx("standard input goes on after the last block, %ju",
			      (uintmax_t)(end - 1));
			ret = -EIO;
			break;
		}
		while ((slot = blk_client_slot(cat->c)) < 0) {
			ret = reap(cat, true);
			if (ret)
				return ret;
		}
		memcpy(blk_client_data(cat->c, slot), block, size);
		ret = blk_client_submit(cat->c, slot, BLK_OP_WRITE, next);
		if (ret)
			return ret;
		cat->flying++;
		ret = blk_client_ring(cat->c);
		if (ret)
			return ret;
		ret = 1;
	}
	/* Also after an error: what was taken in is written. */
	while (cat->flying) {
		int error = reap(cat, true);

		if (error == -EPIPE)
			return error;
		if (error)
			ret = error;
	}
	return ret;
}

static int flush(struct cat *cat)
{
	int slot = blk_client_slot(cat->c);
	int ret = slot < 0 ? slot : blk_client_submit(cat->c, slot, BLK_OP_FLUSH, 0);

	if (ret) {
		warnx("--flush: %s",
		      ret == -EOPNOTSUPP ? "the device has no cache to flush" : strerror(-ret));
		return ret == -EPIPE ? ret : -EIO;
	}
	cat->flying++;
	while (!ret && cat->flying)
		ret = reap(cat, true);
	return ret;
}

static int run(struct cat *cat)
{
	const struct blk_client_facts *facts = blk_client_facts(cat->c);
	int ret;

	if (!arg_fit_blocks("--block", facts, cat->first, &cat->count))
		return -EINVAL;
	if (facts->window.flags & BLK_FIXED && cat->first + cat->count > facts->window.depth) {
		warnx("--block: %ju+%ju: in this lease each block has a request of its own, and there are %u",
		      (uintmax_t)cat->first, (uintmax_t)cat->count, facts->window.depth);
		return -EINVAL;
	}
	if (cat->confine) {
		ret = syscalls_restrict();
		if (ret) {
			warnx("--confine: %s", strerror(-ret));
			return ret;
		}
	}
	ret = cat->write ? copy_in(cat) : copy_out(cat);
	if (!ret && cat->flush)
		ret = flush(cat);
	if (ret == -EPIPE)
		warnx("the lease is over: %s", blk_end_name(blk_client_end(cat->c)));
	else if (ret && ret != -EIO)
		warnx("%s", strerror(-ret));
	return ret;
}

/* 0: run; 1: --help was printed; -1: wrong usage, said on stderr. */
static int parse(struct cat *cat, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "block", required_argument, NULL, 'b' },
		{ "write", no_argument, NULL, 'w' },
		{ "flush", no_argument, NULL, 'f' },
		{ "queue", required_argument, NULL, 'q' },
		{ "depth", required_argument, NULL, 'd' },
		{ "confine", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	uint64_t n;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'b':
			if (!arg_blocks("--block", optarg, &cat->first, &cat->count))
				return -1;
			break;
		case 'w':
			cat->write = true;
			break;
		case 'f':
			cat->flush = true;
			break;
		case 'q':
			if (!arg_number("--queue", optarg, 0, 65535, &n))
				return -1;
			cat->client.queue = n;
			break;
		case 'd':
			if (!arg_number("--depth", optarg, 1, BLK_DEPTH_MAX, &n))
				return -1;
			cat->client.depth = n;
			break;
		case 'c':
			cat->confine = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return -1; /* getopt named the argument */
		}
	}
	/* Who may flush may write: the chain is the same. */
	cat->client.read_only = !cat->write && !cat->flush;
	return arg_socket(argc, argv, optind, &cat->socket) ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct cat cat = {
		.client = { .queue = BLK_ANY_QUEUE, .depth = 0, .primary = (uid_t)-1 },
	};
	char why[300];
	int ret;

	ret = parse(&cat, argc, argv);
	if (ret)
		return ret > 0 ? 0 : 2;
	ret = barbuf_guard_install();
	if (ret)
		errx(1, "the guard against SIGBUS: %s", strerror(-ret));
	if (blk_client_open(&cat.c, cat.socket, &cat.client, why, sizeof(why)))
		errx(1, "%s", why);
	ret = run(&cat);
	blk_client_close(cat.c);
	return ret == -EPIPE ? 3 : ret ? 1 : 0;
}
