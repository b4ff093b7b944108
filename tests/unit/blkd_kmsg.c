// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines of the kernel log that are about a fault of the IOMMU, and those that are not. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"

#include "tap.h"

static void fault(const char *line, const char *device, uint64_t address, bool write)
{
	struct kmsg_fault f;

	REQUIRE(kmsg_parse(line, &f), "%s", line);
	CHECK(!strcmp(f.device, device) && f.address == address && f.write == write,
	      "is a %s of %s at 0x%llx", f.write ? "write" : "read", f.device,
	      (unsigned long long)f.address);
}

static void none(const char *line)
{
	struct kmsg_fault f;

	CHECK(!kmsg_parse(line, &f), "no fault: '%s'", line);
}

static void lines(void)
{
	/* Linux 7.3, by the emulated IOMMU of QEMU 7.2 */
	fault("DMAR: [DMA Write NO_PASID] Request device [0000:01:00.0] fault addr 0x1245000 "
	      "[fault reason 0x05] PTE Write access is not set",
	      "0000:01:00.0", 0x1245000, true);
	fault("DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0xfffffffff000 "
	      "[fault reason 0x06] PTE Read access is not set",
	      "01:00.0", 0xfffffffff000, false);
	fault("DMAR: [DMA Read PASID 0x1] Request device [0000:01:00.0] fault addr 0x1000 x",
	      "0000:01:00.0", 0x1000, false);
	/* drivers/iommu/amd/iommu.c */
	fault("vfio-pci 0000:c1:00.3: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e "
	      "address=0x1245000 flags=0x0020]",
	      "0000:c1:00.3", 0x1245000, true);
	fault("AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:c1:00.3 domain=0x000e "
	      "address=0x1245000 flags=0x0000]",
	      "0000:c1:00.3", 0x1245000, false);

	none("");
	none("DMAR: DRHD: handling fault status reg 2");
	none("DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x20 [fault reason 0x22]");
	none("DMAR: [DMA Read] Request device [01:00.0] fault addr ");
	none("DMAR: [DMA Read] Request device [01:00.0] fault addr -1");
	none("DMAR: [DMA Read] Request device [01:00.0] fault addr 0xfffffffffffffffff");
	none("DMAR: [DMA Read] Request device [01:00.0 fault addr 0x1000");
	none("DMAR: [DMA Read] Request device [] fault addr 0x1000");
	none("DMAR: [DMA Read] Request device [0000000000000001:00.0] fault addr 0x1000");
	none("DMAR: [DMA Read] fault addr 0x1000");
	none("AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0x1245000 flags=0x0020]");
	none("AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:c1:00.3 domain=0x000e]");
	none("AMD-Vi: Completion-Wait loop timed out");
	none("Request device [01:00.0] fault addr 0x1000");
}

/* What the kernel says of what a user gave it. */
static void forged(void)
{
	/* mount -t tmpfs -o TEXT in a user namespace */
	none("tmpfs: Unknown parameter 'DMAR: [DMA Write] Request device [01:00.0] fault addr "
	     "0x1000000'");
	none("tmpfs: Unknown parameter 'AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 "
	     "domain=0x000e address=0x1000000 flags=0x0020]'");
	none("tmpfs: Unknown parameter 'vfio-pci 0000:01:00.0: AMD-Vi: Event logged "
	     "[IO_PAGE_FAULT domain=0x000e address=0x1000000 flags=0x0020]'");
	/* The names of a process, 15 characters, and of its file */
	none("DMAR: [DMA Read[77]: segfault at 0 ip 1 sp 2 error 4 in x] Request device [01:00.0] "
	     "fault addr 0x1000000[1000,2000]");
	none("a 0000:01:00.0[77]: segfault at 0 ip 1 sp 2 error 4 in x: AMD-Vi: Event logged "
	     "[IO_PAGE_FAULT domain=0x000e address=0x1000000 flags=0x0020][1000,2000]");
	none("a b 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e "
	     "address=0x1000000 flags=0x0020]");
	none("DMAR: x [DMA Write] Request device [01:00.0] fault addr 0x1000");
	none("DMAR: [DMA Write] x Request device [01:00.0] fault addr 0x1000");
	none("DMAR: [DMA Write] Request device [01:00.0] x fault addr 0x1000");
}

static bool is_of(const char *device, const char *address)
{
	struct kmsg_fault f = { 0 };

	strcpy(f.device, device);
	return kmsg_is_of(&f, address);
}

static void whose(void)
{
	CHECK(is_of("0000:01:00.0", "0000:01:00.0"), "of the device, by its address");
	CHECK(is_of("01:00.0", "0000:01:00.0"), "and without the domain");
	CHECK(!is_of("01:00.1", "0000:01:00.0"), "not of another function");
	CHECK(!is_of("0001:01:00.0", "0000:01:00.0"), "not of another domain");
	CHECK(!is_of("1:00.0", "0000:21:00.0"), "not of one whose number ends so");
	CHECK(!is_of("", "0000:01:00.0"), "nothing is of nobody");
}

/* The device's records, a read each, played by a pipe of packets. */
static void records(void)
{
	static const char *const text[] = {
		"6,1,100,-;something else\n",
		"12,2,100,-;DMAR: [DMA Write] Request device [01:00.0] fault addr 0x2000 by a program\n",
		"3,3,100,-;DMAR: [DMA Write] Request device [01:00.0] fault addr 0x3000 x\n SUBSYSTEM=pci\n",
		"a line of no such form",
		"3,4,100,-;DMAR: [DMA Read] Request device [02:00.0] fault addr 0x4000 x\n",
	};
	unsigned int left = 5;
	struct kmsg_fault f;
	int fds[2];
	size_t i;

	REQUIRE(!pipe2(fds, O_NONBLOCK | O_DIRECT), "packets");
	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		if (write(fds[1], text[i], strlen(text[i])) < 0)
			break;
	REQUIRE(i == 5, "five records");
	CHECK(kmsg_next(fds[0], &f, &left) == 1 && f.address == 0x3000 && f.write,
	      "the kernel's own is found, at 0x%llx", (unsigned long long)f.address);
	CHECK(kmsg_next(fds[0], &f, &left) == 1 && f.address == 0x4000, "and the next");
	CHECK(kmsg_next(fds[0], &f, &left) == -EAGAIN, "so many lines are enough for once");
	left = 50;
	CHECK(kmsg_next(fds[0], &f, &left) == 0, "then there is none");
	fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* a page a packet */
	for (i = 0; i < 100 && write(fds[1], "6,1,1,-;x", 9) == 9; i++)
		;
	CHECK(i == 100 && kmsg_next(fds[0], &f, &left) == -EAGAIN,
	      "a flood of %zu is read in parts", i);
	left = 51;
	CHECK(kmsg_next(fds[0], &f, &left) == 0, "the rest in the next go");
	for (i = 0; i < 100 && write(fds[1], text[2], strlen(text[2])) > 0; i++)
		;
	for (left = 50, i = 0; kmsg_next(fds[0], &f, &left) == 1; i++)
		;
	CHECK(i == 50 && !left, "and one of faults, too: %zu", i);
	close(fds[0]);
	close(fds[1]);
	left = 1;
	CHECK(kmsg_next(fds[0], &f, &left) == -EBADF, "an error is told");
}

int main(void)
{
	lines();
	forged();
	whose();
	records();
	return tap_done();
}
