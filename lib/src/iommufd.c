// SPDX-License-Identifier: LGPL-2.1-or-later
/* VFIO's second interface: a file for each device, and one IOAS of an iommufd. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "sysfs.h"
#include "uapi.h"

static int iommufd_setup(struct barbuf_container *c)
{
	struct iommu_ioas_alloc arg = { .size = sizeof(arg) };
	int fd, ret;

	fd = c->sys->open(c->sys->ctx, "/dev/iommu", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;
	ret = barbuf__ioctl(c->sys, fd, IOMMU_IOAS_ALLOC, &arg);
	if (ret) {
		barbuf__close(c->sys, fd);
		return ret;
	}
	c->fd = fd;
	c->ioas = arg.out_ioas_id;
	return 0;
}

/* The IOAS goes with its file. */
static void iommufd_release(struct barbuf_container *c)
{
	barbuf__close(c->sys, c->fd);
	c->fd = -1;
	c->ioas = 0;
}

static int iommufd_open_device(struct barbuf_container *c, struct barbuf_device *dev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = c->fd };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = c->ioas };
	char name[32], path[64];
	int fd, ret;

	ret = barbuf__sysfs_cdev(c->sys, dev->address, name, sizeof(name));
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	fd = c->sys->open(c->sys->ctx, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd == -ENOENT ? -EOPNOTSUPP : fd;
	ret = barbuf__ioctl(c->sys, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	/* What was given is right: it is how the kernel says that it is open already. */
	if (ret == -EINVAL)
		ret = -EBUSY;
	if (!ret)
		ret = barbuf__ioctl(c->sys, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	if (ret) {
		/* Also undoes the bind. */
		barbuf__close(c->sys, fd);
		return ret;
	}
	dev->fd = fd;
	return 0;
}

static void iommufd_close_device(struct barbuf_container *c, struct barbuf_device *dev)
{
}

/* The iommufd itself proves the ownership. */
static int iommufd_hot_reset(struct barbuf_device *dev, const struct vfio_pci_hot_reset_info *info)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	if (!(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED))
		return -EPERM;
	return barbuf__ioctl(dev->sys, dev->fd, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

static uint32_t map_flags(const struct barbuf__mapping *m)
{
	return IOMMU_IOAS_MAP_FIXED_IOVA |
	       (m->access & BARBUF_DMA_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
	       (m->access & BARBUF_DMA_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0);
}

static int iommufd_iova_ranges(struct barbuf_container *c, struct barbuf_range **out, size_t *nr)
{
	struct iommu_ioas_iova_ranges arg = { .size = sizeof(arg), .ioas_id = c->ioas };
	struct iommu_iova_range *raw;
	struct barbuf_range *list;
	uint32_t i, room;
	int ret;

	ret = barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_IOVA_RANGES, &arg);
	if (ret && ret != -EMSGSIZE)
		return ret;
	room = arg.num_iovas;
	raw = calloc(room + 1, sizeof(*raw));
	list = calloc(room + 1, sizeof(*list));
	if (!raw || !list) {
		ret = -ENOMEM;
		goto err;
	}
	arg.allowed_iovas = (uintptr_t)raw;
	ret = barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_IOVA_RANGES, &arg);
	if (ret)
		goto err;
	for (i = 0; i < room && i < arg.num_iovas; i++)
		list[i] = (struct barbuf_range){ raw[i].start, raw[i].last - raw[i].start + 1 };
	*nr = i;
	*out = list;
	free(raw);
	return 0;

err:
	free(list);
	free(raw);
	return ret;
}

static int map_error(struct barbuf_container *c, const struct barbuf__mapping *m, int ret)
{
	if (ret == -EOVERFLOW || (ret == -EINVAL && !barbuf__is_addressable(c, m->iova, m->len)))
		return -ERANGE;
	return ret;
}

static int iommufd_map(struct barbuf_container *c, const struct barbuf__mapping *m)
{
	struct iommu_ioas_map arg = {
		.size = sizeof(arg),
		.flags = map_flags(m),
		.ioas_id = c->ioas,
		.user_va = (uintptr_t)m->addr,
		.length = m->len,
		.iova = m->iova,
	};

	return map_error(c, m, barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_MAP, &arg));
}

static int iommufd_map_file(struct barbuf_container *c, const struct barbuf__mapping *m, int fd,
			    uint64_t offset)
{
	struct iommu_ioas_map_file arg = {
		.size = sizeof(arg),
		.flags = map_flags(m),
		.ioas_id = c->ioas,
		.fd = fd,
		.start = offset,
		.length = m->len,
		.iova = m->iova,
	};

	return map_error(c, m, barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_MAP_FILE, &arg));
}

static int iommufd_unmap(struct barbuf_container *c, const struct barbuf__mapping *m)
{
	struct iommu_ioas_unmap arg = {
		.size = sizeof(arg),
		.ioas_id = c->ioas,
		.iova = m->iova,
		.length = m->len,
	};

	return barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_UNMAP, &arg);
}

/* Type 1 forgets its mappings then; an IOAS would keep them. */
static void iommufd_unmap_all(struct barbuf_container *c)
{
	struct iommu_ioas_unmap arg = {
		.size = sizeof(arg),
		.ioas_id = c->ioas,
		.length = UINT64_MAX,
	};

	barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_UNMAP, &arg);
}

/* In an address space of its own, which no device uses. */
static int iommufd_try_import(struct barbuf_container *c, int fd, uint64_t len)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_destroy destroy = { .size = sizeof(destroy) };
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE,
		.fd = fd,
		.length = len,
	};
	int ret, err;

	ret = barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_ALLOC, &alloc);
	if (ret)
		return ret;
	map.ioas_id = alloc.out_ioas_id;
	ret = barbuf__ioctl(c->sys, c->fd, IOMMU_IOAS_MAP_FILE, &map);
	destroy.id = alloc.out_ioas_id;
	err = barbuf__ioctl(c->sys, c->fd, IOMMU_DESTROY, &destroy);
	return ret ? ret : err;
}

const struct barbuf__iommu barbuf__iommufd = {
	.kind = BARBUF_IOMMU_IOMMUFD,
	.setup = iommufd_setup,
	.release = iommufd_release,
	.open_device = iommufd_open_device,
	.close_device = iommufd_close_device,
	.hot_reset = iommufd_hot_reset,
	.map = iommufd_map,
	.map_file = iommufd_map_file,
	.unmap = iommufd_unmap,
	.unmap_all = iommufd_unmap_all,
	.try_import = iommufd_try_import,
	.iova_ranges = iommufd_iova_ranges,
};
