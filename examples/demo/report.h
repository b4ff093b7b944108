/* SPDX-License-Identifier: MIT */
/*
 * The lines that children of the demo print, a JSON object each: what blkload --json says
 * of itself, what blkd --json says happened, and what our own roles tried. Pure functions.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest of these strings, with the NUL; longer ones are refused. */
#define REPORT_WORD 96

/* Of blkload: once a period, and a last one. */
struct report {
	char state[REPORT_WORD];
	double t; /* seconds since it started */
	double iops; /* in this period; in the last report, of all */
	uint64_t done;
	uint64_t errors; /* data that was not what it should be */
	uint64_t io_errors; /* requests that the device failed */
	uint64_t faults; /* page faults taken since it began */
	uint64_t sigbus;
	uint64_t pauses, regrants;
	double p50_us, p99_us, max_us;
	bool final;
	char doorbell
		[REPORT_WORD]; /* in the last: what it came to to read it then; "" if not tried */
	char end[REPORT_WORD]; /* in the last: why its lease ended, or "" if it ended itself */
};

/* Of blkd. What an event does not have is -1, "" or false. */
struct event {
	char name[REPORT_WORD];
	double t; /* seconds since blkd started */
	int queue;
	int pid;
	double us; /* how long it took */
	char why[REPORT_WORD];
	char how[REPORT_WORD];
	char what[REPORT_WORD];
	char access[REPORT_WORD]; /* of a lease */
	char on_trust[REPORT_WORD]; /* of a policy: what nothing enforces */
	bool queue_reset; /* of ready: the device can reset a queue alone */
};

/* Of a role of the demo itself: something was tried, and how it came out. */
struct attempt {
	char what[REPORT_WORD];
	char wanted[REPORT_WORD];
	char got[REPORT_WORD];
	char say[REPORT_WORD]; /* in place of these: "waits", "done" */
};

/* All: 0, or -EBADMSG: no such object, with what is wrong in *why, a static string or one
 * of the caller's line; the output then is not to be used. */
int report_parse(const char *line, struct report *r, const char **why);
int event_parse(const char *line, struct event *e, const char **why);
int attempt_parse(const char *line, struct attempt *a, const char **why);

/* The line of an attempt, to be free()d, or NULL. */
char *attempt_line(const struct attempt *a);

#endif
