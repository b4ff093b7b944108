// SPDX-License-Identifier: GPL-2.0-only
/*
 * Teach lockdep the order of buf.h, so that the first wrong step anywhere is
 * reported, and not only the one that closes a cycle with a second thread.
 */
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>

#include "access.h"
#include "buf.h"

/* A fault and an mmap. */
static void vfio_pci_prime_mmap(struct mm_struct *mm, struct vfio_pci_buf *buf)
{
	mmap_read_lock(mm);
	down_read(&buf->fault_lock);
	/* Page tables. */
	fs_reclaim_acquire(GFP_KERNEL);
	fs_reclaim_release(GFP_KERNEL);
	up_read(&buf->fault_lock);
	spin_lock(&buf->list->lock);
	spin_unlock(&buf->list->lock);
	mmap_read_unlock(mm);
}

static void vfio_pci_prime_transition(struct mm_struct *mm,
				      struct vfio_pci_core_device *vdev,
				      struct vfio_pci_buf *buf)
{
	down_write(&vdev->memory_lock);

	/*
	 * A reset waits for the mutex of the IOMMU group, whose holders may
	 * need mmap_lock. So memory_lock is never taken under mmap_lock.
	 */
	if (mm) {
		mmap_read_lock(mm);
		mmap_read_unlock(mm);
	}

	mutex_lock(&vdev->access_lock);
	spin_lock(&buf->list->lock);
	spin_unlock(&buf->list->lock);

	dma_resv_lock(&buf->resv, NULL);
	down_write(&buf->fault_lock);
	up_write(&buf->fault_lock);
	dma_resv_unlock(&buf->resv);
	mutex_unlock(&vdev->access_lock);

	up_write(&vdev->memory_lock);
}

/**
 * vfio_pci_buf_prime_lockdep - take the locks once in the right order
 *
 * Of what it makes only the lock classes are used. Without memory, or without
 * an mm when built into the kernel, lockdep learns less.
 */
void vfio_pci_buf_prime_lockdep(void)
{
	struct vfio_pci_core_device *vdev = kzalloc_obj(*vdev);
	struct vfio_pci_buf_list *list = vfio_pci_buf_list_alloc("lockdep");
	struct vfio_pci_buf *buf = list ? vfio_pci_buf_alloc(list) : NULL;

	if (vdev && buf) {
		vfio_pci_access_init(vdev);
		if (current->mm)
			vfio_pci_prime_mmap(current->mm, buf);
		vfio_pci_prime_transition(current->mm, vdev, buf);
	}

	if (buf)
		vfio_pci_buf_put(buf);
	if (list)
		vfio_pci_buf_list_put(list);
	kfree(vdev);
}
