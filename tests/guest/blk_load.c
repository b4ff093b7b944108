// SPDX-License-Identifier: GPL-2.0-only
/* What has to be on the disk, and a client that keeps the rules and checks every byte. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <glob.h>
#include <unistd.h>

#include "blk_lent.h"

#define SECTORS (DISK_BLOCK / BLK_SECTOR)

/* The disk ------------------------------------------------------------------------*/

struct ledger *ledger_new(bool pristine)
{
	void *p = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, pristine ? 0 : 0xff, sizeof(struct ledger));
	return p;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

/* A sector tells its number and version, and every word of it follows from the two. */
static void sector_fill(uint8_t *data, uint64_t sector, uint32_t version)
{
	uint64_t word[BLK_SECTOR / 8], base = mix(sector << 32 | version);
	unsigned int i;

	if (version == 0) {
		char text[BLK_SECTOR + 1];

		/* As lab/lib/topology.sh makes it. */
		snprintf(text, sizeof(text), "%-511" PRIu64 "\n", sector);
		memcpy(data, text, BLK_SECTOR);
		return;
	}
	word[0] = sector << 32 | version;
	for (i = 1; i < BLK_SECTOR / 8; i++)
		word[i] = base + i * 0x9e3779b97f4a7c15ull;
	memcpy(data, word, BLK_SECTOR);
}

static bool sector_is(const uint8_t *data, uint64_t sector, uint32_t version)
{
	uint8_t wanted[BLK_SECTOR];

	sector_fill(wanted, sector, version);
	return memcmp(data, wanted, BLK_SECTOR) == 0;
}

void block_fill(uint8_t *data, uint32_t block, uint32_t version)
{
	unsigned int i;

	for (i = 0; i < SECTORS; i++)
		sector_fill(data + i * BLK_SECTOR, (uint64_t)block * SECTORS + i, version);
}

bool block_is(const uint8_t *data, uint32_t block, uint32_t version)
{
	unsigned int i;

	for (i = 0; i < SECTORS; i++) {
		if (!sector_is(data + i * BLK_SECTOR, (uint64_t)block * SECTORS + i, version))
			return false;
	}
	return true;
}

/* What is wrong with a block, for whoever reads the test's output. */
static void explain_block(const uint8_t *data, uint32_t block, uint32_t stable, uint32_t pending)
{
	uint64_t word;
	unsigned int i;

	for (i = 0; i < SECTORS; i++) {
		uint64_t sector = (uint64_t)block * SECTORS + i;

		if (sector_is(data + i * BLK_SECTOR, sector, stable) ||
		    sector_is(data + i * BLK_SECTOR, sector, pending))
			continue;
		memcpy(&word, data + i * BLK_SECTOR, sizeof(word));
		note("sector %" PRIu64 " (block %u) begins 0x%016" PRIx64
		     " (of our own: sector %" PRIu64 " version %" PRIu64
		     "), wanted version %u or %u",
		     sector, block, word, word >> 32, word & 0xffffffff, stable, pending);
		return;
	}
}

/* The one version or the other, and no mix of the two: QEMU writes a block at once. A mix would
 * be a write that went on after it was said to be over. */
static bool block_allowed(const uint8_t *data, uint32_t block, uint32_t stable, uint32_t pending)
{
	return block_is(data, block, stable) ||
	       (pending != stable && block_is(data, block, pending));
}

static int open_kernel_disk(const char *address)
{
	uint64_t end = timeout();
	char pattern[96], path[64];
	glob_t found;
	int fd;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/virtio*/block/vd*", address);
	while (glob(pattern, 0, NULL, &found)) {
		if (now_ns() > end)
			FAIL("no %s", pattern);
		sleep_ms(20);
	}
	snprintf(path, sizeof(path), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	while ((fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC)) < 0) {
		if (now_ns() > end)
			FAIL("open of %s: %s", path, strerror_name(errno));
		sleep_ms(20);
	}
	return fd;
}

uint8_t *disk_read(const char *model, uint32_t most, uint32_t *blocks)
{
	const size_t size = (size_t)most * DISK_BLOCK;
	char command[64], address[32];
	size_t at = 0;
	ssize_t got;
	uint8_t *disk;
	int fd, group;

	if (!dev_bind(model, address, &group))
		SKIP("this lab has no %s", model);
	snprintf(command, sizeof(command), "modprobe virtio_blk && vfio-unbind %s", model);
	CHECK_EQ(system(command), 0);
	fd = open_kernel_disk(address);
	disk = aligned_alloc(PAGE, size);
	CHECK(disk);
	while (at < size && (got = OK(pread(fd, disk + at, size - at, at))) > 0)
		at += got;
	close(fd);
	CHECK(dev_bind(model, address, &group));
	*blocks = at / DISK_BLOCK;
	CHECK(*blocks > 0);
	return disk;
}

uint32_t disk_check(const uint8_t *disk, uint32_t blocks, const struct ledger *ledger,
		    uint32_t *unknown)
{
	uint32_t i, bad = 0;

	*unknown = 0;

	for (i = 0; i < blocks; i++) {
		const uint8_t *data = disk + (size_t)i * DISK_BLOCK;
		uint32_t stable = ledger->block[i].stable;
		uint32_t pending = ledger->block[i].pending;

		if (stable == LEDGER_UNKNOWN) {
			(*unknown)++;
			continue;
		}
		if (block_allowed(data, i, stable, pending))
			continue;
		if (bad++ < 8)
			explain_block(data, i, stable, pending);
	}
	return bad;
}

/* A load ----------------------------------------------------------------------------*/

/* The load's process. */
struct running {
	struct load *l;
	struct blk_client *c;
	uint64_t random;
	struct {
		enum blk_op op;
		uint32_t block, version;
		bool busy;
	} slot[BLK_DEPTH_MAX];
	uint8_t busy[DISK_BLOCKS]; /* one request at a time for each block */
	uint32_t in_flight;
};

static uint64_t next_random(struct running *r)
{
	r->random += 0x9e3779b97f4a7c15ull;
	return mix(r->random);
}

static void publish(uint64_t *where, uint64_t value)
{
	__atomic_store_n(where, value, __ATOMIC_RELEASE);
}

static void finish(struct running *r, int result)
{
	struct load *l = r->l;

	l->result = result;
	l->end = r->c ? blk_client_end(r->c) : -1;
	if (r->c)
		l->counts = *blk_client_counts(r->c);
	__atomic_store_n(&l->state, LOAD_ENDED, __ATOMIC_RELEASE);
	/* As any program that is done. */
	blk_client_close(r->c);
	_exit(0);
}

/* Until a write has come back its block may have the one version or the other. */
static void check_read(struct running *r, uint32_t slot)
{
	struct load *l = r->l;
	uint32_t block = r->slot[slot].block;
	const uint8_t *data = blk_client_data(r->c, slot);
	uint32_t stable = l->ledger->block[block].stable;
	uint32_t pending = l->ledger->block[block].pending;

	if (stable == LEDGER_UNKNOWN) {
		return;
	} else if (!block_allowed(data, block, stable, pending)) {
		if (l->errors < 4)
			explain_block(data, block, stable, pending);
		publish(&l->errors, l->errors + 1);
	} else if (pending == stable || l->read_only) {
		return;
	} else if (block_is(data, block, pending)) {
		l->ledger->block[block].stable = pending;
	} else {
		/* What a predecessor has lost stays lost: a late write will be found. */
		l->ledger->block[block].pending = stable;
	}
}

static void start_one(struct running *r, uint32_t slot)
{
	struct load *l = r->l;
	const struct blk_client_facts *f = blk_client_facts(r->c);
	uint32_t block, stable, pending, version;
	enum blk_op op;
	int ret;

	do {
		block = l->first + next_random(r) % l->count;
	} while (r->busy[block]);
	stable = l->ledger->block[block].stable;
	pending = l->ledger->block[block].pending;
	if (l->read_only)
		op = BLK_OP_READ;
	else if (stable == LEDGER_UNKNOWN)
		op = BLK_OP_WRITE;
	else /* what a lost write has left has to be known before another */
		op = stable != pending || next_random(r) % 2 ? BLK_OP_READ : BLK_OP_WRITE;
	version = stable == LEDGER_UNKNOWN ? pending + 2 : stable + 1;
	r->slot[slot].op = op;
	r->slot[slot].block = block;
	r->slot[slot].version = version;
	if (op == BLK_OP_WRITE) {
		block_fill(blk_client_data(r->c, slot), block, version);
		__atomic_store_n(&l->ledger->block[block].pending, version, __ATOMIC_RELEASE);
	} else {
		/* Or a read that did nothing would pass. */
		memset(blk_client_data(r->c, slot), 0x5a, DISK_BLOCK);
	}
	ret = blk_client_submit(r->c, slot, op, block - f->first_block);
	if (ret) {
		snprintf(l->why, sizeof(l->why), "submit of block %u: %s", block,
			 strerror_name(-ret));
		finish(r, ret);
	}
	r->busy[block] = 1;
	r->slot[slot].busy = true;
	r->in_flight++;
}

static void take_one(struct running *r, const struct blk_completion *d)
{
	struct load *l = r->l;
	uint32_t block;

	if (d->slot >= BLK_DEPTH_MAX || !r->slot[d->slot].busy || d->op != r->slot[d->slot].op) {
		snprintf(l->why, sizeof(l->why), "a completion of slot %u, which is not in flight",
			 d->slot);
		finish(r, -EPROTO);
	}
	block = r->slot[d->slot].block;
	if (__atomic_load_n(&l->fenced, __ATOMIC_ACQUIRE))
		; /* another has its blocks now */
	else if (d->error)
		publish(&l->io_errors, l->io_errors + 1);
	else if (d->op == BLK_OP_READ)
		check_read(r, d->slot);
	else
		l->ledger->block[block].stable = r->slot[d->slot].version;
	r->busy[block] = 0;
	r->slot[d->slot].busy = false;
	r->in_flight--;
	blk_client_put(r->c, d->slot);
	publish(&l->done, l->done + 1);
}

static void tell(struct running *r)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	r->l->got_queue = blk_client_facts(r->c)->queue;
	r->l->counts = *blk_client_counts(r->c);
	publish(&r->l->faults, u.ru_minflt + u.ru_majflt);
}

/* Ends as @finish() does. */
static void run(struct running *r)
{
	struct load *l = r->l;
	struct blk_completion done[BLK_DEPTH_MAX];
	int slot, ret, i;

	for (;;) {
		bool leave = __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE) ||
			     blk_client_leaving(r->c) >= 0;

		while (!leave && (slot = blk_client_slot(r->c)) >= 0)
			start_one(r, slot);
		if (leave && !r->in_flight)
			finish(r, 0);
		ret = blk_client_ring(r->c);
		if (!ret || ret == -EIO)
			ret = blk_client_wait(r->c, 100);
		if (ret == -EPIPE)
			finish(r, ret);
		ret = blk_client_reap(r->c, done, BLK_DEPTH_MAX);
		if (ret < 0)
			finish(r, ret);
		for (i = 0; i < ret; i++)
			take_one(r, &done[i]);
		tell(r);
	}
}

static void load_main(struct load *l)
{
	static struct running r;
	struct blk_client_options o = {
		.queue = l->queue,
		.read_only = l->read_only,
		.depth = l->depth,
		.primary = 0,
		.poll = l->poll,
		.timeout_ms = slow_kernel() ? 30000 : 5000,
	};
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	const struct blk_client_facts *f;
	int ret;

	r.l = l;
	r.random = l->seed;
	/* So that faults are the doorbell's alone, not of memory used for the first time. */
	OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	OK(mlockall(MCL_CURRENT | MCL_FUTURE));
	drop_to(l->uid);
	ret = blk_client_open(&r.c, l->socket, &o, l->why, sizeof(l->why));
	if (ret) {
		r.c = NULL;
		finish(&r, ret);
	}
	f = blk_client_facts(r.c);
	if (f->window.block_size != DISK_BLOCK || l->first < f->first_block ||
	    l->first + l->count > f->first_block + f->nr_blocks) {
		snprintf(l->why, sizeof(l->why), "blocks %u+%u are not in the window %ju+%ju of %u",
			 l->first, l->count, (uintmax_t)f->first_block, (uintmax_t)f->nr_blocks,
			 f->window.block_size);
		finish(&r, -ERANGE);
	}
	l->got_queue = f->queue;
	__atomic_store_n(&l->state, LOAD_RUNNING, __ATOMIC_RELEASE);
	run(&r);
}

struct load *load_new(const struct blkd *b, struct ledger *ledger, uint32_t first, uint32_t count)
{
	static uint64_t seed = 1;
	struct load *l =
		mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(l != MAP_FAILED);
	snprintf(l->socket, sizeof(l->socket), "%s", b->socket);
	l->uid = 65534;
	l->queue = BLK_ANY_QUEUE;
	l->depth = 8;
	l->first = first;
	l->count = count;
	l->ledger = ledger;
	l->seed = seed++;
	return l;
}

void load_start(struct load *l)
{
	pid_t pid;

	l->state = LOAD_STARTED;
	l->stop = 0;
	l->fenced = 0;
	l->end = -1;
	l->result = 0;
	l->done = 0;
	l->why[0] = '\0';
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		load_main(l);
	l->pid = pid;
}

void load_check(const struct load *l)
{
	int state = __atomic_load_n(&l->state, __ATOMIC_ACQUIRE);

	CHECK_MSG(state != LOAD_ENDED, "the load of blocks %u+%u ended: %s (%s) %s", l->first,
		  l->count, strerror_name(-l->result), l->end < 0 ? "-" : blk_end_name(l->end),
		  l->why);
	CHECK_EQ(l->errors, 0);
	CHECK_EQ(l->io_errors, 0);
}

void load_wait(struct load *l, uint64_t more)
{
	uint64_t from = l->done, end = timeout();

	while (__atomic_load_n(&l->done, __ATOMIC_ACQUIRE) < from + more) {
		load_check(l);
		if (now_ns() > end)
			FAIL("the load of blocks %u+%u stands still after %ju requests", l->first,
			     l->count, (uintmax_t)l->done);
		sleep_ms(2);
	}
}

void load_stop(struct load *l)
{
	load_check(l);
	l->stop = 1;
	CHECK_EQ(wait_end(l->pid, "a load"), 0);
	CHECK_EQ(l->errors, 0);
	CHECK_EQ(l->io_errors, 0);
	CHECK_EQ(l->result, 0);
	CHECK_EQ(l->end, -1);
}
