// SPDX-License-Identifier: GPL-2.0-only
/*
 * The importers that program IOMMU domains: iommufd and legacy type1.
 *
 * They import as others do, by an attachment and its notifications. But they
 * map no scatter list: they have us map a slice of the buffer into a domain of
 * theirs, so no physical address leaves vfio-pci-core, and they unmap by IOVA.
 *
 * Such a mapping is not counted. It ends inside the notification, so there is
 * nothing to wait for. The argument: an importer maps only after
 * ops->access() has said, under resv, that there is access. Whatever ends that
 * access sets the state first, and then notifies under resv, after the look.
 * The importer orders its mapping against its notification by a lock of its
 * own; one of the two sees the other.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait_bit.h>

#include "../vfio_pci_priv.h"
#include "buf.h"

/* NULL for a DMABUF of another exporter. */
static struct vfio_pci_buf *vfio_pci_dma_buf_to_buf(struct dma_buf *dmabuf)
{
	if (dmabuf->ops != &vfio_pci_buf_dma_ops &&
	    dmabuf->ops != &vfio_pci_bar_dma_ops)
		return NULL;

	return dmabuf->priv;
}

static struct dma_buf *vfio_pci_dma_buf_get_vma(struct vm_area_struct *vma,
						u64 *offset)
{
	struct vfio_pci_buf *buf;

	if (!vfio_pci_buf_is_vma(vma))
		return NULL;

	buf = vma->vm_private_data;
	*offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	/* The VMA holds the file. */
	get_dma_buf(buf->dmabuf);
	return buf->dmabuf;
}

static int vfio_pci_dma_buf_access(struct dma_buf_attachment *attach)
{
	struct vfio_pci_buf *buf = vfio_pci_dma_buf_to_buf(attach->dmabuf);

	if (!buf)
		return -EOPNOTSUPP;

	return vfio_pci_buf_importer_access(buf);
}

static int vfio_pci_dma_buf_wait(struct dma_buf *dmabuf)
{
	struct vfio_pci_buf *buf = vfio_pci_dma_buf_to_buf(dmabuf);
	int ret;

	if (!buf)
		return -EOPNOTSUPP;

	do {
		ret = wait_var_event_killable(&buf->state,
					      READ_ONCE(buf->state) !=
					      VFIO_PCI_BUF_QUIESCING);
		if (ret)
			return -EINTR;

		/*
		 * Who ended the transition may still be on the way to this
		 * buffer: notify for him.
		 */
		vfio_pci_buf_notify_importers(buf);

		dma_resv_lock(&buf->resv, NULL);
		ret = vfio_pci_buf_importer_access(buf);
		dma_resv_unlock(&buf->resv);
	} while (ret == -EAGAIN);

	return ret;
}

static int vfio_pci_dma_buf_map(struct dma_buf_attachment *attach, u64 offset,
				struct iommu_domain *domain, unsigned long iova,
				size_t len, int prot, gfp_t gfp)
{
	struct vfio_pci_buf *buf = vfio_pci_dma_buf_to_buf(attach->dmabuf);
	struct vfio_pci_extent ext;
	size_t done = 0;
	u64 end;
	int ret;

	if (!buf)
		return -EOPNOTSUPP;

	if (!len || check_add_overflow(offset, len, &end) ||
	    end > buf->layout.size)
		return -EINVAL;

	if ((prot & IOMMU_READ && !(buf->rights & FMODE_READ)) ||
	    (prot & IOMMU_WRITE && !(buf->rights & FMODE_WRITE)))
		return -EACCES;

	/* A cacheable mapping of a BAR may carry an encryption bit with it. */
	prot &= ~IOMMU_CACHE;
	prot |= IOMMU_MMIO;

	while (done < len) {
		size_t step;

		vfio_pci_layout_find(&buf->layout, offset + done, &ext);
		step = min_t(u64, ext.after, len - done);
		ret = iommu_map(domain, iova + done, ext.paddr, step, prot,
				gfp);
		if (ret)
			goto undo;
		done += step;
	}

	return 0;

undo:
	if (done)
		iommu_unmap(domain, iova, done);
	return ret;
}

static phys_addr_t vfio_pci_dma_buf_alignment(struct dma_buf *dmabuf,
					      u64 offset)
{
	struct vfio_pci_buf *buf = vfio_pci_dma_buf_to_buf(dmabuf);
	struct vfio_pci_extent ext;

	if (!buf || !vfio_pci_layout_find(&buf->layout, offset, &ext))
		return 0;

	return ext.paddr & -ext.paddr;
}

static void vfio_pci_dma_buf_set_iova(struct dma_buf_attachment *attach,
				      u64 offset, u64 len, u64 iova)
{
	struct vfio_pci_buf_importer *importer = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!vfio_pci_dma_buf_to_buf(attach->dmabuf))
		return;

	importer->offset = offset;
	importer->len = len;
	importer->iova = iova;
}

const struct vfio_pci_dma_buf_ops vfio_pci_dma_buf_ops = {
	.get_vma = vfio_pci_dma_buf_get_vma,
	.wait = vfio_pci_dma_buf_wait,
	.access = vfio_pci_dma_buf_access,
	.map = vfio_pci_dma_buf_map,
	.alignment = vfio_pci_dma_buf_alignment,
	.set_iova = vfio_pci_dma_buf_set_iova,
};
EXPORT_SYMBOL_FOR_MODULES(vfio_pci_dma_buf_ops,
			  "iommufd,vfio_iommu_type1,vfio-pci-dmabuf-test");
