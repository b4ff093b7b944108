/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCI functions as sysfs describes them. Errors are negative errno. */
#ifndef TOOL_PCI_H
#define TOOL_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

#define PCI_SYSFS "/sys/bus/pci/devices"
#define PCI_ADDRESS_MAX 20 /* with the NUL; domains may be wider than 16 bits */
#define PCI_NR_BARS 6
#define DRIVER_MAX 64

enum bar_type { BAR_NONE, BAR_IO, BAR_MEM32, BAR_MEM64 };

struct pci_bar {
	enum bar_type type;
	bool prefetchable;
	bool mappable; /* memory, whole pages, and so VFIO lets it be mapped */
	uint64_t start, size;
};

struct pci_function {
	char address[PCI_ADDRESS_MAX]; /* dddd:bb:dd.f */
	char driver[DRIVER_MAX]; /* "": none */
	int group; /* IOMMU group, -1: none */
	uint16_t vendor, device;
	uint32_t class;
	struct pci_bar bars[PCI_NR_BARS];
};

/* "00:05.0" or "0000:00:05.0", as the latter. -EINVAL */
int pci_parse_address(const char *text, char address[PCI_ADDRESS_MAX]);
/* "00:05.0/2". -EINVAL */
int pci_parse_bar(const char *text, char address[PCI_ADDRESS_MAX], unsigned int *bar);

/* -ENODEV: there is no such function. */
int pci_get(const char *root, const char *address, struct pci_function *f);
/* All of them, in the order of their addresses; free() it. */
int pci_scan(const char *root, struct pci_function **functions, size_t *nr);

bool pci_has_memory(const struct pci_function *f);
bool pci_is_vfio(const struct pci_function *f);
/* May it stay as it is in a group that VFIO is to have? What has no driver, and bridges. */
bool pci_is_harmless(const struct pci_function *f);
const char *pci_bar_type_name(enum bar_type type);

/*
 * For commands: the argument @argument with this @value as a function that is there, or -1 and
 * wrong() or failed() was called with *status.
 */
int arg_address(const struct call *c, const char *argument, const char *value,
		char address[PCI_ADDRESS_MAX], int *status);
int arg_function(const struct call *c, const char *argument, const char *value,
		 struct pci_function *f, int *status);
int arg_bar(const struct call *c, const char *argument, const char *value, struct pci_function *f,
	    unsigned int *bar, int *status);

#endif
