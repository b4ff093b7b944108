/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI device bound to vfio-pci, opened through its IOMMU group and a type1
 * container.
 *
 * Unless said otherwise a function returns 0 or a negative errno, and what the
 * kernel answered is passed on unchanged. Nothing is printed, and there is no
 * global state.
 *
 * Threads: calls on one device that only read the handle (all but open and
 * close) may run at the same time. Open and close of devices of one container
 * must not run at the same time as each other or as barbuf_device_hot_reset().
 */
#ifndef BARBUF_DEVICE_H
#define BARBUF_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf/uapi.h>

struct barbuf_container;
struct barbuf_device;

/* What VFIO_DEVICE_GET_INFO says. */
struct barbuf_device_info {
	bool can_reset; /* barbuf_device_reset() is offered */
	uint32_t num_regions;
	uint32_t num_irqs;
};

/* One region (a BAR, the ROM, config space). Size 0: not implemented. */
struct barbuf_region {
	uint32_t index;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* */
	uint64_t size; /* bytes */
	uint64_t offset; /* where it starts in the device fd, bytes */
};

/**
 * barbuf_container_new() - make a container for devices of one owner
 * @out: the new container, the caller's until barbuf_container_free()
 *
 * Devices that shall be reset together, or share DMA mappings, go into one
 * container.
 *
 * Errors: -ENOMEM; those of opening /dev/vfio/vfio; -EPROTONOSUPPORT: the
 * kernel's VFIO speaks another API version or has no type1 IOMMU.
 */
int barbuf_container_new(struct barbuf_container **out);

/**
 * barbuf_container_free() - give a container back
 * @c: container or NULL; every device opened in it must have been closed
 *
 * Errors: -EBUSY: a device is still open; nothing was done.
 */
int barbuf_container_free(struct barbuf_container *c);

/**
 * barbuf_device_open() - open a device
 * @out: the device, the caller's until barbuf_device_close()
 * @c: container to open it in, or NULL for one of its own
 * @address: PCI address as in sysfs, "dddd:bb:dd.f"
 *
 * A group is opened when the first of its devices is, and closed with the last.
 *
 * Errors: -EINVAL: no PCI address; -ENODEV: no such device; -ENXIO: it is in no
 * IOMMU group; -EPERM: the group holds devices that are bound to other drivers;
 * -EBUSY: the group is open elsewhere; -ENOMEM; those of the system calls.
 */
int barbuf_device_open(struct barbuf_device **out, struct barbuf_container *c, const char *address);

/* Close the device, and its group and own container with the last. NULL is fine. */
void barbuf_device_close(struct barbuf_device *dev);

/* The VFIO device fd. It stays the device's: do not close it. */
int barbuf_device_fd(const struct barbuf_device *dev);

/* The address that it was opened with, for messages. Lives as long as the device. */
const char *barbuf_device_address(const struct barbuf_device *dev);

int barbuf_device_get_info(struct barbuf_device *dev, struct barbuf_device_info *info);

/* Describe region @index (VFIO_PCI_BAR0_REGION_INDEX...). -EINVAL: no such index. */
int barbuf_device_get_region(struct barbuf_device *dev, uint32_t index,
			     struct barbuf_region *region);

/**
 * barbuf_config_read() - read PCI configuration space
 * @offset: in bytes from the start of configuration space
 * @len: bytes; all or nothing is read
 *
 * Values are as PCI has them, little-endian.
 *
 * Errors: -ERANGE: past the end; -EIO: the kernel moved fewer bytes.
 */
int barbuf_config_read(struct barbuf_device *dev, uint32_t offset, void *buf, size_t len);

/* Write PCI configuration space. As barbuf_config_read(). */
int barbuf_config_write(struct barbuf_device *dev, uint32_t offset, const void *buf, size_t len);

/* Reset this function alone. -EOPNOTSUPP: the device has no such reset. */
int barbuf_device_reset(struct barbuf_device *dev);

/**
 * barbuf_device_hot_reset() - reset the bus or slot the device is on
 * @dev: one device of the set
 *
 * Every device that shares the bus is reset. Their groups must be open in
 * the container of @dev: this is how VFIO has the ownership proven.
 *
 * Errors: -ENODEV: the device cannot be reset so; -EPERM: a device of the set
 * is in a group that this container does not have open; -ENOMEM; the kernel's.
 */
int barbuf_device_hot_reset(struct barbuf_device *dev);

/**
 * barbuf_device_feature_probe() - ask whether a feature can be used
 * @feature: VFIO_DEVICE_FEATURE_* number
 * @op: VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET or both
 *
 * Errors: -ENOTTY: the kernel does not know the feature; the kernel's.
 */
int barbuf_device_feature_probe(struct barbuf_device *dev, uint32_t feature, uint32_t op);

/**
 * barbuf_export() - make a buffer of ranges of one BAR
 * @region: BAR index, 0 to 5
 * @ranges: offset and length in bytes within the BAR, both multiples of the
 *	page size; the buffer's offsets run through them in this order
 * @nr_ranges: how many
 * @open_flags: O_RDONLY or O_RDWR, with or without O_CLOEXEC
 *
 * Return: the buffer's fd, the caller's to close, or a negative errno.
 * -EINVAL: no range, or one that is empty, unaligned or outside of the BAR;
 * -ENODEV: no memory BAR of this index; -EOPNOTSUPP or -ENOTTY: the kernel or
 * driver cannot export; -E2BIG: more ranges than the kernel takes (barbuf:
 * 262,144) or the ioctl can name; -ENOMEM.
 */
int barbuf_export(struct barbuf_device *dev, uint32_t region,
		  const struct vfio_region_dma_range *ranges, size_t nr_ranges, int open_flags);

/**
 * barbuf_revoke() - end every access to an exported buffer, for ever
 * @dev: the device that the buffer was exported from
 * @fd: any fd of the buffer; it stays open
 *
 * When this returns no mapping of the buffer works any more, in any process.
 *
 * Errors: -EBADF: @fd is no fd; -EINVAL: no DMABUF; -ENODEV: of another device;
 * -EBADFD: already revoked; -ENOTTY: the kernel cannot revoke.
 */
int barbuf_revoke(struct barbuf_device *dev, int fd);

/**
 * barbuf_set_memattr() - choose how later mappings of an exported buffer are made
 * @dev: the device that the buffer was exported from
 * @fd: any fd of the buffer; it stays open
 * @memattr: VFIO_DEVICE_DMA_BUF_MEMATTR_NC or VFIO_DEVICE_DMA_BUF_MEMATTR_WC
 *
 * Mappings that exist keep what they have.
 *
 * Errors: -ENOENT: @memattr is not known; -EBADF: @fd is no fd; -EINVAL: no DMABUF;
 * -ENODEV: of another device; -ENOTTY: the kernel has no choice.
 */
int barbuf_set_memattr(struct barbuf_device *dev, int fd, uint32_t memattr);

/**
 * barbuf_low_power_enter() - let the device sleep
 * @wakeup_eventfd: eventfd to signal on a wake-up that was not asked for by
 *	barbuf_low_power_exit(), or -1
 *
 * BAR mappings do not work until it is over.
 *
 * Errors: -EINVAL: already entered; -ENOTTY: not supported.
 */
int barbuf_low_power_enter(struct barbuf_device *dev, int wakeup_eventfd);

/* Wake the device up again. */
int barbuf_low_power_exit(struct barbuf_device *dev);

#endif
