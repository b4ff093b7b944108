// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any client may put a fence on the buffer that it was lent, and never signal it. That holds
 * up nobody. Only where an importer is attached to the buffer a fence stands for DMA: then a
 * revoke and a transition wait for it, for a while.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "fence.h"
#include "importer.h"

/*
 * Where a wait for a fence is found: vfio_pci_wait_fence(), or vfio_pci_buf_wait_importers() where
 * the compiler has inlined that.
 */
#define IN_WAIT "_wait_"

struct scene {
	struct dev *dev;
	int fd, other; /* two buffers; there is a fence on the first */
	volatile char *page, *other_page, *bar;
	struct fence fence;
	int importer; /* of the first, or -1 */
};

/* Long enough to be noticed, and shorter than any wait that has a timeout by default. */
static unsigned int never(void)
{
	return slow_kernel() ? 20 : 4;
}

static void scene_open(struct scene *s)
{
	s->dev = dev_open("nvme");
	s->fd = export_range(s->dev, 2, 0, PAGE);
	s->other = export_range(s->dev, 2, MIB(1), PAGE);
	s->page = map_buffer(s->fd, 0, PAGE);
	s->other_page = map_buffer(s->other, 0, PAGE);
	s->bar = map_bar(s->dev, 2, 0, PAGE);
	s->importer = -1;
	CHECK_ALIVE(s->page);
	CHECK_ALIVE(s->other_page);
	CHECK_ALIVE(s->bar);
}

static void sysfs_reset(const struct dev *dev)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", dev->address);
	if (!write_file(path, "1"))
		FAIL("%s: %s", path, strerror_name(errno));
}

/* Access that others have, and calls that concern another buffer. */
static void others_go_on(struct scene *s)
{
	uint32_t value;

	CHECK_ALIVE(s->other_page);
	CHECK_ALIVE(s->bar);
	CHECK(config_read16(s->dev, PCI_VENDOR_ID) != 0xffff);
	config_write16(s->dev, PCI_CACHE_LINE_SIZE, 0);
	CHECK_EQ(pread(s->dev->fd, &value, sizeof(value), bar_offset(s->dev, 2, 0)), sizeof(value));
	revoke_buffer(s->dev, export_range(s->dev, 2, MIB(2), PAGE));
}

static void reset_ioctl(struct scene *s)
{
	OK(try_reset(s->dev));
	CHECK_ALIVE(s->page);
}

static void reset_by_sysfs(struct scene *s)
{
	sysfs_reset(s->dev);
	CHECK_ALIVE(s->page);
}

static void decode(struct scene *s)
{
	memory_decode(s->dev, false);
	CHECK_SIGBUS(s->page);
	memory_decode(s->dev, true);
	CHECK_ALIVE(s->page);
}

static void low_power(struct scene *s)
{
	OK(try_low_power_enter(s->dev, -1));
	CHECK_SIGBUS(s->page);
	OK(try_low_power_exit(s->dev));
	CHECK_ALIVE(s->page);
}

static void revoke_this(struct scene *s)
{
	revoke_buffer(s->dev, s->fd);
	CHECK_SIGBUS(s->page);
}

static void revoke_another(struct scene *s)
{
	revoke_buffer(s->dev, s->other);
	CHECK_SIGBUS(s->other_page);
	CHECK_ALIVE(s->page);
	s->other = export_range(s->dev, 2, MIB(1), PAGE);
	s->other_page = map_buffer(s->other, 0, PAGE);
}

static void not_held_up(void (*call)(struct scene *s))
{
	uint64_t began;
	struct scene s;

	scene_open(&s);
	fence_by_client(&s.fence, s.fd, never());
	began = now_ns();
	call(&s);
	CHECK_MSG(!fence_is_signalled(&s.fence), "it waited %u ms, as long as the fence",
		  (unsigned int)((now_ns() - began) / 1000000));
	others_go_on(&s);
	CHECK(!fence_is_signalled(&s.fence));
}

static void no_reset_ioctl_waits(void)
{
	not_held_up(reset_ioctl);
}

static void no_sysfs_reset_waits(void)
{
	not_held_up(reset_by_sysfs);
}

static void no_decode_off_waits(void)
{
	not_held_up(decode);
}

static void no_low_power_entry_waits(void)
{
	not_held_up(low_power);
}

static void no_revoke_waits(void)
{
	not_held_up(revoke_this);
}

static void no_other_revoke_waits(void)
{
	not_held_up(revoke_another);
}

/* A sysfs reset waits for five seconds, which must not become everybody's. */
static int reset_in_a_thread(void *arg)
{
	struct scene *s = arg;

	sysfs_reset(s->dev);
	return 0;
}

static void nobody_waits_while_a_sysfs_reset_runs(void)
{
	struct call reset;
	struct scene s;

	scene_open(&s);
	fence_by_client(&s.fence, s.fd, never());
	call_begin(&reset, reset_in_a_thread, &s);
	/* For as long as it takes, at the beginning and at the end of it. */
	do {
		others_go_on(&s);
		CHECK_ALIVE(s.page);
	} while (!reset.ended && !fence_is_signalled(&s.fence));
	CHECK(!fence_is_signalled(&s.fence));
	CHECK_EQ(call_end(&reset), 0);
}

static void close_does_not_wait(void)
{
	struct scene s;

	scene_open(&s);
	unmap((void *)s.bar, PAGE);
	fence_by_client(&s.fence, s.fd, never());
	dev_close(s.dev);
	CHECK_SIGBUS(s.page);
	CHECK(!fence_is_signalled(&s.fence));
}

/* An importer that unmaps at once when it is notified, and has queued work before. */
static void import_with_fence(struct scene *s, enum importer_fence_usage usage)
{
	s->importer = importer_open(s->dev, s->fd);
	importer_map(s->importer);
	fence_make(&s->fence, 0);
	importer_add_fence(s->importer, s->fence.fd, usage);
}

static int revoke_it(void *arg)
{
	struct scene *s = arg;

	return try_revoke(s->dev, s->fd);
}

static void revoke_waits_for(enum importer_fence_usage usage)
{
	struct call call;
	struct scene s;

	scene_open(&s);
	import_with_fence(&s, usage);
	call_begin(&call, revoke_it, &s);
	call_wait_asleep_in(&call, IN_WAIT);
	CHECK(!importer_is_mapped(s.importer));
	CHECK_SIGBUS(s.page);
	others_go_on(&s);
	/* The fence's buffer itself is not locked. */
	CHECK_ERRNO(try_importer_map(s.importer), ENODEV);
	CHECK(!call.ended);
	fence_signal(&s.fence);
	CHECK_EQ(call_end(&call), 0);
	CHECK_ERRNO(try_revoke(s.dev, s.fd), EBADFD);
}

static void revoke_waits_for_an_importers_write(void)
{
	revoke_waits_for(IMPORTER_FENCE_WRITE);
}

static void revoke_waits_for_an_importers_read(void)
{
	revoke_waits_for(IMPORTER_FENCE_READ);
}

static void revoke_waits_for_any_importers_work(void)
{
	revoke_waits_for(IMPORTER_FENCE_BOOKKEEP);
}

static void revoke_times_out(void)
{
	uint64_t began;
	struct scene s;

	set_parameter(IMPORTER_TIMEOUT, "300");
	scene_open(&s);
	import_with_fence(&s, IMPORTER_FENCE_BOOKKEEP);
	began = now_ns();
	CHECK_ERRNO(try_revoke(s.dev, s.fd), ETIMEDOUT);
	CHECK(now_ns() - began >= 300000000);
	CHECK(!fence_is_signalled(&s.fence));
	CHECK_SIGBUS(s.page);
	CHECK_ERRNO(try_revoke(s.dev, s.fd), ETIMEDOUT);
	fence_signal(&s.fence);
	CHECK_ERRNO(try_revoke(s.dev, s.fd), EBADFD);
	CHECK_SIGBUS(s.page);
}

static int revokes(void *arg)
{
	return revoke_it(arg) ? 1 : 0;
}

static void killed_revoker_does_not_wait(void)
{
	struct scene s;
	int status;
	pid_t pid;

	set_parameter(IMPORTER_TIMEOUT, FOR_EVER);
	scene_open(&s);
	import_with_fence(&s, IMPORTER_FENCE_WRITE);
	pid = spawn(revokes, &s);
	wait_asleep_in(pid, IN_WAIT);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a revoker that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(!fence_is_signalled(&s.fence));
	CHECK_SIGBUS(s.page);
}

static int reset_it(void *arg)
{
	return try_reset(((struct scene *)arg)->dev);
}

static int touch_it(void *arg)
{
	errno = EFAULT;
	return touch(((struct scene *)arg)->page) ? -1 : 0;
}

/* The result of a reset is not known before, so faults wait with it; nobody else does. */
static void reset_waits_for_importers_work(void)
{
	struct call reset, access;
	struct scene s;
	uint32_t value;

	scene_open(&s);
	import_with_fence(&s, IMPORTER_FENCE_BOOKKEEP);
	call_begin(&reset, reset_it, &s);
	call_wait_asleep_in(&reset, IN_WAIT);
	call_begin(&access, touch_it, &s);
	call_wait_asleep_in(&access, IN_FAULT);
	CHECK(config_read16(s.dev, PCI_VENDOR_ID) != 0xffff);
	CHECK_EQ(pread(s.dev->fd, &value, sizeof(value), bar_offset(s.dev, 2, 0)), sizeof(value));
	CHECK_EQ(pwrite(s.dev->fd, &value, sizeof(value), bar_offset(s.dev, 2, 0)), sizeof(value));
	revoke_buffer(s.dev, export_range(s.dev, 2, MIB(2), PAGE));
	revoke_buffer(s.dev, s.other);
	CHECK_SIGBUS(s.other_page);
	CHECK(!reset.ended && !access.ended);
	fence_signal(&s.fence);
	CHECK_EQ(call_end(&reset), 0);
	CHECK_EQ(call_end(&access), 0);
	importer_map(s.importer);
}

static void reset_times_out(void)
{
	struct scene s;

	set_parameter(IMPORTER_TIMEOUT, "300");
	scene_open(&s);
	write32(s.page, 0x5afe);
	import_with_fence(&s, IMPORTER_FENCE_WRITE);
	CHECK_ERRNO(try_reset(s.dev), EBUSY);
	CHECK(!fence_is_signalled(&s.fence));
	CHECK_EQ(read32(s.page), 0x5afe);
	others_go_on(&s);
	importer_map(s.importer);
	fence_signal(&s.fence);
	OK(try_reset(s.dev));
	CHECK(!importer_is_mapped(s.importer));
	importer_map(s.importer);
}

static const struct test_case cases[] = {
	CASE_MMAP(no_reset_ioctl_waits),
	CASE_MMAP(no_sysfs_reset_waits),
	CASE_MMAP(no_decode_off_waits),
	CASE_MMAP(no_low_power_entry_waits),
	CASE_MMAP(no_revoke_waits),
	CASE_MMAP(no_other_revoke_waits),
	CASE_MMAP(nobody_waits_while_a_sysfs_reset_runs),
	CASE_MMAP(close_does_not_wait),
	CASE_MMAP(revoke_waits_for_an_importers_write),
	CASE_MMAP(revoke_waits_for_an_importers_read),
	CASE_MMAP(revoke_waits_for_any_importers_work),
	CASE_MMAP(revoke_times_out),
	CASE_MMAP(killed_revoker_does_not_wait),
	CASE_MMAP(reset_waits_for_importers_work),
	CASE_MMAP(reset_times_out),
};

TEST_MAIN(cases)
