/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What containers, their two kinds and devices know of each other. */
#ifndef BARBUF_DEVICE_H
#define BARBUF_DEVICE_H

#include <pthread.h>

#include <barbuf.h>

#include "sys.h"

struct vfio_pci_hot_reset_info;

/* "dddd:bb:dd.f" and the NUL; domains may have 32 bits. */
#define BARBUF__ADDRESS_SIZE 20

/* What one call of barbuf_dma_map*() made. */
struct barbuf__mapping {
	struct barbuf__mapping *next;
	uint64_t iova;
	uint64_t len;
	unsigned int access;
	void *addr;
	bool owns_addr; /* mapped by the library, until it ends */
};

/* What a container does by its interface. Results are negative errnos. */
struct barbuf__iommu {
	enum barbuf_iommu kind;
	int (*setup)(struct barbuf_container *c);
	void (*release)(struct barbuf_container *c);
	/* Sets dev->fd. Undone by closing that, and then by close_device(). */
	int (*open_device)(struct barbuf_container *c, struct barbuf_device *dev);
	void (*close_device)(struct barbuf_container *c, struct barbuf_device *dev);
	int (*hot_reset)(struct barbuf_device *dev, const struct vfio_pci_hot_reset_info *info);
	int (*map)(struct barbuf_container *c, const struct barbuf__mapping *m);
	/* May be missing, or not known to the kernel (-ENOTTY). */
	int (*map_file)(struct barbuf_container *c, const struct barbuf__mapping *m, int fd,
			uint64_t offset);
	int (*unmap)(struct barbuf_container *c, const struct barbuf__mapping *m);
	/* The last device has left. May be missing. */
	void (*unmap_all)(struct barbuf_container *c);
	/* Would a DMABUF be mapped for DMA? Where no device sees it. May be missing. */
	int (*try_import)(struct barbuf_container *c, int fd, uint64_t len);
	/* Which addresses the devices can use. The caller frees *out. */
	int (*iova_ranges)(struct barbuf_container *c, struct barbuf_range **out, size_t *nr);
};

extern const struct barbuf__iommu barbuf__type1;
extern const struct barbuf__iommu barbuf__iommufd;

/* The buffers exported from a device, while it is open. */
struct barbuf__exported {
	pthread_mutex_t lock; /* of the list; exports may run at the same time */
	struct barbuf_buffer *first;
	pid_t owner; /* a forked child lets go of its copies alone */
};

struct barbuf__group;

struct barbuf_container {
	const struct barbuf_sys *sys;
	const struct barbuf__iommu *iommu; /* NULL: the first device decides */
	int fd; /* /dev/vfio/vfio or /dev/iommu */
	pid_t owner; /* a forked child lets go of its copies alone */
	unsigned int nr_devices;
	struct barbuf__mapping *mappings;
	struct barbuf__group *groups; /* type1 */
	uint32_t ioas; /* iommufd */
};

struct barbuf_device {
	const struct barbuf_sys *sys;
	struct barbuf_container *container; /* NULL when adopted */
	struct barbuf__group *group; /* type1 */
	bool owns_container;
	int fd;
	uint64_t config_offset;
	uint64_t config_size;
	struct barbuf__exported exported;
	char address[BARBUF__ADDRESS_SIZE];
};

/* As the functions of these names, on another kernel; @sys must outlive the object. */
int barbuf__container_new(struct barbuf_container **out, enum barbuf_iommu iommu,
			  const struct barbuf_sys *sys);
int barbuf__device_adopt(struct barbuf_device **out, int fd, const struct barbuf_sys *sys);
int barbuf__device_advice(const struct barbuf_sys *sys, const char *address, int error, char *text,
			  size_t size);

const struct barbuf_sys *barbuf__device_sys(const struct barbuf_device *dev);

/* Open @dev in @c, which decides for an interface if it has not yet. */
int barbuf__container_enter(struct barbuf_container *c, struct barbuf_device *dev);
/* An open that failed has decided nothing: no device is in @c. */
void barbuf__container_undecide(struct barbuf_container *c);
/* The reverse of enter, when dev->fd is closed. */
void barbuf__container_leave(struct barbuf_container *c, struct barbuf_device *dev);

/* Can the devices use this window at all? When it cannot be told: true. */
bool barbuf__is_addressable(struct barbuf_container *c, uint64_t iova, uint64_t len);
/* Forget all mappings: the last device has left. */
void barbuf__dma_forget(struct barbuf_container *c);

/* VFIO_DEVICE_FEATURE. @data may be NULL when @size is 0. */
int barbuf__feature(struct barbuf_device *dev, uint32_t flags, void *data, size_t size);

/* Map the first page of a file and let go of it untouched. */
int barbuf__try_mmap(const struct barbuf_sys *sys, int fd, int prot);

static inline int barbuf__ioctl(const struct barbuf_sys *sys, int fd, unsigned long request,
				void *arg)
{
	return sys->ioctl(sys->ctx, fd, request, arg);
}

static inline int barbuf__ioctl_int(const struct barbuf_sys *sys, int fd, unsigned long request,
				    unsigned long arg)
{
	return sys->ioctl(sys->ctx, fd, request, (void *)arg);
}

static inline void barbuf__close(const struct barbuf_sys *sys, int fd)
{
	sys->close(sys->ctx, fd);
}

#endif
