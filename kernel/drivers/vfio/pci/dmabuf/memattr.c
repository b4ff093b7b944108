// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR: how the CPU maps a buffer.
 */
#include <linux/dma-buf.h>
#include <linux/vfio.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/**
 * vfio_pci_core_feature_dma_buf_memattr - set the attribute of later mappings
 * @vdev: the device, open
 * @flags: of struct vfio_device_feature
 * @arg: the user's struct
 * @argsz: its size
 *
 * See include/uapi/linux/vfio.h for what the user is promised. An mmap at the
 * same time gets the old attribute or the new one.
 *
 * Return: 0 or a negative errno, nothing changed then.
 */
int vfio_pci_core_feature_dma_buf_memattr(struct vfio_pci_core_device *vdev,
					  u32 flags, void __user *arg,
					  size_t argsz)
{
	struct vfio_device_feature_dma_buf_memattr req;
	struct vfio_pci_buf *buf;
	int ret;

	if (!vdev->pci_ops || !vdev->pci_ops->get_dmabuf_phys)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET,
				 sizeof(req));
	if (ret != 1)
		return ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;

	/* Before the descriptor: a value can be probed for with none. */
	switch (req.memattr) {
	case VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_NC:
	case VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC:
		break;
	default:
		return -ENOENT;
	}

	buf = vfio_pci_buf_get_fd(vdev, req.dmabuf_fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	WRITE_ONCE(buf->memattr, req.memattr);
	dma_buf_put(buf->dmabuf);
	return 0;
}
