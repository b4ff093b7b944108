// SPDX-License-Identifier: GPL-2.0-only
/*
 * An error that the PCI core recovers from (AER). VFIO hears of it twice, when the
 * channel freezes and when it is over, and nothing reaches a BAR in between. The
 * error is put in by aer_inject, a module of Linux. The debug kernel has none: it
 * takes a spinlock under a raw one, which lockdep reports.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leaf.h"

/* Linux, drivers/pci/pcie/aer_inject.c: what /dev/aer_inject takes. */
struct aer_error_inj {
	uint8_t bus, dev, fn;
	uint32_t uncor_status, cor_status, header_log[4], domain;
};

static void inject(const struct dev *dev, uint32_t uncorrectable)
{
	struct aer_error_inj error = { .uncor_status = uncorrectable };
	unsigned int domain, bus, slot, fn;
	int fd;

	if (access("/dev/aer_inject", F_OK) && system("modprobe aer_inject"))
		SKIP("this kernel has no module aer_inject");
	CHECK(sscanf(dev->address, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) == 4);
	error.domain = domain;
	error.bus = bus;
	error.dev = slot;
	error.fn = fn;
	fd = OK(open("/dev/aer_inject", O_WRONLY | O_CLOEXEC));
	CHECK_EQ(write(fd, &error, sizeof(error)), sizeof(error));
	close(fd);
}

static bool wait_unmapped(const volatile void *p)
{
	uint64_t end = now_ns() + 20000000000ull;

	while (now_ns() < end) {
		if (!is_mapped(p))
			return true;
		sleep_ms(1);
	}
	return false;
}

/* The kernel's log from here on. */
static int open_log(void)
{
	int fd = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));

	CHECK(lseek(fd, 0, SEEK_END) == 0);
	return fd;
}

/* Returns when the PCI core has resumed all drivers below the port. */
static void wait_recovered(int log)
{
	uint64_t end = now_ns() + 20000000000ull;
	char line[1024];
	ssize_t n;

	for (;;) {
		n = read(log, line, sizeof(line) - 1);
		if (n > 0) {
			line[n] = '\0';
			if (strstr(line, "device recovery successful"))
				break;
			continue;
		}
		CHECK_MSG(now_ns() < end, "not recovered 20 s after the error");
		sleep_ms(1);
	}
	close(log);
}

static void fatal(void)
{
	struct dev *dev = dev_open("aer");
	volatile void *bar = map_bar(dev, 0, 0, PAGE);
	volatile void *buffer;
	int fd, log;

	fd = export_range(dev, 0, 0, PAGE);
	buffer = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(buffer);
	log = open_log();
	inject(dev, PCI_ERR_UNC_DLP);
	CHECK(wait_unmapped(bar));
	CHECK(wait_unmapped(buffer));
	wait_recovered(log);
	/*
	 * The link was reset and nobody restored the device: what its user has written to
	 * the command register is not what the device has. The user's next write restores it.
	 */
	CHECK_SIGBUS(bar);
	CHECK_SIGBUS(buffer);
	memory_decode(dev, true);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(buffer);
	CHECK(read32((volatile char *)bar + 8) != UINT32_MAX);
	/* The next user does not see what the reset did to the device. */
	unmap((void *)bar, PAGE);
	dev_close(dev);
	CHECK_SIGBUS(buffer);
	close(fd);
	dev = dev_open("aer");
	bar = map_bar(dev, 0, 0, PAGE);
	CHECK_ALIVE(bar);
	CHECK(read32((volatile char *)bar + 8) != UINT32_MAX);
}

/* An error that needs no reset takes nothing away. */
static void not_fatal(void)
{
	struct dev *dev = dev_open("aer");
	volatile void *bar = map_bar(dev, 0, 0, PAGE);
	unsigned int i;

	CHECK_ALIVE(bar);
	inject(dev, PCI_ERR_UNC_COMP_TIME);
	for (i = 0; i < 100; i++) {
		CHECK(is_mapped(bar));
		sleep_ms(10);
	}
}

static const struct test_case cases[] = {
	CASE_MMAP(fatal, .seconds = 60),
	CASE_MMAP(not_fatal, .seconds = 60),
};

TEST_MAIN(cases)
