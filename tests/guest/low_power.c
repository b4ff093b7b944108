// SPDX-License-Identifier: GPL-2.0-only
/*
 * The low-power features: from entry to exit no mapping works, and however the
 * exit comes about, asked for or by a wake-up, all of them work again.
 */
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "views.h"

static void enter_and_exit(const char *model, unsigned int kinds)
{
	struct dev *dev = dev_open(model);
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	for (i = 0; i < 2; i++) {
		views_alive(&views, "at first");
		OK(try_low_power_enter(dev, -1));
		views_dead(&views, "in low power");
		CHECK(wait_runtime_suspended(dev, 10000));
		views_dead(&views, "when suspended");
		OK(try_low_power_exit(dev));
		views_were_zapped(&views, "after low power");
	}
}

static void bars_of_nvme(void)
{
	enter_and_exit("nvme", VIEW_BAR);
}

static void bars_of_bochs(void)
{
	enter_and_exit("bochs", VIEW_BAR);
}

static void buffers_of_nvme(void)
{
	enter_and_exit("nvme", VIEW_ALL);
}

static void buffers_of_bochs(void)
{
	enter_and_exit("bochs", VIEW_ALL);
}

/* Without an eventfd, work for the device wakes it only for as long as it takes. */
static void other_calls_do_not_end_it(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct barbuf_device_info info;
	struct views views;

	views_open(&views, dev, kinds);
	OK(try_low_power_enter(dev, -1));
	CHECK(wait_runtime_suspended(dev, 10000));
	CHECK(barbuf_device_get_info(dev->lib, &info) == 0);
	config_read16(dev, PCI_COMMAND);
	views_dead(&views, "after an ioctl and a config read in low power");
	CHECK(wait_runtime_suspended(dev, 10000));
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power");
}

static void bar_not_back_by_other_calls(void)
{
	other_calls_do_not_end_it(VIEW_BAR);
}

static void buffer_not_back_by_other_calls(void)
{
	other_calls_do_not_end_it(VIEW_ALL);
}

static void wake_by_ioctl(const struct dev *dev)
{
	struct barbuf_device_info info;

	CHECK(barbuf_device_get_info(dev->lib, &info) == 0);
}

static void wake_by_config_read(const struct dev *dev)
{
	config_read16(dev, PCI_COMMAND);
}

static void wake_by_bar_read(const struct dev *dev)
{
	uint32_t value;

	CHECK_EQ(pread(dev->fd, &value, sizeof(value), bar_offset(dev, 0, 0)), sizeof(value));
}

/* A wake-up ends low power by itself: nobody has to call the exit. */
static void wake_up(const char *model, unsigned int kinds, void (*wake)(const struct dev *dev))
{
	struct dev *dev = dev_open(model);
	struct views views;
	uint64_t count = 0;
	int efd;

	efd = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	views_open(&views, dev, kinds);
	views_alive(&views, "at first");
	OK(try_low_power_enter(dev, efd));
	views_dead(&views, "in low power");
	CHECK(wait_runtime_suspended(dev, 10000));
	CHECK_ERRNO(read(efd, &count, sizeof(count)), EAGAIN);

	wake(dev);
	CHECK_EQ(read(efd, &count, sizeof(count)), sizeof(count));
	views_were_zapped(&views, "after the wake-up");

	/* The exit that comes too late is allowed, and does no harm. */
	OK(try_low_power_exit(dev));
	views_alive(&views, "after an exit that was not needed");

	/* And all of it works a second time. */
	OK(try_low_power_enter(dev, -1));
	views_dead(&views, "in low power again");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power again");
}

static void bar_woken_by_ioctl(void)
{
	wake_up("nvme", VIEW_BAR, wake_by_ioctl);
}

static void buffer_woken_by_ioctl(void)
{
	wake_up("nvme", VIEW_ALL, wake_by_ioctl);
}

static void buffer_woken_by_config_read(void)
{
	wake_up("bochs", VIEW_ALL, wake_by_config_read);
}

static void buffer_woken_by_bar_read(void)
{
	wake_up("ivshmem", VIEW_ALL, wake_by_bar_read);
}

/* Memory decode was off before, so it is off after the wake-up. */
static void wake_up_with_decode_off(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;
	int efd;

	efd = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	views_open(&views, dev, VIEW_ALL);
	memory_decode(dev, false);
	OK(try_low_power_enter(dev, efd));
	CHECK(wait_runtime_suspended(dev, 10000));
	wake_by_ioctl(dev);
	views_dead(&views, "after a wake-up with decode off");
	memory_decode(dev, true);
	views_alive(&views, "with decode on");
}

/* Decode switched on while asleep does not wake anything up. */
static void decode_on_in_low_power(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, VIEW_ALL);
	memory_decode(dev, false);
	OK(try_low_power_enter(dev, -1));
	memory_decode(dev, true);
	views_dead(&views, "in low power with decode on");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power");
}

static void reset_in_low_power(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	views_open(&views, dev, VIEW_ALL);
	OK(try_low_power_enter(dev, -1));
	CHECK(wait_runtime_suspended(dev, 10000));
	OK(try_reset(dev));
	views_dead(&views, "after a reset in low power");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power");
}

/* An entry that is refused must not leave anything behind. */
static void refused_entries(unsigned int kinds)
{
	struct dev *dev = dev_open("nvme");
	struct vfio_device_low_power_entry_with_wakeup entry;
	struct views views;

	views_open(&views, dev, kinds);
	entry = (struct vfio_device_low_power_entry_with_wakeup){ .wakeup_eventfd = -1 };
	CHECK_ERRNO(try_feature(dev->fd,
				VFIO_DEVICE_FEATURE_SET |
					VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
				&entry, sizeof(entry)),
		    EINVAL);
	entry.wakeup_eventfd = 1000;
	CHECK_ERRNO(try_feature(dev->fd,
				VFIO_DEVICE_FEATURE_SET |
					VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
				&entry, sizeof(entry)),
		    EBADF);
	views_alive(&views, "after two entries that were refused");

	OK(try_low_power_enter(dev, -1));
	CHECK_ERRNO(try_low_power_enter(dev, -1), EINVAL);
	views_dead(&views, "after a second entry");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after the only exit");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after an exit too many");
}

static void bar_after_refused_entries(void)
{
	refused_entries(VIEW_BAR);
}

static void buffer_after_refused_entries(void)
{
	refused_entries(VIEW_ALL);
}

static void buffer_made_in_low_power(void)
{
	struct dev *dev = dev_open("nvme");
	struct views views;

	OK(try_low_power_enter(dev, -1));
	views_open(&views, dev, VIEW_ALL);
	views_dead(&views, "when made in low power");
	OK(try_low_power_exit(dev));
	views_alive(&views, "after low power");
}

/* To revoke wakes the device for a moment, nothing else. */
static void revoke_in_low_power(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *gone, *kept;
	int a, b;

	a = export_range(dev, 2, 0, MIB(1));
	b = export_range(dev, 2, 0, MIB(1));
	gone = map_buffer(a, 0, MIB(1));
	kept = map_buffer(b, 0, MIB(1));
	CHECK_ALIVE(gone);
	CHECK_ALIVE(kept);
	OK(try_low_power_enter(dev, -1));
	revoke_buffer(dev, a);
	CHECK_SIGBUS(gone);
	CHECK_SIGBUS(kept);
	OK(try_low_power_exit(dev));
	CHECK_SIGBUS(gone);
	CHECK_ALIVE(kept);
}

static void close_in_low_power(void)
{
	struct dev *dev = dev_open("nvme");
	volatile void *page;
	int fd;

	fd = export_range(dev, 2, 0, MIB(1));
	page = map_buffer(fd, 0, MIB(1));
	CHECK_ALIVE(page);
	OK(try_low_power_enter(dev, -1));
	CHECK(wait_runtime_suspended(dev, 10000));
	dev_close(dev);
	CHECK_SIGBUS(page);
	dev = dev_open("nvme");
	CHECK_SIGBUS(page);
	dev_close(dev);
}

static const struct test_case cases[] = {
	CASE(bars_of_nvme),
	CASE(bars_of_bochs),
	CASE(bar_not_back_by_other_calls),
	CASE(bar_woken_by_ioctl),
	CASE(bar_after_refused_entries),
	CASE_MMAP(buffers_of_nvme),
	CASE_MMAP(buffers_of_bochs),
	CASE_MMAP(buffer_not_back_by_other_calls),
	CASE_MMAP(buffer_woken_by_ioctl),
	CASE_MMAP(buffer_woken_by_config_read),
	CASE_MMAP(buffer_woken_by_bar_read),
	CASE_MMAP(wake_up_with_decode_off),
	CASE_MMAP(decode_on_in_low_power),
	CASE_MMAP(reset_in_low_power),
	CASE_MMAP(buffer_after_refused_entries),
	CASE_MMAP(buffer_made_in_low_power),
	CASE_MMAP(revoke_in_low_power),
	CASE_MMAP(close_in_low_power),
};

TEST_MAIN(cases)
