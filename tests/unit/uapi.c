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

	CHECK(VFIO_REVOCABLE_MMIO == 11, "REVOCABLE_MMIO is extension %d", VFIO_REVOCABLE_MMIO);

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

	CHECK(VFIO_DEVICE_BIND_IOMMUFD == 0x3b76 && VFIO_DEVICE_ATTACH_IOMMUFD_PT == 0x3b77,
	      "a device's own file is bound by %#x and attached by %#x", VFIO_DEVICE_BIND_IOMMUFD,
	      VFIO_DEVICE_ATTACH_IOMMUFD_PT);
	/* A newer header has more members behind these. */
	CHECK(sizeof(struct vfio_device_bind_iommufd) >= 16 &&
		      offsetof(struct vfio_device_bind_iommufd, iommufd) == 8 &&
		      offsetof(struct vfio_device_bind_iommufd, out_devid) == 12,
	      "BIND_IOMMUFD's members are where the kernel has them");
	CHECK(sizeof(struct vfio_device_attach_iommufd_pt) >= 12 &&
		      offsetof(struct vfio_device_attach_iommufd_pt, pt_id) == 8,
	      "ATTACH_IOMMUFD_PT's, too");
	CHECK(VFIO_PCI_HOT_RESET_FLAG_DEV_ID == 1 && VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED == 2,
	      "the flags of a hot reset's set");

	CHECK(IOMMU_IOAS_ALLOC == 0x3b81 && IOMMU_IOAS_IOVA_RANGES == 0x3b84 &&
		      IOMMU_IOAS_MAP == 0x3b85 && IOMMU_IOAS_UNMAP == 0x3b86 &&
		      IOMMU_IOAS_MAP_FILE == 0x3b8f,
	      "iommufd's calls have the kernel's numbers");
	CHECK(IOMMU_IOAS_MAP_FIXED_IOVA == 1 && IOMMU_IOAS_MAP_WRITEABLE == 2 &&
		      IOMMU_IOAS_MAP_READABLE == 4,
	      "and its flags");
	CHECK(sizeof(struct iommu_ioas_alloc) == 12 &&
		      offsetof(struct iommu_ioas_alloc, out_ioas_id) == 8,
	      "IOAS_ALLOC");
	CHECK(sizeof(struct iommu_ioas_iova_ranges) == 32 &&
		      offsetof(struct iommu_ioas_iova_ranges, num_iovas) == 8 &&
		      offsetof(struct iommu_ioas_iova_ranges, allowed_iovas) == 16 &&
		      sizeof(struct iommu_iova_range) == 16,
	      "IOAS_IOVA_RANGES");
	CHECK(sizeof(struct iommu_ioas_map) == 40 &&
		      offsetof(struct iommu_ioas_map, user_va) == 16 &&
		      offsetof(struct iommu_ioas_map, length) == 24 &&
		      offsetof(struct iommu_ioas_map, iova) == 32,
	      "IOAS_MAP");
	CHECK(sizeof(struct iommu_ioas_map_file) == 40 &&
		      offsetof(struct iommu_ioas_map_file, fd) == 12 &&
		      offsetof(struct iommu_ioas_map_file, start) == 16 &&
		      offsetof(struct iommu_ioas_map_file, length) == 24 &&
		      offsetof(struct iommu_ioas_map_file, iova) == 32,
	      "IOAS_MAP_FILE");
	CHECK(sizeof(struct iommu_ioas_unmap) == 24 &&
		      offsetof(struct iommu_ioas_unmap, iova) == 8 &&
		      offsetof(struct iommu_ioas_unmap, length) == 16,
	      "IOAS_UNMAP");
	return tap_done();
}
