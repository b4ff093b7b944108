// SPDX-License-Identifier: GPL-2.0-only
/*
 * A DMA mapping of a BAR lives and dies with the access to it: it is gone while the device is
 * suspended, returns with it, and ends at a revoke, at the close of the device and with its
 * driver. What does not end it is the end of the CPU's mapping, as with pinned memory.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"
#include "importer.h"

#define AT   MIB(1)
#define SIZE (4 * PAGE)

/* Revoke ---------------------------------------------------------------------*/

static void revoke_ends_it(const struct dma_way *way)
{
	struct piece lent, other;
	struct rig rig;
	uint64_t began;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	rig_buffer(&rig, &other, MIB(2), SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	dma_map_piece(&rig.dma, RIG_IOVA + SIZE, &other);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_REACHED(&rig, RIG_IOVA + SIZE, other.seen);

	/* Nobody waits for a container: it gives back at once. */
	set_parameter(IMPORTER_TIMEOUT, FOR_EVER);
	began = now_ns();
	revoke_buffer(rig.dev, lent.fd);
	CHECK(now_ns() - began < 5000000000ull);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, RIG_IOVA + SIZE, other.seen);

	/* It is not mapped again, not even if it is unmapped first. */
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	CHECK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_BOTH));
	CHECK_EQ(errno, way->err_revoked);
	CHECK_REACHED(&rig, RIG_IOVA + SIZE, other.seen);
	piece_close(&lent);
	dma_unmap(&rig.dma, RIG_IOVA + SIZE, SIZE);
	piece_close(&other);
	rig_close(&rig);
}
EACH_DMA(revoke_ends_it)

/* A buffer of which its client has nothing but the DMA mapping. */
static void revoke_ends_it_without_cpu_mapping(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;
	int primary;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	primary = OK(dup(lent.fd));
	piece_close(&lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	revoke_buffer(rig.dev, primary);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	OK(close(primary));
	/* The last reference to the buffer is the container's. */
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	rig_close(&rig);
}
EACH_DMA(revoke_ends_it_without_cpu_mapping)

/* The process that mapped it is gone, the container is not. */
struct mapper {
	struct rig *rig;
	struct piece *lent;
};

static int map_it(void *arg)
{
	struct mapper *m = arg;

	dma_map_piece(&m->rig->dma, RIG_IOVA, m->lent);
	return 0;
}

static void process_that_mapped_it_ends(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	join(spawn(map_it, &(struct mapper){ &rig, &lent }));
	piece_unmap(&lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(process_that_mapped_it_ends)

/* The device's container goes before the buffer, with nothing unmapped. */
static void container_ends_first(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;
	int fd;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	edu_stop(&rig.edu);
	dma_remove(rig.initiator);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	dma_close(&rig.dma);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_ALIVE(lent.addr);
	/* Whoever comes now gets a new container, with nothing in it. */
	fd = lent.fd;
	dma_open(&rig.dma, way);
	rig.initiator = dma_add(&rig.dma, "edu");
	dma_map(&rig.dma, RIG_RAM_IOVA, rig.ram, PAGE, DMA_BOTH);
	rig_edu(&rig, &rig.edu, rig.initiator);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	revoke_buffer(rig.dev, fd);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(container_ends_first)

/* Suspend and resume ---------------------------------------------------------*/

static void decode_off(struct rig *rig)
{
	memory_decode(rig->dev, false);
}

static void decode_on(struct rig *rig)
{
	memory_decode(rig->dev, true);
}

static void set_power(struct rig *rig, unsigned int state)
{
	unsigned int pos = config_capability(rig->dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	uint16_t pmcsr = config_read16(rig->dev, pos);

	config_write16(rig->dev, pos, (pmcsr & ~PCI_PM_CTRL_STATE_MASK) | state);
	CHECK_EQ(config_read16(rig->dev, pos) & PCI_PM_CTRL_STATE_MASK, state);
}

static void to_d3hot(struct rig *rig)
{
	set_power(rig, 3);
}

static void to_d0(struct rig *rig)
{
	set_power(rig, 0);
	/* QEMU resets the device on the way. */
	memory_decode(rig->dev, true);
}

static void to_low_power(struct rig *rig)
{
	OK(try_low_power_enter(rig->dev, -1));
	CHECK(wait_runtime_suspended(rig->dev, 10000));
}

static void from_low_power(struct rig *rig)
{
	OK(try_low_power_exit(rig->dev));
}

static void reset_by_ioctl(struct rig *rig)
{
	OK(try_reset(rig->dev));
}

static void reset_by_sysfs(struct rig *rig)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", rig->dev->address);
	if (!write_file(path, "1"))
		FAIL("reset of %s: %s", rig->dev->address, strerror_name(errno));
}

static void hot_reset(struct rig *rig)
{
	CHECK_EQ(barbuf_device_hot_reset(rig->dev->lib), 0);
}

/* Suspended twice, with nothing unmapped in between; it is a loss, or a moment without. */
static void goes_and_returns(const struct dma_way *way, const char *model,
			     void (*go)(struct rig *rig), void (*come)(struct rig *rig))
{
	struct piece lent, bar = { .fd = -1 };
	struct rig rig;
	unsigned int i;

	rig_open(&rig, way, model, 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	if (!way->by_file) {
		rig_bar(&rig, &bar, MIB(2), SIZE);
		dma_map_piece(&rig.dma, MIB(32), &bar);
	}
	for (i = 0; i < 2; i++) {
		CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
		if (bar.addr)
			CHECK_REACHED(&rig, MIB(32), bar.seen);
		rig_clear(lent.seen + PAGE);
		rig_clear(rig.seen + MIB(2) + PAGE);
		go(&rig);
		if (!come)
			continue;
		rig_send(&rig, RIG_IOVA + PAGE);
		if (bar.addr)
			rig_send(&rig, MIB(32) + PAGE);
		come(&rig);
		CHECK(!rig_arrived(&rig, lent.seen + PAGE));
		CHECK(!rig_arrived(&rig, rig.seen + MIB(2) + PAGE));
	}
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen + PAGE);
	if (bar.addr)
		CHECK_REACHED(&rig, MIB(32) + PAGE, bar.seen + PAGE);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	if (bar.addr) {
		CHECK_REACHED(&rig, MIB(32), bar.seen);
		dma_unmap(&rig.dma, MIB(32), SIZE);
		CHECK_UNREACHED(&rig, MIB(32), bar.seen);
		piece_close(&bar);
	}
	rig_close(&rig);
}

static void decode(const struct dma_way *way)
{
	goes_and_returns(way, "ivshmem", decode_off, decode_on);
}
EACH_DMA(decode)

static void d3hot(const struct dma_way *way)
{
	goes_and_returns(way, "nvme", to_d3hot, to_d0);
}
EACH_DMA(d3hot)

static void low_power(const struct dma_way *way)
{
	goes_and_returns(way, "nvme", to_low_power, from_low_power);
}
EACH_DMA(low_power)

static void function_level_reset(const struct dma_way *way)
{
	goes_and_returns(way, "nvme", reset_by_ioctl, NULL);
}
EACH_DMA(function_level_reset)

static void sysfs_reset(const struct dma_way *way)
{
	goes_and_returns(way, "nvme", reset_by_sysfs, NULL);
}
EACH_DMA(sysfs_reset)

static void bus_reset(const struct dma_way *way)
{
	/* The set is reset by whoever owns its group. */
	dev_bound("pair0");
	goes_and_returns(way, "pair1", hot_reset, NULL);
}
EACH_DMA(bus_reset)

static void revoked_while_suspended(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	memory_decode(rig.dev, false);
	revoke_buffer(rig.dev, lent.fd);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(revoked_while_suspended)

static void unmapped_while_suspended(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	memory_decode(rig.dev, false);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(unmapped_while_suspended)

static void mapped_while_suspended(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	memory_decode(rig.dev, false);
	CHECK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_BOTH));
	CHECK_EQ(errno, way->err_suspended);
	/* A buffer that is made meanwhile is no better off. */
	piece_close(&lent);
	rig_buffer(&rig, &lent, AT, SIZE);
	CHECK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_BOTH));
	CHECK_EQ(errno, way->err_suspended);
	memory_decode(rig.dev, true);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(mapped_while_suspended)

/* Close and unbind -----------------------------------------------------------*/

/* The device is closed, and its next owner has it enabled. */
static void change_owner(struct rig *rig, void (*between)(struct rig *rig))
{
	const char *model = rig->dev->model;

	unmap((void *)rig->seen, rig->size);
	dev_close(rig->dev);
	if (between)
		between(rig);
	rig->dev = dev_open(model);
	memory_decode(rig->dev, true);
	rig->seen = map_bar(rig->dev, rig->bar, 0, rig->size);
}

static void send_into_nothing(struct rig *rig)
{
	rig_send(rig, RIG_IOVA);
}

static void buffer_of_a_closed_device(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	change_owner(&rig, send_into_nothing);
	CHECK_UNREACHED(&rig, RIG_IOVA, rig.seen + AT);
	/* Its new buffers are others. */
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, rig.seen + AT);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(buffer_of_a_closed_device)

/* A BAR by the device's own mapping: unmapped it works on, closed it does not. */
static void bar_of_a_closed_device(const struct dma_way *way)
{
	struct piece bar;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_bar(&rig, &bar, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &bar);
	CHECK_REACHED(&rig, RIG_IOVA, bar.seen);
	piece_close(&bar);
	CHECK_REACHED(&rig, RIG_IOVA, rig.seen + AT);
	change_owner(&rig, NULL);
	CHECK_UNREACHED(&rig, RIG_IOVA, rig.seen + AT);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(bar_of_a_closed_device)

static void unbind_driver(struct rig *rig)
{
	char address[32];
	int group;

	CHECK(dev_bind("ivshmem", address, &group));
	if (!write_file("/sys/bus/pci/drivers/vfio-pci/unbind", address))
		FAIL("unbind of %s: %s", address, strerror_name(errno));
	rig_send(rig, RIG_IOVA);
}

/* The driver goes while a container has the buffer, and comes back. */
static void driver_of_the_device_changes(const struct dma_way *way)
{
	struct piece lent, bar = { .fd = -1 };
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	if (!way->by_file) {
		rig_bar(&rig, &bar, MIB(2), SIZE);
		dma_map_piece(&rig.dma, MIB(32), &bar);
		piece_close(&bar);
	}
	change_owner(&rig, unbind_driver);
	CHECK_UNREACHED(&rig, RIG_IOVA, rig.seen + AT);
	if (!way->by_file) {
		CHECK_UNREACHED(&rig, MIB(32), rig.seen + MIB(2));
		dma_unmap(&rig.dma, MIB(32), SIZE);
	}
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(driver_of_the_device_changes)

/* A mapping of a buffer keeps the device neither open nor bound. */
static void does_not_hold_the_device(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	unmap((void *)rig.seen, rig.size);
	dev_close(rig.dev);
	rig.dev = dev_open("ivshmem");
	dev_close(rig.dev);
	rig.dev = NULL;
	piece_close(&lent);
	/* Unmapped long after its device, and then the container: all by itself. */
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	rig_close(&rig);
}
EACH_DMA(does_not_hold_the_device)

/* Its own BAR in its own domain ----------------------------------------------*/

static void own_bar_across_resets(const struct dma_way *way)
{
	struct dma_device *nvme;
	struct piece own;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	nvme = dma_add(&rig.dma, "nvme");
	memory_decode(nvme->dev, true);
	own = (struct piece){
		.fd = export_range(nvme->dev, 2, 0, SIZE),
		.size = SIZE,
		.seen = map_bar(nvme->dev, 2, 0, SIZE),
	};
	own.addr = map_buffer(own.fd, 0, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &own);
	CHECK_REACHED(&rig, RIG_IOVA, own.seen);
	OK(try_reset(nvme->dev));
	CHECK_REACHED(&rig, RIG_IOVA, own.seen);
	memory_decode(nvme->dev, false);
	memory_decode(nvme->dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, own.seen);
	/* The container's other device goes on when it is closed. */
	unmap((void *)own.seen, SIZE);
	dma_remove(nvme);
	rig_send(&rig, RIG_IOVA);
	CHECK(rig_stores(&rig, RIG_RAM_IOVA, rig.ram));
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&own);
	rig_close(&rig);
}
EACH_DMA(own_bar_across_resets)

/* What stock does ------------------------------------------------------------*/

/* The hole that these tests are about, as Debian's kernel has it. */
static void stock_reaches_the_next_owner(void)
{
	struct piece bar;
	struct rig rig;

	if (!kernel_is("stock"))
		SKIP("only the stock kernel is so");
	rig_open(&rig, &dma_type1, "ivshmem", 2, MIB(4));
	rig_bar(&rig, &bar, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &bar);
	CHECK_REACHED(&rig, RIG_IOVA, bar.seen);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, bar.seen);
	piece_close(&bar);
	change_owner(&rig, NULL);
	CHECK_REACHED(&rig, RIG_IOVA, rig.seen + AT);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	rig_close(&rig);
}

static void stock_has_it_back_after_decode(void)
{
	struct piece bar;
	struct rig rig;

	if (!kernel_is("stock"))
		SKIP("only the stock kernel is so");
	rig_open(&rig, &dma_type1, "nvme", 2, MIB(4));
	rig_bar(&rig, &bar, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &bar);
	OK(try_reset(rig.dev));
	CHECK_REACHED(&rig, RIG_IOVA, bar.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&bar);
	rig_close(&rig);
}

#define CASES(fn) CASE_MMAP(fn##_type1), CASE_MMAP(fn##_compat), CASE_MMAP(fn##_native)

static const struct test_case cases[] = {
	CASES(revoke_ends_it),
	CASES(revoke_ends_it_without_cpu_mapping),
	CASES(process_that_mapped_it_ends),
	CASES(container_ends_first),
	CASES(decode),
	CASES(d3hot),
	CASES(low_power),
	CASES(function_level_reset),
	CASES(sysfs_reset),
	CASES(bus_reset),
	CASES(revoked_while_suspended),
	CASES(unmapped_while_suspended),
	CASES(mapped_while_suspended),
	CASES(buffer_of_a_closed_device),
	CASE_MMAP(bar_of_a_closed_device_type1),
	CASE_MMAP(bar_of_a_closed_device_compat),
	CASES(driver_of_the_device_changes),
	CASES(does_not_hold_the_device),
	CASES(own_bar_across_resets),
	CASE(stock_reaches_the_next_owner),
	CASE(stock_has_it_back_after_decode),
};

TEST_MAIN(cases)
