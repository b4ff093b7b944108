// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transitions of the device: memory decode, power state, resets.
 *
 * There is one end for every begin, and it derives the new state from what the
 * hardware can do now. A path that fails half way, or that finds the BARs back
 * although nobody asked for it, ends like all others and leaves the truth.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/* Move every buffer of the device to @state, and tell those who map them. */
static void vfio_pci_access_set(struct vfio_pci_core_device *vdev,
				enum vfio_pci_buf_state state)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;
	enum vfio_pci_buf_state old = list->state;
	struct vfio_pci_buf *buf = NULL;

	lockdep_assert_held_write(&vdev->memory_lock);

	if (old == state)
		return;

	spin_lock(&list->lock);
	list->state = state;
	spin_unlock(&list->lock);

	while ((buf = vfio_pci_buf_next(list, buf))) {
		if (state == VFIO_PCI_BUF_LIVE) {
			vfio_pci_buf_resume(buf);
			continue;
		}

		vfio_pci_buf_set_state(buf, state);

		/*
		 * Only a live device has anything mapped. Buffers that were
		 * revoked before are swept too: their revoker may not have got
		 * so far, and the transition must not start before.
		 */
		if (old == VFIO_PCI_BUF_LIVE) {
			vfio_pci_buf_sweep(buf);
			vfio_pci_buf_invalidate_importers(buf);
		}
	}

	if (old != VFIO_PCI_BUF_LIVE)
		return;

	/* All were told before the first is waited for. */
	while ((buf = vfio_pci_buf_next(list, buf)))
		vfio_pci_buf_wait_importers(buf);
}

/*
 * Drivers that map BARs by an .mmap of their own have their VMAs in the
 * device's address space. No other VMA of a BAR is there.
 */
static void vfio_pci_access_zap_foreign(struct vfio_pci_core_device *vdev)
{
	struct address_space *mapping = vdev->vdev.inode->i_mapping;
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX);
	loff_t end = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX);

	unmap_mapping_range(mapping, start, end - start, true);
}

static void vfio_pci_access_quiesce(struct vfio_pci_core_device *vdev)
{
	vfio_pci_access_zap_foreign(vdev);

	/* A device of the set that nobody has open has no buffers. */
	if (vdev->buf_list)
		vfio_pci_access_set(vdev, VFIO_PCI_BUF_QUIESCING);
}

static void vfio_pci_access_own(struct vfio_pci_core_device *vdev)
{
	WRITE_ONCE(vdev->access_owner, current);
}

/**
 * vfio_pci_access_is_mine - is the caller between a begin and the end?
 * @vdev: the device
 *
 * No lock is needed: only the caller itself can make it so, or not so.
 *
 * Return: true when this thread holds memory_lock for a transition.
 */
bool vfio_pci_access_is_mine(struct vfio_pci_core_device *vdev)
{
	return READ_ONCE(vdev->access_owner) == current;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_is_mine);

/**
 * vfio_pci_access_init - before anything else here, once for each device
 * @vdev: the device
 */
void vfio_pci_access_init(struct vfio_pci_core_device *vdev)
{
	init_rwsem(&vdev->memory_lock);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_init);

/**
 * vfio_pci_access_begin - begin a transition in which the BARs go away
 * @vdev: the device
 *
 * Takes memory_lock. On return no CPU and no importer can reach a BAR; faults
 * wait for vfio_pci_access_end().
 */
void vfio_pci_access_begin(struct vfio_pci_core_device *vdev)
{
	down_write(&vdev->memory_lock);
	vfio_pci_access_own(vdev);
	vfio_pci_access_quiesce(vdev);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin);

/**
 * vfio_pci_access_trybegin - as vfio_pci_access_begin(), for one of a set
 * @vdev: the device
 *
 * Whoever holds several devices at once must not wait for the lock of one.
 *
 * Return: false when the lock is contended; nothing has changed then.
 */
bool vfio_pci_access_trybegin(struct vfio_pci_core_device *vdev)
{
	if (!down_write_trylock(&vdev->memory_lock))
		return false;

	vfio_pci_access_own(vdev);
	vfio_pci_access_quiesce(vdev);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_trybegin);

/**
 * vfio_pci_access_begin_live - begin a transition that only gives access
 * @vdev: the device
 *
 * Takes memory_lock and leaves live mappings alone. If the BARs turn out to be
 * gone, vfio_pci_access_end() takes the mappings away.
 */
void vfio_pci_access_begin_live(struct vfio_pci_core_device *vdev)
{
	down_write(&vdev->memory_lock);
	vfio_pci_access_own(vdev);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_live);

/* What is so now, whatever the path here was about. */
static enum vfio_pci_buf_state
vfio_pci_access_derive(struct vfio_pci_core_device *vdev)
{
	/* A device that was pulled out does not come back. */
	if (vdev->pdev->error_state == pci_channel_io_perm_failure)
		return VFIO_PCI_BUF_SUSPENDED;

	if (vdev->access_holds)
		return VFIO_PCI_BUF_QUIESCING;

	if (vdev->pm_runtime_engaged || !__vfio_pci_memory_enabled(vdev))
		return VFIO_PCI_BUF_SUSPENDED;

	return VFIO_PCI_BUF_LIVE;
}

/**
 * vfio_pci_access_end - end a transition
 * @vdev: the device
 *
 * Looks at what is so now: memory decode as the user sees it, the power state,
 * whether the user has asked for low power, and whether somebody else resets the
 * device: then faults go on waiting. Drops memory_lock.
 */
void vfio_pci_access_end(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held_write(&vdev->memory_lock);

	if (vdev->buf_list)
		vfio_pci_access_set(vdev, vfio_pci_access_derive(vdev));
	WRITE_ONCE(vdev->access_owner, NULL);
	up_write(&vdev->memory_lock);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_end);

/**
 * vfio_pci_buf_list_close - the last file of the device is closed
 * @vdev: the device
 *
 * Revokes what clients still hold. Their buffers keep the list, and know
 * nothing of the device from here on.
 */
void vfio_pci_buf_list_close(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;

	vfio_pci_buf_debugfs_remove(list);

	vfio_pci_access_begin_live(vdev);
	vfio_pci_access_set(vdev, VFIO_PCI_BUF_REVOKED);
	vdev->buf_list = NULL;
	vfio_pci_access_end(vdev);

	vfio_pci_buf_list_put(list);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_close);
