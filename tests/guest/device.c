// SPDX-License-Identifier: GPL-2.0-only
/* The device under test: binding, buffers, configuration space, access. */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

/* Devices -------------------------------------------------------------------*/

/* Where what vfio-bind said is kept: under a slow kernel it takes seconds to run. */
#define BIND_CACHE "/tmp/barbuf-tests.%s"

static bool is_bound(const char *address)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", address);
	return access(path, F_OK) == 0;
}

bool dev_bind(const char *model, char address[32], int *group)
{
	char path[64], command[64], said[128];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), BIND_CACHE, model);
	read_file(path, said, sizeof(said));
	if (sscanf(said, "%31s %d", address, group) == 2 && is_bound(address))
		return true;

	snprintf(command, sizeof(command), "vfio-bind %s 2>&1", model);
	f = popen(command, "r");
	if (!f)
		FAIL("%s: %s", command, strerror_name(errno));
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	if (pclose(f) != 0 || sscanf(said, "%31s %d", address, group) != 2) {
		note("vfio-bind %s: %s", model, said);
		return false;
	}
	f = fopen(path, "we");
	if (f) {
		fputs(said, f);
		fclose(f);
	}
	return true;
}

const char *dev_bound(const char *model)
{
	static char address[4][32];
	static unsigned int next;
	char *a = address[next++ % 4];
	int group;

	if (!dev_bind(model, a, &group))
		SKIP("this lab has no %s", model);
	return a;
}

const char *dev_some(void)
{
	char text[4096];

	read_file("/lab/run/devices", text, sizeof(text));
	return strncmp(text, "edu ", 4) == 0 || strstr(text, "\nedu ") ? "edu" : "nvme";
}

void need_iommufd(void)
{
	/* Its module comes with vfio-pci's. */
	dev_bound(dev_some());
	if (access("/dev/iommu", F_OK))
		SKIP("this kernel has no iommufd");
}

static void fill_in(struct dev *dev)
{
	unsigned int i;

	dev->fd = barbuf_device_fd(dev->lib);
	dev->address = barbuf_device_address(dev->lib);
	for (i = 0; i < ARRAY_SIZE(dev->region); i++) {
		/* The VGA region is refused on most devices. */
		if (barbuf_device_get_region(dev->lib, i, &dev->region[i]))
			dev->region[i] = (struct barbuf_region){ .index = i };
	}
}

static struct dev *open_device(struct barbuf_container *container, const char *model, bool must)
{
	char address[32];
	struct dev *dev;
	int group, ret;

	if (!dev_bind(model, address, &group))
		SKIP("this lab has no %s", model);

	dev = calloc(1, sizeof(*dev));
	CHECK(dev);
	dev->model = model;
	/* What is tested is the driver: the same interface on every kernel. */
	ret = container ? 0 : barbuf_container_new(&dev->container, BARBUF_IOMMU_TYPE1);
	if (!ret)
		ret = barbuf_device_open(&dev->lib, container ? container : dev->container,
					 address);
	if (ret) {
		if (must)
			FAIL("open of %s (%s): %s", model, address, strerror_name(-ret));
		barbuf_container_free(dev->container);
		free(dev);
		errno = -ret;
		return NULL;
	}
	fill_in(dev);
	return dev;
}

struct dev *dev_adopt(const char *model, int fd)
{
	struct dev *dev = calloc(1, sizeof(*dev));
	int ret;

	CHECK(dev);
	dev->model = model;
	ret = barbuf_device_adopt(&dev->lib, fd);
	if (ret)
		FAIL("adoption of %s: %s", model, strerror_name(-ret));
	fill_in(dev);
	return dev;
}

struct dev *dev_open(const char *model)
{
	return open_device(NULL, model, true);
}

struct dev *dev_open_in(struct barbuf_container *container, const char *model)
{
	return open_device(container, model, true);
}

struct dev *try_dev_open(const char *model)
{
	return open_device(NULL, model, false);
}

void dev_close(struct dev *dev)
{
	barbuf_device_close(dev->lib);
	barbuf_container_free(dev->container);
	free(dev);
}

int dev_request_eventfd(const struct dev *dev)
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

static int as_errno(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int try_feature(int fd, uint32_t flags, void *data, size_t size)
{
	struct vfio_device_feature *arg;
	int ret, err;

	arg = malloc(sizeof(*arg) + size);
	CHECK(arg);
	arg->argsz = sizeof(*arg) + size;
	arg->flags = flags;
	if (size)
		memcpy(arg->data, data, size);
	ret = ioctl(fd, VFIO_DEVICE_FEATURE, arg);
	err = errno;
	if (size)
		memcpy(data, arg->data, size);
	free(arg);
	errno = err;
	return ret;
}

int try_export(const struct dev *dev, unsigned int bar, int open_flags, const range_t *ranges,
	       size_t nr)
{
	return as_errno(barbuf_device_export(dev->lib, bar, ranges, nr, open_flags));
}

int export_ranges(const struct dev *dev, unsigned int bar, const range_t *ranges, size_t nr)
{
	int fd = try_export(dev, bar, O_RDWR | O_CLOEXEC, ranges, nr);

	if (fd < 0)
		FAIL("export of %zu ranges of %s BAR %u: %s", nr, dev->model, bar,
		     strerror_name(errno));
	return fd;
}

int export_range(const struct dev *dev, unsigned int bar, uint64_t offset, uint64_t length)
{
	range_t range = { .offset = offset, .length = length };

	return export_ranges(dev, bar, &range, 1);
}

int try_revoke(const struct dev *dev, int dmabuf_fd)
{
	return as_errno(barbuf_device_revoke(dev->lib, dmabuf_fd));
}

void revoke_buffer(const struct dev *dev, int dmabuf_fd)
{
	if (try_revoke(dev, dmabuf_fd))
		FAIL("revoke: %s", strerror_name(errno));
}

void *try_map(int fd, uint64_t offset, size_t size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

void *map_buffer(int dmabuf_fd, uint64_t offset, size_t size)
{
	void *p = try_map(dmabuf_fd, offset, size, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (!p)
		FAIL("mmap of %zu bytes at 0x%llx: %s", size, (unsigned long long)offset,
		     strerror_name(errno));
	return p;
}

uint64_t bar_offset(const struct dev *dev, unsigned int bar, uint64_t offset)
{
	return dev->region[bar].offset + offset;
}

void *map_bar(const struct dev *dev, unsigned int bar, uint64_t offset, size_t size)
{
	return map_buffer(dev->fd, bar_offset(dev, bar, offset), size);
}

void *map_aligned(int fd, uint64_t offset, size_t size, size_t align, size_t skew)
{
	size_t room = size + 2 * align;
	uintptr_t start;
	char *area;
	void *p;

	area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area != MAP_FAILED);
	start = ((uintptr_t)area + align - 1) / align * align + skew;
	p = mmap((void *)start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
	if (p == MAP_FAILED)
		FAIL("mmap of %zu bytes at 0x%llx: %s", size, (unsigned long long)offset,
		     strerror_name(errno));
	return p;
}

void unmap(void *p, size_t size)
{
	CHECK(munmap(p, size) == 0);
}

/* Config space --------------------------------------------------------------*/

static void config_get(const struct dev *dev, unsigned int pos, void *value, size_t size)
{
	int ret = barbuf_config_read(dev->lib, pos, value, size);

	if (ret)
		FAIL("config read at 0x%x: %s", pos, strerror_name(-ret));
}

uint8_t config_read8(const struct dev *dev, unsigned int pos)
{
	uint8_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

uint16_t config_read16(const struct dev *dev, unsigned int pos)
{
	uint16_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

uint32_t config_read32(const struct dev *dev, unsigned int pos)
{
	uint32_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

void config_write16(const struct dev *dev, unsigned int pos, uint16_t value)
{
	int ret = barbuf_config_write(dev->lib, pos, &value, sizeof(value));

	if (ret)
		FAIL("config write at 0x%x: %s", pos, strerror_name(-ret));
}

unsigned int config_capability(const struct dev *dev, uint8_t id)
{
	unsigned int pos, n;

	if (!(config_read16(dev, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	pos = config_read8(dev, PCI_CAPABILITY_LIST);
	for (n = 0; pos >= PCI_STD_HEADER_SIZEOF && n < 48; n++) {
		if (config_read8(dev, pos + PCI_CAP_LIST_ID) == id)
			return pos;
		pos = config_read8(dev, pos + PCI_CAP_LIST_NEXT);
	}
	return 0;
}

void memory_decode(const struct dev *dev, bool on)
{
	uint16_t command = config_read16(dev, PCI_COMMAND);

	if (on)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	config_write16(dev, PCI_COMMAND, command);
}

int try_reset(const struct dev *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET);
}

int try_low_power_enter(const struct dev *dev, int eventfd)
{
	return as_errno(barbuf_low_power_enter(dev->lib, eventfd));
}

int try_low_power_exit(const struct dev *dev)
{
	return as_errno(barbuf_low_power_exit(dev->lib));
}

bool wait_runtime_suspended(const struct dev *dev, unsigned int msec)
{
	uint64_t end = now_ns() + msec * 1000000ull;
	char path[96], state[32];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status",
		 dev->address);
	while (strcmp(read_file(path, state, sizeof(state)), "suspended") != 0) {
		if (now_ns() > end) {
			note("%s is %s", path, state);
			return false;
		}
		sleep_ms(5);
	}
	return true;
}

/* Faults --------------------------------------------------------------------*/

int peek32(const volatile void *p, uint32_t *value)
{
	return barbuf_read32(p, value) ? SIGBUS : 0;
}

int poke32(volatile void *p, uint32_t value)
{
	return barbuf_write32(p, value) ? SIGBUS : 0;
}

uint32_t read32(const volatile void *p)
{
	uint32_t value;

	if (peek32(p, &value))
		FAIL("read got SIGBUS");
	return value;
}

void write32(volatile void *p, uint32_t value)
{
	if (poke32(p, value))
		FAIL("write got SIGBUS");
}

int touch(const volatile void *p)
{
	uint32_t value;

	return peek32(p, &value);
}

long thread_faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_minflt + usage.ru_majflt;
}

long walk_faults(const volatile void *p, size_t size, size_t step)
{
	const volatile char *c = p;
	long before;
	size_t i;

	before = thread_faults();
	for (i = 0; i < size; i += step)
		(void)*(const volatile uint32_t *)(c + i);
	return thread_faults() - before;
}
