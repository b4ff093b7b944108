// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "sysfs.h"

/* Up to @max hexadecimal digits; how many there were. */
static size_t hex(const char **s, size_t max, unsigned long *value)
{
	size_t n;

	*value = 0;
	for (n = 0; n < max && isxdigit((unsigned char)**s); n++, (*s)++)
		*value = *value * 16 + (isdigit((unsigned char)**s) ?
						**s - '0' :
						tolower((unsigned char)**s) - 'a' + 10);
	return n;
}

int barbuf__address_parse(char *out, const char *text)
{
	unsigned long part[4] = { 0 };
	const char *s = text;
	int i = 0;

	/* With two colons the domain comes first. */
	if (strchr(s, ':') == strrchr(s, ':'))
		i = 1;
	for (; i < 4; i++) {
		static const struct {
			size_t digits;
			unsigned long max;
			char end;
		} rule[4] = {
			{ 8, UINT32_MAX, ':' }, { 2, 0xff, ':' }, { 2, 0x1f, '.' }, { 1, 7, '\0' }
		};

		if (!hex(&s, rule[i].digits, &part[i]) || part[i] > rule[i].max ||
		    *s != rule[i].end)
			return -EINVAL;
		s++;
	}
	snprintf(out, BARBUF__ADDRESS_SIZE, "%04lx:%02lx:%02lx.%lx", part[0], part[1], part[2],
		 part[3]);
	return 0;
}

int barbuf__sysfs_exists(const struct barbuf_sys *sys, const char *address)
{
	char path[BARBUF__SYSFS_PATH];
	char target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	len = sys->readlink(sys->ctx, path, target, sizeof(target));
	if (len < 0)
		return len == -ENOENT ? -ENODEV : (int)len;
	return 0;
}

int barbuf__sysfs_link(const struct barbuf_sys *sys, const char *address, const char *link,
		       char *name, size_t size)
{
	char path[BARBUF__SYSFS_PATH];
	char target[PATH_MAX];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, link);
	len = sys->readlink(sys->ctx, path, target, sizeof(target) - 1);
	if (len < 0)
		return len;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if ((size_t)snprintf(name, size, "%s", last) >= size)
		return -ENAMETOOLONG;
	return 0;
}

int barbuf__sysfs_group(const struct barbuf_sys *sys, const char *address, unsigned int *group)
{
	unsigned long n;
	char name[32];
	char *end;
	int ret;

	ret = barbuf__sysfs_link(sys, address, "iommu_group", name, sizeof(name));
	if (ret)
		return ret == -ENOENT ? -ENXIO : ret;
	if (!isdigit((unsigned char)name[0]))
		return -ENXIO;
	errno = 0;
	n = strtoul(name, &end, 10);
	if (errno || *end || n > UINT_MAX)
		return -ENXIO;
	*group = n;
	return 0;
}

int barbuf__sysfs_cdev(const struct barbuf_sys *sys, const char *address, char *name, size_t size)
{
	char path[BARBUF__SYSFS_PATH];
	struct dirent **list;
	int i, n, ret = -ENXIO;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
	n = sys->scandir(sys->ctx, path, &list);
	if (n < 0)
		return n == -ENOENT ? -ENXIO : n;
	for (i = 0; i < n; i++) {
		if (!strncmp(list[i]->d_name, "vfio", 4) && strlen(list[i]->d_name) < size) {
			strcpy(name, list[i]->d_name);
			ret = 0;
		}
		free(list[i]);
	}
	free(list);
	return ret;
}

int barbuf__read_file(const struct barbuf_sys *sys, const char *path, char *buf, size_t size)
{
	ssize_t len = 0, n;
	int fd;

	fd = sys->open(sys->ctx, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* Files of /proc and /sys give a page at a time at most. */
	do {
		n = sys->pread(sys->ctx, fd, buf + len, size - 1 - len, len);
		len += n > 0 ? n : 0;
	} while (n > 0 && (size_t)len < size - 1);
	barbuf__close(sys, fd);
	if (n < 0)
		return n;
	buf[len] = '\0';
	return len;
}
