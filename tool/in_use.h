/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is a PCI function in use by this system, so that its driver must not be taken away? */
#ifndef TOOL_IN_USE_H
#define TOOL_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

#include "pci.h"

/* True, and why: "its disk vda1 is mounted at /". */
bool function_in_use(const char *root, const struct pci_function *f, char *why, size_t size);

#endif
