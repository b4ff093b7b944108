// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA mappings of PCI BARs in a type1 container.
 *
 * vfio-pci has a DMABUF, a buffer, under each mapping of a BAR. The owner of
 * the buffer takes access to it away, for a while (a reset, memory decode off)
 * or for good (a revoke, the device closed). A DMA mapping of the buffer lives
 * and dies with that access: a piece attaches to the DMABUF, and its callback
 * has the domains agree with what the exporter says.
 *
 * Type1 never learns a physical address of a BAR: the exporter maps the buffer
 * into a domain.
 *
 * Once made, a piece depends on neither the address nor the VMA nor the mm that
 * it was found by: its attachment holds the DMABUF. (Not the device: a device
 * that is closed revokes its buffers.) It leaves the container with the struct
 * vfio_dma it is part of, or with the last domain.
 *
 * Locks
 * -----
 *
 *   iommu->lock			a MAP_DMA, an UNMAP_DMA, a domain
 *     mmap_lock			finding the buffer, dropped before resv
 *     dma_resv				the word of the exporter
 *       container->lock		what is mapped where
 *         page tables, IOTLB
 *
 *   dma_resv				a callback
 *     container->lock ...
 *
 * A callback runs under resv, and type1 takes mmap_lock and resv under
 * iommu->lock, so a callback must not take iommu->lock. All that it needs is
 * under container->lock, which is innermost: nothing waits under it but for
 * memory and for the IOMMU. Memory reclaim may be entered under resv (dma-buf
 * makes that a rule), so no shrinker and no MMU notifier takes this lock.
 *
 * Why a mapping that the exporter takes back is gone when the callback returns,
 * and one that it gives back is there:
 *
 *  - vfio_bar_sync() is the only function that maps. It asks the exporter under
 *    resv, and each change of the answer is followed by a callback, under resv
 *    too. A mapping made before the callback is undone by it; one that is made
 *    after it has asked after it. The attachment is made before the first
 *    vfio_bar_sync(), so no callback is missed between.
 *  - A domain joins the list in the same critical section that maps into it
 *    what is mapped elsewhere. A callback comes before, and the piece is not
 *    mapped (or is), or after, and the domain counts. Nothing has to be asked
 *    here: bar->mapped is what the exporter said last.
 *  - A domain leaves the list before it is freed.
 *  - UNMAP_DMA unmaps a piece and marks it dead in one critical section. Until
 *    it is detached, which takes resv, a callback may still come; without the
 *    mark it would map again at a resume what UNMAP_DMA has reported as gone.
 *
 * A callback maps and unmaps while iommu->lock's holder does so in the same
 * domain, elsewhere: the IOMMU API wants no overlap and has that. Nobody looks
 * up the address behind a piece, whose page tables may go at any time.
 *
 * MAP_DMA waits for the end of a transition of the device with iommu->lock held,
 * as it does in the fault of a BAR that is no buffer, and can be killed. Nothing
 * between the begin and the end of a transition needs iommu->lock. A reset, a
 * write of PCI_COMMAND and a change of power state call into PCI and the IOMMU
 * core. The core takes the mutex of an IOMMU group, under which nobody takes
 * iommu->lock, and calls back into this module only here. What type1 takes
 * iommu->lock for on behalf of VFIO comes before or after: a device is closed
 * before it leaves its container (vfio_df_device_last_close()), and a group that
 * joins or leaves a container has no open device. A transition that waits for
 * importers does not wait for type1, whose callback has unmapped.
 */
#include <linux/device/faux.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>

#include "vfio_iommu_type1_bar.h"

/**
 * struct vfio_bar - a stretch of a buffer in a struct vfio_dma
 * @container: constant
 * @ops: how to ask the exporter. Valid while the DMABUF is: it holds
 *	vfio-pci-core.
 * @attach: ours; constant once made, holds the DMABUF
 * @node: in dma->bars by @iova, under iommu->lock
 * @next: in container->pieces, under iommu->lock
 * @iova: constant, like the following
 * @size: in bytes
 * @offset: in the buffer
 * @prot: IOMMU_READ and IOMMU_WRITE
 * @step: bytes to map at a time, PAGE_SIZE or @size
 * @mapped: in all domains, or in none. Under container->lock.
 * @dead: never to be mapped again. Under container->lock.
 */
struct vfio_bar {
	struct vfio_bar_container *container;
	const struct vfio_pci_dma_buf_ops *ops;
	struct dma_buf_attachment *attach;
	struct rb_node node;
	struct list_head next;
	dma_addr_t iova;
	size_t size;
	u64 offset;
	int prot;
	size_t step;
	bool mapped;
	bool dead;
};

/* An attachment is a device's; type1 has none. */
static struct faux_device *vfio_bar_device;

/*
 * The DMABUF behind @vma with its file taken, or NULL. The DMABUF holds
 * vfio-pci-core, so *@ops is valid as long as it.
 */
static struct dma_buf *vfio_bar_get_vma(struct vm_area_struct *vma, u64 *offset,
					const struct vfio_pci_dma_buf_ops **ops)
{
	struct dma_buf *dmabuf;

	mmap_assert_locked(vma->vm_mm);

	/* Spares other mappings, of which each page comes here, the look-up. */
	if (!vma->vm_file ||
	    file_inode(vma->vm_file)->i_sb->s_magic != DMA_BUF_MAGIC)
		return NULL;

	*ops = symbol_get(vfio_pci_dma_buf_ops);
	if (!*ops)
		return NULL;

	dmabuf = (*ops)->get_vma(vma, offset);
	symbol_put(vfio_pci_dma_buf_ops);

	return dmabuf;
}

/**
 * vfio_bar_is_vma - is this a mapping of a buffer?
 * @vma: with VM_PFNMAP; mmap_lock held
 *
 * Its PFNs are not for type1, see vfio_bar_add().
 */
bool vfio_bar_is_vma(struct vm_area_struct *vma)
{
	const struct vfio_pci_dma_buf_ops *ops;
	struct dma_buf *dmabuf;
	u64 offset;

	dmabuf = vfio_bar_get_vma(vma, &offset, &ops);
	if (!dmabuf)
		return false;

	dma_buf_put(dmabuf);
	return true;
}

static void vfio_bar_unmap_domain(struct vfio_bar *bar,
				  struct iommu_domain *domain)
{
	lockdep_assert_held(&bar->container->lock);

	/* It has no hole, where iommu_unmap() would end. */
	iommu_unmap(domain, bar->iova, bar->size);
}

static int vfio_bar_map_domain(struct vfio_bar *bar,
			       struct iommu_domain *domain, gfp_t gfp)
{
	size_t done;
	int ret;

	lockdep_assert_held(&bar->container->lock);

	for (done = 0; done < bar->size; done += bar->step) {
		ret = bar->ops->map(bar->attach, bar->offset + done, domain,
				    bar->iova + done, bar->step, bar->prot,
				    gfp);
		if (ret)
			goto undo;
	}

	return 0;

undo:
	if (done)
		iommu_unmap(domain, bar->iova, done);
	return ret;
}

static void vfio_bar_unmap(struct vfio_bar *bar)
{
	struct vfio_bar_domain *d;

	lockdep_assert_held(&bar->container->lock);

	if (!bar->mapped)
		return;

	list_for_each_entry(d, &bar->container->domains, next)
		vfio_bar_unmap_domain(bar, d->domain);
	bar->mapped = false;
}

static int vfio_bar_map(struct vfio_bar *bar, gfp_t gfp)
{
	struct vfio_bar_container *container = bar->container;
	struct vfio_bar_domain *d;
	int ret;

	lockdep_assert_held(&container->lock);

	if (bar->mapped)
		return 0;

	list_for_each_entry(d, &container->domains, next) {
		ret = vfio_bar_map_domain(bar, d->domain, gfp);
		if (ret)
			goto undo;
	}

	bar->mapped = true;
	return 0;

undo:
	list_for_each_entry_continue_reverse(d, &container->domains, next)
		vfio_bar_unmap_domain(bar, d->domain);
	return ret;
}

/*
 * Have the domains agree with the exporter. Returns 0 when the piece is mapped,
 * what the exporter says when it is not, or why it could not be mapped.
 */
static int vfio_bar_sync(struct vfio_bar *bar, gfp_t gfp)
{
	struct vfio_bar_container *container = bar->container;
	int ret;

	dma_resv_assert_held(bar->attach->dmabuf->resv);

	mutex_lock(&container->lock);
	ret = bar->ops->access(bar->attach);
	if (bar->dead)
		ret = -ENOENT;
	else if (ret)
		vfio_bar_unmap(bar);
	else
		ret = vfio_bar_map(bar, gfp);
	mutex_unlock(&container->lock);

	return ret;
}

/*
 * Access is lost or is back. Whoever resets a device pays for what it maps
 * again, so nothing is charged.
 */
static void vfio_bar_invalidate(struct dma_buf_attachment *attach)
{
	struct vfio_bar *bar = attach->importer_priv;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	/* Being attached: vfio_bar_map_first() will ask, under resv. */
	if (!bar->attach)
		return;

	ret = vfio_bar_sync(bar, GFP_KERNEL);
	switch (ret) {
	case 0:
	case -EAGAIN:
	case -ENODEV:
	case -EBADFD:
	case -ENOENT:
		return;
	}

	if (READ_ONCE(bar->container->remap_failed))
		return;
	WRITE_ONCE(bar->container->remap_failed, true);
	pr_warn("vfio: cannot map a BAR for DMA again (%d); it stays unmapped until its device is reset once more\n",
		ret);
}

static const struct dma_buf_attach_ops vfio_bar_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = vfio_bar_invalidate,
};

/* Takes over the caller's reference to @dmabuf if it succeeds. */
static int vfio_bar_attach(struct vfio_bar *bar, struct dma_buf *dmabuf)
{
	struct dma_buf_attachment *attach;
	int ret;

	/* Attaching fails while there is no access, and says no more. */
	do {
		ret = bar->ops->wait(dmabuf);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		attach = dma_buf_dynamic_attach(dmabuf, &vfio_bar_device->dev,
						&vfio_bar_attach_ops, bar);
	} while (attach == ERR_PTR(-ENODEV));
	if (IS_ERR(attach))
		return PTR_ERR(attach);

	dma_resv_lock(dmabuf->resv, NULL);
	bar->attach = attach;
	bar->ops->set_iova(attach, bar->offset, bar->size, bar->iova);
	dma_resv_unlock(dmabuf->resv);

	return 0;
}

static void vfio_bar_detach(struct vfio_bar *bar)
{
	struct dma_buf *dmabuf = bar->attach->dmabuf;

	/* Takes resv: no callback runs from here on. */
	dma_buf_detach(dmabuf, bar->attach);
	dma_buf_put(dmabuf);
}

static void vfio_bar_kill(struct vfio_bar *bar)
{
	mutex_lock(&bar->container->lock);
	vfio_bar_unmap(bar);
	bar->dead = true;
	mutex_unlock(&bar->container->lock);
}

/* For the first time: charged to the caller, and waiting while a transition runs. */
static int vfio_bar_map_first(struct vfio_bar *bar)
{
	struct dma_buf *dmabuf = bar->attach->dmabuf;
	int ret;

	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		dma_resv_lock(dmabuf->resv, NULL);
		ret = vfio_bar_sync(bar, GFP_KERNEL_ACCOUNT);
		dma_resv_unlock(dmabuf->resv);
		if (ret == -EAGAIN)
			ret = bar->ops->wait(dmabuf) ?: -EAGAIN;
	} while (ret == -EAGAIN);

	return ret;
}

/*
 * The DMABUF at @vaddr, its file taken. Sets the offset, and cuts the size at the
 * end of the VMA.
 */
static struct dma_buf *vfio_bar_look_up(struct vfio_bar *bar,
					unsigned long vaddr)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct dma_buf *dmabuf;

	mmap_read_lock(mm);
	vaddr = untagged_addr_remote(mm, vaddr);
	vma = vma_lookup(mm, vaddr);
	if (!vma || ((bar->prot & IOMMU_READ) && !(vma->vm_flags & VM_READ)) ||
	    ((bar->prot & IOMMU_WRITE) && !(vma->vm_flags & VM_WRITE)))
		dmabuf = NULL;
	else
		dmabuf = vfio_bar_get_vma(vma, &bar->offset, &bar->ops);
	if (dmabuf) {
		bar->offset += vaddr - vma->vm_start;
		bar->size = min_t(size_t, bar->size, vma->vm_end - vaddr);
	}
	mmap_read_unlock(mm);

	return dmabuf;
}

static bool vfio_bar_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct vfio_bar, node)->iova <
	       rb_entry(b, struct vfio_bar, node)->iova;
}

/**
 * vfio_bar_add - map the buffer at an address of the caller's
 * @container: of the struct vfio_dma
 * @bars: its pieces; iommu->lock held
 * @vaddr: where vfio_bar_is_vma() said yes, in current->mm
 * @iova: of @vaddr
 * @size: of what is left to map; the piece may be shorter
 * @prot: IOMMU_READ and IOMMU_WRITE
 * @small_pages: map page by page
 *
 * Wait for the end of a transition of the device; a fatal signal ends that.
 *
 * Return: the bytes mapped; -EFAULT when there is no buffer any more, when it is
 * suspended or revoked, or when it may not be mapped so; -ENOSPC when the
 * container has too many pieces; -EINTR when the caller is killed; or what
 * iommu_map() or an allocation failed with.
 */
long vfio_bar_add(struct vfio_bar_container *container, struct rb_root *bars,
		  unsigned long vaddr, dma_addr_t iova, size_t size, int prot,
		  bool small_pages)
{
	struct dma_buf *dmabuf;
	struct vfio_bar *bar;
	int ret;

	lockdep_assert_held(container->iommu_lock);

	if (container->nr_pieces >= container->max_pieces)
		return -ENOSPC;

	bar = kzalloc_obj(*bar, GFP_KERNEL_ACCOUNT);
	if (!bar)
		return -ENOMEM;

	bar->container = container;
	bar->iova = iova;
	bar->size = size;
	bar->prot = prot;

	ret = -EFAULT;
	dmabuf = vfio_bar_look_up(bar, vaddr);
	if (!dmabuf)
		goto free;
	bar->step = small_pages ? PAGE_SIZE : bar->size;

	ret = vfio_bar_attach(bar, dmabuf);
	if (ret) {
		dma_buf_put(dmabuf);
		goto free;
	}

	ret = vfio_bar_map_first(bar);
	if (ret)
		goto detach;

	rb_add(&bar->node, bars, vfio_bar_less);
	list_add_tail(&bar->next, &container->pieces);
	container->nr_pieces++;
	return bar->size;

detach:
	vfio_bar_kill(bar);
	vfio_bar_detach(bar);
free:
	kfree(bar);
	switch (ret) {
	case -ENODEV:		/* suspended */
	case -EBADFD:		/* revoked */
	case -EACCES:		/* more rights than the buffer has */
	case -EOPNOTSUPP:
		return -EFAULT;
	default:
		return ret;
	}
}

size_t __vfio_bar_run(const struct rb_root *bars, dma_addr_t iova, size_t size,
		      bool *is_bar)
{
	struct vfio_bar *bar, *next = NULL;
	struct rb_node *node = bars->rb_node;

	/* The first that does not end before @iova. */
	while (node) {
		bar = rb_entry(node, struct vfio_bar, node);
		if (bar->iova + bar->size - 1 >= iova) {
			next = bar;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}

	if (!next)
		return size;
	if (next->iova > iova)
		return min_t(size_t, size, next->iova - iova);

	*is_bar = true;
	return min_t(size_t, size, next->size - (iova - next->iova));
}

void __vfio_bar_unmap_all(struct rb_root *bars)
{
	struct vfio_bar *bar, *n;

	rbtree_postorder_for_each_entry_safe(bar, n, bars, node) {
		vfio_bar_kill(bar);
		cond_resched();
	}
}

void __vfio_bar_free_all(struct rb_root *bars)
{
	struct vfio_bar *bar, *n;

	rbtree_postorder_for_each_entry_safe(bar, n, bars, node) {
		vfio_bar_kill(bar);
		list_del(&bar->next);
		bar->container->nr_pieces--;
		vfio_bar_detach(bar);
		kfree(bar);
		cond_resched();
	}
	*bars = RB_ROOT;
}

/**
 * vfio_bar_add_domain - map all pieces into a domain, now and at each resume
 * @container: the domain's
 * @new: filled in
 * @domain: nothing is mapped in it; iommu->lock held
 *
 * A piece that is suspended now is mapped when it resumes.
 *
 * Return: 0, or what iommu_map() failed with; nothing of the container is mapped
 * then.
 */
int vfio_bar_add_domain(struct vfio_bar_container *container,
			struct vfio_bar_domain *new,
			struct iommu_domain *domain)
{
	struct vfio_bar *bar;
	int ret = 0;

	lockdep_assert_held(container->iommu_lock);

	mutex_lock(&container->lock);
	list_for_each_entry(bar, &container->pieces, next) {
		if (!bar->mapped)
			continue;
		ret = vfio_bar_map_domain(bar, domain, GFP_KERNEL_ACCOUNT);
		if (ret)
			goto undo;
		cond_resched();
	}
	new->domain = domain;
	list_add_tail(&new->next, &container->domains);
	mutex_unlock(&container->lock);

	return 0;

undo:
	list_for_each_entry_continue_reverse(bar, &container->pieces, next) {
		if (bar->mapped)
			vfio_bar_unmap_domain(bar, domain);
	}
	mutex_unlock(&container->lock);

	return ret;
}

/**
 * vfio_bar_remove_domain - forget a domain that is going to be freed
 * @container: the domain's
 * @old: of vfio_bar_add_domain(), or zero; iommu->lock held
 *
 * What is mapped in it goes with it.
 */
void vfio_bar_remove_domain(struct vfio_bar_container *container,
			    struct vfio_bar_domain *old)
{
	if (!old->domain)
		return;

	mutex_lock(&container->lock);
	list_del(&old->next);
	old->domain = NULL;
	mutex_unlock(&container->lock);
}

/*
 * Teach lockdep the order above, so that the first wrong step is reported.
 * dma-buf has taught it that mmap_lock comes before resv, and resv before
 * memory reclaim.
 */
static void vfio_bar_prime_lockdep(struct vfio_bar_container *container)
{
	struct dma_resv resv;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;

	dma_resv_init(&resv);
	mutex_lock(container->iommu_lock);
	if (current->mm) {
		mmap_read_lock(current->mm);
		mmap_read_unlock(current->mm);
	}
	dma_resv_lock(&resv, NULL);
	mutex_lock(&container->lock);
	might_alloc(GFP_KERNEL);
	mutex_unlock(&container->lock);
	dma_resv_unlock(&resv);
	mutex_unlock(container->iommu_lock);
	dma_resv_fini(&resv);
}

/**
 * vfio_bar_init_container - begin with no domain and no piece
 * @container: to be filled in
 * @iommu_lock: iommu->lock
 * @max_pieces: the most that it may have
 */
void vfio_bar_init_container(struct vfio_bar_container *container,
			     struct mutex *iommu_lock, unsigned int max_pieces)
{
	mutex_init(&container->lock);
	INIT_LIST_HEAD(&container->domains);
	INIT_LIST_HEAD(&container->pieces);
	container->max_pieces = max_pieces;
	container->iommu_lock = iommu_lock;
	vfio_bar_prime_lockdep(container);
}

/**
 * vfio_bar_init - the module is loaded
 *
 * Return: 0 or -ENODEV.
 */
int vfio_bar_init(void)
{
	vfio_bar_device = faux_device_create("vfio_iommu_type1", NULL, NULL);

	return vfio_bar_device ? 0 : -ENODEV;
}

/**
 * vfio_bar_exit - the module goes
 */
void vfio_bar_exit(void)
{
	faux_device_destroy(vfio_bar_device);
}

MODULE_IMPORT_NS("DMA_BUF");
