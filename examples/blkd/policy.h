/* SPDX-License-Identifier: MIT */
/*
 * Who may have what: the rules of --allow.
 *
 *	USER[,queues=N][,ro][,window=FIRST+COUNT][,fixed]
 *
 * A rule that names the user goes before one for `any`. Root and blkd's own user may have
 * everything when no rule is about them.
 *
 * What of it the hardware enforces: see policy_trust().
 */
#ifndef BLKD_POLICY_H
#define BLKD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POLICY_MAX 64u
#define POLICY_ANY ((uid_t)-1)

struct rule {
	uid_t uid; /* or POLICY_ANY */
	uint32_t queues; /* at once; 0: all */
	uint32_t flags; /* BLK_READ_ONLY, BLK_FIXED */
	uint64_t first, count; /* blocks; a count of 0: to the end */
};

struct policy {
	struct rule rules[POLICY_MAX];
	size_t nr;
	struct rule own; /* of root and blkd's own user */
};

/* Begin with no rule. */
void policy_init(struct policy *p);

/**
 * policy_add() - read one --allow
 * @why: on error a sentence that names the word, and the limit
 *
 * Errors: -EINVAL; -ENOENT: no such user; -EEXIST: a second rule for a user; -ENOSPC: POLICY_MAX.
 */
int policy_add(struct policy *p, const char *text, char *why, size_t size);

/* Do all windows lie on a disk of so many blocks? Sets counts that were left open. -ERANGE. */
int policy_fit(struct policy *p, uint64_t blocks, char *why, size_t size);

/* The rule for a user, NULL: there is none. */
const struct rule *policy_find(const struct policy *p, uid_t uid);

/* "rw", "ro" or "ro,fixed". */
const char *policy_access(uint32_t flags);

/* What of a rule stands on the holder's word alone, in a few words. */
const char *policy_trust(const struct rule *r, uint64_t blocks);

#endif
