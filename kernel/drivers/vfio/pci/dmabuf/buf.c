// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lifetime of buffers, and the device's list of them.
 */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <uapi/linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"
#include "trace.h"

MODULE_IMPORT_NS("DMA_BUF");

static void vfio_pci_buf_list_free(struct kref *kref)
{
	struct vfio_pci_buf_list *list =
		container_of(kref, struct vfio_pci_buf_list, kref);

	kfree(list);
}

/**
 * vfio_pci_buf_list_put - drop a reference to a list
 * @list: the list
 */
void vfio_pci_buf_list_put(struct vfio_pci_buf_list *list)
{
	kref_put(&list->kref, vfio_pci_buf_list_free);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_put);

/**
 * vfio_pci_buf_list_alloc - an empty list
 * @device: name of its device
 *
 * Return: the list, which vfio_pci_buf_list_put() frees, or NULL.
 */
struct vfio_pci_buf_list *vfio_pci_buf_list_alloc(const char *device)
{
	struct vfio_pci_buf_list *list;

	list = kzalloc_obj(*list, GFP_KERNEL_ACCOUNT);
	if (!list)
		return NULL;

	kref_init(&list->kref);
	spin_lock_init(&list->lock);
	INIT_LIST_HEAD(&list->bufs);
	list->bars = RB_ROOT;
	/* Nothing is mapped; vfio_pci_access_end() derives the state. */
	list->state = VFIO_PCI_BUF_SUSPENDED;
	strscpy(list->device, device);

	return list;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_alloc);

/**
 * vfio_pci_buf_list_open - give a device that is being opened its list
 * @vdev: the device, its virtual config space set up
 *
 * Return: 0 or -ENOMEM.
 */
int vfio_pci_buf_list_open(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list =
		vfio_pci_buf_list_alloc(pci_name(vdev->pdev));

	if (!list)
		return -ENOMEM;

	vfio_pci_buf_list_install(vdev, list);
	vfio_pci_buf_debugfs_add(vdev);

	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_open);

static void vfio_pci_buf_free(struct vfio_pci_buf *buf)
{
	/* The index behind them is part of the allocation. */
	if (buf->layout.vecs != &buf->single)
		kvfree(buf->layout.vecs);
	dma_fence_put(buf->fence);
	dma_resv_fini(&buf->resv);
	vfio_pci_buf_list_put(buf->list);
	kfree(buf);
}

/**
 * vfio_pci_buf_set_owner - note for debugfs who made the buffer
 * @buf: the buffer; current is its owner
 */
void vfio_pci_buf_set_owner(struct vfio_pci_buf *buf)
{
	buf->owner_pid = task_tgid_nr(current);
	memcpy(buf->owner_comm, current->group_leader->comm, TASK_COMM_LEN);
}

/**
 * vfio_pci_buf_alloc - a buffer that nobody else can see yet
 * @list: the device's list
 *
 * Until vfio_pci_buf_make_dmabuf() succeeds, vfio_pci_buf_put() frees it.
 *
 * Return: the buffer, or NULL.
 */
struct vfio_pci_buf *vfio_pci_buf_alloc(struct vfio_pci_buf_list *list)
{
	struct vfio_pci_buf *buf;

	buf = kzalloc_obj(*buf, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NULL;

	kref_init(&buf->kref);
	rwlock_init(&buf->fault_lock);
	dma_resv_init(&buf->resv);
	INIT_LIST_HEAD(&buf->node);
	kref_get(&list->kref);
	buf->list = list;
	vfio_pci_buf_set_owner(buf);

	return buf;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_alloc);

static size_t vfio_pci_buf_vecs_size(u32 nr)
{
	/* Exported ranges are limited, so neither product overflows. */
	return (size_t)nr * sizeof(struct phys_vec) +
	       (size_t)vfio_pci_layout_index_len(nr) * sizeof(u64);
}

static struct phys_vec *vfio_pci_buf_new_vecs(u32 nr)
{
	size_t size = vfio_pci_buf_vecs_size(nr);

	/* kmalloc() would round the large ones up to a power of two. */
	if (size > PAGE_SIZE)
		return __vmalloc(size, VFIO_PCI_GFP_RANGES);

	return kmalloc(size, VFIO_PCI_GFP_RANGES);
}

/**
 * vfio_pci_buf_alloc_vecs - room for the ranges of a buffer
 * @buf: from vfio_pci_buf_alloc()
 * @nr: number of ranges, from 1 to VFIO_PCI_BUF_MAX_RANGES
 *
 * The room belongs to the buffer and is charged to the caller's memory cgroup.
 * Fill it in and call vfio_pci_buf_set_layout(), or build the layout.
 *
 * Return: an array of @nr, uninitialised, or NULL without memory.
 */
struct phys_vec *vfio_pci_buf_alloc_vecs(struct vfio_pci_buf *buf, u32 nr)
{
	buf->layout.vecs = nr == 1 ? &buf->single : vfio_pci_buf_new_vecs(nr);
	return buf->layout.vecs;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_alloc_vecs);

/**
 * vfio_pci_buf_build_layout - begin to say which memory the buffer is made of
 * @buf: a buffer with room for ranges, see vfio_pci_buf_alloc_vecs()
 * @nr: number of ranges, as given there
 *
 * Return: the builder. Add @nr ranges, then vfio_pci_buf_finish_layout().
 */
struct vfio_pci_layout_builder
vfio_pci_buf_build_layout(struct vfio_pci_buf *buf, u32 nr)
{
	struct phys_vec *vecs = buf->layout.vecs;

	/* The offsets of the index lie behind the ranges. */
	return vfio_pci_layout_begin(vecs, vfio_pci_layout_index_len(nr) ?
					   (u64 *)(vecs + nr) : NULL);
}

/**
 * vfio_pci_buf_finish_layout - the ranges of the buffer are complete
 * @buf: the buffer
 * @builder: from vfio_pci_buf_build_layout(), all ranges added
 * @nr: number of ranges, as given there
 *
 * Gives back the memory of ranges that were joined to their neighbours.
 */
void vfio_pci_buf_finish_layout(struct vfio_pci_buf *buf,
				const struct vfio_pci_layout_builder *builder,
				u32 nr)
{
	struct phys_vec *vecs = builder->vecs, *copy;
	u32 left;

	vfio_pci_layout_done(builder, &buf->layout);
	left = buf->layout.nr;
	if (left == nr)
		return;

	if (left == 1) {
		buf->single = *vecs;
		copy = &buf->single;
	} else {
		copy = vfio_pci_buf_new_vecs(left);
		/* Without memory for fewer ranges, keep the room for all. */
		if (!copy)
			return;
		memcpy(copy, vecs, left * sizeof(*copy));
	}
	vfio_pci_layout_init(&buf->layout, copy,
			     vfio_pci_layout_index_len(left) ?
			     (u64 *)(copy + left) : NULL, left);
	kvfree(vecs);
}

/**
 * vfio_pci_buf_set_layout - say which memory the buffer is made of
 * @buf: a buffer whose array of vfio_pci_buf_alloc_vecs() is filled in
 * @nr: number of ranges, as given there; none is empty, and the sum fits a u64
 */
void vfio_pci_buf_set_layout(struct vfio_pci_buf *buf, u32 nr)
{
	struct vfio_pci_layout_builder b = vfio_pci_buf_build_layout(buf, nr);
	struct phys_vec *vecs = buf->layout.vecs;
	u32 i;

	for (i = 0; i < nr; i++)
		vfio_pci_layout_add(&b, vecs[i].paddr, vecs[i].len);
	vfio_pci_buf_finish_layout(buf, &b, nr);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_set_layout);

/**
 * vfio_pci_buf_make_dmabuf - make the DMABUF, which nobody knows of yet
 * @buf: a buffer with a layout
 * @ops: of its kind
 * @open_flags: access mode of the DMABUF's file; other bits do not count
 * @name: its name, which the user may change; DMA_BUF_NAME_LEN bytes are copied
 *
 * On success the caller's reference has become the DMABUF's: drop it with
 * dma_buf_put().
 *
 * Return: 0, -ENOMEM, or the error of dma_buf_export().
 */
int vfio_pci_buf_make_dmabuf(struct vfio_pci_buf *buf,
			     const struct dma_buf_ops *ops, int open_flags,
			     const char *name)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;
	char *copy;

	copy = kmemdup(name, DMA_BUF_NAME_LEN, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	exp_info.ops = ops;
	exp_info.size = buf->layout.size;
	exp_info.flags = open_flags;
	exp_info.resv = &buf->resv;
	exp_info.priv = buf;

	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf)) {
		kfree(copy);
		return PTR_ERR(dmabuf);
	}

	/*
	 * dma-buf frees it. Without name_lock: until we return only readers
	 * know of the DMABUF, who find no name or a whole one.
	 */
	smp_store_release(&dmabuf->name, copy);

	buf->exported = ops == &vfio_pci_buf_dma_ops;
	buf->rights = OPEN_FMODE(open_flags) & (FMODE_READ | FMODE_WRITE);
	buf->dmabuf = dmabuf;
	buf->inode = file_inode(dmabuf->file);
	ihold(buf->inode);

	return 0;
}

/**
 * vfio_pci_buf_enter - enter the device's list
 * @buf: a buffer with a DMABUF; list->lock held
 *
 * The buffer starts in the state that the device is in, also when a transition
 * begins or ends at this moment: both it and the list's membership change under
 * this lock.
 */
void vfio_pci_buf_enter(struct vfio_pci_buf *buf)
{
	struct vfio_pci_buf_list *list = buf->list;

	lockdep_assert_held(&list->lock);

	buf->state = list->state;
	list_add(&buf->node, &list->bufs);
	trace_export(buf);
}

/**
 * vfio_pci_buf_publish - make the DMABUF and enter the device's list
 * @buf: as for vfio_pci_buf_make_dmabuf(), and so the others
 * @ops: of its kind
 * @open_flags: access mode
 * @name: its name
 *
 * Return: 0 or a negative errno.
 */
int vfio_pci_buf_publish(struct vfio_pci_buf *buf,
			 const struct dma_buf_ops *ops, int open_flags,
			 const char *name)
{
	int ret = vfio_pci_buf_make_dmabuf(buf, ops, open_flags, name);

	if (ret)
		return ret;

	spin_lock(&buf->list->lock);
	vfio_pci_buf_enter(buf);
	spin_unlock(&buf->list->lock);

	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_publish);

static void vfio_pci_buf_last_put(struct kref *kref)
{
	struct vfio_pci_buf *buf = container_of(kref, struct vfio_pci_buf, kref);

	/* One that was never in the list was never announced. */
	if (!list_empty(&buf->node)) {
		/* A BAR buffer has said so when its last VMA went. */
		if (buf->exported)
			trace_release(buf);
		spin_lock(&buf->list->lock);
		list_del(&buf->node);
		spin_unlock(&buf->list->lock);
	}

	if (buf->inode)
		iput(buf->inode);
	vfio_pci_buf_free(buf);
}

/**
 * vfio_pci_buf_put - drop a reference
 * @buf: the buffer
 */
void vfio_pci_buf_put(struct vfio_pci_buf *buf)
{
	kref_put(&buf->kref, vfio_pci_buf_last_put);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_put);

/**
 * vfio_pci_buf_dma_release - the DMABUF goes
 * @dmabuf: the DMABUF; no VMA and no attachment is left
 *
 * A walk may hold the buffer a little longer: it looks at buf->dmabuf only
 * while there is an attachment, each of which would have kept the DMABUF.
 */
void vfio_pci_buf_dma_release(struct dma_buf *dmabuf)
{
	vfio_pci_buf_put(dmabuf->priv);
}

/**
 * vfio_pci_buf_next - one step of a walk of the list
 * @list: the list
 * @prev: the buffer that the step before returned, or NULL to begin
 *
 *	buf = NULL;
 *	while ((buf = vfio_pci_buf_next(list, buf)))
 *		...
 *
 * Drops the reference to @prev. A walk that ends early drops the last one
 * itself. Nothing is locked between the steps.
 *
 * Return: the next buffer with a reference, or NULL at the end.
 */
struct vfio_pci_buf *vfio_pci_buf_next(struct vfio_pci_buf_list *list,
				       struct vfio_pci_buf *prev)
{
	struct list_head *pos = prev ? &prev->node : &list->bufs;
	struct vfio_pci_buf *next = NULL;

	spin_lock(&list->lock);
	for (pos = pos->next; pos != &list->bufs; pos = pos->next) {
		struct vfio_pci_buf *buf =
			list_entry(pos, struct vfio_pci_buf, node);

		/* Skip a dying buffer: its release is blocked on list->lock. */
		if (kref_get_unless_zero(&buf->kref)) {
			next = buf;
			break;
		}
	}
	spin_unlock(&list->lock);

	if (prev)
		vfio_pci_buf_put(prev);

	return next;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_next);
