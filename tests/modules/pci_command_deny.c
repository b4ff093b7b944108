// SPDX-License-Identifier: GPL-2.0-only
/*
 * While it is loaded, writes to the command register of one PCI function fail,
 * as they do when a device has fallen off the bus. No emulated device can be
 * brought to do that.
 *
 *	modprobe pci_command_deny device=0000:00:05.0
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "function, as DOMAIN:BUS:DEVICE.FUNCTION");

static struct pci_dev *pdev;
static struct pci_ops *stock_ops;
static struct pci_ops deny_ops;

static int deny_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	if (devfn == pdev->devfn && where < PCI_COMMAND + 2 &&
	    where + size > PCI_COMMAND)
		return PCIBIOS_SET_FAILED;

	return stock_ops->write(bus, devfn, where, size, val);
}

static int __init deny_init(void)
{
	unsigned int domain, bus, slot, function;

	if (!device || sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot,
			      &function) != 4)
		return -EINVAL;

	pdev = pci_get_domain_bus_and_slot(domain, bus,
					   PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;

	stock_ops = pdev->bus->ops;
	deny_ops = *stock_ops;
	deny_ops.write = deny_write;
	pci_bus_set_ops(pdev->bus, &deny_ops);
	return 0;
}

static void __exit deny_exit(void)
{
	pci_bus_set_ops(pdev->bus, stock_ops);
	/* Access to configuration space may be lockless: let it leave our code. */
	msleep(20);
	pci_dev_put(pdev);
}

module_init(deny_init);
module_exit(deny_exit);

MODULE_DESCRIPTION("Failing writes of the PCI command register, for tests");
MODULE_LICENSE("GPL");
