/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The capability chains that VFIO puts behind its info structs. */
#ifndef BARBUF_CAP_H
#define BARBUF_CAP_H

#include <stdint.h>

/*
 * The capability @id, of at least @min bytes, of a chain that starts at @pos in
 * @info. NULL: there is none within @size.
 */
const void *barbuf__find_cap(const void *info, uint32_t size, uint32_t pos, uint16_t id,
			     uint32_t min);

#endif
