// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

int barbuf__get_info(const struct barbuf_sys *sys, int fd, unsigned long request, const void *head,
		     uint32_t size, void **out)
{
	uint32_t room = size, needed;
	char *info = NULL;
	int ret;

	for (;;) {
		char *p = realloc(info, room);

		if (!p) {
			ret = -ENOMEM;
			break;
		}
		info = p;
		memcpy(info, head, size);
		memset(info + size, 0, room - size);
		memcpy(info, &room, sizeof(room));
		ret = sys->ioctl(sys->ctx, fd, request, info);
		if (ret)
			break;
		memcpy(&needed, info, sizeof(needed));
		if (needed <= room) {
			memcpy(info, &room, sizeof(room));
			*out = info;
			return 0;
		}
		/* A page holds 250 entries; guard against a nonsense answer. */
		if (needed > 1 << 20) {
			ret = -EIO;
			break;
		}
		room = needed;
	}
	free(info);
	return ret;
}
