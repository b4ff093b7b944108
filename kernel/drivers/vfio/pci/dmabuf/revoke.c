// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking access to one buffer away, for a while or for good.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/wait_bit.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"
#include "trace.h"

/**
 * vfio_pci_buf_set_state - flip the state, and nothing else
 * @buf: the buffer
 * @state: the new state
 *
 * When this returns, no fault that saw the old state is still running.
 *
 * Return: 0, or -EBADFD when the buffer is revoked; it stays so.
 */
int vfio_pci_buf_set_state(struct vfio_pci_buf *buf,
			   enum vfio_pci_buf_state state)
{
	enum vfio_pci_buf_state old;

	down_write(&buf->fault_lock);
	old = buf->state;
	if (old != VFIO_PCI_BUF_REVOKED)
		WRITE_ONCE(buf->state, state);
	up_write(&buf->fault_lock);

	if (old != state && old != VFIO_PCI_BUF_REVOKED)
		trace_state(buf, old, state);

	if (old == VFIO_PCI_BUF_QUIESCING) {
		/* Orders the state before the look for a waiter. */
		smp_mb();
		wake_up_var(&buf->state);
	}

	return old == VFIO_PCI_BUF_REVOKED ? -EBADFD : 0;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_set_state);

/**
 * vfio_pci_buf_sweep - unmap the buffer from every process
 * @buf: a buffer that is not live any more
 *
 * The address space is the buffer's own, so all of it is swept, whatever the
 * offsets of the VMAs are, and no other buffer is touched.
 */
void vfio_pci_buf_sweep(struct vfio_pci_buf *buf)
{
	lockdep_assert_not_held(&buf->fault_lock);

	unmap_mapping_range(buf->inode->i_mapping, 0, 0, true);
}

/**
 * vfio_pci_buf_resume - give access back, unless the buffer is revoked
 * @buf: the buffer
 */
void vfio_pci_buf_resume(struct vfio_pci_buf *buf)
{
	dma_resv_lock(&buf->resv, NULL);
	if (!vfio_pci_buf_set_state(buf, VFIO_PCI_BUF_LIVE))
		vfio_pci_buf_notify_resume(buf);
	dma_resv_unlock(&buf->resv);
}

#ifdef CONFIG_VFIO_PCI_DMABUF
/*
 * Takes no lock of the device: a reset that runs meanwhile, or an importer of
 * another buffer that hangs in one, does not delay this.
 */
static int vfio_pci_buf_revoke(struct vfio_pci_buf *buf)
{
	int ret;

	ret = vfio_pci_buf_set_state(buf, VFIO_PCI_BUF_REVOKED);

	/*
	 * Also by one who comes second: the first may not have got so far, and
	 * an answer that the buffer is revoked must be true of its mappings.
	 */
	vfio_pci_buf_sweep(buf);
	if (ret)
		return ret;

	vfio_pci_buf_invalidate_importers(buf);

	/*
	 * Nothing is undone if the caller is killed while it waits: the buffer
	 * is revoked, the importers have been told.
	 */
	return vfio_pci_buf_wait_importers_killable(buf);
}

/**
 * vfio_pci_core_feature_dma_buf_revoke - VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE
 * @vdev: the device, open
 * @flags: of struct vfio_device_feature
 * @arg: the user's struct
 * @argsz: its size
 *
 * See include/uapi/linux/vfio.h for what the user is promised.
 *
 * Return: 0 or a negative errno. On error nothing has changed, but for
 * -ERESTARTSYS, which only a killed caller gets: the buffer is revoked then.
 */
int vfio_pci_core_feature_dma_buf_revoke(struct vfio_pci_core_device *vdev,
					 u32 flags, void __user *arg,
					 size_t argsz)
{
	struct vfio_device_feature_dma_buf_revoke revoke;
	struct vfio_pci_buf *buf;
	int ret;

	if (!vdev->pci_ops || !vdev->pci_ops->get_dmabuf_phys)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET,
				 sizeof(revoke));
	if (ret != 1)
		return ret;

	if (copy_from_user(&revoke, arg, sizeof(revoke)))
		return -EFAULT;

	buf = vfio_pci_buf_get_fd(vdev, revoke.dmabuf_fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	ret = vfio_pci_buf_revoke(buf);
	trace_revoke(buf, ret);
	dma_buf_put(buf->dmabuf);
	return ret;
}
#endif /* CONFIG_VFIO_PCI_DMABUF */
