/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_ORDER_H
#define BARBUF_ORDER_H

#include <barbuf.h>

/* Has this CPU, and the system with it, what @kind needs? */
bool barbuf__store_available(enum barbuf_store kind);

/* The stores alone, in a given way, which must be available. */
int barbuf__store64b_as(enum barbuf_store kind, volatile void *dst, const void *src);

#endif
