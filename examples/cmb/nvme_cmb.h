/* SPDX-License-Identifier: MIT */
/* Where an NVMe controller has its memory buffer. Sections are of NVM Express 1.4. */
#ifndef NVME_CMB_H
#define NVME_CMB_H

#include <barbuf.h>

#define NVME_CLASS 0x010802u /* storage, non-volatile memory, NVM Express (2.1.5) */

#define NVME_CAP 0x00u /* 3.1.1 */
#define NVME_CAP_CMBS (1ull << 57)
#define NVME_CMBLOC 0x38u /* 3.1.11 */
#define NVME_CMBSZ 0x3cu /* 3.1.12 */
#define NVME_CMBSZ_SZU_MAX 6u /* 64 GiB */
#define NVME_CMBMSC 0x50u /* 3.1.16 */
#define NVME_CMBMSC_CRE 1u

/*
 * Before 1.4 CMBLOC and CMBSZ just are there; since then they read as 0 until they
 * are enabled, which CAP.CMBS offers. @regs: of the first page of BAR 0.
 *
 * -ENOENT: the controller has none; -EIO: it does not answer.
 */
static inline int nvme_cmb_find(struct barbuf_map *regs, uint32_t *bar, struct barbuf_range *cmb)
{
	uint32_t location, size;
	uint64_t cap, unit;

	if (barbuf_map_read64(regs, NVME_CAP, &cap))
		return -EIO;
	if (cap & NVME_CAP_CMBS && barbuf_map_write32(regs, NVME_CMBMSC, NVME_CMBMSC_CRE))
		return -EIO;
	if (barbuf_map_read32(regs, NVME_CMBLOC, &location) ||
	    barbuf_map_read32(regs, NVME_CMBSZ, &size))
		return -EIO;
	if (!(size >> 12))
		return -ENOENT;
	if ((size >> 8 & 0xf) > NVME_CMBSZ_SZU_MAX) /* reserved, or all ones: it has left */
		return -EIO;
	unit = 4096ull << 4 * (size >> 8 & 0xf); /* 4 KiB, 64 KiB... */
	*bar = location & 7;
	*cmb = (struct barbuf_range){ (location >> 12) * unit, (size >> 12) * unit };
	return 0;
}

/*
 * What of it is in its BAR. A controller may tell of more than that: behind a bridge it can get less
 * of a window than it asks for. 1: that is less than all; -ENOENT: none of it.
 */
static inline int nvme_cmb_fit(struct barbuf_range *cmb, uint64_t bar_size)
{
	if (cmb->offset >= bar_size)
		return -ENOENT;
	if (cmb->length <= bar_size - cmb->offset)
		return 0;
	cmb->length = bar_size - cmb->offset;
	return 1;
}

#endif
