// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stddef.h>

#include "cap.h"
#include "uapi.h"

const void *barbuf__find_cap(const void *info, uint32_t size, uint32_t pos, uint16_t id,
			     uint32_t min)
{
	const struct vfio_info_cap_header *cap;
	int hops;

	/* Far more than there are kinds, should the chain be a circle. */
	for (hops = 0; pos && hops < 64; hops++) {
		if (pos % 4 || pos > size || size - pos < sizeof(*cap))
			return NULL;
		cap = (const void *)((const char *)info + pos);
		if (cap->id == id)
			return size - pos < min ? NULL : cap;
		pos = cap->next;
	}
	return NULL;
}
