/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An instance of tracefs of one's own, with the events of vfio_pci_dmabuf: what others
 * trace is not disturbed. Errors are negative errno.
 */
#ifndef TOOL_TRACEFS_H
#define TOOL_TRACEFS_H

#include <stddef.h>
#include <stdint.h>

#include "file.h"

struct tracefs {
	const char *root; /* as of struct call */
	char base[FILE_PATH_MAX / 2]; /* of tracefs, below the root */
	char name[32]; /* of the instance */
	int lock; /* its folder; locked for as long as it is in use */
	int pipe; /* trace_pipe, which does not block; -1 before tracefs_start() */
};

/* -ENODEV: tracefs is not mounted; -ENOENT: the kernel has no such events; -EACCES. */
int tracefs_open(struct tracefs *t, const char *root);

/* @filter: as the kernel's, "" for none. */
int tracefs_start(struct tracefs *t, const char *filter);

/* No more events; what was recorded can still be read. */
void tracefs_stop(struct tracefs *t);

/* Removes the instance. */
void tracefs_close(struct tracefs *t);

#endif
