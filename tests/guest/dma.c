// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"

/* Containers: legacy type1, and the same calls on an iommufd ------------------*/

static void container_open(struct dma *d)
{
	if (d->way->is_iommufd) {
		need_iommufd();
		d->fd = OK(open("/dev/iommu", O_RDWR | O_CLOEXEC));
	} else {
		dev_bound("edu"); /* has the modules loaded */
		d->fd = OK(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
	}
}

static int container_attach(struct dma *d, struct dma_device *dev)
{
	char address[32], path[32];
	int group, fd, err;

	if (!dev_bind(dev->model, address, &group))
		SKIP("this lab has no %s", dev->model);
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	dev->group = OK(open(path, O_RDWR | O_CLOEXEC));
	if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &d->fd)) {
		err = errno;
		goto err_group;
	}
	/* The kernel forgets the type with the last group. */
	if (!d->nr_devices)
		OK(ioctl(d->fd, VFIO_SET_IOMMU, d->way->iommu_type));
	fd = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, address);
	err = errno;
	if (fd < 0)
		goto err_group;
	dev->dev = dev_adopt(dev->model, fd);
	return 0;

err_group:
	close(dev->group);
	errno = err;
	return -1;
}

static void container_detach(struct dma *d, struct dma_device *dev)
{
	dev_close(dev->dev);
	close(dev->group);
}

static int container_map(struct dma *d, uint64_t iova, const void *addr, uint64_t len,
			 unsigned int access)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (access & DMA_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (access & DMA_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = len,
	};

	return ioctl(d->fd, VFIO_IOMMU_MAP_DMA, &map);
}

static long container_unmap(struct dma *d, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};

	return ioctl(d->fd, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -1 : (long)unmap.size;
}

/* iommufd's own calls --------------------------------------------------------*/

static void ioas_open(struct dma *d)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	need_iommufd();
	d->fd = OK(open("/dev/iommu", O_RDWR | O_CLOEXEC));
	OK(ioctl(d->fd, IOMMU_IOAS_ALLOC, &alloc));
	d->ioas = alloc.out_ioas_id;
}

static bool cdev_path(const char *address, char *path, size_t size)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, size, "/sys/bus/pci/devices/%s/vfio-dev", address);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		found = strncmp(entry->d_name, "vfio", 4) == 0;
		if (found)
			snprintf(path, size, "/dev/vfio/devices/%.32s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Not in the headers of older systems. */
struct hwpt_alloc {
	uint32_t size, flags, dev_id, pt_id, out_hwpt_id, reserved;
};

#define HWPT_ALLOC _IO(';', 0x89)

static int ioas_attach(struct dma *d, struct dma_device *dev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = d->fd };
	struct vfio_device_attach_iommufd_pt pt = { .argsz = sizeof(pt), .pt_id = d->ioas };
	struct hwpt_alloc own = { .size = sizeof(own), .pt_id = d->ioas };
	char address[32], path[96];
	int group, fd, err;

	if (!dev_bind(dev->model, address, &group))
		SKIP("this lab has no %s", dev->model);
	if (!cdev_path(address, path, sizeof(path)))
		SKIP("this kernel has no file for each VFIO device");
	dev->group = -1;
	fd = OK(open(path, O_RDWR | O_CLOEXEC));
	if (ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		goto err_close;
	if (d->apart) {
		own.dev_id = bind.out_devid;
		OK(ioctl(d->fd, HWPT_ALLOC, &own));
		dev->hwpt = pt.pt_id = own.out_hwpt_id;
	}
	if (ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt))
		goto err_close;
	dev->dev = dev_adopt(dev->model, fd);
	return 0;

err_close:
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void ioas_detach(struct dma *d, struct dma_device *dev)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = dev->hwpt };

	dev_close(dev->dev);
	if (dev->hwpt)
		OK(ioctl(d->fd, IOMMU_DESTROY, &destroy));
}

static uint32_t ioas_flags(unsigned int access)
{
	return IOMMU_IOAS_MAP_FIXED_IOVA | (access & DMA_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
	       (access & DMA_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0);
}

static int ioas_map(struct dma *d, uint64_t iova, const void *addr, uint64_t len,
		    unsigned int access)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = ioas_flags(access),
		.ioas_id = d->ioas,
		.user_va = (uintptr_t)addr,
		.length = len,
		.iova = iova,
	};

	return ioctl(d->fd, IOMMU_IOAS_MAP, &map);
}

static int ioas_map_file(struct dma *d, uint64_t iova, int fd, uint64_t offset, uint64_t len,
			 unsigned int access)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = ioas_flags(access),
		.ioas_id = d->ioas,
		.fd = fd,
		.start = offset,
		.length = len,
		.iova = iova,
	};

	return ioctl(d->fd, IOMMU_IOAS_MAP_FILE, &map);
}

/* What the library has no use for, and a build machine's headers may lack. */
#ifndef VFIO_DEVICE_DETACH_IOMMUFD_PT
#define VFIO_DEVICE_DETACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 20)
struct vfio_device_detach_iommufd_pt {
	__u32 argsz;
	__u32 flags;
};
#endif

void ioas_join(const struct dma_device *dev, uint32_t id)
{
	struct vfio_device_attach_iommufd_pt pt = { .argsz = sizeof(pt), .pt_id = id };

	OK(ioctl(dev->dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pt));
}

void ioas_leave(const struct dma_device *dev)
{
	struct vfio_device_detach_iommufd_pt pt = { .argsz = sizeof(pt) };

	OK(ioctl(dev->dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &pt));
}

static long ioas_unmap(struct dma *d, uint64_t iova, uint64_t len)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = d->ioas,
		.iova = iova,
		.length = len,
	};

	return ioctl(d->fd, IOMMU_IOAS_UNMAP, &unmap) ? -1 : (long)unmap.length;
}

#define CONTAINER                                                                      \
	.err_suspended = EFAULT, .err_revoked = EFAULT, .err_rights = EFAULT,          \
	.open = container_open, .attach = container_attach, .detach = container_detach, \
	.map = container_map, .unmap = container_unmap

const struct dma_way dma_type1 = {
	.name = "type1",
	.iommu_type = VFIO_TYPE1v2_IOMMU,
	CONTAINER,
};

const struct dma_way dma_type1_v1 = {
	.name = "type1 v1",
	.iommu_type = VFIO_TYPE1_IOMMU,
	CONTAINER,
};

const struct dma_way dma_compat = {
	.name = "iommufd as a container",
	.is_iommufd = true,
	.iommu_type = VFIO_TYPE1v2_IOMMU,
	CONTAINER,
};

const struct dma_way dma_native = {
	.name = "iommufd",
	.by_file = true,
	.is_iommufd = true,
	.err_suspended = ENODEV,
	.err_revoked = ENODEV,
	.err_rights = EPERM,
	.open = ioas_open,
	.attach = ioas_attach,
	.detach = ioas_detach,
	.map = ioas_map,
	.map_file = ioas_map_file,
	.unmap = ioas_unmap,
};

/* What is the same for all ---------------------------------------------------*/

void dma_open(struct dma *d, const struct dma_way *way)
{
	*d = (struct dma){ .way = way };
	way->open(d);
}

void dma_close(struct dma *d)
{
	CHECK_EQ(d->nr_devices, 0);
	OK(close(d->fd));
}

struct dma_device *try_dma_add(struct dma *d, const char *model)
{
	struct dma_device *dev = calloc(1, sizeof(*dev));
	int err;

	CHECK(dev);
	dev->dma = d;
	dev->model = model;
	if (d->way->attach(d, dev)) {
		err = errno;
		free(dev);
		errno = err;
		return NULL;
	}
	d->nr_devices++;
	return dev;
}

struct dma_device *dma_add(struct dma *d, const char *model)
{
	struct dma_device *dev = try_dma_add(d, model);

	if (!dev)
		FAIL("%s into %s: %s", model, d->way->name, strerror_name(errno));
	return dev;
}

void dma_remove(struct dma_device *dev)
{
	dev->dma->way->detach(dev->dma, dev);
	dev->dma->nr_devices--;
	free(dev);
}

int try_dma_map(struct dma *d, uint64_t iova, const volatile void *addr, uint64_t len,
		unsigned int access)
{
	return d->way->map(d, iova, (const void *)addr, len, access);
}

void dma_map(struct dma *d, uint64_t iova, const volatile void *addr, uint64_t len,
	     unsigned int access)
{
	if (try_dma_map(d, iova, addr, len, access))
		FAIL("DMA mapping of %#llx bytes by %s: %s", (unsigned long long)len, d->way->name,
		     strerror_name(errno));
}

long try_dma_unmap(struct dma *d, uint64_t iova, uint64_t len)
{
	return d->way->unmap(d, iova, len);
}

void dma_unmap(struct dma *d, uint64_t iova, uint64_t len)
{
	long done = try_dma_unmap(d, iova, len);

	if (done < 0)
		FAIL("end of a DMA mapping: %s", strerror_name(errno));
	CHECK_EQ(done, len);
}

int try_dma_map_piece(struct dma *d, uint64_t iova, const struct piece *piece, uint64_t offset,
		      uint64_t len, unsigned int access)
{
	if (d->way->by_file)
		return d->way->map_file(d, iova, piece->fd, piece->offset + offset, len, access);
	return try_dma_map(d, iova, piece->addr + offset, len, access);
}

void dma_map_piece(struct dma *d, uint64_t iova, const struct piece *piece)
{
	if (try_dma_map_piece(d, iova, piece, 0, piece->size, DMA_BOTH))
		FAIL("DMA mapping of a BAR by %s: %s", d->way->name, strerror_name(errno));
}

/* The rig --------------------------------------------------------------------*/

unsigned char *dma_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static unsigned char byte_of(unsigned int seed, size_t i)
{
	return seed * 31 + i * 7 + (i >> 8) + 1;
}

static void fill(volatile unsigned char *p, unsigned int seed)
{
	size_t i;

	for (i = 0; i < RIG_BYTES; i++)
		p[i] = byte_of(seed, i);
}

static bool is_filled(const volatile unsigned char *p, unsigned int seed)
{
	size_t i;

	for (i = 0; i < RIG_BYTES; i++)
		if (p[i] != byte_of(seed, i))
			return false;
	return true;
}

void rig_clear(volatile unsigned char *p)
{
	size_t i;

	for (i = 0; i < RIG_BYTES; i++)
		p[i] = 0;
}

static bool is_clear(const volatile unsigned char *p)
{
	size_t i;

	for (i = 0; i < RIG_BYTES; i++)
		if (p[i])
			return false;
	return true;
}

/* The device gets something of its own to send. */
static void load(struct rig *rig)
{
	rig->held = ++rig->next;
	fill(rig->ram, rig->held);
	edu_fetch(&rig->edu, RIG_RAM_IOVA, RIG_BYTES);
}

void rig_edu(struct rig *rig, struct edu *edu, struct dma_device *dev)
{
	edu_start(edu, dev->dev->lib);
	rig->edu = *edu;
	load(rig);
}

void rig_use(struct rig *rig, const struct edu *edu)
{
	rig->edu = *edu;
	load(rig);
}

void rig_open(struct rig *rig, const struct dma_way *way, const char *model, unsigned int bar,
	      uint64_t size)
{
	*rig = (struct rig){ .bar = bar, .size = size };
	dma_open(&rig->dma, way);
	rig->initiator = dma_add(&rig->dma, "edu");
	rig->ram = dma_memory(PAGE);
	dma_map(&rig->dma, RIG_RAM_IOVA, rig->ram, PAGE, DMA_BOTH);
	rig_edu(rig, &rig->edu, rig->initiator);
	rig->dev = dev_open(model);
	memory_decode(rig->dev, true);
	rig->seen = map_bar(rig->dev, bar, 0, size);
	rig_need(rig);
}

void rig_need(struct rig *rig)
{
	struct piece piece;
	bool back;

	if (!rig->dma.way->is_iommufd)
		return;
	if (!rig->dma.way->by_file) {
		if (try_dma_map(&rig->dma, RIG_IOVA, rig->seen, PAGE, DMA_READ)) {
			CHECK_EQ(errno, EFAULT);
			SKIP("this kernel's iommufd maps no BAR by its address");
		}
		dma_unmap(&rig->dma, RIG_IOVA, PAGE);
		return;
	}
	piece = (struct piece){
		.fd = export_range(rig->dev, rig->bar, 0, PAGE),
		.size = PAGE,
	};
	dma_map_piece(&rig->dma, RIG_IOVA, &piece);
	memory_decode(rig->dev, false);
	memory_decode(rig->dev, true);
	back = rig_stores(rig, RIG_IOVA, rig->seen);
	dma_unmap(&rig->dma, RIG_IOVA, PAGE);
	close(piece.fd);
	if (!back)
		SKIP("this kernel's iommufd does not map a buffer again that was suspended");
}

void rig_close(struct rig *rig)
{
	if (rig->dev) {
		unmap((void *)rig->seen, rig->size);
		dev_close(rig->dev);
	}
	edu_stop(&rig->edu);
	dma_remove(rig->initiator);
	unmap(rig->ram, PAGE);
	dma_close(&rig->dma);
}

void rig_buffer(struct rig *rig, struct piece *piece, uint64_t offset, uint64_t size)
{
	*piece = (struct piece){
		.fd = export_range(rig->dev, rig->bar, offset, size),
		.size = size,
		.seen = rig->seen + offset,
	};
	CHECK(offset + size <= rig->size);
	piece->addr = map_buffer(piece->fd, 0, size);
}

void rig_bar(struct rig *rig, struct piece *piece, uint64_t offset, uint64_t size)
{
	CHECK(!rig->dma.way->by_file);
	CHECK(offset + size <= rig->size);
	*piece = (struct piece){
		.fd = OK(dup(rig->dev->fd)),
		.offset = bar_offset(rig->dev, rig->bar, offset),
		.addr = map_bar(rig->dev, rig->bar, offset, size),
		.size = size,
		.seen = rig->seen + offset,
	};
}

void piece_unmap(struct piece *piece)
{
	unmap((void *)piece->addr, piece->size);
	piece->addr = NULL;
}

void piece_close(struct piece *piece)
{
	if (piece->addr)
		piece_unmap(piece);
	OK(close(piece->fd));
}

void rig_send(struct rig *rig, uint64_t iova)
{
	edu_store(&rig->edu, iova, RIG_BYTES);
}

bool rig_arrived(struct rig *rig, const volatile unsigned char *p)
{
	if (is_filled(p, rig->held))
		return true;
	CHECK_MSG(is_clear(p), "a part of it has arrived");
	return false;
}

bool rig_stores(struct rig *rig, uint64_t iova, volatile unsigned char *p)
{
	rig_clear(p);
	rig_send(rig, iova);
	return rig_arrived(rig, p);
}

bool rig_fetches(struct rig *rig, uint64_t iova, volatile unsigned char *p)
{
	unsigned int want = ++rig->next;

	fill(p, want);
	memset(rig->ram, 0, RIG_BYTES);
	edu_fetch(&rig->edu, iova, RIG_BYTES);
	edu_store(&rig->edu, RIG_RAM_IOVA, RIG_BYTES);
	if (is_filled(rig->ram, want)) {
		rig->held = want;
		return true;
	}
	/* QEMU's device has zeroes then, or what it had. */
	CHECK(is_clear(rig->ram) || is_filled(rig->ram, rig->held));
	load(rig);
	return false;
}

/* What can be counted --------------------------------------------------------*/

static long counter(const char *path, const char *name)
{
	char line[128];
	long value = 0;
	size_t len = strlen(name);
	FILE *f = fopen(path, "re");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, len) == 0 && (line[len] == ' ' || line[len] == ':'))
			value = strtol(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

long pinned_pages(void)
{
	char buf[8];

	/* Has what each processor has counted added up. */
	read_file("/proc/sys/vm/stat_refresh", buf, sizeof(buf));
	return counter("/proc/vmstat", "nr_foll_pin_acquired") -
	       counter("/proc/vmstat", "nr_foll_pin_released");
}

long locked_bytes(void)
{
	return KIB(counter("/proc/self/status", "VmLck"));
}

bool kernel_is(const char *name)
{
	const char *kernel = getenv("LAB_KERNEL");

	return kernel && strcmp(kernel, name) == 0;
}
