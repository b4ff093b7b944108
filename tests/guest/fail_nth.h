/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocations of this thread that fail on purpose; the debug kernel can do that. */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

/* Skips the case where the kernel cannot. Allocations that may sleep fail, too. */
void fail_nth_prepare(void);
/* The nth allocation from now on fails; 0: none does. */
void fail_nth(unsigned int n);
/* Whether it has come to that. */
bool did_fail(void);

#endif
