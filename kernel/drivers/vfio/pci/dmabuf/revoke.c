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
 * vfio_pci_buf_set_state - set the state, and nothing else
 * @buf: the buffer
 * @state: the new state
 *
 * When this returns, no fault that saw the old state is still inserting. A full
 * barrier stands between the new state and what the caller looks at next.
 *
 * Return: 0, or -EBADFD when the buffer is revoked; it stays so.
 */
int vfio_pci_buf_set_state(struct vfio_pci_buf *buf,
			   enum vfio_pci_buf_state state)
{
	enum vfio_pci_buf_state old;

	write_lock(&buf->fault_lock);
	old = buf->state;
	if (old != VFIO_PCI_BUF_REVOKED)
		WRITE_ONCE(buf->state, state);
	write_unlock(&buf->fault_lock);

	if (old != state && old != VFIO_PCI_BUF_REVOKED)
		trace_state(buf, old, state);

	/* The state before the look for a waiter, and for attachments. */
	smp_mb();
	if (old == VFIO_PCI_BUF_QUIESCING)
		wake_up_var(&buf->state);

	return old == VFIO_PCI_BUF_REVOKED ? -EBADFD : 0;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_set_state);

/**
 * vfio_pci_buf_zap - unmap the buffer from every process
 * @buf: a buffer that is not live any more
 *
 * The address space is the buffer's own, so all of it is zapped, whatever the
 * offsets of the VMAs are, and no other buffer is touched.
 */
void vfio_pci_buf_zap(struct vfio_pci_buf *buf)
{
	lockdep_assert_not_held(&buf->fault_lock);

	unmap_mapping_range(buf->inode->i_mapping, 0, 0, true);
}

#ifdef CONFIG_VFIO_PCI_DMABUF
/*
 * Takes no lock of the device: a reset that runs meanwhile, or an importer of
 * another buffer that hangs in one, does not delay this.
 */
static int vfio_pci_buf_revoke(struct vfio_pci_buf *buf)
{
	int first = vfio_pci_buf_set_state(buf, VFIO_PCI_BUF_REVOKED);
	long left;

	/*
	 * A second caller does all of it, too: the first may not have got so
	 * far, or was killed, and an answer that the buffer is revoked must be
	 * true of its mappings and importers.
	 */
	vfio_pci_buf_zap(buf);
	vfio_pci_buf_notify_importers(buf);
	left = vfio_pci_buf_wait_importers(buf, TASK_KILLABLE,
					   vfio_pci_importer_timeout());
	if (left <= 0)
		return left ?: -ETIMEDOUT;

	return first;
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
 * -ETIMEDOUT and for -ERESTARTSYS, which only a killed caller gets: the buffer
 * is revoked then, importers have been notified, and one still holds a mapping
 * that it had. Another call waits on.
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
