// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define DRIVER "/sys/bus/pci/drivers/vfio-pci"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Take every device away from vfio-pci, so that it can be unloaded. */
static int unbind_all(void)
{
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	dir = opendir(DRIVER);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!ret && (entry = readdir(dir)))
		if (strchr(entry->d_name, ':'))
			ret = write_file(DRIVER "/unbind", entry->d_name);
	closedir(dir);
	return ret;
}

static int unload(const char *name)
{
	if (syscall(SYS_delete_module, name, O_NONBLOCK) && errno != ENOENT)
		return -errno;
	return 0;
}

/* A folder of Linux has vfio-pci in one of its own, the lab's folder of stock's has it beside. */
static int open_module(const char *dir, const char *file)
{
	static const char *const folders[] = { "", "/pci" };
	char path[4096];
	int fd = -1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(folders) && fd < 0; i++) {
		if (snprintf(path, sizeof(path), "%s%s/%s", dir, folders[i], file) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

static int load(const char *dir, const char *file)
{
	int fd = open_module(dir, file);
	int ret = 0;

	if (fd < 0)
		return fd;
	if (syscall(SYS_finit_module, fd, "", 0))
		ret = -errno;
	close(fd);
	return ret;
}

int modules_use(const char *dir)
{
	int ret;

	static const char *const names[] = { "vfio_pci", "vfio_pci_core", "vfio_iommu_type1" };
	static const char *const files[] = { "vfio_iommu_type1.ko", "vfio-pci-core.ko",
					     "vfio-pci.ko" };
	size_t i;

	/* What these need themselves (vfio) stays the same for both sets. */
	if (system("modprobe -a vfio_iommu_type1 vfio-pci"))
		return -ENOENT;
	ret = unbind_all();
	for (i = 0; i < ARRAY_SIZE(names) && !ret; i++)
		ret = unload(names[i]);
	for (i = 0; i < ARRAY_SIZE(files) && !ret; i++)
		ret = load(dir, files[i]);
	return ret;
}

int bind_model(const char *model, char *address, size_t size)
{
	char command[64];
	char line[128];
	bool got;
	FILE *f;

	snprintf(command, sizeof(command), "vfio-bind %s", model);
	f = popen(command, "re");
	if (!f)
		return -errno;
	got = fgets(line, sizeof(line), f);
	if (pclose(f) || !got)
		return -ENODEV;
	line[strcspn(line, " \n")] = '\0';
	if (snprintf(address, size, "%s", line) >= (int)size)
		return -ENODEV;
	return 0;
}
