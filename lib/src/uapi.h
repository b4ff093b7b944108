/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of VFIO's user interface that barbuf needs and that installed kernel
 * headers may not have yet. Where they have it, theirs is used.
 */
#ifndef BARBUF_UAPI_H
#define BARBUF_UAPI_H

#include <linux/types.h>
#include <linux/vfio.h>

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
#define VFIO_DEVICE_DMA_BUF_MEMATTR_NC 0 /* uncached */
#define VFIO_DEVICE_DMA_BUF_MEMATTR_WC 1 /* write-combining */
};
#endif

#endif
