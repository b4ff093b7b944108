// SPDX-License-Identifier: LGPL-2.1-or-later
/* VFIO_DEVICE_FEATURE, and what is done by it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "uapi.h"

int barbuf__feature(struct barbuf_device *dev, uint32_t flags, void *data, size_t size)
{
	struct vfio_device_feature *arg;
	size_t argsz = sizeof(*arg) + size;
	int ret;

	if (argsz > UINT32_MAX)
		return -E2BIG;
	arg = calloc(1, argsz);
	if (!arg)
		return -ENOMEM;
	arg->argsz = argsz;
	arg->flags = flags;
	if (size)
		memcpy(arg->data, data, size);
	ret = barbuf__ioctl(dev->sys, dev->fd, VFIO_DEVICE_FEATURE, arg);
	free(arg);
	return ret;
}

int barbuf_device_feature(struct barbuf_device *dev, uint32_t number, uint32_t op)
{
	return barbuf__feature(dev, number | op | VFIO_DEVICE_FEATURE_PROBE, NULL, 0);
}

int barbuf_device_export(struct barbuf_device *dev, uint32_t region,
			 const struct barbuf_range *ranges, size_t nr_ranges, int open_flags)
{
	struct vfio_device_feature_dma_buf *arg;
	size_t size;
	int ret;

	if (nr_ranges >
	    (UINT32_MAX - sizeof(struct vfio_device_feature) - sizeof(*arg)) / sizeof(*ranges))
		return -E2BIG;
	size = sizeof(*arg) + nr_ranges * sizeof(*ranges);
	arg = calloc(1, size);
	if (!arg)
		return -ENOMEM;
	arg->region_index = region;
	arg->open_flags = open_flags;
	arg->nr_ranges = nr_ranges;
	_Static_assert(sizeof(*ranges) == sizeof(arg->dma_ranges[0]), "the same layout");
	if (nr_ranges)
		memcpy(arg->dma_ranges, ranges, nr_ranges * sizeof(*ranges));
	ret = barbuf__feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET, arg,
			      size);
	free(arg);
	return ret;
}

int barbuf_device_revoke(struct barbuf_device *dev, int fd)
{
	struct vfio_device_feature_dma_buf_revoke arg = { .dmabuf_fd = fd };

	return barbuf__feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE | VFIO_DEVICE_FEATURE_SET,
			       &arg, sizeof(arg));
}

int barbuf_device_set_memattr(struct barbuf_device *dev, int fd, uint32_t memattr)
{
	struct vfio_device_feature_dma_buf_memattr arg = { .dmabuf_fd = fd, .memattr = memattr };

	return barbuf__feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR | VFIO_DEVICE_FEATURE_SET,
			       &arg, sizeof(arg));
}

int barbuf_low_power_enter(struct barbuf_device *dev, int wakeup_eventfd)
{
	struct vfio_device_low_power_entry_with_wakeup arg = { .wakeup_eventfd = wakeup_eventfd };

	if (wakeup_eventfd < 0)
		return barbuf__feature(
			dev, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET, NULL,
			0);
	return barbuf__feature(
		dev, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | VFIO_DEVICE_FEATURE_SET,
		&arg, sizeof(arg));
}

int barbuf_low_power_exit(struct barbuf_device *dev)
{
	return barbuf__feature(dev, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET,
			       NULL, 0);
}
