// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "out.h"
#include "pci.h"
#include "procs.h"

static const struct column columns[] = {
	{ .key = "address" },
	{ .key = "before" },
	{ .key = "driver" },
	{ .key = "done" },
};

static int report(const struct call *c, const struct pci_function *f, const char *driver, bool done)
{
	json_t *row = json_pack("{s:s, s:s, s:o, s:b}", "address", f->address, "before", f->driver,
				"driver", *driver ? out_string(driver) : json_null(), "done", done);

	return out_record(c, columns, sizeof(columns) / sizeof(columns[0]), row);
}

/* Back to what bind remembered, or to whatever driver wants it. */
static int give_back(const struct call *c, const struct pci_function *f, const struct driver_state *to)
{
	bool restored;
	int ret;

	if (!to->override[0] && driverctl_exists(c->root)) {
		struct driver_state now;

		/* It fails when no driver wants the function, which is none for us. */
		driverctl_run(c->root, f->address, NULL);
		if (!driver_state_read(c->root, f->address, &now) && !now.override[0] &&
		    (to->driver[0] ? !strcmp(now.driver, to->driver) : strcmp(now.driver, f->driver)))
			return 0;
	}
	ret = driver_change(c->root, f->address, to->override, to->driver, &restored);
	if (!ret)
		return 0;
	return failed(c, "cannot give %s back to %s: %s; %s", f->address,
		      to->driver[0] ? to->driver : "its driver",
		      ret == -ENXIO ? "the driver did not take it" : strerror(-ret),
		      restored ? "it is as before" : "nor could it be put back, see barbuf list");
}

int cmd_unbind(struct call *c)
{
	struct driver_state to = { 0 }, now;
	struct pci_function f;
	int ret, status;

	if (arg_function(c, "ADDRESS", call_arg(c, 0), &f, &status))
		return status;
	if (!f.driver[0])
		return failed(c, "%s has no driver", f.address);
	if (!pci_is_vfio(&f))
		return failed(c, "%s is bound to %s, which is no VFIO driver", f.address, f.driver);
	status = refuse_held(c, &f);
	if (status)
		return status;
	ret = driver_recall(c->root, f.address, &to);
	if (ret && ret != -ENOENT)
		return failed(c, "/run/barbuf/%s: %s", f.address, strerror(-ret));
	if (c->dry_run)
		return report(c, &f, to.driver, false);
	status = give_back(c, &f, &to);
	if (status)
		return status;
	driver_forget(c->root, f.address);
	ret = driver_state_read(c->root, f.address, &now);
	return ret ? failed(c, "%s/%s: %s", PCI_SYSFS, f.address, strerror(-ret)) :
		     report(c, &f, now.driver, true);
}
