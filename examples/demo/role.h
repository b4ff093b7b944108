/* SPDX-License-Identifier: MIT */
/* What intruder and heir have in common: a lease, tries, and telling how they came out. */
#ifndef ROLE_H
#define ROLE_H

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

/* Tell that this was tried, what has to come of it, and what did. */
__attribute__((format(printf, 3, 4))) void tell(const char *wanted, const char *got,
						const char *what, ...);
/* Tell that it "waits" or is "done". */
void tell_state(const char *state);

/* The name of 0 or of a positive errno: "works", "EPERM". */
const char *errno_name(int error);
/* Of what a system call returned, that fails with a negative number; or mmap(). */
const char *outcome(long ret);
const char *outcome_of_mmap(void *p);

/* Touch 16 bits of memory: "works", "SIGSEGV" or "SIGBUS". */
enum touch { TOUCH_READ, TOUCH_WRITE };
const char *touch(volatile void *addr, enum touch how);

/* Lease this queue, or end this process with a line on stderr. */
struct blk_client *role_lease(const char *socket, int queue);

/* How long a role waits for its request, or the end of its lease. */
#define ROLE_WAIT_MS 30000

/* One request, alone in flight, and its end. 0 or a negative errno. */
int role_request(struct blk_client *c, int slot, enum blk_op op, uint64_t block);

#endif
