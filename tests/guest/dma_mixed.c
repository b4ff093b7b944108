// SPDX-License-Identifier: GPL-2.0-only
/*
 * One DMA mapping of several things: memory, BARs, parts of VMAs. Each of them is as if it
 * were alone: memory stays when a BAR goes, sizes are those of the whole, and a mapping that
 * cannot be made leaves nothing behind.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>

#include "dma.h"

#define AT   MIB(1)
#define PART (4 * PAGE)

/* Memory, a BAR, memory: three parts at one address. */
struct sandwich {
	struct rig rig;
	unsigned char *at; /* all of it */
	struct piece bar;
	uint64_t size;
	long pinned, locked;
};

static void place(struct piece *bar, unsigned char *at)
{
	unmap((void *)bar->addr, bar->size);
	bar->addr = mmap(at, bar->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, bar->fd,
			 bar->offset);
	CHECK(bar->addr == at);
}

static void sandwich_open(struct sandwich *s, const struct dma_way *way, bool of_buffer)
{
	rig_open(&s->rig, way, "ivshmem", 2, MIB(4));
	s->pinned = pinned_pages();
	s->locked = locked_bytes();
	s->size = 3 * PART;
	s->at = dma_memory(s->size);
	if (of_buffer)
		rig_buffer(&s->rig, &s->bar, AT, PART);
	else
		rig_bar(&s->rig, &s->bar, AT, PART);
	place(&s->bar, s->at + PART);
}

static void sandwich_close(struct sandwich *s)
{
	/* Nothing that was pinned is still. */
	CHECK_EQ(pinned_pages(), s->pinned);
	CHECK_EQ(locked_bytes(), s->locked);
	CHECK_EQ(close(s->bar.fd), 0);
	unmap(s->at, s->size);
	rig_close(&s->rig);
}

static void memory_reached(struct sandwich *s)
{
	CHECK_REACHED(&s->rig, RIG_IOVA + PAGE, s->at + PAGE);
	CHECK_REACHED(&s->rig, RIG_IOVA + 2 * PART + PAGE, s->at + 2 * PART + PAGE);
}

static void memory_unreached(struct sandwich *s)
{
	CHECK_UNREACHED(&s->rig, RIG_IOVA + PAGE, s->at + PAGE);
	CHECK_UNREACHED(&s->rig, RIG_IOVA + 2 * PART + PAGE, s->at + 2 * PART + PAGE);
}

/* DMA over the edge, half of it on each side. */
static bool stores_over(struct rig *rig, uint64_t iova, volatile unsigned char *before,
			volatile unsigned char *behind)
{
	unsigned char got[RIG_BYTES];
	size_t half = RIG_BYTES / 2, i;

	for (i = 0; i < half; i++)
		before[i] = behind[i] = 0;
	rig_send(rig, iova - half);
	for (i = 0; i < half; i++) {
		got[i] = before[i];
		got[half + i] = behind[i];
	}
	return rig_arrived(rig, got);
}

static void three_parts(const struct dma_way *way)
{
	struct sandwich s;
	struct rig *rig = &s.rig;

	sandwich_open(&s, way, true);
	dma_map(&rig->dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	/* The BAR's pages are nobody's memory. */
	if (!way->is_iommufd)
		CHECK_EQ(locked_bytes() - s.locked, 2 * PART);
	memory_reached(&s);
	CHECK_REACHED(rig, RIG_IOVA + PART, s.bar.seen);
	CHECK_REACHED(rig, RIG_IOVA + 2 * PART - PAGE, s.bar.seen + PART - PAGE);
	CHECK(stores_over(rig, RIG_IOVA + PART, s.at + PART - RIG_BYTES / 2, s.bar.seen));
	CHECK(stores_over(rig, RIG_IOVA + 2 * PART, s.bar.seen + PART - RIG_BYTES / 2,
			  s.at + 2 * PART));

	memory_decode(rig->dev, false);
	memory_reached(&s);
	memory_decode(rig->dev, true);
	CHECK_REACHED(rig, RIG_IOVA + PART, s.bar.seen);
	memory_reached(&s);

	revoke_buffer(rig->dev, s.bar.fd);
	CHECK_UNREACHED(rig, RIG_IOVA + PART, s.bar.seen);
	memory_reached(&s);
	CHECK_ERRNO(try_dma_map(&rig->dma, RIG_IOVA + PART, s.at, PART, DMA_BOTH), EEXIST);
	dma_unmap(&rig->dma, RIG_IOVA, s.size);
	memory_unreached(&s);
	CHECK_UNREACHED(rig, RIG_IOVA + PART, s.bar.seen);
	sandwich_close(&s);
}
EACH_DMA_BY_ADDRESS(three_parts)
DMA_CASE_OF(three_parts, type1_v1)

/* Unmapped while it is suspended. */
static void three_parts_unmapped_while_suspended(const struct dma_way *way)
{
	struct sandwich s;

	sandwich_open(&s, way, false);
	dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_decode(s.rig.dev, false);
	dma_unmap(&s.rig.dma, RIG_IOVA, s.size);
	memory_unreached(&s);
	memory_decode(s.rig.dev, true);
	CHECK_UNREACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	sandwich_close(&s);
}
EACH_DMA_BY_ADDRESS(three_parts_unmapped_while_suspended)

/* The container goes with a piece that is mapped, suspended or revoked. */
static void end_of_the_container(const struct dma_way *way, void (*first)(struct sandwich *s))
{
	struct sandwich s;

	sandwich_open(&s, way, true);
	dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	if (first)
		first(&s);
	edu_stop(&s.rig.edu);
	dma_remove(s.rig.initiator);
	dma_close(&s.rig.dma);
	/* Less than before: the rig's own page as well. */
	CHECK_EQ(pinned_pages(), s.pinned - 1);
	memory_decode(s.rig.dev, false);
	memory_decode(s.rig.dev, true);
}

static void suspend_part(struct sandwich *s)
{
	memory_decode(s->rig.dev, false);
}

static void revoke_part(struct sandwich *s)
{
	revoke_buffer(s->rig.dev, s->bar.fd);
}

static void container_of_three_parts_ends(const struct dma_way *way)
{
	end_of_the_container(way, NULL);
}
EACH_DMA_BY_ADDRESS(container_of_three_parts_ends)

static void container_of_a_suspended_part_ends(const struct dma_way *way)
{
	end_of_the_container(way, suspend_part);
}
EACH_DMA_BY_ADDRESS(container_of_a_suspended_part_ends)

static void container_of_a_revoked_part_ends(const struct dma_way *way)
{
	end_of_the_container(way, revoke_part);
}
EACH_DMA_BY_ADDRESS(container_of_a_revoked_part_ends)

/* VMAs -----------------------------------------------------------------------*/

/* The middle of a VMA, and BARs at both ends of a mapping. */
static void part_of_a_vma(const struct dma_way *way)
{
	struct piece bar;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(8));
	rig_bar(&rig, &bar, MIB(3) + PAGE, 16 * PAGE);
	dma_map(&rig.dma, RIG_IOVA, bar.addr + 5 * PAGE, 3 * PAGE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA, bar.seen + 5 * PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + 2 * PAGE, bar.seen + 7 * PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + 3 * PAGE, bar.seen + 8 * PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA - PAGE, bar.seen + 4 * PAGE);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA + 2 * PAGE, bar.seen + 7 * PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + 3 * PAGE, bar.seen + 8 * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA, 3 * PAGE);
	piece_close(&bar);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(part_of_a_vma)

/* A buffer's VMA that was cut, and one that has a hole. */
static void cut_vma(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;
	long pinned;

	rig_open(&rig, way, "ivshmem", 2, MIB(8));
	pinned = pinned_pages();
	rig_buffer(&rig, &lent, AT, 8 * PAGE);
	OK(mprotect((void *)(lent.addr + 2 * PAGE), 2 * PAGE, PROT_READ));
	dma_map(&rig.dma, RIG_IOVA, lent.addr, 8 * PAGE, DMA_READ);
	CHECK(rig_fetches(&rig, RIG_IOVA + PAGE, lent.seen + PAGE));
	CHECK(rig_fetches(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE));
	CHECK(rig_fetches(&rig, RIG_IOVA + 7 * PAGE, lent.seen + 7 * PAGE));
	CHECK(!rig_stores(&rig, RIG_IOVA + 7 * PAGE, lent.seen + 7 * PAGE));
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK(rig_fetches(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE));
	CHECK(rig_fetches(&rig, RIG_IOVA + 7 * PAGE, lent.seen + 7 * PAGE));
	dma_unmap(&rig.dma, RIG_IOVA, 8 * PAGE);

	unmap((void *)(lent.addr + 2 * PAGE), 2 * PAGE);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, 8 * PAGE, DMA_BOTH), EFAULT);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map(&rig.dma, RIG_IOVA, lent.addr, 2 * PAGE, DMA_BOTH);
	dma_map(&rig.dma, RIG_IOVA + 4 * PAGE, lent.addr + 4 * PAGE, 4 * PAGE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + 4 * PAGE, lent.seen + 4 * PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + 4 * PAGE, lent.seen + 4 * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA, 2 * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA + 4 * PAGE, 4 * PAGE);
	CHECK_EQ(pinned_pages(), pinned);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(cut_vma)

/* Two buffers side by side, each with its own fate; and out of order in the BAR. */
static void two_buffers(const struct dma_way *way)
{
	struct piece lent[2];
	unsigned char *at = dma_memory(2 * PART);
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(8));
	rig_buffer(&rig, &lent[0], MIB(3), PART);
	rig_buffer(&rig, &lent[1], MIB(2), PART);
	place(&lent[0], at);
	place(&lent[1], at + PART);
	dma_map(&rig.dma, RIG_IOVA, at, 2 * PART, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent[0].seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + PART, lent[1].seen);
	revoke_buffer(rig.dev, lent[0].fd);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent[0].seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + PART, lent[1].seen);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent[0].seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + PART, lent[1].seen);
	dma_unmap(&rig.dma, RIG_IOVA, 2 * PART);
	CHECK_UNREACHED(&rig, RIG_IOVA + PART, lent[1].seen);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(two_buffers)

/* A buffer of ranges that are apart in the BAR and out of order. */
static void several_ranges(const struct dma_way *way)
{
	static const range_t ranges[] = { { MIB(3), 2 * PAGE }, { MIB(1), PAGE }, { MIB(2), PAGE } };
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(8));
	lent = (struct piece){
		.fd = export_ranges(rig.dev, 2, ranges, ARRAY_SIZE(ranges)),
		.size = 4 * PAGE,
	};
	lent.addr = map_buffer(lent.fd, 0, lent.size);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, rig.seen + MIB(3));
	CHECK_REACHED(&rig, RIG_IOVA + 2 * PAGE, rig.seen + MIB(1));
	CHECK_REACHED(&rig, RIG_IOVA + 3 * PAGE, rig.seen + MIB(2));
	CHECK(stores_over(&rig, RIG_IOVA + 2 * PAGE, rig.seen + MIB(3) + 2 * PAGE - RIG_BYTES / 2,
			  rig.seen + MIB(1)));
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, rig.seen + MIB(3));
	CHECK_REACHED(&rig, RIG_IOVA + 3 * PAGE, rig.seen + MIB(2));
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, rig.seen + MIB(3));
	CHECK_UNREACHED(&rig, RIG_IOVA + 3 * PAGE, rig.seen + MIB(2));
	dma_unmap(&rig.dma, RIG_IOVA, lent.size);

	/* A part that begins within a range. */
	piece_close(&lent);
	lent.fd = export_ranges(rig.dev, 2, ranges, ARRAY_SIZE(ranges));
	lent.addr = map_buffer(lent.fd, 0, lent.size);
	OK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, PAGE, 2 * PAGE, DMA_BOTH));
	CHECK_REACHED(&rig, RIG_IOVA, rig.seen + MIB(3) + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, rig.seen + MIB(1));
	CHECK_UNREACHED(&rig, RIG_IOVA + 2 * PAGE, rig.seen + MIB(2));
	dma_unmap(&rig.dma, RIG_IOVA, 2 * PAGE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(several_ranges)

/* 128 MiB at addresses that fit no huge leaf of the other: each page is where it belongs. */
static void large(const struct dma_way *way)
{
	uint64_t size = MIB(128), bar_at = MIB(512) + PAGE, at;
	struct piece bar;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, GIB(1));
	rig_buffer(&rig, &bar, bar_at, size);
	dma_map_piece(&rig.dma, RIG_IOVA, &bar);
	for (at = 0; at < size; at += MIB(32) - PAGE)
		CHECK(rig_stores(&rig, RIG_IOVA + at, bar.seen + at));
	CHECK(rig_stores(&rig, RIG_IOVA + size - PAGE, bar.seen + size - PAGE));
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK(rig_stores(&rig, RIG_IOVA + size - PAGE, bar.seen + size - PAGE));
	dma_unmap(&rig.dma, RIG_IOVA, size);
	CHECK_UNREACHED(&rig, RIG_IOVA + size - PAGE, bar.seen + size - PAGE);
	/* As huge leaves of both. */
	piece_close(&bar);
	rig_buffer(&rig, &bar, MIB(256), size);
	dma_map_piece(&rig.dma, MIB(64), &bar);
	CHECK(rig_stores(&rig, MIB(64) + MIB(100), bar.seen + MIB(100)));
	revoke_buffer(rig.dev, bar.fd);
	CHECK_UNREACHED(&rig, MIB(64), bar.seen);
	CHECK_UNREACHED(&rig, MIB(64) + size - PAGE, bar.seen + size - PAGE);
	dma_unmap(&rig.dma, MIB(64), size);
	piece_close(&bar);
	rig_close(&rig);
}
EACH_DMA(large)

/* Errors ---------------------------------------------------------------------*/

/* It is no mapping, now and after the next resume; and the place is free. */
static void nothing_is_left(struct sandwich *s)
{
	memory_unreached(s);
	CHECK_UNREACHED(&s->rig, RIG_IOVA + PART, s->bar.seen);
	memory_decode(s->rig.dev, false);
	memory_decode(s->rig.dev, true);
	CHECK_UNREACHED(&s->rig, RIG_IOVA + PART, s->bar.seen);
	CHECK_EQ(pinned_pages(), s->pinned);
	CHECK_EQ(locked_bytes(), s->locked);
	CHECK_EQ(try_dma_unmap(&s->rig.dma, RIG_IOVA, s->size), 0);
	dma_map(&s->rig.dma, RIG_IOVA, s->at, PART, DMA_BOTH);
	CHECK_REACHED(&s->rig, RIG_IOVA + PAGE, s->at + PAGE);
	dma_unmap(&s->rig.dma, RIG_IOVA, PART);
}

static void fails_behind_the_bar(const struct dma_way *way)
{
	struct sandwich s;

	sandwich_open(&s, way, true);
	unmap(s.at + s.size - PAGE, PAGE);
	CHECK_ERRNO(try_dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH), EFAULT);
	nothing_is_left(&s);
	sandwich_close(&s);
}
EACH_DMA_TYPE1(fails_behind_the_bar)

static void fails_at_the_bar(const struct dma_way *way, void (*first)(struct sandwich *s))
{
	struct sandwich s;

	sandwich_open(&s, way, true);
	first(&s);
	CHECK_ERRNO(try_dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH), EFAULT);
	memory_decode(s.rig.dev, true);
	nothing_is_left(&s);
	sandwich_close(&s);
}

static void fails_at_a_revoked_part(const struct dma_way *way)
{
	fails_at_the_bar(way, revoke_part);
}
EACH_DMA_TYPE1(fails_at_a_revoked_part)

static void fails_at_a_suspended_part(const struct dma_way *way)
{
	fails_at_the_bar(way, suspend_part);
}
EACH_DMA_TYPE1(fails_at_a_suspended_part)

static void make_read_only(struct sandwich *s)
{
	OK(mprotect((void *)s->bar.addr, PART, PROT_READ));
}

static void fails_at_a_read_only_part(const struct dma_way *way)
{
	fails_at_the_bar(way, make_read_only);
}
EACH_DMA_TYPE1(fails_at_a_read_only_part)

/* Cuts and sizes -------------------------------------------------------------*/

/* Version 1: an unmap that does not cover the beginning does nothing, one that does takes all. */
static void unmap_by_version_1(void)
{
	struct sandwich s;
	struct dma *d = &s.rig.dma;

	sandwich_open(&s, &dma_type1_v1, true);
	dma_map(d, RIG_IOVA, s.at, s.size, DMA_BOTH);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA + PART, PART), 0);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA + PAGE, s.size - PAGE), 0);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_reached(&s);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA, PAGE), s.size);
	CHECK_UNREACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_unreached(&s);
	/* Revoked and suspended pieces count as well. */
	dma_map(d, RIG_IOVA, s.at, s.size, DMA_BOTH);
	memory_decode(s.rig.dev, false);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA + PART, PART), 0);
	memory_decode(s.rig.dev, true);
	revoke_part(&s);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA + PART, PART), 0);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA, PAGE), s.size);
	memory_unreached(&s);
	sandwich_close(&s);
}

/* Version 2: a cut is an error, and several mappings go at once. */
static void unmap_by_version_2(const struct dma_way *way)
{
	/* iommufd says so when the end or the beginning is cut. */
	int cut = way->is_iommufd ? ENOENT : EINVAL;
	struct sandwich s;
	struct dma *d = &s.rig.dma;
	unsigned char *more = dma_memory(PART);

	sandwich_open(&s, way, true);
	dma_map(d, RIG_IOVA, s.at, s.size, DMA_BOTH);
	dma_map(d, RIG_IOVA + s.size, more, PART, DMA_BOTH);
	dma_map(d, RIG_IOVA + s.size + PART, s.bar.addr, PAGE, DMA_BOTH);
	CHECK_ERRNO(try_dma_unmap(d, RIG_IOVA + PART, PART), cut);
	CHECK_ERRNO(try_dma_unmap(d, RIG_IOVA, s.size - PAGE), cut);
	CHECK_ERRNO(try_dma_unmap(d, RIG_IOVA + PAGE, s.size - PAGE), cut);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_reached(&s);
	revoke_part(&s);
	CHECK_ERRNO(try_dma_unmap(d, RIG_IOVA + PART, PART), cut);
	CHECK_EQ(try_dma_unmap(d, RIG_IOVA - PART, s.size + 4 * PART), s.size + PART + PAGE);
	memory_unreached(&s);
	if (!way->is_iommufd)
		CHECK_EQ(try_dma_unmap(d, RIG_IOVA, s.size), 0);
	sandwich_close(&s);
}
EACH_DMA_BY_ADDRESS(unmap_by_version_2)

static void unmap_all(void)
{
	struct vfio_iommu_type1_dma_unmap all = {
		.argsz = sizeof(all),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};
	struct sandwich s;

	sandwich_open(&s, &dma_type1, true);
	dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	dma_map(&s.rig.dma, MIB(64), s.bar.addr, PART, DMA_BOTH);
	revoke_part(&s);
	OK(ioctl(s.rig.dma.fd, VFIO_IOMMU_UNMAP_DMA, &all));
	CHECK_EQ(all.size, s.size + PART + PAGE);
	dma_map(&s.rig.dma, RIG_RAM_IOVA, s.rig.ram, PAGE, DMA_BOTH);
	memory_unreached(&s);
	sandwich_close(&s);
}

static void over_what_is_there(const struct dma_way *way)
{
	struct piece lent, other;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	rig_buffer(&rig, &other, MIB(2), PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_ERRNO(try_dma_map_piece(&rig.dma, RIG_IOVA + PAGE, &other, 0, PART, DMA_BOTH), EEXIST);
	memory_decode(rig.dev, false);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, rig.ram, PAGE, DMA_BOTH), EEXIST);
	memory_decode(rig.dev, true);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_ERRNO(try_dma_map_piece(&rig.dma, RIG_IOVA + PAGE, &other, 0, PART, DMA_BOTH), EEXIST);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA + PART - PAGE, rig.ram, PAGE, DMA_BOTH), EEXIST);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &other);
	CHECK_REACHED(&rig, RIG_IOVA, other.seen);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	rig_close(&rig);
}
EACH_DMA(over_what_is_there)

/* Accounting -----------------------------------------------------------------*/

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	OK(syscall(SYS_capget, &head, data));
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	OK(syscall(SYS_capset, &head, data));
}

/* A BAR is no memory: RLIMIT_MEMLOCK has nothing to say about it. */
static void bar_is_not_locked_memory(const struct dma_way *way)
{
	struct rlimit limit = { .rlim_cur = KIB(64), .rlim_max = KIB(64) };
	struct piece bar;
	struct rig rig;
	long locked;

	rig_open(&rig, way, "ivshmem", 2, MIB(64));
	rig_buffer(&rig, &bar, 0, MIB(64));
	locked = locked_bytes();
	OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	drop_ipc_lock();
	dma_map_piece(&rig.dma, RIG_IOVA, &bar);
	CHECK_EQ(locked_bytes(), locked);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_EQ(locked_bytes(), locked);
	CHECK_ERRNO(try_dma_map(&rig.dma, MIB(128), dma_memory(MIB(1)), MIB(1), DMA_BOTH), ENOMEM);
	CHECK_REACHED(&rig, RIG_IOVA + MIB(63), bar.seen + MIB(63));
	dma_unmap(&rig.dma, RIG_IOVA, MIB(64));
	CHECK_EQ(locked_bytes(), locked);
	piece_close(&bar);
	rig_close(&rig);
}
EACH_DMA(bar_is_not_locked_memory)

/* How many mappings the container may still get; a piece of a BAR is none by itself. */
static uint32_t mappings_left(struct dma *d)
{
	char room[4096] __attribute__((aligned(8))) = "";
	struct vfio_iommu_type1_info *info = (void *)room;
	struct vfio_info_cap_header *cap;
	uint32_t at;

	info->argsz = sizeof(room);
	OK(ioctl(d->fd, VFIO_IOMMU_GET_INFO, info));
	for (at = info->cap_offset; at; at = cap->next) {
		cap = (void *)(room + at);
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
			return ((struct vfio_iommu_type1_info_dma_avail *)cap)->avail;
	}
	FAIL("the container does not say how many mappings it may get");
}

static void counts_as_one_mapping(void)
{
	struct sandwich s;
	uint32_t left;

	sandwich_open(&s, &dma_type1, true);
	left = mappings_left(&s.rig.dma);
	dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	CHECK_EQ(mappings_left(&s.rig.dma), left - 1);
	revoke_part(&s);
	CHECK_EQ(mappings_left(&s.rig.dma), left - 1);
	dma_unmap(&s.rig.dma, RIG_IOVA, s.size);
	CHECK_EQ(mappings_left(&s.rig.dma), left);
	CHECK_ERRNO(try_dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH), EFAULT);
	CHECK_EQ(mappings_left(&s.rig.dma), left);
	sandwich_close(&s);
}

/* The address changes under a mapping (VFIO_UPDATE_VADDR): a piece does not care. */
static void new_address(void)
{
	struct vfio_iommu_type1_dma_unmap hide = {
		.argsz = sizeof(hide),
		.flags = VFIO_DMA_UNMAP_FLAG_VADDR,
		.iova = RIG_IOVA,
	};
	struct vfio_iommu_type1_dma_map show = {
		.argsz = sizeof(show),
		.flags = VFIO_DMA_MAP_FLAG_VADDR,
		.iova = RIG_IOVA,
	};
	struct sandwich s;

	sandwich_open(&s, &dma_type1, true);
	dma_map(&s.rig.dma, RIG_IOVA, s.at, s.size, DMA_BOTH);
	hide.size = show.size = s.size;
	OK(ioctl(s.rig.dma.fd, VFIO_IOMMU_UNMAP_DMA, &hide));
	CHECK_EQ(hide.size, s.size);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_decode(s.rig.dev, false);
	memory_decode(s.rig.dev, true);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	show.vaddr = (uintptr_t)s.at;
	OK(ioctl(s.rig.dma.fd, VFIO_IOMMU_MAP_DMA, &show));
	CHECK_REACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	memory_reached(&s);
	revoke_part(&s);
	CHECK_UNREACHED(&s.rig, RIG_IOVA + PART, s.bar.seen);
	dma_unmap(&s.rig.dma, RIG_IOVA, s.size);
	sandwich_close(&s);
}

#define BY_ADDRESS(fn) CASE_MMAP(fn##_type1), CASE_MMAP(fn##_compat)
#define ALL(fn)	       BY_ADDRESS(fn), CASE_MMAP(fn##_native)
#define TYPE1(fn)      CASE_MMAP(fn##_type1), CASE_MMAP(fn##_type1_v1)

static const struct test_case cases[] = {
	BY_ADDRESS(three_parts),
	CASE_MMAP(three_parts_type1_v1),
	BY_ADDRESS(three_parts_unmapped_while_suspended),
	BY_ADDRESS(container_of_three_parts_ends),
	BY_ADDRESS(container_of_a_suspended_part_ends),
	BY_ADDRESS(container_of_a_revoked_part_ends),
	BY_ADDRESS(part_of_a_vma),
	BY_ADDRESS(cut_vma),
	BY_ADDRESS(two_buffers),
	ALL(several_ranges),
	ALL(large),
	TYPE1(fails_behind_the_bar),
	TYPE1(fails_at_a_revoked_part),
	TYPE1(fails_at_a_suspended_part),
	TYPE1(fails_at_a_read_only_part),
	CASE_MMAP(unmap_by_version_1),
	BY_ADDRESS(unmap_by_version_2),
	CASE_MMAP(unmap_all),
	ALL(over_what_is_there),
	ALL(bar_is_not_locked_memory),
	CASE_MMAP(counts_as_one_mapping),
	CASE_MMAP(new_address),
};

TEST_MAIN(cases)
