// SPDX-License-Identifier: LGPL-2.1-or-later
/* What can be done with a device, found out by doing it to one page, or to two. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "uapi.h"

/* Is this how a kernel says that it does not have something? */
static bool is_missing(int error)
{
	switch (error) {
	case -ENOTTY:
	case -EOPNOTSUPP:
	case -EINVAL:
	case -ENODEV:
		return true;
	default:
		return false;
	}
}

/* The first BAR that can be mapped and has @size bytes. -EOPNOTSUPP: there is none. */
static int find_bar(struct barbuf_device *dev, uint64_t size)
{
	struct barbuf_region region;
	uint32_t bar;
	int ret;

	for (bar = 0; bar <= VFIO_PCI_BAR5_REGION_INDEX; bar++) {
		ret = barbuf_device_get_region(dev, bar, &region);
		if (ret)
			return ret;
		if (region.flags & BARBUF_REGION_MMAP && region.size >= size)
			return bar;
	}
	return -EOPNOTSUPP;
}

static int export_page(struct barbuf_device *dev, uint64_t size)
{
	const struct barbuf_range page = { 0, size };
	int bar = find_bar(dev, size);

	return bar < 0 ? bar : barbuf_device_export(dev, bar, &page, 1, O_RDWR | O_CLOEXEC);
}

/* Two pages that are adjacent, but in this order no single range. */
static int export_two(struct barbuf_device *dev, uint64_t size)
{
	const struct barbuf_range pages[] = { { size, size }, { 0, size } };
	int bar = find_bar(dev, 2 * size);

	return bar < 0 ? bar : barbuf_device_export(dev, bar, pages, 2, O_RDWR | O_CLOEXEC);
}

int barbuf__try_mmap(const struct barbuf_sys *sys, int fd, int prot)
{
	size_t size = sysconf(_SC_PAGESIZE);
	void *addr = NULL;
	int ret;

	ret = sys->mmap(sys->ctx, &addr, size, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (!ret)
		sys->munmap(sys->ctx, addr, size);
	return ret;
}

static int try_map(struct barbuf_device *dev, int fd, uint64_t size)
{
	return barbuf__try_mmap(dev->sys, fd, PROT_READ);
}

static int try_memattr(struct barbuf_device *dev, int fd, uint64_t size)
{
	return barbuf_device_set_memattr(dev, fd, BARBUF_WC);
}

static int try_import(struct barbuf_device *dev, int fd, uint64_t size)
{
	struct barbuf_container *c = dev->container;

	return c && c->iommu->try_import ? c->iommu->try_import(c, fd, size) : -EOPNOTSUPP;
}

static int try_import_two(struct barbuf_device *dev, int fd, uint64_t size)
{
	int two, ret;

	two = export_two(dev, size);
	if (two < 0)
		return two;
	ret = try_import(dev, two, 2 * size);
	barbuf__close(dev->sys, two);
	return ret;
}

static int try_revoke(struct barbuf_device *dev, int fd, uint64_t size)
{
	return barbuf_device_revoke(dev, fd);
}

/* Where there is no type1, or not for this user, it cannot be asked. */
static bool is_closed_to_us(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
	case -EACCES:
	case -EPERM:
		return true;
	default:
		return false;
	}
}

/* The container of a client may be of type1 when that of @dev is not. */
static int ask_type1(struct barbuf_device *dev, int fd, uint64_t size)
{
	const struct barbuf_container *c = dev->container;
	bool is_own = !c || c->iommu->kind != BARBUF_IOMMU_TYPE1;
	int container, ret;

	container = is_own ? dev->sys->open(dev->sys->ctx, "/dev/vfio/vfio", O_RDWR | O_CLOEXEC) :
			     c->fd;
	if (container < 0)
		return is_closed_to_us(container) ? -EOPNOTSUPP : container;
	ret = barbuf__ioctl_int(dev->sys, container, VFIO_CHECK_EXTENSION, VFIO_REVOCABLE_MMIO);
	if (is_own)
		barbuf__close(dev->sys, container);
	return ret < 0 ? ret : ret ? 0 : -EOPNOTSUPP;
}

/* In this order: the revoke ends the buffer. */
static const struct {
	int (*try)(struct barbuf_device *dev, int fd, uint64_t size);
	uint32_t feature;
	uint32_t needs; /* else it need not be tried */
} trials[] = {
	{ try_map, BARBUF_HAS_MMAP, 0 },
	{ try_memattr, BARBUF_HAS_MEMATTR, 0 },
	{ try_import, BARBUF_HAS_IMPORT, 0 },
	{ try_import_two, BARBUF_HAS_IMPORT_RANGES, BARBUF_HAS_IMPORT },
	{ try_revoke, BARBUF_HAS_REVOKE, 0 },
	{ ask_type1, BARBUF_HAS_TYPE1_REVOKE, BARBUF_HAS_REVOKE },
};

int barbuf_device_probe(struct barbuf_device *dev, uint32_t *features)
{
	uint64_t size = sysconf(_SC_PAGESIZE);
	uint32_t found = BARBUF_HAS_EXPORT;
	int fd, ret;
	size_t i;

	fd = export_page(dev, size);
	if (is_missing(fd)) {
		*features = 0;
		return 0;
	}
	if (fd < 0)
		return fd;

	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		if (trials[i].needs & ~found)
			continue;
		ret = trials[i].try(dev, fd, size);
		if (!ret)
			found |= trials[i].feature;
		else if (!is_missing(ret))
			goto out;
	}
	*features = found;
	ret = 0;
out:
	barbuf__close(dev->sys, fd);
	return ret;
}
