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

/* What is behind @prefix, NULL: it does not begin so. Nothing is behind NULL. */
static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text && !strncmp(text, prefix, len) ? text + len : NULL;
}

/* Copies a PCI address. What is behind it, or NULL. */
static const char *take_device(struct kmsg_fault *f, const char *from)
{
	size_t len;

	if (!from)
		return NULL;
	len = strspn(from, "0123456789abcdef:");
	/* ".3", the function. */
	if (!len || from[len] != '.' || strspn(from + len + 1, "01234567") != 1 ||
	    len + 2 >= sizeof(f->device))
		return NULL;
	memcpy(f->device, from, len + 2);
	f->device[len + 2] = '\0';
	return from + len + 2;
}

/* Reads "0x12ab". What is behind it, or NULL. */
static const char *take_number(uint64_t *value, const char *from)
{
	char *end;

	/* strtoull() would take spaces and signs. */
	if (!after(from, "0x") || !strspn(from + 2, "0123456789abcdef"))
		return NULL;
	errno = 0;
	*value = strtoull(from, &end, 16);
	return errno ? NULL : end;
}

/* [DMA Read NO_PASID] Request device [01:00.0] fault addr 0xffff0000 [fault reason 0x06] ...
 * also with " PASID 0x1", or neither. */
static bool parse_intel(const char *text, struct kmsg_fault *f)
{
	const char *access = after(text, "[DMA Read"), *rest;
	uint64_t pasid;

	if (!access) {
		access = after(text, "[DMA Write");
		f->write = true;
	}
	rest = after(access, " NO_PASID");
	if (!rest)
		rest = take_number(&pasid, after(access, " PASID "));
	rest = take_device(f, after(rest ? rest : access, "] Request device ["));
	return take_number(&f->address, after(rest, "] fault addr "));
}

/* Event logged [IO_PAGE_FAULT domain=0x000e address=0x... flags=0x0020]
 * and with "device=0000:01:00.0 " before the domain where that is not known yet. */
static bool parse_amd(const char *text, struct kmsg_fault *f)
{
	const char *rest = after(text, "Event logged [IO_PAGE_FAULT ");
	uint64_t domain, flags;

	if (!*f->device)
		rest = after(take_device(f, after(rest, "device=")), " ");
	rest = take_number(&domain, after(rest, "domain="));
	rest = take_number(&f->address, after(rest, " address="));
	if (!take_number(&flags, after(rest, " flags=")))
		return false;
	/* EVENT_FLAG_RW of the driver */
	f->write = flags & 0x20;
	return true;
}

/*
 * All of it from the beginning of the line: other messages of the kernel quote what a user
 * said, such as the name of a process, a file, or an option of mount(2) in a user namespace.
 */
bool kmsg_parse(const char *line, struct kmsg_fault *f)
{
	const char *text;

	*f = (struct kmsg_fault){ 0 };
	text = after(line, "DMAR: ");
	if (text)
		return parse_intel(text, f);
	text = after(line, "AMD-Vi: ");
	if (!text) {
		/* Of a device with a driver: "vfio-pci 0000:01:00.0: AMD-Vi: ". */
		text = after(line + strcspn(line, " "), " ");
		text = after(take_device(f, text), ": AMD-Vi: ");
	}
	return parse_amd(text, f);
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

int kmsg_next(int fd, struct kmsg_fault *f, unsigned int *lines)
{
	char record[RECORD_MAX + 1];
	const char *text;
	ssize_t n;

	for (; *lines; --*lines) {
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
		if (text && strtoul(record, NULL, 10) < 8 && kmsg_parse(text + 1, f)) {
			--*lines;
			return 1;
		}
	}
	return -EAGAIN;
}
