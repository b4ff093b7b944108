// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barbuf.h>

#include "buffer.h"
#include "device.h"
#include "sys.h"
#include "uapi.h"

/* "dddd:bb:dd.f" and the NUL; domains may be wider than 16 bits */
#define ADDRESS_MAX 20

struct group {
	struct group *next;
	unsigned int id;
	unsigned int users;
	int fd;
};

struct barbuf_container {
	const struct barbuf_sys *sys;
	struct group *groups;
	int fd;
	bool has_iommu; /* set with the first group */
};

struct barbuf_device {
	struct barbuf_container *container;
	struct group *group;
	bool owns_container;
	int fd;
	uint64_t config_offset;
	uint64_t config_size;
	struct barbuf__exported exported;
	char address[ADDRESS_MAX];
};

static int sys_ioctl(const struct barbuf_container *c, int fd, unsigned long request, void *arg)
{
	return c->sys->ioctl(c->sys->ctx, fd, request, arg);
}

static int sys_ioctl_int(const struct barbuf_container *c, int fd, unsigned long request,
			 unsigned long arg)
{
	return sys_ioctl(c, fd, request, (void *)arg);
}

static void sys_close(const struct barbuf_container *c, int fd)
{
	c->sys->close(c->sys->ctx, fd);
}

static int dev_ioctl(const struct barbuf_device *dev, unsigned long request, void *arg)
{
	return sys_ioctl(dev->container, dev->fd, request, arg);
}

int barbuf_container_new_sys(struct barbuf_container **out, const struct barbuf_sys *sys)
{
	struct barbuf_container *c;
	int ret;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->sys = sys;

	c->fd = sys->open(sys->ctx, "/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (c->fd < 0) {
		ret = c->fd;
		goto err_free;
	}

	ret = sys_ioctl(c, c->fd, VFIO_GET_API_VERSION, NULL);
	if (ret >= 0)
		ret = ret == VFIO_API_VERSION ? 0 : -EPROTONOSUPPORT;
	if (ret)
		goto err_close;

	ret = sys_ioctl_int(c, c->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
	if (ret >= 0)
		ret = ret ? 0 : -EPROTONOSUPPORT;
	if (ret)
		goto err_close;

	*out = c;
	return 0;

err_close:
	sys_close(c, c->fd);
err_free:
	free(c);
	return ret;
}

int barbuf_container_new(struct barbuf_container **out)
{
	return barbuf_container_new_sys(out, &barbuf_sys_linux);
}

int barbuf_container_free(struct barbuf_container *c)
{
	if (!c)
		return 0;
	if (c->groups)
		return -EBUSY;
	sys_close(c, c->fd);
	free(c);
	return 0;
}

/* Returns the number of the group that sysfs links the device to. */
static int find_group(const struct barbuf_container *c, const char *address, unsigned int *id)
{
	char path[sizeof("/sys/bus/pci/devices//iommu_group") + ADDRESS_MAX];
	char link[PATH_MAX];
	const char *name;
	unsigned long n;
	ssize_t len;
	char *end;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	len = c->sys->readlink(c->sys->ctx, path, link, sizeof(link) - 1);
	if (len < 0)
		return len == -ENOENT ? -ENODEV : (int)len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	len = c->sys->readlink(c->sys->ctx, path, link, sizeof(link) - 1);
	if (len < 0)
		return len == -ENOENT ? -ENXIO : (int)len;
	link[len] = '\0';

	name = strrchr(link, '/');
	name = name ? name + 1 : link;
	if (*name < '0' || *name > '9')
		return -ENXIO;
	errno = 0;
	n = strtoul(name, &end, 10);
	if (errno || *end || n > UINT_MAX)
		return -ENXIO;
	*id = n;
	return 0;
}

static int get_group(struct barbuf_container *c, unsigned int id, struct group **out)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[32];
	struct group *g;
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
		ret = g->fd;
		goto err_free;
	}

	ret = sys_ioctl(c, g->fd, VFIO_GROUP_GET_STATUS, &status);
	if (ret)
		goto err_close;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		ret = -EPERM;
		goto err_close;
	}

	ret = sys_ioctl(c, g->fd, VFIO_GROUP_SET_CONTAINER, &c->fd);
	if (ret)
		goto err_close;
	/* The kernel forgets the IOMMU type when the last group leaves. */
	if (!c->has_iommu) {
		ret = sys_ioctl_int(c, c->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
		if (ret)
			goto err_close;
		c->has_iommu = true;
	}

	g->next = c->groups;
	c->groups = g;
	*out = g;
	return 0;

err_close:
	/* Also takes it out of the container. */
	sys_close(c, g->fd);
err_free:
	free(g);
	return ret;
}

static void put_group(struct barbuf_container *c, struct group *group)
{
	struct group **p;

	if (--group->users)
		return;
	for (p = &c->groups; *p != group; p = &(*p)->next)
		;
	*p = group->next;
	if (!c->groups)
		c->has_iommu = false;
	sys_close(c, group->fd);
	free(group);
}

static bool is_address(const char *s)
{
	unsigned int domain, bus, slot, fn;
	char tail;

	return strlen(s) < ADDRESS_MAX &&
	       sscanf(s, "%6x:%2x:%2x.%1x%c", &domain, &bus, &slot, &fn, &tail) == 4 && fn < 8 &&
	       slot < 32;
}

int barbuf_device_open(struct barbuf_device **out, struct barbuf_container *c, const char *address)
{
	struct barbuf_device *dev;
	struct barbuf_region config;
	unsigned int id;
	int ret;

	if (!is_address(address))
		return -EINVAL;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	strcpy(dev->address, address);
	pthread_mutex_init(&dev->exported.lock, NULL);

	if (!c) {
		ret = barbuf_container_new(&c);
		if (ret)
			goto err_free;
		dev->owns_container = true;
	}
	dev->container = c;

	ret = find_group(c, address, &id);
	if (ret)
		goto err_container;
	ret = get_group(c, id, &dev->group);
	if (ret)
		goto err_container;

	dev->fd = sys_ioctl(c, dev->group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->address);
	if (dev->fd < 0) {
		ret = dev->fd;
		goto err_group;
	}

	ret = barbuf_device_get_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (ret)
		goto err_close;
	dev->config_offset = config.offset;
	dev->config_size = config.size;

	*out = dev;
	return 0;

err_close:
	sys_close(c, dev->fd);
err_group:
	put_group(c, dev->group);
err_container:
	if (dev->owns_container)
		barbuf_container_free(c);
err_free:
	free(dev);
	return ret;
}

void barbuf_device_close(struct barbuf_device *dev)
{
	if (!dev)
		return;
	barbuf__buffers_orphan(dev);
	pthread_mutex_destroy(&dev->exported.lock);
	sys_close(dev->container, dev->fd);
	put_group(dev->container, dev->group);
	if (dev->owns_container)
		barbuf_container_free(dev->container);
	free(dev);
}

struct barbuf__exported *barbuf__device_exported(struct barbuf_device *dev)
{
	return &dev->exported;
}

const struct barbuf_sys *barbuf__device_sys(const struct barbuf_device *dev)
{
	return dev->container->sys;
}

int barbuf_device_fd(const struct barbuf_device *dev)
{
	return dev->fd;
}

const char *barbuf_device_address(const struct barbuf_device *dev)
{
	return dev->address;
}

int barbuf_device_get_info(struct barbuf_device *dev, struct barbuf_device_info *info)
{
	struct vfio_device_info arg = { .argsz = sizeof(arg) };
	int ret;

	ret = dev_ioctl(dev, VFIO_DEVICE_GET_INFO, &arg);
	if (ret)
		return ret;
	*info = (struct barbuf_device_info){
		.can_reset = arg.flags & VFIO_DEVICE_FLAGS_RESET,
		.num_regions = arg.num_regions,
		.num_irqs = arg.num_irqs,
	};
	return 0;
}

int barbuf_device_get_region(struct barbuf_device *dev, uint32_t index,
			     struct barbuf_region *region)
{
	struct vfio_region_info arg = { .argsz = sizeof(arg), .index = index };
	int ret;

	ret = dev_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &arg);
	if (ret)
		return ret;
	*region = (struct barbuf_region){
		.index = index,
		.flags = arg.flags,
		.size = arg.size,
		.offset = arg.offset,
	};
	return 0;
}

static int config_check(const struct barbuf_device *dev, uint32_t offset, size_t len)
{
	if (offset > dev->config_size || len > dev->config_size - offset)
		return -ERANGE;
	return 0;
}

int barbuf_config_read(struct barbuf_device *dev, uint32_t offset, void *buf, size_t len)
{
	const struct barbuf_sys *sys = dev->container->sys;
	ssize_t n;
	int ret;

	ret = config_check(dev, offset, len);
	if (ret)
		return ret;
	n = sys->pread(sys->ctx, dev->fd, buf, len, dev->config_offset + offset);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}

int barbuf_config_write(struct barbuf_device *dev, uint32_t offset, const void *buf, size_t len)
{
	const struct barbuf_sys *sys = dev->container->sys;
	ssize_t n;
	int ret;

	ret = config_check(dev, offset, len);
	if (ret)
		return ret;
	n = sys->pwrite(sys->ctx, dev->fd, buf, len, dev->config_offset + offset);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}

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
	return dev_ioctl(dev, VFIO_DEVICE_RESET, NULL);
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
		ret = dev_ioctl(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
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
	struct vfio_pci_hot_reset *reset;
	struct group *g;
	uint32_t count = 0;
	uint32_t i, j;
	int ret;

	ret = get_reset_set(dev, &info);
	if (ret)
		return ret;

	reset = calloc(1, sizeof(*reset) + info->count * sizeof(reset->group_fds[0]));
	if (!reset) {
		ret = -ENOMEM;
		goto out_info;
	}

	for (i = 0; i < info->count; i++) {
		for (g = dev->container->groups; g; g = g->next)
			if (g->id == info->devices[i].group_id)
				break;
		if (!g) {
			ret = -EPERM;
			goto out;
		}
		/* The kernel wants each group once. */
		for (j = 0; j < count; j++)
			if (reset->group_fds[j] == g->fd)
				break;
		if (j == count)
			reset->group_fds[count++] = g->fd;
	}
	reset->argsz = sizeof(*reset) + count * sizeof(reset->group_fds[0]);
	reset->count = count;
	ret = dev_ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, reset);
out:
	free(reset);
out_info:
	free(info);
	return ret;
}

/* One feature call. @data may be NULL when @size is 0. */
static int feature(struct barbuf_device *dev, uint32_t flags, void *data, size_t size)
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
	ret = dev_ioctl(dev, VFIO_DEVICE_FEATURE, arg);
	free(arg);
	return ret;
}

int barbuf_device_feature(struct barbuf_device *dev, uint32_t number, uint32_t op)
{
	return feature(dev, number | op | VFIO_DEVICE_FEATURE_PROBE, NULL, 0);
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
	ret = feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET, arg, size);
	free(arg);
	return ret;
}

int barbuf_device_revoke(struct barbuf_device *dev, int fd)
{
	struct vfio_device_feature_dma_buf_revoke arg = { .dmabuf_fd = fd };

	return feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE | VFIO_DEVICE_FEATURE_SET, &arg,
		       sizeof(arg));
}

int barbuf_device_set_memattr(struct barbuf_device *dev, int fd, uint32_t memattr)
{
	struct vfio_device_feature_dma_buf_memattr arg = { .dmabuf_fd = fd, .memattr = memattr };

	return feature(dev, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR | VFIO_DEVICE_FEATURE_SET, &arg,
		       sizeof(arg));
}

int barbuf_low_power_enter(struct barbuf_device *dev, int wakeup_eventfd)
{
	struct vfio_device_low_power_entry_with_wakeup arg = { .wakeup_eventfd = wakeup_eventfd };

	if (wakeup_eventfd < 0)
		return feature(dev, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET,
			       NULL, 0);
	return feature(dev,
		       VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | VFIO_DEVICE_FEATURE_SET,
		       &arg, sizeof(arg));
}

int barbuf_low_power_exit(struct barbuf_device *dev)
{
	return feature(dev, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET, NULL, 0);
}
