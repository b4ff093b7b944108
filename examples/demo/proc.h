/* SPDX-License-Identifier: MIT */
/*
 * The demo's children: started, listened to and ended, and never waited for without a
 * limit. One thread, and one loop: whoever waits for something calls procs_step() until it is
 * there, or time is up (UNTIL()).
 */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "timeline.h"

/* The most that run at once. */
#define PROCS_MAX 16

/* Longest line that is understood; a longer one is passed on cut. */
#define PROC_LINE 4096

struct stream {
	int fd; /* -1: closed */
	size_t len;
	char text[PROC_LINE];
};

struct proc {
	const char *name;
	/* Set before the start; all but .name may be NULL. */
	void (*line)(struct proc *p, const char *line); /* a line of its standard output */
	void (*complains)(struct proc *p, const char *line); /* of its standard error */
	void *arg;
	/* What became of it. */
	pid_t pid; /* 0: it does not run */
	bool ended; /* and .status is that of wait() */
	int status;

	struct stream out, err;
};

/**
 * proc_start() - run a program
 * @p: stays until it ended
 * @uid: become this plain user first; 0: stay what we are
 * @argv: argv[0] is sought beside this program, then in PATH
 *
 * Standard input is empty, no other descriptor is passed on, and it is killed should this
 * process end.
 */
int proc_start(struct proc *p, uid_t uid, char *const argv[]);

/* Did it end by itself, with this status? */
bool proc_exited(const struct proc *p, int status);
/* How it ended, in words of this buffer. */
const char *proc_end_text(const struct proc *p, char text[64]);
/* Do nothing if it does not run. */
void proc_signal(const struct proc *p, int sig);

/* Take what children say, for 50 ms at most, and see who ended. */
void procs_step(void);
/* Called in each step. */
void procs_idle(void (*idle)(void));
/* Kill all that run, and wait for them. False: one cannot be killed, as in a kernel that hangs. */
bool procs_end(void);

/* Step until it holds, or for so many seconds; does it? */
#define UNTIL(cond, seconds)                                \
	({                                                  \
		double until_ = timeline_now() + (seconds); \
		while (!(cond) && timeline_now() < until_)  \
			procs_step();                       \
		(cond);                                     \
	})

#endif
