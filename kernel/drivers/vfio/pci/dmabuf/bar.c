// SPDX-License-Identifier: GPL-2.0-only
/*
 * BAR buffers: what stands under an mmap of the device fd.
 *
 * One spans the whole BAR and serves all mappings of it that were made through
 * one device file, for as long as one of them lives. Each VMA holds the file of
 * the DMABUF and leaves the count of VMAs before it releases the file. The
 * count reaches zero under list->lock and takes the buffer out of list->bars
 * there, so a buffer found under that lock has a file that may be taken.
 *
 * The last buffer of a BAR that is unmapped is kept for the next mapping, whoever
 * makes it, until the device is closed: a DMABUF with its file and inode costs
 * half an mmap. It is kept by its file, keeps no device file, and is in the
 * list like any other, so that its state is right when it is used again.
 *
 * list->bars is a tree: a user may open a device as often as RLIMIT_NOFILE
 * and memory allow, and each of these files may map each BAR.
 */
#include <linux/dma-buf.h>
#include <uapi/linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"
#include "trace.h"

/* What list->bars is ordered by. */
struct vfio_pci_bar_key {
	struct file *dev_file;
	u8 bar;
};

static int vfio_pci_bar_cmp(const void *key, const struct rb_node *node)
{
	const struct vfio_pci_bar_key *k = key;
	const struct vfio_pci_buf *buf =
		rb_entry(node, struct vfio_pci_buf, bar_node);

	if (k->dev_file != buf->dev_file)
		return k->dev_file < buf->dev_file ? -1 : 1;

	return (int)k->bar - buf->bar;
}

static bool vfio_pci_bar_less(struct rb_node *a, const struct rb_node *b)
{
	const struct vfio_pci_buf *buf =
		rb_entry(a, struct vfio_pci_buf, bar_node);
	const struct vfio_pci_bar_key key = { buf->dev_file, buf->bar };

	return vfio_pci_bar_cmp(&key, b) < 0;
}

/*
 * The mapped buffer of @bar and @dev_file, its file taken and one VMA more
 * counted, or NULL.
 */
static struct vfio_pci_buf *vfio_pci_bar_find(struct vfio_pci_buf_list *list,
					      struct file *dev_file, u8 bar)
{
	const struct vfio_pci_bar_key key = { dev_file, bar };
	struct vfio_pci_buf *buf;
	struct rb_node *node;

	lockdep_assert_held(&list->lock);

	node = rb_find(&key, &list->bars, vfio_pci_bar_cmp);
	if (!node)
		return NULL;

	/*
	 * In this order: until we are counted the last VMA waits for our lock,
	 * and then releases the file.
	 */
	buf = rb_entry(node, struct vfio_pci_buf, bar_node);
	get_file(buf->dmabuf->file);
	vfio_pci_buf_count_vma(buf);
	return buf;
}

/* Enter @buf in the tree, with the VMA that is being made as its first. */
static void vfio_pci_bar_claim(struct vfio_pci_buf *buf, struct file *dev_file)
{
	lockdep_assert_held(&buf->list->lock);

	buf->dev_file = get_file(dev_file);
	vfio_pci_buf_count_vma(buf);
	rb_add(&buf->bar_node, &buf->list->bars, vfio_pci_bar_less);
}

/* As vfio_pci_bar_find(), but a buffer of @bar that is not mapped now. */
static struct vfio_pci_buf *vfio_pci_bar_reuse(struct vfio_pci_buf_list *list,
					       struct file *dev_file, u8 bar)
{
	struct vfio_pci_buf *buf = list->idle_bars[bar];

	lockdep_assert_held(&list->lock);

	if (!buf)
		return NULL;

	/* The list's reference to the file becomes the VMA's. */
	list->idle_bars[bar] = NULL;
	vfio_pci_buf_set_owner(buf);
	vfio_pci_bar_claim(buf, dev_file);
	trace_export(buf);
	return buf;
}

/* DEVICE/barN; mmap is too short a path for snprintf(). */
static void vfio_pci_bar_name(char name[DMA_BUF_NAME_LEN], const char *device,
			      u8 bar)
{
	static const char end[] = "/bar0";
	ssize_t len = strscpy(name, device, VFIO_PCI_DEVICE_NAME_LEN);

	static_assert(VFIO_PCI_DEVICE_NAME_LEN + sizeof(end) <=
		      DMA_BUF_NAME_LEN);
	memcpy(name + len, end, sizeof(end));
	name[len + 4] += bar;
}

/* As vfio_pci_bar_find(), when that has found none. */
static struct vfio_pci_buf *vfio_pci_bar_create(struct vfio_pci_core_device *vdev,
						struct file *dev_file, u8 bar)
{
	/*
	 * A sub-page BAR that may be mapped has its page to itself. Of a BAR
	 * larger than the address space, what fits.
	 */
	u64 len = min_t(u64, PAGE_ALIGN((u64)pci_resource_len(vdev->pdev, bar)),
			SIZE_MAX & PAGE_MASK);
	struct vfio_pci_buf_list *list = vdev->buf_list;
	struct vfio_pci_buf *buf, *other;
	char name[DMA_BUF_NAME_LEN] = "";
	int ret;

	buf = vfio_pci_buf_alloc(list);
	if (!buf)
		return ERR_PTR(-ENOMEM);

	buf->bar = bar;
	vfio_pci_bar_name(name, list->device, bar);
	*vfio_pci_buf_alloc_vecs(buf, 1) = (struct phys_vec){
		.paddr = pci_resource_start(vdev->pdev, bar),
		.len = len,
	};
	vfio_pci_buf_set_layout(buf, 1);
	ret = vfio_pci_buf_make_dmabuf(buf, &vfio_pci_bar_dma_ops, O_RDWR,
				       name);
	if (ret) {
		vfio_pci_buf_put(buf);
		return ERR_PTR(ret);
	}

	spin_lock(&list->lock);
	other = vfio_pci_bar_find(list, dev_file, bar);
	if (!other) {
		vfio_pci_buf_enter(buf);
		vfio_pci_bar_claim(buf, dev_file);
	}
	spin_unlock(&list->lock);

	if (!other)
		return buf;

	/* Another process that shares the device file was faster. */
	dma_buf_put(buf->dmabuf);
	return other;
}

/**
 * vfio_pci_bar_mmap - map a part of a BAR
 * @vdev: the device, open
 * @bar: BAR that may be mapped
 * @pgoff: first page of it
 * @vma: the new VMA, vm_file the device file; length checked by the caller
 *
 * Called under mmap_lock. Takes list->lock and no other lock of the driver. The
 * first mapping of a BAR also makes a DMABUF, for which the dma-buf core takes
 * the lock of its list.
 *
 * Return: 0 or a negative errno, the VMA untouched then.
 */
int vfio_pci_bar_mmap(struct vfio_pci_core_device *vdev, unsigned int bar,
		      pgoff_t pgoff, struct vm_area_struct *vma)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;
	struct vfio_pci_buf *buf;
	struct file *dev_file;

	spin_lock(&list->lock);
	buf = vfio_pci_bar_find(list, vma->vm_file, bar);
	if (!buf)
		buf = vfio_pci_bar_reuse(list, vma->vm_file, bar);
	spin_unlock(&list->lock);

	if (!buf) {
		buf = vfio_pci_bar_create(vdev, vma->vm_file, bar);
		if (IS_ERR(buf))
			return PTR_ERR(buf);
	}

	/* Our reference to the DMABUF's file becomes the VMA's. */
	dev_file = vma->vm_file;
	vma->vm_file = buf->dmabuf->file;
	fput(dev_file);

	vma->vm_pgoff = pgoff;
	vfio_pci_buf_init_vma(buf, vma);

	return 0;
}

/**
 * vfio_pci_bar_drop_idle - the device is closed, nobody will map a BAR of it
 * @list: its list
 *
 * Every BAR mapping keeps a device file, so none is left.
 */
void vfio_pci_bar_drop_idle(struct vfio_pci_buf_list *list)
{
	struct vfio_pci_buf *buf;
	u8 bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		spin_lock(&list->lock);
		buf = list->idle_bars[bar];
		list->idle_bars[bar] = NULL;
		spin_unlock(&list->lock);
		if (buf)
			dma_buf_put(buf->dmabuf);
	}
}

/**
 * vfio_pci_buf_uncount_vma - a VMA goes; with the last of a BAR, the device file
 * @buf: its buffer
 *
 * The file is released here and not with the buffer: whatever else keeps the
 * DMABUF (O_PATH on /proc/PID/map_files) must not keep the device open.
 */
void vfio_pci_buf_uncount_vma(struct vfio_pci_buf *buf)
{
	struct vfio_pci_buf_list *list = buf->list;
	struct file *dev_file = NULL;

	if (!atomic_dec_and_lock(&buf->nr_vmas, &list->lock))
		return;

	/* An exported buffer has no device file and is in no tree. */
	if (buf->dev_file) {
		rb_erase(&buf->bar_node, &list->bars);
		swap(dev_file, buf->dev_file);
		if (!list->idle_bars[buf->bar]) {
			get_file(buf->dmabuf->file);
			list->idle_bars[buf->bar] = buf;
		}
		trace_release(buf);
	}
	spin_unlock(&list->lock);

	if (dev_file)
		fput(dev_file);
}
