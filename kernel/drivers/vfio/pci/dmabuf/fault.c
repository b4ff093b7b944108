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
#include <linux/wait_bit.h>

#include "../vfio_pci_priv.h"
#include "buf.h"

static vm_fault_t vfio_pci_buf_insert(struct vm_fault *vmf, unsigned long addr,
				      unsigned long pfn, unsigned int order)
{
	if (!order)
		return vmf_insert_pfn(vmf->vma, addr, pfn);

	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, false);

	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER)
		return vmf_insert_pfn_pud(vmf, pfn, false);

	return VM_FAULT_FALLBACK;
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
	struct file *file;

	/* A caller that cannot let go of its lock cannot wait. */
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	wait_var_event_killable(&buf->state, READ_ONCE(buf->state) !=
				VFIO_PCI_BUF_QUIESCING);
	fput(file);

	/* Killed or not: the caller looks for the signal before it retries. */
	return VM_FAULT_RETRY;
}

static vm_fault_t vfio_pci_buf_huge_fault(struct vm_fault *vmf,
					  unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vfio_pci_buf *buf = vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long leaf = PAGE_SIZE << order;
	u64 offset = (u64)linear_page_index(vma, addr) << PAGE_SHIFT;
	struct vfio_pci_extent ext;
	vm_fault_t ret;

	if (!vfio_pci_layout_find(&buf->layout, offset, &ext))
		return VM_FAULT_SIGBUS;

	if (order && !vfio_pci_extent_holds_leaf(&ext, addr, vma->vm_start,
						 vma->vm_end, leaf))
		return VM_FAULT_FALLBACK;

	down_read(&buf->fault_lock);
	switch (buf->state) {
	case VFIO_PCI_BUF_LIVE:
		ret = vfio_pci_buf_insert(vmf, addr,
					  PHYS_PFN(ALIGN_DOWN(ext.paddr, leaf)),
					  order);
		break;
	case VFIO_PCI_BUF_QUIESCING:
		ret = VM_FAULT_RETRY;
		break;
	default:
		ret = VM_FAULT_SIGBUS;
		break;
	}
	up_read(&buf->fault_lock);

	if (ret == VM_FAULT_RETRY)
		return vfio_pci_buf_fault_wait(vmf, buf);

	return ret;
}

static vm_fault_t vfio_pci_buf_fault(struct vm_fault *vmf)
{
	return vfio_pci_buf_huge_fault(vmf, 0);
}

static void vfio_pci_buf_vma_open(struct vm_area_struct *vma)
{
	vfio_pci_bar_vma_open(vma->vm_private_data);
}

static void vfio_pci_buf_vma_close(struct vm_area_struct *vma)
{
	vfio_pci_bar_vma_close(vma->vm_private_data);
}

static const struct vm_operations_struct vfio_pci_buf_vm_ops = {
	.fault = vfio_pci_buf_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = vfio_pci_buf_huge_fault,
#endif
};

/* The same, and the buffer counts its VMAs to know when to let go. */
const struct vm_operations_struct vfio_pci_bar_vm_ops = {
	.open = vfio_pci_buf_vma_open,
	.close = vfio_pci_buf_vma_close,
	.fault = vfio_pci_buf_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = vfio_pci_buf_huge_fault,
#endif
};

/**
 * vfio_pci_buf_init_vma - set up a VMA that maps a buffer
 * @buf: the buffer; the VMA's file is its DMABUF, which keeps it
 * @vma: the VMA, vm_pgoff counted from the start of the buffer
 * @vm_ops: of the buffer's kind
 *
 * All flags are set here, none in a fault: they are those of a BAR mapping of
 * the device fd in stock Linux. VM_ALLOW_ANY_UNCACHED lets KVM on arm64 give
 * a guest write-combining; vfio-pci has always stated that a PCI BAR bears it.
 */
void vfio_pci_buf_init_vma(struct vfio_pci_buf *buf,
			   struct vm_area_struct *vma,
			   const struct vm_operations_struct *vm_ops)
{
	vma->vm_private_data = buf;
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
			  VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = vm_ops;
}

/**
 * vfio_pci_buf_dma_mmap - mmap of the fd of an exported buffer
 * @dmabuf: the DMABUF; its core has checked the length
 * @vma: the new VMA
 *
 * A revoke that runs at the same time is seen by the first fault.
 *
 * Return: 0, -EINVAL for a private mapping and for memory that is no BAR,
 * -ENODEV for a revoked buffer.
 */
int vfio_pci_buf_dma_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct vfio_pci_buf *buf = dmabuf->priv;

	/* Not VM_SHARED, which a read-only file does not get. */
	if (!(vma->vm_flags & VM_MAYSHARE) || !buf->cpu_mappable)
		return -EINVAL;

	if (READ_ONCE(buf->state) == VFIO_PCI_BUF_REVOKED)
		return -ENODEV;

	vfio_pci_buf_init_vma(buf, vma, &vfio_pci_buf_vm_ops);
	return 0;
}
