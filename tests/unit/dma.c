// SPDX-License-Identifier: LGPL-2.1-or-later
/* DMA mappings over a kernel of our own, by both interfaces: what is asked for, what is kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "buffer.h"
#include "fake_kernel.h"
#include "uapi.h"

#define PAGE 4096ull
#define IOVA 0x100000ull
#define MEMORY ((void *)0x10000)
#define BOTH (BARBUF_DMA_READ | BARBUF_DMA_WRITE)

static const char *name_of(enum barbuf_iommu iommu)
{
	return iommu == BARBUF_IOMMU_TYPE1 ? "type1" : "iommufd";
}

static uint32_t flags(enum barbuf_iommu iommu, unsigned int access)
{
	if (iommu == BARBUF_IOMMU_TYPE1)
		return (access & BARBUF_DMA_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
		       (access & BARBUF_DMA_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0);
	return IOMMU_IOAS_MAP_FIXED_IOVA |
	       (access & BARBUF_DMA_READ ? IOMMU_IOAS_MAP_READABLE : 0) |
	       (access & BARBUF_DMA_WRITE ? IOMMU_IOAS_MAP_WRITEABLE : 0);
}

static void memory(enum barbuf_iommu iommu)
{
	const char *what = name_of(iommu);
	struct barbuf_container *c;
	struct barbuf_device *dev;

	dev = open_one(&c, iommu, A0);
	if (!dev)
		return;
	CHECK(!barbuf_dma_map(c, IOVA, MEMORY, 2 * PAGE, BARBUF_DMA_READ) && k.nr_dma == 1 &&
		      k.dma[0].iova == IOVA && k.dma[0].len == 2 * PAGE &&
		      k.dma[0].vaddr == (uintptr_t)MEMORY &&
		      k.dma[0].flags == flags(iommu, BARBUF_DMA_READ),
	      "%s: memory, to be read", what);
	CHECK(!barbuf_dma_map(c, 0, MEMORY, PAGE, BARBUF_DMA_WRITE) &&
		      k.dma[1].flags == flags(iommu, BARBUF_DMA_WRITE),
	      "%s: to be written, at 0", what);
	CHECK(barbuf_dma_map(c, IOVA + PAGE, MEMORY, PAGE, BOTH) == -EEXIST,
	      "%s: what is taken: EEXIST", what);
	CHECK(barbuf_dma_unmap(c, IOVA, PAGE) == -ENOENT &&
		      barbuf_dma_unmap(c, IOVA + PAGE, PAGE) == -ENOENT &&
		      barbuf_dma_unmap(c, 0, 3 * PAGE) == -ENOENT && k.nr_dma == 2,
	      "%s: a part, or more, is not unmapped, and the kernel not asked", what);
	k.fail_at = k.calls + 1;
	CHECK(barbuf_dma_unmap(c, IOVA, 2 * PAGE) == -EIO && k.nr_dma == 2, "%s: unmap fails: EIO",
	      what);
	CHECK(!barbuf_dma_unmap(c, IOVA, 2 * PAGE) && k.nr_dma == 1 && !k.dma[0].iova,
	      "%s: and can be tried again", what);
	CHECK(barbuf_dma_unmap(c, IOVA, 2 * PAGE) == -ENOENT, "%s: not twice", what);
	CHECK(!k.mmaps, "%s: nothing is mapped here", what);
	close_one(c, dev);
}

static void checks(enum barbuf_iommu iommu)
{
	const char *what = name_of(iommu);
	struct barbuf_container *c;
	struct barbuf_device *dev;
	unsigned int before;

	fresh_kernel();
	REQUIRE(!barbuf__container_new(&c, iommu, &fake), "%s: a container", what);
	CHECK(barbuf_dma_map(c, IOVA, MEMORY, PAGE, BOTH) == -EINVAL, "%s: no device yet: EINVAL",
	      what);
	CHECK(barbuf_dma_unmap(c, IOVA, PAGE) == -ENOENT, "%s: nothing to unmap", what);
	REQUIRE(!barbuf_device_open(&dev, c, A0), "%s: a device", what);
	before = k.calls;
	CHECK(barbuf_dma_map(c, IOVA + 8, MEMORY, PAGE, BOTH) == -EINVAL &&
		      barbuf_dma_map(c, IOVA, (char *)MEMORY + 8, PAGE, BOTH) == -EINVAL &&
		      barbuf_dma_map(c, IOVA, MEMORY, PAGE + 8, BOTH) == -EINVAL &&
		      barbuf_dma_map_file(c, IOVA, 0, 8, PAGE, BOTH) == -EINVAL,
	      "%s: what is not aligned: EINVAL", what);
	CHECK(barbuf_dma_map(c, IOVA, MEMORY, 0, BOTH) == -EINVAL, "%s: nothing: EINVAL", what);
	CHECK(barbuf_dma_map(c, IOVA, MEMORY, PAGE, 0) == -EINVAL &&
		      barbuf_dma_map(c, IOVA, MEMORY, PAGE, 7) == -EINVAL,
	      "%s: no such access: EINVAL", what);
	CHECK(barbuf_dma_map(c, -PAGE, MEMORY, 2 * PAGE, BOTH) == -ERANGE,
	      "%s: past the last address: ERANGE", what);
	CHECK(barbuf_dma_map_file(c, IOVA, 0, (uint64_t)INT64_MAX + 1, PAGE, BOTH) == -EINVAL,
	      "%s: an offset that no file has: EINVAL", what);
	CHECK(k.calls == before, "%s: and none of it reached the kernel", what);
	CHECK(barbuf_dma_map(c, LAST_IOVA + 1, MEMORY, PAGE, BOTH) == -ERANGE,
	      "%s: more bits than the IOMMU has: ERANGE", what);
	k.map_result = -EFAULT;
	CHECK(barbuf_dma_map(c, IOVA, MEMORY, PAGE, BOTH) == -EFAULT, "%s: an error comes through",
	      what);
	k.map_result = 0;
	CHECK(!k.nr_dma && !c->mappings, "%s: nothing was mapped or recorded", what);
	close_one(c, dev);
}

/* Without a call for files the library maps the file, and keeps that until the end. */
static void file(enum barbuf_iommu iommu, bool has_map_file)
{
	const char *what = has_map_file ? "map_file" : name_of(iommu);
	struct barbuf_container *c;
	struct barbuf_device *dev;

	dev = open_one(&c, iommu, A0);
	if (!dev)
		return;
	k.has_map_file = has_map_file;
	CHECK(!barbuf_dma_map_file(c, IOVA, 0, 3 * PAGE, PAGE, BOTH) && k.nr_dma == 1,
	      "%s: a file as fd 0", what);
	if (has_map_file) {
		CHECK(!k.mmaps && !k.dma[0].fd && k.dma[0].offset == 3 * PAGE &&
			      k.dma[0].flags == flags(iommu, BOTH),
		      "%s: is handed to the kernel", what);
		k.mmap_result = -EACCES;
		CHECK(barbuf_dma_map_file(c, 0, 0, 0, PAGE, BOTH) == -EACCES && k.nr_dma == 1,
		      "%s: not one that may not be written, which that would not see", what);
		k.mmap_result = 0;
	} else {
		CHECK(k.mmaps == 1 && k.mmap_offset == 3 * PAGE &&
			      k.mmap_prot == (PROT_READ | PROT_WRITE) &&
			      k.dma[0].vaddr == 0x700000000000,
		      "%s: is mapped, and that is handed over", what);
		CHECK(!barbuf_dma_map_file(c, 0, 0, 0, PAGE, BARBUF_DMA_READ) &&
			      k.mmap_prot == PROT_READ,
		      "%s: to be read, it is mapped so", what);
		CHECK(!barbuf_dma_unmap(c, 0, PAGE) && k.mmaps == 1, "%s: until unmapped", what);
		k.mmap_result = -EACCES;
		CHECK(barbuf_dma_map_file(c, 0, 0, 0, PAGE, BOTH) == -EACCES && k.nr_dma == 1,
		      "%s: what mmap says comes through", what);
		k.mmap_result = 0;
	}
	k.map_result = -ENOMEM;
	CHECK(barbuf_dma_map_file(c, 0, 0, 0, PAGE, BOTH) == -ENOMEM && k.mmaps == !has_map_file,
	      "%s: an error leaves no mapping here", what);
	k.map_result = 0;
	/* closed with the mapping in place */
	close_one(c, dev);
	CHECK(!k.nr_dma, "%s: the device's end is that of the mapping", what);
}

static void last_device_ends_them(enum barbuf_iommu iommu)
{
	const char *what = name_of(iommu);
	struct barbuf_device *a, *b = NULL;
	struct barbuf_container *c;

	a = open_one(&c, iommu, A0);
	if (!a)
		return;
	k.has_map_file = false;
	CHECK(!barbuf_device_open(&b, c, B0), "%s: two devices", what);
	CHECK(!barbuf_dma_map(c, IOVA, MEMORY, PAGE, BOTH) &&
		      !barbuf_dma_map_file(c, 0, 0, 0, PAGE, BOTH),
	      "%s: two mappings", what);
	barbuf_device_close(a);
	CHECK(k.nr_dma == 2 && k.mmaps == 1, "%s: stay with the second device", what);
	barbuf_device_close(b);
	CHECK(!k.nr_dma && !k.mmaps && !c->mappings, "%s: and end with it", what);
	CHECK(barbuf_dma_unmap(c, IOVA, PAGE) == -ENOENT, "%s: nothing is left to unmap", what);
	REQUIRE(!barbuf_device_open(&a, c, A0), "%s: a device again", what);
	CHECK(!barbuf_dma_map(c, IOVA, MEMORY, PAGE, BOTH), "%s: the window is free again", what);
	close_one(c, a);
}

static void buffer(enum barbuf_iommu iommu)
{
	struct barbuf_buffer buf = { .fd = 9, .size = 4 * PAGE };
	const char *what = name_of(iommu);
	struct barbuf_container *c;
	struct barbuf_device *dev;
	unsigned int before;

	dev = open_one(&c, iommu, A0);
	if (!dev)
		return;
	CHECK(!barbuf_dma_map_buffer(c, IOVA, &buf, PAGE, 3 * PAGE, BOTH) && k.nr_dma == 1,
	      "%s: a buffer", what);
	if (iommu == BARBUF_IOMMU_TYPE1)
		CHECK(k.mmaps == 1 && k.mmap_offset == PAGE, "%s: is mapped", what);
	else
		CHECK(!k.mmaps && k.dma[0].fd == 9 && k.dma[0].offset == PAGE,
		      "%s: is handed to the kernel", what);
	CHECK(!barbuf_dma_unmap(c, IOVA, 3 * PAGE) && !k.nr_dma && !k.mmaps, "%s: and unmapped",
	      what);

	before = k.calls;
	CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, PAGE, 4 * PAGE, BOTH) == -EINVAL &&
		      barbuf_dma_map_buffer(c, IOVA, &buf, 5 * PAGE, PAGE, BOTH) == -EINVAL,
	      "%s: past its end: EINVAL", what);
	buf.read_only = true;
	CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BOTH) == -EACCES,
	      "%s: written, when it is read-only: EACCES", what);
	CHECK(k.calls == before, "%s: and none of it reached the kernel", what);
	CHECK(!barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) &&
		      !barbuf_dma_unmap(c, IOVA, PAGE),
	      "%s: read it can be", what);

	k.mmap_result = -ENODEV;
	k.map_result = iommu == BARBUF_IOMMU_TYPE1 ? 0 : -ENODEV;
	CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) == -EBADFD,
	      "%s: revoked: EBADFD", what);
	if (iommu == BARBUF_IOMMU_IOMMUFD) {
		k.mmap_result = 0;
		CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) == -ENODEV &&
			      !k.mmaps,
		      "%s: suspended: ENODEV", what);
		k.map_result = -EOPNOTSUPP;
		CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) == -EOPNOTSUPP,
		      "%s: of several ranges: EOPNOTSUPP", what);
		k.map_result = 0;
		k.has_map_file = false;
	} else {
		k.mmap_result = 0;
		k.map_result = -EFAULT;
		CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) == -ENODEV &&
			      !k.mmaps,
		      "%s: suspended: ENODEV", what);
		k.map_result = 0;
		k.mmap_result = -EINVAL;
	}
	CHECK(barbuf_dma_map_buffer(c, IOVA, &buf, 0, PAGE, BARBUF_DMA_READ) == -EOPNOTSUPP &&
		      !k.mmaps && !k.nr_dma,
	      "%s: a kernel without a way: EOPNOTSUPP", what);
	close_one(c, dev);
}

static void advice(enum barbuf_iommu iommu)
{
	const char *what = name_of(iommu);
	struct barbuf_container *c;
	struct barbuf_device *dev;
	struct barbuf_range ranges[3] = { 0 };
	char text[400], small[8];
	size_t nr = 0;

	dev = open_one(&c, iommu, A0);
	if (!dev)
		return;
	CHECK(!barbuf_dma_advice(c, -ERANGE, PAGE, text, sizeof(text)) &&
		      !strcmp(text, "the devices of this container can address 0 to 0xfedfffff, "
				    "0xfef00000 to 0x7fffffffff"),
	      "%s: %s", what, text);
	CHECK(barbuf_dma_ranges(c, NULL, &nr) == -ENOSPC && nr == 2, "%s: two ranges", what);
	nr = 1;
	CHECK(barbuf_dma_ranges(c, ranges, &nr) == -ENOSPC && nr == 2 && !ranges[0].length,
	      "%s: do not fit", what);
	nr = 3;
	CHECK(!barbuf_dma_ranges(c, ranges, &nr) && nr == 2 && !ranges[0].offset &&
		      ranges[0].length == 0xfee00000 && ranges[1].offset == 0xfef00000 &&
		      ranges[1].offset + ranges[1].length == 0x8000000000,
	      "%s: with what is reserved between them", what);
	CHECK(barbuf_container_fd(c) >= 0 &&
		      barbuf_container_ioas(c) == (iommu == BARBUF_IOMMU_TYPE1 ? 0 : 77),
	      "%s: the kernel's names of it", what);
	k.memlock.rlim_cur = 64 << 10;
	k.texts[0] = (struct fake_text){ "/proc/self/status",
					 "Name:\tx\nVmLck:\t  16 kB\nVmPin:\t  32 kB\n"
					 "CapInh:\t0000000000004000\nCapEff:\t0000000000000000\n" };
	CHECK(!barbuf_dma_advice(c, -ENOMEM, 1 << 20, text, sizeof(text)) &&
		      !strcmp(text,
			      iommu == BARBUF_IOMMU_TYPE1 ?
				      "mapping pins 1024 KiB, of the 64 KiB that RLIMIT_MEMLOCK "
				      "allows 16 KiB are used: raise it with `ulimit -l 1040`, or "
				      "LimitMEMLOCK=1040K of the systemd unit" :
				      "mapping pins 1024 KiB, of the 64 KiB that RLIMIT_MEMLOCK "
				      "allows 32 KiB are used: raise it with `ulimit -l 1056`, or "
				      "LimitMEMLOCK=1056K of the systemd unit"),
	      "%s: %s", what, text);
	CHECK(!barbuf_dma_advice(c, -ENOMEM, 1 << 20, small, sizeof(small)) &&
		      !strcmp(small, "mapping"),
	      "%s: cut to its room", what);
	if (iommu == BARBUF_IOMMU_TYPE1)
		CHECK(barbuf_dma_advice(c, -ENOMEM, PAGE, text, sizeof(text)) == -ENOENT,
		      "%s: within the limit there is nothing to say", what);
	else
		CHECK(!barbuf_dma_advice(c, -ENOMEM, PAGE, text, sizeof(text)) &&
			      strstr(text, "all processes of this user"),
		      "%s: %s", what, text);
	k.texts[0].text = "VmLck:\t  16 kB\nCapEff:\t0000000000004000\n";
	CHECK(barbuf_dma_advice(c, -ENOMEM, 1 << 20, text, sizeof(text)) == -ENOENT,
	      "%s: nor to whom no limit applies", what);
	k.memlock.rlim_cur = RLIM_INFINITY;
	CHECK(barbuf_dma_advice(c, -ENOMEM, 1 << 20, text, sizeof(text)) == -ENOENT,
	      "%s: nor without one", what);
	CHECK(!barbuf_dma_advice(c, -EINVAL, 1, text, sizeof(text)) && strstr(text, "4096"),
	      "%s: %s", what, text);
	CHECK(!barbuf_dma_advice(c, -EFAULT, 1, text, sizeof(text)) && strstr(text, "memfd"),
	      "%s: %s", what, text);
	CHECK(!barbuf_dma_advice(c, -EEXIST, 1, text, sizeof(text)) &&
		      strstr(text, "barbuf_dma_unmap()"),
	      "%s: %s", what, text);
	CHECK(!barbuf_dma_advice(c, -EOPNOTSUPP, 1, text, sizeof(text)) && strstr(text, "iommufd"),
	      "%s: %s", what, text);
	CHECK(!barbuf_dma_advice(c, -ENOSPC, 1, text, sizeof(text)) &&
		      strstr(text, "dma_entry_limit"),
	      "%s: %s", what, text);
	CHECK(barbuf_dma_advice(c, -EIO, 1, text, sizeof(text)) == -ENOENT, "%s: no advice", what);
	close_one(c, dev);

	fresh_kernel();
	REQUIRE(!barbuf__container_new(&c, iommu, &fake), "%s: a container", what);
	CHECK(!barbuf_dma_advice(c, -EINVAL, 1, text, sizeof(text)) && strstr(text, "no device"),
	      "%s: %s", what, text);
	CHECK(barbuf_dma_ranges(c, ranges, &nr) == -EINVAL, "%s: nor ranges", what);
	barbuf_container_free(c);
}

int main(void)
{
	static const enum barbuf_iommu kinds[] = { BARBUF_IOMMU_TYPE1, BARBUF_IOMMU_IOMMUFD };
	size_t i;

	for (i = 0; i < 2; i++) {
		memory(kinds[i]);
		checks(kinds[i]);
		file(kinds[i], false);
		last_device_ends_them(kinds[i]);
		buffer(kinds[i]);
		advice(kinds[i]);
	}
	file(BARBUF_IOMMU_IOMMUFD, true);
	return tap_done();
}
