/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the page tables map, without touching it: through pfnmap_look, a module
 * of tests/modules.
 */
#ifndef BARBUF_TESTS_LEAF_H
#define BARBUF_TESTS_LEAF_H

#include "harness.h"

/* As tests/modules/pfnmap_look.c fills it in. */
struct leaf {
	uint64_t paddr;		/* of the page looked at */
	uint64_t size;		/* bytes that its entry maps */
	uint32_t memtype;
	uint32_t writable;
};

/* Memory types of IA32_PAT, Intel SDM volume 3, table "Memory Types That Can Be Encoded". */
enum { MEMTYPE_UC = 0, MEMTYPE_WC = 1, MEMTYPE_WB = 6, MEMTYPE_UC_MINUS = 7 };

/* A fault with flags that no access of user space has; see pfnmap_look.c. */
enum { FAULT_NO_RETRY = 1, FAULT_NOWAIT, FAULT_SECOND_TRY };
enum { FAULT_MAPPED, FAULT_GOT_SIGBUS, FAULT_TO_RETRY, FAULT_LET_GO_TO_RETRY };
int take_fault(const volatile void *p, int how);

/* False when no page is mapped there. */
bool leaf_at(const volatile void *p, struct leaf *leaf);
bool is_mapped(const volatile void *p);
/* This kernel has kernel/patches/7.3-pud: BARs have 1 GiB leaves as well, and fork copies leaves. */
bool mm_has_pud_leaves(void);
/* How many entries map these bytes, all of which are mapped. */
long count_leaves(const volatile void *p, size_t size);
/* How many pages of these bytes are mapped. */
long count_mapped(const volatile void *p, size_t size);

#endif
