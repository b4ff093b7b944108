// SPDX-License-Identifier: LGPL-2.1-or-later
/* PCI configuration space. */
#include <errno.h>

#include "device.h"

static int check(const struct barbuf_device *dev, uint32_t offset, size_t len)
{
	if (offset > dev->config_size || len > dev->config_size - offset)
		return -ERANGE;
	return 0;
}

int barbuf_config_read(struct barbuf_device *dev, uint32_t offset, void *buf, size_t len)
{
	ssize_t n;
	int ret;

	ret = check(dev, offset, len);
	if (ret)
		return ret;
	n = dev->sys->pread(dev->sys->ctx, dev->fd, buf, len, dev->config_offset + offset);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}

int barbuf_config_write(struct barbuf_device *dev, uint32_t offset, const void *buf, size_t len)
{
	ssize_t n;
	int ret;

	ret = check(dev, offset, len);
	if (ret)
		return ret;
	n = dev->sys->pwrite(dev->sys->ctx, dev->fd, buf, len, dev->config_offset + offset);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}
