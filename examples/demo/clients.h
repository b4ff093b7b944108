/* SPDX-License-Identifier: MIT */
/* A client of the demo: a blkload, what it says of itself, and its row on the screen. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc.h"
#include "report.h"
#include "rows.h"

struct demo_client {
	uid_t uid;
	int queue;
	struct proc proc;
	struct row row;
	struct report now; /* its last */
	unsigned int reports; /* how many came in this run */
	double heard; /* when */
	double worst_us; /* the longest that a request took, since it was set to 0 */
	bool running; /* it has told that it is at work */
	char how[REPORT_WORD]; /* in a word, how its last run ended */
	/* Of runs before this one, for the table. */
	uint64_t done, errors, io_errors, sigbus;
};

/* Its row appears. */
void client_init(struct demo_client *c, const char *name, uid_t uid, int queue);
/* Run blkload with these options, NULL at the end, besides queue and depth. */
bool client_start(struct demo_client *c, const char *socket, char *const *options);
/* Leave a mark where it is now. */
void client_mark(struct demo_client *c, char mark);
/* How it ended or what it is at now, where that is not what it says itself. */
void client_state(struct demo_client *c, const char *state, int mood);

/* Of all its runs. */
uint64_t client_done(const struct demo_client *c);
uint64_t client_errors(const struct demo_client *c);

/* As root sees it from outside: no right, no device, system calls filtered. @wrong: what is not so. */
bool client_is_confined(const struct demo_client *c, char wrong[REPORT_WORD]);

#endif
