// SPDX-License-Identifier: GPL-2.0-only
/*
 * When a revoke returns no mapping of the buffer works any more: in no process,
 * through no copy of the fd, mapped before or after, touched before or not.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "leaf.h"

#define SIZE (8 * PAGE)

static void same_process(void)
{
	static const range_t ranges[] = {
		{ 0, PAGE }, { MIB(4), PAGE }, { MIB(1), 5 * PAGE }, { MIB(3), PAGE },
	};
	struct dev *dev = dev_open("ivshmem");
	int fd = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));
	volatile char *whole, *untouched, *tail, *read_only;
	uint64_t i;

	whole = map_buffer(fd, 0, SIZE);
	untouched = map_buffer(fd, 0, SIZE);
	tail = map_buffer(fd, SIZE - PAGE, PAGE);
	read_only = try_map(fd, 2 * PAGE, 2 * PAGE, PROT_READ, MAP_SHARED);
	CHECK(read_only);
	for (i = 0; i < SIZE; i += PAGE)
		write32(whole + i, i);
	CHECK_ALIVE(tail);
	CHECK_ALIVE(read_only);

	revoke_buffer(dev, fd);
	for (i = 0; i < SIZE; i += PAGE) {
		CHECK_SIGBUS(whole + i);
		CHECK(poke32(whole + i, 1));
		CHECK_SIGBUS(untouched + i);
	}
	CHECK_SIGBUS(tail);
	CHECK_SIGBUS(read_only + PAGE);
	/* And it stays so. */
	CHECK_SIGBUS(whole);
}

static void huge_leaves(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *p, *q;
	uint64_t i;
	int fd;

	fd = export_range(dev, 2, 0, GIB(1));
	p = map_aligned(fd, 0, GIB(1), GIB(1), 0);
	/* Across no multiple of 64 MiB. */
	q = map_aligned(fd, 0, MIB(8), MIB(8), 0);
	/* 64 MiB of leaves at a time, or one leaf. */
	CHECK_EQ(walk_faults(p, GIB(1), MIB(1)), mm_has_pud_leaves() ? 1 : 16);
	CHECK_EQ(walk_faults(q, MIB(8), PAGE), 1);
	revoke_buffer(dev, fd);
	for (i = 0; i < GIB(1); i += MIB(32))
		CHECK_SIGBUS(p + i);
	for (i = 0; i < MIB(8); i += MIB(1))
		CHECK_SIGBUS(q + i);
}

/* A child and its parent tell each other how far they are. */
struct step {
	volatile int child, parent;
};

static struct step *steps(void)
{
	return try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
}

struct forked {
	struct step *step;
	volatile char *touched, *untouched;
	int fd;
};

static int child_of_fork(void *arg)
{
	struct forked *f = arg;
	volatile char *own = map_buffer(f->fd, 0, SIZE);
	uint64_t i;

	for (i = 0; i < SIZE; i += PAGE) {
		CHECK_ALIVE(f->touched + i);
		CHECK_ALIVE(own + i);
	}
	f->step->child = 1;
	wait_for(&f->step->parent, "the parent's revoke");
	for (i = 0; i < SIZE; i += PAGE) {
		CHECK_SIGBUS(f->touched + i);
		CHECK_SIGBUS(f->untouched + i);
		CHECK_SIGBUS(own + i);
	}
	CHECK(!try_map(f->fd, 0, PAGE, PROT_READ, MAP_SHARED));
	return 0;
}

static void forked_child(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct forked f = { .step = steps() };
	uint64_t i;
	pid_t pid;

	f.fd = export_range(dev, 2, 0, SIZE);
	f.touched = map_buffer(f.fd, 0, SIZE);
	f.untouched = map_buffer(f.fd, 0, SIZE);
	for (i = 0; i < SIZE; i += PAGE)
		CHECK_ALIVE(f.touched + i);
	pid = spawn(child_of_fork, &f);
	wait_for(&f.step->child, "the child");
	revoke_buffer(dev, f.fd);
	f.step->parent = 1;
	join(pid);
	CHECK_SIGBUS(f.touched);
}

/* Revoked through a copy of the fd, and with the first one closed. */
static void through_dup(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile void *a, *b;
	int fd, copy, high;

	fd = export_range(dev, 2, 0, SIZE);
	copy = OK(dup(fd));
	high = OK(fcntl(fd, F_DUPFD_CLOEXEC, 500));
	a = map_buffer(fd, 0, SIZE);
	b = map_buffer(copy, 0, SIZE);
	CHECK_ALIVE(a);
	CHECK_ALIVE(b);
	close(fd);
	revoke_buffer(dev, high);
	CHECK_SIGBUS(a);
	CHECK_SIGBUS(b);
	CHECK(!try_map(copy, 0, PAGE, PROT_READ, MAP_SHARED));
	/* It is the object that is revoked, whatever number it goes by. */
	CHECK_ERRNO(try_revoke(dev, copy), EBADFD);
	CHECK_ERRNO(try_revoke(dev, high), EBADFD);
}

/* The number of a revoked buffer, used again, is another buffer. */
static void reused_number(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile void *old, *p;
	int fd, again;

	fd = export_range(dev, 2, 0, SIZE);
	old = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(old);
	revoke_buffer(dev, fd);
	close(fd);
	again = export_range(dev, 2, 0, SIZE);
	CHECK_EQ(again, fd);
	p = map_buffer(again, 0, SIZE);
	CHECK_ALIVE(p);
	CHECK_SIGBUS(old);
	revoke_buffer(dev, again);
	CHECK_SIGBUS(p);
}

static int client(void *arg)
{
	int sock = *(int *)arg, fd, i;
	volatile char *p;
	char msg;
	size_t len;

	CHECK(barbuf_message_recv(sock, &msg, 1, &len, &fd) == 0 && fd >= 0);
	p = map_buffer(fd, 0, SIZE);
	for (i = 0; i < 8; i++)
		CHECK_ALIVE(p + i * PAGE);
	CHECK(barbuf_message_send(sock, "m", 1, -1) == 0);
	CHECK(barbuf_message_recv(sock, &msg, 1, &len, NULL) == 0);
	for (i = 0; i < 8; i++)
		CHECK_SIGBUS(p + i * PAGE);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	return 0;
}

static void over_a_socket(void)
{
	int pair[2], fd;
	struct dev *dev;
	size_t len;
	pid_t pid;
	char msg;

	/* The client has nothing of the device, by inheritance least of all. */
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	pid = spawn(client, &pair[1]);
	dev = dev_open("ivshmem");
	fd = export_range(dev, 2, 0, SIZE);
	CHECK(barbuf_message_send(pair[0], "f", 1, fd) == 0);
	CHECK(barbuf_message_recv(pair[0], &msg, 1, &len, NULL) == 0);
	revoke_buffer(dev, fd);
	CHECK(barbuf_message_send(pair[0], "r", 1, -1) == 0);
	join(pid);
}

/* The owner kept no fd of its own: it revokes through one that comes back. */
static void through_a_received_fd(void)
{
	int pair[2], fd, back;
	struct dev *dev = dev_open("ivshmem");
	volatile void *p;
	size_t len;
	char msg;

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	fd = export_range(dev, 2, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(p);
	CHECK(barbuf_message_send(pair[0], "f", 1, fd) == 0);
	close(fd);
	CHECK(barbuf_message_recv(pair[1], &msg, 1, &len, &back) == 0 && back >= 0);
	revoke_buffer(dev, back);
	CHECK_SIGBUS(p);
}

/* Revoked on its way, in the socket: who takes it out can't map it. */
static void in_flight(void)
{
	struct dev *dev = dev_open("ivshmem");
	int pair[2], fd, got;
	size_t len;
	char msg;

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	fd = export_range(dev, 2, 0, SIZE);
	CHECK(barbuf_message_send(pair[0], "f", 1, fd) == 0);
	revoke_buffer(dev, fd);
	close(fd);
	CHECK(barbuf_message_recv(pair[1], &msg, 1, &len, &got) == 0 && got >= 0);
	CHECK(!try_map(got, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	CHECK_ERRNO(try_revoke(dev, got), EBADFD);
}

/* What the ranges were is free to be exported again. */
static void exported_again(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *old, *bar, *p;
	int fd, i;

	bar = map_bar(dev, 2, 0, SIZE);
	for (i = 0; i < 20; i++) {
		fd = export_range(dev, 2, 0, SIZE);
		old = map_buffer(fd, 0, SIZE);
		write32(old + i % 8 * PAGE, i);
		CHECK_EQ(read32(bar + i % 8 * PAGE), i);
		revoke_buffer(dev, fd);
		CHECK_SIGBUS(old);
		p = map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE);
		CHECK_EQ(read32(p + i % 8 * PAGE), i);
		close(fd);
	}
	/* The owner's own view of the BAR is no exported buffer. */
	CHECK_ALIVE(bar);
}

/* No fd is left, only a mapping; close of the device ends that. */
static void mapping_without_an_fd(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = export_range(dev, 2, 0, SIZE);
	volatile char *p = map_buffer(fd, 0, SIZE);

	CHECK_ALIVE(p);
	close(fd);
	CHECK_ALIVE(p + PAGE);
	memory_decode(dev, false);
	CHECK_SIGBUS(p);
	memory_decode(dev, true);
	CHECK_ALIVE(p);
	dev_close(dev);
	CHECK_SIGBUS(p);
}

static const struct test_case cases[] = {
	CASE_MMAP(same_process),
	CASE_MMAP(huge_leaves),
	CASE_MMAP(forked_child),
	CASE_MMAP(through_dup),
	CASE_MMAP(reused_number),
	CASE_MMAP(over_a_socket),
	CASE_MMAP(through_a_received_fd),
	CASE_MMAP(in_flight),
	CASE_MMAP(exported_again),
	CASE_MMAP(mapping_without_an_fd),
};

TEST_MAIN(cases)
