// SPDX-License-Identifier: GPL-2.0-only
/*
 * Close of the device: a mapping through the device fd keeps the device open, a
 * buffer does not; when the device does close, every buffer of it is dead.
 */
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define SIZE (16 * PAGE)

static void can_be_opened(const char *model)
{
	struct dev *dev = try_dev_open(model);

	CHECK_MSG(dev, "%s can't be opened: %s", model, strerror_name(errno));
	dev_close(dev);
}

static void is_still_open(const char *model)
{
	struct dev *dev = try_dev_open(model);

	CHECK_MSG(!dev, "%s was opened a second time", model);
	CHECK_EQ(errno, EBUSY);
}

/* No fd is left: the last mapping of the BAR is what keeps the device. */
static void bar_mapping_holds(const char *model, unsigned int bar)
{
	struct dev *dev = dev_open(model);
	volatile char *p, *q;
	uint32_t value;

	p = map_bar(dev, bar, 0, 2 * PAGE);
	q = map_bar(dev, bar, PAGE, PAGE);
	value = read32(p);
	dev_close(dev);
	is_still_open(model);
	CHECK_EQ(read32(p), value);
	CHECK_EQ(read32(p + PAGE), read32(q));	/* faults for the first time */
	unmap((void *)p, 2 * PAGE);
	is_still_open(model);
	CHECK_ALIVE(q);
	unmap((void *)q, PAGE);
	can_be_opened(model);
}

static void bar_0_mapping_holds_the_device(void)
{
	bar_mapping_holds("edu", 0);
}

static void bar_2_mapping_holds_the_device(void)
{
	bar_mapping_holds("nvme", 2);
}

struct holder {
	volatile char *p;
	volatile int *go;
};

static int hold(void *arg)
{
	struct holder *h = arg;

	CHECK_ALIVE(h->p);
	wait_for(h->go, "the parent");
	CHECK_ALIVE(h->p + PAGE);
	return 0;
}

/* The last mapping is one that a fork made. */
static void forked_mapping_holds_the_device(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct holder h = { .p = map_bar(dev, 2, 0, SIZE) };
	pid_t pid;

	h.go = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK_ALIVE(h.p);
	/* The child gets the mapping, but none of the fds. */
	pid = fork();
	if (pid == 0) {
		dev_close(dev);
		_exit(hold(&h));
	}
	unmap((void *)h.p, SIZE);
	dev_close(dev);
	is_still_open("ivshmem");
	*h.go = 1;
	join(pid);
	can_be_opened("ivshmem");
}

/* Cut in three, the middle unmapped: each of the rest holds it. */
static void split_mapping_holds_the_device(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *p = map_bar(dev, 2, MIB(2), 3 * PAGE);

	dev_close(dev);
	unmap((void *)(p + PAGE), PAGE);
	CHECK_ALIVE(p);
	CHECK_ALIVE(p + 2 * PAGE);
	unmap((void *)p, PAGE);
	is_still_open("ivshmem");
	CHECK_ALIVE(p + 2 * PAGE);
	unmap((void *)(p + 2 * PAGE), PAGE);
	can_be_opened("ivshmem");
}

/* Many mappings of all BARs, made and gone: the device closes at once. */
static void no_mapping_is_forgotten(void)
{
	struct dev *dev = dev_open("bochs");
	volatile char *p[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = map_bar(dev, i % 2 * 2, 0, PAGE);
		CHECK_ALIVE(p[i]);
	}
	for (i = 0; i < ARRAY_SIZE(p); i++)
		unmap((void *)p[i], PAGE);
	dev_close(dev);
	can_be_opened("bochs");
}

/* A buffer, its fd and its mapping keep nothing. */
static void buffer_does_not_hold_the_device(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *touched, *untouched;
	int fd;

	fd = export_range(dev, 2, 0, SIZE);
	touched = map_buffer(fd, 0, SIZE);
	untouched = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(touched);
	dev_close(dev);
	CHECK_SIGBUS(touched);
	CHECK_SIGBUS(untouched);
	can_be_opened("ivshmem");

	/* The next owner's buffers are others; the old one stays dead. */
	dev = dev_open("ivshmem");
	CHECK_ALIVE(map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE));
	CHECK_SIGBUS(touched);
	CHECK_SIGBUS(untouched);
	unmap((void *)touched, SIZE);
	close(fd);
	CHECK_SIGBUS(untouched);
}

/* Both kinds at once: a BAR mapping keeps the device, and so the buffers, alive. */
static void both_kinds(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *bar, *buffer;
	int fd;

	fd = export_range(dev, 2, 0, SIZE);
	bar = map_bar(dev, 2, 0, SIZE);
	buffer = map_buffer(fd, 0, SIZE);
	write32(bar + PAGE, 0xb0b);
	dev_close(dev);
	is_still_open("ivshmem");
	CHECK_EQ(read32(buffer + PAGE), 0xb0b);
	write32(buffer + 2 * PAGE, 0xa11ce);
	CHECK_EQ(read32(bar + 2 * PAGE), 0xa11ce);
	unmap((void *)bar, SIZE);
	CHECK_SIGBUS(buffer + PAGE);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	can_be_opened("ivshmem");
}

/* A dup of the device fd is the device file too. */
static void dup_of_the_device_fd(void)
{
	struct dev *dev = dev_open("ivshmem");
	int copy = OK(dup(dev->fd)), fd;
	volatile char *p;

	fd = export_range(dev, 2, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	dev_close(dev);
	CHECK_ALIVE(p);
	is_still_open("ivshmem");
	close(copy);
	CHECK_SIGBUS(p);
	can_be_opened("ivshmem");
}

/* Trap 7: suspended first, closed then. Counted down twice, it would hang here. */
static void with_decode_off(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *p;
	int fd, untouched;

	fd = export_range(dev, 2, 0, SIZE);
	untouched = export_range(dev, 2, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	CHECK_ALIVE(p);
	memory_decode(dev, false);
	dev_close(dev);
	CHECK_SIGBUS(p);
	close(untouched);
	can_be_opened("ivshmem");
	CHECK_SIGBUS(p);
}

static void with_decode_off_and_bar_mapped(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *p, *bar;

	p = map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE);
	bar = map_bar(dev, 2, 0, SIZE);
	CHECK_ALIVE(bar);
	memory_decode(dev, false);
	dev_close(dev);
	CHECK_SIGBUS(bar);
	CHECK_SIGBUS(p);
	is_still_open("ivshmem");
	unmap((void *)bar, SIZE);
	CHECK_SIGBUS(p);
	can_be_opened("ivshmem");
}

static void in_d3hot(void)
{
	struct dev *dev = dev_open("nvme");
	unsigned int pm = config_capability(dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	volatile char *p;

	p = map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE);
	CHECK_ALIVE(p);
	config_write16(dev, pm, config_read16(dev, pm) | 3);
	dev_close(dev);
	CHECK_SIGBUS(p);
	can_be_opened("nvme");
}

static void in_low_power_with_wakeup(void)
{
	struct dev *dev = dev_open("nvme");
	volatile char *p;

	p = map_buffer(export_range(dev, 2, 0, SIZE), 0, SIZE);
	CHECK_ALIVE(p);
	OK(try_low_power_enter(dev, OK(eventfd(0, EFD_CLOEXEC))));
	CHECK(wait_runtime_suspended(dev, 10000));
	dev_close(dev);
	CHECK_SIGBUS(p);
	can_be_opened("nvme");
}

/* Revoked buffers are still the device's to let go of. */
static void with_revoked_buffers(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fds[16];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = export_range(dev, 2, i * PAGE, PAGE);
		if (i % 2)
			CHECK_ALIVE(map_buffer(fds[i], 0, PAGE));
		if (i % 3 == 0)
			revoke_buffer(dev, fds[i]);
		if (i % 5 == 0)
			close(fds[i]);
	}
	dev_close(dev);
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (i % 5)
			close(fds[i]);
	}
	can_be_opened("ivshmem");
}

/* The owner dies without a word while its client is at work. */
struct orphan {
	int sock[2];
};

static int owner(void *arg)
{
	struct orphan *o = arg;
	struct dev *dev = dev_open("ivshmem");
	char msg;
	size_t len;

	CHECK(barbuf_message_send(o->sock[0], "b", 1, export_range(dev, 2, 0, SIZE)) == 0);
	CHECK(barbuf_message_recv(o->sock[0], &msg, 1, &len, NULL) == 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static void owner_killed(void)
{
	struct orphan o;
	volatile char *p;
	size_t len;
	char msg;
	int fd, i;
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, o.sock));
	pid = fork();
	if (pid == 0)
		_exit(owner(&o));
	CHECK(barbuf_message_recv(o.sock[1], &msg, 1, &len, &fd) == 0 && fd >= 0);
	p = map_buffer(fd, 0, SIZE);
	for (i = 0; i < 16; i++)
		CHECK_ALIVE(p + i * PAGE);
	CHECK(barbuf_message_send(o.sock[1], "k", 1, -1) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	for (i = 0; i < 16; i++)
		CHECK_SIGBUS(p + i * PAGE);
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	can_be_opened("ivshmem");
}

static const struct test_case cases[] = {
	CASE(bar_0_mapping_holds_the_device),
	CASE(bar_2_mapping_holds_the_device),
	CASE(forked_mapping_holds_the_device),
	CASE(split_mapping_holds_the_device),
	CASE(no_mapping_is_forgotten),
	CASE_MMAP(buffer_does_not_hold_the_device),
	CASE_MMAP(both_kinds),
	CASE_MMAP(dup_of_the_device_fd),
	CASE_MMAP(with_decode_off),
	CASE_MMAP(with_decode_off_and_bar_mapped),
	CASE_MMAP(in_d3hot),
	CASE_MMAP(in_low_power_with_wakeup),
	CASE_MMAP(with_revoked_buffers),
	CASE_MMAP(owner_killed),
};

TEST_MAIN(cases)
