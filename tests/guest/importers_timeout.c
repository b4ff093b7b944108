// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer that keeps its mapping for longer than the timeout: what takes the BARs away
 * fails and has changed nothing, and meanwhile nobody waits but its caller and those who
 * wait for its result.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "importer.h"

/* Where a wait for importers is found. */
#define IN_WAIT "wait_importers"

/* The state field of PCI_PM_CTRL. */
#define D3HOT 3

struct scene {
	struct dev *dev;
	int stuck, fd; /* two buffers, the first of which is imported */
	volatile char *stuck_page, *page, *bar;
	int importer;
};

static void scene_open(struct scene *s, const char *model, unsigned int bar)
{
	s->dev = dev_open(model);
	s->stuck = export_range(s->dev, bar, PAGE, PAGE);
	s->fd = export_range(s->dev, bar, 0, PAGE);
	s->stuck_page = map_buffer(s->stuck, 0, PAGE);
	s->page = map_buffer(s->fd, 0, PAGE);
	s->bar = map_bar(s->dev, bar, 0, PAGE);
	CHECK_ALIVE(s->stuck_page);
	CHECK_ALIVE(s->page);
	CHECK_ALIVE(s->bar);
	s->importer = importer_open_stubborn(s->dev, s->stuck);
}

static int config_write(const struct dev *dev, unsigned int pos, uint16_t value)
{
	return pwrite(dev->fd, &value, sizeof(value), bar_offset(dev, 7, pos)) == sizeof(value) ?
		       0 :
		       -1;
}

static int reset_it(void *arg)
{
	return try_reset(((struct scene *)arg)->dev);
}

static int decode_off(void *arg)
{
	struct scene *s = arg;
	uint16_t command = config_read16(s->dev, PCI_COMMAND);

	return config_write(s->dev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
}

static int low_power(void *arg)
{
	return try_low_power_enter(((struct scene *)arg)->dev, -1);
}

static int d3hot(void *arg)
{
	struct scene *s = arg;
	unsigned int pos = config_capability(s->dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	uint16_t pmcsr = config_read16(s->dev, pos);

	CHECK(pos > PCI_PM_CTRL);
	return config_write(s->dev, pos, pmcsr | D3HOT);
}

static int flr(void *arg)
{
	struct scene *s = arg;
	unsigned int pos = config_capability(s->dev, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
	uint16_t control = config_read16(s->dev, pos);

	CHECK(pos > PCI_EXP_DEVCTL);
	return config_write(s->dev, pos, control | PCI_EXP_DEVCTL_BCR_FLR);
}

static int hot_reset(void *arg)
{
	int ret = barbuf_device_hot_reset(((struct scene *)arg)->dev->lib);

	errno = -ret;
	return ret;
}

static int revoke_stuck(void *arg)
{
	struct scene *s = arg;

	return try_revoke(s->dev, s->stuck);
}

static int touch_it(void *arg)
{
	errno = EFAULT;
	return touch(((struct scene *)arg)->page) ? -1 : 0;
}

/* It fails in time, all is as before, and works when the importer has unmapped. */
static void fails(const char *model, unsigned int bar, int (*transition)(void *arg))
{
	uint16_t command;
	uint64_t began;
	struct scene s;
	uint32_t value;

	set_parameter(IMPORTER_TIMEOUT, "300");
	scene_open(&s, model, bar);
	command = config_read16(s.dev, PCI_COMMAND);
	value = read32(s.page);
	began = now_ns();
	CHECK_ERRNO(transition(&s), EBUSY);
	CHECK(now_ns() - began >= 300000000);
	CHECK(now_ns() < began + 5000000000 * (slow_kernel() ? 5 : 1));
	CHECK_EQ(config_read16(s.dev, PCI_COMMAND), command);
	CHECK(importer_is_mapped(s.importer));
	CHECK_EQ(read32(s.page), value);
	CHECK_EQ(read32(s.bar), value);
	CHECK_ALIVE(s.stuck_page);

	importer_unmap(s.importer);
	importer_map(s.importer);
	importer_unmap(s.importer);
	OK(transition(&s));
}

static void reset_fails(void)
{
	fails("nvme", 2, reset_it);
}

static void decode_off_fails(void)
{
	fails("nvme", 2, decode_off);
}

static void low_power_entry_fails(void)
{
	fails("nvme", 2, low_power);
}

static void d3hot_fails(void)
{
	fails("nvme", 2, d3hot);
}

static void flr_fails(void)
{
	fails("nvme", 2, flr);
}

static void hot_reset_fails(void)
{
	fails("plug", 0, hot_reset);
}

static void revoke_times_out(void)
{
	uint64_t began;
	struct scene s;

	set_parameter(IMPORTER_TIMEOUT, "300");
	scene_open(&s, "nvme", 2);
	began = now_ns();
	CHECK_ERRNO(revoke_stuck(&s), ETIMEDOUT);
	CHECK(now_ns() - began >= 300000000);
	CHECK(importer_is_mapped(s.importer));
	CHECK_SIGBUS(s.stuck_page);
	CHECK_ERRNO(revoke_stuck(&s), ETIMEDOUT);
	CHECK_ALIVE(s.page);
	importer_unmap(s.importer);
	CHECK_ERRNO(revoke_stuck(&s), EBADFD);
	CHECK_ERRNO(try_importer_map(s.importer), ENODEV);
}

/* Who calls again learns when it has ended, also when the first caller was killed. */
static void second_revoke_waits(void)
{
	struct call first, second;
	struct scene s;

	scene_open(&s, "nvme", 2);
	call_begin(&first, revoke_stuck, &s);
	call_wait_asleep_in(&first, IN_WAIT);
	call_begin(&second, revoke_stuck, &s);
	call_wait_asleep_in(&second, IN_WAIT);
	CHECK_SIGBUS(s.stuck_page);
	CHECK(!first.ended && !second.ended);
	importer_unmap(s.importer);
	CHECK_EQ(call_end(&first), 0);
	CHECK_EQ(call_end(&second), EBADFD);
}

static int in_child(void *arg)
{
	struct scene *s = arg;

	return revoke_stuck(s) ? 1 : 0;
}

static void second_revoke_waits_when_the_first_was_killed(void)
{
	struct call second;
	struct scene s;
	int status;
	pid_t pid;

	scene_open(&s, "nvme", 2);
	pid = spawn(in_child, &s);
	wait_asleep_in(pid, IN_WAIT);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a revoker that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	call_begin(&second, revoke_stuck, &s);
	call_wait_asleep_in(&second, IN_WAIT);
	CHECK(importer_is_mapped(s.importer));
	importer_unmap(s.importer);
	CHECK_EQ(call_end(&second), EBADFD);
}

/* What a transition that waits must not hold up. */
static void others_go_on(struct scene *s)
{
	uint32_t value;
	int fd;

	CHECK(config_read16(s->dev, PCI_VENDOR_ID) != 0xffff);
	CHECK_EQ(pread(s->dev->fd, &value, sizeof(value), bar_offset(s->dev, 2, 0)), sizeof(value));
	CHECK_EQ(pwrite(s->dev->fd, &value, sizeof(value), bar_offset(s->dev, 2, 0)),
		 sizeof(value));
	config_write16(s->dev, PCI_CACHE_LINE_SIZE, 0);
	fd = export_range(s->dev, 2, MIB(1), PAGE);
	unmap(map_buffer(fd, 0, PAGE), PAGE);
	unmap(map_bar(s->dev, 2, MIB(1), PAGE), PAGE);
	revoke_buffer(s->dev, fd);
}

/* A reset may end either way, so accesses wait for it and for nothing else. */
static void reset_holds_up_faults_alone(void)
{
	struct call reset, access;
	struct scene s;

	scene_open(&s, "nvme", 2);
	call_begin(&reset, reset_it, &s);
	call_wait_asleep_in(&reset, IN_WAIT);
	call_begin(&access, touch_it, &s);
	call_wait_asleep_in(&access, IN_FAULT);
	others_go_on(&s);
	CHECK(!reset.ended && !access.ended);
	importer_unmap(s.importer);
	CHECK_EQ(call_end(&reset), 0);
	CHECK_EQ(call_end(&access), 0);
}

/* Where the result is known nobody waits for it: SIGBUS at once, as without an importer. */
static void nobody_waits(int (*transition)(void *arg))
{
	struct call call;
	struct scene s;

	scene_open(&s, "nvme", 2);
	call_begin(&call, transition, &s);
	call_wait_asleep_in(&call, IN_WAIT);
	CHECK_SIGBUS(s.page);
	CHECK_SIGBUS(s.stuck_page);
	CHECK_SIGBUS(s.bar);
	others_go_on(&s);
	CHECK(!call.ended);
	importer_unmap(s.importer);
	CHECK_EQ(call_end(&call), 0);
	CHECK_SIGBUS(s.page);
}

static void nobody_waits_for_decode_off(void)
{
	nobody_waits(decode_off);
}

static void nobody_waits_for_low_power(void)
{
	nobody_waits(low_power);
}

static void nobody_waits_for_d3hot(void)
{
	nobody_waits(d3hot);
}

static int resets(void *arg)
{
	return reset_it(arg) ? 1 : 0;
}

/* Nothing has changed then. */
static void killed_reset(void)
{
	struct scene s;
	int status;
	pid_t pid;

	set_parameter(IMPORTER_TIMEOUT, FOR_EVER);
	scene_open(&s, "nvme", 2);
	write32(s.page, 0xc0ffee);
	pid = spawn(resets, &s);
	wait_asleep_in(pid, IN_WAIT);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a process that was killed in its reset");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(importer_is_mapped(s.importer));
	CHECK_EQ(read32(s.page), 0xc0ffee);
	CHECK_ALIVE(s.stuck_page);
	importer_unmap(s.importer);
	importer_map(s.importer);
}

/* Lines of the kernel log since log_open() that have all of these words in them. */
static int log_open(void)
{
	int fd = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));

	lseek(fd, 0, SEEK_END);
	return fd;
}

static unsigned int log_lines(int fd, const char *a, const char *b)
{
	unsigned int lines = 0;
	char record[2048];
	ssize_t len;

	while ((len = read(fd, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		lines += strstr(record, a) && strstr(record, b);
	}
	return lines;
}

/* It cannot fail, and has the device locked: five seconds, and a word about it. */
static void sysfs_reset_goes_on(void)
{
	uint64_t began, took;
	struct scene s;
	char path[96];
	int log;

	scene_open(&s, "nvme", 2);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", s.dev->address);
	log = log_open();
	began = now_ns();
	if (!write_file(path, "1"))
		FAIL("%s: %s", path, strerror_name(errno));
	took = now_ns() - began;
	CHECK_MSG(took >= 5000000000, "%u ms", (unsigned int)(took / 1000000));
	CHECK_MSG(took < 10000000000 * (slow_kernel() ? 3 : 1), "%u ms",
		  (unsigned int)(took / 1000000));
	CHECK_EQ(log_lines(log, s.dev->address, "importer"), 1);
	CHECK(importer_is_mapped(s.importer));
	CHECK_ALIVE(s.page);
	CHECK_ALIVE(s.stuck_page);
}

/*
 * Who opens the device next must not share it with an importer: a close waits, says for
 * whom, and ends when the importer unmaps.
 */
static void close_waits_and_says_for_whom(void)
{
	struct lent lent;
	char path[64];
	int importer, log, status;

	set_parameter(IMPORTER_TIMEOUT, "300");
	log = log_open();
	lend(&lent, "nvme", 2, PAGE, &importer);
	kill(lent.owner, SIGKILL);
	wait_asleep_in(lent.owner, IN_WAIT);
	/* Several timeouts. */
	sleep_ms(1500);
	CHECK_EQ(waitpid(lent.owner, &status, WNOHANG), 0);
	CHECK(importer_is_mapped(importer));
	snprintf(path, sizeof(path), "importer of a DMABUF: %s", lent.address);
	CHECK_EQ(log_lines(log, lent.address, path), 1);
	importer_unmap(importer);
	wait_end(lent.owner, "the owner");
	CHECK_EQ(log_lines(log, lent.address, path), 0);
	CHECK_ALIVE(map_bar(dev_open("nvme"), 2, 0, PAGE));
}

static const struct test_case cases[] = {
	CASE_MMAP(reset_fails),
	CASE_MMAP(decode_off_fails),
	CASE_MMAP(low_power_entry_fails),
	CASE_MMAP(d3hot_fails),
	CASE_MMAP(flr_fails),
	CASE_MMAP(hot_reset_fails),
	CASE_MMAP(revoke_times_out),
	CASE_MMAP(second_revoke_waits),
	CASE_MMAP(second_revoke_waits_when_the_first_was_killed),
	CASE_MMAP(reset_holds_up_faults_alone),
	CASE_MMAP(nobody_waits_for_decode_off),
	CASE_MMAP(nobody_waits_for_low_power),
	CASE_MMAP(nobody_waits_for_d3hot),
	CASE_MMAP(killed_reset),
	CASE_MMAP(sysfs_reset_goes_on),
	CASE_MMAP(close_waits_and_says_for_whom),
};

TEST_MAIN(cases)
