// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMABUFs of an IOAS.
 *
 * The exporter maps a slice of the memory into a domain, so iommufd sees no
 * PFN of it: pfn_reader, the xarray and batches are for CPU memory alone.
 *
 * Access to the memory goes and returns, for instance around a reset of the
 * device that has it, or goes for good. pages->dmabuf.mapped says whether the
 * domains map it: all (area, domain) pairs of the tracker do, or none does. The
 * exporter's notification makes that agree with the exporter's word. An area
 * that is mapped, or a domain that is attached, while there is no access is
 * tracked only, and filled when access returns.
 *
 * Locks. pages->mutex of a DMABUF has a class of its own, since it nests inside
 * the resv lock, which nests inside mmap_lock:
 *
 *   domains_rwsem, iova_rwsem
 *     dma_resv
 *       pages->mutex
 *         page tables of the domain
 *
 * The notification takes pages->mutex and no lock of the IOAS. It needs none:
 * a pair is tracked from before the domain is filled until after it is unfilled,
 * in one section under pages->mutex each, and a domain outlives its pairs. What
 * is read of the area meanwhile (its place, its rights) does not change. Whether
 * large pages are disabled changes only while no domain, or no area, is left.
 *
 * mapped becomes true under the resv lock, after the exporter has said that
 * there is access. The exporter sets its own state before it notifies under that
 * lock: if the word was old by then, a notification follows. One that fills a
 * domain holds pages->mutex alone; when it comes first, the notification finds
 * its pair and unmaps it; when it comes second, it finds mapped false.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "io_pagetable.h"
#include "iommufd_private.h"

static int iopt_dmabuf_map_area(struct iopt_area *area,
				struct iopt_pages *pages,
				struct iommu_domain *domain, gfp_t gfp)
{
	struct iopt_pages_dmabuf *dmabuf = &pages->dmabuf;
	unsigned long iova = iopt_area_iova(area);
	u64 offset = dmabuf->start + iopt_area_start_byte(area, iova);
	size_t length = iopt_area_length(area);
	size_t done, step = length;
	int rc;

	lockdep_assert_held(&pages->mutex);

	/* See batch_iommu_map_small() */
	if (READ_ONCE(area->iopt->disable_large_pages))
		step = PAGE_SIZE;

	for (done = 0; done < length; done += step) {
		step = min(step, length - done);
		rc = dmabuf->ops->map(dmabuf->attach, offset + done, domain,
				      iova + done, step, area->iommu_prot, gfp);
		if (rc)
			goto err_unmap;
	}
	return 0;

err_unmap:
	if (done)
		iommu_unmap(domain, iova, done);
	return rc;
}

/**
 * iopt_dmabuf_fill_domain() - Map a DMABUF's area into a domain
 * @area: IOVA area to use, tracked for @domain
 * @pages: Pages of the area
 * @domain: Domain to map into
 *
 * Nothing is mapped while there is no access; the notification of its return
 * does so.
 */
int iopt_dmabuf_fill_domain(struct iopt_area *area, struct iopt_pages *pages,
			    struct iommu_domain *domain)
{
	if (iopt_dmabuf_revoked(pages))
		return 0;

	return iopt_dmabuf_map_area(area, pages, domain, GFP_KERNEL_ACCOUNT);
}

/**
 * iopt_dmabuf_fill_domains() - Map a DMABUF's area into all domains of its IOAS
 * @area: The area to act on
 * @pages: The pages associated with the area (area->pages is NULL)
 *
 * Also tracks the area. On failure all domains are left unchanged.
 */
int iopt_dmabuf_fill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct iommu_domain *domain;
	unsigned long index, undo;
	int rc;

	lockdep_assert_held(&area->iopt->domains_rwsem);
	lockdep_assert_held(&pages->mutex);

	rc = iopt_dmabuf_track_all_domains(area, pages);
	if (rc)
		return rc;

	xa_for_each(&area->iopt->domains, index, domain) {
		rc = iopt_dmabuf_fill_domain(area, pages, domain);
		if (rc)
			goto err_unmap;
	}
	return 0;

err_unmap:
	xa_for_each(&area->iopt->domains, undo, domain) {
		if (undo == index)
			break;
		iopt_area_unmap_domain(area, domain);
	}
	iopt_dmabuf_untrack_all_domains(area, pages);
	return rc;
}

static void iopt_dmabuf_unmap_all(struct iopt_pages *pages)
{
	struct iopt_pages_dmabuf_track *track;

	list_for_each_entry(track, &pages->dmabuf.tracker, elm)
		iopt_area_unmap_domain(track->area, track->domain);
	pages->dmabuf.mapped = false;
}

/*
 * The caller is whoever resets the exporter's device, so the memory for page
 * tables is not charged. Without any, all stays unmapped until access is lost
 * and returns once more.
 */
static void iopt_dmabuf_map_all(struct iopt_pages *pages)
{
	struct iopt_pages_dmabuf_track *track;

	list_for_each_entry(track, &pages->dmabuf.tracker, elm) {
		if (iopt_dmabuf_map_area(track->area, pages, track->domain,
					 GFP_KERNEL))
			goto err_unmap;
	}
	pages->dmabuf.mapped = true;
	return;

err_unmap:
	list_for_each_entry_continue_reverse(track, &pages->dmabuf.tracker, elm)
		iopt_area_unmap_domain(track->area, track->domain);
	pr_warn_ratelimited("iommufd: cannot map a DMABUF again that was suspended\n");
}

static void iopt_dmabuf_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct iopt_pages *pages = attach->importer_priv;
	bool access;

	dma_resv_assert_held(attach->dmabuf->resv);

	guard(mutex)(&pages->mutex);
	/* Not before iopt_dmabuf_attach() has looked */
	if (!pages->dmabuf.attach)
		return;

	access = !pages->dmabuf.ops->access(attach);
	if (access == pages->dmabuf.mapped)
		return;

	if (access)
		iopt_dmabuf_map_all(pages);
	else
		iopt_dmabuf_unmap_all(pages);
}

static const struct dma_buf_attach_ops iopt_dmabuf_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = iopt_dmabuf_invalidate_mappings,
};

/*
 * iommufd and vfio have a circular dependency, so the exporter's operations are
 * looked up. The caller holds the DMABUF, which pins them once they are known to
 * be its own.
 *
 * Waits, killable, until no transition of the exporter's device runs.
 */
static const struct vfio_pci_dma_buf_ops *
iopt_dmabuf_get_ops(struct dma_buf *dmabuf)
{
	const struct vfio_pci_dma_buf_ops *ops;
	int rc;

	ops = iommufd_test_dma_buf_ops(dmabuf);
	if (ops) {
		rc = ops->wait(dmabuf);
	} else {
		if (!IS_ENABLED(CONFIG_VFIO_PCI_CORE))
			return ERR_PTR(-EOPNOTSUPP);

		ops = symbol_get(vfio_pci_dma_buf_ops);
		if (!ops)
			return ERR_PTR(-EOPNOTSUPP);
		rc = ops->wait(dmabuf);
		symbol_put(vfio_pci_dma_buf_ops);
	}

	return rc ? ERR_PTR(rc) : ops;
}

/**
 * iopt_dmabuf_attach() - Make a DMABUF the memory of pages
 * @pages: The pages, not shared yet
 * @dmabuf: The DMABUF; its reference goes to @pages on success
 *
 * Hold no lock: this waits, killable, while the exporter's device resets.
 *
 * Returns -ENODEV while there is no access or after a revoke, -EOPNOTSUPP for an
 * exporter that cannot map it.
 */
int iopt_dmabuf_attach(struct iopt_pages *pages, struct dma_buf *dmabuf)
{
	const struct vfio_pci_dma_buf_ops *ops;
	struct dma_buf_attachment *attach;
	int rc;

	ops = iopt_dmabuf_get_ops(dmabuf);
	if (IS_ERR(ops)) {
		rc = PTR_ERR(ops);
		goto err_out;
	}

	while (1) {
		attach = dma_buf_dynamic_attach(dmabuf, iommufd_global_device(),
						&iopt_dmabuf_attach_ops, pages);
		if (!IS_ERR(attach))
			break;
		rc = PTR_ERR(attach);
		/* A transition may have begun since the wait for its end. */
		if (rc == -ENODEV)
			rc = ops->wait(dmabuf);
		if (rc)
			goto err_out;
	}

	dma_resv_lock(dmabuf->resv, NULL);
	rc = dma_buf_pin(attach);
	if (rc)
		goto err_detach;

	/* -EAGAIN: a notification follows. */
	rc = ops->access(attach);
	if (rc && rc != -EAGAIN)
		goto err_unpin;

	mutex_lock(&pages->mutex);
	pages->dmabuf.ops = ops;
	/* On success iopt_release_pages() will detach and put the dmabuf. */
	pages->dmabuf.attach = attach;
	pages->dmabuf.mapped = !rc;
	mutex_unlock(&pages->mutex);
	dma_resv_unlock(dmabuf->resv);
	return 0;

err_unpin:
	dma_buf_unpin(attach);
err_detach:
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, attach);
err_out:
	return rc == -EBADFD ? -ENODEV : rc;
}

/**
 * iopt_dmabuf_set_iova() - Say to the exporter where its DMABUF is mapped
 * @area: An area that maps it
 * @pages: The pages associated with the area, of any kind
 */
void iopt_dmabuf_set_iova(struct iopt_area *area, struct iopt_pages *pages)
{
	unsigned long iova = iopt_area_iova(area);
	struct iopt_pages_dmabuf *dmabuf = &pages->dmabuf;

	if (!iopt_is_dmabuf(pages))
		return;

	dma_resv_lock(dmabuf->attach->dmabuf->resv, NULL);
	dmabuf->ops->set_iova(dmabuf->attach,
			      dmabuf->start + iopt_area_start_byte(area, iova),
			      iopt_area_length(area), iova);
	dma_resv_unlock(dmabuf->attach->dmabuf->resv);
}

/**
 * iopt_dmabuf_alignment() - Say how a DMABUF's memory is aligned
 * @pages: Pages of a DMABUF
 * @start_byte: Offset in @pages
 *
 * Returns an address, not the memory's, that is aligned as the memory is; 0 when
 * that is aligned to everything.
 */
unsigned long iopt_dmabuf_alignment(struct iopt_pages *pages,
				    unsigned long start_byte)
{
	struct iopt_pages_dmabuf *dmabuf = &pages->dmabuf;
	u64 offset = dmabuf->start + start_byte;

	return dmabuf->ops->alignment(dmabuf->attach->dmabuf,
				      offset & PAGE_MASK) |
	       offset_in_page(offset);
}

/* A part of a user's range: a slice of a DMABUF, or memory without one. */
struct iopt_run {
	unsigned long start;
	/* Exclusive */
	unsigned long end;
	/* With a reference, or NULL */
	struct dma_buf *dmabuf;
	/* Of start in it */
	u64 offset;
};

static bool iopt_vma_permits(struct vm_area_struct *vma, int iommu_prot)
{
	return (vma->vm_flags & VM_READ) &&
	       (!(iommu_prot & IOMMU_WRITE) || (vma->vm_flags & VM_WRITE));
}

/* Find where the run that begins at run->start ends. */
static int iopt_find_run(const struct vfio_pci_dma_buf_ops *ops,
			 struct iopt_run *run, unsigned long end,
			 int iommu_prot)
{
	VMA_ITERATOR(vmi, current->mm, run->start);
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int rc = 0;

	run->dmabuf = NULL;
	run->end = run->start;

	if (mmap_read_lock_killable(mm))
		return -EINTR;

	for_each_vma_range(vmi, vma, end) {
		unsigned long start = max(vma->vm_start, run->start);
		struct dma_buf *dmabuf;
		bool more;
		u64 offset;

		dmabuf = ops->get_vma(vma, &offset);
		if (!dmabuf) {
			if (run->dmabuf)
				goto out_unlock;
			continue;
		}
		offset += start - vma->vm_start;

		if (!run->dmabuf) {
			if (start != run->start) {
				/* Memory, or nothing, lies before it. */
				run->end = start;
				dma_buf_put(dmabuf);
				goto out_unlock;
			}
			if (!iopt_vma_permits(vma, iommu_prot)) {
				dma_buf_put(dmabuf);
				rc = -EFAULT;
				goto out_unlock;
			}
			run->dmabuf = dmabuf;
			run->offset = offset;
		} else {
			/* A VMA that mprotect() has cut off, for instance. */
			more = dmabuf == run->dmabuf && start == run->end &&
			       offset == run->offset + (start - run->start) &&
			       iopt_vma_permits(vma, iommu_prot);
			dma_buf_put(dmabuf);
			if (!more)
				goto out_unlock;
		}
		run->end = min(vma->vm_end, end);
	}

	if (!run->dmabuf)
		run->end = end;

out_unlock:
	mmap_read_unlock(mm);
	return rc;
}

/* Append the pages of a run to the list, or keep nothing of it. */
static int iopt_add_run(struct iommufd_ctx *ictx, struct list_head *pages_list,
			struct iopt_run *run, int iommu_prot)
{
	unsigned long start_byte = offset_in_page(run->start);
	unsigned long length = run->end - run->start;
	bool writable = iommu_prot & IOMMU_WRITE;
	struct iopt_pages *pages;
	int rc;

	if (run->dmabuf) {
		pages = iopt_alloc_dmabuf_pages(ictx, run->dmabuf, start_byte,
						run->offset, length, writable);
		if (IS_ERR(pages)) {
			dma_buf_put(run->dmabuf);
			/* As for memory that cannot be pinned */
			rc = PTR_ERR(pages);
			return rc == -ENODEV ? -EFAULT : rc;
		}
		pages->dmabuf.uptr = (void __user *)(run->start - start_byte);
	} else {
		pages = iopt_alloc_user_pages((void __user *)run->start, length,
					      writable);
		if (IS_ERR(pages))
			return PTR_ERR(pages);
	}

	rc = iopt_pages_list_add(ictx, pages_list, pages, start_byte, length);
	if (rc)
		iopt_put_pages(pages);
	return rc;
}

/* Memory, by far the most frequent, has no VMA of this kind. */
static bool iopt_may_have_bars(unsigned long start, unsigned long end)
{
	VMA_ITERATOR(vmi, current->mm, start);
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool found = false;

	mmap_read_lock(mm);
	for_each_vma_range(vmi, vma, end) {
		found = vma->vm_flags & VM_PFNMAP;
		if (found)
			break;
	}
	mmap_read_unlock(mm);
	return found;
}

/**
 * iopt_map_user_bars() - Like iopt_map_user_pages, but map BARs as well
 * @ictx: iommufd_ctx the iopt is part of
 * @iopt: io_pagetable to act on
 * @iova: If IOPT_ALLOC_IOVA is set this is unused on input and contains
 *        the chosen iova on output. Otherwise is the iova to map to on input
 * @uptr: User VA to map
 * @length: Number of bytes to map
 * @iommu_prot: Combination of IOMMU_READ/WRITE/etc bits for the mapping
 * @flags: IOPT_ALLOC_IOVA or zero
 *
 * Where the range is an mmap of a PCI BAR by vfio-pci, the DMABUF behind it is
 * mapped, which the mapping from then on follows, whatever becomes of the VMA.
 * The VMA must permit what the mapping does.
 *
 * The range is looked up piece by piece. Who changes its VMAs meanwhile gets some
 * of both, each within the rights that it had.
 */
int iopt_map_user_bars(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
		       unsigned long *iova, void __user *uptr,
		       unsigned long length, int iommu_prot,
		       unsigned int flags)
{
	const struct vfio_pci_dma_buf_ops *ops = NULL;
	struct iopt_run run = {};
	LIST_HEAD(pages_list);
	unsigned long end;
	int rc;

	run.start = untagged_addr((unsigned long)uptr);
	if (length && !check_add_overflow(run.start, length, &end) &&
	    IS_ENABLED(CONFIG_VFIO_PCI_CORE) &&
	    iopt_may_have_bars(run.start, end))
		ops = symbol_get(vfio_pci_dma_buf_ops);
	if (!ops)
		return iopt_map_user_pages(ictx, iopt, iova, uptr, length,
					   iommu_prot, flags);

	for (; run.start != end; run.start = run.end) {
		rc = iopt_find_run(ops, &run, end, iommu_prot);
		if (rc)
			goto out_free;
		rc = iopt_add_run(ictx, &pages_list, &run, iommu_prot);
		if (rc)
			goto out_free;
	}

	rc = iopt_map_pages(iopt, &pages_list, length, iova, iommu_prot, flags);
out_free:
	iopt_free_pages_list(&pages_list);
	symbol_put(vfio_pci_dma_buf_ops);
	return rc;
}

/**
 * iopt_dmabuf_rw_access() - iopt_pages_rw_access() for a DMABUF
 * @pages: Pages of a DMABUF
 * @start_byte: First byte of pages to copy to/from
 * @data: Kernel buffer to get/put the data
 * @length: Number of bytes to copy
 * @flags: IOMMUFD_ACCESS_RW_* flags
 *
 * A DMABUF has no page to copy from. If it was found by an address, that serves;
 * it faults as the user would.
 */
int iopt_dmabuf_rw_access(struct iopt_pages *pages, unsigned long start_byte,
			  void *data, unsigned long length, unsigned int flags)
{
	void __user *uptr = pages->dmabuf.uptr;
	bool change_mm = current->mm != pages->source_mm;
	unsigned long left;

	if (!uptr)
		return -EINVAL;

	if (change_mm) {
		if (!(flags & IOMMUFD_ACCESS_RW_KTHREAD) ||
		    !mmget_not_zero(pages->source_mm))
			return -EINVAL;
		kthread_use_mm(pages->source_mm);
	}

	if (flags & IOMMUFD_ACCESS_RW_WRITE)
		left = copy_to_user(uptr + start_byte, data, length);
	else
		left = copy_from_user(data, uptr + start_byte, length);

	if (change_mm) {
		kthread_unuse_mm(pages->source_mm);
		mmput(pages->source_mm);
	}

	return left ? -EFAULT : 0;
}

/**
 * iopt_dmabuf_split_area() - Track two areas instead of one
 * @pages: Pages of the areas
 * @area: The area that goes
 * @lhs: The area that takes its start
 * @rhs: The area that takes the rest
 *
 * On failure the tracker is left unchanged.
 */
int iopt_dmabuf_split_area(struct iopt_pages *pages, struct iopt_area *area,
			   struct iopt_area *lhs, struct iopt_area *rhs)
{
	struct iopt_pages_dmabuf_track *track;
	int rc;

	lockdep_assert_held(&pages->mutex);

	/* New entries go to the tail and are passed over there. */
	list_for_each_entry(track, &pages->dmabuf.tracker, elm) {
		if (track->area != area)
			continue;
		rc = iopt_dmabuf_track_domain(pages, rhs, track->domain);
		if (rc) {
			iopt_dmabuf_untrack_all_domains(rhs, pages);
			return rc;
		}
	}

	list_for_each_entry(track, &pages->dmabuf.tracker, elm) {
		if (track->area == area)
			track->area = lhs;
	}
	return 0;
}

static bool map_bars;
module_param(map_bars, bool, 0644);
MODULE_PARM_DESC(map_bars,
		 "Let IOMMU_IOAS_MAP map mmaps of PCI BARs, as VFIO_IOMMU_MAP_DMA does (default: no)");

/**
 * iopt_map_user() - Map a user VA for the native interface
 * @ictx: iommufd_ctx the iopt is part of
 * @iopt: io_pagetable to act on
 * @iova: See iopt_map_user_pages()
 * @uptr: User VA to map
 * @length: Number of bytes to map
 * @iommu_prot: Combination of IOMMU_READ/WRITE/etc bits for the mapping
 * @flags: IOPT_ALLOC_IOVA or zero
 */
int iopt_map_user(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
		  unsigned long *iova, void __user *uptr, unsigned long length,
		  int iommu_prot, unsigned int flags)
{
	if (READ_ONCE(map_bars))
		return iopt_map_user_bars(ictx, iopt, iova, uptr, length,
					  iommu_prot, flags);

	return iopt_map_user_pages(ictx, iopt, iova, uptr, length, iommu_prot,
				   flags);
}
