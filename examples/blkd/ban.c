// SPDX-License-Identifier: MIT
#include <stddef.h>

#include "ban.h"

static const struct ban *find(const struct bans *b, uid_t uid)
{
	unsigned int i;

	for (i = 0; i < BAN_UIDS; i++)
		if (b->ban[i].nr && b->ban[i].uid == uid)
			return &b->ban[i];
	return NULL;
}

/* When there was last something with it. */
static double last(const struct ban *ban)
{
	double at = ban->at[(ban->nr - 1) % BAN_POINTS];

	return ban->until > at ? ban->until : at;
}

static struct ban *take(struct bans *b, uid_t uid)
{
	struct ban *ban = (struct ban *)find(b, uid);
	unsigned int i;

	for (i = 0; !ban && i < BAN_UIDS; i++)
		if (!b->ban[i].nr)
			ban = &b->ban[i];
	if (!ban) {
		ban = &b->ban[0];
		for (i = 1; i < BAN_UIDS; i++)
			if (last(&b->ban[i]) < last(ban))
				ban = &b->ban[i];
		*ban = (struct ban){ 0 };
	}
	ban->uid = uid;
	return ban;
}

void ban_count(struct bans *b, uid_t uid, unsigned int points, double t)
{
	struct ban *ban = take(b, uid);

	while (points--)
		ban->at[ban->nr++ % BAN_POINTS] = t;
	/* The oldest that is kept is next to be written over. */
	if (t < ban->until || ban->nr < BAN_POINTS ||
	    t - ban->at[ban->nr % BAN_POINTS] >= BAN_WITHIN_SECONDS)
		return;
	if (!ban->lasts || t - ban->until >= BAN_SECONDS_MAX)
		ban->lasts = BAN_SECONDS;
	else if (ban->lasts < BAN_SECONDS_MAX)
		ban->lasts *= 2;
	ban->until = t + ban->lasts;
}

double ban_left(const struct bans *b, uid_t uid, double t)
{
	const struct ban *ban = find(b, uid);

	return ban && ban->until > t ? ban->until - t : 0;
}
