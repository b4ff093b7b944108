// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which physical address is at offset X of a buffer.
 */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/types.h>
#include <kunit/visibility.h>

#include "layout.h"

/**
 * vfio_pci_layout_init - make a layout of an array of ranges, in place
 * @layout: filled in
 * @vecs: ranges in buffer order, none empty, their sum within a u64; kept by
 *	reference
 * @index: room for vfio_pci_layout_index_len(@nr) offsets, kept by reference;
 *	may be NULL when that is 0
 * @nr: number of ranges, at least 1
 *
 * @layout->nr is what is left at the front of @vecs when neighbours are joined.
 */
void vfio_pci_layout_init(struct vfio_pci_layout *layout,
			  struct phys_vec *vecs, u64 *index, u32 nr)
{
	struct vfio_pci_layout_builder b = vfio_pci_layout_begin(vecs, index);
	u32 i;

	for (i = 0; i < nr; i++)
		vfio_pci_layout_add(&b, vecs[i].paddr, vecs[i].len);
	vfio_pci_layout_done(&b, layout);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_init);

/*
 * The range that holds @offset, which is inside and becomes the offset in the
 * range.
 */
static const struct phys_vec *
vfio_pci_layout_vec(const struct vfio_pci_layout *layout, u64 *offset)
{
	const struct phys_vec *vec = layout->vecs;
	u32 low = 0, high;

	if (layout->nr > VFIO_PCI_LAYOUT_STRIDE) {
		high = vfio_pci_layout_index_len(layout->nr);
		/* index[low] <= offset < index[high], if that were there */
		while (high - low > 1) {
			u32 mid = low + (high - low) / 2;

			if (layout->index[mid] <= *offset)
				low = mid;
			else
				high = mid;
		}
		*offset -= layout->index[low];
		vec += low * VFIO_PCI_LAYOUT_STRIDE;
	}

	for (; *offset >= vec->len; vec++)
		*offset -= vec->len;

	return vec;
}

/**
 * vfio_pci_layout_find - look up one offset
 * @layout: from vfio_pci_layout_init()
 * @offset: offset in the buffer, in bytes
 * @ext: filled in when the offset is inside
 *
 * Return: false when @offset is not inside the buffer.
 */
bool vfio_pci_layout_find(const struct vfio_pci_layout *layout, u64 offset,
			  struct vfio_pci_extent *ext)
{
	const struct phys_vec *vec;

	if (offset >= layout->size)
		return false;

	vec = vfio_pci_layout_vec(layout, &offset);
	ext->paddr = vec->paddr + offset;
	ext->before = offset;
	ext->after = vec->len - offset;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_find);

/**
 * vfio_pci_extent_holds_leaf - may one page-table leaf map around an offset
 * @ext: the extent at the page of @addr
 * @addr: user address of that page
 * @leaf: bytes the leaf maps, a power of two of at least a page
 *
 * Return: true when the whole leaf lies inside memory that is contiguous in the
 * buffer, and when user and physical address agree modulo @leaf.
 */
bool vfio_pci_extent_holds_leaf(const struct vfio_pci_extent *ext, u64 addr,
				u64 leaf)
{
	u64 head = addr & (leaf - 1);

	return (ext->paddr & (leaf - 1)) == head && head <= ext->before &&
	       leaf - head <= ext->after;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_extent_holds_leaf);

/**
 * vfio_pci_extent_leaves - which leaves may be mapped around an address
 * @ext: the extent at the page of @addr, which holds the leaf around @addr
 * @addr: user address of that page
 * @vma_start: first address of the VMA, which holds that leaf, too
 * @vma_end: first address behind the VMA
 * @leaf: bytes of a leaf, a power of two
 * @span: how far to go, a power of two and a multiple of @leaf
 *
 * Return: the whole leaves that the aligned span around @addr, the VMA and the
 * extent have in common, counted in bytes from the start of the leaf around
 * @addr; both are multiples of @leaf.
 */
struct vfio_pci_window
vfio_pci_extent_leaves(const struct vfio_pci_extent *ext, u64 addr,
		       u64 vma_start, u64 vma_end, u64 leaf, u64 span)
{
	u64 head = addr & (leaf - 1);
	u64 base = addr - head;
	u64 in_span = base & (span - 1);

	return (struct vfio_pci_window) {
		.before = min3(in_span, base - vma_start,
			       ext->before - head) & ~(leaf - 1),
		.after = min3(span - in_span, vma_end - base,
			      ext->after + head) & ~(leaf - 1),
	};
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_extent_leaves);

/**
 * vfio_pci_layout_seek - put a cursor at an offset
 * @layout: from vfio_pci_layout_init()
 * @offset: offset inside the buffer
 * @cur: filled in
 */
void vfio_pci_layout_seek(const struct vfio_pci_layout *layout, u64 offset,
			  struct vfio_pci_cursor *cur)
{
	cur->vec = vfio_pci_layout_vec(layout, &offset);
	cur->paddr = cur->vec->paddr + offset;
	cur->end = cur->vec->paddr + cur->vec->len;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_seek);

/**
 * vfio_pci_layout_window - how far a mapping may reach around an address
 * @layout: from vfio_pci_layout_init()
 * @offset: offset inside the buffer
 * @addr: user address that maps @offset
 * @vma_start: first address of the VMA
 * @vma_end: first address behind the VMA
 * @span: what one page table maps, a power of two
 *
 * Return: what the page table, the VMA and the buffer have in common.
 */
struct vfio_pci_window
vfio_pci_layout_window(const struct vfio_pci_layout *layout, u64 offset,
		       u64 addr, u64 vma_start, u64 vma_end, u64 span)
{
	u64 head = addr & (span - 1);

	return (struct vfio_pci_window) {
		.before = min3(head, addr - vma_start, offset),
		.after = min3(span - head, vma_end - addr,
			      layout->size - offset),
	};
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_window);
