// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers and mappings against the end of the driver: unbind waits for the
 * device to be closed and for nothing else, and no client can make a module go
 * away under a mapping, or keep a device from its next driver.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "importer.h"

#define SIZE (4 * PAGE)

static int unbind(void *arg)
{
	const char *address = arg;

	return write_file("/sys/bus/pci/drivers/vfio-pci/unbind", address) ? 0 : 1;
}

static bool is_bound(const char *address)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", address);
	return access(path, F_OK) == 0;
}

/* A client holds fd and mapping of a buffer for ever: what is that to the driver? */
static void client_of_a_closed_device(void)
{
	struct dev *dev = dev_open("edu");
	char address[32];
	volatile void *p;
	int group, fd;

	CHECK(dev_bind("edu", address, &group));
	fd = export_range(dev, 0, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(p);
	dev_close(dev);
	join(spawn(unbind, address));
	CHECK(!is_bound(address));
	CHECK_SIGBUS(p);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);

	/* And so when the driver is back: it is another device to the buffer. */
	dev = dev_open("edu");
	CHECK_SIGBUS(p);
	CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
	close(fd);
	CHECK_SIGBUS(p);
	unmap((void *)p, SIZE);
	CHECK_ALIVE(map_bar(dev, 0, 0, SIZE));
}

/* The owner is asked to let go, and all works until it does. */
static void while_mapped(bool with_bar_mapping)
{
	struct dev *dev = dev_open("edu");
	volatile void *p, *bar = NULL;
	struct pollfd asked = { .events = POLLIN };
	char address[32];
	int group, status;
	pid_t pid;

	CHECK(dev_bind("edu", address, &group));
	asked.fd = dev_request_eventfd(dev);
	p = map_buffer(export_range(dev, 0, 0, SIZE), 0, SIZE);
	CHECK_ALIVE(p);
	if (with_bar_mapping) {
		bar = map_bar(dev, 0, 0, SIZE);
		CHECK_ALIVE(bar);
	}
	/* The child must not have the device. */
	pid = fork();
	if (pid == 0) {
		close(dev->fd);
		if (bar)
			munmap((void *)bar, SIZE);
		_exit(unbind(address));
	}
	CHECK_EQ(poll(&asked, 1, slow_kernel() ? 50000 : 10000), 1);
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK_ALIVE(p);
	dev_close(dev);
	if (bar) {
		sleep_ms(100);
		CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
		CHECK_ALIVE(bar);
		CHECK_ALIVE(p);
		unmap((void *)bar, SIZE);
	}
	join(pid);
	CHECK(!is_bound(address));
	CHECK_SIGBUS(p);
}

static void waits_for_the_device_fd(void)
{
	while_mapped(false);
}

static void waits_for_the_bar_mapping(void)
{
	while_mapped(true);
}

/*
 * The driver's module can go while a client holds a buffer. The core's, which
 * has the code that its mapping runs, can't, until the client lets go.
 */
static void modules(void)
{
	struct dev *dev;
	volatile void *p;
	int fd;

	dev = dev_open("edu");
	if (!module_loaded("vfio_pci") || !module_loaded("vfio_pci_core"))
		SKIP("vfio-pci is not a module in this kernel");
	fd = export_range(dev, 0, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(p);
	CHECK_ERRNO(try_rmmod("vfio_pci"), EAGAIN);
	dev_close(dev);
	vfio_pci_unbind_all();
	OK(try_rmmod("vfio_pci"));
	CHECK_ERRNO(try_rmmod("vfio_pci_core"), EAGAIN);
	CHECK_SIGBUS(p);
	CHECK_SIGBUS(p);
	close(fd);
	/* The mapping alone is enough to need the code. */
	sleep_ms(50);
	CHECK_ERRNO(try_rmmod("vfio_pci_core"), EAGAIN);
	CHECK_SIGBUS(p);
	unmap((void *)p, SIZE);
	rmmod_soon("vfio_pci_core");

	/* All of it comes again. */
	dev = dev_open("edu");
	CHECK_ALIVE(map_buffer(export_range(dev, 0, 0, SIZE), 0, SIZE));
}

/*
 * The owner is gone, a client has the buffer mapped, and an importer does not let go:
 * the end of the owner waits for that, and so does the unbind. The client gets SIGBUS
 * at once, and the modules can go after the last of them.
 */
static void importer_of_a_dead_owner(void)
{
	volatile void *page;
	struct lent lent;
	int importer, status;
	pid_t pid;

	lend(&lent, "edu", 0, SIZE, &importer);
	if (!module_loaded("vfio_pci") || !module_loaded("vfio_pci_core"))
		SKIP("vfio-pci is not a module in this kernel");
	page = map_buffer(lent.fd, 0, SIZE);
	CHECK_ALIVE(page);
	kill(lent.owner, SIGKILL);
	wait_asleep_in(lent.owner, "wait_importers");
	pid = spawn(unbind, lent.address);
	wait_asleep_in(pid, "vfio_unregister_group_dev");
	CHECK_SIGBUS(page);
	CHECK(importer_is_mapped(importer));
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	importer_unmap(importer);
	lent_kill_owner(&lent);
	CHECK_EQ(wait_end(pid, "the unbind"), 0);
	CHECK(!is_bound(lent.address));
	CHECK_ERRNO(try_importer_map(importer), ENODEV);
	CHECK_SIGBUS(page);

	vfio_pci_unbind_all();
	OK(try_rmmod("vfio_pci"));
	unmap((void *)page, SIZE);
	close(lent.fd);
	/* What is attached runs the core's code when it goes. */
	CHECK_ERRNO(try_rmmod("vfio_pci_core"), EAGAIN);
	close(importer);
	rmmod_soon("vfio_pci_core");
	CHECK_ALIVE(map_bar(dev_open("edu"), 0, 0, SIZE));
}

static const struct test_case cases[] = {
	CASE_MMAP(client_of_a_closed_device), CASE_MMAP(waits_for_the_device_fd),
	CASE_MMAP(waits_for_the_bar_mapping), CASE_MMAP(modules),
	CASE_MMAP(importer_of_a_dead_owner),
};

TEST_MAIN(cases)
