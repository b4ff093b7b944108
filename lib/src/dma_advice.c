// SPDX-License-Identifier: LGPL-2.1-or-later
/* Why memory cannot be mapped for DMA, as the machine shows it now. */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "advice.h"
#include "device.h"
#include "sysfs.h"

/* A number behind a key of /proc/self/status; 0 if it is not there. */
static uint64_t status_value(const char *status, const char *key, int base)
{
	const char *s = strstr(status, key);

	return s ? strtoull(s + strlen(key), NULL, base) : 0;
}

/* Pinned memory counts against RLIMIT_MEMLOCK. */
static int memlock(struct barbuf_container *c, uint64_t len, char *text, size_t size)
{
	bool iommufd = barbuf_container_iommu(c) == BARBUF_IOMMU_IOMMUFD;
	struct rlimit limit;
	uint64_t used, need;
	char status[4096];

	if (c->sys->getrlimit(c->sys->ctx, RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur == RLIM_INFINITY ||
	    barbuf__read_file(c->sys, "/proc/self/status", status, sizeof(status)) < 0)
		return -ENOENT;
	if (status_value(status, "\nCapEff:", 16) & 1u << CAP_IPC_LOCK)
		return -ENOENT;

	/* Type 1 counts a process, iommufd all of a user, of which one part is told. */
	used = status_value(status, iommufd ? "\nVmPin:" : "\nVmLck:", 10) * 1024;
	if (__builtin_add_overflow(used, len, &need))
		return -ENOENT;
	if (need <= limit.rlim_cur) {
		if (!iommufd)
			return -ENOENT;
		return barbuf__say(
			text, size,
			"mapping pins %" PRIu64 " KiB, and all processes of this user "
			"together may pin %" PRIu64 " KiB (RLIMIT_MEMLOCK), of which this "
			"one has %" PRIu64 " KiB: raise it with `ulimit -l`, or LimitMEMLOCK= "
			"of the systemd unit",
			len >> 10, (uint64_t)limit.rlim_cur >> 10, used >> 10);
	}
	return barbuf__say(
		text, size,
		"mapping pins %" PRIu64 " KiB, of the %" PRIu64 " KiB that RLIMIT_MEMLOCK "
		"allows %" PRIu64 " KiB are used: raise it with `ulimit -l %" PRIu64
		"`, or LimitMEMLOCK=%" PRIu64 "K of the systemd unit",
		len >> 10, (uint64_t)limit.rlim_cur >> 10, used >> 10, need >> 10, need >> 10);
}

static int addressable(struct barbuf_container *c, char *text, size_t size)
{
	struct barbuf_range *ranges;
	char list[256] = "";
	size_t nr, i, len = 0;

	if (!c->iommu || c->iommu->iova_ranges(c, &ranges, &nr))
		return -ENOENT;
	for (i = 0; i < nr && len < sizeof(list); i++)
		len += snprintf(list + len, sizeof(list) - len, "%s%#" PRIx64 " to %#" PRIx64,
				i ? ", " : "", ranges[i].offset,
				ranges[i].offset + (ranges[i].length - 1));
	free(ranges);
	if (!len)
		return -ENOENT;
	return barbuf__say(text, size, "the devices of this container can address %s", list);
}

int barbuf_dma_advice(struct barbuf_container *c, int error, uint64_t len, char *text, size_t size)
{
	switch (error) {
	case -ENOMEM:
		return memlock(c, len, text, size);
	case -ERANGE:
		return addressable(c, text, size);
	case -EINVAL:
		if (!c->nr_devices)
			return barbuf__say(text, size,
					   "no device is open in this container: open one first");
		return barbuf__say(
			text, size,
			"IOVA, address, offset and length are to be multiples of the page "
			"size, %ld, the length not 0, and access READ, WRITE or both",
			sysconf(_SC_PAGESIZE));
	case -EEXIST:
		return barbuf__say(
			text, size,
			"a part of these IOVAs is mapped: end that with barbuf_dma_unmap() "
			"first, by what was given to its map call");
	case -EFAULT:
		return barbuf__say(
			text, size,
			"a part of this is not memory of this process, not writable, or "
			"cannot be pinned, such as a file on a disk: use anonymous memory "
			"or a memfd");
	case -EOPNOTSUPP:
		return barbuf__say(
			text, size,
			"this kernel cannot map such a buffer for DMA: that takes an iommufd "
			"that imports DMABUFs, of several ranges as barbuf's does if it has "
			"several, or type1 and buffers that the CPU can map");
	case -ENOSPC:
		return barbuf__say(text, size,
				   "the container has as many mappings as vfio_iommu_type1 allows: "
				   "make fewer and larger ones, or load it with a higher "
				   "dma_entry_limit");
	default:
		return -ENOENT;
	}
}
