// SPDX-License-Identifier: LGPL-2.1-or-later
/* Why a device does not open, as the machine shows it now. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "advice.h"
#include "device.h"
#include "sysfs.h"

#define VFIO_PCI "/sys/bus/pci/drivers/vfio-pci"

struct question {
	const struct barbuf_sys *sys;
	char address[BARBUF__ADDRESS_SIZE];
	unsigned int group;
	bool has_group;
	char group_file[32]; /* "/dev/vfio/12" */
	char device_file[64]; /* "/dev/vfio/devices/vfio0", or "" */
	char *text;
	size_t size;
};

static bool is_there(const struct question *q, const char *path)
{
	struct stat st;

	return !q->sys->stat(q->sys->ctx, path, &st);
}

static void free_list(struct dirent **list, int n)
{
	while (n > 0)
		free(list[--n]);
	free(list);
}

static bool is_empty(const struct question *q, const char *path)
{
	struct dirent **list;
	int i, n, entries = 0;

	n = q->sys->scandir(q->sys->ctx, path, &list);
	if (n < 0)
		return true;
	for (i = 0; i < n; i++)
		entries += list[i]->d_name[0] != '.';
	free_list(list, n);
	return !entries;
}

static int no_group(const struct question *q)
{
	if (is_empty(q, "/sys/class/iommu"))
		return barbuf__say(q->text, q->size,
				   "%s is in no IOMMU group, as no IOMMU is switched on: enable it "
				   "in the firmware (VT-d, AMD-Vi), and on Intel boot Linux with "
				   "intel_iommu=on",
				   q->address);
	return barbuf__say(q->text, q->size,
			   "%s is in no IOMMU group: no IOMMU of this machine translates its DMA",
			   q->address);
}

/* -ENXIO: what is it bound to? */
static int wrong_driver(const struct question *q)
{
	const char *load = is_there(q, VFIO_PCI) ? "" : "`modprobe vfio-pci`, then ";
	char driver[64];
	int ret;

	if (!q->has_group)
		return no_group(q);
	ret = barbuf__sysfs_link(q->sys, q->address, "driver", driver, sizeof(driver));
	if (ret == -ENOENT)
		return barbuf__say(
			q->text, q->size,
			"%s is bound to no driver: bind it to vfio-pci (%s`barbuf bind %s`)",
			q->address, load, q->address);
	if (ret)
		return -ENOENT;
	if (!strstr(driver, "vfio"))
		return barbuf__say(q->text, q->size,
				   "%s is bound to %s: bind it to vfio-pci (%s`barbuf bind %s`)",
				   q->address, driver, load, q->address);
	if (!is_there(q, q->group_file))
		return barbuf__say(
			q->text, q->size,
			"%s is bound to %s, but there is no %s here: in a container that "
			"file has to be passed in",
			q->address, driver, q->group_file);
	return -ENOENT;
}

/* Drivers that do no DMA of their own, or leave it to VFIO, do not count. */
static bool is_harmless(const char *driver)
{
	return strstr(driver, "vfio") || !strcmp(driver, "pcieport") || !strcmp(driver, "pci-stub");
}

/* Which other devices of the group keep it from VFIO? */
static int wrong_neighbours(const struct question *q)
{
	char path[BARBUF__SYSFS_PATH], driver[64], names[256] = "";
	struct dirent **list;
	size_t len = 0;
	int i, n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/devices", q->address);
	n = q->sys->scandir(q->sys->ctx, path, &list);
	if (n < 0)
		return -ENOENT;
	for (i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (name[0] == '.' || !strcmp(name, q->address) || strlen(name) > 32 ||
		    barbuf__sysfs_link(q->sys, name, "driver", driver, sizeof(driver)) ||
		    is_harmless(driver))
			continue;
		if (len < sizeof(names))
			len += snprintf(names + len, sizeof(names) - len, "%s%s (%s)",
					len ? ", " : "", name, driver);
	}
	free_list(list, n);
	if (!len)
		return -ENOENT;
	return barbuf__say(
		q->text, q->size,
		"IOMMU group %u also holds %s: without ACS between them they come and go "
		"together, so bind that to vfio-pci or to no driver, too",
		q->group, names);
}

/* Has this process one of the device's files open? */
static bool is_holder(const struct question *q, const char *pid, const char **file)
{
	char path[64], link[64];
	struct dirent **list;
	bool found = false;
	ssize_t len;
	int i, n;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	n = q->sys->scandir(q->sys->ctx, path, &list);
	if (n < 0)
		return false;
	for (i = 0; i < n && !found; i++) {
		snprintf(path, sizeof(path), "/proc/%.16s/fd/%.16s", pid, list[i]->d_name);
		len = q->sys->readlink(q->sys->ctx, path, link, sizeof(link) - 1);
		if (len < 0)
			continue;
		link[len] = '\0';
		*file = q->device_file;
		found = !strcmp(link, q->device_file);
		if (!found) {
			*file = q->group_file;
			found = !strcmp(link, q->group_file);
		}
	}
	free_list(list, n);
	return found;
}

static int held(const struct question *q)
{
	char path[64], name[64] = "", self[16];
	const char *file = NULL;
	struct dirent **list;
	char pid[17] = "";
	int i, n;

	n = q->sys->scandir(q->sys->ctx, "/proc", &list);
	if (n < 0)
		return -ENOENT;
	for (i = 0; i < n && !pid[0]; i++)
		if (isdigit((unsigned char)list[i]->d_name[0]) &&
		    is_holder(q, list[i]->d_name, &file))
			snprintf(pid, sizeof(pid), "%.16s", list[i]->d_name);
	free_list(list, n);

	if (!pid[0])
		return barbuf__say(q->text, q->size,
				   "%s or its IOMMU group is open in a process that cannot be seen "
				   "from here, or was a moment ago: try again, as root",
				   q->address);
	snprintf(self, sizeof(self), "%d", (int)getpid());
	if (!strcmp(pid, self))
		return barbuf__say(
			q->text, q->size,
			"this process has %s open already: open %s in the same container", file,
			q->address);
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (barbuf__read_file(q->sys, path, name, sizeof(name)) < 0)
		strcpy(name, "?");
	name[strcspn(name, "\n")] = '\0';
	return barbuf__say(q->text, q->size,
			   "process %s (%s) has %s open, and only one at a time can", pid, name,
			   file);
}

/* -EACCES: of which file? */
static int no_permission(const struct question *q)
{
	const char *const files[] = { q->group_file, q->device_file, "/dev/vfio/vfio",
				      "/dev/iommu" };
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!files[i][0] || q->sys->stat(q->sys->ctx, files[i], &st))
			continue;
		fd = q->sys->open(q->sys->ctx, files[i], O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			barbuf__close(q->sys, fd);
		if (fd == -EACCES)
			return barbuf__say(
				q->text, q->size,
				"%s is of user %u and group %u with mode %04o: run as that "
				"user, or give the file to yours with chown or a udev rule",
				files[i], st.st_uid, st.st_gid, st.st_mode & 07777);
	}
	return -ENOENT;
}

/* The kernel's side of an interface is not there. */
static int no_interface(const struct question *q, int error)
{
	bool type1 = is_there(q, "/dev/vfio/vfio"), iommufd = is_there(q, "/dev/iommu");

	if (!is_there(q, VFIO_PCI))
		return barbuf__say(q->text, q->size, "vfio-pci is not loaded: `modprobe vfio-pci`");
	if (!type1 && !iommufd)
		return barbuf__say(q->text, q->size,
				   "there is neither /dev/vfio/vfio nor /dev/iommu here: in a "
				   "container they have to be passed in");
	if (error == -EPROTONOSUPPORT)
		return barbuf__say(q->text, q->size,
				   "VFIO has no IOMMU of type 1: `modprobe vfio_iommu_type1`");
	if (!iommufd)
		return barbuf__say(q->text, q->size,
				   "there is no /dev/iommu: `modprobe iommufd`, or use type1 "
				   "instead (BARBUF_IOMMU_TYPE1)");
	if (!type1)
		return barbuf__say(
			q->text, q->size,
			"there is no /dev/vfio/vfio: `modprobe vfio_iommu_type1`, or use "
			"iommufd instead (BARBUF_IOMMU_IOMMUFD)");
	if (!q->device_file[0] || !is_there(q, q->device_file))
		return barbuf__say(q->text, q->size,
				   "VFIO has no file for this device under /dev/vfio/devices "
				   "(CONFIG_VFIO_DEVICE_CDEV): use type1 instead "
				   "(BARBUF_IOMMU_TYPE1)");
	return -ENOENT;
}

int barbuf__device_advice(const struct barbuf_sys *sys, const char *address, int error, char *text,
			  size_t size)
{
	struct question q = { .sys = sys, .text = text, .size = size };
	char name[32];
	int ret;

	if (barbuf__address_parse(q.address, address))
		return barbuf__say(text, size, "'%.40s' is no PCI address, such as 0000:00:04.0",
				   address);
	if (barbuf__sysfs_exists(sys, q.address) == -ENODEV)
		return barbuf__say(text, size,
				   "there is no PCI device %s: `lspci -D` shows those there are",
				   q.address);
	if (!barbuf__sysfs_group(sys, q.address, &q.group)) {
		q.has_group = true;
		snprintf(q.group_file, sizeof(q.group_file), "/dev/vfio/%u", q.group);
	}
	if (!barbuf__sysfs_cdev(sys, q.address, name, sizeof(name)))
		snprintf(q.device_file, sizeof(q.device_file), "/dev/vfio/devices/%s", name);

	switch (error) {
	case -ENXIO:
		return wrong_driver(&q);
	case -EPERM:
		return wrong_neighbours(&q);
	case -EBUSY:
		/* iommufd says so, too, of a group with other drivers. */
		ret = wrong_neighbours(&q);
		return ret ? held(&q) : 0;
	case -EACCES:
		return no_permission(&q);
	case -ENOENT:
	case -ENODEV:
	case -EOPNOTSUPP:
	case -EPROTONOSUPPORT:
		return no_interface(&q, error);
	default:
		return -ENOENT;
	}
}

int barbuf_device_advice(const char *address, int error, char *text, size_t size)
{
	return barbuf__device_advice(&barbuf__sys_linux, address, error, text, size);
}
