// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"

/* No kernel has handed out longer records. */
#define RECORD_MAX 8192
/* Lines looked at in one go, so that a flood of them does not keep us from all else. */
#define LINES_AT_ONCE 64

/* Copies a PCI address, up to @end. */
static bool copy_device(struct kmsg_fault *f, const char *from, char end)
{
	size_t len = strspn(from, "0123456789abcdef:.");

	if (!len || len >= sizeof(f->device) || from[len] != end)
		return false;
	memcpy(f->device, from, len);
	f->device[len] = '\0';
	return true;
}

static bool copy_address(struct kmsg_fault *f, const char *from)
{
	char *end;

	/* strtoull() would take spaces and signs. */
	if (strncmp(from, "0x", 2) || !strspn(from + 2, "0123456789abcdef"))
		return false;
	errno = 0;
	f->address = strtoull(from, &end, 16);
	return !errno;
}

/* DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0xffff0000 [fault reason 0x06] ... */
static bool parse_intel(const char *line, struct kmsg_fault *f)
{
	const char *device = strstr(line, "Request device [");
	const char *address = strstr(line, "fault addr ");

	f->write = strstr(line, "[DMA Write");
	if (!f->write && !strstr(line, "[DMA Read"))
		return false;
	return device && address && copy_device(f, device + strlen("Request device ["), ']') &&
	       copy_address(f, address + strlen("fault addr "));
}

/* vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0x... flags=0x0020]
 * and without a driver: AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=... */
static bool parse_amd(const char *line, struct kmsg_fault *f)
{
	const char *event = strstr(line, "[IO_PAGE_FAULT ");
	const char *device, *address, *flags, *vi;

	if (!event)
		return false;
	device = strstr(event, "device=");
	address = strstr(event, "address=");
	flags = strstr(event, "flags=");
	/* EVENT_FLAG_RW of the driver is bit 5. */
	f->write = flags && strtoul(flags + strlen("flags="), NULL, 16) & 0x20;
	if (!address || !copy_address(f, address + strlen("address=")))
		return false;
	if (device)
		return copy_device(f, device + strlen("device="), ' ');
	vi = strstr(line, ": AMD-Vi");
	if (!vi)
		return false;
	for (device = vi; device > line && device[-1] != ' '; device--)
		;
	snprintf(f->device, sizeof(f->device), "%.*s", (int)(vi - device), device);
	return *f->device;
}

bool kmsg_parse(const char *line, struct kmsg_fault *f)
{
	*f = (struct kmsg_fault){ 0 };
	if (strstr(line, "DMAR: "))
		return parse_intel(line, f);
	if (strstr(line, "AMD-Vi: "))
		return parse_amd(line, f);
	return false;
}

bool kmsg_is_of(const struct kmsg_fault *f, const char *address)
{
	size_t a = strlen(address), d = strlen(f->device);

	/* Intel's driver leaves the domain out. */
	return !strcmp(f->device, address) ||
	       (a > d && d && address[a - d - 1] == ':' && !strcmp(address + a - d, f->device));
}

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (lseek(fd, 0, SEEK_END) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

int kmsg_next(int fd, struct kmsg_fault *f)
{
	char record[RECORD_MAX + 1];
	int tries = LINES_AT_ONCE;
	const char *text;
	ssize_t n;

	while (tries--) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EAGAIN)
			return 0;
		/* EPIPE: lines were overwritten before we came. Only what was lost is lost. */
		if (n < 0 && errno != EPIPE && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		record[n] = '\0';
		/* "level and facility,number,time,flags;text", by a program or by the kernel. */
		text = strchr(record, ';');
		if (text && strtoul(record, NULL, 10) < 8 && kmsg_parse(text + 1, f))
			return 1;
	}
	return -EAGAIN;
}
