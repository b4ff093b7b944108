// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Devices of groups and type1 over a kernel of our own: what is asked of it, in
 * which order, and that an error at any step leaves nothing open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

#include "fake_kernel.h"
#include "tap.h"
#include "uapi.h"

static void opens_and_closes(void)
{
	struct barbuf_device *a0, *a1 = NULL, *b0 = NULL;
	struct barbuf_device *none = (void *)1;
	struct barbuf_container *c;

	a0 = open_one(&c, BARBUF_IOMMU_TYPE1, A0);
	if (!a0)
		return;
	CHECK(!strcmp(barbuf_device_address(a0), A0), "a device knows its address");
	CHECK(k.fds[barbuf_device_fd(a0)].kind == DEVICE, "and its fd");
	CHECK(!barbuf_device_open(&a1, c, A1) && open_count() == 4,
	      "a second device of a group shares its fd");
	CHECK(!barbuf_device_open(&b0, c, B0) && open_count() == 6,
	      "a device of another group joins the container");
	CHECK(barbuf_container_free(c) == -EBUSY && open_count() == 6,
	      "a container in use is not freed");
	barbuf_device_close(a0);
	CHECK(open_count() == 5, "a group stays open for its second device");
	barbuf_device_close(a1);
	CHECK(open_count() == 3, "and goes with it");
	barbuf_device_close(b0);
	CHECK(open_count() == 1, "so does the last");
	CHECK(!barbuf_device_open(&b0, c, B0),
	      "a container can be used again after its last device");
	close_one(c, b0);

	fresh_kernel();
	CHECK(!barbuf__container_new(&c, BARBUF_IOMMU_TYPE1, &fake), "a container");
	CHECK(barbuf_device_open(&none, c, "0000:00:09.0") == -ENODEV, "no such device: ENODEV");
	CHECK(barbuf_device_open(&none, c, FREE) == -ENXIO, "in no group: ENXIO");
	CHECK(barbuf_device_open(&none, c, SHARED) == -EPERM, "group not viable: EPERM");
	CHECK(none == (void *)1 && open_count() == 1, "and nothing was opened or returned");
	CHECK(!barbuf_container_free(c) && !open_count(), "the container goes");
	CHECK(!barbuf_container_free(NULL), "no container is no error");
	barbuf_device_close(NULL);
}

static void refuses_addresses(void)
{
	static const char *const bad[] = {
		"",
		"edu",
		"0000:00:04",
		"0000:00:04.8",
		"0000:00:20.0",
		"0000:00:04.0 ",
		"0000:00:04.0/../..",
		"../../../../etc",
		"0000000000000000000:00:04.0",
	};
	struct barbuf_device *dev = NULL;
	struct barbuf_container *c;
	size_t i;

	fresh_kernel();
	REQUIRE(!barbuf__container_new(&c, BARBUF_IOMMU_TYPE1, &fake), "a container");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned int before = k.calls;
		int ret = barbuf_device_open(&dev, c, bad[i]);

		CHECK(ret == -EINVAL && k.calls == before,
		      "'%s' is no address, and nothing is asked of the kernel", bad[i]);
	}
	barbuf_container_free(c);
}

static void refuses_kernels(void)
{
	struct barbuf_container *c = (void *)1;

	fresh_kernel();
	k.api_version = 1;
	CHECK(barbuf__container_new(&c, BARBUF_IOMMU_TYPE1, &fake) == -EPROTONOSUPPORT &&
		      !open_count(),
	      "another API version");
	fresh_kernel();
	k.has_type1 = 0;
	CHECK(barbuf__container_new(&c, BARBUF_IOMMU_TYPE1, &fake) == -EPROTONOSUPPORT &&
		      !open_count(),
	      "no type1");
	CHECK(c == (void *)1, "no container is returned");
}

/* Fail each call in turn, until one round needs no failure. */
static void every_call_may_fail(void)
{
	unsigned int wrong_error = 0, left_open = 0, left_iommu = 0, violations = 0;
	bool done = false;
	unsigned int n;

	for (n = 0; !done && n < 100;) {
		struct barbuf_device *a0 = NULL, *b0 = NULL;
		struct barbuf_container *c = NULL;
		int ret;

		fresh_kernel();
		k.fail_at = ++n;
		k.fail_with = -ENOMEM;
		ret = barbuf__container_new(&c, BARBUF_IOMMU_TYPE1, &fake);
		if (!ret)
			ret = barbuf_device_open(&a0, c, A0);
		if (!ret)
			ret = barbuf_device_open(&b0, c, B0);
		done = !ret;
		wrong_error += !done && ret != -ENOMEM;
		barbuf_device_close(b0);
		barbuf_device_close(a0);
		if (c)
			wrong_error += barbuf_container_free(c) != 0;
		left_open += open_count();
		left_iommu += k.has_iommu;
		violations += k.violations;
	}
	CHECK(done && n > 15, "two devices were opened with each of %u calls failing", n - 1);
	CHECK(!wrong_error, "each error came out as it was (%u did not)", wrong_error);
	CHECK(!left_open && !left_iommu, "nothing was left (%u fds)", left_open);
	CHECK(!violations, "no rule was broken (%u)", violations);
}

static void describes(void)
{
	struct barbuf_device_info info;
	struct barbuf_region region;
	struct barbuf_container *c;
	struct barbuf_device *dev;

	dev = open_one(&c, BARBUF_IOMMU_TYPE1, B0);
	if (!dev)
		return;
	CHECK(!barbuf_device_get_info(dev, &info) && info.num_regions == 9 && info.num_irqs == 5 &&
		      !info.can_reset,
	      "what the device is");
	CHECK(!barbuf_device_get_region(dev, 2, &region) && region.index == 2 &&
		      region.size == 4096 && region.offset == 2ull << 40 &&
		      region.flags == (BARBUF_REGION_READ | BARBUF_REGION_MMAP),
	      "what a region is");
	memset(&region, 0x77, sizeof(region));
	CHECK(barbuf_device_get_region(dev, 9, &region) == -EINVAL && region.index == 0x77777777,
	      "no region 9, and nothing is written");
	close_one(c, dev);
}

static void config_space(void)
{
	struct barbuf_container *c;
	struct barbuf_device *dev;
	uint32_t word = 0;

	dev = open_one(&c, BARBUF_IOMMU_TYPE1, B0);
	if (!dev)
		return;
	CHECK(!barbuf_config_read(dev, 4, &word, 4) && word == 0x5a5a5a5a &&
		      k.io_offset == (off_t)CONFIG_OFFSET + 4,
	      "configuration space is read where it is");
	CHECK(!barbuf_config_write(dev, 252, &word, 4) && k.io_offset == (off_t)CONFIG_OFFSET + 252,
	      "its last word is written");
	k.io_offset = 0;
	CHECK(barbuf_config_read(dev, 253, &word, 4) == -ERANGE, "not one past its end");
	CHECK(barbuf_config_write(dev, 256, &word, 1) == -ERANGE, "nor a byte behind");
	CHECK(barbuf_config_write(dev, UINT32_MAX, &word, 4) == -ERANGE, "nor a wrapping one");
	CHECK(barbuf_config_read(dev, 4, &word, SIZE_MAX) == -ERANGE, "nor a wrapping length");
	CHECK(k.io_offset == 0, "and none of these reached the kernel");
	k.short_io = 2;
	CHECK(barbuf_config_read(dev, 4, &word, 4) == -EIO &&
		      barbuf_config_write(dev, 4, &word, 4) == -EIO,
	      "less than asked for is an error");
	k.fail_at = k.calls + 1;
	CHECK(barbuf_config_read(dev, 4, &word, 4) == k.fail_with, "an error comes through");
	close_one(c, dev);
}

static void resets(void)
{
	struct barbuf_device *dev, *other = NULL;
	struct barbuf_container *c;

	dev = open_one(&c, BARBUF_IOMMU_TYPE1, A0);
	if (!dev)
		return;
	CHECK(barbuf_device_reset(dev) == -EOPNOTSUPP && !k.resets,
	      "no reset where none is offered");
	k.can_reset = true;
	CHECK(!barbuf_device_reset(dev) && k.resets == 1, "one where it is");

	CHECK(!barbuf_device_hot_reset(dev) && k.nr_reset_fds == 1 &&
		      k.fds[k.reset_fds[0]].kind == GROUP && k.fds[k.reset_fds[0]].group == 12,
	      "a hot reset names the group of two devices once");
	k.set_grows = 1;
	k.set_groups[2] = 12;
	CHECK(!barbuf_device_hot_reset(dev) && k.set_size == 3,
	      "a set that grows meanwhile is asked for again");

	k.set_groups[2] = 7;
	k.nr_reset_fds = 99;
	CHECK(barbuf_device_hot_reset(dev) == -EPERM && k.nr_reset_fds == 99,
	      "a group of the set that is not open: EPERM");
	CHECK(!barbuf_device_open(&other, c, B0) && !barbuf_device_hot_reset(dev) &&
		      k.nr_reset_fds == 2,
	      "with it open, both groups are named");
	barbuf_device_close(other);

	k.set_size = 0;
	CHECK(barbuf_device_hot_reset(dev) == -ENODEV, "no hot reset where none is offered");
	k.set_size = 2;
	k.fail_at = k.calls + 3;
	k.fail_with = -EAGAIN;
	CHECK(barbuf_device_hot_reset(dev) == -EAGAIN, "contention comes through");
	close_one(c, dev);
}

static void features(void)
{
	const struct barbuf_range ranges[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct vfio_device_feature_dma_buf *got = (void *)k.feature_data;
	struct barbuf_container *c;
	struct barbuf_device *dev;
	int32_t fd;
	uint32_t attr;

	dev = open_one(&c, BARBUF_IOMMU_TYPE1, B0);
	if (!dev)
		return;
	k.feature_result = 33;
	CHECK(barbuf_device_export(dev, 2, ranges, 2, O_RDWR | O_CLOEXEC) == 33,
	      "an export gives the fd");
	CHECK(k.feature_flags == (11 | VFIO_DEVICE_FEATURE_GET), "by a GET of feature 11");
	CHECK(k.feature_argsz == 8 + 16 + 32, "of %u bytes", k.feature_argsz);
	CHECK(got->region_index == 2 && got->open_flags == (O_RDWR | O_CLOEXEC) && !got->flags &&
		      got->nr_ranges == 2 && !memcmp(got->dma_ranges, ranges, sizeof(ranges)),
	      "with the ranges in order");
	k.feature_result = -EINVAL;
	CHECK(barbuf_device_export(dev, 2, NULL, 0, O_RDWR) == -EINVAL && got->nr_ranges == 0,
	      "no range is for the kernel to refuse");
	CHECK(barbuf_device_export(dev, 2, ranges, SIZE_MAX / 16, O_RDWR) == -E2BIG &&
		      barbuf_device_export(dev, 2, ranges, UINT32_MAX / 16 + 1, O_RDWR) == -E2BIG,
	      "more ranges than the ioctl can name: E2BIG");

	k.feature_result = 0;
	CHECK(!barbuf_device_revoke(dev, 44), "a revoke");
	memcpy(&fd, k.feature_data, 4);
	CHECK(k.feature_flags == (14 | VFIO_DEVICE_FEATURE_SET) && k.feature_argsz == 12 &&
		      fd == 44,
	      "is a SET of feature 14 with the fd");
	k.feature_result = -EBADFD;
	CHECK(barbuf_device_revoke(dev, 44) == -EBADFD, "its error comes through");

	k.feature_result = 0;
	CHECK(!barbuf_device_set_memattr(dev, 45, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC), "an attribute");
	memcpy(&fd, k.feature_data, 4);
	memcpy(&attr, (char *)k.feature_data + 4, 4);
	CHECK(k.feature_flags == (15 | VFIO_DEVICE_FEATURE_SET) && k.feature_argsz == 16 &&
		      fd == 45 && attr == 1,
	      "is a SET of feature 15 with fd and value");
	k.feature_result = -ENOENT;
	CHECK(barbuf_device_set_memattr(dev, 45, 7) == -ENOENT, "its error comes through");

	k.feature_result = -ENOTTY;
	CHECK(barbuf_device_feature(dev, 14, VFIO_DEVICE_FEATURE_SET) == -ENOTTY &&
		      k.feature_flags ==
			      (14 | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE) &&
		      k.feature_argsz == 8,
	      "a probe asks only");

	k.feature_result = 0;
	CHECK(!barbuf_low_power_enter(dev, -1) &&
		      k.feature_flags == (3 | VFIO_DEVICE_FEATURE_SET) && k.feature_argsz == 8,
	      "low power");
	CHECK(!barbuf_low_power_enter(dev, 0), "low power with eventfd 0");
	memcpy(&fd, k.feature_data, 4);
	CHECK(k.feature_flags == (4 | VFIO_DEVICE_FEATURE_SET) && k.feature_argsz == 16 && fd == 0,
	      "hands it over");
	CHECK(!barbuf_low_power_exit(dev) && k.feature_flags == (5 | VFIO_DEVICE_FEATURE_SET) &&
		      k.feature_argsz == 8,
	      "and back");
	close_one(c, dev);
}

/* The real table turns errno into a return value. */
static void linux_table(void)
{
	const struct barbuf_sys *sys = &barbuf__sys_linux;
	char buf[8];

	CHECK(sys->open(NULL, "/nonexistent", O_RDONLY) == -ENOENT, "open() without a file");
	CHECK(sys->close(NULL, -1) == -EBADF, "close() without an fd");
	CHECK(sys->ioctl(NULL, -1, VFIO_GET_API_VERSION, NULL) == -EBADF, "ioctl() without an fd");
	CHECK(sys->readlink(NULL, "/nonexistent", buf, sizeof(buf)) == -ENOENT,
	      "readlink() without a file");
	CHECK(sys->pread(NULL, -1, buf, 1, 0) == -EBADF, "pread() without an fd");
	CHECK(sys->pwrite(NULL, -1, buf, 1, 0) == -EBADF, "pwrite() without an fd");
}

int main(void)
{
	opens_and_closes();
	refuses_addresses();
	refuses_kernels();
	every_call_may_fail();
	describes();
	config_space();
	resets();
	features();
	linux_table();
	return tap_done();
}
