/* SPDX-License-Identifier: MIT */
/*
 * Who has stopped the device for all too often: a count for each uid, and for how long it gets no
 * queue. One uid's count is in nobody's way: what is forgotten first is who was quiet for longest.
 */
#ifndef BLKD_BAN_H
#define BLKD_BAN_H

#include <stdbool.h>
#include <sys/types.h>

/* So many points within such a time are too many: each is a pause for all. */
#define BAN_POINTS 16u
#define BAN_WITHIN_SECONDS 10.0
/* The first ban; each further one is twice as long, until the longest has passed in peace. */
#define BAN_SECONDS 10.0
#define BAN_SECONDS_MAX 640.0
#define BAN_UIDS 64u

struct bans {
	struct ban {
		uid_t uid;
		double at[BAN_POINTS]; /* of the last points, in a circle */
		unsigned int nr; /* 0: this one is free */
		double until;
		double lasts;
	} ban[BAN_UIDS];
};

void ban_count(struct bans *b, uid_t uid, unsigned int points, double t);
/* Seconds from @t on in which @uid gets no queue; 0: it may have one. */
double ban_left(const struct bans *b, uid_t uid, double t);

#endif
