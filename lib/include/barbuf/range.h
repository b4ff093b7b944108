/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of ranges as people write them: "0x1000+0x2000,0+4K". */
#ifndef BARBUF_RANGE_H
#define BARBUF_RANGE_H

#include <stddef.h>

#include <barbuf/uapi.h>

/**
 * barbuf_ranges_parse() - read a list of ranges
 * @text: OFFSET+LENGTH[,OFFSET+LENGTH]...; numbers decimal or 0x hexadecimal,
 *	with an optional K, M or G (of 1024)
 * @ranges: the ranges in the order of the list; free() it
 * @nr: how many
 * @bad: set to the first character that was not understood, on -EINVAL and
 *	-ERANGE. May be NULL
 *
 * Whether a device accepts the ranges is for barbuf_export() to say.
 *
 * Errors: -EINVAL: not such a list; -ERANGE: a number, or the end of a range,
 * exceeds 64 bits; -ENOMEM.
 */
int barbuf_ranges_parse(const char *text, struct vfio_region_dma_range **ranges, size_t *nr,
			const char **bad);

/**
 * barbuf_ranges_size() - bytes in a buffer of these ranges
 *
 * Errors: -EOVERFLOW: the sum exceeds 64 bits; *size is then unchanged.
 */
int barbuf_ranges_size(const struct vfio_region_dma_range *ranges, size_t nr, __u64 *size);

/**
 * barbuf_ranges_locate() - where in the BAR is this offset of the buffer
 * @pos: offset in the buffer, bytes
 * @offset: offset in the BAR, bytes
 * @left: bytes from there to the end of its range
 *
 * Errors: -ERANGE: @pos is past the end.
 */
int barbuf_ranges_locate(const struct vfio_region_dma_range *ranges, size_t nr, __u64 pos,
			 __u64 *offset, __u64 *left);

#endif
