// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds of BARs that DMA goes to, and NVMe as the device that does it. What counts is the
 * memory: QEMU's NVMe reports success for DMA that was blocked.
 */
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"

#define PART (4 * PAGE)

/* Memory behind a BAR --------------------------------------------------------*/

static void memory_of(const struct dma_way *way, const char *model, unsigned int bar,
		      uint64_t offset)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, model, bar, MIB(8));
	rig_buffer(&rig, &lent, offset, PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, RIG_IOVA + PART - PAGE, lent.seen + PART - PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + PART, lent.seen + PART);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}

static void memory_of_bochs(const struct dma_way *way)
{
	memory_of(way, "bochs", 0, MIB(3));
}
EACH_DMA(memory_of_bochs)

static void cmb_of_nvme(const struct dma_way *way)
{
	memory_of(way, "nvme", 2, MIB(1) + PAGE);
}
EACH_DMA(cmb_of_nvme)

static void memory_of_ivshmem_behind_a_port(const struct dma_way *way)
{
	dev_bound("pair0");
	memory_of(way, "pair1", 2, MIB(3));
}
EACH_DMA(memory_of_ivshmem_behind_a_port)

/* Registers ------------------------------------------------------------------*/

/* What the device reads there, 8 bytes. */
static uint64_t read_by_dma(struct rig *rig, uint64_t iova)
{
	uint64_t value;

	memset(rig->ram, 0, 8);
	edu_fetch(&rig->edu, iova, 8);
	edu_store(&rig->edu, RIG_RAM_IOVA, 8);
	memcpy(&value, rig->ram, 8);
	return value;
}

static uint64_t read_by_cpu(const volatile unsigned char *p)
{
	return read32(p) | (uint64_t)read32(p + 4) << 32;
}

static void registers_of_nvme(const struct dma_way *way)
{
	unsigned int pm;
	struct piece lent;
	uint64_t cap;
	struct rig rig;

	rig_open(&rig, way, "nvme", 2, MIB(1));
	pm = config_capability(rig.dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	lent = (struct piece){
		.fd = export_range(rig.dev, 0, 0, PAGE),
		.size = PAGE,
		.seen = map_bar(rig.dev, 0, 0, PAGE),
	};
	lent.addr = map_buffer(lent.fd, 0, PAGE);
	cap = read_by_cpu(lent.seen);
	CHECK(cap && cap != UINT64_MAX);
	OK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, PAGE, DMA_READ));
	CHECK_EQ(read_by_dma(&rig, RIG_IOVA), cap);
	OK(try_reset(rig.dev));
	CHECK_EQ(read_by_dma(&rig, RIG_IOVA), cap);
	config_write16(rig.dev, pm, config_read16(rig.dev, pm) | 3);
	CHECK(read_by_dma(&rig, RIG_IOVA) != cap);
	config_write16(rig.dev, pm, config_read16(rig.dev, pm) & ~3);
	memory_decode(rig.dev, true);
	CHECK_EQ(read_by_dma(&rig, RIG_IOVA), cap);
	revoke_buffer(rig.dev, lent.fd);
	CHECK(read_by_dma(&rig, RIG_IOVA) != cap);
	CHECK_EQ(read_by_cpu(lent.seen), cap);
	dma_unmap(&rig.dma, RIG_IOVA, PAGE);
	rig_use(&rig, &rig.edu);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(registers_of_nvme)

/* All of a BAR that has the MSI-X table in it, which the CPU may map as well. */
static void bar_with_msix_table(const struct dma_way *way)
{
	uint64_t at, value;
	struct piece bar;
	struct rig rig;

	rig_open(&rig, way, "nvme", 2, MIB(1));
	bar = (struct piece){
		.fd = dup(rig.dev->fd),
		.addr = map_bar(rig.dev, 0, 0, PART),
		.size = PART,
		.seen = map_bar(rig.dev, 0, 0, PART),
	};
	dma_map(&rig.dma, RIG_IOVA, bar.addr, PART, DMA_READ);
	for (at = 0; at < PART; at += PAGE) {
		value = read_by_cpu(bar.seen + at);
		CHECK_MSG(read_by_dma(&rig, RIG_IOVA + at) == value, "at %#llx of BAR 0",
			  (unsigned long long)at);
	}
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_EQ(read_by_dma(&rig, RIG_IOVA), read_by_cpu(bar.seen));
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	rig_use(&rig, &rig.edu);
	piece_close(&bar);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(bar_with_msix_table)

/* NVMe does the DMA ----------------------------------------------------------*/

#define QUEUES	 MIB(100)
#define CAP	 0x00
#define CC	 0x14
#define CSTS	 0x1c
#define AQA	 0x24
#define ASQ	 0x28
#define ACQ	 0x30
#define DOORBELL 0x1000
#define ENTRIES	 8

struct nvme {
	struct dma_device *device;
	volatile unsigned char *regs;
	volatile unsigned char *queues; /* submission, and a page further on completion */
	unsigned int tail, head, phase;
};

static void put32(struct nvme *n, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(n->regs + reg) = value;
}

static uint32_t get32(struct nvme *n, unsigned int reg)
{
	return *(volatile uint32_t *)(n->regs + reg);
}

static void wait_ready(struct nvme *n, uint32_t want)
{
	uint64_t end = timeout();

	while ((get32(n, CSTS) & 1) != want) {
		CHECK_MSG(now_ns() < end, "the controller does not get ready (%u)", want);
		sleep_ms(1);
	}
}

/* The queues are two pages at an IOVA, and here. */
static void nvme_start(struct nvme *n, struct dma_device *device, uint64_t iova,
		       volatile unsigned char *queues)
{
	uint16_t command = config_read16(device->dev, PCI_COMMAND);
	size_t i;

	*n = (struct nvme){ .device = device, .queues = queues, .phase = 1 };
	config_write16(device->dev, PCI_COMMAND,
		       command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	n->regs = map_bar(device->dev, 0, 0, 2 * PAGE);
	for (i = 0; i < 2 * PAGE; i++)
		queues[i] = 0;
	put32(n, CC, 0);
	wait_ready(n, 0);
	put32(n, AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	put32(n, ASQ, iova);
	put32(n, ASQ + 4, iova >> 32);
	put32(n, ACQ, iova + PAGE);
	put32(n, ACQ + 4, (iova + PAGE) >> 32);
	put32(n, CC, 4 << 20 | 6 << 16 | 1);
	wait_ready(n, 1);
}

static void nvme_stop(struct nvme *n)
{
	put32(n, CC, 0);
	wait_ready(n, 0);
	unmap((void *)n->regs, 2 * PAGE);
}

/* Identify, to an IOVA. False: no completion has come, though the device had time. */
static bool identify(struct nvme *n, uint64_t iova)
{
	volatile uint32_t *sqe = (volatile uint32_t *)(n->queues + n->tail * 64);
	volatile uint32_t *cqe = (volatile uint32_t *)(n->queues + PAGE + n->head * 16);
	uint64_t end = now_ns() + (slow_kernel() ? 5 : 1) * 1000000000ull;
	int i;

	for (i = 0; i < 16; i++)
		sqe[i] = 0;
	sqe[0] = 0x06 | n->tail << 16;
	sqe[6] = iova;
	sqe[7] = iova >> 32;
	sqe[10] = 1; /* the controller's */
	n->tail = (n->tail + 1) % ENTRIES;
	put32(n, DOORBELL, n->tail);
	while ((cqe[3] >> 16 & 1) != n->phase) {
		if (now_ns() > end)
			return false;
		sleep_ms(1);
	}
	n->head = (n->head + 1) % ENTRIES;
	if (!n->head)
		n->phase ^= 1;
	put32(n, DOORBELL + 4, n->head);
	return true;
}

/* The serial number of lab/topology/default. */
static bool has_identity(const volatile unsigned char *p)
{
	return p[4] == 'l' && p[5] == 'a' && p[6] == 'b';
}

static void wipe(volatile unsigned char *p)
{
	size_t i;

	for (i = 0; i < 4096; i++)
		p[i] = 0;
}

static bool is_wiped(const volatile unsigned char *p)
{
	size_t i;

	for (i = 0; i < 4096; i++)
		if (p[i])
			return false;
	return true;
}

static void nvme_writes_into_a_bar(const struct dma_way *way)
{
	unsigned char *queues = dma_memory(2 * PAGE);
	struct dma_device *device;
	struct piece lent;
	struct nvme nvme;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, MIB(1), PART);
	device = dma_add(&rig.dma, "nvme");
	dma_map(&rig.dma, QUEUES, queues, 2 * PAGE, DMA_BOTH);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	nvme_start(&nvme, device, QUEUES, queues);
	wipe(lent.seen);
	CHECK(identify(&nvme, RIG_IOVA));
	CHECK(has_identity(lent.seen));

	wipe(lent.seen);
	memory_decode(rig.dev, false);
	identify(&nvme, RIG_IOVA);
	memory_decode(rig.dev, true);
	CHECK(is_wiped(lent.seen));
	CHECK(identify(&nvme, RIG_IOVA));
	CHECK(has_identity(lent.seen));

	wipe(lent.seen + PAGE);
	revoke_buffer(rig.dev, lent.fd);
	identify(&nvme, RIG_IOVA + PAGE);
	CHECK(is_wiped(lent.seen + PAGE));
	nvme_stop(&nvme);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	dma_unmap(&rig.dma, QUEUES, 2 * PAGE);
	dma_remove(device);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(nvme_writes_into_a_bar)

/* Its queues themselves are in the other device's memory: after the revoke it gets no work. */
static void nvme_queues_in_a_bar(const struct dma_way *way)
{
	unsigned char *result = dma_memory(PAGE);
	struct dma_device *device;
	struct piece lent;
	struct nvme nvme;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, MIB(1), PART);
	device = dma_add(&rig.dma, "nvme");
	dma_map(&rig.dma, MIB(64), result, PAGE, DMA_BOTH);
	dma_map_piece(&rig.dma, QUEUES, &lent);
	nvme_start(&nvme, device, QUEUES, lent.seen);
	CHECK(identify(&nvme, MIB(64)));
	CHECK(has_identity(result));
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	wipe(result);
	CHECK(identify(&nvme, MIB(64)));
	CHECK(has_identity(result));
	revoke_buffer(rig.dev, lent.fd);
	wipe(result);
	CHECK(!identify(&nvme, MIB(64)));
	CHECK(is_wiped(result));
	nvme_stop(&nvme);
	dma_unmap(&rig.dma, QUEUES, PART);
	dma_unmap(&rig.dma, MIB(64), PAGE);
	dma_remove(device);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(nvme_queues_in_a_bar)

#define BY_ADDRESS(fn) CASE_MMAP(fn##_type1), CASE_MMAP(fn##_compat)
#define ALL(fn)	       BY_ADDRESS(fn), CASE_MMAP(fn##_native)

static const struct test_case cases[] = {
	ALL(memory_of_bochs),
	ALL(cmb_of_nvme),
	ALL(memory_of_ivshmem_behind_a_port),
	ALL(registers_of_nvme),
	BY_ADDRESS(bar_with_msix_table),
	ALL(nvme_writes_into_a_bar),
	ALL(nvme_queues_in_a_bar),
};

TEST_MAIN(cases)
