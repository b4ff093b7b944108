/* SPDX-License-Identifier: MIT */
/*
 * barbuf-demo: four unprivileged processes do I/O on one virtio-blk function, each by
 * ringing one doorbell page, and what goes wrong with one is not seen by the others.
 *
 *	main.c	   the command line
 *	story.c	   what happens, and what is claimed of it
 *	primary.c  blkd: started, its events, what blkctl asks of it
 *	clients.c  a blkload each: started, its reports, its row
 *	role.c	   what intruder and heir have in common: tries, and telling how they came out
 *	intruder.c a client that tries what it must not
 *	heir.c	   a client that looks for what its predecessor left
 *	summary.c  the table at the end
 *	proc.c	   children that are never waited for without an end
 *	report.c   the lines that children print
 *	rows.c	   rows of bars, as text
 *	screen.c   rows at the bottom of a terminal
 *	../common  lines and claims; giving up rights
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>

#include "clients.h"
#include "primary.h"

struct options {
	const char *device; /* PCI address; NULL: the lab's `blk` */
	unsigned int columns, lines; /* of the terminal; 0: none, not known */
};

/* Returns the exit status. */
int story_main(const struct options *o);

/* Roles, in processes of their own: main.c starts them by --role. */
int intruder_main(int argc, char **argv);
int heir_main(int argc, char **argv);

/* summary.c */

struct measured {
	double revoke_us[4], reclaim_us[4]; /* below 0: not seen */
	double reset_us; /* as blkd measured it */
	double pause_us; /* the longest that a client's request took across the reset */
	const char *what[4]; /* which end of a lease that was */
	unsigned int nr;
};

void summary_print(const struct demo_client *clients, unsigned int nr, const struct measured *m);

#endif
