/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Huge leaves need a virtual address that is congruent with the physical one
 * modulo their size.
 */
#ifndef BARBUF_PHASE_H
#define BARBUF_PHASE_H

#include <barbuf.h>

#define BARBUF__SHIFT_2M 21
#define BARBUF__SHIFT_1G 30

/*
 * Physical address of a BAR, from sysfs. 0: not known.
 */
uint64_t barbuf__bar_address(const struct barbuf_device *dev, uint32_t bar);

/*
 * For ranges of a BAR at @address: log2 of the largest leaf that fits anywhere into
 * their longest contiguous run, or 0; and the address modulo 1 GiB that offset 0 would
 * have if that run went on to there.
 */
unsigned int barbuf__phase(uint64_t address, const struct barbuf_range *ranges, size_t nr,
			   uint64_t *phase);

/* log2 of the largest leaf, up to @shift, of which one fits into @len bytes at @address; or 0. */
unsigned int barbuf__leaf(uint64_t address, uint64_t len, unsigned int shift);

#endif
