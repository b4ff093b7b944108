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

/* Ranges from one entry of the index to the next; a power of two. */
#define VFIO_PCI_LAYOUT_STRIDE	16

/**
 * struct vfio_pci_layout - an ordered list of ranges seen as one offset space
 * @size: bytes in all ranges together
 * @nr: number of ranges after vfio_pci_layout_init()
 * @vecs: the ranges, in buffer order
 * @index: offset in the buffer at which each VFIO_PCI_LAYOUT_STRIDE-th range
 *	begins; not read when @nr is at most VFIO_PCI_LAYOUT_STRIDE
 *
 * A search halves the index, which costs half a byte for each range, and then
 * adds up lengths. Both arrays belong to whoever filled in the struct.
 */
struct vfio_pci_layout {
	u64 size;
	u32 nr;
	struct phys_vec *vecs;
	u64 *index;
};

/**
 * vfio_pci_layout_index_len - entries of the index of a layout
 * @nr: number of ranges
 *
 * Return: how many u64 vfio_pci_layout_init() may write.
 */
static inline u32 vfio_pci_layout_index_len(u32 nr)
{
	if (nr <= VFIO_PCI_LAYOUT_STRIDE)
		return 0;

	return (nr + VFIO_PCI_LAYOUT_STRIDE - 1) / VFIO_PCI_LAYOUT_STRIDE;
}

/**
 * struct vfio_pci_layout_builder - a layout that is being filled in
 * @vecs: room for the ranges
 * @index: room for the index, or NULL when none is needed
 * @last: number of the last range so far; -1 before the first
 * @end: physical address behind it
 * @size: bytes so far
 */
struct vfio_pci_layout_builder {
	struct phys_vec *vecs;
	u64 *index;
	u32 last;
	phys_addr_t end;
	u64 size;
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

/**
 * struct vfio_pci_cursor - a place in a layout, to go on from page by page
 * @vec: the range it is in
 * @paddr: physical address of the next step
 * @end: physical address behind @vec
 */
struct vfio_pci_cursor {
	const struct phys_vec *vec;
	phys_addr_t paddr;
	phys_addr_t end;
};

/**
 * struct vfio_pci_window - what may be mapped around one address
 * @before: bytes before it
 * @after: bytes from it on, its own page included
 */
struct vfio_pci_window {
	u64 before;
	u64 after;
};

void vfio_pci_layout_init(struct vfio_pci_layout *layout,
			  struct phys_vec *vecs, u64 *index, u32 nr);

/**
 * vfio_pci_layout_begin - begin to build a layout
 * @vecs: room for as many ranges as will be added, kept by reference
 * @index: room for vfio_pci_layout_index_len() of that number, kept by
 *	reference; may be NULL when that is 0
 *
 * Return: a builder for vfio_pci_layout_add() and vfio_pci_layout_done().
 */
static inline struct vfio_pci_layout_builder
vfio_pci_layout_begin(struct phys_vec *vecs, u64 *index)
{
	return (struct vfio_pci_layout_builder) {
		.vecs = vecs,
		.index = index,
		.last = -1,
		.end = ~(phys_addr_t)0,
	};
}

/**
 * vfio_pci_layout_add - add a range
 * @b: the builder
 * @paddr: where the range begins; never all ones, which stands for no end yet
 * @len: its length, not 0
 *
 * Joins it to the one before if the two are adjacent in memory, so that a
 * boundary that is none in memory stops neither a huge leaf nor a search step.
 * A quarter of a million calls may come in a row: few instructions in each.
 */
static inline void vfio_pci_layout_add(struct vfio_pci_layout_builder *b,
				       phys_addr_t paddr, u64 len)
{
	if (paddr == b->end) {
		b->vecs[b->last].len += len;
	} else {
		b->last++;
		if (!(b->last % VFIO_PCI_LAYOUT_STRIDE) && b->index)
			b->index[b->last / VFIO_PCI_LAYOUT_STRIDE] = b->size;
		b->vecs[b->last].paddr = paddr;
		b->vecs[b->last].len = len;
	}
	b->end = paddr + len;
	b->size += len;
}

/**
 * vfio_pci_layout_done - the layout of what was added
 * @b: the builder, to which at least one range was added
 * @layout: filled in
 */
static inline void vfio_pci_layout_done(const struct vfio_pci_layout_builder *b,
					struct vfio_pci_layout *layout)
{
	layout->size = b->size;
	layout->nr = b->last + 1;
	layout->vecs = b->vecs;
	layout->index = b->index;
}

bool vfio_pci_layout_find(const struct vfio_pci_layout *layout, u64 offset,
			  struct vfio_pci_extent *ext);
bool vfio_pci_extent_holds_leaf(const struct vfio_pci_extent *ext, u64 addr,
				u64 leaf);
struct vfio_pci_window
vfio_pci_extent_leaves(const struct vfio_pci_extent *ext, u64 addr,
		       u64 vma_start, u64 vma_end, u64 leaf, u64 span);
void vfio_pci_layout_seek(const struct vfio_pci_layout *layout, u64 offset,
			  struct vfio_pci_cursor *cur);
struct vfio_pci_window
vfio_pci_layout_window(const struct vfio_pci_layout *layout, u64 offset,
		       u64 addr, u64 vma_start, u64 vma_end, u64 span);

/**
 * vfio_pci_vma_holds_leaf - does the leaf around an address lie in the VMA
 * @addr: address inside the VMA
 * @vma_start: first address of the VMA
 * @vma_end: first address behind the VMA
 * @leaf: bytes the leaf maps, a power of two
 *
 * Return: true when it does.
 */
static inline bool vfio_pci_vma_holds_leaf(u64 addr, u64 vma_start, u64 vma_end,
					   u64 leaf)
{
	u64 head = addr & (leaf - 1);

	return head <= addr - vma_start && leaf - head <= vma_end - addr;
}

/**
 * vfio_pci_cursor_next - the address at the cursor, and a step on
 * @cur: from vfio_pci_layout_seek(); the whole step is inside the layout
 * @step: bytes to go on by, a divisor of the length of every range
 *
 * Return: the physical address where the cursor was.
 */
static inline phys_addr_t vfio_pci_cursor_next(struct vfio_pci_cursor *cur,
					       u64 step)
{
	phys_addr_t paddr;

	/* Late, so that nothing is read behind the last range. */
	if (cur->paddr == cur->end) {
		cur->vec++;
		cur->paddr = cur->vec->paddr;
		cur->end = cur->paddr + cur->vec->len;
	}

	paddr = cur->paddr;
	cur->paddr += step;
	return paddr;
}

#endif /* VFIO_PCI_DMABUF_LAYOUT_H */
