/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the rest of the library needs of a device beyond barbuf.h. */
#ifndef BARBUF_DEVICE_H
#define BARBUF_DEVICE_H

#include <pthread.h>

#include <barbuf.h>

#include "sys.h"

/* The buffers exported from a device, while it is open. */
struct barbuf__exported {
	pthread_mutex_t lock; /* of the list; exports may run at the same time */
	struct barbuf_buffer *first;
};

struct barbuf__exported *barbuf__device_exported(struct barbuf_device *dev);
const struct barbuf_sys *barbuf__device_sys(const struct barbuf_device *dev);

#endif
