// SPDX-License-Identifier: LGPL-2.1-or-later
/* Numbers and layouts that the kernel fixed: nothing may move them. */
#include <stddef.h>

#include "uapi.h"

#include "tap.h"

int main(void)
{
	CHECK(VFIO_DEVICE_FEATURE_DMA_BUF == 11, "DMA_BUF is feature %d",
	      VFIO_DEVICE_FEATURE_DMA_BUF);
	CHECK(VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE == 14, "DMA_BUF_REVOKE is feature %d",
	      VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE);

	CHECK(sizeof(struct vfio_region_dma_range) == 16, "a range has %zu bytes",
	      sizeof(struct vfio_region_dma_range));
	CHECK(offsetof(struct vfio_region_dma_range, length) == 8, "its length is at %zu",
	      offsetof(struct vfio_region_dma_range, length));

	CHECK(sizeof(struct vfio_device_feature_dma_buf) == 16, "DMA_BUF's head has %zu bytes",
	      sizeof(struct vfio_device_feature_dma_buf));
	CHECK(offsetof(struct vfio_device_feature_dma_buf, region_index) == 0 &&
		      offsetof(struct vfio_device_feature_dma_buf, open_flags) == 4 &&
		      offsetof(struct vfio_device_feature_dma_buf, flags) == 8 &&
		      offsetof(struct vfio_device_feature_dma_buf, nr_ranges) == 12 &&
		      offsetof(struct vfio_device_feature_dma_buf, dma_ranges) == 16,
	      "DMA_BUF's members are where the kernel has them");

	CHECK(sizeof(struct vfio_device_feature_dma_buf_revoke) == 4,
	      "DMA_BUF_REVOKE has %zu bytes", sizeof(struct vfio_device_feature_dma_buf_revoke));
	CHECK(sizeof(struct vfio_device_feature_dma_buf_memattr) == 8 &&
		      offsetof(struct vfio_device_feature_dma_buf_memattr, memattr) == 4,
	      "DMA_BUF_MEMATTR has fd and value");
	return tap_done();
}
