// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one fault path of every mapping of a BAR.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/vfio.h>
#include <linux/wait_bit.h>

#include "../vfio_pci_priv.h"
#include "buf.h"
#include "trace.h"

/*
 * How much one fault maps in huge leaves: 32 of them on x86. A page table of
 * leaves would be 512, and the first touch of a BAR of which somebody wants a
 * register would pay for them all; see docs/benchmarks.md.
 */
#define VFIO_PCI_LEAF_SPAN	((unsigned long)SZ_64M)

/* And in pages: a page table of 64 KiB has 8,192 entries. */
#define VFIO_PCI_PAGES_SPAN	(512 * PAGE_SIZE)

/*
 * Does a huge leaf fit around the page at @addr? The answer depends on VMA and
 * layout alone and so is the same for every fault there as long as the VMA's
 * lock is held. Only PMDs: Linux's mm does not know PUD leaves of PFNs where a
 * VMA is cut or moved, see kernel/patches.
 */
static bool vfio_pci_buf_fits_leaf(struct vfio_pci_buf *buf,
				   struct vm_area_struct *vma,
				   unsigned long addr, u64 offset,
				   struct vfio_pci_extent *ext)
{
	return IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
	       vma->vm_ops->huge_fault &&
	       vfio_pci_vma_holds_leaf(addr, vma->vm_start, vma->vm_end,
				       PMD_SIZE) &&
	       vfio_pci_layout_find(&buf->layout, offset, ext) &&
	       vfio_pci_extent_holds_leaf(ext, addr, PMD_SIZE);
}

/*
 * Insert the leaf around the fault and those beside it that the extent, the VMA
 * and an aligned span have in common: the next leaf costs a third of the next
 * fault. All of them are entries of one table of PMDs, as the span divides what
 * that maps.
 */
static vm_fault_t vfio_pci_buf_insert_leaves(struct vm_fault *vmf,
					     const struct vfio_pci_extent *ext)
{
	unsigned long addr = vmf->address & PMD_MASK;
	struct vm_area_struct *vma = vmf->vma;
	struct vfio_pci_window window =
		vfio_pci_extent_leaves(ext, vmf->address & PAGE_MASK,
				       vma->vm_start, vma->vm_end, PMD_SIZE,
				       max(VFIO_PCI_LEAF_SPAN, PMD_SIZE));
	phys_addr_t paddr = ALIGN_DOWN(ext->paddr, PMD_SIZE) - window.before;
	pmd_t *pmd = vmf->pmd - (window.before >> PMD_SHIFT);
	unsigned long at = addr - window.before;
	vm_fault_t ret = VM_FAULT_NOPAGE;

	for (; at < addr + window.after; at += PMD_SIZE, pmd++) {
		struct vm_fault leaf = {
			.vma = vma,
			.address = at,
			.pmd = pmd,
		};

		/*
		 * A leaf that is there may be read-only where the VMA is not,
		 * after a write to clear_refs: a write makes it writable.
		 */
		bool write = at == addr && vmf->flags & FAULT_FLAG_WRITE;
		pmd_t old = pmdp_get_lockless(pmd);

		/* The helper looks again, under the lock of the table. */
		if (pmd_none(old) || (write && pmd_leaf(old))) {
			vm_fault_t one = vmf_insert_pfn_pmd(&leaf,
							    PHYS_PFN(paddr),
							    write);
			if (at == addr)
				ret = one;
		}
		paddr += PMD_SIZE;
	}

	return ret;
}

struct vfio_pci_fill {
	struct vm_area_struct *vma;
	unsigned long fault_addr;
	struct vfio_pci_cursor cursor;
};

static int vfio_pci_buf_fill_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct vfio_pci_fill *fill = data;
	phys_addr_t paddr = vfio_pci_cursor_next(&fill->cursor, PAGE_SIZE);

	/* Another thread may have filled some of it. */
	if (pte_none(ptep_get(pte)))
		set_pte_at(fill->vma->vm_mm, addr, pte,
			   pte_mkspecial(pfn_pte(PHYS_PFN(paddr),
						 fill->vma->vm_page_prot)));
	if (addr == fill->fault_addr)
		update_mmu_cache(fill->vma, addr, pte);

	return 0;
}

/*
 * Map what one page table, the VMA and the buffer have in common around the
 * fault: who uses a BAR uses it from end to end, and the next PTE costs a
 * fortieth of the next fault. The page table is there, so nothing is allocated.
 *
 * The PTEs get the attribute of the VMA. vmf_insert_pfn() would ask the x86 PAT
 * code, for each page, what it is tracked as; vfio-pci's own ioremap() has
 * reserved the BAR as uncached as long as the device is open, so the answer is
 * what an uncached VMA says, and would undo write-combining.
 */
static vm_fault_t vfio_pci_buf_insert_pages(struct vm_fault *vmf,
					    struct vfio_pci_buf *buf,
					    u64 offset)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PAGE_MASK;
	struct vfio_pci_window window =
		vfio_pci_layout_window(&buf->layout, offset, addr,
				       vma->vm_start, vma->vm_end,
				       min(PMD_SIZE, VFIO_PCI_PAGES_SPAN));
	struct vfio_pci_fill fill = {
		.vma = vma,
		.fault_addr = addr,
	};

	vfio_pci_layout_seek(&buf->layout, offset - window.before,
			     &fill.cursor);
	if (apply_to_page_range(vma->vm_mm, addr - window.before,
				window.before + window.after,
				vfio_pci_buf_fill_pte, &fill))
		return VM_FAULT_OOM;

	return VM_FAULT_NOPAGE;
}

/*
 * A transition runs. It may need mmap_lock, by way of the IOMMU, before it
 * ends, so the wait holds nothing but the DMABUF's file; the VMA may be gone
 * when it is over. The file and not the buffer: it also pins the module whose
 * code this is.
 */
static vm_fault_t vfio_pci_buf_fault_wait(struct vm_fault *vmf,
					  struct vfio_pci_buf *buf)
{
	unsigned int task_state = TASK_KILLABLE;
	struct file *file;

	/* A caller that cannot drop its lock cannot wait. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/*
	 * An access by user space goes back there for any signal, and for the
	 * freezer, and is repeated then. One by the kernel would come straight
	 * back with the signal still pending.
	 */
	if (vmf->flags & FAULT_FLAG_USER &&
	    vmf->flags & FAULT_FLAG_INTERRUPTIBLE)
		task_state = TASK_INTERRUPTIBLE;

	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	___wait_var_event(&buf->state, READ_ONCE(buf->state) !=
			  VFIO_PCI_BUF_QUIESCING, task_state, 0, 0,
			  schedule());
	fput(file);

	/* The caller looks for the signal before it retries. */
	return VM_FAULT_RETRY;
}

/*
 * At an entry of a PMD table where a leaf fits there is a leaf, nothing, or a
 * page table that mremap has moved there with its pages; elsewhere there never
 * is a leaf. So under the VMA's lock neither kind of insertion meets the other's
 * entry, also when PR_SET_THP_DISABLE or MADV_NOHUGEPAGE keep huge faults away.
 */
static vm_fault_t vfio_pci_buf_huge_fault(struct vm_fault *vmf,
					  unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vfio_pci_buf *buf = vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	u64 offset = (u64)linear_page_index(vma, addr) << PAGE_SHIFT;
	enum vfio_pci_buf_state state;
	struct vfio_pci_extent ext;
	bool leaves = false;
	vm_fault_t ret;

	if (order) {
		if (order != PMD_ORDER ||
		    !vfio_pci_buf_fits_leaf(buf, vma, addr, offset, &ext))
			return VM_FAULT_FALLBACK;
		leaves = true;
	} else if (offset >= buf->layout.size) {
		return VM_FAULT_SIGBUS;
	} else if (pmd_none(pmdp_get_lockless(vmf->pmd))) {
		leaves = vfio_pci_buf_fits_leaf(buf, vma, addr, offset, &ext);
		/* Nothing is allocated under the fault lock: make the table. */
		if (!leaves && apply_to_page_range(vma->vm_mm, addr, PAGE_SIZE,
						   NULL, NULL))
			return VM_FAULT_OOM;
	} else if (pmd_leaf(pmdp_get_lockless(vmf->pmd))) {
		return VM_FAULT_NOPAGE;
	}

	read_lock(&buf->fault_lock);
	state = buf->state;
	switch (state) {
	case VFIO_PCI_BUF_LIVE:
		if (leaves)
			ret = vfio_pci_buf_insert_leaves(vmf, &ext);
		else
			ret = vfio_pci_buf_insert_pages(vmf, buf, offset);
		break;
	case VFIO_PCI_BUF_QUIESCING:
		ret = VM_FAULT_RETRY;
		break;
	default:
		ret = VM_FAULT_SIGBUS;
		break;
	}
	read_unlock(&buf->fault_lock);
	trace_fault(buf, vmf->address, offset, leaves ? PMD_ORDER : 0, state,
		    ret);

	if (ret == VM_FAULT_RETRY)
		return vfio_pci_buf_fault_wait(vmf, buf);

	return ret;
}

static vm_fault_t vfio_pci_buf_fault(struct vm_fault *vmf)
{
	return vfio_pci_buf_huge_fault(vmf, 0);
}

/*
 * A VMA was split off, moved, or copied by fork. Linux's fork reads a huge leaf
 * of PFNs without a lock and does not look again under it, so it may copy one
 * that a zap has just cleared, to where the zap has been. A child faults its
 * leaves in by itself, under our lock; page tables of PTEs are copied right.
 */
static void vfio_pci_buf_vma_open(struct vm_area_struct *vma)
{
	if (vma->vm_ops->huge_fault && vma->vm_mm != current->mm)
		vm_flags_set(vma, VM_WIPEONFORK);
	vfio_pci_buf_count_vma(vma->vm_private_data);
}

static void vfio_pci_buf_vma_close(struct vm_area_struct *vma)
{
	vfio_pci_buf_uncount_vma(vma->vm_private_data);
}

static const struct vm_operations_struct vfio_pci_buf_vm_ops = {
	.open = vfio_pci_buf_vma_open,
	.close = vfio_pci_buf_vma_close,
	.fault = vfio_pci_buf_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = vfio_pci_buf_huge_fault,
#endif
};

/*
 * The core inserts huge leaves with the attribute that the x86 PAT code tracks,
 * which is uncached; see vfio_pci_buf_insert_pages().
 */
static const struct vm_operations_struct vfio_pci_buf_wc_vm_ops = {
	.open = vfio_pci_buf_vma_open,
	.close = vfio_pci_buf_vma_close,
	.fault = vfio_pci_buf_fault,
};

/**
 * vfio_pci_buf_is_vma - does a VMA map a buffer?
 * @vma: the VMA, mmap_lock or its own lock held
 *
 * Return: true when it does; vm_private_data is the buffer then.
 */
bool vfio_pci_buf_is_vma(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &vfio_pci_buf_vm_ops ||
	       vma->vm_ops == &vfio_pci_buf_wc_vm_ops;
}

/**
 * vfio_pci_buf_init_vma - set up a VMA that maps a buffer
 * @buf: the buffer; the VMA's file is its DMABUF, which keeps it
 * @vma: the VMA, vm_pgoff counted from the start of the buffer; the caller has
 *	counted it
 *
 * All flags are set here, none in a fault: they are those of a BAR mapping of
 * the device fd in stock Linux. The buffer's memory attribute is looked at here
 * and is the VMA's from now on, in every copy of it. VM_ALLOW_ANY_UNCACHED lets
 * KVM on arm64 give a guest write-combining; vfio-pci has always stated that a
 * PCI BAR bears it.
 */
void vfio_pci_buf_init_vma(struct vfio_pci_buf *buf,
			   struct vm_area_struct *vma)
{
	pgprot_t prot = vma->vm_page_prot;
	u32 memattr = READ_ONCE(buf->memattr);

	if (memattr == VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC) {
		prot = pgprot_writecombine(prot);
		vma->vm_ops = &vfio_pci_buf_wc_vm_ops;
	} else {
		prot = pgprot_noncached(prot);
		vma->vm_ops = &vfio_pci_buf_vm_ops;
	}

	vma->vm_page_prot = pgprot_decrypted(prot);
	vma->vm_private_data = buf;
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
			  VM_DONTEXPAND | VM_DONTDUMP);
	trace_mmap(buf, vma, memattr);
}

/**
 * vfio_pci_buf_dma_mmap - mmap of the fd of an exported buffer
 * @dmabuf: the DMABUF; its core has checked the length
 * @vma: the new VMA
 *
 * A revoke that runs at the same time is seen by the first fault. The rights are
 * those of the export: an exporter that forwards its mmap by dma_buf_mmap() has
 * had the flags checked against its own file.
 *
 * Return: 0, -EINVAL for a private mapping and for memory that is no BAR,
 * -EACCES for more rights than the buffer has, -ENODEV for a revoked buffer.
 */
int vfio_pci_buf_dma_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct vfio_pci_buf *buf = dmabuf->priv;

	/* Not VM_SHARED, which a read-only file does not get. */
	if (!(vma->vm_flags & VM_MAYSHARE) || !buf->cpu_mappable)
		return -EINVAL;

	if (!(buf->rights & FMODE_READ) ||
	    (vma->vm_flags & VM_WRITE && !(buf->rights & FMODE_WRITE)))
		return -EACCES;

	if (READ_ONCE(buf->state) == VFIO_PCI_BUF_REVOKED)
		return -ENODEV;

	/* For mprotect(). */
	if (!(buf->rights & FMODE_WRITE))
		vm_flags_clear(vma, VM_MAYWRITE);

	vfio_pci_buf_count_vma(buf);
	vfio_pci_buf_init_vma(buf, vma);
	return 0;
}
