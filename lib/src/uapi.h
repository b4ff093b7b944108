/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of VFIO's and iommufd's user interface that barbuf needs and that
 * installed kernel headers may not have yet. Where they have it, theirs is used.
 */
#ifndef BARBUF_UAPI_H
#define BARBUF_UAPI_H

#include <linux/types.h>
#include <linux/vfio.h>
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#endif

/* Linux 6.19: export ranges of one BAR as a DMABUF. The ioctl returns its fd. */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF 11

struct vfio_region_dma_range {
	__u64 offset;
	__u64 length;
};

struct vfio_device_feature_dma_buf {
	__u32 region_index;
	__u32 open_flags;
	__u32 flags;
	__u32 nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};
#endif

/* barbuf: end all access to one exported buffer, for ever. SET. */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE
#define VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE 14

struct vfio_device_feature_dma_buf_revoke {
	__s32 dmabuf_fd;
};
#endif

/* barbuf: how later mappings of one exported buffer are made. SET. */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR
#define VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR 15

struct vfio_device_feature_dma_buf_memattr {
	__s32 dmabuf_fd;
	__u32 memattr;
#define VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_NC 0 /* uncached */
#define VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC 1 /* write-combining */
};
#endif

/*
 * barbuf: an extension, for VFIO_CHECK_EXTENSION: what VFIO_IOMMU_MAP_DMA makes of the address of
 * a BAR goes when access to the BAR does, returns with it, and ends with a revoke. A later kernel
 * may give the number to something else, so ask only where vfio-pci can revoke.
 */
#ifndef VFIO_REVOCABLE_MMIO
#define VFIO_REVOCABLE_MMIO 11
#endif

/* Linux 6.6: a device's own file, without a group. Opens the device in an iommufd. */
#ifndef VFIO_DEVICE_BIND_IOMMUFD
#define VFIO_DEVICE_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};
#endif

/* Linux 6.6: the DMA of a bound device goes through this address space. */
#ifndef VFIO_DEVICE_ATTACH_IOMMUFD_PT
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)

struct vfio_device_attach_iommufd_pt {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
};
#endif

/* Linux 6.6: VFIO_DEVICE_GET_PCI_HOT_RESET_INFO of a device opened by its own file. */
#ifndef VFIO_PCI_HOT_RESET_FLAG_DEV_ID
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID 1 /* the set is of device ids, not of groups */
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED 2 /* all of it is the caller's */
#endif

/* Linux 6.2: the IOAS of an iommufd. */
#ifndef IOMMU_IOAS_ALLOC
#define IOMMU_DESTROY _IO(';', 0x80)

struct iommu_destroy {
	__u32 size;
	__u32 id;
};

#define IOMMU_IOAS_ALLOC _IO(';', 0x81)

struct iommu_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

#define IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)

struct iommu_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;
};

struct iommu_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas; /* room; then how many there are. -EMSGSIZE: more */
	__u32 __reserved;
	__aligned_u64 allowed_iovas; /* address of struct iommu_iova_range[] */
	__aligned_u64 out_iova_alignment;
};

#define IOMMU_IOAS_MAP_FIXED_IOVA 1 /* else the kernel chooses .iova */
#define IOMMU_IOAS_MAP_WRITEABLE 2
#define IOMMU_IOAS_MAP_READABLE 4

#define IOMMU_IOAS_MAP _IO(';', 0x85)

struct iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

#define IOMMU_IOAS_UNMAP _IO(';', 0x86)

struct iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length; /* 0 and U64_MAX: all; then how much it was */
};
#endif

/* Linux 6.13: memory of a memfd; Linux 6.19: a DMABUF of VFIO. */
#ifndef IOMMU_IOAS_MAP_FILE
#define IOMMU_IOAS_MAP_FILE _IO(';', 0x8f)

struct iommu_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};
#endif

#endif
