// SPDX-License-Identifier: GPL-2.0-only
/*
 * Importers: other drivers, and iommufd, that map a buffer for DMA.
 *
 * A mapping is counted from map to unmap. It is made under resv and only while
 * the buffer is live. The state changes without resv; but whoever takes resv
 * once after a change sees every mapping that was made before it, and no other
 * will be made: what is left to wait for can only shrink.
 *
 * Importers get access back later than CPUs: with the notification, under resv.
 * Otherwise one could map between the end of a transition and its notification,
 * and the notification would end that mapping.
 */
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci-p2pdma.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait_bit.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "buf.h"

/* Long enough for the job of a GPU, whose own limit is ten seconds. */
VISIBLE_IF_KUNIT uint vfio_pci_importer_timeout_ms = 10000;
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_importer_timeout_ms);
module_param_named(importer_timeout_ms, vfio_pci_importer_timeout_ms, uint,
		   0644);
MODULE_PARM_DESC(importer_timeout_ms,
		 "How long a revoke or a transition of the device waits for importers of a DMABUF, in milliseconds");

/**
 * vfio_pci_importer_timeout - how long to wait for importers
 *
 * Return: jiffies, at least 1.
 */
long vfio_pci_importer_timeout(void)
{
	return min_t(unsigned long, MAX_SCHEDULE_TIMEOUT - 1,
		     msecs_to_jiffies(READ_ONCE(vfio_pci_importer_timeout_ms)) ?: 1);
}

static bool vfio_pci_buf_is_live(struct vfio_pci_buf *buf)
{
	return READ_ONCE(buf->state) == VFIO_PCI_BUF_LIVE;
}

/**
 * vfio_pci_buf_importer_access - may an importer map now?
 * @buf: the buffer, resv held
 *
 * Return: 0; -EAGAIN when a transition runs, or has ended and importers are
 * not notified yet; -ENODEV when the BAR does not answer; -EBADFD for a revoked
 * buffer.
 */
int vfio_pci_buf_importer_access(struct vfio_pci_buf *buf)
{
	dma_resv_assert_held(&buf->resv);

	switch (READ_ONCE(buf->state)) {
	case VFIO_PCI_BUF_LIVE:
		return buf->nr_attached && buf->importers_blocked ? -EAGAIN : 0;
	case VFIO_PCI_BUF_QUIESCING:
		return -EAGAIN;
	case VFIO_PCI_BUF_REVOKED:
		return -EBADFD;
	default:
		return -ENODEV;
	}
}

static void vfio_pci_buf_count_attached(struct vfio_pci_buf *buf, int n)
{
	dma_resv_assert_held(&buf->resv);

	WRITE_ONCE(buf->nr_attached, buf->nr_attached + n);
	atomic_add(n, &buf->list->nr_attached);
}

/*
 * One look at the fences, when importers have been blocked: none that is added
 * later stands for a mapping. A client that could have us look again, by
 * DMA_BUF_IOCTL_IMPORT_SYNC_FILE, would keep us waiting for ever.
 */
static void vfio_pci_buf_take_fence(struct vfio_pci_buf *buf)
{
	dma_resv_assert_held(&buf->resv);

	dma_fence_put(buf->fence);
	buf->fence = NULL;
	buf->fence_unknown = false;
	if (buf->importers_blocked)
		buf->fence_unknown =
			dma_resv_get_singleton(&buf->resv,
					       DMA_RESV_USAGE_BOOKKEEP,
					       &buf->fence);
}

static int vfio_pci_buf_attach(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attachment)
{
	struct vfio_pci_buf *buf = dmabuf->priv;
	struct vfio_pci_buf_importer *importer;
	int ret = 0;

	if (!attachment->peer2peer || !dma_buf_attach_revocable(attachment))
		return -EOPNOTSUPP;

	importer = kzalloc_obj(*importer, GFP_KERNEL_ACCOUNT);
	if (!importer)
		return -ENOMEM;

	importer->pid = task_tgid_nr(current);
	get_task_comm(importer->comm, current->group_leader);

	dma_resv_lock(&buf->resv, NULL);
	if (!buf->nr_attached) {
		buf->importers_blocked = false;
		vfio_pci_buf_take_fence(buf);
	}
	vfio_pci_buf_count_attached(buf, 1);
	/*
	 * Whoever sets a state has a full barrier between that and the look for
	 * attachments, as we have it here: one of the two sees the other.
	 */
	smp_mb__after_atomic();
	if (!vfio_pci_buf_is_live(buf)) {
		vfio_pci_buf_count_attached(buf, -1);
		ret = -ENODEV;
	}
	dma_resv_unlock(&buf->resv);

	if (ret)
		kfree(importer);
	else
		attachment->priv = importer;
	return ret;
}

static void vfio_pci_buf_detach(struct dma_buf *dmabuf,
				struct dma_buf_attachment *attachment)
{
	struct vfio_pci_buf *buf = dmabuf->priv;

	dma_resv_lock(&buf->resv, NULL);
	vfio_pci_buf_count_attached(buf, -1);
	dma_resv_unlock(&buf->resv);
	kfree(attachment->priv);
}

static struct sg_table *
vfio_pci_buf_map_dma(struct dma_buf_attachment *attachment,
		     enum dma_data_direction dir)
{
	struct vfio_pci_buf *buf = attachment->dmabuf->priv;
	struct sg_table *sgt;

	dma_resv_assert_held(&buf->resv);

	/* Seen from the importer's device, to which the buffer is memory. */
	if ((dir != DMA_FROM_DEVICE && !(buf->rights & FMODE_READ)) ||
	    (dir != DMA_TO_DEVICE && !(buf->rights & FMODE_WRITE)))
		return ERR_PTR(-EACCES);

	/* Only importers that map an IOMMU domain reach a BAR buffer. */
	if (!buf->provider)
		return ERR_PTR(-EOPNOTSUPP);

	if (vfio_pci_buf_importer_access(buf))
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
	.detach = vfio_pci_buf_detach,
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
	.detach = vfio_pci_buf_detach,
	.map_dma_buf = vfio_pci_buf_map_dma,
	.unmap_dma_buf = vfio_pci_buf_unmap_dma,
	.release = vfio_pci_buf_dma_release,
};

/**
 * vfio_pci_buf_notify_importers - notify importers of a loss or a return
 * @buf: a buffer whose state has been set
 *
 * Notifies of a loss and of a return, each once, as the state is when resv is
 * held. Two callers that set the state one after the other may come here in any
 * order: the last one finds the newer state, or that it is known already.
 *
 * Does not wait for what importers make of it, but for resv, which an importer
 * may hold. Hold no lock of the driver.
 */
void vfio_pci_buf_notify_importers(struct vfio_pci_buf *buf)
{
	if (!READ_ONCE(buf->nr_attached))
		return;

	dma_resv_lock(&buf->resv, NULL);
	if (buf->nr_attached &&
	    buf->importers_blocked == vfio_pci_buf_is_live(buf)) {
		buf->importers_blocked = !buf->importers_blocked;
		dma_buf_invalidate_mappings(buf->dmabuf);
		/* Behind the fences that importers add for the unmapping. */
		vfio_pci_buf_take_fence(buf);
	}
	dma_resv_unlock(&buf->resv);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_notify_importers);

/**
 * vfio_pci_buf_name_importer - who is attached to a buffer
 * @buf: the buffer
 * @name: filled in with the name of one importer's device
 * @size: room there
 *
 * Return: false when nobody is attached.
 */
bool vfio_pci_buf_name_importer(struct vfio_pci_buf *buf, char *name,
				size_t size)
{
	struct dma_buf_attachment *attach;
	bool found = false;

	dma_resv_lock(&buf->resv, NULL);
	if (buf->nr_attached) {
		attach = list_first_entry_or_null(&buf->dmabuf->attachments,
						  struct dma_buf_attachment,
						  node);
		if (attach) {
			strscpy(name, dev_name(attach->dev), size);
			found = true;
		}
	}
	dma_resv_unlock(&buf->resv);

	return found;
}

struct vfio_pci_fence_wait {
	struct dma_fence_cb cb;
	struct completion done;
};

static void vfio_pci_fence_signalled(struct dma_fence *fence,
				     struct dma_fence_cb *cb)
{
	complete(&container_of(cb, struct vfio_pci_fence_wait, cb)->done);
}

/* dma_fence_wait_timeout() has no killable form. */
static long vfio_pci_wait_fence(struct dma_fence *fence,
				unsigned int task_state, long timeout)
{
	struct vfio_pci_fence_wait wait;

	init_completion(&wait.done);
	if (dma_fence_add_callback(fence, &wait.cb, vfio_pci_fence_signalled))
		return timeout;

	if (task_state == TASK_KILLABLE)
		timeout = wait_for_completion_killable_timeout(&wait.done,
							       timeout);
	else
		timeout = wait_for_completion_timeout(&wait.done, timeout);

	/* Not removed: it has signalled, and the callback has run. */
	if (!dma_fence_remove_callback(fence, &wait.cb) && !timeout)
		timeout = 1;

	return timeout;
}

/*
 * Work that importers had queued before they were notified. What a client puts
 * on a buffer by DMA_BUF_IOCTL_IMPORT_SYNC_FILE without an attachment stands for
 * no DMA, so it holds up nobody. Nothing is waited for under resv, which whoever
 * notifies importers takes.
 */
static long vfio_pci_buf_wait_fences(struct vfio_pci_buf *buf,
				     unsigned int task_state, long timeout)
{
	struct dma_fence *fence = NULL;
	bool unknown = false;

	dma_resv_lock(&buf->resv, NULL);
	if (buf->nr_attached) {
		fence = dma_fence_get(buf->fence);
		unknown = buf->fence_unknown;
	}
	dma_resv_unlock(&buf->resv);

	/* Without one that stands for all: wait for each, unkillably. */
	if (unknown)
		return dma_resv_wait_timeout(&buf->resv,
					     DMA_RESV_USAGE_BOOKKEEP, false,
					     timeout);
	if (!fence)
		return timeout;

	timeout = vfio_pci_wait_fence(fence, task_state, timeout);
	dma_fence_put(fence);
	return timeout;
}

/**
 * vfio_pci_buf_wait_importers - wait until no importer reaches the buffer
 * @buf: a buffer whose importers have been notified of a loss
 * @task_state: TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 * @timeout: in jiffies, at least 1
 *
 * Hold no lock that anybody else needs.
 *
 * Return: what is left of @timeout and at least 1; 0 when importers are left;
 * -ERESTARTSYS when the caller is killed.
 */
long vfio_pci_buf_wait_importers(struct vfio_pci_buf *buf,
				 unsigned int task_state, long timeout)
{
	if (!READ_ONCE(buf->nr_attached))
		return timeout;

	timeout = vfio_pci_buf_wait_fences(buf, task_state, timeout);
	if (timeout <= 0)
		return timeout;

	if (!atomic_read(&buf->nr_dma_maps))
		return timeout;

	return ___wait_var_event(&buf->nr_dma_maps,
				 ___wait_cond_timeout(!atomic_read(&buf->nr_dma_maps)),
				 task_state, 0, timeout,
				 __ret = schedule_timeout(__ret));
}
