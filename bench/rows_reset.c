// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The reset ioctl. The device gets 100 ms to come back, asleep, so what is
 * measured is the time that the thread runs.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench.h"

#define NR_RESETS 7
#define FLR_NS UINT64_C(100000000)

/* Reset the device with @nr mapped buffers, all of which must be gone and come back. */
static int reset_with(const struct bench *b, size_t nr, uint64_t *time)
{
	uint64_t took[NR_RESETS];
	struct many m;
	size_t i;
	int ret;

	memset(took, 0, sizeof(took));
	ret = many_make(&m, b, &b->reset, nr);
	/* The first one also brings what the kernel does only once. */
	for (i = 0; i < NR_RESETS + 1 && !ret; i++) {
		uint64_t wall = now_ns();
		uint64_t start = cpu_ns();

		if (ioctl(barbuf_device_fd(b->reset.dev), VFIO_DEVICE_RESET))
			ret = -errno;
		if (i)
			took[i - 1] = cpu_since(start);
		if (!ret && (since(wall) < FLR_NS || many_touch(&m, nr) != nr))
			ret = -EIO;
	}
	many_free(&m);
	if (!ret)
		*time = median(took, NR_RESETS);
	return ret;
}

int reset_alone(const struct bench *b, size_t n, struct figures *f)
{
	return reset_with(b, 0, &f->of[TIME]);
}

int reset_per_buffer(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t alone, with;
	int ret;

	ret = reset_with(b, 0, &alone);
	if (!ret)
		ret = reset_with(b, n, &with);
	if (ret)
		return ret;
	if (with < alone)
		return -EIO;
	f->of[TIME] = (with - alone + n / 2) / n;
	return 0;
}
