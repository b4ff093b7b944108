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
#include <linux/mutex.h>
#include <linux/pci.h>
#include <kunit/visibility.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/**
 * vfio_pci_access_set - move every buffer of the device to a state
 * @vdev: the device, access_lock held
 * @state: the state
 *
 * Tells those who map them, and waits for no importer.
 */
void vfio_pci_access_set(struct vfio_pci_core_device *vdev,
			 enum vfio_pci_buf_state state)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;
	enum vfio_pci_buf_state old;
	struct vfio_pci_buf *buf = NULL;

	lockdep_assert_held(&vdev->access_lock);

	/* A device that nobody has open has no buffers. */
	if (!list)
		return;

	old = list->state;
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
}

/*
 * All were told before the first is waited for. Whether by this transition or by
 * a call of the PCI core before it, which may not have waited, makes no difference.
 */
static void vfio_pci_access_wait_importers(struct vfio_pci_buf_list *list)
{
	struct vfio_pci_buf *buf = NULL;

	if (!list)
		return;

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

/* memory_lock has been taken. */
static void vfio_pci_access_run(struct vfio_pci_core_device *vdev, bool quiesce)
{
	lockdep_assert_held_write(&vdev->memory_lock);

	if (quiesce)
		vfio_pci_access_zap_foreign(vdev);

	mutex_lock(&vdev->access_lock);
	vdev->access_running = true;
	if (quiesce)
		vfio_pci_access_set(vdev, VFIO_PCI_BUF_QUIESCING);
	mutex_unlock(&vdev->access_lock);

	if (quiesce)
		vfio_pci_access_wait_importers(vdev->buf_list);
}

/**
 * vfio_pci_access_init - before anything else here, once for each device
 * @vdev: the device
 */
void vfio_pci_access_init(struct vfio_pci_core_device *vdev)
{
	static struct lock_class_key foreign_mmap_key;

	init_rwsem(&vdev->memory_lock);
	mutex_init(&vdev->access_lock);

	/*
	 * A driver with an .mmap of its own takes memory_lock in its faults.
	 * For all others that is an error, which lockdep.c makes visible.
	 */
	if (vdev->vdev.ops && vdev->vdev.ops->mmap != vfio_pci_core_mmap)
		lockdep_set_class(&vdev->memory_lock, &foreign_mmap_key);
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
	vfio_pci_access_run(vdev, true);
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

	vfio_pci_access_run(vdev, true);
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
	vfio_pci_access_run(vdev, false);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_live);

/* The state that is so now, whatever the path here was about. */
static enum vfio_pci_buf_state
vfio_pci_access_derive(struct vfio_pci_core_device *vdev)
{
	if (vdev->access_holds & VFIO_PCI_ACCESS_RESET)
		return VFIO_PCI_BUF_QUIESCING;

	/*
	 * Not to be waited for: some recoveries end without a word, and a device
	 * that was pulled out does not come back.
	 */
	if (vdev->access_holds & VFIO_PCI_ACCESS_FROZEN ||
	    vdev->pdev->error_state == pci_channel_io_perm_failure)
		return VFIO_PCI_BUF_SUSPENDED;

	if (vdev->pm_runtime_engaged || !__vfio_pci_memory_enabled(vdev))
		return VFIO_PCI_BUF_SUSPENDED;

	return VFIO_PCI_BUF_LIVE;
}

/**
 * vfio_pci_access_settle - move every buffer to the state that is so now
 * @vdev: the device, access_lock held, and memory_lock or no transition running
 *
 * Return: true when there is access now.
 */
bool vfio_pci_access_settle(struct vfio_pci_core_device *vdev)
{
	enum vfio_pci_buf_state state;

	lockdep_assert_held(&vdev->access_lock);

	/* One that is not open has no virtual configuration space to look at. */
	if (!vdev->buf_list)
		return false;

	state = vfio_pci_access_derive(vdev);
	vfio_pci_access_set(vdev, state);
	return state == VFIO_PCI_BUF_LIVE;
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
	bool live;

	lockdep_assert_held_write(&vdev->memory_lock);

	mutex_lock(&vdev->access_lock);
	vdev->access_running = false;
	live = vfio_pci_access_settle(vdev);
	mutex_unlock(&vdev->access_lock);

	if (!live)
		vfio_pci_access_wait_importers(vdev->buf_list);
	up_write(&vdev->memory_lock);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_end);

/**
 * vfio_pci_buf_list_install - a device that is being opened gets its list
 * @vdev: the device
 * @list: the list, a reference to which becomes the device's
 */
void vfio_pci_buf_list_install(struct vfio_pci_core_device *vdev,
			       struct vfio_pci_buf_list *list)
{
	vfio_pci_access_begin_live(vdev);
	mutex_lock(&vdev->access_lock);
	vdev->buf_list = list;
	mutex_unlock(&vdev->access_lock);
	vfio_pci_access_end(vdev);
}

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
	mutex_lock(&vdev->access_lock);
	vfio_pci_access_set(vdev, VFIO_PCI_BUF_REVOKED);
	vdev->buf_list = NULL;
	mutex_unlock(&vdev->access_lock);
	vfio_pci_access_wait_importers(list);
	vfio_pci_access_end(vdev);

	vfio_pci_buf_list_put(list);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_close);
