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
	read_lock(&buf->fault_lock);
	read_unlock(&buf->fault_lock);
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

	write_lock(&buf->fault_lock);
	write_unlock(&buf->fault_lock);
	mutex_unlock(&vdev->access_lock);

	up_write(&vdev->memory_lock);
}

/*
 * An importer holds resv for as long as it likes, so nobody takes it under
 * access_lock. Lockdep knows no "never": the opposite order, which nobody uses,
 * says it.
 */
static void vfio_pci_prime_importer(struct vfio_pci_core_device *vdev,
				    struct vfio_pci_buf *buf)
{
	dma_resv_lock(&buf->resv, NULL);
	mutex_lock(&vdev->access_lock);
	mutex_unlock(&vdev->access_lock);
	dma_resv_unlock(&buf->resv);
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
		vfio_pci_prime_importer(vdev, buf);
	}

	if (buf)
		vfio_pci_buf_put(buf);
	if (list)
		vfio_pci_buf_list_put(list);
	kfree(vdev);
}
