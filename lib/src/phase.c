// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "phase.h"
#include "sysfs.h"

uint64_t barbuf__bar_address(const struct barbuf_device *dev, uint32_t bar)
{
	char path[BARBUF__SYSFS_PATH], text[1024];
	const char *line = text;

	/* An adopted device may have no address. */
	if (!*barbuf_device_address(dev))
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource",
		 barbuf_device_address(dev));
	if (barbuf__read_file(dev->sys, path, text, sizeof(text)) < 0)
		return 0;

	/* A line a resource: first address, last address, flags. */
	while (bar--) {
		line = strchr(line, '\n');
		if (!line)
			return 0;
		line++;
	}
	return strtoull(line, NULL, 16);
}

unsigned int barbuf__leaf(uint64_t address, uint64_t len, unsigned int shift)
{
	static const unsigned int shifts[] = { BARBUF__SHIFT_1G, BARBUF__SHIFT_2M };
	size_t i;

	for (i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint64_t size = 1ull << shifts[i];
		uint64_t skip = -address & (size - 1);

		if (shifts[i] <= shift && len >= skip && len - skip >= size)
			return shifts[i];
	}
	return 0;
}

unsigned int barbuf__phase(uint64_t address, const struct barbuf_range *ranges, size_t nr,
			   uint64_t *phase)
{
	uint64_t pos = 0, best = 0, start = 0;
	size_t i, next;

	*phase = 0;
	if (!address)
		return 0;
	for (i = 0; i < nr; i = next) {
		uint64_t len = ranges[i].length;

		for (next = i + 1; next < nr && ranges[next].offset == ranges[i].offset + len;
		     next++)
			len += ranges[next].length;
		if (len > best) {
			best = len;
			start = address + ranges[i].offset;
			*phase = (start - pos) & ((1ull << BARBUF__SHIFT_1G) - 1);
		}
		pos += len;
	}
	return barbuf__leaf(start, best, BARBUF__SHIFT_1G);
}
