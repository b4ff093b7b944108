// SPDX-License-Identifier: GPL-2.0-only
/*
 * Revoke of a buffer that is imported: it waits for the importer and for nothing
 * else, nothing else waits for it, and it can be killed.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "importer.h"

#define IN_REVOKE "wait_importers"

struct buffer {
	struct dev *dev;
	int fd;
	volatile void *page;
	int importer;
};

static void buffer_open(struct buffer *b, struct dev *dev, bool stubborn)
{
	b->dev = dev;
	b->fd = export_range(dev, 2, MIB(2), PAGE);
	b->page = map_buffer(b->fd, 0, PAGE);
	CHECK_ALIVE(b->page);
	if (stubborn) {
		set_parameter(IMPORTER_TIMEOUT, FOR_EVER);
		b->importer = importer_open_stubborn(dev, b->fd);
	} else {
		b->importer = importer_open(dev, b->fd);
		importer_map(b->importer);
	}
}

/* In a child, which leaves the importer to its parent. */
static int revoke_it(void *arg)
{
	struct buffer *b = arg;

	close(b->importer);
	return try_revoke(b->dev, b->fd) ? 1 : 0;
}

/* No CPU has anything of it, and no importer gets it anew. */
static void is_out_of_reach(const struct buffer *b)
{
	CHECK_SIGBUS(b->page);
	CHECK(!try_map(b->fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	CHECK_ERRNO(try_importer_open(b->dev, b->fd), ENODEV);
}

/* Nobody has anything of it. */
static void is_revoked(const struct buffer *b)
{
	is_out_of_reach(b);
	CHECK_ERRNO(try_revoke(b->dev, b->fd), EBADFD);
}

static void importer_that_lets_go(void)
{
	struct buffer b;

	buffer_open(&b, dev_open("nvme"), false);
	revoke_buffer(b.dev, b.fd);
	CHECK(!importer_is_mapped(b.importer));
	CHECK_EQ(importer_asked(b.importer), 1);
	CHECK_ERRNO(try_importer_map(b.importer), ENODEV);
	is_revoked(&b);
	OK(try_reset(b.dev));
	CHECK_ERRNO(try_importer_map(b.importer), ENODEV);
}

/* Attached, but with nothing mapped: nobody to wait for. */
static void importer_without_a_mapping(void)
{
	struct buffer b;

	buffer_open(&b, dev_open("nvme"), true);
	importer_unmap(b.importer);
	revoke_buffer(b.dev, b.fd);
	CHECK_ERRNO(try_importer_map(b.importer), ENODEV);
	is_revoked(&b);
}

static void revoke_waits_for_the_importer(void)
{
	struct buffer b;
	pid_t pid;

	buffer_open(&b, dev_open("nvme"), true);
	pid = spawn(revoke_it, &b);
	wait_asleep_in(pid, IN_REVOKE);
	/* The CPU's part of it is done. */
	is_out_of_reach(&b);
	CHECK(importer_is_mapped(b.importer));
	CHECK(is_asleep_in(pid, IN_REVOKE));
	importer_unmap(b.importer);
	CHECK_EQ(wait_end(pid, "a revoke"), 0);
	CHECK_ERRNO(try_importer_map(b.importer), ENODEV);
}

/* The importer lets go by its end. */
static void importer_closed(void)
{
	struct buffer b;
	pid_t pid;

	buffer_open(&b, dev_open("nvme"), true);
	pid = spawn(revoke_it, &b);
	wait_asleep_in(pid, IN_REVOKE);
	close(b.importer);
	close(b.fd);
	CHECK_EQ(wait_end(pid, "a revoke"), 0);
	CHECK_SIGBUS(b.page);
}

static void killed_revoker(void)
{
	struct buffer b;
	int status;
	pid_t pid;

	buffer_open(&b, dev_open("nvme"), true);
	pid = spawn(revoke_it, &b);
	wait_asleep_in(pid, IN_REVOKE);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a revoker that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(importer_is_mapped(b.importer));
	is_out_of_reach(&b);
	importer_unmap(b.importer);
	CHECK_ERRNO(try_importer_map(b.importer), ENODEV);
	is_revoked(&b);
	OK(try_reset(b.dev));
	is_revoked(&b);
}

/* Nobody but the revoker itself is kept waiting by a revoke that waits. */
static void stuck_revoke_holds_nobody(void)
{
	struct dev *dev = dev_open("nvme");
	volatile char *page, *bar;
	struct buffer stuck;
	uint32_t value;
	int fd, importer;
	pid_t pid;

	buffer_open(&stuck, dev, true);
	fd = export_range(dev, 2, 0, 4 * PAGE);
	page = map_buffer(fd, 0, 4 * PAGE);
	bar = map_bar(dev, 2, 0, 4 * PAGE);
	CHECK_ALIVE(page);
	importer = importer_open(dev, fd);
	importer_map(importer);
	pid = spawn(revoke_it, &stuck);
	wait_asleep_in(pid, IN_REVOKE);

	CHECK_ALIVE(page + PAGE);
	CHECK_ALIVE(bar + PAGE);
	CHECK_ALIVE(map_buffer(fd, 2 * PAGE, PAGE));
	CHECK_ALIVE(map_bar(dev, 0, 0, PAGE));
	CHECK_EQ(pread(dev->fd, &value, sizeof(value), bar_offset(dev, 0, 0)), sizeof(value));
	CHECK_EQ(pwrite(dev->fd, &value, sizeof(value), bar_offset(dev, 2, 0)), sizeof(value));
	CHECK(config_read16(dev, PCI_VENDOR_ID) != 0xffff);
	config_write16(dev, PCI_CACHE_LINE_SIZE, 0);
	CHECK_ALIVE(map_buffer(export_range(dev, 2, MIB(2), PAGE), 0, PAGE));
	CHECK(importer_is_mapped(importer));
	revoke_buffer(dev, fd);
	CHECK(!importer_is_mapped(importer));
	CHECK_SIGBUS(page);
	CHECK_ALIVE(bar);

	CHECK(is_asleep_in(pid, IN_REVOKE));
	importer_unmap(stuck.importer);
	CHECK_EQ(wait_end(pid, "a revoke"), 0);
}

/* An importer that is stuck, and nobody asks it anything: that is no state at all. */
static void imported_buffer_is_like_any(void)
{
	struct dev *dev = dev_open("nvme");
	struct buffer b;
	pid_t pid;

	buffer_open(&b, dev, true);
	CHECK_ALIVE(map_buffer(b.fd, 0, PAGE));
	unmap((void *)b.page, PAGE);
	b.page = map_buffer(b.fd, 0, PAGE);
	CHECK_ALIVE(b.page);
	/* Two importers, of which one lets go. */
	importer_unmap(b.importer);
	importer_map(b.importer);
	close(importer_open_stubborn(dev, b.fd));
	pid = spawn(revoke_it, &b);
	wait_asleep_in(pid, IN_REVOKE);
	importer_unmap(b.importer);
	CHECK_EQ(wait_end(pid, "a revoke"), 0);
	is_revoked(&b);
}

static const struct test_case cases[] = {
	CASE_MMAP(importer_that_lets_go),
	CASE_MMAP(importer_without_a_mapping),
	CASE_MMAP(revoke_waits_for_the_importer),
	CASE_MMAP(importer_closed),
	CASE_MMAP(killed_revoker),
	CASE_MMAP(stuck_revoke_holds_nobody),
	CASE_MMAP(imported_buffer_is_like_any),
};

TEST_MAIN(cases)
