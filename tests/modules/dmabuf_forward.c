// SPDX-License-Identifier: GPL-2.0-only
/*
 * A DMABUF that forwards its mmap to another; see dmabuf_forward.h for what it offers.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "dmabuf_forward.h"

static int forward_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	return dma_buf_mmap(dmabuf->priv, vma, vma->vm_pgoff);
}

/* Importers are to attach to the other one. */
static struct sg_table *forward_map_dma(struct dma_buf_attachment *attachment,
					enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void forward_unmap_dma(struct dma_buf_attachment *attachment,
			      struct sg_table *sgt, enum dma_data_direction dir)
{
}

static void forward_release(struct dma_buf *dmabuf)
{
	dma_buf_put(dmabuf->priv);
}

static const struct dma_buf_ops forward_ops = {
	.mmap = forward_mmap,
	.map_dma_buf = forward_map_dma,
	.unmap_dma_buf = forward_unmap_dma,
	.release = forward_release,
};

static long forward_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *inner, *outer;
	struct dmabuf_forward req;
	int fd;

	if (cmd != DMABUF_FORWARD)
		return -ENOTTY;

	if (copy_from_user(&req, (const void __user *)arg, sizeof(req)))
		return -EFAULT;

	inner = dma_buf_get(req.dmabuf_fd);
	if (IS_ERR(inner))
		return PTR_ERR(inner);

	info.ops = &forward_ops;
	info.size = inner->size;
	info.flags = req.open_flags & O_ACCMODE;
	info.priv = inner;
	outer = dma_buf_export(&info);
	if (IS_ERR(outer)) {
		dma_buf_put(inner);
		return PTR_ERR(outer);
	}

	fd = dma_buf_fd(outer, req.open_flags & O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(outer);

	return fd;
}

static const struct file_operations forward_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = forward_ioctl,
};

static struct miscdevice forward_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dmabuf_forward",
	.fops = &forward_fops,
	.mode = 0666,
};

module_misc_device(forward_misc);

MODULE_DESCRIPTION("A DMABUF that forwards its mmap, for tests");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
