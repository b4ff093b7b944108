// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets and error recoveries that VFIO did not start: sysfs, another owner of
 * the bus, AER. The PCI core tells of them in two calls, and between them a hold
 * keeps access back; see vfio_pci_access_settle().
 *
 * The calls come with the device locked, of a reset with its configuration space
 * blocked, of AER with pci_bus_sem held. A transition of VFIO's waits for the
 * latter two under memory_lock, so no call may take that: access_lock is enough.
 * A transition that runs meanwhile derives the state at its end. The core tells
 * of the resets that VFIO starts, too, in the middle of such a transition.
 */
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>
#include <kunit/visibility.h>

#include "access.h"
#include "buf.h"

/* For importers that do not let go, with the device locked. */
#define VFIO_PCI_RESET_PATIENCE		(5 * HZ)

static void vfio_pci_access_hold(struct vfio_pci_core_device *vdev, u8 hold)
{
	lockdep_assert_held(&vdev->access_lock);

	vdev->access_holds |= hold;
	if (vdev->access_running)
		vfio_pci_access_set(vdev, VFIO_PCI_BUF_QUIESCING);
	else
		vfio_pci_access_settle(vdev);
}

static void vfio_pci_access_release(struct vfio_pci_core_device *vdev, u8 hold)
{
	lockdep_assert_held(&vdev->access_lock);

	vdev->access_holds &= ~hold;
	/* While none runs, what a state derives from does not change. */
	if (!vdev->access_running)
		vfio_pci_access_settle(vdev);
}

/**
 * vfio_pci_core_reset_prepare - pci_error_handlers.reset_prepare
 * @pdev: the device
 *
 * On return no CPU can reach a BAR; faults wait for vfio_pci_core_reset_done().
 * Importers have been told, and been given some seconds to let go.
 */
void vfio_pci_core_reset_prepare(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);
	long patience = VFIO_PCI_RESET_PATIENCE;
	struct vfio_pci_buf *buf = NULL;
	struct vfio_pci_buf_list *list;

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_RESET);
	list = vdev->buf_list;
	if (list)
		kref_get(&list->kref);
	mutex_unlock(&vdev->access_lock);

	if (!list)
		return;

	while ((buf = vfio_pci_buf_next(list, buf))) {
		patience = vfio_pci_buf_wait_importers_timeout(buf, patience);
		if (!patience) {
			pci_warn(pdev, "an importer of a DMABUF stays through a reset\n");
			vfio_pci_buf_put(buf);
			break;
		}
	}
	vfio_pci_buf_list_put(list);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_prepare);

/**
 * vfio_pci_core_reset_done - pci_error_handlers.reset_done
 * @pdev: the device, its configuration restored as far as it could be
 *
 * Ends an error recovery as well: of some nobody tells the end.
 */
void vfio_pci_core_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_RESET |
				      VFIO_PCI_ACCESS_FROZEN);
	mutex_unlock(&vdev->access_lock);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_done);

/**
 * vfio_pci_access_error - an error was detected
 * @vdev: the device
 * @state: of its channel
 *
 * From a frozen channel until vfio_pci_core_aer_resume(), or until recovery is
 * given up, which is told as a permanent failure, a BAR does not answer and
 * faults get SIGBUS. What a recovery that was given up leaves is, as in stock
 * Linux, for the user to reset.
 *
 * Importers are told and not waited for: this may be called in a walk of the bus
 * that has to reach an importer's device first, and a frozen channel lets no DMA
 * through.
 */
void vfio_pci_access_error(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state)
{
	mutex_lock(&vdev->access_lock);
	if (state == pci_channel_io_frozen)
		vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_FROZEN);
	else if (state == pci_channel_io_perm_failure)
		vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_FROZEN);
	mutex_unlock(&vdev->access_lock);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_error);

/**
 * vfio_pci_core_aer_resume - pci_error_handlers.resume
 * @pdev: the device
 */
void vfio_pci_core_aer_resume(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);

	mutex_lock(&vdev->access_lock);
	vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_FROZEN);
	mutex_unlock(&vdev->access_lock);
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
