// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transitions of the device: memory decode, power state, resets.
 *
 * There is one end for every begin, and it derives the new state from what the
 * hardware can do now. A path that fails half way, or that finds the BARs back
 * although nobody asked for it, ends like all others and finds the same state.
 *
 * A begin that takes access away has three steps:
 *
 *   announce	access_lock: count the transition, set the state of all buffers,
 *		zap them; then notify importers
 *   wait	no lock at all, killable, with a timeout: until no importer
 *		reaches a BAR
 *   enter	memory_lock
 *
 * A begin that is killed or times out takes back what it announced and fails;
 * nothing else has happened. So nobody who holds a lock of the device waits for
 * an importer.
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
 * Call vfio_pci_access_notify() once access_lock is dropped. A resume sets the
 * state of every buffer before the first importer is notified, and a loss zaps
 * every buffer before.
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
		vfio_pci_buf_set_state(buf, state);

		/*
		 * Only a live device has anything mapped. Zap buffers that were
		 * revoked before, too: their revoker may not have got so far,
		 * and the transition must not start before.
		 */
		if (old == VFIO_PCI_BUF_LIVE)
			vfio_pci_buf_zap(buf);
	}
}

/**
 * vfio_pci_access_unlock - drop access_lock and keep the list
 * @vdev: the device, access_lock held
 *
 * Return: the device's list with a reference for vfio_pci_access_notify(), or
 * NULL when the device is not open.
 */
struct vfio_pci_buf_list *
vfio_pci_access_unlock(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;

	if (list)
		kref_get(&list->kref);
	mutex_unlock(&vdev->access_lock);

	return list;
}

/**
 * vfio_pci_access_notify - notify importers after the state has been set
 * @list: from vfio_pci_access_unlock(), may be NULL
 *
 * Takes resv of one buffer after the other; hold no lock of the device but, in
 * a call of the PCI core, what the core holds.
 */
void vfio_pci_access_notify(struct vfio_pci_buf_list *list)
{
	struct vfio_pci_buf *buf = NULL;

	/* Ordered behind the state by vfio_pci_buf_set_state(). */
	if (!list || !atomic_read(&list->nr_attached))
		return;

	while ((buf = vfio_pci_buf_next(list, buf)))
		vfio_pci_buf_notify_importers(buf);
}

/**
 * vfio_pci_access_wait - wait until no importer reaches a BAR
 * @list: as for vfio_pci_access_notify(), which has been called
 * @task_state: TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 * @timeout: for all buffers together, in jiffies, at least 1; reduced by what
 *	has been waited
 *
 * Whether importers were notified of this loss or of one before makes no
 * difference.
 *
 * Return: 0, -EBUSY when an importer is left, -EINTR when the caller is killed.
 */
int vfio_pci_access_wait(struct vfio_pci_buf_list *list, unsigned int task_state,
			 long *timeout)
{
	struct vfio_pci_buf *buf = NULL;

	if (!list || !atomic_read(&list->nr_attached))
		return 0;

	while ((buf = vfio_pci_buf_next(list, buf))) {
		long left = vfio_pci_buf_wait_importers(buf, task_state,
							*timeout);

		if (left <= 0) {
			vfio_pci_buf_put(buf);
			return left ? -EINTR : -EBUSY;
		}
		*timeout = left;
	}

	return 0;
}

static void vfio_pci_access_list_put(struct vfio_pci_buf_list *list)
{
	if (list)
		vfio_pci_buf_list_put(list);
}

/*
 * Drivers that map BARs by an .mmap of their own have their VMAs in the
 * device's address space, and take memory_lock in their faults. No other VMA of
 * a BAR is there.
 */
static void vfio_pci_access_zap_foreign(struct vfio_pci_core_device *vdev)
{
	struct address_space *mapping = vdev->vdev.inode->i_mapping;
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX);
	loff_t end = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX);

	lockdep_assert_held_write(&vdev->memory_lock);

	unmap_mapping_range(mapping, start, end - start, true);
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

/*
 * What the user sees and what the device has may differ: recovery from a fatal
 * error resets a device and restores nothing. VFs have no such bit.
 */
static bool vfio_pci_access_decodes(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 cmd;

	if (!__vfio_pci_memory_enabled(vdev))
		return false;

	if (pdev->no_command_memory)
		return true;

	/* Not held up while configuration space is blocked for user space. */
	return !pci_read_config_word(pdev, PCI_COMMAND, &cmd) &&
	       !PCI_POSSIBLE_ERROR(cmd) && cmd & PCI_COMMAND_MEMORY;
}

/* The state as the hardware has it now, whatever the path here was about. */
static enum vfio_pci_buf_state
vfio_pci_access_derive(struct vfio_pci_core_device *vdev)
{
	if (vdev->access_holds & VFIO_PCI_ACCESS_RESET)
		return VFIO_PCI_BUF_QUIESCING;

	/*
	 * Not to be waited for: some recoveries never end, and a device that
	 * was pulled out does not come back.
	 */
	if (vdev->access_holds & VFIO_PCI_ACCESS_FROZEN ||
	    vdev->pdev->error_state == pci_channel_io_perm_failure)
		return VFIO_PCI_BUF_SUSPENDED;

	if (vdev->pm_runtime_engaged || !vfio_pci_access_decodes(vdev))
		return VFIO_PCI_BUF_SUSPENDED;

	return VFIO_PCI_BUF_LIVE;
}

/**
 * vfio_pci_access_recompute - move every buffer to the state that holds now
 * @vdev: the device, access_lock held
 *
 * While a transition runs, its end does it: others may only take access away.
 */
void vfio_pci_access_recompute(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->access_lock);

	/* One that is not open has no virtual configuration space to look at. */
	if (!vdev->access_running && vdev->buf_list)
		vfio_pci_access_set(vdev, vfio_pci_access_derive(vdev));
}

/* Notify importers afterwards. */
static void vfio_pci_access_announce(struct vfio_pci_core_device *vdev,
				     enum vfio_pci_buf_state state)
{
	lockdep_assert_not_held(&vdev->memory_lock);

	mutex_lock(&vdev->access_lock);
	vdev->access_running++;
	vfio_pci_access_set(vdev, state);
	mutex_unlock(&vdev->access_lock);
}

/* Uses up what it waits of @timeout. */
static int vfio_pci_access_await(struct vfio_pci_core_device *vdev,
				 long *timeout)
{
	struct vfio_pci_buf_list *list;
	int ret;

	lockdep_assert_not_held(&vdev->memory_lock);

	mutex_lock(&vdev->access_lock);
	list = vfio_pci_access_unlock(vdev);
	ret = vfio_pci_access_wait(list, TASK_KILLABLE, timeout);
	vfio_pci_access_list_put(list);

	return ret;
}

/* Notify importers of the state as it is now. */
static void vfio_pci_access_notify_device(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list;

	mutex_lock(&vdev->access_lock);
	list = vfio_pci_access_unlock(vdev);

	vfio_pci_access_notify(list);
	vfio_pci_access_list_put(list);
}

/*
 * Take back what a begin announced: the device is not entered. Notify importers
 * afterwards.
 */
static void vfio_pci_access_cancel(struct vfio_pci_core_device *vdev)
{
	mutex_lock(&vdev->access_lock);
	vdev->access_running--;
	/* With no transition running, what a state derives from is constant. */
	vfio_pci_access_recompute(vdev);
	mutex_unlock(&vdev->access_lock);
}

static void vfio_pci_access_entered(struct vfio_pci_core_device *vdev)
{
	vfio_pci_access_zap_foreign(vdev);
	WRITE_ONCE(vdev->access_thread, current);
}

static int vfio_pci_access_begin(struct vfio_pci_core_device *vdev,
				 enum vfio_pci_buf_state state)
{
	long timeout = vfio_pci_importer_timeout();
	int ret;

	vfio_pci_access_announce(vdev, state);
	vfio_pci_access_notify_device(vdev);
	ret = vfio_pci_access_await(vdev, &timeout);
	if (!ret)
		ret = down_write_killable(&vdev->memory_lock);
	if (ret) {
		vfio_pci_access_cancel(vdev);
		vfio_pci_access_notify_device(vdev);
		return ret;
	}

	vfio_pci_access_entered(vdev);
	return 0;
}

/**
 * vfio_pci_access_begin_reset - begin a transition whose result is not known
 * @vdev: the device
 *
 * On success memory_lock is held, no CPU and no importer can reach a BAR, and
 * faults wait for vfio_pci_access_end(). Hold no lock that an importer needs.
 *
 * Return: 0; -EBUSY when an importer keeps its mapping for longer than the
 * timeout, -EINTR when the caller is killed: nothing has changed then.
 */
int vfio_pci_access_begin_reset(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_access_begin(vdev, VFIO_PCI_BUF_QUIESCING);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_reset);

/**
 * vfio_pci_access_begin_suspend - begin a transition that takes the BARs away
 * @vdev: the device
 *
 * As vfio_pci_access_begin_reset(), but faults get SIGBUS from now on: nobody
 * waits for a result that is known, however long an importer takes.
 *
 * Return: as vfio_pci_access_begin_reset(). Faults in between got SIGBUS.
 */
int vfio_pci_access_begin_suspend(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_access_begin(vdev, VFIO_PCI_BUF_SUSPENDED);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_suspend);

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
	mutex_lock(&vdev->access_lock);
	vdev->access_running++;
	mutex_unlock(&vdev->access_lock);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_live);

/*
 * Derive the state and drop memory_lock. Notify importers afterwards.
 *
 * Return: true when access is lost that the begin left alone.
 */
static bool vfio_pci_access_leave(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list;
	bool was_live, live;

	lockdep_assert_held_write(&vdev->memory_lock);

	WRITE_ONCE(vdev->access_thread, NULL);
	mutex_lock(&vdev->access_lock);
	vdev->access_running--;
	list = vdev->buf_list;
	was_live = list && list->state == VFIO_PCI_BUF_LIVE;
	vfio_pci_access_recompute(vdev);
	live = list && list->state == VFIO_PCI_BUF_LIVE;
	mutex_unlock(&vdev->access_lock);
	up_write(&vdev->memory_lock);

	return was_live && !live;
}

/**
 * vfio_pci_access_end - end a transition
 * @vdev: the device
 *
 * Looks at the hardware: memory decode, the power state, whether the user has
 * asked for low power, and whether somebody else resets the device: then faults
 * go on waiting. The last of several transitions does so for all. Drops
 * memory_lock. On return importers have been notified of a return of access,
 * and, for a while, been waited for if it is lost.
 */
void vfio_pci_access_end(struct vfio_pci_core_device *vdev)
{
	long timeout = vfio_pci_importer_timeout();
	bool lost = vfio_pci_access_leave(vdev);
	struct vfio_pci_buf_list *list;

	mutex_lock(&vdev->access_lock);
	list = vfio_pci_access_unlock(vdev);

	vfio_pci_access_notify(list);
	/* A begin that takes access away has waited already. */
	if (lost)
		vfio_pci_access_wait(list, TASK_KILLABLE, &timeout);
	vfio_pci_access_list_put(list);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_end);

/*
 * Leave a set: @entered of its devices are entered, all are announced. An
 * importer may hold resv for long, so all devices are unlocked before the first
 * importer is notified.
 */
static void vfio_pci_access_leave_set(struct vfio_device_set *dev_set,
				      unsigned int entered)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (entered) {
			entered--;
			vfio_pci_access_leave(vdev);
		} else {
			vfio_pci_access_cancel(vdev);
		}
	}

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vfio_pci_access_notify_device(vdev);
}

/**
 * vfio_pci_access_begin_set - vfio_pci_access_begin_reset() for a whole set
 * @dev_set: the set, its lock held
 *
 * Announces all before it notifies an importer of the first, and waits for all no
 * longer than for one. Whoever holds several devices at once must not wait for the lock of
 * one.
 *
 * Return: 0; -EBUSY when an importer keeps its mapping for longer than the
 * timeout or memory_lock of a device is contended, -EINTR when the caller is
 * killed: nothing has changed then.
 */
int vfio_pci_access_begin_set(struct vfio_device_set *dev_set)
{
	long timeout = vfio_pci_importer_timeout();
	struct vfio_pci_core_device *vdev;
	unsigned int entered = 0;
	int ret;

	lockdep_assert_held(&dev_set->lock);

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vfio_pci_access_announce(vdev, VFIO_PCI_BUF_QUIESCING);
	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vfio_pci_access_notify_device(vdev);

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		ret = vfio_pci_access_await(vdev, &timeout);
		if (ret)
			goto undo;
	}

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (!down_write_trylock(&vdev->memory_lock)) {
			ret = -EBUSY;
			goto undo;
		}
		vfio_pci_access_entered(vdev);
		entered++;
	}

	return 0;

undo:
	vfio_pci_access_leave_set(dev_set, entered);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_begin_set);

/**
 * vfio_pci_access_end_set - vfio_pci_access_end() for a whole set
 * @dev_set: the set, its lock held
 */
void vfio_pci_access_end_set(struct vfio_device_set *dev_set)
{
	lockdep_assert_held(&dev_set->lock);

	vfio_pci_access_leave_set(dev_set, UINT_MAX);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_end_set);

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

/*
 * The next owner of the device must not share it with an importer, so there is
 * no giving up. Say who it is, once.
 */
static void vfio_pci_access_wait_for_good(struct vfio_pci_core_device *vdev,
					  struct vfio_pci_buf_list *list)
{
	long timeout = vfio_pci_importer_timeout();
	bool said = false;
	char name[32];

	while (vfio_pci_access_wait(list, TASK_UNINTERRUPTIBLE, &timeout)) {
		struct vfio_pci_buf *buf = NULL;

		timeout = vfio_pci_importer_timeout();

		while (!said && (buf = vfio_pci_buf_next(list, buf))) {
			if (!vfio_pci_buf_name_importer(buf, name,
							sizeof(name)))
				continue;
			pci_warn(vdev->pdev,
				 "closing waits for an importer of a DMABUF: %s\n",
				 name);
			vfio_pci_buf_put(buf);
			said = true;
			break;
		}
	}
}

/**
 * vfio_pci_buf_list_close - the last file of the device is closed
 * @vdev: the device
 *
 * Revokes what clients still hold. Their buffers keep the list, and know
 * nothing of the device from here on. Waits for importers, without a timeout
 * and without memory_lock or access_lock.
 */
void vfio_pci_buf_list_close(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list = vdev->buf_list;

	vfio_pci_buf_debugfs_remove(list);

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_set(vdev, VFIO_PCI_BUF_REVOKED);
	/* The list that the device had is ours now. */
	vdev->buf_list = NULL;
	mutex_unlock(&vdev->access_lock);

	vfio_pci_bar_drop_idle(list);
	vfio_pci_access_notify(list);
	vfio_pci_access_wait_for_good(vdev, list);

	vfio_pci_buf_list_put(list);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_buf_list_close);
