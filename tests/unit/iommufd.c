// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Devices by their own file and an iommufd over a kernel of our own, which of the
 * two interfaces is chosen, and devices that were handed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernel.h"
#include "uapi.h"

static void opens_and_closes(void)
{
	struct barbuf_device *a0, *b0 = NULL, *none = (void *)1;
	struct barbuf_container *c;
	int fd;

	a0 = open_one(&c, BARBUF_IOMMU_IOMMUFD, "1:0.0");
	if (!a0)
		return;
	fd = barbuf_device_fd(a0);
	CHECK(k.fds[fd].cdev && k.fds[fd].bound && k.fds[fd].attached &&
		      !strcmp(k.fds[fd].address, A0),
	      "the device's own file is bound and attached");
	CHECK(!strcmp(barbuf_device_address(a0), A0), "a short address is made a long one");
	CHECK(barbuf_container_iommu(c) == BARBUF_IOMMU_IOMMUFD && barbuf_device_container(a0) == c,
	      "the container is what was asked for");
	CHECK(!barbuf_device_open(&b0, c, B0) && open_count() == 3, "another device joins");
	CHECK(barbuf_device_open(&none, c, A0) == -EBUSY && open_count() == 3,
	      "one that is open already: EBUSY");
	CHECK(barbuf_container_free(c) == -EBUSY, "a container in use is not freed");
	barbuf_device_close(a0);
	barbuf_device_close(b0);
	CHECK(open_count() == 1, "files of devices go with them");
	CHECK(!barbuf_device_open(&a0, c, A1), "the container can be used again");

	CHECK(barbuf_device_open(&none, c, "0000:00:09.0") == -ENODEV, "no such device: ENODEV");
	CHECK(barbuf_device_open(&none, c, FREE) == -ENXIO, "not bound to VFIO: ENXIO");
	k.has_cdevs = false;
	CHECK(barbuf_device_open(&none, c, B0) == -EOPNOTSUPP, "no files of devices: EOPNOTSUPP");
	k.has_cdevs = true;
	k.bind_result = -EINVAL;
	CHECK(barbuf_device_open(&none, c, B0) == -EBUSY, "open elsewhere: EBUSY");
	CHECK(none == (void *)1 && open_count() == 2, "and nothing was opened or returned");
	close_one(c, a0);

	fresh_kernel();
	k.has_iommufd = false;
	c = (void *)1;
	CHECK(barbuf__container_new(&c, BARBUF_IOMMU_IOMMUFD, &fake) == -ENOENT && c == (void *)1,
	      "no /dev/iommu: ENOENT");
	CHECK(barbuf__container_new(&c, 7, &fake) == -EINVAL && c == (void *)1 && !k.calls - 1,
	      "no such interface: EINVAL");
}

/* Fail each call in turn, until one round needs no failure. */
static void every_call_may_fail(enum barbuf_iommu iommu, const char *what)
{
	unsigned int wrong_error = 0, left_open = 0, violations = 0, decided = 0;
	bool done = false;
	unsigned int n;

	for (n = 0; !done && n < 100;) {
		struct barbuf_device *a0 = NULL, *b0 = NULL;
		struct barbuf_container *c = NULL;
		int ret;

		fresh_kernel();
		k.fail_at = ++n;
		k.fail_with = -ENOMEM;
		ret = barbuf__container_new(&c, iommu, &fake);
		if (!ret)
			ret = barbuf_device_open(&a0, c, A0);
		if (ret && c && iommu == BARBUF_IOMMU_ANY)
			decided += barbuf_container_iommu(c) != BARBUF_IOMMU_ANY;
		if (!ret)
			ret = barbuf_device_open(&b0, c, B0);
		done = !ret;
		wrong_error += !done && ret != -ENOMEM;
		barbuf_device_close(b0);
		barbuf_device_close(a0);
		if (c)
			wrong_error += barbuf_container_free(c) != 0;
		left_open += open_count();
		violations += k.violations;
	}
	CHECK(done && n > 12, "%s: two devices were opened with each of %u calls failing", what,
	      n - 1);
	CHECK(!wrong_error, "%s: each error came out as it was (%u did not)", what, wrong_error);
	CHECK(!left_open && !violations && !decided,
	      "%s: nothing was left (%u fds), no rule broken (%u)", what, left_open, violations);
}

/* What BARBUF_IOMMU_ANY makes of a kernel. */
static int choose(enum barbuf_iommu *chosen)
{
	struct barbuf_device *dev = NULL;
	struct barbuf_container *c;
	int ret;

	ret = barbuf__container_new(&c, BARBUF_IOMMU_ANY, &fake);
	if (ret)
		return ret;
	if (barbuf_container_iommu(c) != BARBUF_IOMMU_ANY || open_count())
		k.violations++;
	ret = barbuf_device_open(&dev, c, A0);
	*chosen = barbuf_container_iommu(c);
	barbuf_device_close(dev);
	/* Later devices do not decide again. */
	if (barbuf_container_iommu(c) != *chosen)
		k.violations++;
	barbuf_container_free(c);
	k.violations += open_count();
	return ret;
}

static void first_device_decides(void)
{
	static const int out_of_reach[] = { -ENOENT, -ENXIO, -ENODEV, -EACCES, -EPERM };
	enum barbuf_iommu chosen;
	unsigned int wrong = 0;
	size_t i;

	fresh_kernel();
	CHECK(!choose(&chosen) && chosen == BARBUF_IOMMU_IOMMUFD, "iommufd where it is");
	for (i = 0; i < sizeof(out_of_reach) / sizeof(out_of_reach[0]); i++) {
		fresh_kernel();
		k.open_iommufd = out_of_reach[i];
		wrong += choose(&chosen) || chosen != BARBUF_IOMMU_TYPE1 || k.violations;
		fresh_kernel();
		k.open_cdev = out_of_reach[i];
		wrong += choose(&chosen) || chosen != BARBUF_IOMMU_TYPE1 || k.violations;
	}
	CHECK(!wrong, "type1 where /dev/iommu or the device's file is out of reach (%u wrong)",
	      wrong);
	fresh_kernel();
	k.open_cdev = -EMFILE;
	CHECK(choose(&chosen) == -EMFILE && chosen == BARBUF_IOMMU_ANY && !k.violations,
	      "any other error is one, and leaves it undecided");
	fresh_kernel();
	k.bind_result = -EBUSY;
	CHECK(choose(&chosen) == -EBUSY && chosen == BARBUF_IOMMU_ANY,
	      "a device in use is not tried by the other way");
	fresh_kernel();
	k.has_iommufd = k.has_vfio = false;
	CHECK(choose(&chosen) == -EOPNOTSUPP && chosen == BARBUF_IOMMU_ANY && !k.violations,
	      "neither there: EOPNOTSUPP");
	fresh_kernel();
	k.has_vfio = false;
	k.open_cdev = -EACCES;
	CHECK(choose(&chosen) == -EACCES, "only one there: its error");
	fresh_kernel();
	k.has_iommufd = false;
	k.open_group = -EACCES;
	CHECK(choose(&chosen) == -EACCES, "only the other there: that one's");
}

static void resets(void)
{
	struct barbuf_container *c;
	struct barbuf_device *dev;

	dev = open_one(&c, BARBUF_IOMMU_IOMMUFD, A0);
	if (!dev)
		return;
	k.nr_reset_fds = 99;
	k.set_flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	CHECK(barbuf_device_hot_reset(dev) == -EPERM && k.nr_reset_fds == 99,
	      "a set with devices of others: EPERM");
	k.set_flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	CHECK(!barbuf_device_hot_reset(dev) && !k.nr_reset_fds, "an owned set names no group");
	k.fail_at = k.calls + 3;
	k.fail_with = -EAGAIN;
	CHECK(barbuf_device_hot_reset(dev) == -EAGAIN, "contention comes through");
	close_one(c, dev);
}

static void adopts(void)
{
	struct barbuf_device *dev = NULL, *none = (void *)1;
	uint32_t word;
	int fd, n;

	fresh_kernel();
	fd = fake_fd(DEVICE);
	k.texts[0] = (struct fake_text){ "/proc/self/fdinfo/0",
					 "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1060\n"
					 "vfio-device-syspath: /sys/devices/pci0000:00/" B0 "\n" };
	CHECK(!fd && !barbuf__device_adopt(&dev, fd, &fake), "a device is adopted, as fd 0");
	CHECK(!strcmp(barbuf_device_address(dev), B0), "its address is in fdinfo");
	CHECK(!barbuf_device_container(dev), "it has no container");
	CHECK(barbuf_device_hot_reset(dev) == -EOPNOTSUPP, "and no hot reset");
	CHECK(!barbuf_config_read(dev, 0, &word, 4) && k.io_offset == (off_t)CONFIG_OFFSET,
	      "it is used like any other");
	barbuf_device_close(dev);
	CHECK(!open_count() && !k.violations, "and closed with its fd");

	fresh_kernel();
	fd = fake_fd(DEVICE);
	k.texts[0] = (struct fake_text){ "/proc/self/fdinfo/0", "pos:\t0\nflags:\t02000002\n" };
	CHECK(!barbuf__device_adopt(&dev, fd, &fake) && !barbuf_device_address(dev)[0],
	      "no address where the kernel tells none");
	barbuf_device_close(dev);

	fresh_kernel();
	fd = fake_fd(DEVICE);
	k.texts[0] = (struct fake_text){ "/proc/self/fdinfo/0",
					 "vfio-device-syspath: /sys/devices/mdev/4b20d080\n" };
	CHECK(!barbuf__device_adopt(&dev, fd, &fake) && !barbuf_device_address(dev)[0],
	      "nor where it tells another");
	barbuf_device_close(dev);

	fresh_kernel();
	fd = fake_fd(DEVICE);
	k.device_flags = VFIO_DEVICE_FLAGS_PLATFORM;
	CHECK(barbuf__device_adopt(&none, fd, &fake) == -ENODEV, "no PCI device: ENODEV");
	CHECK(barbuf__device_adopt(&none, -1, &fake) == -EBADF, "no fd: EBADF");
	fd = fake_fd(GROUP);
	CHECK(barbuf__device_adopt(&none, fd, &fake) == -ENOTTY, "a group: ENOTTY");
	k.device_flags = VFIO_DEVICE_FLAGS_PCI;
	for (n = 1; n <= 2; n++) {
		k.fail_at = k.calls + n;
		CHECK(barbuf__device_adopt(&none, 0, &fake) == -EIO, "call %d fails: EIO", n);
	}
	CHECK(open_count() == 2 && none == (void *)1, "the fd stays the caller's");
}

static void areas(void)
{
	struct {
		struct vfio_region_info_cap_sparse_mmap cap;
		struct vfio_region_sparse_mmap_area area[3];
	} sparse = {
		.cap = { .header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP }, .nr_areas = 3 },
		.area = { { 0x3000, 0x1000 }, { 0x2000, 0 }, { 0, 0x1000 } },
	};
	struct barbuf_range got[4] = { { 9, 9 }, { 9, 9 } };
	struct barbuf_container *c;
	struct barbuf_device *dev;
	size_t nr = 4;

	dev = open_one(&c, BARBUF_IOMMU_IOMMUFD, A0);
	if (!dev)
		return;
	CHECK(!barbuf_device_get_areas(dev, 0, got, &nr) && nr == 1 && !got[0].offset &&
		      got[0].length == 4096,
	      "without holes a region is one area");
	nr = 0;
	CHECK(barbuf_device_get_areas(dev, 0, NULL, &nr) == -ENOSPC && nr == 1,
	      "without room it is said how much it takes");

	k.region_caps = &sparse;
	k.region_caps_size = sizeof(sparse);
	nr = 4;
	CHECK(!barbuf_device_get_areas(dev, 2, got, &nr) && nr == 2 && !got[0].offset &&
		      got[0].length == 0x1000 && got[1].offset == 0x3000 && got[1].length == 0x1000,
	      "areas come in order, without those that are empty");
	nr = 1;
	CHECK(barbuf_device_get_areas(dev, 2, got, &nr) == -ENOSPC && nr == 2,
	      "two do not fit in one");
	sparse.cap.nr_areas = UINT32_MAX;
	nr = 4;
	CHECK(!barbuf_device_get_areas(dev, 2, got, &nr) && nr == 1 && got[0].length == 4096,
	      "a list longer than its struct is no list");
	sparse.cap.nr_areas = 3;
	sparse.cap.header.id = 99;
	sparse.cap.header.next = sizeof(struct vfio_region_info);
	nr = 4;
	CHECK(!barbuf_device_get_areas(dev, 2, got, &nr) && nr == 1, "a chain in a circle ends");
	sparse.cap.header.next = 0xfffc;
	nr = 4;
	CHECK(!barbuf_device_get_areas(dev, 2, got, &nr) && nr == 1,
	      "so does one that leaves the struct");
	k.region_flags = VFIO_REGION_INFO_FLAG_READ;
	CHECK(!barbuf_device_get_areas(dev, 0, NULL, (nr = 0, &nr)) && nr == 0,
	      "none, where nothing can be mapped");
	nr = 3;
	CHECK(barbuf_device_get_areas(dev, 9, got, &nr) == -EINVAL && nr == 3, "no region 9");
	k.fail_at = k.calls + 2;
	k.region_flags |= VFIO_REGION_INFO_FLAG_MMAP;
	CHECK(barbuf_device_get_areas(dev, 2, got, &nr) == -EIO && nr == 3,
	      "an error of the second call comes through");
	close_one(c, dev);
}

static void msix(void)
{
	struct barbuf_range table = { 9, 9 }, pba = { 9, 9 };
	struct barbuf_container *c;
	struct barbuf_device *dev;
	uint32_t table_bar = 9, pba_bar = 9;
	unsigned char cap[12] = { 0x11, 0, 64, 0x80, 0x04, 0x20, 0, 0, 0x02, 0x30, 0, 0 };
	int n;

	dev = open_one(&c, BARBUF_IOMMU_IOMMUFD, A0);
	if (!dev)
		return;
	k.has_config = true;
	CHECK(barbuf_device_get_msix(dev, &table_bar, &table, &pba_bar, &pba) == -ENOENT,
	      "no capabilities: ENOENT");
	k.config[0x06] = 0x10;
	k.config[0x34] = 0x50;
	k.config[0x50] = 0x01;
	k.config[0x51] = 0x72;
	CHECK(barbuf_device_get_msix(dev, &table_bar, &table, &pba_bar, &pba) == -ENOENT,
	      "others: ENOENT");
	k.config[0x51] = 0x50;
	CHECK(barbuf_device_get_msix(dev, &table_bar, &table, &pba_bar, &pba) == -ENOENT,
	      "in a circle: ENOENT");
	k.config[0x51] = 0x72;
	/* The low bits of a pointer are reserved. */
	memcpy(k.config + 0x70, cap, sizeof(cap));
	for (n = 1; n <= 6; n++) {
		k.fail_at = k.calls + n;
		CHECK(barbuf_device_get_msix(dev, &table_bar, &table, &pba_bar, &pba) == -EIO,
		      "read %d fails: EIO", n);
	}
	CHECK(table_bar == 9 && table.offset == 9 && pba_bar == 9 && pba.length == 9,
	      "and nothing is written");
	CHECK(!barbuf_device_get_msix(dev, &table_bar, &table, &pba_bar, &pba), "MSI-X");
	CHECK(table_bar == 4 && table.offset == 0x2000 && table.length == 65 * 16,
	      "a table of 65 entries is in BAR 4");
	CHECK(pba_bar == 2 && pba.offset == 0x3000 && pba.length == 16,
	      "their pending bits take two words in BAR 2");
	close_one(c, dev);
}

int main(void)
{
	opens_and_closes();
	every_call_may_fail(BARBUF_IOMMU_IOMMUFD, "iommufd");
	every_call_may_fail(BARBUF_IOMMU_ANY, "any");
	first_device_decides();
	resets();
	adopts();
	areas();
	msix();
	return tap_done();
}
