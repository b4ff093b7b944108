// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buffer.h"
#include "device.h"
#include "phase.h"

int barbuf__buffer_wrap(struct barbuf_buffer **out, int fd)
{
	struct barbuf__dmabuf d;
	struct barbuf_buffer *buf;
	int ret;

	ret = barbuf__dmabuf_describe(fd, &d);
	if (ret)
		return ret;
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return -ENOMEM;
	buf->fd = fd;
	buf->size = d.size;
	buf->read_only = d.read_only;
	buf->memattr = BARBUF_MEMATTR_UNKNOWN;
	memcpy(buf->name, d.name, sizeof(buf->name));
	*out = buf;
	return 0;
}

int barbuf_buffer_adopt(struct barbuf_buffer **out, int fd)
{
	return barbuf__buffer_wrap(out, fd);
}

static void link_buffer(struct barbuf_device *dev, struct barbuf_buffer *buf)
{
	struct barbuf__exported *exported = &dev->exported;

	pthread_mutex_lock(&exported->lock);
	buf->dev = dev;
	buf->next = exported->first;
	exported->first = buf;
	pthread_mutex_unlock(&exported->lock);
}

static void unlink_buffer(struct barbuf_buffer *buf)
{
	struct barbuf__exported *exported = &buf->dev->exported;
	struct barbuf_buffer **p;

	pthread_mutex_lock(&exported->lock);
	for (p = &exported->first; *p != buf; p = &(*p)->next)
		;
	*p = buf->next;
	pthread_mutex_unlock(&exported->lock);
	buf->dev = NULL;
}

void barbuf__exported_init(struct barbuf__exported *exported)
{
	pthread_mutex_init(&exported->lock, NULL);
	exported->first = NULL;
	exported->owner = getpid();
}

void barbuf__exported_end(struct barbuf_device *dev)
{
	struct barbuf_buffer *buf;

	for (buf = dev->exported.first; buf; buf = buf->next) {
		/* A kernel that cannot revoke ends it when the device is closed at last. */
		if (dev->exported.owner == getpid())
			barbuf_device_revoke(dev, buf->fd);
		buf->dev = NULL;
	}
	dev->exported.first = NULL;
	pthread_mutex_destroy(&dev->exported.lock);
}

/* A kernel without the call: the caller asked for something that is not offered. */
static int offered(int ret)
{
	return ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

static int set_name(struct barbuf_device *dev, int fd, const char *name)
{
	const struct barbuf_sys *sys = dev->sys;

	return offered(sys->ioctl(sys->ctx, fd, DMA_BUF_SET_NAME, (void *)name));
}

int barbuf_buffer_export(struct barbuf_buffer **out, struct barbuf_device *dev,
			 const struct barbuf_export *x)
{
	struct barbuf_range *ranges = NULL;
	struct barbuf_buffer *buf;
	int fd, ret;

	if (x->reserved[0] || x->reserved[1])
		return -EINVAL;
	if (x->memattr != BARBUF_NC && x->memattr != BARBUF_WC)
		return -ENOENT;
	if (x->name && strlen(x->name) > BARBUF_NAME_MAX)
		return -ENAMETOOLONG;

	fd = barbuf_device_export(dev, x->bar, x->ranges, x->nr_ranges,
				  (x->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* The kernel took them, so there is one at least, and the size does not overflow. */
	ranges = calloc(x->nr_ranges, sizeof(*ranges));
	if (!ranges) {
		ret = -ENOMEM;
		goto err;
	}
	memcpy(ranges, x->ranges, x->nr_ranges * sizeof(*ranges));

	if (x->memattr != BARBUF_NC) {
		ret = offered(barbuf_device_set_memattr(dev, fd, x->memattr));
		if (ret)
			goto err;
	}
	if (x->name) {
		ret = set_name(dev, fd, x->name);
		if (ret)
			goto err;
	}
	ret = barbuf__buffer_wrap(&buf, fd);
	if (ret)
		goto err;

	if (x->name)
		strcpy(buf->name, x->name);
	buf->memattr = x->memattr;
	buf->ranges = ranges;
	buf->nr_ranges = x->nr_ranges;
	buf->shift =
		barbuf__phase(barbuf__bar_address(dev, x->bar), ranges, x->nr_ranges, &buf->phase);
	link_buffer(dev, buf);
	*out = buf;
	return 0;

err:
	free(ranges);
	close(fd);
	return ret;
}

int barbuf_buffer_revoke(struct barbuf_buffer *buf)
{
	return buf->dev ? barbuf_device_revoke(buf->dev, buf->fd) : -EOPNOTSUPP;
}

void barbuf_buffer_free(struct barbuf_buffer *buf)
{
	if (!buf)
		return;
	if (buf->dev)
		unlink_buffer(buf);
	close(buf->fd);
	free(buf->ranges);
	free(buf);
}

int barbuf_buffer_fd(const struct barbuf_buffer *buf)
{
	return buf->fd;
}

uint64_t barbuf_buffer_size(const struct barbuf_buffer *buf)
{
	return buf->size;
}

bool barbuf_buffer_read_only(const struct barbuf_buffer *buf)
{
	return buf->read_only;
}

enum barbuf_memattr barbuf_buffer_memattr(const struct barbuf_buffer *buf)
{
	return buf->memattr;
}

const char *barbuf_buffer_name(const struct barbuf_buffer *buf)
{
	return buf->name;
}

uint64_t barbuf_buffer_tag(const struct barbuf_buffer *buf)
{
	return buf->tag;
}

const struct barbuf_range *barbuf_buffer_ranges(const struct barbuf_buffer *buf, size_t *nr)
{
	*nr = buf->nr_ranges;
	return buf->ranges;
}

int barbuf_buffer_check(const struct barbuf_buffer *buf)
{
	return barbuf__dmabuf_check(buf->fd);
}
