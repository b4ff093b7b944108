// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers and mappings against the end of the driver: unbind waits for the
 * device to be closed and for nothing else, and no client can make a module go
 * away under a mapping, or keep a device from its next driver.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

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

static int request_eventfd(const struct dev *dev)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} arg = {
		.set = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
	};

	arg.fd = OK(eventfd(0, EFD_CLOEXEC));
	OK(ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &arg));
	return arg.fd;
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
	asked.fd = request_eventfd(dev);
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

static int try_rmmod(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK);
}

static bool is_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	return access(path, F_OK) == 0;
}

/* Every device that vfio-pci drives loses it. */
static void unbind_all(void)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/sys/bus/pci/drivers/vfio-pci");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (strchr(entry->d_name, ':'))
			join(spawn(unbind, entry->d_name));
	}
	closedir(dir);
}

/*
 * The driver's module can go while a client holds a buffer. The core's, which
 * has the code that its mapping runs, can't, until the client lets go.
 */
static void modules(void)
{
	struct dev *dev;
	volatile void *p;
	int fd, i;

	dev = dev_open("edu");
	if (!is_loaded("vfio_pci") || !is_loaded("vfio_pci_core"))
		SKIP("vfio-pci is not a module in this kernel");
	fd = export_range(dev, 0, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(p);
	CHECK_ERRNO(try_rmmod("vfio_pci"), EAGAIN);
	dev_close(dev);
	unbind_all();
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
	for (i = 0; i < 100 && try_rmmod("vfio_pci_core"); i++)
		sleep_ms(20);
	CHECK(!is_loaded("vfio_pci_core"));

	/* All of it comes again. */
	dev = dev_open("edu");
	CHECK_ALIVE(map_buffer(export_range(dev, 0, 0, SIZE), 0, SIZE));
}

static const struct test_case cases[] = {
	CASE_MMAP(client_of_a_closed_device),
	CASE_MMAP(waits_for_the_device_fd),
	CASE_MMAP(waits_for_the_bar_mapping),
	CASE_MMAP(modules),
};

TEST_MAIN(cases)
