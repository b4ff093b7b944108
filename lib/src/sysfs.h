/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sysfs says about PCI devices. Results are negative errnos. */
#ifndef BARBUF_SYSFS_H
#define BARBUF_SYSFS_H

#include <stddef.h>

#include "sys.h"

/* Room for "/sys/bus/pci/devices/ADDRESS/" and what is asked for below it. */
#define BARBUF__SYSFS_PATH 128

/* Bring an address into the form of sysfs. @out has BARBUF__ADDRESS_SIZE bytes.
 * -EINVAL: no address. */
int barbuf__address_parse(char *out, const char *text);

/* -ENODEV: no such device. */
int barbuf__sysfs_exists(const struct barbuf_sys *sys, const char *address);

/* The last part of what a link of the device points to. -ENOENT: no such link. */
int barbuf__sysfs_link(const struct barbuf_sys *sys, const char *address, const char *link,
		       char *name, size_t size);

/* The number of the device's IOMMU group. -ENXIO: it is in none. */
int barbuf__sysfs_group(const struct barbuf_sys *sys, const char *address, unsigned int *group);

/* The name of the device's cdev, "vfioN". -ENXIO: it is not bound to a VFIO driver. */
int barbuf__sysfs_cdev(const struct barbuf_sys *sys, const char *address, char *name, size_t size);

/* The beginning of a small file, with a NUL. Returns its length. */
int barbuf__read_file(const struct barbuf_sys *sys, const char *path, char *buf, size_t size);

#endif
