// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer of DMABUFs whose every step user space decides on; no DMA is done.
 * See dmabuf_importer.h for what it offers.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "dmabuf_importer.h"

/**
 * struct importer - one open file
 * @lock: attaching
 * @pdev: who would do the DMA, with a reference
 * @attach: set once, under @lock
 * @sgt: the mapping, under the DMABUF's resv
 * @dir: and its direction
 * @asked: calls of invalidate_mappings, under the DMABUF's resv
 * @stubborn: does not let go when asked
 * @timeout: the end of that
 */
struct importer {
	struct mutex lock; /* attaching */
	struct pci_dev *pdev;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	unsigned int asked;
	bool stubborn;
	struct delayed_work timeout;
};

static void importer_unmap_locked(struct importer *imp)
{
	dma_resv_assert_held(imp->attach->dmabuf->resv);

	if (!imp->sgt)
		return;

	dma_buf_unmap_attachment(imp->attach, imp->sgt, imp->dir);
	imp->sgt = NULL;
}

static void importer_invalidate(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;

	imp->asked++;
	/* Until dma_buf_dynamic_attach() returns there is nothing to let go of. */
	if (imp->attach && !READ_ONCE(imp->stubborn))
		importer_unmap_locked(imp);
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_invalidate,
};

static void importer_timeout(struct work_struct *work)
{
	struct importer *imp = container_of(to_delayed_work(work),
					    struct importer, timeout);
	struct dma_resv *resv = imp->attach->dmabuf->resv;

	WRITE_ONCE(imp->stubborn, false);
	dma_resv_lock(resv, NULL);
	importer_unmap_locked(imp);
	dma_resv_unlock(resv);
}

static int importer_attach(struct importer *imp, void __user *arg)
{
	unsigned int domain, bus, slot, function;
	struct dma_buf_attachment *attach;
	struct importer_attach req;
	struct dma_buf *dmabuf;
	struct pci_dev *pdev;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;

	req.device[sizeof(req.device) - 1] = '\0';
	if (sscanf(req.device, "%x:%x:%x.%x", &domain, &bus, &slot,
		   &function) != 4)
		return -EINVAL;

	if (imp->attach)
		return -EBUSY;

	pdev = pci_get_domain_bus_and_slot(domain, bus,
					   PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;

	dmabuf = dma_buf_get(req.dmabuf_fd);
	if (IS_ERR(dmabuf)) {
		pci_dev_put(pdev);
		return PTR_ERR(dmabuf);
	}

	attach = dma_buf_dynamic_attach(dmabuf, &pdev->dev, &importer_ops, imp);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		pci_dev_put(pdev);
		return PTR_ERR(attach);
	}

	imp->pdev = pdev;
	dma_resv_lock(dmabuf->resv, NULL);
	imp->attach = attach;
	dma_resv_unlock(dmabuf->resv);
	return 0;
}

static int importer_map_locked(struct importer *imp, unsigned long direction)
{
	enum dma_data_direction dir;
	struct sg_table *sgt;

	switch (direction) {
	case IMPORTER_BOTH_WAYS:
		dir = DMA_BIDIRECTIONAL;
		break;
	case IMPORTER_TO_DEVICE:
		dir = DMA_TO_DEVICE;
		break;
	case IMPORTER_FROM_DEVICE:
		dir = DMA_FROM_DEVICE;
		break;
	default:
		return -EINVAL;
	}

	if (imp->sgt)
		return 0;

	sgt = dma_buf_map_attachment(imp->attach, dir);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	imp->sgt = sgt;
	imp->dir = dir;
	return 0;
}

static int importer_add_fence_locked(struct importer *imp,
				     const struct importer_fence *req)
{
	struct dma_resv *resv = imp->attach->dmabuf->resv;
	enum dma_resv_usage usage;
	struct dma_fence *fence;
	int ret;

	switch (req->usage) {
	case IMPORTER_FENCE_WRITE:
		usage = DMA_RESV_USAGE_WRITE;
		break;
	case IMPORTER_FENCE_READ:
		usage = DMA_RESV_USAGE_READ;
		break;
	case IMPORTER_FENCE_BOOKKEEP:
		usage = DMA_RESV_USAGE_BOOKKEEP;
		break;
	default:
		return -EINVAL;
	}

	fence = sync_file_get_fence(req->fence_fd);
	if (!fence)
		return -EINVAL;

	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, fence, usage);

	dma_fence_put(fence);
	return ret;
}

static long importer_do(struct importer *imp, unsigned int cmd,
			unsigned long arg)
{
	struct importer_fence fence;
	struct dma_resv *resv;
	long ret;

	if (cmd == IMPORTER_ATTACH)
		return importer_attach(imp, (void __user *)arg);

	if (cmd == IMPORTER_RCU_BARRIER) {
		rcu_barrier();
		return 0;
	}

	if (!imp->attach)
		return -EINVAL;

	if (cmd == IMPORTER_FENCE &&
	    copy_from_user(&fence, (const void __user *)arg, sizeof(fence)))
		return -EFAULT;

	resv = imp->attach->dmabuf->resv;
	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;

	switch (cmd) {
	case IMPORTER_MAP:
		ret = importer_map_locked(imp, arg);
		break;
	case IMPORTER_UNMAP:
		importer_unmap_locked(imp);
		break;
	case IMPORTER_STUBBORN:
		WRITE_ONCE(imp->stubborn, true);
		if (arg)
			mod_delayed_work(system_long_wq, &imp->timeout,
					 secs_to_jiffies(min(arg, 3600)));
		else
			cancel_delayed_work(&imp->timeout);
		break;
	case IMPORTER_FENCE:
		ret = importer_add_fence_locked(imp, &fence);
		break;
	case IMPORTER_ASKED:
		ret = imp->asked;
		break;
	case IMPORTER_IS_MAPPED:
		ret = !!imp->sgt;
		break;
	default:
		ret = -ENOTTY;
		break;
	}
	dma_resv_unlock(resv);
	return ret;
}

static long importer_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct importer *imp = file->private_data;
	long ret;

	ret = mutex_lock_interruptible(&imp->lock);
	if (ret)
		return ret;

	ret = importer_do(imp, cmd, arg);
	mutex_unlock(&imp->lock);
	return ret;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *imp;

	imp = kzalloc_obj(*imp);
	if (!imp)
		return -ENOMEM;

	mutex_init(&imp->lock);
	INIT_DELAYED_WORK(&imp->timeout, importer_timeout);
	file->private_data = imp;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *imp = file->private_data;
	struct dma_buf *dmabuf;

	cancel_delayed_work_sync(&imp->timeout);
	if (imp->attach) {
		dmabuf = imp->attach->dmabuf;
		dma_resv_lock(dmabuf->resv, NULL);
		importer_unmap_locked(imp);
		dma_resv_unlock(dmabuf->resv);
		dma_buf_detach(dmabuf, imp->attach);
		dma_buf_put(dmabuf);
		pci_dev_put(imp->pdev);
	}
	kfree(imp);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_importer",
	.fops = &importer_fops,
};

module_misc_device(importer_misc);

MODULE_DESCRIPTION("An importer of DMABUFs that user space steps, for tests");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
