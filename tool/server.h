/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server of `barbuf export --socket`: one poll loop. A client that says nothing, or
 * does not read, holds up no other: sockets do not block, who has not asked within
 * REQUEST_SECONDS is sent away, and of one uid only so many may be about to ask.
 */
#ifndef TOOL_SERVER_H
#define TOOL_SERVER_H

#include <stddef.h>
#include <barbuf.h>

#include "call.h"
#include "listen.h"

#define SERVER_REQUEST_SECONDS 5
/* Connections in all, and of one uid such that have not been lent a buffer. */
#define SERVER_CONNECTIONS_MAX 200
#define SERVER_WAITING_MAX 16

/* What is lent: each client gets a buffer of its own of these ranges. */
struct offer {
	const char *name; /* "": the only one, without a name */
	struct barbuf_range *ranges;
	size_t nr_ranges;
	unsigned int lent; /* to how many at present */
};

/* Who may have one. (uid_t)-1, (gid_t)-1: any. */
struct allowed {
	uid_t uid;
	gid_t gid;
};

struct server_plan {
	const struct call *call; /* for what is printed */
	struct barbuf_device *dev;
	struct barbuf_export export; /* but for ranges and name */
	struct offer *offers;
	size_t nr_offers;
	const struct allowed *allowed;
	size_t nr_allowed;
	unsigned int max; /* clients at one offer */
};

/* Until stop_wait() says so. Returns the exit status; errors were told. */
int server_run(const struct server_plan *plan, struct listener *l);

#endif
