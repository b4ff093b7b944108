// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "in_use.h"

struct look {
	const char *root;
	const struct pci_function *f;
	char *why;
	size_t size;
};

/* True, as what is said is why. */
__attribute__((format(printf, 2, 3))) static bool say(const struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, l->size, fmt, ap);
	va_end(ap);
	return true;
}

/* Is what this sysfs link points to below the function? */
static bool is_below(const struct look *l, const char *link)
{
	char part[PCI_ADDRESS_MAX + 2];

	snprintf(part, sizeof(part), "/%s/", l->f->address);
	return strstr(link, part);
}

/* With multipath, a disk of NVMe is below its subsystem, which links to its controllers. */
static bool is_nvme_below(const struct look *l, const char *link)
{
	const char *subsystem = strstr(link, "/nvme-subsystem/");
	char name[64], controller[FILE_PATH_MAX];
	bool found = false;
	char **names;
	ssize_t i, nr;

	if (!subsystem || sscanf(subsystem, "/nvme-subsystem/%63[^/]", name) != 1)
		return false;
	nr = file_names(l->root, &names, "/sys/class/nvme-subsystem/%s", name);
	for (i = 0; i < nr && !found; i++) {
		found = !file_link(l->root, controller, sizeof(controller),
				   "/sys/class/nvme-subsystem/%s/%s", name, names[i]) &&
			is_below(l, controller);
	}
	if (nr >= 0)
		free(names);
	return found;
}

static bool is_mounted(const struct look *l, const char *disk)
{
	char *text, *line, *next, number[32], source[256], where[256];
	bool found = false;

	if (file_read(l->root, number, sizeof(number), "/sys/class/block/%s/dev", disk) < 0 ||
	    file_read_all(l->root, &text, NULL, "/proc/self/mountinfo"))
		return false;
	for (next = text; !found && (line = strsep(&next, "\n"));) {
		char device[32], *rest = strstr(line, " - ");
		const char *name;

		/* ID PARENT MAJOR:MINOR ROOT WHERE OPTIONS... - TYPE SOURCE OPTIONS */
		if (sscanf(line, "%*s %*s %31s %*s %255s", device, where) != 2)
			continue;
		/* btrfs has a number of its own. */
		if (!rest || sscanf(rest, " - %*s %255s", source) != 1)
			source[0] = '\0';
		name = !strncmp(source, "/dev/", 5) ? source + 5 : "";
		if (strcmp(device, number) && strcmp(name, disk))
			continue;
		file_unescape(where);
		found = say(l, "its disk %s is mounted at %s", disk, where);
	}
	free(text);
	return found;
}

static bool is_swap(const struct look *l, const char *disk)
{
	char *text, *line, *next, path[256];
	bool found = false;

	if (file_read_all(l->root, &text, NULL, "/proc/swaps"))
		return false;
	for (next = text; !found && (line = strsep(&next, "\n"));) {
		if (sscanf(line, "/dev/%255s", path) == 1 && !strcmp(path, disk))
			found = say(l, "its disk %s is swap", disk);
	}
	free(text);
	return found;
}

/* Device-mapper, md, bcache. */
static bool has_holders(const struct look *l, const char *disk)
{
	char **names, name[128];
	ssize_t nr;
	bool found;

	nr = file_names(l->root, &names, "/sys/class/block/%s/holders", disk);
	if (nr < 0)
		return false;
	found = nr > 0;
	if (found && file_read(l->root, name, sizeof(name), "/sys/class/block/%s/dm/name", names[0]) > 0)
		say(l, "its disk %s is part of %s (device-mapper %s)", disk, names[0], name);
	else if (found)
		say(l, "its disk %s is part of %s", disk, names[0]);
	free(names);
	return found;
}

/* Whatever else claims a disk, such as a file system of several disks. */
static bool is_claimed(const struct look *l, const char *disk)
{
	char path[FILE_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/dev/%s", l->root, disk);
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY && say(l, "its disk %s is in use by the kernel", disk);
}

static bool disks_in_use(const struct look *l)
{
	char link[FILE_PATH_MAX];
	bool in_use = false;
	char **disks;
	ssize_t i, nr;

	nr = file_names(l->root, &disks, "/sys/class/block");
	for (i = 0; i < nr && !in_use; i++) {
		if (file_link(l->root, link, sizeof(link), "/sys/class/block/%s", disks[i]) ||
		    (!is_below(l, link) && !is_nvme_below(l, link)))
			continue;
		in_use = is_mounted(l, disks[i]) || is_swap(l, disks[i]) || has_holders(l, disks[i]) ||
			 is_claimed(l, disks[i]);
	}
	if (nr >= 0)
		free(disks);
	return in_use;
}

static bool has_default_route(const struct look *l, const char *interface)
{
	char *text, *line, *next, name[32], to[40], mask[16];
	bool found = false;
	unsigned int prefix;

	if (!file_read_all(l->root, &text, NULL, "/proc/net/route")) {
		for (next = text; !found && (line = strsep(&next, "\n"));)
			found = sscanf(line, "%31s %8s %*s %*s %*s %*s %*s %15s", name, to, mask) == 3 &&
				!strcmp(name, interface) && !strcmp(to, "00000000") &&
				!strcmp(mask, "00000000");
		free(text);
	}
	if (!found && !file_read_all(l->root, &text, NULL, "/proc/net/ipv6_route")) {
		for (next = text; !found && (line = strsep(&next, "\n"));)
			found = sscanf(line, "%39s %x %*s %*s %*s %*s %*s %*s %*s %31s", to, &prefix,
				       name) == 3 &&
				!strcmp(name, interface) && !prefix && !to[strspn(to, "0")];
		free(text);
	}
	return found;
}

/* The route may be of a bond, bridge or VLAN above: sysfs links to those as upper_NAME. */
static bool carries_default_route(const struct look *l, const char *interface, int depth)
{
	bool found = has_default_route(l, interface);
	char **names;
	ssize_t i, nr;

	if (found)
		return say(l, "its network interface %s has the default route", interface);
	if (!depth)
		return false;
	nr = file_names(l->root, &names, "/sys/class/net/%s", interface);
	for (i = 0; i < nr && !found; i++)
		found = !strncmp(names[i], "upper_", 6) &&
			carries_default_route(l, names[i] + 6, depth - 1);
	if (nr >= 0)
		free(names);
	return found;
}

static bool network_in_use(const struct look *l)
{
	char link[FILE_PATH_MAX];
	bool in_use = false;
	char **names;
	ssize_t i, nr;

	nr = file_names(l->root, &names, "/sys/class/net");
	for (i = 0; i < nr && !in_use; i++) {
		if (!file_link(l->root, link, sizeof(link), "/sys/class/net/%s", names[i]) &&
		    is_below(l, link))
			in_use = carries_default_route(l, names[i], 4);
	}
	if (nr >= 0)
		free(names);
	return in_use;
}

static bool console_in_use(const struct look *l)
{
	char name[128];
	bool in_use = false;
	uint64_t n;
	char **names;
	ssize_t i, nr;

	if (file_read_number(l->root, 10, &n, PCI_SYSFS "/%s/boot_vga", l->f->address) || n != 1)
		return false;
	nr = file_names(l->root, &names, "/sys/class/vtconsole");
	for (i = 0; i < nr && !in_use; i++) {
		if (file_read(l->root, name, sizeof(name), "/sys/class/vtconsole/%s/name", names[i]) < 0 ||
		    strstr(name, "dummy") ||
		    file_read_number(l->root, 10, &n, "/sys/class/vtconsole/%s/bind", names[i]) || n != 1)
			continue;
		in_use = say(l, "it is the boot VGA device, and the console is on it");
	}
	if (nr >= 0)
		free(names);
	return in_use;
}

static bool has_virtual_functions(const struct look *l)
{
	uint64_t n;

	return !file_read_number(l->root, 10, &n, PCI_SYSFS "/%s/sriov_numvfs", l->f->address) && n &&
	       say(l, "it has %llu virtual functions, which would go", (unsigned long long)n);
}

bool function_in_use(const char *root, const struct pci_function *f, char *why, size_t size)
{
	const struct look l = { root, f, why, size };

	return disks_in_use(&l) || network_in_use(&l) || console_in_use(&l) || has_virtual_functions(&l);
}
