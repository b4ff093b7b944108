// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * VFIO's first interface: groups, in a container with an IOMMU of type 1. Both
 * are put together with the first group, and fall apart with the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cap.h"
#include "device.h"
#include "sysfs.h"
#include "uapi.h"

struct barbuf__group {
	struct barbuf__group *next;
	unsigned int id;
	unsigned int users;
	int fd;
};

static int type1_setup(struct barbuf_container *c)
{
	int fd, ret;

	fd = c->sys->open(c->sys->ctx, "/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;

	ret = barbuf__ioctl(c->sys, fd, VFIO_GET_API_VERSION, NULL);
	if (ret >= 0)
		ret = ret == VFIO_API_VERSION ? 0 : -EPROTONOSUPPORT;
	if (ret)
		goto err_close;

	ret = barbuf__ioctl_int(c->sys, fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
	if (ret >= 0)
		ret = ret ? 0 : -EPROTONOSUPPORT;
	if (ret)
		goto err_close;

	c->fd = fd;
	return 0;

err_close:
	barbuf__close(c->sys, fd);
	return ret;
}

static void type1_release(struct barbuf_container *c)
{
	barbuf__close(c->sys, c->fd);
	c->fd = -1;
}

static int get_group(struct barbuf_container *c, unsigned int id, struct barbuf__group **out)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct barbuf__group *g;
	char path[32];
	int ret;

	for (g = c->groups; g; g = g->next) {
		if (g->id == id) {
			g->users++;
			*out = g;
			return 0;
		}
	}

	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->id = id;
	g->users = 1;

	snprintf(path, sizeof(path), "/dev/vfio/%u", id);
	g->fd = c->sys->open(c->sys->ctx, path, O_RDWR | O_CLOEXEC);
	if (g->fd < 0) {
		/* The file comes with the first device of the group that VFIO gets. */
		ret = g->fd == -ENOENT ? -ENXIO : g->fd;
		goto err_free;
	}

	ret = barbuf__ioctl(c->sys, g->fd, VFIO_GROUP_GET_STATUS, &status);
	if (ret)
		goto err_close;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		ret = -EPERM;
		goto err_close;
	}

	ret = barbuf__ioctl(c->sys, g->fd, VFIO_GROUP_SET_CONTAINER, &c->fd);
	if (ret)
		goto err_close;
	/* The kernel forgets the IOMMU type when the last group leaves. */
	if (!c->groups) {
		ret = barbuf__ioctl_int(c->sys, c->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
		if (ret)
			goto err_close;
	}

	g->next = c->groups;
	c->groups = g;
	*out = g;
	return 0;

err_close:
	/* Also takes it out of the container. */
	barbuf__close(c->sys, g->fd);
err_free:
	free(g);
	return ret;
}

static void put_group(struct barbuf_container *c, struct barbuf__group *group)
{
	struct barbuf__group **p;

	if (--group->users)
		return;
	for (p = &c->groups; *p != group; p = &(*p)->next)
		;
	*p = group->next;
	barbuf__close(c->sys, group->fd);
	free(group);
}

static int type1_open_device(struct barbuf_container *c, struct barbuf_device *dev)
{
	struct barbuf__group *group;
	unsigned int id;
	int ret;

	ret = barbuf__sysfs_group(c->sys, dev->address, &id);
	if (ret)
		return ret;
	ret = get_group(c, id, &group);
	if (ret)
		return ret;
	ret = barbuf__ioctl(c->sys, group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->address);
	if (ret < 0) {
		put_group(c, group);
		/* It exists: what is missing is its driver. */
		return ret == -ENODEV ? -ENXIO : ret;
	}
	dev->fd = ret;
	dev->group = group;
	return 0;
}

static void type1_close_device(struct barbuf_container *c, struct barbuf_device *dev)
{
	put_group(c, dev->group);
}

/* The kernel wants the group of each device of the set, once. */
static int type1_hot_reset(struct barbuf_device *dev, const struct vfio_pci_hot_reset_info *info)
{
	struct vfio_pci_hot_reset *reset;
	const struct barbuf__group *g;
	unsigned int count = 0, i, j;
	int ret;

	reset = calloc(1, sizeof(*reset) + info->count * sizeof(reset->group_fds[0]));
	if (!reset)
		return -ENOMEM;
	for (i = 0; i < info->count; i++) {
		for (g = dev->container->groups; g; g = g->next)
			if (g->id == info->devices[i].group_id)
				break;
		if (!g) {
			ret = -EPERM;
			goto out;
		}
		for (j = 0; j < count; j++)
			if (reset->group_fds[j] == g->fd)
				break;
		if (j == count)
			reset->group_fds[count++] = g->fd;
	}
	reset->argsz = sizeof(*reset) + count * sizeof(reset->group_fds[0]);
	reset->count = count;
	ret = barbuf__ioctl(dev->sys, dev->fd, VFIO_DEVICE_PCI_HOT_RESET, reset);
out:
	free(reset);
	return ret;
}

static int type1_map(struct barbuf_container *c, const struct barbuf__mapping *m)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = (m->access & BARBUF_DMA_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (m->access & BARBUF_DMA_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)m->addr,
		.iova = m->iova,
		.size = m->len,
	};
	int ret;

	ret = barbuf__ioctl(c->sys, c->fd, VFIO_IOMMU_MAP_DMA, &arg);
	return ret == -EINVAL && !barbuf__is_addressable(c, m->iova, m->len) ? -ERANGE : ret;
}

static int type1_unmap(struct barbuf_container *c, const struct barbuf__mapping *m)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = m->iova,
		.size = m->len,
	};

	return barbuf__ioctl(c->sys, c->fd, VFIO_IOMMU_UNMAP_DMA, &arg);
}

static int type1_iova_ranges(struct barbuf_container *c, struct barbuf_range **out, size_t *nr)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	const struct vfio_iommu_type1_info head = { 0 };
	const struct vfio_iommu_type1_info *info;
	struct barbuf_range *list;
	void *answer;
	uint32_t i;
	int ret;

	ret = barbuf__get_info(c->sys, c->fd, VFIO_IOMMU_GET_INFO, &head, sizeof(head), &answer);
	if (ret)
		return ret;
	info = answer;
	ret = -EOPNOTSUPP;
	if (!(info->flags & VFIO_IOMMU_INFO_CAPS))
		goto out;
	cap = barbuf__find_cap(info, info->argsz, info->cap_offset,
			       VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, sizeof(*cap));
	if (!cap || cap->nr_iovas > (info->argsz - ((const char *)cap - (const char *)info) -
				     sizeof(*cap)) /
					    sizeof(cap->iova_ranges[0]))
		goto out;
	ret = -ENOMEM;
	list = calloc(cap->nr_iovas + 1, sizeof(*list));
	if (!list)
		goto out;
	for (i = 0; i < cap->nr_iovas; i++)
		list[i] = (struct barbuf_range){ cap->iova_ranges[i].start,
						 cap->iova_ranges[i].end -
							 cap->iova_ranges[i].start + 1 };
	*nr = i;
	*out = list;
	ret = 0;
out:
	free(answer);
	return ret;
}

const struct barbuf__iommu barbuf__type1 = {
	.kind = BARBUF_IOMMU_TYPE1,
	.setup = type1_setup,
	.release = type1_release,
	.open_device = type1_open_device,
	.close_device = type1_close_device,
	.hot_reset = type1_hot_reset,
	.map = type1_map,
	.unmap = type1_unmap,
	.iova_ranges = type1_iova_ranges,
};
