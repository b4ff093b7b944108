// SPDX-License-Identifier: GPL-2.0-only
/*
 * A revoke takes nothing from anybody else: no other mapping, of the same pages
 * or of others, in this process or in another one, takes a single extra fault.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define SIZE  MIB(1)
#define OTHERS 12

struct other {
	volatile char *p;
	uint64_t size;
};

/* All others, walked once before and once after; the second walk takes no fault. */
static long walk(const struct other *others, size_t nr)
{
	long faults = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		faults += walk_faults(others[i].p, others[i].size, PAGE);
	return faults;
}

struct child {
	struct other *others;
	size_t nr;
	volatile int *ready, *revoked;
};

static int walk_in_child(void *arg)
{
	struct child *c = arg;

	walk(c->others, c->nr);
	*c->ready = 1;
	wait_for(c->revoked, "the revoke");
	CHECK_EQ(walk(c->others, c->nr), 0);
	return 0;
}

static void make_others(const struct dev *dev, struct other *others)
{
	size_t i, n = 0;
	int fd;

	/* Of the same range as the victim: with huge leaves and with small pages. */
	fd = export_range(dev, 2, 0, 4 * SIZE);
	others[n++] = (struct other){ map_aligned(fd, 0, 4 * SIZE, MIB(2), 0), 4 * SIZE };
	others[n++] = (struct other){ map_aligned(fd, 0, SIZE, MIB(2), PAGE), SIZE };
	/* The owner's, through the device fd. */
	others[n++] = (struct other){
		map_aligned(dev->fd, bar_offset(dev, 2, 0), 4 * SIZE, MIB(2), 0), 4 * SIZE
	};
	others[n++] = (struct other){
		map_aligned(dev->fd, bar_offset(dev, 2, 0), SIZE, MIB(2), PAGE), SIZE
	};
	/* The same offsets of other buffers. */
	for (i = 0; n < OTHERS; i++) {
		fd = export_range(dev, 2, MIB(16) + i * SIZE, SIZE);
		others[n++] = (struct other){ map_buffer(fd, 0, SIZE), SIZE };
		close(fd);
	}
}

static void counted(bool in_child)
{
	struct other others[OTHERS];
	struct dev *dev = dev_open("ivshmem");
	volatile int *flags = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS);
	struct child c = { others, OTHERS, &flags[0], &flags[16] };
	volatile char *gone;
	pid_t pid = 0;
	int victim;

	victim = export_range(dev, 2, 0, 4 * SIZE);
	gone = map_aligned(victim, 0, 4 * SIZE, MIB(2), 0);
	walk_faults(gone, 4 * SIZE, PAGE);
	make_others(dev, others);
	CHECK(walk(others, OTHERS) >= OTHERS);
	CHECK_EQ(walk(others, OTHERS), 0);
	if (in_child) {
		pid = spawn(walk_in_child, &c);
		wait_for(c.ready, "the child");
	}

	revoke_buffer(dev, victim);
	CHECK_SIGBUS(gone);
	CHECK_EQ(walk(others, OTHERS), 0);
	if (in_child) {
		*c.revoked = 1;
		join(pid);
	}

	/* The counting is not blind: what zaps all of them is seen in all. */
	memory_decode(dev, false);
	memory_decode(dev, true);
	CHECK(walk(others, OTHERS) >= OTHERS);
}

static void same_process(void)
{
	counted(false);
}

static void forked_child(void)
{
	counted(true);
}

static void other_device(void)
{
	struct dev *ivshmem = dev_open("ivshmem"), *bochs = dev_open("bochs");
	int victim = export_range(ivshmem, 2, 0, SIZE);
	struct other other = { map_bar(bochs, 0, 0, SIZE), SIZE };
	struct other buffer = { map_buffer(export_range(bochs, 0, 0, SIZE), 0, SIZE), SIZE };

	walk_faults(map_buffer(victim, 0, SIZE), SIZE, PAGE);
	walk(&other, 1);
	walk(&buffer, 1);
	revoke_buffer(ivshmem, victim);
	CHECK_EQ(walk(&other, 1), 0);
	CHECK_EQ(walk(&buffer, 1), 0);
}

/* A thousand revokes beside one mapping that never notices. */
static void many_revokes(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct other kept = { map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE), SIZE };
	int rounds = slow_kernel() ? 100 : 1000;
	volatile char *p;
	int i, fd;

	walk(&kept, 1);
	for (i = 0; i < rounds; i++) {
		fd = export_range(dev, 2, i % 256 * PAGE, PAGE);
		p = map_buffer(fd, 0, PAGE);
		CHECK_ALIVE(p);
		revoke_buffer(dev, fd);
		CHECK_SIGBUS(p);
		unmap((void *)p, PAGE);
		close(fd);
	}
	CHECK_EQ(walk(&kept, 1), 0);
}

static const struct test_case cases[] = {
	CASE_MMAP(same_process),
	CASE_MMAP(forked_child),
	CASE_MMAP(other_device),
	CASE_MMAP(many_revokes),
};

TEST_MAIN(cases)
