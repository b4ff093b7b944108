/* SPDX-License-Identifier: MIT */
/*
 * barbuf-demo: four unprivileged processes do I/O on one virtio-blk function, each by
 * ringing one doorbell page, and what goes wrong with one is not seen by the others.
 *
 *	main.c	   the command line
 *	story.c	   from the device to the summary
 *	acts.c	   what happens, and what is claimed of it
 *	others.c   did those notice whom it did not concern?
 *	primary.c  blkd: started, its events, what blkctl asks of it
 *	clients.c  a blkload each: started, its reports, its row
 *	tries.c	   a role of ours, started, and each of its tries a claim
 *	role.c	   the same from inside: a lease, and telling how a try came out
 *	intruder.c the role of a client that tries what it must not
 *	heir.c	   the role of one that looks for what its predecessor left
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
#include <stddef.h>

#include "clients.h"
#include "primary.h"

struct options {
	const char *device; /* PCI address; NULL: the lab's `blk` */
	unsigned int columns, lines; /* of the terminal; 0: none, not known */
};

/* Who speaks where nobody else does. */
#define ME "demo"

/* Far more seconds than any step takes, even in an emulator with each debug option on. */
#define LIMIT 30.0
/* So many reports on, what happened would have been seen. */
#define REPORTS 3u

/* Plain users that own nothing, from here on; a range that Debian gives to nobody. */
#define FIRST_UID 61001u
/* Each has a window of the disk of its own, in blocks. */
#define WINDOW 1024u

#define NR_QUEUES 4u
/* Clients 0 to 3 hold a queue each from the start; 4 and 5 follow the victim and the revoked. */
#define VICTIM 1u
#define REVOKED 2u
#define FOURTH 3u
#define AFTER_VICTIM 4u
#define AFTER_REVOKED 5u
#define NR_CLIENTS 6u
/* One user more. */
#define HEIR 6u
#define NR_USERS 7u

#define ENDS_MAX 4
struct measured {
	const char *what[ENDS_MAX]; /* which end of a lease */
	double revoke_us[ENDS_MAX], reclaim_us[ENDS_MAX]; /* below 0: not seen */
	unsigned int nr;
	double reset_us; /* as blkd measured it */
	double pause_us; /* the longest that a client's request took across it */
};

struct story {
	const struct options *options;
	char address[32];
	struct primary primary;
	struct demo_client clients[NR_CLIENTS];
	struct measured measured;
	bool host_content; /* the disk is the lab's */
};

/* story.c. Returns the exit status. */
int story_main(const struct options *o);

/* acts.c. False: it makes no sense to go on. */
bool act_four_at_once(struct story *s);
bool act_intruder(struct story *s);
bool act_kill(struct story *s);
bool act_revoke(struct story *s);
void act_reset(struct story *s);
void act_end(struct story *s);

/* others.c: all that run but one (NR_CLIENTS: all) */
struct others {
	struct report report[NR_CLIENTS];
	unsigned int reports[NR_CLIENTS];
	bool counts[NR_CLIENTS];
};

struct others others_now(const struct story *s, unsigned int but);
/* Has it ended, or made so many reports and done some I/O since @o? */
bool others_has_gone_on(const struct story *s, const struct others *o, unsigned int i);
/* A claim for each of them, on what it reports from now on: what happened is over. */
void others_undisturbed(const struct story *s, const struct others *o, const char *when);

/* tries.c */
struct tries {
	struct proc proc;
	struct row row;
	char mark; /* of a try that came out as it has to */
	unsigned int tried;
	bool waits, done; /* its words */
};

/* @t stays: its row does. @argv begins with this program and --role. */
bool tries_start(struct tries *t, const char *name, char mark, int queue, uid_t uid,
		 char *const *argv);
/* Wait for its end, which is a claim, and so is that it has tried so many things at least. */
void tries_end(struct tries *t, unsigned int least);

/* intruder.c, heir.c: in a process of its own. How many things each tries: the intruder more, where there
 * are more files that it is not to open. */
#define INTRUDER_TRIES 47u
#define HEIR_TRIES 3u
int intruder_main(int argc, char **argv);
int heir_main(int argc, char **argv);

/* summary.c */
void summary_print(const struct demo_client *clients, unsigned int nr, const struct measured *m);

#endif
