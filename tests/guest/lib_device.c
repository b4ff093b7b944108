// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbarbuf's containers and devices on a real kernel, through both of its
 * interfaces: what opens, what is told about it, what is refused and why.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static unsigned int open_fds(void)
{
	struct dirent *entry;
	unsigned int n = 0;
	DIR *d;

	d = opendir("/proc/self/fd");
	CHECK(d);
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static struct barbuf_container *new_container(enum barbuf_iommu iommu)
{
	struct barbuf_container *c;

	CHECK_EQ(barbuf_container_new(&c, iommu), 0);
	return c;
}

static struct barbuf_device *open_in(struct barbuf_container *c, const char *address)
{
	struct barbuf_device *dev;
	int ret = barbuf_device_open(&dev, c, address);

	if (ret)
		FAIL("open of %s: %s", address, strerror_name(-ret));
	return dev;
}

static void note_advice(const char *address, int error)
{
	char text[512];

	if (!barbuf_device_advice(address, error, text, sizeof(text)))
		note("advice for %s, %s: %s", address, strerror_name(-error), text);
}

static void opens(enum barbuf_iommu iommu)
{
	const char *edu = dev_bound("edu"), *nvme = dev_bound("nvme");
	struct barbuf_device_info info;
	unsigned int before = open_fds();
	struct barbuf_device *a, *b;
	struct barbuf_container *c;
	int round;

	for (round = 0; round < 2; round++) {
		c = new_container(iommu);
		CHECK_EQ(barbuf_container_iommu(c), iommu);
		/* The domain is 0. */
		a = open_in(c, edu + strlen("0000:"));
		CHECK(!strcmp(barbuf_device_address(a), edu));
		CHECK(barbuf_device_container(a) == c);
		b = open_in(c, nvme);
		CHECK_EQ(barbuf_device_get_info(a, &info), 0);
		CHECK(!info.can_reset && info.num_regions >= 9 && info.num_irqs >= 5);
		CHECK_EQ(barbuf_device_get_info(b, &info), 0);
		CHECK(info.can_reset);
		CHECK_EQ(barbuf_container_free(c), -EBUSY);
		barbuf_device_close(a);
		/* There is room for it again, beside the other and alone. */
		a = open_in(c, edu);
		barbuf_device_close(a);
		barbuf_device_close(b);
		b = open_in(c, nvme);
		barbuf_device_close(b);
		CHECK_EQ(barbuf_container_free(c), 0);
	}
	CHECK_EQ(open_fds(), before);
}
EACH_IOMMU(opens)

static void any_decides(void)
{
	const char *edu = dev_bound("edu"), *nvme = dev_bound("nvme");
	enum barbuf_iommu want =
		access("/dev/iommu", F_OK) ? BARBUF_IOMMU_TYPE1 : BARBUF_IOMMU_IOMMUFD;
	struct barbuf_container *c = new_container(BARBUF_IOMMU_ANY);
	unsigned int before = open_fds();
	struct barbuf_device *a, *b;

	CHECK_EQ(barbuf_container_iommu(c), BARBUF_IOMMU_ANY);
	CHECK_EQ(barbuf_device_open(&a, c, "0000:00:00.0"), -ENXIO);
	CHECK_EQ(barbuf_container_iommu(c), BARBUF_IOMMU_ANY);
	CHECK_EQ(open_fds(), before);
	a = open_in(c, edu);
	CHECK_EQ(barbuf_container_iommu(c), want);
	b = open_in(c, nvme);
	barbuf_device_close(b);
	barbuf_device_close(a);
	CHECK_EQ(barbuf_container_iommu(c), want);
	CHECK_EQ(barbuf_container_free(c), 0);

	/* And without a container. */
	a = open_in(NULL, edu);
	CHECK_EQ(barbuf_container_iommu(barbuf_device_container(a)), want);
	barbuf_device_close(a);
}

static void refuses(enum barbuf_iommu iommu)
{
	const char *edu = dev_bound("edu");
	struct barbuf_container *c = new_container(iommu), *other;
	struct barbuf_device *dev, *none = NULL;
	unsigned int before = open_fds();

	CHECK_EQ(barbuf_device_open(&none, c, "edu"), -EINVAL);
	CHECK_EQ(barbuf_device_open(&none, c, "0000:00:1e.7"), -ENODEV);
	/* The root complex, which has no driver. */
	CHECK_EQ(barbuf_device_open(&none, c, "0000:00:00.0"), -ENXIO);
	note_advice("0000:00:00.0", -ENXIO);
	CHECK_EQ(open_fds(), before);

	dev = open_in(c, edu);
	other = new_container(iommu);
	before = open_fds();
	CHECK_EQ(barbuf_device_open(&none, other, edu), -EBUSY);
	note_advice(edu, -EBUSY);
	CHECK_EQ(open_fds(), before);
	CHECK_EQ(barbuf_container_free(other), 0);
	barbuf_device_close(dev);
	CHECK_EQ(barbuf_container_free(c), 0);
	CHECK(!none);
}
EACH_IOMMU(refuses)

/* A device opened by one interface cannot be opened by the other. */
static void interfaces_exclude(void)
{
	const char *edu = dev_bound("edu");
	struct barbuf_device *dev, *none = NULL;
	struct barbuf_container *c[2];
	int i;

	need_iommufd();
	c[0] = new_container(BARBUF_IOMMU_TYPE1);
	c[1] = new_container(BARBUF_IOMMU_IOMMUFD);
	for (i = 0; i < 2; i++) {
		dev = open_in(c[i], edu);
		CHECK_EQ(barbuf_device_open(&none, c[!i], edu), -EBUSY);
		barbuf_device_close(dev);
	}
	CHECK_EQ(barbuf_container_free(c[0]), 0);
	CHECK_EQ(barbuf_container_free(c[1]), 0);
}

/* Who else holds it is named. */
static void advice_names_the_holder(enum barbuf_iommu iommu)
{
	const char *edu = dev_bound("edu");
	struct barbuf_container *c;
	struct barbuf_device *none;
	char text[512], want[64];
	int ready[2], status;
	pid_t pid;
	char byte;

	OK(pipe2(ready, O_CLOEXEC));
	pid = OK(fork());
	if (!pid) {
		c = new_container(iommu);
		open_in(c, edu);
		OK(write(ready[1], "", 1));
		pause();
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	c = new_container(iommu);
	CHECK_EQ(barbuf_device_open(&none, c, edu), -EBUSY);
	CHECK_EQ(barbuf_device_advice(edu, -EBUSY, text, sizeof(text)), 0);
	note("%s", text);
	snprintf(want, sizeof(want), "process %d (", pid);
	CHECK_MSG(strstr(text, want), "'%s' without '%s'", text, want);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, &status, 0));
	CHECK_EQ(barbuf_container_free(c), 0);
}
EACH_IOMMU(advice_names_the_holder)

static void advice_names_the_driver(void)
{
	const char *blk = dev_bound("virtio-blk");
	struct barbuf_device *none;
	char text[512];

	CHECK(system("vfio-unbind virtio-blk") == 0);
	CHECK_EQ(barbuf_device_open(&none, NULL, blk), -ENXIO);
	CHECK_EQ(barbuf_device_advice(blk, -ENXIO, text, sizeof(text)), 0);
	note("%s", text);
	CHECK(strstr(text, "bound to virtio-pci") && strstr(text, "vfio-pci"));
}

/* Without the right to the files. */
static void advice_names_the_file(void)
{
	const char *edu = dev_bound("edu");
	struct barbuf_device *none;
	char text[512];

	OK(seteuid(65534));
	CHECK_EQ(barbuf_device_open(&none, NULL, edu), -EACCES);
	CHECK_EQ(barbuf_device_advice(edu, -EACCES, text, sizeof(text)), 0);
	OK(seteuid(0));
	note("%s", text);
	CHECK(strstr(text, "/dev/vfio/") && strstr(text, "user 0") && strstr(text, "mode 0600"));
}

static void adopts(enum barbuf_iommu iommu)
{
	const char *edu = dev_bound("edu");
	struct barbuf_container *c = new_container(iommu);
	struct barbuf_device *owner = open_in(c, edu), *dev, *none = NULL;
	int fd = OK(dup(barbuf_device_fd(owner))), other;
	struct barbuf_region region;
	uint16_t id[2];
	char path[64];
	unsigned int before;

	before = open_fds();
	CHECK_EQ(barbuf_device_adopt(&dev, fd), 0);
	CHECK_EQ(barbuf_device_fd(dev), fd);
	/* 7.3 tells it. */
	CHECK(!strcmp(barbuf_device_address(dev), edu));
	CHECK(!barbuf_device_container(dev));
	CHECK_EQ(barbuf_config_read(dev, PCI_VENDOR_ID, id, sizeof(id)), 0);
	CHECK_EQ(id[0], 0x1234);
	CHECK_EQ(id[1], 0x11e8);
	CHECK_EQ(barbuf_device_get_region(dev, 0, &region), 0);
	CHECK_EQ(region.size, MIB(1));
	CHECK_EQ(barbuf_device_hot_reset(dev), -EOPNOTSUPP);
	CHECK_EQ(open_fds(), before);
	/* The owner's goes on. */
	barbuf_device_close(dev);
	CHECK_EQ(open_fds(), before - 1);
	CHECK_EQ(barbuf_config_read(owner, PCI_VENDOR_ID, id, sizeof(id)), 0);

	CHECK_EQ(barbuf_device_adopt(&none, fd), -EBADF);
	other = OK(eventfd(0, EFD_CLOEXEC));
	CHECK_EQ(barbuf_device_adopt(&none, other), -ENOTTY);
	OK(close(other));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", edu);
	other = OK(open(path, O_RDONLY | O_CLOEXEC));
	CHECK_EQ(barbuf_device_adopt(&none, other), -ENOTTY);
	OK(close(other));
	other = OK(open(iommu == BARBUF_IOMMU_TYPE1 ? "/dev/vfio/vfio" : "/dev/iommu",
			O_RDWR | O_CLOEXEC));
	CHECK(barbuf_device_adopt(&none, other) < 0);
	OK(close(other));
	CHECK(!none);
	barbuf_device_close(owner);
	CHECK_EQ(barbuf_container_free(c), 0);
}
EACH_IOMMU(adopts)

static void describes(enum barbuf_iommu iommu)
{
	struct barbuf_container *c = new_container(iommu);
	struct barbuf_device *nvme = open_in(c, dev_bound("nvme"));
	struct barbuf_device *testdev = open_in(c, dev_bound("testdev"));
	struct barbuf_range areas[8], table, pba;
	uint32_t table_bar, pba_bar;
	struct barbuf_region region;
	size_t nr, i;

	CHECK_EQ(barbuf_device_get_region(nvme, 2, &region), 0);
	CHECK_EQ(region.size, MIB(16));
	CHECK_EQ(region.flags, BARBUF_REGION_READ | BARBUF_REGION_WRITE | BARBUF_REGION_MMAP);
	nr = 0;
	CHECK_EQ(barbuf_device_get_areas(nvme, 2, NULL, &nr), -ENOSPC);
	CHECK_EQ(nr, 1);
	nr = ARRAY_SIZE(areas);
	CHECK_EQ(barbuf_device_get_areas(nvme, 2, areas, &nr), 0);
	CHECK(nr == 1 && areas[0].offset == 0 && areas[0].length == MIB(16));

	/* Ports, and a BAR that is not there. */
	for (i = 1; i < 6; i += 3) {
		nr = ARRAY_SIZE(areas);
		CHECK_EQ(barbuf_device_get_areas(testdev, i, areas, &nr), 0);
		CHECK_EQ(nr, 0);
	}
	CHECK_EQ(barbuf_device_get_region(testdev, 1, &region), 0);
	CHECK(region.size == 256 && !(region.flags & BARBUF_REGION_MMAP));
	CHECK_EQ(barbuf_device_get_region(testdev, 99, &region), -EINVAL);
	nr = 1;
	CHECK_EQ(barbuf_device_get_areas(testdev, 99, areas, &nr), -EINVAL);
	CHECK_EQ(nr, 1);

	CHECK_EQ(barbuf_device_get_msix(nvme, &table_bar, &table, &pba_bar, &pba), 0);
	note("MSI-X: table BAR %u 0x%llx:0x%llx, pending bits BAR %u 0x%llx:0x%llx", table_bar,
	     (unsigned long long)table.offset, (unsigned long long)table.length, pba_bar,
	     (unsigned long long)pba.offset, (unsigned long long)pba.length);
	CHECK_EQ(table_bar, 0);
	CHECK_EQ(pba_bar, 0);
	CHECK_EQ(barbuf_device_get_region(nvme, 0, &region), 0);
	CHECK(table.length && table.length % 16 == 0);
	CHECK_EQ(pba.length, (table.length / 16 + 63) / 64 * 8);
	CHECK(table.offset + table.length <= pba.offset);
	CHECK(pba.offset + pba.length <= region.size);
	CHECK_EQ(barbuf_device_get_msix(testdev, &table_bar, &table, &pba_bar, &pba), -ENOENT);
	barbuf_device_close(testdev);
	barbuf_device_close(nvme);
	CHECK_EQ(barbuf_container_free(c), 0);
}
EACH_IOMMU(describes)

static void resets(enum barbuf_iommu iommu)
{
	const char *edu = dev_bound("edu"), *nvme = dev_bound("nvme");
	const char *pair[2] = { dev_bound("pair0"), dev_bound("pair1") };
	struct barbuf_container *c = new_container(iommu);
	struct barbuf_device *a, *b;
	uint16_t command;

	a = open_in(c, nvme);
	b = open_in(c, edu);
	CHECK_EQ(barbuf_device_reset(b), -EOPNOTSUPP);
	command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	CHECK_EQ(barbuf_config_write(a, PCI_COMMAND, &command, sizeof(command)), 0);
	CHECK_EQ(barbuf_device_reset(a), 0);
	/* On the root bus there is no bus to reset. */
	CHECK_EQ(barbuf_device_hot_reset(b), -ENODEV);
	barbuf_device_close(b);
	barbuf_device_close(a);

	a = open_in(c, pair[0]);
	b = open_in(c, pair[1]);
	command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	CHECK_EQ(barbuf_config_write(b, PCI_COMMAND, &command, sizeof(command)), 0);
	CHECK_EQ(barbuf_device_hot_reset(a), 0);
	barbuf_device_close(b);
	/* They share a group, and with it the owner. */
	CHECK_EQ(barbuf_device_hot_reset(a), 0);
	barbuf_device_close(a);
	CHECK_EQ(barbuf_container_free(c), 0);
}
EACH_IOMMU(resets)

/* What a kernel offers is found out, and is what the kernel under test has. */
static void probes(enum barbuf_iommu iommu)
{
	const char *kernel = getenv("LAB_KERNEL");
	struct barbuf_container *c = new_container(iommu);
	struct barbuf_device *dev = open_in(c, dev_bound("ivshmem"));
	uint32_t features = 0xffffffff, want = BARBUF_HAS_EXPORT;
	unsigned int before = open_fds();
	bool ours;

	CHECK(kernel);
	ours = strcmp(kernel, "stock");
	if (ours)
		want |= BARBUF_HAS_MMAP | BARBUF_HAS_REVOKE | BARBUF_HAS_MEMATTR |
			BARBUF_HAS_TYPE1_REVOKE;
	if (iommu == BARBUF_IOMMU_IOMMUFD)
		want |= BARBUF_HAS_IMPORT | (ours ? BARBUF_HAS_IMPORT_RANGES : 0);
	CHECK_EQ(barbuf_device_probe(dev, &features), 0);
	CHECK_EQ(features, want);
	/* It leaves nothing behind, and says the same again. */
	CHECK_EQ(barbuf_device_probe(dev, &features), 0);
	CHECK_EQ(features, want);
	CHECK_EQ(open_fds(), before);
	CHECK_EQ(barbuf_device_feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_GET),
		 0);
	barbuf_device_close(dev);
	CHECK_EQ(barbuf_container_free(c), 0);
}
EACH_IOMMU(probes)

static const struct test_case cases[] = {
	CASE(opens_type1),
	CASE(opens_iommufd),
	CASE(any_decides),
	CASE(refuses_type1),
	CASE(refuses_iommufd),
	CASE(interfaces_exclude),
	CASE(advice_names_the_holder_type1),
	CASE(advice_names_the_holder_iommufd),
	CASE(advice_names_the_driver),
	CASE(advice_names_the_file),
	CASE(adopts_type1),
	CASE(adopts_iommufd),
	CASE(describes_type1),
	CASE(describes_iommufd),
	CASE(resets_type1),
	CASE(resets_iommufd),
	CASE(probes_type1),
	CASE(probes_iommufd),
};

TEST_MAIN(cases)
