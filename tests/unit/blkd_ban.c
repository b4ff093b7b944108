// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who has stopped the device too often gets no queue for a while. */
#include "ban.h"
#include "tap.h"

#define UID 1000

static struct bans bans;

/* So many points, as many seconds apart; then whether it is banned. */
static bool count(uid_t uid, unsigned int points, double t, double apart)
{
	while (points--) {
		ban_count(&bans, uid, 1, t);
		t += apart;
	}
	return ban_left(&bans, uid, t - apart) > 0;
}

static void limit(void)
{
	bans = (struct bans){ 0 };
	CHECK(!count(UID, 100, 0, 0.7), "for ever at a pace that is bearable");
	bans = (struct bans){ 0 };
	CHECK(!count(UID, BAN_POINTS - 1, 0, 0), "all at once, but one");
	CHECK(count(UID, 1, 9, 0), "and one more in time");
	CHECK(ban_left(&bans, UID, 9) == BAN_SECONDS, "for ten seconds");
	CHECK(ban_left(&bans, UID, 18.5) == 0.5 && !ban_left(&bans, UID, 19), "and no longer");
	CHECK(!ban_left(&bans, UID + 1, 10), "nobody else is");
	bans = (struct bans){ 0 };
	ban_count(&bans, UID, 6, 0);
	ban_count(&bans, UID, 6, 3);
	CHECK(!ban_left(&bans, UID, 3), "two that count for more");
	ban_count(&bans, UID, 6, 6);
	CHECK(ban_left(&bans, UID, 6) > 0, "and three");
}

static void again(void)
{
	double t = 0, lasts = BAN_SECONDS;
	unsigned int i;

	bans = (struct bans){ 0 };
	for (i = 0; i < 10; i++) {
		count(UID, BAN_POINTS, t, 0);
		if (ban_left(&bans, UID, t) != lasts)
			break;
		count(UID, BAN_POINTS, t + 1, 0);
		if (ban_left(&bans, UID, t) != lasts)
			break;
		t += lasts;
		lasts = lasts < BAN_SECONDS_MAX ? 2 * lasts : BAN_SECONDS_MAX;
	}
	CHECK(i == 10 && lasts == BAN_SECONDS_MAX, "twice as long each time: round %u, %.0f s", i,
	      lasts);
	t += BAN_SECONDS_MAX;
	count(UID, BAN_POINTS, t, 0);
	CHECK(ban_left(&bans, UID, t) == BAN_SECONDS, "but for who was quiet: %.0f s",
	      ban_left(&bans, UID, t));
}

/* Others, as many as there is room for, do not make it forgotten. */
static void many(void)
{
	unsigned int i;

	bans = (struct bans){ 0 };
	count(UID, BAN_POINTS, 0, 0);
	for (i = 1; i < 4 * BAN_UIDS; i++)
		ban_count(&bans, UID + i, 1, 1 + i / 1000.0);
	CHECK(ban_left(&bans, UID, 2) > 0, "one that is banned stays so beside many");
	bans = (struct bans){ 0 };
	for (i = 0; i < BAN_POINTS; i++) {
		unsigned int k;

		for (k = 0; k < 8; k++)
			ban_count(&bans, UID + k, 1, i / 10.0);
	}
	for (i = 0; i < 8 && ban_left(&bans, UID + i, 2); i++)
		;
	CHECK(i == 8, "eight in turn are banned: all but %u", 8 - i);
}

int main(void)
{
	limit();
	again();
	many();
	return tap_done();
}
