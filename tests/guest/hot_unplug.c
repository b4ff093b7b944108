// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is taken out of its slot, or removed by sysfs, while buffers of it
 * live: its owner is asked to let go, nobody else is waited for, and what comes
 * into the slot afterwards is another device.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "importer.h"

#define MODEL "plug"
#define SIZE (4 * PAGE)

/*
 * Two ways for a device to go: out of its slot, and by sysfs. The second needs a process
 * that has nothing of the device, as the write waits for its owner.
 */
static bool by_slot;
static pid_t remover;
static int remover_go[2];

static int remove_when_told(void *arg)
{
	char path[96], address[32], byte;
	int group;

	(void)arg;
	close(remover_go[1]);
	if (read(remover_go[0], &byte, 1) != 1)
		return 0;
	CHECK(dev_bind(MODEL, address, &group));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", address);
	return write_file(path, "1") ? 0 : 1;
}

static void put_in(void)
{
	if (by_slot) {
		model_plug(MODEL);
		return;
	}
	CHECK(write_file("/sys/bus/pci/rescan", "1"));
	CHECK(model_present(MODEL));
}

/* Before anything of the device is open. A case that failed may have left the slot empty. */
static void prepare(bool slot)
{
	/*
	 * Removal by pciehp holds the lock of its slot's reset and waits for locks of VFIO,
	 * under which VFIO resets slots. It only tries that, which lockdep does not see.
	 */
	if (slot && access("/proc/lockdep_stats", F_OK) == 0)
		SKIP("lockdep reports stock Linux's pciehp and VFIO here");
	by_slot = slot;
	if (!model_present(MODEL))
		write_file("/sys/bus/pci/rescan", "1");
	if (!model_present(MODEL))
		model_plug(MODEL);
	if (!by_slot) {
		OK(pipe(remover_go));
		remover = spawn(remove_when_told, NULL);
		close(remover_go[0]);
	}
}

static void take_out(void)
{
	if (by_slot) {
		model_unplug(MODEL);
		return;
	}
	CHECK_EQ(write(remover_go[1], "", 1), 1);
}

static void wait_out(void)
{
	if (by_slot)
		model_wait_unplugged(MODEL);
	else
		CHECK_EQ(wait_end(remover, "the removal"), 0);
	CHECK(!model_present(MODEL));
}

/* The removal has come so far that it waits for the owner. */
static void wait_held_up(void)
{
	if (by_slot)
		sleep_ms(slow_kernel() ? 15000 : 7000);
	else
		wait_asleep_in(remover, "vfio_unregister_group_dev");
	CHECK(model_present(MODEL));
}

/* What is in the slot now works; what a client has of the one before does not. */
static void is_another_device(volatile void *page, int fd)
{
	struct dev *dev;
	void *bar;

	CHECK_SIGBUS(page);
	dev = dev_open(MODEL);
	bar = map_bar(dev, 0, 0, SIZE);
	CHECK_ALIVE(bar);
	unmap(bar, SIZE);
	CHECK_ALIVE(map_buffer(export_range(dev, 0, 0, SIZE), 0, SIZE));
	CHECK_SIGBUS(page);
	if (fd >= 0) {
		CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
		CHECK_EQ(errno, ENODEV);
		CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
		CHECK_ERRNO(try_importer_open(dev, fd), ENODEV);
	}
	dev_close(dev);
}

/* The owner is asked, and all works until it has let go of fd and BAR mapping. */
static void owner_is_asked(bool slot)
{
	struct pollfd asked = { .events = POLLIN };
	struct dev *dev;
	volatile void *bar, *page;
	int fd;

	prepare(slot);
	dev = dev_open(MODEL);
	asked.fd = dev_request_eventfd(dev);
	fd = export_range(dev, 0, 0, SIZE);
	page = map_buffer(fd, 0, SIZE);
	bar = map_bar(dev, 0, 0, SIZE);
	CHECK_ALIVE(page);
	take_out();
	CHECK_EQ(poll(&asked, 1, slow_kernel() ? 60000 : 15000), 1);
	CHECK_ALIVE(page);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(map_buffer(fd, 0, SIZE));
	dev_close(dev);
	sleep_ms(200);
	CHECK(model_present(MODEL));
	CHECK_ALIVE(bar);
	CHECK_ALIVE(page);
	unmap((void *)bar, SIZE);
	wait_out();
	CHECK_SIGBUS(page);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	put_in();
	is_another_device(page, fd);
	close(fd);
	unmap((void *)page, SIZE);
}

/* The same, with an owner in another process, and what it has lent us mapped. */
static volatile void *prepare_lent(bool slot, struct lent *lent)
{
	volatile void *page;

	prepare(slot);
	lend(lent, MODEL, 0, SIZE, NULL);
	page = map_buffer(lent->fd, 0, SIZE);
	CHECK_ALIVE(page);
	return page;
}

/* An owner that does not react to being asked is killed; a client goes on living. */
static void owner_is_killed(bool slot)
{
	struct lent lent;
	volatile void *page = prepare_lent(slot, &lent);

	take_out();
	wait_held_up();
	CHECK_ALIVE(page);
	lent_kill_owner(&lent);
	wait_out();
	CHECK_SIGBUS(page);
	put_in();
	is_another_device(page, lent.fd);
}

/* Only clients are left: one with a mapping and no fd, one with an fd alone. */
static void clients_of_a_dead_owner(bool slot)
{
	struct lent lent;
	volatile void *page = prepare_lent(slot, &lent);

	lent_kill_owner(&lent);
	CHECK_SIGBUS(page);
	take_out();
	wait_out();
	CHECK_SIGBUS(page);
	put_in();
	is_another_device(page, lent.fd);
	close(lent.fd);
	is_another_device(page, -1);
}

/* The device waits for an importer, which may have addresses of it; for no longer. */
static void importer_that_holds(bool slot)
{
	volatile void *page;
	struct lent lent;
	int importer;

	prepare(slot);
	lend(&lent, MODEL, 0, SIZE, &importer);
	page = map_buffer(lent.fd, 0, SIZE);
	CHECK_ALIVE(page);
	take_out();
	kill(lent.owner, SIGKILL);
	wait_asleep_in(lent.owner, "wait_importers");
	CHECK_SIGBUS(page);
	wait_held_up();
	CHECK(importer_is_mapped(importer));
	importer_unmap(importer);
	wait_end(lent.owner, "the owner");
	wait_out();
	/* It is still attached, to a buffer of a device that is gone. */
	CHECK_ERRNO(try_importer_map(importer), ENODEV);
	put_in();
	is_another_device(page, lent.fd);
	CHECK_ERRNO(try_importer_map(importer), ENODEV);
	close(importer);
}

/* When the device is gone, a client keeps the core's code and not the driver. */
static void modules(bool slot)
{
	volatile void *page;
	struct lent lent;
	struct dev *dev;

	prepare(slot);
	lend(&lent, MODEL, 0, SIZE, NULL);
	page = map_buffer(lent.fd, 0, SIZE);
	CHECK_ALIVE(page);
	if (!module_loaded("vfio_pci") || !module_loaded("vfio_pci_core"))
		SKIP("vfio-pci is not a module in this kernel");
	take_out();
	lent_kill_owner(&lent);
	wait_out();
	vfio_pci_unbind_all();
	OK(try_rmmod("vfio_pci"));
	CHECK_ERRNO(try_rmmod("vfio_pci_core"), EAGAIN);
	CHECK_SIGBUS(page);
	close(lent.fd);
	CHECK_SIGBUS(page);
	CHECK_ERRNO(try_rmmod("vfio_pci_core"), EAGAIN);
	unmap((void *)page, SIZE);
	rmmod_soon("vfio_pci_core");
	put_in();
	dev = dev_open(MODEL);
	CHECK_ALIVE(map_bar(dev, 0, 0, SIZE));
}

#define BOTH_WAYS(name)                \
	static void slot_##name(void)  \
	{                              \
		name(true);            \
	}                              \
	static void sysfs_##name(void) \
	{                              \
		name(false);           \
	}

BOTH_WAYS(owner_is_asked)
BOTH_WAYS(owner_is_killed)
BOTH_WAYS(clients_of_a_dead_owner)
BOTH_WAYS(importer_that_holds)
BOTH_WAYS(modules)

static const struct test_case cases[] = {
	CASE_MMAP(sysfs_owner_is_asked, .seconds = 40),
	CASE_MMAP(sysfs_owner_is_killed, .seconds = 40),
	CASE_MMAP(sysfs_clients_of_a_dead_owner, .seconds = 40),
	CASE_MMAP(sysfs_importer_that_holds, .seconds = 40),
	CASE_MMAP(sysfs_modules, .seconds = 40),
	CASE_MMAP(slot_owner_is_asked, .seconds = 40),
	CASE_MMAP(slot_owner_is_killed, .seconds = 40),
	CASE_MMAP(slot_clients_of_a_dead_owner, .seconds = 40),
	CASE_MMAP(slot_importer_that_holds, .seconds = 40),
	CASE_MMAP(slot_modules, .seconds = 40),
};

TEST_MAIN(cases)
