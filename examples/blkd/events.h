/* SPDX-License-Identifier: MIT */
/*
 * What happened, a line each: on standard output for people or as JSON, and on standard error
 * what went wrong. A reader who has stopped, or gone, stops nobody: lines are dropped, and counted.
 */
#ifndef BLKD_EVENTS_H
#define BLKD_EVENTS_H

#include <stdbool.h>

#include <jansson.h>

/* The clock of all of blkd: seconds since the first call. */
double now(void);

/* Before all else: nothing that is opened becomes a standard descriptor, and no SIGPIPE. */
void events_begin(const char *program, bool json);

/* @fmt: of json_pack(), an object. Its keys come behind "t" and "event", in this order. */
void event(const char *name, const char *fmt, ...);

/* One line on standard error. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

#endif
