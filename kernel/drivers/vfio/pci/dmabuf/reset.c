// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets and error recoveries that VFIO did not start: sysfs, another owner of
 * the bus, AER. The PCI core announces and ends them by two calls, and between
 * them a hold blocks access; see vfio_pci_access_recompute().
 *
 * The calls come with the device locked, of a reset with its configuration space
 * blocked, of AER with pci_bus_sem held. A transition of VFIO's waits for the
 * latter two under memory_lock, so no call may take that: access_lock is enough.
 * A transition that runs meanwhile derives the state at its end. The core makes
 * these calls for the resets that VFIO starts, too, inside such a transition.
 */
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>
#include <kunit/visibility.h>

#include "access.h"
#include "buf.h"

/* For importers that keep a mapping, with the device locked. */
#define VFIO_PCI_RESET_TIMEOUT		(5 * HZ)

static void vfio_pci_access_hold(struct vfio_pci_core_device *vdev, u8 hold)
{
	lockdep_assert_held(&vdev->access_lock);

	vdev->access_holds |= hold;
	if (vdev->access_running)
		vfio_pci_access_set(vdev, VFIO_PCI_BUF_QUIESCING);
	else
		vfio_pci_access_recompute(vdev);
}

static void vfio_pci_access_release(struct vfio_pci_core_device *vdev, u8 hold)
{
	lockdep_assert_held(&vdev->access_lock);

	vdev->access_holds &= ~hold;
	vfio_pci_access_recompute(vdev);
}

/* Drops access_lock and notifies importers. */
static void vfio_pci_access_unlock_notify(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_buf_list *list = vfio_pci_access_unlock(vdev);

	vfio_pci_access_notify(list);
	if (list)
		vfio_pci_buf_list_put(list);
}

/**
 * vfio_pci_core_reset_prepare - pci_error_handlers.reset_prepare
 * @pdev: the device
 *
 * On return no CPU can reach a BAR; faults wait for vfio_pci_core_reset_done().
 * Importers have been notified, which takes as long as they hold resv, and been
 * given some seconds to unmap.
 */
void vfio_pci_core_reset_prepare(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);
	long timeout = VFIO_PCI_RESET_TIMEOUT;
	struct vfio_pci_buf_list *list;

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_RESET);
	/* Our own transition has waited, and holds memory_lock now. */
	if (READ_ONCE(vdev->access_thread) == current) {
		mutex_unlock(&vdev->access_lock);
		return;
	}

	list = vfio_pci_access_unlock(vdev);
	if (!list)
		return;

	vfio_pci_access_notify(list);
	if (vfio_pci_access_wait(list, TASK_UNINTERRUPTIBLE, &timeout))
		pci_warn(pdev, "an importer of a DMABUF stays through a reset\n");
	vfio_pci_buf_list_put(list);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_prepare);

/*
 * Some recoveries never call ->resume(): CXL's of a restricted host, which
 * leaves error_state alone, and s390's of a function that a user owns, which
 * leaves it frozen. There a reset ends the recovery. In all others a reset is a
 * part of the recovery, or somebody's idea in the middle of it.
 */
static bool vfio_pci_reset_ends_recovery(struct pci_dev *pdev)
{
	return IS_ENABLED(CONFIG_S390) || !pci_channel_offline(pdev);
}

/**
 * vfio_pci_core_reset_done - pci_error_handlers.reset_done
 * @pdev: the device, its configuration restored as far as it could be
 */
void vfio_pci_core_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);
	u8 hold = VFIO_PCI_ACCESS_RESET;

	if (vfio_pci_reset_ends_recovery(pdev))
		hold |= VFIO_PCI_ACCESS_FROZEN;

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_release(vdev, hold);
	/* Our own transition notifies at its end, without memory_lock. */
	if (READ_ONCE(vdev->access_thread) == current)
		mutex_unlock(&vdev->access_lock);
	else
		vfio_pci_access_unlock_notify(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_done);

/**
 * vfio_pci_access_error - an error was detected
 * @vdev: the device
 * @state: of its channel
 *
 * From a frozen channel until vfio_pci_core_aer_resume(), or until recovery is
 * given up, which comes as a permanent failure, a BAR does not answer and faults
 * get SIGBUS; while a transition runs they wait for its end. After a recovery
 * that was given up the device is, as in stock Linux, for the user to reset.
 *
 * Importers are notified and not waited for: this may be called in a walk of the
 * bus that has to reach an importer's device first, and a frozen channel lets no
 * DMA through.
 */
void vfio_pci_access_error(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state)
{
	mutex_lock(&vdev->access_lock);
	if (state == pci_channel_io_frozen)
		vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_FROZEN);
	else if (state == pci_channel_io_perm_failure)
		vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_access_unlock_notify(vdev);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_error);

/**
 * vfio_pci_core_aer_resume - pci_error_handlers.resume
 * @pdev: the device
 *
 * The bus above may have been reset and the device not restored: access comes
 * back when its command register says so.
 */
void vfio_pci_core_aer_resume(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_access_unlock_notify(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_aer_resume);

/**
 * vfio_pci_access_system_resume - the system wakes up
 * @dev: the device, which the PCI core has brought back to D0
 *
 * The user may have put it to sleep before.
 *
 * Return: 0
 */
int vfio_pci_access_system_resume(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	vfio_pci_access_begin_live(vdev);
	vfio_pci_access_end(vdev);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_system_resume);
