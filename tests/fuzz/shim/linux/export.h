/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of kernel/ include it for EXPORT_SYMBOL; see kunit/visibility.h. */
