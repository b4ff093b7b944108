/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which physical address is at offset X of a buffer.
 *
 * Pure functions on plain structs: no device, no lock, no allocation. KUnit
 * covers them in the kernel, and they build in user space for the fuzzer.
 */
#ifndef VFIO_PCI_DMABUF_LAYOUT_H
#define VFIO_PCI_DMABUF_LAYOUT_H

#include <linux/types.h>

/**
 * struct vfio_pci_layout - an ordered list of ranges seen as one offset space
 * @size: bytes in all ranges together
 * @nr: number of ranges after vfio_pci_layout_merge()
 * @vecs: the ranges, in buffer order
 * @starts: offset in the buffer at which each range begins; not read when
 *	@nr is 1
 *
 * The search runs over @starts alone, so that it walks eight bytes a step.
 * Both arrays belong to whoever filled in the struct.
 */
struct vfio_pci_layout {
	u64 size;
	u32 nr;
	struct phys_vec *vecs;
	u64 *starts;
};

/**
 * struct vfio_pci_extent - what surrounds one offset of a buffer
 * @paddr: physical address at the offset
 * @before: bytes before @paddr, contiguous in the buffer and in memory
 * @after: bytes from @paddr on, its own included, contiguous likewise
 */
struct vfio_pci_extent {
	phys_addr_t paddr;
	u64 before;
	u64 after;
};

u32 vfio_pci_layout_merge(struct phys_vec *vecs, u32 nr);
void vfio_pci_layout_init(struct vfio_pci_layout *layout,
			  struct phys_vec *vecs, u64 *starts, u32 nr);
bool vfio_pci_layout_find(const struct vfio_pci_layout *layout, u64 offset,
			  struct vfio_pci_extent *ext);
bool vfio_pci_extent_holds_leaf(const struct vfio_pci_extent *ext, u64 addr,
				u64 vma_start, u64 vma_end, u64 leaf);

#endif /* VFIO_PCI_DMABUF_LAYOUT_H */
