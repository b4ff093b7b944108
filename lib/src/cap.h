/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The capability chains that VFIO puts behind its info structs. */
#ifndef BARBUF_CAP_H
#define BARBUF_CAP_H

#include <stddef.h>
#include <stdint.h>

#include "sys.h"

/*
 * The capability @id, of at least @min bytes, of a chain that starts at @pos in
 * @info. NULL: there is none within @size.
 */
const void *barbuf__find_cap(const void *info, uint32_t size, uint32_t pos, uint16_t id,
			     uint32_t min);

/*
 * An info struct with its capabilities: @head is what is asked with, @size bytes that
 * begin with a 32-bit argsz, which says in the answer how much there is. The caller
 * frees *out, whose argsz is its size.
 */
int barbuf__get_info(const struct barbuf_sys *sys, int fd, unsigned long request, const void *head,
		     uint32_t size, void **out);

#endif
