/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hooks that the rest of vfio-pci calls.
 */
#ifndef VFIO_PCI_DMABUF_ACCESS_H
#define VFIO_PCI_DMABUF_ACCESS_H

#include <linux/bits.h>
#include <linux/pci.h>
#include <linux/types.h>

struct vfio_device_feature_dma_buf;
struct vfio_device_set;
struct vfio_pci_core_device;
struct vm_area_struct;

/*
 * A transition of the device: every stretch of code that may take BAR access
 * away or give it back stands between one of the begins and the end. All of it
 * runs under memory_lock, write side, which the begin takes and the end drops.
 *
 * Take begin_reset when the result is not known before the end, begin_suspend
 * when access goes, begin_live when it can only come. The first two notify
 * importers and wait for them before they take memory_lock, and may fail.
 *
 * vdev->access_lock protects
 *   buf_list		the pointer, and the state of the list
 *   access_running	transitions that were announced or begun and have not
 *			ended: only the last end derives a state
 *   access_holds	see below
 * Taken to announce, to end and in a call of the PCI core; never across the
 * work of a transition, nor a wait for importers, nor resv.
 *
 * vdev->access_thread, written under memory_lock, is who is in a transition that
 * has taken access away: a call of the PCI core in the middle of it has nothing
 * to add.
 */
int __must_check
vfio_pci_access_begin_reset(struct vfio_pci_core_device *vdev);
int __must_check
vfio_pci_access_begin_suspend(struct vfio_pci_core_device *vdev);
void vfio_pci_access_begin_live(struct vfio_pci_core_device *vdev);
void vfio_pci_access_end(struct vfio_pci_core_device *vdev);

/* For all devices that one reset reaches. */
int __must_check vfio_pci_access_begin_set(struct vfio_device_set *dev_set);
void vfio_pci_access_end_set(struct vfio_device_set *dev_set);

/*
 * In vdev->access_holds, under access_lock: why the device must be left alone
 * although no transition of VFIO's runs.
 */
#define VFIO_PCI_ACCESS_RESET	BIT(0)	/* somebody else resets it */
#define VFIO_PCI_ACCESS_FROZEN	BIT(1)	/* it recovers from an error */

int vfio_pci_access_system_resume(struct device *dev);
void vfio_pci_access_init(struct vfio_pci_core_device *vdev);
void vfio_pci_access_error(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state);

void vfio_pci_buf_debugfs_init(void);
void vfio_pci_buf_debugfs_exit(void);

int vfio_pci_buf_list_open(struct vfio_pci_core_device *vdev);
void vfio_pci_buf_list_close(struct vfio_pci_core_device *vdev);

int vfio_pci_bar_mmap(struct vfio_pci_core_device *vdev, unsigned int bar,
		      pgoff_t pgoff, struct vm_area_struct *vma);

#ifdef CONFIG_LOCKDEP
void vfio_pci_buf_prime_lockdep(void);
#else
static inline void vfio_pci_buf_prime_lockdep(void)
{
}
#endif

#ifdef CONFIG_VFIO_PCI_DMABUF
int vfio_pci_core_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
				  struct vfio_device_feature_dma_buf __user *arg,
				  size_t argsz);
int vfio_pci_core_feature_dma_buf_revoke(struct vfio_pci_core_device *vdev,
					 u32 flags, void __user *arg,
					 size_t argsz);
int vfio_pci_core_feature_dma_buf_memattr(struct vfio_pci_core_device *vdev,
					  u32 flags, void __user *arg,
					  size_t argsz);
#else
static inline int
vfio_pci_core_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
			      struct vfio_device_feature_dma_buf __user *arg,
			      size_t argsz)
{
	return -ENOTTY;
}

static inline int
vfio_pci_core_feature_dma_buf_revoke(struct vfio_pci_core_device *vdev,
				     u32 flags, void __user *arg, size_t argsz)
{
	return -ENOTTY;
}

static inline int
vfio_pci_core_feature_dma_buf_memattr(struct vfio_pci_core_device *vdev,
				      u32 flags, void __user *arg, size_t argsz)
{
	return -ENOTTY;
}
#endif

#endif /* VFIO_PCI_DMABUF_ACCESS_H */
