// SPDX-License-Identifier: LGPL-2.1-or-later
/* A device: open, adopt, close; what it consists of. */
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "cap.h"
#include "device.h"
#include "sysfs.h"
#include "uapi.h"

static int dev_ioctl(const struct barbuf_device *dev, unsigned long request, void *arg)
{
	return barbuf__ioctl(dev->sys, dev->fd, request, arg);
}

static int find_config(struct barbuf_device *dev)
{
	struct barbuf_region config;
	int ret;

	ret = barbuf_device_get_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (ret)
		return ret;
	dev->config_offset = config.offset;
	dev->config_size = config.size;
	return 0;
}

int barbuf_device_open(struct barbuf_device **out, struct barbuf_container *c, const char *address)
{
	struct barbuf_device *dev;
	bool was_undecided;
	int ret;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	ret = barbuf__address_parse(dev->address, address);
	if (ret)
		goto err_free;

	if (!c) {
		ret = barbuf_container_new(&c, BARBUF_IOMMU_ANY);
		if (ret)
			goto err_free;
		dev->owns_container = true;
	}
	dev->container = c;
	dev->sys = c->sys;

	ret = barbuf__sysfs_exists(dev->sys, dev->address);
	if (ret)
		goto err_container;
	was_undecided = !c->iommu;
	ret = barbuf__container_enter(c, dev);
	if (ret)
		goto err_container;
	ret = find_config(dev);
	if (ret)
		goto err_close;

	barbuf__exported_init(&dev->exported);
	*out = dev;
	return 0;

err_close:
	barbuf__close(dev->sys, dev->fd);
	barbuf__container_leave(c, dev);
	if (was_undecided)
		barbuf__container_undecide(c);
err_container:
	if (dev->owns_container)
		barbuf_container_free(c);
err_free:
	free(dev);
	return ret;
}

/* Linux 6.17 tells the device's place in sysfs. */
static void find_address(struct barbuf_device *dev)
{
	static const char key[] = "vfio-device-syspath:";
	char path[64], text[1024];
	char *s, *last;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", dev->fd);
	if (barbuf__read_file(dev->sys, path, text, sizeof(text)) < 0)
		return;
	s = strstr(text, key);
	if (!s)
		return;
	s[strcspn(s, "\n")] = '\0';
	last = strrchr(s, '/');
	if (last && barbuf__address_parse(dev->address, last + 1))
		dev->address[0] = '\0';
}

int barbuf__device_adopt(struct barbuf_device **out, int fd, const struct barbuf_sys *sys)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct barbuf_device *dev;
	int ret;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->sys = sys;
	dev->fd = fd;

	ret = dev_ioctl(dev, VFIO_DEVICE_GET_INFO, &info);
	if (!ret && !(info.flags & VFIO_DEVICE_FLAGS_PCI))
		ret = -ENODEV;
	if (!ret)
		ret = find_config(dev);
	if (ret) {
		free(dev);
		return ret;
	}
	find_address(dev);
	barbuf__exported_init(&dev->exported);
	*out = dev;
	return 0;
}

int barbuf_device_adopt(struct barbuf_device **out, int fd)
{
	return barbuf__device_adopt(out, fd, &barbuf__sys_linux);
}

void barbuf_device_close(struct barbuf_device *dev)
{
	if (!dev)
		return;
	/* The kernel would wait for whoever else holds the device open, a BAR's mapping too. */
	barbuf__exported_end(dev);
	barbuf__close(dev->sys, dev->fd);
	if (dev->container)
		barbuf__container_leave(dev->container, dev);
	if (dev->owns_container)
		barbuf_container_free(dev->container);
	free(dev);
}

int barbuf_device_fd(const struct barbuf_device *dev)
{
	return dev->fd;
}

const char *barbuf_device_address(const struct barbuf_device *dev)
{
	return dev->address;
}

struct barbuf_container *barbuf_device_container(const struct barbuf_device *dev)
{
	return dev->container;
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
		.flags =
			arg.flags & (BARBUF_REGION_READ | BARBUF_REGION_WRITE | BARBUF_REGION_MMAP),
		.size = arg.size,
		.offset = arg.offset,
	};
	return 0;
}

static const struct vfio_region_info_cap_sparse_mmap *
find_sparse(const struct vfio_region_info *info)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	uint32_t pos;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
		return NULL;
	sparse = barbuf__find_cap(info, info->argsz, info->cap_offset,
				  VFIO_REGION_INFO_CAP_SPARSE_MMAP, sizeof(*sparse));
	if (!sparse)
		return NULL;
	pos = (const char *)sparse - (const char *)info;
	if (sparse->nr_areas > (info->argsz - pos - sizeof(*sparse)) / sizeof(sparse->areas[0]))
		return NULL;
	return sparse;
}

static int by_offset(const void *a, const void *b)
{
	const struct barbuf_range *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

int barbuf_device_get_areas(struct barbuf_device *dev, uint32_t index, struct barbuf_range *areas,
			    size_t *nr)
{
	const struct vfio_region_info head = { .index = index };
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	const struct vfio_region_info *info;
	size_t room = *nr, i;
	void *answer;
	int ret;

	ret = barbuf__get_info(dev->sys, dev->fd, VFIO_DEVICE_GET_REGION_INFO, &head, sizeof(head),
			       &answer);
	if (ret)
		return ret;
	info = answer;
	sparse = find_sparse(info);

	*nr = 0;
	if (sparse && info->flags & VFIO_REGION_INFO_FLAG_MMAP) {
		for (i = 0; i < sparse->nr_areas; i++)
			*nr += !!sparse->areas[i].size;
	} else if (info->flags & VFIO_REGION_INFO_FLAG_MMAP) {
		*nr = 1;
	}
	if (*nr > room) {
		ret = -ENOSPC;
	} else if (*nr && !sparse) {
		areas[0] = (struct barbuf_range){ 0, info->size };
	} else if (*nr) {
		for (i = 0; i < sparse->nr_areas; i++)
			if (sparse->areas[i].size)
				*areas++ = (struct barbuf_range){ sparse->areas[i].offset,
								  sparse->areas[i].size };
		qsort(areas - *nr, *nr, sizeof(*areas), by_offset);
	}
	free(answer);
	return ret;
}

/* Where a capability is in configuration space. */
static int find_capability(struct barbuf_device *dev, uint8_t id, uint8_t *out)
{
	uint8_t pos, entry[2];
	uint16_t status;
	int ret, n;

	ret = barbuf_config_read(dev, PCI_STATUS, &status, sizeof(status));
	if (ret)
		return ret;
	if (!(le16toh(status) & PCI_STATUS_CAP_LIST))
		return -ENOENT;
	ret = barbuf_config_read(dev, PCI_CAPABILITY_LIST, &pos, sizeof(pos));
	if (ret)
		return ret;
	/* As many as fit, should the list be a circle. */
	for (n = 0; n < 48; n++) {
		pos &= ~3;
		if (pos < PCI_STD_HEADER_SIZEOF)
			break;
		ret = barbuf_config_read(dev, pos, entry, sizeof(entry));
		if (ret)
			return ret;
		if (entry[0] == 0xff)
			break;
		if (entry[0] == id) {
			*out = pos;
			return 0;
		}
		pos = entry[1];
	}
	return -ENOENT;
}

int barbuf_device_get_msix(struct barbuf_device *dev, uint32_t *table_bar,
			   struct barbuf_range *table, uint32_t *pba_bar, struct barbuf_range *pba)
{
	uint32_t where[2];
	uint16_t flags;
	uint64_t count;
	uint8_t pos;
	int ret;

	ret = find_capability(dev, PCI_CAP_ID_MSIX, &pos);
	if (ret)
		return ret;
	ret = barbuf_config_read(dev, pos + PCI_MSIX_FLAGS, &flags, sizeof(flags));
	if (!ret)
		ret = barbuf_config_read(dev, pos + PCI_MSIX_TABLE, where, sizeof(where));
	if (ret)
		return ret;

	count = (le16toh(flags) & PCI_MSIX_FLAGS_QSIZE) + 1;
	where[0] = le32toh(where[0]);
	where[1] = le32toh(where[1]);
	*table_bar = where[0] & PCI_MSIX_TABLE_BIR;
	*table = (struct barbuf_range){ where[0] & PCI_MSIX_TABLE_OFFSET,
					count * PCI_MSIX_ENTRY_SIZE };
	*pba_bar = where[1] & PCI_MSIX_PBA_BIR;
	/* a bit each, in words of 64 */
	*pba = (struct barbuf_range){ where[1] & PCI_MSIX_PBA_OFFSET, (count + 63) / 64 * 8 };
	return 0;
}
