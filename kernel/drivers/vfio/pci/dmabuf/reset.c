// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets and error recoveries that VFIO did not start: sysfs, another owner of
 * the bus, AER. The PCI core tells of them in two calls, which hold access back
 * between them; see vfio_pci_access_end().
 *
 * The core tells of the resets that VFIO starts, too, in the thread that holds
 * memory_lock. Those are inside a transition already.
 *
 * Called with the device lock held, so that there is a driver and no two resets.
 * VFIO only tries for the device lock under memory_lock.
 */
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>
#include <kunit/visibility.h>

#include "access.h"

static void vfio_pci_access_hold(struct vfio_pci_core_device *vdev, u8 hold)
{
	vfio_pci_access_begin(vdev);
	vdev->access_holds |= hold;
	vfio_pci_access_end(vdev);
}

static void vfio_pci_access_release(struct vfio_pci_core_device *vdev, u8 hold)
{
	vfio_pci_access_begin_live(vdev);
	vdev->access_holds &= ~hold;
	vfio_pci_access_end(vdev);
}

/**
 * vfio_pci_core_reset_prepare - pci_error_handlers.reset_prepare
 * @pdev: the device
 *
 * On return no CPU and no importer can reach a BAR; faults wait. Waits for
 * importers.
 */
void vfio_pci_core_reset_prepare(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);

	if (!vfio_pci_access_is_mine(vdev))
		vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_RESET);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_prepare);

/**
 * vfio_pci_core_reset_done - pci_error_handlers.reset_done
 * @pdev: the device, its configuration restored as far as it could be
 *
 * Ends an error recovery as well, should nobody have told of its end.
 */
void vfio_pci_core_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(&pdev->dev);

	if (vfio_pci_access_is_mine(vdev))
		vdev->access_holds = 0;
	else
		vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_RESET |
					      VFIO_PCI_ACCESS_FROZEN);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_reset_done);

/**
 * vfio_pci_access_error - an error was detected
 * @vdev: the device
 * @state: of its channel
 *
 * From a frozen channel until vfio_pci_core_aer_resume(), or until recovery is
 * given up, which is told as a permanent failure, faults wait.
 */
void vfio_pci_access_error(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state)
{
	if (state == pci_channel_io_frozen)
		vfio_pci_access_hold(vdev, VFIO_PCI_ACCESS_FROZEN);
	else if (state == pci_channel_io_perm_failure)
		vfio_pci_access_release(vdev, VFIO_PCI_ACCESS_FROZEN);
}
EXPORT_SYMBOL_IF_KUNIT(vfio_pci_access_error);

/**
 * vfio_pci_core_aer_resume - pci_error_handlers.resume
 * @pdev: the device
 */
void vfio_pci_core_aer_resume(struct pci_dev *pdev)
{
	vfio_pci_access_release(dev_get_drvdata(&pdev->dev),
				VFIO_PCI_ACCESS_FROZEN);
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
