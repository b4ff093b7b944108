// SPDX-License-Identifier: GPL-2.0-only
/*
 * The span iterator of Linux's interval trees. A kernel without iommufd has the trees and not the
 * iterator. Nothing is exported: the trees' own functions are the kernel's to export.
 */
#include <linux/export.h>

#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(sym)

#include "../../../lib/interval_tree.c"
