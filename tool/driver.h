/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Give a PCI function another driver, and back. Errors are negative errno. */
#ifndef TOOL_DRIVER_H
#define TOOL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "pci.h"

/* What a function had, to go back to. */
struct driver_state {
	char driver[DRIVER_MAX]; /* "": none */
	char override[DRIVER_MAX]; /* "": none */
};

int driver_state_read(const char *root, const char *address, struct driver_state *s);

/*
 * Set the override to @driver ("": none), take the present driver away and have one found. @want:
 * the driver that it shall have then, "" for any or none. On error what was there is put back; if
 * that did not work either, *restored is false.
 */
int driver_change(const char *root, const char *address, const char *override, const char *want,
		  bool *restored);

/* /run/barbuf/ADDRESS remembers what bind took away. -ENOENT: nothing is remembered. */
int driver_remember(const char *root, const char *address, const struct driver_state *s);
int driver_recall(const char *root, const char *address, struct driver_state *s);
void driver_forget(const char *root, const char *address);

bool driver_exists(const char *root, const char *driver);
/* Have modprobe load it. */
void driver_load(const char *root, const char *driver);

/*
 * driverctl(8), where it is installed, does the same and knows of its own records. set-override
 * @driver, or unset-override if it is NULL. -ENOENT: not installed; -EIO: it failed, and said why.
 */
bool driverctl_exists(const char *root);
int driverctl_run(const char *root, const char *address, const char *driver);

#endif
