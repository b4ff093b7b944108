// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "fake_device.h"
#include "uapi.h"

#define DEVICE_FD 1000
#define FDINFO_FD 1001
#define RESOURCE_FD 1002

struct fake_device fake;
static int bar_fd = -1;

static int fake_open(void *ctx, const char *path, int flags)
{
	if (!strcmp(path, "/proc/self/fdinfo/1000"))
		return FDINFO_FD;
	if (!strcmp(path, "/sys/bus/pci/devices/0000:00:05.0/resource") && fake.bar_address)
		return RESOURCE_FD;
	return -ENOENT;
}

static int fake_close(void *ctx, int fd)
{
	return 0;
}

static ssize_t fake_pread(void *ctx, int fd, void *buf, size_t len, off_t offset)
{
	char text[512];
	ssize_t n;

	if (fd == FDINFO_FD)
		n = sprintf(text, "pos:\t0\n"
				  "vfio-device-syspath: /sys/devices/pci0000:00/0000:00:05.0\n");
	else
		n = sprintf(text,
			    "0x00000000febf1000 0x00000000febf10ff 0x0000000000040200\n"
			    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
			    "0x%016llx 0x%016llx 0x000000000014220c\n"
			    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n",
			    (unsigned long long)fake.bar_address,
			    (unsigned long long)(fake.bar_address + FAKE_BAR_SIZE - 1));
	if (offset >= n)
		return 0;
	n -= offset;
	n = (size_t)n < len ? n : (ssize_t)len;
	memcpy(buf, text + offset, n);
	return n;
}

static int new_buffer(const struct vfio_device_feature_dma_buf *arg)
{
	uint64_t size = 0;
	uint32_t i;
	int fd;

	fake.exports++;
	fake.open_flags = arg->open_flags;
	if (fake.export_error || arg->region_index != FAKE_BAR || !arg->nr_ranges)
		return fake.export_error ? fake.export_error : -EINVAL;
	for (i = 0; i < arg->nr_ranges; i++)
		size += arg->dma_ranges[i].length;
	fd = memfd_create("dmabuf:", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, size))
		return -errno;
	if ((arg->open_flags & O_ACCMODE) == O_RDONLY) {
		char path[64];
		int ro;

		sprintf(path, "/proc/self/fd/%d", fd);
		ro = open(path, O_RDONLY | O_CLOEXEC);
		close(fd);
		fd = ro;
	}
	fake.last_fd = fd;
	return fd;
}

static int feature(struct vfio_device_feature *f)
{
	const struct vfio_device_feature_dma_buf_memattr *memattr = (void *)f->data;

	switch (f->flags) {
	case VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET:
		return new_buffer((void *)f->data);
	case VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE | VFIO_DEVICE_FEATURE_SET:
		fake.revokes++;
		memcpy(&fake.last_fd, f->data, sizeof(int));
		return fake.revoke_error;
	case VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR | VFIO_DEVICE_FEATURE_SET:
		if (!fake.memattr_error)
			fake.memattr = memattr->memattr;
		return fake.memattr_error;
	}
	return -ENOTTY;
}

static int region_info(struct vfio_region_info *info)
{
	struct {
		struct vfio_region_info info;
		struct vfio_region_info_cap_sparse_mmap cap;
		struct vfio_region_sparse_mmap_area areas[2];
	} *full = (void *)info;

	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info->index > VFIO_PCI_CONFIG_REGION_INDEX)
		return -EINVAL;
	info->offset = info->index == FAKE_BAR ? 0 : (uint64_t)info->index << 40;
	info->size = info->index == FAKE_BAR ? FAKE_BAR_SIZE : 256;
	if (info->index == FAKE_BAR && fake.areas)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (info->index == FAKE_BAR && fake.areas > 1) {
		if (info->argsz >= sizeof(*full)) {
			full->cap.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
			full->cap.header.version = 1;
			full->cap.nr_areas = 2;
			full->areas[0].offset = 0;
			full->areas[0].size = 8192;
			full->areas[1].offset = 12288;
			full->areas[1].size = FAKE_BAR_SIZE - 12288;
			info->cap_offset = sizeof(*info);
		}
		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info->argsz = sizeof(*full);
	}
	return 0;
}

static int fake_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags = VFIO_DEVICE_FLAGS_PCI;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_FEATURE:
		return feature(arg);
	case DMA_BUF_SET_NAME:
		if (!fake.name_error)
			snprintf(fake.name, sizeof(fake.name), "%s", (const char *)arg);
		return fake.name_error;
	}
	return -ENOTTY;
}

static const struct barbuf_sys sys = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.pread = fake_pread,
};

struct barbuf_device *fake_device_open(void)
{
	struct barbuf_device *dev = NULL;

	memset(&fake, 0, sizeof(fake));
	fake.areas = 1;
	/* The device's fd is a number to the fake calls, and the BAR to mmap(). */
	if (bar_fd < 0) {
		int fd = memfd_create("bar", MFD_CLOEXEC);

		if (fd >= 0 && !ftruncate(fd, FAKE_BAR_SIZE))
			bar_fd = dup3(fd, DEVICE_FD, O_CLOEXEC);
		close(fd);
	}
	if (bar_fd < 0 || barbuf__device_adopt(&dev, DEVICE_FD, &sys))
		return NULL;
	return dev;
}

unsigned int open_fds(void)
{
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}
