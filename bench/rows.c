// SPDX-License-Identifier: LGPL-2.1-or-later
/* The list of what is measured. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define NO_TARGET -1

const struct row rows[] = {
	{ .id = "region-info",
	  .title = "VFIO_DEVICE_GET_REGION_INFO, the same code in both",
	  .measure = region_info,
	  .stock_has_it = true,
	  .target = NO_TARGET },

	{ .id = "mmap-first",
	  .title = "mmap + munmap of one page, no other mapping of the BAR",
	  .measure = mmap_bar,
	  .stock_has_it = true,
	  .target = 1.45 },
	{ .id = "mmap-new-file",
	  .title = "mmap + munmap of one page, the first through its device file",
	  .measure = mmap_new_file,
	  .n = 400,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "mmap-many-files",
	  .title = "mmap + munmap of one page, 16,000 device files have the BAR",
	  .measure = mmap_many_files,
	  .n = 16000,
	  .stock_has_it = true,
	  .target = 1.05 },
	{ .id = "mmap-live",
	  .title = "mmap + munmap of one page, the BAR's buffer is live",
	  .measure = mmap_bar,
	  .n = 1,
	  .stock_has_it = true,
	  .target = 1 },
	{ .id = "mmap-export",
	  .title = "mmap + munmap of one page of an exported buffer",
	  .measure = mmap_export,
	  .versus = "mmap-live",
	  .target = NO_TARGET },

	{ .id = "touch",
	  .title = "first touch of a mapping of one page",
	  .measure = touch_bar,
	  .stock_has_it = true,
	  .target = 0.95 },
	{ .id = "touch-1",
	  .title = "first touch of a page of a buffer of 1 range",
	  .measure = touch_buffer,
	  .n = 1,
	  .versus = "touch",
	  .target = NO_TARGET },
	{ .id = "touch-65536",
	  .title = "first touch of a page of a buffer of 65,536 ranges",
	  .measure = touch_buffer,
	  .n = 65536,
	  .versus = "touch-1",
	  .target = 1.2 },

	{ .id = "walk",
	  .title = "walk 64 MiB, misaligned VA: 16,384 pages",
	  .measure = walk_small,
	  .stock_has_it = true,
	  .target = 0.06 },
	{ .id = "walk-faults",
	  .title = "faults of the 64 MiB walk",
	  .measure = walk_small,
	  .unit = FAULTS,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "walk-tables",
	  .title = "page tables of the 64 MiB walk, KiB",
	  .measure = walk_small,
	  .unit = KIB,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "scattered",
	  .title = "walk 64 MiB of a buffer of 16,384 scattered ranges",
	  .measure = walk_scattered,
	  .versus = "walk",
	  .target = 0.10 },
	{ .id = "scattered-faults",
	  .title = "faults of the walk of scattered ranges",
	  .measure = walk_scattered,
	  .unit = FAULTS,
	  .target = NO_TARGET },
	{ .id = "scattered-tables",
	  .title = "page tables of the walk of scattered ranges, KiB",
	  .measure = walk_scattered,
	  .unit = KIB,
	  .target = NO_TARGET },
	{ .id = "huge",
	  .title = "walk 2 GiB, aligned VA: 524,288 pages",
	  .measure = walk_huge,
	  .stock_has_it = true,
	  .target = 1.7 },
	{ .id = "huge-touch",
	  .title = "first touch of 2 GiB, in first touches of one page",
	  .measure = touch_huge,
	  .versus = "touch",
	  .target = 30 },
	{ .id = "huge-faults",
	  .title = "faults of the 2 GiB walk",
	  .measure = walk_huge,
	  .unit = FAULTS,
	  .stock_has_it = true,
	  .target = 64 },
	{ .id = "adjacent",
	  .title = "walk 2 GiB of a buffer of 1,024 adjacent ranges",
	  .measure = walk_adjacent,
	  .n = 1024,
	  .versus = "huge",
	  .target = 1 },
	{ .id = "adjacent-faults",
	  .title = "faults of the walk of adjacent ranges",
	  .measure = walk_adjacent,
	  .n = 1024,
	  .unit = FAULTS,
	  .target = 64 },

	{ .id = "reset-0",
	  .title = "reset ioctl, no buffer",
	  .measure = reset_alone,
	  .stock_has_it = true,
	  .target = 1.05 },
	{ .id = "reset-100",
	  .title = "added to the reset ioctl by each of 100 mapped buffers",
	  .measure = reset_per_buffer,
	  .n = 100,
	  .target = NO_TARGET },
	{ .id = "reset-10000",
	  .title = "added to the reset ioctl by each of 10,000 mapped buffers",
	  .measure = reset_per_buffer,
	  .n = 10000,
	  .versus = "reset-100",
	  .target = 1.1 },

	{ .id = "revoke-1",
	  .title = "revoke of one of 1 mapped buffer",
	  .measure = revoke_one,
	  .n = 1,
	  .target = NO_TARGET },
	{ .id = "revoke-100",
	  .title = "revoke of one of 100 mapped buffers",
	  .measure = revoke_one,
	  .n = 100,
	  .versus = "revoke-1",
	  .target = 1.1 },
	{ .id = "revoke-10000",
	  .title = "revoke of one of 10,000 mapped buffers",
	  .measure = revoke_one,
	  .n = 10000,
	  .versus = "revoke-1",
	  .target = 1.1 },
	{ .id = "revoke-10000-faults",
	  .title = "extra faults of the other 9,999, in 21 revokes",
	  .measure = revoke_one,
	  .n = 10000,
	  .unit = FAULTS,
	  .target = 0 },
	{ .id = "zap-8",
	  .title = "8 clients read 64 pages again after a global zap",
	  .measure = zap_clients,
	  .n = 8,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "zap-8-faults",
	  .title = "faults of the 8 after the global zap",
	  .measure = zap_clients,
	  .n = 8,
	  .unit = FAULTS,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "revoke-8",
	  .title = "7 of 8 clients read 64 pages again after 1 was revoked",
	  .measure = revoke_client,
	  .n = 8,
	  .versus = "zap-8",
	  .target = NO_TARGET },
	{ .id = "revoke-8-faults",
	  .title = "faults of the 7 after the revoke",
	  .measure = revoke_client,
	  .n = 8,
	  .unit = FAULTS,
	  .target = 0 },

	{ .id = "export-1",
	  .title = "export + close of a buffer of 1 range",
	  .measure = export_close,
	  .n = 1,
	  .stock_has_it = true,
	  .target = 1.05 },
	{ .id = "export-4096",
	  .title = "export + close of a buffer of 4,096 scattered ranges",
	  .measure = export_close,
	  .n = 4096,
	  .stock_has_it = true,
	  .target = 1 },
	{ .id = "memory-export",
	  .title = "kernel memory of an exported buffer of 1 range, bytes",
	  .measure = memory_export,
	  .unit = BYTES,
	  .stock_has_it = true,
	  .target = NO_TARGET },
	{ .id = "memory-bar",
	  .title = "kernel memory of a BAR buffer, bytes",
	  .measure = memory_bar,
	  .unit = BYTES,
	  .target = NO_TARGET },
	{ .id = "memory-range",
	  .title = "kernel memory of a range, of 65,536, bytes",
	  .measure = memory_range,
	  .n = 65536,
	  .unit = BYTES,
	  .stock_has_it = true,
	  .target = 17 },
	{ .id = "memory-range-5000",
	  .title = "kernel memory of a range, of 5,000, bytes",
	  .measure = memory_range,
	  .n = 5000,
	  .unit = BYTES,
	  .stock_has_it = true,
	  .target = NO_TARGET },

	{ .id = "smp-revoke-1",
	  .title = "waits in 32,768 faults: 1 buffer, 1,024 others revoked",
	  .measure = smp_revoke_others,
	  .n = 1,
	  .unit = WAITS,
	  .smp = true,
	  .target = 0 },
	{ .id = "smp-revoke-2",
	  .title = "waits in 32,768 faults: 2 buffers, 1,024 others revoked",
	  .measure = smp_revoke_others,
	  .n = 2,
	  .unit = WAITS,
	  .smp = true,
	  .target = 0 },
	{ .id = "smp-other-bar",
	  .title = "waits in 32,768 faults: a BAR, another device reset 8x",
	  .measure = smp_reset_other,
	  .unit = WAITS,
	  .stock_has_it = true,
	  .smp = true,
	  .target = 0 },
	{ .id = "smp-other-1",
	  .title = "waits in 32,768 faults: 1 buffer, another device reset 8x",
	  .measure = smp_reset_other,
	  .n = 1,
	  .unit = WAITS,
	  .smp = true,
	  .target = 0 },
	{ .id = "smp-other-2",
	  .title = "waits in 32,768 faults: 2 buffers, another device reset 8x",
	  .measure = smp_reset_other,
	  .n = 2,
	  .unit = WAITS,
	  .smp = true,
	  .target = 0 },
	{ .id = "smp-same-bar",
	  .title = "waits in 32,768 faults: a BAR, its device reset 8x",
	  .measure = smp_reset_same,
	  .unit = WAITS,
	  .stock_has_it = true,
	  .smp = true,
	  .target = NO_TARGET },
	{ .id = "smp-same-1",
	  .title = "waits in 32,768 faults: 1 buffer, its device reset 8x",
	  .measure = smp_reset_same,
	  .n = 1,
	  .unit = WAITS,
	  .smp = true,
	  .target = NO_TARGET },
	{ .id = "smp-same-2",
	  .title = "waits in 32,768 faults: 2 buffers, their device reset 8x",
	  .measure = smp_reset_same,
	  .n = 2,
	  .unit = WAITS,
	  .smp = true,
	  .target = NO_TARGET },
};

const size_t nr_rows = ARRAY_SIZE(rows);

size_t find_row(const char *id)
{
	size_t i;

	for (i = 0; i < nr_rows && strcmp(rows[i].id, id); i++)
		;
	return i;
}

static int open_model(struct bench *b, const char *model, uint64_t need, struct target *t)
{
	char address[32];
	int ret;

	ret = bind_model(model, address, sizeof(address));
	if (!ret)
		ret = barbuf_device_open(&t->dev, b->container, address);
	if (!ret)
		ret = barbuf_device_get_region(t->dev, VFIO_PCI_BAR2_REGION_INDEX, &t->bar);
	if (!ret && (!(t->bar.flags & VFIO_REGION_INFO_FLAG_MMAP) || t->bar.size < need))
		ret = -ENOSPC;
	return ret;
}

int bench_open(struct bench *b)
{
	int ret;

	*b = (struct bench){ .page = sysconf(_SC_PAGESIZE) };
	ret = barbuf_container_new(&b->container, BARBUF_IOMMU_TYPE1);
	if (!ret)
		ret = open_model(b, "ivshmem", GIB, &b->memory);
	if (!ret)
		ret = open_model(b, "testdev", 2 * GIB, &b->sparse);
	if (!ret)
		ret = open_model(b, "nvme", 16 * MIB, &b->reset);
	if (ret)
		bench_close(b);
	return ret;
}

void bench_close(struct bench *b)
{
	barbuf_device_close(b->memory.dev);
	barbuf_device_close(b->sparse.dev);
	barbuf_device_close(b->reset.dev);
	barbuf_container_free(b->container);
	*b = (struct bench){ 0 };
}
