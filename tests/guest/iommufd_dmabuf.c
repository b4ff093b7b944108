// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers in an IOAS: what iommufd's own calls do with them, beside mapping and unmapping.
 * A domain that comes late, copies, a second domain of the same IOAS, a change of the
 * process, the choice of an IOVA, a cut, and the option to map a BAR by its address.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"

#define AT	 MIB(1)
#define SIZE	 (4 * PAGE)
#define MAP_BARS "/sys/module/iommufd/parameters/map_bars"

/* What the library has no use for, and a build machine's headers may lack. */
#ifndef IOMMU_IOAS_COPY
#define IOMMU_IOAS_COPY _IO(';', 0x83)
struct iommu_ioas_copy {
	__u32 size;
	__u32 flags;
	__u32 dst_ioas_id;
	__u32 src_ioas_id;
	__aligned_u64 length;
	__aligned_u64 dst_iova;
	__aligned_u64 src_iova;
};
#define IOMMU_HWPT_ALLOC _IO(';', 0x89)
struct iommu_hwpt_alloc {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 pt_id;
	__u32 out_hwpt_id;
	__u32 rest[3];
	__aligned_u64 data_uptr;
	__u32 rest2[2];
};
#endif
#ifndef IOMMU_IOAS_CHANGE_PROCESS
#define IOMMU_IOAS_CHANGE_PROCESS _IO(';', 0x92)
struct iommu_ioas_change_process {
	__u32 size;
	__u32 rest;
};
#endif

static void toggle(const struct rig *rig)
{
	memory_decode(rig->dev, false);
	memory_decode(rig->dev, true);
}

static uint32_t ioas_alloc(const struct rig *rig)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	OK(ioctl(rig->dma.fd, IOMMU_IOAS_ALLOC, &alloc));
	return alloc.out_ioas_id;
}

/* The domain is filled when access returns, and not before. */
static void domain_attached_while_suspended(void)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	ioas_leave(rig.initiator);
	rig_clear(lent.seen);
	memory_decode(rig.dev, false);
	ioas_join(rig.initiator, rig.dma.ioas);
	rig_send(&rig, RIG_IOVA);
	memory_decode(rig.dev, true);
	CHECK(!rig_arrived(&rig, lent.seen));
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE);

	/* The reverse: it leaves while suspended, and nothing comes back for it. */
	memory_decode(rig.dev, false);
	ioas_leave(rig.initiator);
	memory_decode(rig.dev, true);
	ioas_join(rig.initiator, rig.dma.ioas);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	piece_close(&lent);
	rig_close(&rig);
}

/* One set of pages, mapped at two places: each follows. */
static void copy(void)
{
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.length = 2 * PAGE,
		.dst_iova = MIB(32),
		.src_iova = RIG_IOVA + PAGE,
	};
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.length = SIZE,
		.iova = RIG_IOVA,
	};
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.iova = RIG_IOVA,
		.length = SIZE,
	};
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);

	/* From an IOAS without a domain, twice into the one that has the device. */
	map.ioas_id = ioas_alloc(&rig);
	map.fd = lent.fd;
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_MAP_FILE, &map));
	copy.src_ioas_id = map.ioas_id;
	copy.dst_ioas_id = rig.dma.ioas;
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_COPY, &copy));
	copy.dst_iova = MIB(48);
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_COPY, &copy));
	CHECK_REACHED(&rig, MIB(32), lent.seen + PAGE);
	CHECK_REACHED(&rig, MIB(48) + PAGE, lent.seen + 2 * PAGE);

	/* A copy while suspended comes with the others. */
	memory_decode(rig.dev, false);
	copy.dst_iova = MIB(64);
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_COPY, &copy));
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, MIB(32), lent.seen + PAGE);
	CHECK_REACHED(&rig, MIB(48), lent.seen + PAGE);
	CHECK_REACHED(&rig, MIB(64) + PAGE, lent.seen + 2 * PAGE);

	/* The first goes, and one copy. */
	unmap.ioas_id = map.ioas_id;
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_UNMAP, &unmap));
	dma_unmap(&rig.dma, MIB(48), 2 * PAGE);
	toggle(&rig);
	CHECK_REACHED(&rig, MIB(32), lent.seen + PAGE);
	CHECK_UNREACHED(&rig, MIB(48), lent.seen + PAGE);
	revoke_buffer(rig.dev, lent.fd);
	toggle(&rig);
	CHECK_UNREACHED(&rig, MIB(32), lent.seen + PAGE);
	CHECK_UNREACHED(&rig, MIB(64), lent.seen + PAGE);
	piece_close(&lent);
	rig_close(&rig);
}

/* iommufd's number of a device that its port can reset. */
static uint32_t device_id(const struct dma_device *dev)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[4];
	} info = { .head.argsz = sizeof(info) };

	OK(ioctl(dev->dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info));
	CHECK(info.head.flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	CHECK_EQ(info.head.count, 1);
	/* Also the device's id, in newer headers. */
	return info.devices[0].group_id;
}

/* A second domain under the same IOAS, that of another device. */
static void two_domains(void)
{
	struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
	struct dma_device *second;
	struct edu first, edu;
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	first = rig.edu;
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	second = dma_add(&rig.dma, "plug");
	hwpt.dev_id = device_id(second);
	hwpt.pt_id = rig.dma.ioas;
	OK(ioctl(rig.dma.fd, IOMMU_HWPT_ALLOC, &hwpt));
	memory_decode(rig.dev, false);
	ioas_join(second, hwpt.out_hwpt_id);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	rig_edu(&rig, &edu, second);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	toggle(&rig);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	rig_use(&rig, &first);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	rig_use(&rig, &edu);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	rig_use(&rig, &first);
	edu_stop(&edu);
	dma_remove(second);
	piece_close(&lent);
	rig_close(&rig);
}

/* A range out of order, and a slice that begins in one and ends in the other. */
static void slice_of_two_ranges(void)
{
	static const range_t ranges[] = { { MIB(3), 2 * PAGE }, { AT, 2 * PAGE } };
	const uint64_t cut = RIG_IOVA + PAGE - RIG_BYTES / 2;
	volatile unsigned char *head, *tail;
	unsigned int round, i;
	struct rig rig;
	int fd;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	fd = export_ranges(rig.dev, 2, ranges, 2);
	OK(rig.dma.way->map_file(&rig.dma, RIG_IOVA, fd, PAGE, 2 * PAGE, DMA_BOTH));
	head = rig.seen + MIB(3) + 2 * PAGE - RIG_BYTES / 2;
	tail = rig.seen + AT;
	for (round = 0; round < 2; round++) {
		CHECK_REACHED(&rig, RIG_IOVA, rig.seen + MIB(3) + PAGE);
		CHECK_REACHED(&rig, RIG_IOVA + PAGE, rig.seen + AT);
		CHECK_UNREACHED(&rig, RIG_IOVA + 2 * PAGE, rig.seen + AT + PAGE);
		/* Over the edge. */
		rig_clear(head);
		rig_clear(tail);
		rig_send(&rig, RIG_IOVA);
		rig_send(&rig, cut);
		for (i = 0; i < RIG_BYTES / 2; i++) {
			CHECK_EQ(head[i], rig.seen[MIB(3) + PAGE + i]);
			CHECK_EQ(tail[i], rig.seen[MIB(3) + PAGE + RIG_BYTES / 2 + i]);
		}
		CHECK_EQ(tail[RIG_BYTES / 2], 0);
		toggle(&rig);
	}
	OK(close(fd));
	rig_close(&rig);
}

static void memfd_is_mapped_with_its_rights(void)
{
	char path[64];
	struct rig rig;
	int fd, reader;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	fd = OK(memfd_create("dma", MFD_CLOEXEC));
	OK(ftruncate(fd, PAGE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = OK(open(path, O_RDONLY | O_CLOEXEC));
	CHECK_ERRNO(rig.dma.way->map_file(&rig.dma, RIG_IOVA, reader, 0, PAGE, DMA_BOTH), EPERM);
	CHECK_ERRNO(rig.dma.way->map_file(&rig.dma, RIG_IOVA, reader, 0, PAGE, DMA_WRITE), EPERM);
	OK(rig.dma.way->map_file(&rig.dma, RIG_IOVA, reader, 0, PAGE, DMA_READ));
	dma_unmap(&rig.dma, RIG_IOVA, PAGE);
	OK(rig.dma.way->map_file(&rig.dma, RIG_IOVA, fd, 0, PAGE, DMA_BOTH));
	dma_unmap(&rig.dma, RIG_IOVA, PAGE);
	OK(close(reader));
	reader = OK(open(path, O_WRONLY | O_CLOEXEC));
	CHECK_ERRNO(rig.dma.way->map_file(&rig.dma, RIG_IOVA, reader, 0, PAGE, DMA_READ), EPERM);
	OK(close(reader));
	OK(close(fd));
	rig_close(&rig);
}

/* What a live update does, here by a child: the IOAS goes to another process. */
static int change_process(void *arg)
{
	struct iommu_ioas_change_process change = { .size = sizeof(change) };
	struct rig *rig = arg;

	return ioctl(rig->dma.fd, IOMMU_IOAS_CHANGE_PROCESS, &change) ? errno : 0;
}

static void process_changes(void)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	/* Memory of this process by its address is what cannot go along. */
	CHECK_EQ(change_process(&rig), EINVAL);
	dma_unmap(&rig.dma, RIG_RAM_IOVA, PAGE);
	join(spawn(change_process, &rig));
	dma_map(&rig.dma, RIG_RAM_IOVA, rig.ram, PAGE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	toggle(&rig);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	piece_close(&lent);
	rig_close(&rig);
}

/* 2 MiB of memory that one leaf can map, one page behind the start of the buffer. */
static void iova_is_aligned_as_the_memory(void)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.start = PAGE,
		.length = MIB(2),
	};
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(8));
	rig_buffer(&rig, &lent, MIB(2) - PAGE, MIB(4));
	map.ioas_id = rig.dma.ioas;
	map.fd = lent.fd;
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_MAP_FILE, &map));
	CHECK_EQ(map.iova % MIB(2), 0);
	dma_unmap(&rig.dma, map.iova, MIB(2));
	/* The offset is no more than a page's multiple, and so is the memory. */
	map.start = 0;
	map.length = PAGE;
	OK(ioctl(rig.dma.fd, IOMMU_IOAS_MAP_FILE, &map));
	CHECK_EQ(map.iova % PAGE, 0);
	dma_unmap(&rig.dma, map.iova, PAGE);
	piece_close(&lent);
	rig_close(&rig);
}

/* IOMMU_IOAS_MAP of a BAR's address: no, unless the administrator wants it. */
static void native_map_of_an_address(void)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH), EFAULT);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, rig.seen, SIZE, DMA_BOTH), EFAULT);
	set_parameter(MAP_BARS, "Y");
	dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH);
	dma_map(&rig.dma, MIB(32), rig.seen + MIB(2), SIZE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), rig.seen + MIB(2));
	memory_decode(rig.dev, false);
	CHECK_ERRNO(try_dma_map(&rig.dma, MIB(64), lent.addr, SIZE, DMA_BOTH), EFAULT);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), rig.seen + MIB(2));
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), rig.seen + MIB(2));
	/* The address is of this process. */
	CHECK_EQ(change_process(&rig), EINVAL);
	dma_unmap(&rig.dma, RIG_RAM_IOVA, PAGE);
	CHECK_EQ(change_process(&rig), EINVAL);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	dma_unmap(&rig.dma, MIB(32), SIZE);
	CHECK_EQ(change_process(&rig), 0);
	piece_close(&lent);
	rig_close(&rig);
}

/* Version 1 unmaps in the middle of a mapping; its rest lives on in two parts. */
static void cut_by_version_1(void)
{
	struct dma_way way = dma_compat;
	struct piece lent;
	struct rig rig;

	way.name = "iommufd as a container, version 1";
	way.iommu_type = VFIO_TYPE1_IOMMU;
	rig_open(&rig, &way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	dma_unmap(&rig.dma, RIG_IOVA + PAGE, PAGE);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + 2 * PAGE, lent.seen + 2 * PAGE);
	toggle(&rig);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE);

	/* And while suspended. */
	memory_decode(rig.dev, false);
	dma_unmap(&rig.dma, RIG_IOVA + 2 * PAGE, PAGE);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA + 2 * PAGE, lent.seen + 2 * PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_UNREACHED(&rig, RIG_IOVA + 3 * PAGE, lent.seen + 3 * PAGE);
	dma_unmap(&rig.dma, RIG_IOVA, PAGE);
	dma_unmap(&rig.dma, RIG_IOVA + 3 * PAGE, PAGE);
	piece_close(&lent);
	rig_close(&rig);
}

static const struct test_case cases[] = {
	CASE_MMAP(domain_attached_while_suspended),
	CASE_MMAP(copy),
	CASE_MMAP(two_domains),
	CASE_MMAP(slice_of_two_ranges),
	CASE_MMAP(memfd_is_mapped_with_its_rights),
	CASE_MMAP(process_changes),
	CASE_MMAP(iova_is_aligned_as_the_memory),
	CASE_MMAP(native_map_of_an_address),
	CASE_MMAP(cut_by_version_1),
};

TEST_MAIN(cases)
