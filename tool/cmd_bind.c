// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "file.h"
#include "in_use.h"
#include "out.h"
#include "pci.h"
#include "procs.h"

static const struct column columns[] = {
	{ .key = "address" },
	{ .key = "before" },
	{ .key = "driver" },
	{ .key = "group", .right = true },
	{ .key = "done" },
};

static int report(const struct call *c, const struct pci_function *f, const char *before,
		  const char *driver, bool done)
{
	json_t *row = json_pack("{s:s, s:o, s:o, s:o, s:b}", "address", f->address, "before",
				*before ? out_string(before) : json_null(), "driver",
				*driver ? out_string(driver) : json_null(), "group",
				f->group >= 0 ? json_integer(f->group) : json_null(), "done", done);

	return out_record(c, columns, sizeof(columns) / sizeof(columns[0]), row);
}

static void warn_of_others(const struct call *c, const struct pci_function *f)
{
	struct pci_function other;
	char **names;
	ssize_t i, nr;

	nr = file_names(c->root, &names, "/sys/kernel/iommu_groups/%d/devices", f->group);
	for (i = 0; i < nr; i++) {
		if (!strcmp(names[i], f->address) || pci_get(c->root, names[i], &other) ||
		    pci_is_harmless(&other))
			continue;
		note(c, "group %d also has %s, bound to %s: the group can be used when that is bound "
			"to vfio-pci, or to nothing",
		     f->group, other.address, other.driver);
	}
	if (nr >= 0)
		free(names);
}

static int change_driver(const struct call *c, const struct pci_function *f, const char *driver,
			 const struct driver_state *before)
{
	struct driver_state first;
	bool restored, has_first;
	int ret;

	/* From one VFIO driver to another: what it had before the first is what unbind gives back. */
	has_first = pci_is_vfio(f) && !driver_recall(c->root, f->address, &first);
	ret = has_first ? 0 : driver_remember(c->root, f->address, before);
	if (ret)
		return failed(c, "/run/barbuf/%s: %s", f->address, strerror(-ret));
	if (driverctl_exists(c->root)) {
		struct driver_state now;

		ret = driverctl_run(c->root, f->address, driver);
		if (!ret && !driver_state_read(c->root, f->address, &now) && !strcmp(now.driver, driver))
			return 0;
		ret = driver_change(c->root, f->address, before->override, before->driver, &restored);
		restored = restored && !ret;
		ret = -EIO;
	} else {
		ret = driver_change(c->root, f->address, driver, driver, &restored);
		if (!ret)
			return 0;
	}
	if (restored && !has_first)
		driver_forget(c->root, f->address);
	return failed(c, "cannot bind %s to %s: %s; %s", f->address, driver,
		      ret == -EIO ? "driverctl failed" :
		      ret == -ENXIO ? "the driver did not take it" :
				      strerror(-ret),
		      restored ? "it is as before" : "nor could it be put back, see barbuf list");
}

int cmd_bind(struct call *c)
{
	const char *driver = call_option(c, "driver") ?: "vfio-pci";
	struct driver_state before;
	struct pci_function f;
	char why[512];
	int ret, status;

	if (arg_function(c, "ADDRESS", call_arg(c, 0), &f, &status))
		return status;
	if (!*driver || strchr(driver, '/') || strlen(driver) >= DRIVER_MAX)
		return wrong(c, "--driver", driver, "no name of a driver (1 to %d bytes, no /)",
			     DRIVER_MAX - 1);
	if (!strcmp(f.driver, driver))
		return report(c, &f, f.driver, driver, false);
	if (f.class >> 8 == 0x0604 || f.class >> 8 == 0x0600)
		return failed(c, "%s is a %s bridge: VFIO is for endpoints", f.address,
			      f.class >> 8 == 0x0604 ? "PCI" : "host");
	if (f.group < 0)
		return failed(c, "%s is in no IOMMU group: is the IOMMU on? (see barbuf doctor)",
			      f.address);
	if (function_in_use(c->root, &f, why, sizeof(why)))
		return failed(c, "%s is in use: %s", f.address, why);
	if (pci_is_vfio(&f) && refuse_held(c, &f))
		return EXIT_FAILURE;
	warn_of_others(c, &f);
	if (c->dry_run)
		return report(c, &f, f.driver, driver, false);
	if (!driver_exists(c->root, driver)) {
		driver_load(c->root, driver);
		/* kmod loads it with vfio; other modprobes do not know such dependencies. */
		driver_load(c->root, "vfio_iommu_type1");
	}
	if (!driver_exists(c->root, driver))
		return failed(c, "there is no PCI driver %s, nor did modprobe load it", driver);
	ret = driver_state_read(c->root, f.address, &before);
	if (ret)
		return failed(c, "%s/%s: %s", PCI_SYSFS, f.address, strerror(-ret));
	status = change_driver(c, &f, driver, &before);
	return status ? status : report(c, &f, before.driver, driver, true);
}
