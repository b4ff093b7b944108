/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* No modules here, so nothing to export to them. */
#ifndef SHIM_KUNIT_VISIBILITY_H
#define SHIM_KUNIT_VISIBILITY_H

#define EXPORT_SYMBOL_IF_KUNIT(symbol) extern int shim_nothing_to_export

#endif
