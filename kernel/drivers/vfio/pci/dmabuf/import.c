// SPDX-License-Identifier: GPL-2.0-only
/*
 * Importers: other drivers, and iommufd, that map a buffer for DMA.
 *
 * A mapping is counted from map to unmap. It is made under resv and only while
 * the buffer is live. The state flips without resv; but whoever takes resv once
 * after a flip sees every mapping that was made before it, and no other will
 * be made: what is left to wait for can only shrink.
 */
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-resv.h>
#include <linux/pci-p2pdma.h>
#include <linux/wait_bit.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "buf.h"

static bool vfio_pci_buf_is_live(struct vfio_pci_buf *buf)
{
	return READ_ONCE(buf->state) == VFIO_PCI_BUF_LIVE;
}

static int vfio_pci_buf_attach(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attachment)
{
	struct vfio_pci_buf *buf = dmabuf->priv;

	if (!attachment->peer2peer || !buf->provider)
		return -EOPNOTSUPP;

	if (!vfio_pci_buf_is_live(buf))
		return -ENODEV;

	if (!dma_buf_attach_revocable(attachment))
		return -EOPNOTSUPP;

	return 0;
}

static struct sg_table *
vfio_pci_buf_map_dma(struct dma_buf_attachment *attachment,
		     enum dma_data_direction dir)
{
	struct vfio_pci_buf *buf = attachment->dmabuf->priv;
	struct sg_table *sgt;

	dma_resv_assert_held(&buf->resv);

	if (!vfio_pci_buf_is_live(buf))
		return ERR_PTR(-ENODEV);

	sgt = dma_buf_phys_vec_to_sgt(attachment, buf->provider,
				      buf->layout.vecs, buf->layout.nr,
				      buf->layout.size, dir);
	if (!IS_ERR(sgt))
		atomic_inc(&buf->nr_dma_maps);

	return sgt;
}

static void vfio_pci_buf_unmap_dma(struct dma_buf_attachment *attachment,
				   struct sg_table *sgt,
				   enum dma_data_direction dir)
{
	struct vfio_pci_buf *buf = attachment->dmabuf->priv;

	dma_resv_assert_held(&buf->resv);

	/*
	 * dma_buf_phys_vec_to_sgt() clears orig_nents to say that there are no
	 * CPU pages, and sg_free_table() then frees none of the entries.
	 */
	sgt->orig_nents = sgt->nents;
	dma_buf_free_sgt(attachment, sgt, dir);
	atomic_dec_and_wake_up(&buf->nr_dma_maps);
}

/* An exported buffer. */
const struct dma_buf_ops vfio_pci_buf_dma_ops = {
	.attach = vfio_pci_buf_attach,
	.map_dma_buf = vfio_pci_buf_map_dma,
	.unmap_dma_buf = vfio_pci_buf_unmap_dma,
	.mmap = vfio_pci_buf_dma_mmap,
	.release = vfio_pci_buf_dma_release,
};
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_dma_ops);

/*
 * A BAR buffer. It is mapped through the device fd only: remap_file_pages(),
 * which would mmap its file without a count of the VMA, gets EINVAL.
 */
const struct dma_buf_ops vfio_pci_bar_dma_ops = {
	.attach = vfio_pci_buf_attach,
	.map_dma_buf = vfio_pci_buf_map_dma,
	.unmap_dma_buf = vfio_pci_buf_unmap_dma,
	.release = vfio_pci_buf_dma_release,
};

/**
 * vfio_pci_buf_invalidate_importers - tell importers to let go
 * @buf: a buffer that is not live any more
 *
 * Tells and does not wait.
 */
void vfio_pci_buf_invalidate_importers(struct vfio_pci_buf *buf)
{
	if (!buf->provider)
		return;

	dma_resv_lock(&buf->resv, NULL);
	if (buf->dmabuf)
		dma_buf_invalidate_mappings(buf->dmabuf);
	dma_resv_unlock(&buf->resv);
}

/*
 * Work that was queued before the importers were told. Under resv, or a client
 * that goes on adding fences (DMA_BUF_IOCTL_IMPORT_SYNC_FILE) keeps us here for
 * ever; each fence by itself signals in bounded time, by its contract.
 */
static void vfio_pci_buf_wait_fences(struct vfio_pci_buf *buf)
{
	dma_resv_lock(&buf->resv, NULL);
	dma_resv_wait_timeout(&buf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(&buf->resv);
}

/**
 * vfio_pci_buf_wait_importers - wait until no importer reaches the buffer
 * @buf: a buffer whose importers have been told
 */
void vfio_pci_buf_wait_importers(struct vfio_pci_buf *buf)
{
	if (!buf->provider)
		return;

	vfio_pci_buf_wait_fences(buf);
	wait_var_event(&buf->nr_dma_maps, !atomic_read(&buf->nr_dma_maps));
}

/**
 * vfio_pci_buf_wait_importers_killable - the same, for one who may be killed
 * @buf: a buffer whose importers have been told
 *
 * The wait for fences is bounded and cannot be killed, that for mappings can.
 *
 * Return: 0 or -ERESTARTSYS.
 */
int vfio_pci_buf_wait_importers_killable(struct vfio_pci_buf *buf)
{
	if (!buf->provider)
		return 0;

	vfio_pci_buf_wait_fences(buf);
	return wait_var_event_killable(&buf->nr_dma_maps,
				       !atomic_read(&buf->nr_dma_maps));
}

/**
 * vfio_pci_buf_notify_resume - tell importers that access returns
 * @buf: the buffer, resv held
 *
 * They may map again once the caller has dropped resv.
 */
void vfio_pci_buf_notify_resume(struct vfio_pci_buf *buf)
{
	dma_resv_assert_held(&buf->resv);

	if (buf->provider && buf->dmabuf)
		dma_buf_invalidate_mappings(buf->dmabuf);
}

#ifdef CONFIG_VFIO_PCI_DMABUF
/**
 * vfio_pci_dma_buf_iommufd_map - the physical range behind an attachment
 * @attachment: iommufd's attachment, resv held
 * @phys: filled in
 *
 * The private agreement of vfio-pci and iommufd: one range of MMIO, and an
 * invalidate_mappings from here on means that it is gone for good.
 *
 * Return: 0, -EOPNOTSUPP for another exporter or several ranges, -ENODEV when
 * there is no access now.
 */
int vfio_pci_dma_buf_iommufd_map(struct dma_buf_attachment *attachment,
				 struct phys_vec *phys)
{
	struct vfio_pci_buf *buf;

	dma_resv_assert_held(attachment->dmabuf->resv);

	if (attachment->dmabuf->ops != &vfio_pci_buf_dma_ops)
		return -EOPNOTSUPP;

	buf = attachment->dmabuf->priv;
	if (!vfio_pci_buf_is_live(buf))
		return -ENODEV;

	if (buf->layout.nr != 1)
		return -EOPNOTSUPP;

	*phys = buf->layout.vecs[0];
	return 0;
}
EXPORT_SYMBOL_FOR_MODULES(vfio_pci_dma_buf_iommufd_map, "iommufd");
#endif
