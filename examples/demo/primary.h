/* SPDX-License-Identifier: MIT */
/* blkd, as the demo sees it: a child that tells what happens, and blkctl to ask it. */
#ifndef PRIMARY_H
#define PRIMARY_H

#include <stdbool.h>

#include "proc.h"
#include "report.h"

#define PRIMARY_ARGS 40

struct primary {
	struct proc proc;
	char socket[64];
	char directory[32];
	char complaint[256]; /* the last line on its standard error */
	bool queue_reset; /* the device can reset a queue alone */
};

/* Start it for the device at @address, with @allow, NULL at the end, for --allow. False: it
 * was said why, on one line of stderr. */
bool primary_start(struct primary *p, const char *address, char *const *allow);
/* Ask it to end. Did it, with status 0? */
bool primary_stop(struct primary *p);
/* What it leaves in the file system, if it was killed. */
void primary_clean(const struct primary *p);

/* Events are numbered as they come: how many there are now. */
unsigned int primary_events(void);
/* The first from number @since on of this name, of @queue (-1: any), if it comes in time. */
const struct event *primary_event(unsigned int since, const char *name, int queue, double seconds);

/* Have blkctl do this, about @queue if it is not -1; a claim. */
bool primary_control(const struct primary *p, const char *command, int queue);
/* Have its holder asked to leave @queue, and given far more time than it needs; a claim. */
bool primary_leave(const struct primary *p, int queue);

#endif
