/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What files of kernel/ take from the kernel's linux/types.h, for user space. */
#ifndef SHIM_LINUX_TYPES_H
#define SHIM_LINUX_TYPES_H

#include_next <linux/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;
typedef u64 phys_addr_t;

struct phys_vec {
	phys_addr_t paddr;
	size_t len;
};

#endif
