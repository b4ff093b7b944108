/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For commands that go on until they are told to stop: SIGINT, SIGTERM and SIGHUP end a wait. */
#ifndef TOOL_STOP_H
#define TOOL_STOP_H

#include <poll.h>
#include <stdbool.h>

/* From here on they are kept for the waits below. Once, at the start. */
int stop_begin(void);

/* Becomes readable with such a signal, and stays so. */
int stop_fd(void);

/* Wait for @fd (or -1) to be readable, for @ms or without end at -1. 0: it is, or the time
 * is over; 1: to be stopped; or a negative errno. */
int stop_wait(int fd, int ms);

/* Has the other end hung up? */
bool stop_is_closed(int sock);

/* Seconds of a clock that only goes on. */
double stop_clock(void);

#endif
