// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "uapi.h"

int barbuf_device_reset(struct barbuf_device *dev)
{
	struct barbuf_device_info info;
	int ret;

	/* The kernel says EINVAL, which would not tell the reason. */
	ret = barbuf_device_get_info(dev, &info);
	if (ret)
		return ret;
	if (!info.can_reset)
		return -EOPNOTSUPP;
	return barbuf__ioctl(dev->sys, dev->fd, VFIO_DEVICE_RESET, NULL);
}

/* The devices that a hot reset of @dev takes with it. The caller frees *out. */
static int get_reset_set(struct barbuf_device *dev, struct vfio_pci_hot_reset_info **out)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	uint32_t room = 0;
	int ret;

	/* The set may grow between two calls: ask until it fits. */
	for (;;) {
		size_t size = sizeof(*info) + room * sizeof(info->devices[0]);
		void *p = realloc(info, size);

		if (!p) {
			ret = -ENOMEM;
			break;
		}
		info = p;
		memset(info, 0, size);
		info->argsz = size;
		ret = barbuf__ioctl(dev->sys, dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (ret == 0 && info->count <= room) {
			*out = info;
			return 0;
		}
		if (ret != 0 && ret != -ENOSPC)
			break;
		/* 256 functions share a bus at most; guard against a nonsense answer. */
		if (info->count <= room || info->count > 4096) {
			ret = -EIO;
			break;
		}
		room = info->count;
	}
	free(info);
	return ret;
}

int barbuf_device_hot_reset(struct barbuf_device *dev)
{
	struct vfio_pci_hot_reset_info *info;
	int ret;

	if (!dev->container)
		return -EOPNOTSUPP;
	ret = get_reset_set(dev, &info);
	if (ret)
		return ret;
	ret = dev->container->iommu->hot_reset(dev, info);
	free(info);
	return ret;
}
