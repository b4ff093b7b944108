// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fake_kernel.h"
#include "uapi.h"

struct fake_kernel k;

static const struct {
	const char *address;
	const char *group;
	const char *cdev;
	const char *driver;
} devices[] = {
	{ A0, "12", "vfio0", "vfio-pci" }, { A1, "12", "vfio1", "vfio-pci" },
	{ B0, "7", "vfio2", "vfio-pci" },  { SHARED, "8", "vfio3", "vfio-pci" },
	{ OTHER, "8", NULL, "snd_intel" }, { FREE, NULL, NULL, NULL },
};

#define NR_DEVICES (sizeof(devices) / sizeof(devices[0]))

void fresh_kernel(void)
{
	memset(&k, 0, sizeof(k));
	k.fail_with = -EIO;
	k.has_type1 = 1;
	k.has_iommufd = true;
	k.has_vfio = true;
	k.has_cdevs = true;
	k.has_map_file = true;
	k.a1_driver = "vfio-pci";
	k.memlock.rlim_cur = RLIM_INFINITY;
	k.mode = S_IFCHR | 0600;
	k.device_flags = VFIO_DEVICE_FLAGS_PCI;
	k.region_flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_MMAP;
	k.set_size = 2;
	k.set_groups[0] = k.set_groups[1] = 12;
	k.short_io = -1;
}

static bool fails(void)
{
	return ++k.calls == k.fail_at;
}

unsigned int open_count(void)
{
	unsigned int n = 0;
	int i;

	for (i = 0; i < NR_FDS; i++)
		n += k.fds[i].kind != CLOSED;
	return n;
}

/* 0 is given out first: a library that takes 0 for "none" is caught. */
int fake_fd(enum kind kind)
{
	int fd;

	for (fd = 0; fd < NR_FDS; fd++) {
		if (k.fds[fd].kind == CLOSED) {
			k.fds[fd] = (struct fake_file){ .kind = kind };
			return fd;
		}
	}
	abort();
}

static int open_text(const char *path)
{
	size_t i;
	int fd;

	for (i = 0; i < sizeof(k.texts) / sizeof(k.texts[0]); i++) {
		if (!k.texts[i].path || strcmp(k.texts[i].path, path))
			continue;
		fd = fake_fd(TEXT);
		k.fds[fd].text = k.texts[i].text;
		return fd;
	}
	return -ENOENT;
}

static int open_group(unsigned int group)
{
	int i, fd;

	for (i = 0; i < NR_FDS; i++)
		if ((k.fds[i].kind == GROUP && k.fds[i].group == group) ||
		    (k.fds[i].bound && k.fds[i].group == group))
			return -EBUSY;
	if (k.open_group)
		return k.open_group;
	fd = fake_fd(GROUP);
	k.fds[fd].group = group;
	return fd;
}

static int open_cdev(const char *name)
{
	size_t i;
	int fd;

	if (k.open_cdev)
		return k.open_cdev;
	for (i = 0; i < NR_DEVICES; i++) {
		if (!devices[i].cdev || strcmp(devices[i].cdev, name))
			continue;
		fd = fake_fd(DEVICE);
		k.fds[fd].cdev = true;
		k.fds[fd].group = atoi(devices[i].group);
		snprintf(k.fds[fd].address, sizeof(k.fds[fd].address), "%s", devices[i].address);
		return fd;
	}
	return -ENOENT;
}

static int fake_open(void *ctx, const char *path, int flags)
{
	static const char cdevs[] = "/dev/vfio/devices/";
	unsigned int group;

	if (fails())
		return k.fail_with;
	if (!(flags & O_CLOEXEC))
		k.violations++;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return open_text(path);
	if ((flags & O_ACCMODE) != O_RDWR)
		k.violations++;
	if (!strcmp(path, "/dev/vfio/vfio"))
		return k.has_vfio ? fake_fd(CONTAINER) : -ENOENT;
	if (!strcmp(path, "/dev/iommu")) {
		if (k.open_iommufd)
			return k.open_iommufd;
		return k.has_iommufd ? fake_fd(IOMMUFD) : -ENOENT;
	}
	if (!strncmp(path, cdevs, strlen(cdevs)))
		return k.has_cdevs ? open_cdev(path + strlen(cdevs)) : -ENOENT;
	if (k.has_vfio && sscanf(path, "/dev/vfio/%u", &group) == 1)
		return open_group(group);
	return -ENOENT;
}

static int fake_close(void *ctx, int fd)
{
	bool type1 = false, iommufd = false;
	int i;

	if (fd < 0 || fd >= NR_FDS || k.fds[fd].kind == CLOSED) {
		k.violations++;
		return -EBADF;
	}
	/* A group must not go before its devices, nor a container before its groups,
	 * nor an iommufd before its devices. */
	for (i = 0; i < NR_FDS; i++)
		if ((k.fds[fd].kind == GROUP && k.fds[i].kind == DEVICE && !k.fds[i].cdev &&
		     k.fds[i].group == k.fds[fd].group) ||
		    (k.fds[fd].kind == CONTAINER && k.fds[i].kind == GROUP && k.fds[i].attached) ||
		    (k.fds[fd].kind == IOMMUFD && k.fds[i].bound))
			k.violations++;
	k.fds[fd] = (struct fake_file){ .kind = CLOSED };
	for (i = 0; i < NR_FDS; i++) {
		type1 |= k.fds[i].kind == GROUP && k.fds[i].attached;
		iommufd |= k.fds[i].kind == IOMMUFD;
	}
	if (!type1) {
		/* an IOAS keeps its mappings without a device */
		if (k.has_iommu || !iommufd)
			k.nr_dma = 0;
		k.has_iommu = false;
	}
	return 0;
}

/* readlink() writes no NUL: a library that relies on one must fail. */
static ssize_t link_to(char *buf, size_t size, const char *where, const char *name)
{
	snprintf(buf, size, "%s%s#", where, name);
	return strlen(buf) - 1;
}

static ssize_t fake_readlink(void *ctx, const char *path, char *buf, size_t size)
{
	const char *driver;
	char want[128];
	size_t i;

	if (fails())
		return k.fail_with;
	if (k.process.pid) {
		snprintf(want, sizeof(want), "/proc/%s/fd/3", k.process.pid);
		if (!strcmp(path, want))
			return link_to(buf, size, "", k.process.open);
	}
	for (i = 0; i < NR_DEVICES; i++) {
		snprintf(want, sizeof(want), "/sys/bus/pci/devices/%s", devices[i].address);
		if (strncmp(path, want, strlen(want)))
			continue;
		path += strlen(want);
		if (!*path)
			return link_to(buf, size, "../../../devices/pci0000:00/",
				       devices[i].address);
		driver = strcmp(devices[i].address, A1) ? devices[i].driver : k.a1_driver;
		if (!strcmp(path, "/iommu_group") && devices[i].group)
			return link_to(buf, size, "../../../kernel/iommu_groups/",
				       devices[i].group);
		if (!strcmp(path, "/driver") && driver)
			return link_to(buf, size, "../../../bus/pci/drivers/", driver);
	}
	return -ENOENT;
}

/* A list as scandir() makes it, with "." in front. */
static int make_list(struct dirent ***list, const char *const *names, int n)
{
	int i;

	*list = calloc(n + 1, sizeof(**list));
	for (i = 0; i <= n; i++) {
		(*list)[i] = calloc(1, sizeof(struct dirent));
		snprintf((*list)[i]->d_name, sizeof((*list)[i]->d_name), "%s",
			 i ? names[i - 1] : ".");
	}
	return n + 1;
}

static int fake_scandir(void *ctx, const char *path, struct dirent ***list)
{
	const char *names[NR_DEVICES];
	char want[128];
	size_t i, j;
	int n = 0;

	if (fails())
		return k.fail_with;
	if (!strcmp(path, "/sys/class/iommu")) {
		names[0] = "dmar0";
		return make_list(list, names, !k.no_iommus);
	}
	if (!strcmp(path, "/proc")) {
		names[0] = "self";
		names[1] = k.process.pid;
		return make_list(list, names, k.process.pid ? 2 : 1);
	}
	if (k.process.pid) {
		snprintf(want, sizeof(want), "/proc/%s/fd", k.process.pid);
		names[0] = "3";
		if (!strcmp(path, want))
			return make_list(list, names, 1);
	}
	for (i = 0; i < NR_DEVICES; i++) {
		snprintf(want, sizeof(want), "/sys/bus/pci/devices/%s/vfio-dev",
			 devices[i].address);
		if (!strcmp(path, want) && devices[i].cdev)
			return make_list(list, &devices[i].cdev, 1);
		snprintf(want, sizeof(want), "/sys/bus/pci/devices/%s/iommu_group/devices",
			 devices[i].address);
		if (strcmp(path, want) || !devices[i].group)
			continue;
		for (j = 0; j < NR_DEVICES; j++)
			if (devices[j].group && !strcmp(devices[i].group, devices[j].group))
				names[n++] = devices[j].address;
		return make_list(list, names, n);
	}
	return -ENOENT;
}

static int fake_stat(void *ctx, const char *path, struct stat *st)
{
	unsigned int group;
	bool there;

	if (fails())
		return k.fail_with;
	if (!strcmp(path, "/sys/bus/pci/drivers/vfio-pci"))
		there = !k.no_vfio_pci;
	else if (!strcmp(path, "/dev/iommu"))
		there = k.has_iommufd;
	else if (!strncmp(path, "/dev/vfio/devices/", 18))
		there = k.has_cdevs;
	else
		there = k.has_vfio && (!strcmp(path, "/dev/vfio/vfio") ||
				       sscanf(path, "/dev/vfio/%u", &group) == 1);
	if (!there)
		return -ENOENT;
	*st = (struct stat){ .st_mode = k.mode, .st_uid = 5, .st_gid = 6 };
	return 0;
}

static int fake_getrlimit(void *ctx, int resource, struct rlimit *limit)
{
	if (fails())
		return k.fail_with;
	*limit = k.memlock;
	return 0;
}

static int hot_reset_info(struct vfio_pci_hot_reset_info *info)
{
	unsigned int i;
	size_t room;

	if (!k.set_size)
		return -ENODEV;
	room = (info->argsz - sizeof(*info)) / sizeof(info->devices[0]);
	info->flags = k.set_flags;
	info->count = k.set_size;
	if (room < k.set_size) {
		if (k.set_grows) {
			k.set_grows--;
			k.set_size++;
		}
		return -ENOSPC;
	}
	for (i = 0; i < k.set_size; i++)
		info->devices[i].group_id = k.set_groups[i];
	return 0;
}

static int region_info(struct vfio_region_info *info)
{
	uint32_t argsz = info->argsz;

	if (argsz < sizeof(*info) || info->index >= 9)
		return -EINVAL;
	info->offset = (uint64_t)info->index << 40;
	info->size = info->index == VFIO_PCI_CONFIG_REGION_INDEX ? CONFIG_SIZE : 4096;
	if (k.bar4_is_large && info->index == 4)
		info->size *= 2;
	info->flags = k.region_flags;
	if (info->index == 2 && k.region_caps) {
		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info->argsz = sizeof(*info) + k.region_caps_size;
		if (argsz >= info->argsz) {
			info->cap_offset = sizeof(*info);
			memcpy(info + 1, k.region_caps, k.region_caps_size);
		}
	}
	return 0;
}

static int device_ioctl(struct fake_file *file, unsigned long request, void *arg)
{
	if (file->cdev && !file->bound)
		return -EINVAL;
	switch (request) {
	case VFIO_DEVICE_GET_INFO: {
		struct vfio_device_info *info = arg;

		info->flags = k.device_flags | (k.can_reset ? VFIO_DEVICE_FLAGS_RESET : 0);
		info->num_regions = 9;
		info->num_irqs = 5;
		return info->argsz >= 20 ? 0 : -EINVAL;
	}
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_RESET:
		k.resets++;
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return hot_reset_info(arg);
	case VFIO_DEVICE_PCI_HOT_RESET: {
		struct vfio_pci_hot_reset *reset = arg;

		/* no groups where there are none, and the reverse */
		if (!!reset->count == file->cdev)
			return -EINVAL;
		k.nr_reset_fds = reset->count;
		memcpy(k.reset_fds, reset->group_fds, reset->count * sizeof(int));
		return 0;
	}
	case VFIO_DEVICE_FEATURE: {
		struct vfio_device_feature *feature = arg;
		size_t n = feature->argsz - sizeof(*feature);

		k.feature_argsz = feature->argsz;
		k.feature_flags = feature->flags;
		memcpy(k.feature_data, feature->data,
		       n < sizeof(k.feature_data) ? n : sizeof(k.feature_data));
		if (k.exports && (feature->flags & VFIO_DEVICE_FEATURE_MASK) == 11) {
			const struct vfio_device_feature_dma_buf *export = (void *)feature->data;

			k.nr_exported = export->nr_ranges;
			memcpy(k.exported, export->dma_ranges,
			       (k.nr_exported < 2 ? k.nr_exported : 2) * sizeof(k.exported[0]));
			return fake_fd(BUFFER);
		}
		return k.feature_result;
	}
	}
	return -ENOTTY;
}

static int bind_cdev(struct fake_file *file, struct vfio_device_bind_iommufd *bind)
{
	int i;

	if (bind->argsz < 16 || bind->flags || bind->iommufd < 0 ||
	    k.fds[bind->iommufd].kind != IOMMUFD)
		return -EINVAL;
	if (k.bind_result)
		return k.bind_result;
	for (i = 0; i < NR_FDS; i++) {
		if (k.fds[i].bound && !strcmp(k.fds[i].address, file->address))
			return -EINVAL;
		if (k.fds[i].kind == GROUP && k.fds[i].group == file->group)
			return -EBUSY;
	}
	file->bound = true;
	return 0;
}

static int add_mapping(const struct fake_mapping *m)
{
	unsigned int i;

	if (k.map_result)
		return k.map_result;
	for (i = 0; i < k.nr_dma; i++)
		if (m->iova < k.dma[i].iova + k.dma[i].len && k.dma[i].iova < m->iova + m->len)
			return -EEXIST;
	if (m->iova + m->len - 1 > LAST_IOVA)
		return -EINVAL;
	k.dma[k.nr_dma++] = *m;
	return 0;
}

static int remove_mapping(uint64_t iova, uint64_t len)
{
	unsigned int i;

	if (!iova && len == UINT64_MAX) {
		k.nr_dma = 0;
		return 0;
	}
	for (i = 0; i < k.nr_dma; i++) {
		if (k.dma[i].iova == iova && k.dma[i].len == len) {
			k.dma[i] = k.dma[--k.nr_dma];
			return 0;
		}
	}
	k.violations++; /* the library is to know */
	return -ENOENT;
}

static int iommufd_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case IOMMU_IOAS_ALLOC: {
		struct iommu_ioas_alloc *alloc = arg;

		/* The second is one to try in, for as long as that takes. */
		alloc->out_ioas_id = k.has_ioas ? 78 : 77;
		if (k.has_ioas && k.has_scratch++)
			k.violations++;
		k.has_ioas = true;
		return alloc->size == 12 && !alloc->flags ? 0 : -EINVAL;
	}
	case IOMMU_DESTROY: {
		struct iommu_destroy *destroy = arg;

		if (destroy->size != 8 || destroy->id != 78 || !k.has_scratch)
			return -EINVAL;
		k.has_scratch = 0;
		return 0;
	}
	case IOMMU_IOAS_IOVA_RANGES: {
		static const struct iommu_iova_range have[] = { { 0, 0xfedfffff },
								{ 0xfef00000, LAST_IOVA } };
		struct iommu_ioas_iova_ranges *ranges = arg;
		uint32_t room = ranges->num_iovas;

		ranges->num_iovas = 2;
		if (ranges->ioas_id != 77)
			return -ENOENT;
		if (room < 2)
			return -EMSGSIZE;
		memcpy((void *)(uintptr_t)ranges->allowed_iovas, have, sizeof(have));
		return 0;
	}
	case IOMMU_IOAS_MAP: {
		struct iommu_ioas_map *map = arg;

		if (map->size != 40 || map->__reserved || map->ioas_id != 77)
			return -EINVAL;
		return add_mapping(&(struct fake_mapping){ map->iova, map->length, map->user_va, 0,
							   map->flags, -1 });
	}
	case IOMMU_IOAS_MAP_FILE: {
		struct iommu_ioas_map_file *map = arg;

		if (!k.has_map_file)
			return -ENOTTY;
		if (map->size == 40 && map->ioas_id == 78 && k.has_scratch)
			return map->length > 4096 ? k.map_two_result : 0;
		if (map->size != 40 || map->ioas_id != 77 ||
		    !(map->flags & IOMMU_IOAS_MAP_FIXED_IOVA))
			return -EINVAL;
		return add_mapping(&(struct fake_mapping){ map->iova, map->length, 0, map->start,
							   map->flags, map->fd });
	}
	case IOMMU_IOAS_UNMAP: {
		struct iommu_ioas_unmap *unmap = arg;

		if (unmap->size != 24 || unmap->ioas_id != 77)
			return -EINVAL;
		return remove_mapping(unmap->iova, unmap->length);
	}
	}
	return -ENOTTY;
}

static int type1_info(struct vfio_iommu_type1_info *info)
{
	struct {
		struct vfio_info_cap_header other;
		uint64_t nothing;
		struct vfio_iommu_type1_info_cap_iova_range cap;
		struct vfio_iova_range have[2];
	} caps = {
		.other = { .id = 3, .next = sizeof(*info) + 16 },
		.cap = { .header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .nr_iovas = 2 },
		.have = { { 0, 0xfedfffff }, { 0xfef00000, LAST_IOVA } },
	};
	uint32_t argsz = info->argsz;

	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->argsz = sizeof(*info) + sizeof(caps);
	if (argsz >= info->argsz) {
		info->cap_offset = sizeof(*info);
		memcpy(info + 1, &caps, sizeof(caps));
	}
	return 0;
}

static int container_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GET_API_VERSION:
		return k.api_version;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)arg == VFIO_REVOCABLE_MMIO ? k.has_type1_revoke : k.has_type1;
	case VFIO_SET_IOMMU:
		if (k.has_iommu)
			return -EINVAL;
		k.has_iommu = true;
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return type1_info(arg);
	case VFIO_IOMMU_MAP_DMA: {
		struct vfio_iommu_type1_dma_map *map = arg;

		if (map->argsz != 32 || !k.has_iommu)
			return -EINVAL;
		return add_mapping(&(struct fake_mapping){ map->iova, map->size, map->vaddr, 0,
							   map->flags, -1 });
	}
	case VFIO_IOMMU_UNMAP_DMA: {
		struct vfio_iommu_type1_dma_unmap *unmap = arg;

		return remove_mapping(unmap->iova, unmap->size);
	}
	}
	return -ENOTTY;
}

static int group_ioctl(struct fake_file *file, unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS: {
		struct vfio_group_status *status = arg;

		status->flags = file->group == 8 ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	}
	case VFIO_GROUP_SET_CONTAINER:
		if (k.fds[*(int *)arg].kind != CONTAINER)
			k.violations++;
		file->attached = true;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD: {
		unsigned int group = file->group;
		int fd;

		if (!file->attached || !k.has_iommu)
			return -EINVAL;
		if (!strcmp(arg, A1) && !k.a1_driver)
			return -ENODEV;
		fd = fake_fd(DEVICE);
		k.fds[fd].group = group;
		return fd;
	}
	}
	return -ENOTTY;
}

static int fake_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct fake_file *file;

	if (fd < 0 || fd >= NR_FDS || k.fds[fd].kind == CLOSED)
		return -EBADF;
	if (fails())
		return k.fail_with;
	file = &k.fds[fd];
	switch (file->kind) {
	case CONTAINER:
		return container_ioctl(request, arg);
	case GROUP:
		return group_ioctl(file, request, arg);
	case IOMMUFD:
		return iommufd_ioctl(request, arg);
	case DEVICE:
		if (request == VFIO_DEVICE_BIND_IOMMUFD)
			return bind_cdev(file, arg);
		if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
			struct vfio_device_attach_iommufd_pt *attach = arg;

			if (attach->argsz < 12 || attach->flags || attach->pt_id != 77 ||
			    !file->bound)
				return -EINVAL;
			file->attached = true;
			return 0;
		}
		return device_ioctl(file, request, arg);
	default:
		return -ENOTTY;
	}
}

static ssize_t fake_pread(void *ctx, int fd, void *buf, size_t len, off_t offset)
{
	size_t left;

	if (fails())
		return k.fail_with;
	if (k.fds[fd].kind == TEXT) {
		left = strlen(k.fds[fd].text) - offset;
		/* a little at a time, as files of /proc may */
		len = left < len ? left : len;
		len = len < 7 ? len : 7;
		memcpy(buf, k.fds[fd].text + offset, len);
		return len;
	}
	k.io_offset = offset;
	if (k.has_config)
		memcpy(buf, k.config + (offset - CONFIG_OFFSET), len);
	else
		memset(buf, 0x5a, len);
	return k.short_io >= 0 ? k.short_io : (ssize_t)len;
}

static ssize_t fake_pwrite(void *ctx, int fd, const void *buf, size_t len, off_t offset)
{
	if (fails())
		return k.fail_with;
	k.io_offset = offset;
	return k.short_io >= 0 ? k.short_io : (ssize_t)len;
}

static int fake_mmap(void *ctx, void **addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (fails())
		return k.fail_with;
	if (k.mmap_result)
		return k.mmap_result;
	if ((flags & ~MAP_NORESERVE) != MAP_SHARED || fd < 0)
		k.violations++;
	k.mmaps++;
	k.mmap_offset = offset;
	k.mmap_prot = prot;
	*addr = (void *)0x700000000000;
	return 0;
}

static int fake_munmap(void *ctx, void *addr, size_t len)
{
	if (!k.mmaps || addr != (void *)0x700000000000)
		k.violations++;
	else
		k.mmaps--;
	return 0;
}

const struct barbuf_sys fake = {
	.open = fake_open,
	.close = fake_close,
	.readlink = fake_readlink,
	.ioctl = fake_ioctl,
	.pread = fake_pread,
	.pwrite = fake_pwrite,
	.mmap = fake_mmap,
	.munmap = fake_munmap,
	.scandir = fake_scandir,
	.stat = fake_stat,
	.getrlimit = fake_getrlimit,
};
