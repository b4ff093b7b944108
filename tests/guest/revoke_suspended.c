// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer that is revoked while its device is suspended stays revoked when the
 * device comes back, and only that one.
 */
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define SIZE (4 * PAGE)

struct pair {
	int gone_fd, kept_fd;
	volatile void *gone, *kept;
};

static struct pair make_pair(const struct dev *dev)
{
	struct pair p;

	p.gone_fd = export_range(dev, 2, 0, SIZE);
	p.kept_fd = export_range(dev, 2, 0, SIZE);
	p.gone = map_buffer(p.gone_fd, 0, SIZE);
	p.kept = map_buffer(p.kept_fd, 0, SIZE);
	CHECK_ALIVE(p.gone);
	CHECK_ALIVE(p.kept);
	return p;
}

static void revoke_one(const struct dev *dev, const struct pair *p)
{
	CHECK_SIGBUS(p->gone);
	CHECK_SIGBUS(p->kept);
	revoke_buffer(dev, p->gone_fd);
	CHECK_ERRNO(try_revoke(dev, p->gone_fd), EBADFD);
	CHECK_SIGBUS(p->gone);
	CHECK_SIGBUS(p->kept);
	CHECK(!try_map(p->gone_fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
	CHECK(try_map(p->kept_fd, 0, PAGE, PROT_READ, MAP_SHARED));
}

static void only_one_is_back(const struct dev *dev, const struct pair *p)
{
	CHECK_SIGBUS(p->gone);
	CHECK_ALIVE(p->kept);
	CHECK_ERRNO(try_revoke(dev, p->gone_fd), EBADFD);
	CHECK(!try_map(p->gone_fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, ENODEV);
}

static void memory_decode_off(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct pair p = make_pair(dev);

	memory_decode(dev, false);
	revoke_one(dev, &p);
	memory_decode(dev, true);
	only_one_is_back(dev, &p);
	/* Nor does any later round bring it back. */
	memory_decode(dev, false);
	memory_decode(dev, true);
	only_one_is_back(dev, &p);
}

static void low_power(void)
{
	struct dev *dev = dev_open("nvme");
	struct pair p = make_pair(dev);

	OK(try_low_power_enter(dev, -1));
	revoke_one(dev, &p);
	OK(try_low_power_exit(dev));
	only_one_is_back(dev, &p);
}

static void d3hot(void)
{
	struct dev *dev = dev_open("nvme");
	struct pair p = make_pair(dev);
	unsigned int pm = config_capability(dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	uint16_t pmcsr = config_read16(dev, pm) & ~PCI_PM_CTRL_STATE_MASK;

	config_write16(dev, pm, pmcsr | 3);
	revoke_one(dev, &p);
	config_write16(dev, pm, pmcsr);
	only_one_is_back(dev, &p);
}

/* Revoked while live: no transition of the device undoes it. */
static void transitions_after_a_revoke(void)
{
	struct dev *dev = dev_open("nvme");
	struct pair p = make_pair(dev);

	revoke_buffer(dev, p.gone_fd);
	OK(try_reset(dev));
	only_one_is_back(dev, &p);
	memory_decode(dev, false);
	memory_decode(dev, true);
	only_one_is_back(dev, &p);
	OK(try_low_power_enter(dev, -1));
	OK(try_low_power_exit(dev));
	only_one_is_back(dev, &p);
}

/* Made, mapped and revoked without the device ever having been there. */
static void never_alive(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile void *p;
	int fd;

	memory_decode(dev, false);
	fd = export_range(dev, 2, 0, SIZE);
	p = map_buffer(fd, 0, SIZE);
	revoke_buffer(dev, fd);
	memory_decode(dev, true);
	CHECK_SIGBUS(p);
}

static void closed_while_suspended(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct pair p = make_pair(dev);

	memory_decode(dev, false);
	revoke_buffer(dev, p.gone_fd);
	dev_close(dev);
	CHECK_SIGBUS(p.gone);
	CHECK_SIGBUS(p.kept);
	dev = dev_open("ivshmem");
	CHECK_SIGBUS(p.gone);
	CHECK_SIGBUS(p.kept);
	CHECK_ERRNO(try_revoke(dev, p.kept_fd), ENODEV);
}

static const struct test_case cases[] = {
	CASE_MMAP(memory_decode_off),
	CASE_MMAP(low_power),
	CASE_MMAP(d3hot),
	CASE_MMAP(transitions_after_a_revoke),
	CASE_MMAP(never_alive),
	CASE_MMAP(closed_while_suspended),
};

TEST_MAIN(cases)
