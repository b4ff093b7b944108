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
 * vfio_pci_layout_merge - join neighbours that are adjacent in memory too
 * @vecs: ranges in buffer order, none empty, their sum within a u64
 * @nr: number of ranges, at least 1
 *
 * Works in place. A boundary that is no boundary in memory then stops neither
 * a huge leaf nor a search step.
 *
 * Return: the number of ranges left at the front of @vecs.
 */
u32 vfio_pci_layout_merge(struct phys_vec *vecs, u32 nr)
{
	u32 last = 0;
	u32 i;

	for (i = 1; i < nr; i++) {
		if (vecs[last].paddr + vecs[last].len == vecs[i].paddr)
			vecs[last].len += vecs[i].len;
		else
			vecs[++last] = vecs[i];
	}

	return last + 1;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_merge);

/**
 * vfio_pci_layout_init - make a layout ready for vfio_pci_layout_find()
 * @layout: filled in
 * @vecs: merged ranges, kept by reference
 * @starts: room for @nr offsets, kept by reference; may be NULL when @nr is 1
 * @nr: number of ranges, at least 1
 */
void vfio_pci_layout_init(struct vfio_pci_layout *layout,
			  struct phys_vec *vecs, u64 *starts, u32 nr)
{
	u64 size = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (nr > 1)
			starts[i] = size;
		size += vecs[i].len;
	}

	layout->size = size;
	layout->nr = nr;
	layout->vecs = vecs;
	layout->starts = starts;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_layout_init);

/* The last range that begins at or before @offset, which is inside. */
static u32 vfio_pci_layout_search(const struct vfio_pci_layout *layout,
				  u64 offset)
{
	u32 low = 0, high = layout->nr;

	/* starts[low] <= offset < starts[high], where starts[nr] is the size */
	while (high - low > 1) {
		u32 mid = low + (high - low) / 2;

		if (layout->starts[mid] <= offset)
			low = mid;
		else
			high = mid;
	}

	return low;
}

/* The range that holds @offset, which is inside and becomes that in the range. */
static const struct phys_vec *
vfio_pci_layout_vec(const struct vfio_pci_layout *layout, u64 *offset)
{
	u32 i;

	if (layout->nr == 1)
		return layout->vecs;

	i = vfio_pci_layout_search(layout, *offset);
	*offset -= layout->starts[i];
	return &layout->vecs[i];
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
