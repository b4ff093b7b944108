/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA mappings of PCI BARs in a type1 container.
 *
 * A struct vfio_dma may cover memory, which is pinned, and buffers of vfio-pci,
 * which are not: their owner takes access away and gives it back. Each stretch
 * of one VMA of a buffer is a piece, a struct vfio_bar. See
 * vfio_iommu_type1_bar.c.
 */
#ifndef VFIO_IOMMU_TYPE1_BAR_H
#define VFIO_IOMMU_TYPE1_BAR_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct iommu_domain;
struct vm_area_struct;

/**
 * struct vfio_bar_container - the pieces of a container
 * @lock: protects @domains, and whether a piece is mapped or dead
 * @domains: struct vfio_bar_domain; changes under iommu->lock as well
 * @pieces: every struct vfio_bar, under iommu->lock
 * @nr_pieces: their number, under iommu->lock
 * @max_pieces: the most that there may be; constant. Each costs the owner of its
 *	buffer time when access is taken away.
 * @iommu_lock: iommu->lock, for lockdep
 * @remap_failed: a piece could not be mapped again, and the log says so
 */
struct vfio_bar_container {
	struct mutex lock;	/* what is mapped, and in which domains */
	struct list_head domains;
	struct list_head pieces;
	unsigned int nr_pieces;
	unsigned int max_pieces;
	struct mutex *iommu_lock;	/* outermost */
	bool remap_failed;
};

/**
 * struct vfio_bar_domain - a domain that all pieces are mapped into
 * @domain: NULL while it is not in the list
 * @next: in container->domains
 */
struct vfio_bar_domain {
	struct iommu_domain *domain;
	struct list_head next;
};

#ifdef CONFIG_VFIO_PCI_DMABUF
int vfio_bar_init(void);
void vfio_bar_exit(void);
void vfio_bar_init_container(struct vfio_bar_container *container,
			     struct mutex *iommu_lock, unsigned int max_pieces);
bool vfio_bar_is_vma(struct vm_area_struct *vma);
long vfio_bar_add(struct vfio_bar_container *container, struct rb_root *bars,
		  unsigned long vaddr, dma_addr_t iova, size_t size, int prot,
		  bool small_pages);
size_t __vfio_bar_run(const struct rb_root *bars, dma_addr_t iova, size_t size,
		      bool *is_bar);
void __vfio_bar_unmap_all(struct rb_root *bars);
void __vfio_bar_free_all(struct rb_root *bars);
int vfio_bar_add_domain(struct vfio_bar_container *container,
			struct vfio_bar_domain *new,
			struct iommu_domain *domain);
void vfio_bar_remove_domain(struct vfio_bar_container *container,
			    struct vfio_bar_domain *old);
#else
static inline int vfio_bar_init(void)
{
	return 0;
}

static inline void vfio_bar_exit(void)
{
}

static inline void vfio_bar_init_container(struct vfio_bar_container *container,
					   struct mutex *iommu_lock,
					   unsigned int max_pieces)
{
}

static inline bool vfio_bar_is_vma(struct vm_area_struct *vma)
{
	return false;
}

static inline long vfio_bar_add(struct vfio_bar_container *container,
				struct rb_root *bars, unsigned long vaddr,
				dma_addr_t iova, size_t size, int prot,
				bool small_pages)
{
	return -EFAULT;
}

static inline size_t __vfio_bar_run(const struct rb_root *bars, dma_addr_t iova,
				    size_t size, bool *is_bar)
{
	return size;
}

static inline void __vfio_bar_unmap_all(struct rb_root *bars)
{
}

static inline void __vfio_bar_free_all(struct rb_root *bars)
{
}

static inline int vfio_bar_add_domain(struct vfio_bar_container *container,
				      struct vfio_bar_domain *new,
				      struct iommu_domain *domain)
{
	return 0;
}

static inline void vfio_bar_remove_domain(struct vfio_bar_container *container,
					  struct vfio_bar_domain *old)
{
}
#endif

/* Memory without a BAR, which is nearly all that is mapped, pays for a look. */

/**
 * vfio_bar_run - the length of what is all of one piece, or of none
 * @bars: the pieces of a struct vfio_dma
 * @iova: where to begin
 * @size: where to end at the latest, not 0
 * @is_bar: set to whether a piece is there
 *
 * Return: 1 to @size bytes.
 */
static inline size_t vfio_bar_run(const struct rb_root *bars, dma_addr_t iova,
				  size_t size, bool *is_bar)
{
	*is_bar = false;
	if (RB_EMPTY_ROOT(bars))
		return size;

	return __vfio_bar_run(bars, iova, size, is_bar);
}

/**
 * vfio_bar_unmap_all - unmap the pieces of a struct vfio_dma from all domains
 * @bars: its pieces; iommu->lock held, or the container is being released
 *
 * Each stays where it is, so that vfio_bar_run() finds it, and unmapped for good.
 */
static inline void vfio_bar_unmap_all(struct rb_root *bars)
{
	if (!RB_EMPTY_ROOT(bars))
		__vfio_bar_unmap_all(bars);
}

/**
 * vfio_bar_free_all - forget the pieces of a struct vfio_dma
 * @bars: its pieces; iommu->lock held, or the container is being released
 *
 * Unmaps what vfio_bar_unmap_all() has not.
 */
static inline void vfio_bar_free_all(struct rb_root *bars)
{
	if (!RB_EMPTY_ROOT(bars))
		__vfio_bar_free_all(bars);
}

#endif /* VFIO_IOMMU_TYPE1_BAR_H */
