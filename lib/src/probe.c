// SPDX-License-Identifier: LGPL-2.1-or-later
/* What can be done with a device, found out by doing it to one page. */
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

/* The first page of a BAR that can be mapped. -EOPNOTSUPP: there is none. */
static int export_page(struct barbuf_device *dev, uint64_t size)
{
	const struct barbuf_range page = { 0, size };
	struct barbuf_region region;
	uint32_t bar;
	int ret;

	for (bar = 0; bar <= VFIO_PCI_BAR5_REGION_INDEX; bar++) {
		ret = barbuf_device_get_region(dev, bar, &region);
		if (ret)
			return ret;
		if (region.flags & BARBUF_REGION_MMAP && region.size >= size)
			return barbuf_device_export(dev, bar, &page, 1, O_RDWR | O_CLOEXEC);
	}
	return -EOPNOTSUPP;
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

static int try_revoke(struct barbuf_device *dev, int fd, uint64_t size)
{
	return barbuf_device_revoke(dev, fd);
}

/* In this order: the last ends the buffer. */
static const struct {
	int (*try)(struct barbuf_device *dev, int fd, uint64_t size);
	uint32_t feature;
} trials[] = {
	{ try_map, BARBUF_HAS_MMAP },
	{ try_memattr, BARBUF_HAS_MEMATTR },
	{ try_import, BARBUF_HAS_IMPORT },
	{ try_revoke, BARBUF_HAS_REVOKE },
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
