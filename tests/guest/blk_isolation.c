// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client of blkd cannot reach: its neighbours' doorbells and memory, the device's
 * registers, its own descriptors; and with a read-only lease the disk, for writing.
 *
 * Each is tried by a process that has the descriptors it was sent and no privilege.
 */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blk_lent.h"
#include "leaf.h"

#define NOBODY 65534

#ifndef VIRTIO_BLK_T_SECURE_ERASE
#define VIRTIO_BLK_T_SECURE_ERASE 14
#endif

static void start(struct blkd *b, const char *allow)
{
	const char *const more[] = { "--allow", allow, NULL };

	blkd_start(b, "blk", more);
}

/* Runs fn with a lease of its own queue as nobody, in a child, beside a neighbour. */
struct trial {
	const struct blkd *b;
	void (*fn)(struct raw *r);
	int queue;
	uint32_t flags;
};

static int trial_child(void *arg)
{
	const struct trial *t = arg;
	struct raw r;

	drop_to(NOBODY);
	raw_open(&r, t->b, t->queue, t->flags, 0);
	t->fn(&r);
	raw_send(&r, BLK_BYE, 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BYE);
	return 0;
}

/* How the queue was reclaimed after it. */
static const char *try_beside_neighbour(void (*fn)(struct raw *r))
{
	static char how[32];
	struct trial t = { .fn = fn, .queue = 1 };
	struct ledger *ledger = ledger_new(false);
	struct load *neighbour;
	uint64_t faults;
	struct blkd b;

	start(&b, "any");
	t.b = &b;
	neighbour = load_new(&b, ledger, 1024, 512);
	neighbour->queue = 2;
	load_start(neighbour);
	load_wait(neighbour, 50);
	faults = neighbour->faults;
	join(spawn(trial_child, &t));
	snprintf(how, sizeof(how), "%s", event_text(blkd_event(&b, 0, "reclaim", t.queue), "how"));
	load_wait(neighbour, 50);
	CHECK_EQ(neighbour->faults, faults);
	CHECK_EQ(neighbour->counts.pauses, 0);
	load_stop(neighbour);
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	CHECK(!blkd_try_event(&b, 0, "iommu_fault", -1));
	blkd_stop(&b);
	return how;
}

/* An access of one's own that ends in a signal: which ------------------------------------*/

static sigjmp_buf back;

static void come_back(int sig)
{
	siglongjmp(back, sig);
}

static int store_signal(volatile void *p)
{
	struct sigaction a = { .sa_handler = come_back, .sa_flags = SA_NODEFER }, old[2];
	int sig;

	OK(sigaction(SIGSEGV, &a, &old[0]));
	OK(sigaction(SIGBUS, &a, &old[1]));
	sig = sigsetjmp(back, 1);
	if (!sig)
		*(volatile uint8_t *)p = 0xff;
	OK(sigaction(SIGSEGV, &old[0], NULL));
	OK(sigaction(SIGBUS, &old[1], NULL));
	return sig;
}

static int load_signal(const volatile void *p)
{
	struct sigaction a = { .sa_handler = come_back, .sa_flags = SA_NODEFER }, old[2];
	int sig;

	OK(sigaction(SIGSEGV, &a, &old[0]));
	OK(sigaction(SIGBUS, &a, &old[1]));
	sig = sigsetjmp(back, 1);
	if (!sig)
		(void)*(const volatile uint8_t *)p;
	OK(sigaction(SIGSEGV, &old[0], NULL));
	OK(sigaction(SIGBUS, &old[1], NULL));
	return sig;
}

/* The doorbell's page ----------------------------------------------------------------*/

/* The container's file is everybody's; a device is had by its group, or its own file. */
static bool no_group_opens(void)
{
	glob_t found;
	size_t i;

	CHECK_EQ(glob("/dev/vfio/[0-9]*", 0, NULL, &found), 0);
	if (glob("/dev/vfio/devices/*", GLOB_APPEND, NULL, &found) == GLOB_ABORTED)
		return false;
	for (i = 0; i < found.gl_pathc; i++) {
		if (open(found.gl_pathv[i], O_RDWR | O_CLOEXEC) >= 0)
			return false;
	}
	return true;
}

/* The neighbours' doorbells are the pages before and behind, and the common configuration is
 * elsewhere in the same BAR: the descriptor is of one page and leads nowhere else. */
static void doorbell_page(struct raw *r)
{
	int fd = barbuf_buffer_fd(r->buf);
	static const uint64_t offsets[] = { PAGE, 2 * PAGE, 1ul << 20, 1ul << 40, -PAGE };
	uint8_t *p, *q;
	char path[32];
	size_t i;
	int again;

	/* Past the end: a mapping of more, one that begins there, one that grows. */
	CHECK(!try_map(fd, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED));
	CHECK_EQ(errno, EINVAL);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		p = try_map(fd, offsets[i], PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
		CHECK_MSG(!p, "offset 0x%jx was mapped", (uintmax_t)offsets[i]);
		CHECK_MSG(errno == EINVAL || errno == EOVERFLOW, "offset 0x%jx: %s",
			  (uintmax_t)offsets[i], strerror_name(errno));
	}
	CHECK(!try_map(fd, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE));
	p = map_buffer(fd, 0, PAGE);
	q = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	if (q != MAP_FAILED) {
		/* It may grow as a piece of address space; nothing is in there. */
		CHECK_EQ(store_signal(q + PAGE), SIGBUS);
		CHECK_EQ(load_signal(q + PAGE), SIGBUS);
		munmap(q, 2 * PAGE);
		p = map_buffer(fd, 0, PAGE);
	} else {
		CHECK(errno == EFAULT || errno == EINVAL);
	}
	/* As remap_file_pages() would have it. */
	CHECK(syscall(SYS_remap_file_pages, p, PAGE, 0, 1, 0) < 0);
	/* No other file of the device is to be had by it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	CHECK_MSG(again < 0, "a buffer was opened again by its path");
	CHECK(write(fd, "x", 1) < 0);
	CHECK(ftruncate(fd, 4 * PAGE) < 0);
	/* Around the mapping that is there is nothing of the device either. */
	munmap(p, PAGE);
	CHECK_EQ(store_signal(p), SIGSEGV);
	CHECK(no_group_opens());
	CHECK_EQ(raw_read(r, 0, 64), VIRTIO_BLK_S_OK);
}

static void neighbours_doorbell(void)
{
	try_beside_neighbour(doorbell_page);
}

/* All of a doorbell's page is this queue's: nothing else answers in it. */
static void every_offset(struct raw *r)
{
	uint32_t at;

	for (at = 0; at < PAGE; at += 2) {
		CHECK_EQ(barbuf_map_doorbell16(r->bell, at, 2), 0);
		CHECK_EQ(barbuf_map_doorbell16(r->bell, at, 0xffff), 0);
	}
	CHECK_EQ(barbuf_map_write32(r->bell, r->g.doorbell & ~3u, 0xdeadbeef), 0);
	CHECK_EQ(barbuf_map_doorbell16(r->bell, PAGE, 0), -ERANGE);
	CHECK_EQ(raw_read(r, 0, 64), VIRTIO_BLK_S_OK);
}

static void whole_page(void)
{
	try_beside_neighbour(every_offset);
}

/* A write to a doorbell is one the device sees at once, and once: not kept back, and not joined with the next. */
static void is_uncached(struct raw *r)
{
	volatile const uint8_t *page = barbuf_map_addr(r->bell);
	struct leaf leaf;

	CHECK_EQ(raw_read(r, 0, 64), VIRTIO_BLK_S_OK);
	CHECK(leaf_at(page, &leaf));
	CHECK_EQ(leaf.memtype, MEMTYPE_UC_MINUS);
	CHECK_EQ(leaf.size, PAGE);
}

static void uncached(void)
{
	int here = 0;

	/* What looks is opened by root, and inherited. */
	CHECK(!is_mapped(&here));
	try_beside_neighbour(is_uncached);
}

/* A neighbour's value, written to one's own page. Its requests wait for its own ring. */
static void neighbours_value(void)
{
	struct raw mine, other;
	unsigned int i;
	struct blkd b;

	start(&b, "any");
	raw_open(&mine, &b, 1, 0, 0);
	raw_open(&other, &b, 2, 0, 0);
	CHECK(mine.g.doorbell_value != other.g.doorbell_value);
	raw_header(&other, 0, VIRTIO_BLK_T_IN, raw_sector(&other, 65));
	raw_head(&other, blk_window_head(&other.g.window, 0, false));
	for (i = 0; i < 200; i++)
		CHECK_EQ(barbuf_map_doorbell16(mine.bell, mine.g.doorbell, other.g.doorbell_value),
			 0);
	CHECK_EQ(raw_reap(&other, 1, 300), 0);
	CHECK_EQ(raw_ring(&other), 0);
	CHECK_EQ(raw_reap(&other, 1, slow_kernel() ? 50000 : 10000), 1);
	CHECK(block_is(raw_data(&other, 0), 65, 0));
	CHECK_EQ(raw_read(&mine, 0, 66), VIRTIO_BLK_S_OK);
	raw_close(&mine);
	raw_close(&other);
	blkd_stop(&b);
}

/* The table ---------------------------------------------------------------------------*/

/* Every way to write to a file that one has a descriptor of. */
static void no_way_to_write(int fd, size_t size)
{
	struct stat before, after;
	char path[32], byte = 0x77;
	int again, flags;
	void *p;

	OK(fstat(fd, &before));
	CHECK(!try_map(fd, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED));
	CHECK(errno == EPERM || errno == EACCES);
	p = try_map(fd, 0, size, PROT_READ, MAP_SHARED);
	CHECK(p);
	CHECK_ERRNO(mprotect(p, size, PROT_READ | PROT_WRITE), EACCES);
	CHECK_EQ(store_signal(p), SIGSEGV);
	munmap(p, size);
	CHECK(pwrite(fd, &byte, 1, 0) < 0);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) < 0);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE) < 0);
	CHECK(ftruncate(fd, 0) < 0);
	CHECK(ftruncate(fd, before.st_size + PAGE) < 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (flags = O_WRONLY; flags <= O_RDWR; flags++) {
		again = open(path, flags | O_CLOEXEC);
		if (again < 0)
			continue;
		CHECK(!try_map(again, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED));
		CHECK(!try_map(again, 0, size, PROT_WRITE, MAP_SHARED));
		CHECK_ERRNO(pwrite(again, &byte, 1, 0), EPERM);
		CHECK_ERRNO(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE),
			    EPERM);
		CHECK(ftruncate(again, 0) < 0);
		CHECK(ftruncate(again, before.st_size + PAGE) < 0);
		close(again);
	}
	again = open(path, O_RDONLY | O_TRUNC | O_CLOEXEC);
	if (again >= 0)
		close(again);
	OK(fstat(fd, &after));
	CHECK_EQ(after.st_size, before.st_size);
}

static void table_is_not_writable(struct raw *r)
{
	const struct blk_window *w = &r->g.window;
	uint8_t *copy, *before = malloc(w->table_size);
	struct vring_desc *d;
	uint32_t i;

	CHECK(before);
	CHECK_EQ(raw_read(r, 0, 64), VIRTIO_BLK_S_OK);
	memcpy(before, r->table, w->table_size);
	/* Descriptors, used ring, in the mapping that there is. */
	for (i = 0; i < w->table_size; i += PAGE) {
		CHECK_EQ(store_signal(r->table + i), SIGSEGV);
		CHECK_EQ(mprotect(r->table + i, PAGE, PROT_READ | PROT_WRITE), -1);
		CHECK_EQ(errno, EACCES);
	}
	no_way_to_write(r->table_fd, w->table_size);
	CHECK(memcmp(before, r->table, w->table_size) == 0);

	/* A copy of one's own can be written: the device does not look at it. */
	copy = try_map(r->table_fd, 0, w->table_size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	CHECK(copy);
	d = (void *)copy;
	for (i = 0; i < w->queue_size; i++) {
		d[i].addr = 0x1000;
		d[i].flags = 0;
	}
	memset(copy + w->used, 0xff, w->table_size - w->used);
	CHECK(memcmp(before, r->table, w->table_size) == 0);
	for (i = 0; i < w->depth; i++) {
		memset(raw_data(r, i), 0x5a, w->block_size);
		CHECK_EQ(raw_read(r, i, 64 + i), VIRTIO_BLK_S_OK);
		CHECK(block_is(raw_data(r, i), 64 + i, 0));
	}
	CHECK_EQ(raw_used_idx(r), w->depth + 1);
	munmap(copy, w->table_size);
	free(before);
}

static void table(void)
{
	try_beside_neighbour(table_is_not_writable);
}

/* The primary looks into the arena, so nobody can make it smaller under its eyes. */
static void arena_keeps_its_size(struct raw *r)
{
	struct stat before, after;
	char path[32];
	int again;

	OK(fstat(r->arena_fd, &before));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->arena_fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	CHECK_ERRNO(ftruncate(r->arena_fd, 0), EPERM);
	CHECK_ERRNO(ftruncate(r->arena_fd, before.st_size - PAGE), EPERM);
	CHECK_ERRNO(ftruncate(r->arena_fd, before.st_size + PAGE), EPERM);
	CHECK_ERRNO(fallocate(r->arena_fd, 0, before.st_size, PAGE), EPERM);
	CHECK(fcntl(r->arena_fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	if (again >= 0) {
		CHECK_ERRNO(ftruncate(again, 0), EPERM);
		CHECK(fcntl(again, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
		close(again);
	}
	OK(fstat(r->arena_fd, &after));
	CHECK_EQ(after.st_size, before.st_size);
	/* A hole in one's own memory is one's own loss. */
	OK(fallocate(r->arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, before.st_size));
	/* All but the flags and the index in front of the ring, or it would never drain. */
	memset(r->arena + 4, 0x11, r->g.window.headers - 4);
	raw_avail_idx(r, r->avail);
	CHECK_EQ(raw_ring(r), 0);
}

static void arena(void)
{
	CHECK(strcmp(try_beside_neighbour(arena_keeps_its_size), "queue reset") == 0);
}

/* Every descriptor names memory of this lease and no other. */
struct extent {
	uint64_t from, to;
};

static struct extent descriptors_reach(const struct raw *r)
{
	const struct vring_desc *d = (const void *)r->table;
	struct extent e = { UINT64_MAX, 0 };
	uint32_t i;

	for (i = 0; i < r->g.window.queue_size; i++) {
		CHECK(!(d[i].flags & VRING_DESC_F_INDIRECT));
		if (!d[i].len)
			continue;
		if (d[i].addr < e.from)
			e.from = d[i].addr;
		if (d[i].addr + d[i].len > e.to)
			e.to = d[i].addr + d[i].len;
	}
	CHECK(e.to - e.from <= r->g.window.table_size + r->g.window.arena_size);
	return e;
}

static void windows_apart(void)
{
	struct extent e[4];
	struct raw r[4];
	struct blkd b;
	unsigned int i, k;

	start(&b, "any");
	for (i = 0; i < 4; i++) {
		raw_open(&r[i], &b, i, i == 3 ? BLK_READ_ONLY : 0, 0);
		e[i] = descriptors_reach(&r[i]);
		/* With a page between at least that is mapped to nothing. */
		for (k = 0; k < i; k++)
			CHECK(e[i].from >= e[k].to + PAGE || e[k].from >= e[i].to + PAGE);
	}
	/* And there is no other queue. */
	CHECK_EQ(raw_try_open(&r[0], &b, BLK_ANY_QUEUE, 0, 0, NULL), -EBUSY);
	blkd_stop(&b);
}

/* Read-only ---------------------------------------------------------------------------*/

static const uint32_t types[] = {
	VIRTIO_BLK_T_IN,
	VIRTIO_BLK_T_OUT,
	VIRTIO_BLK_T_SCSI_CMD,
	VIRTIO_BLK_T_SCSI_CMD | VIRTIO_BLK_T_OUT,
	VIRTIO_BLK_T_FLUSH,
	VIRTIO_BLK_T_GET_ID,
	VIRTIO_BLK_T_DISCARD,
	VIRTIO_BLK_T_WRITE_ZEROES,
	VIRTIO_BLK_T_SECURE_ERASE,
	VIRTIO_BLK_T_OUT | VIRTIO_BLK_T_BARRIER,
	0x11,
	0xffffffff,
};

/* Fills memory with what would be a segment of DISCARD and WRITE_ZEROES, whatever part of it the
 * device takes for one. */
static void fill_with_segments(struct raw *r)
{
	struct virtio_blk_discard_write_zeroes seg = { .sector = 0, .num_sectors = 64 };
	uint8_t *p = raw_data(r, 0);
	size_t i, n = (size_t)r->g.window.depth * r->g.window.block_size / sizeof(seg);

	for (i = 0; i < n; i++)
		memcpy(p + i * sizeof(seg), &seg, sizeof(seg));
}

/* Types whose data the device must have, or it gives up: a read-only chain has none. */
static bool breaks(uint32_t type)
{
	return type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* Each good head with each type, many at once. */
static void all_types(struct raw *r)
{
	uint32_t t, slot, depth = r->g.window.depth;

	for (t = 0; t < ARRAY_SIZE(types); t++) {
		if (breaks(types[t]))
			continue;
		fill_with_segments(r);
		for (slot = 0; slot < depth; slot++) {
			raw_header(r, slot, types[t], raw_sector(r, slot));
			raw_head(r, blk_window_head(&r->g.window, slot, false));
		}
		CHECK_EQ(raw_ring(r), 0);
		CHECK_EQ(raw_reap(r, depth, slow_kernel() ? 50000 : 10000), depth);
	}
}

/* What the device gives up at, and the lease ends with. */
struct breaker {
	const struct blkd *b;
	uint32_t head, type;
};

static int break_device(void *arg)
{
	const struct breaker *k = arg;
	struct raw r;
	uint32_t i;

	drop_to(NOBODY);
	raw_open(&r, k->b, 1, BLK_READ_ONLY, 0);
	fill_with_segments(&r);
	for (i = 0; i < r.g.window.depth; i++)
		raw_header(&r, i, k->type, raw_sector(&r, i));
	raw_head(&r, k->head);
	CHECK_EQ(raw_ring(&r), 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BROKE_DEVICE);
	return 0;
}

static void broken_by(struct blkd *b, uint32_t head, uint32_t type)
{
	struct breaker k = { b, head, type };
	size_t mark = blkd_mark(b);
	pid_t pid;

	note("head %u, type %u", head, type);
	pid = spawn(break_device, &k);
	join(pid);
	CHECK_EQ(event_int(blkd_event(b, mark, "broken", -1), "pid"), pid);
	blkd_event(b, mark, "reclaim", 1);
}

/* Heads that no chain begins with, with data and status for a header, or with nothing, or beyond
 * the table; and types that a chain of a read-only lease has no room for. */
static void all_that_breaks(struct blkd *b)
{
	uint32_t depth, size, i;
	struct raw r;

	raw_open(&r, b, 1, BLK_READ_ONLY, 0);
	depth = r.g.window.depth;
	size = r.g.window.queue_size;
	raw_close(&r);
	blkd_event(b, 0, "reclaim", 1);
	{
		const uint32_t heads[] = { 1, 3 * depth - 1, 3 * depth, size - 1, size, 0xffff };

		for (i = 0; i < ARRAY_SIZE(heads); i++)
			broken_by(b, heads[i], VIRTIO_BLK_T_OUT);
	}
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (breaks(types[i]))
			broken_by(b, 0, types[i]);
	}
}

static void check_unchanged(struct blkd *b, const uint8_t *before, uint32_t blocks)
{
	struct raw r;
	uint32_t i, n, done;

	/* Another lease, which may see all of the disk. */
	raw_open(&r, b, 0, 0, 0);
	for (i = 0; i < 512; i += n) {
		n = r.g.window.depth;
		for (done = 0; done < n; done++) {
			raw_header(&r, done, VIRTIO_BLK_T_IN, raw_sector(&r, i + done));
			raw_head(&r, blk_window_head(&r.g.window, done, false));
		}
		CHECK_EQ(raw_ring(&r), 0);
		CHECK_EQ(raw_reap(&r, n, slow_kernel() ? 50000 : 10000), n);
		for (done = 0; done < n; done++)
			CHECK_MSG(memcmp(raw_data(&r, done), before + (i + done) * DISK_BLOCK,
					 DISK_BLOCK) == 0,
				  "block %u has changed", i + done);
	}
	raw_close(&r);
}

static void read_only(void)
{
	/* What the requests aim at is among the first. */
	const uint32_t most = slow_kernel() ? 512 : DISK_BLOCKS;
	uint32_t blocks, after_blocks, i;
	uint8_t *before = disk_read("blk", most, &blocks), *after;
	struct trial t = { .fn = all_types, .queue = 1, .flags = BLK_READ_ONLY };
	struct blkd b;

	start(&b, "65534,ro");
	t.b = &b;
	join(spawn(trial_child, &t));
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	all_that_breaks(&b);
	check_unchanged(&b, before, blocks);
	blkd_stop(&b);

	after = disk_read("blk", most, &after_blocks);
	CHECK_EQ(after_blocks, blocks);
	for (i = 0; i < blocks; i++)
		CHECK_MSG(memcmp(before + (size_t)i * DISK_BLOCK, after + (size_t)i * DISK_BLOCK,
				 DISK_BLOCK) == 0,
			  "block %u has changed", i);
}

/* A policy of ro gives no writable lease, whatever is asked for. */
static void read_only_by_policy(struct raw *r)
{
	uint8_t *p = raw_data(r, 0);

	CHECK(r->g.window.flags & BLK_READ_ONLY);
	memset(p, 0xbd, r->g.window.block_size);
	raw_header(r, 0, VIRTIO_BLK_T_OUT, raw_sector(r, 64));
	raw_head(r, 0);
	CHECK_EQ(raw_ring(r), 0);
	CHECK_EQ(raw_reap(r, 1, 10000), 1);
	CHECK_EQ(raw_read(r, 1, 64), VIRTIO_BLK_S_OK);
	CHECK(block_is(raw_data(r, 1), 64, 0));
}

/* What a user that falls under this rule finds, and what blkd says of it. */
static void try_under(const char *rule, const char *trust, void (*fn)(struct raw *r))
{
	struct trial t = { .fn = fn, .queue = 1 };
	struct blkd b;

	start(&b, rule);
	CHECK_EQ(strcmp(event_text(blkd_event(&b, 0, "policy", -1), "on_trust"), trust), 0);
	t.b = &b;
	join(spawn(trial_child, &t));
	blkd_stop(&b);
}

static void read_only_user(void)
{
	try_under("65534,ro", "nothing", read_only_by_policy);
}

/* What is not fixed is the holder's word, and blkd says so. */
static void sees_more_than_its_window(struct raw *r)
{
	CHECK_EQ(r->g.first_block, 1000);
	CHECK_EQ(raw_io(r, 0, VIRTIO_BLK_T_IN, 64 * (DISK_BLOCK / BLK_SECTOR)), VIRTIO_BLK_S_OK);
	CHECK(block_is(raw_data(r, 0), 64, 0));
}

static void window_on_trust(void)
{
	try_under("65534,ro,window=1000+16", "the window: it writes the sector numbers itself",
		  sees_more_than_its_window);
}

/* Fixed ----------------------------------------------------------------------------------*/

#define FIRST 1000u
#define COUNT 16u

static void only_its_window(struct raw *r)
{
	const struct blk_window *w = &r->g.window;
	uint32_t slot, t;

	CHECK_EQ(w->flags, BLK_READ_ONLY | BLK_FIXED);
	CHECK_EQ(r->g.first_block, FIRST);
	CHECK_EQ(r->g.nr_blocks, COUNT);
	CHECK(w->depth <= COUNT);
	CHECK_EQ(store_signal(r->table + w->fixed_headers), SIGSEGV);
	for (t = 0; t < ARRAY_SIZE(types); t++) {
		/* What the client writes where a header was is looked at by nobody. */
		for (slot = 0; slot < w->depth; slot++) {
			raw_header(r, slot, types[t], slot % 2 ? 0 : raw_sector(r, COUNT + slot));
			memset(raw_data(r, slot), 0x5a, w->block_size);
			raw_head(r, blk_window_head(w, slot, false));
		}
		CHECK_EQ(raw_ring(r), 0);
		CHECK_EQ(raw_reap(r, w->depth, slow_kernel() ? 50000 : 10000), w->depth);
		for (slot = 0; slot < w->depth; slot++) {
			CHECK_EQ(*raw_status(r, slot), VIRTIO_BLK_S_OK);
			CHECK(block_is(raw_data(r, slot), FIRST + slot, 0));
		}
	}
	no_way_to_write(r->table_fd, w->table_size);
}

static void fixed_window(void)
{
	try_under("65534,ro,fixed,window=1000+16", "nothing", only_its_window);
}

static const struct test_case cases[] = {
	CASE_MMAP(neighbours_doorbell),
	CASE_MMAP(whole_page),
	CASE_MMAP(uncached),
	CASE_MMAP(neighbours_value),
	CASE_MMAP(table),
	CASE_MMAP(arena),
	CASE_MMAP(windows_apart),
	CASE_MMAP(read_only, .seconds = 60),
	CASE_MMAP(read_only_user),
	CASE_MMAP(window_on_trust),
	CASE_MMAP(fixed_window),
};

TEST_MAIN(cases)
