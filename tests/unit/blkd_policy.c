// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules of who may have what: how they are read, and who gets which. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"
#include "window.h"

#include "tap.h"

static char why[248];

static const struct rule *accepts(struct policy *p, const char *text)
{
	int ret = policy_add(p, text, why, sizeof(why));

	CHECK(!ret, "'%s' is a rule (%s)", text, ret ? why : "");
	return ret ? &p->own : &p->rules[p->nr - 1];
}

static void reads(void)
{
	const struct rule *r;
	struct policy p;

	policy_init(&p);
	r = accepts(&p, "1000");
	CHECK(r->uid == 1000 && !r->queues && !r->flags && !r->first && !r->count,
	      "of all queues, for reading and writing, of the whole disk");
	r = accepts(&p, "root,queues=2,ro,window=8+16,fixed");
	CHECK(r->uid == 0 && r->queues == 2 && r->flags == (BLK_READ_ONLY | BLK_FIXED) &&
		      r->first == 8 && r->count == 16,
	      "with all that there is, of a name");
	r = accepts(&p, "any,fixed,ro");
	CHECK(r->uid == POLICY_ANY && r->flags == (BLK_READ_ONLY | BLK_FIXED),
	      "in any order, of anybody");
	r = accepts(&p, "4294967294,window=18446744073709551614+1");
	CHECK(r->uid == 4294967294u && r->first == UINT64_MAX - 1 && r->count == 1,
	      "with the largest numbers");
}

/* @says: a part of the sentence. */
static void refuses(const char *text, int want, const char *says)
{
	struct policy p;
	int ret;

	policy_init(&p);
	*why = '\0';
	ret = policy_add(&p, text, why, sizeof(why));
	CHECK(ret == want && !p.nr && strstr(why, says), "'%s' is refused: %d, %s", text, ret, why);
}

static void refusals(void)
{
	refuses("", -ENOENT, "''");
	refuses("no-such-user", -ENOENT, "'no-such-user'");
	refuses("4294967295", -ENOENT, "'4294967295'");
	refuses("-1", -ENOENT, "'-1'");
	refuses("10x", -ENOENT, "'10x'");
	refuses("99999999999999999999", -ENOENT, "'99999999999999999999'");
	refuses("0,", -EINVAL, "''");
	refuses("0,rw", -EINVAL, "'rw'");
	refuses("0,queues=", -EINVAL, "1 to 65535");
	refuses("0,queues=0", -EINVAL, "1 to 65535");
	refuses("0,queues=65536", -EINVAL, "1 to 65535");
	refuses("0,queues=4294967297", -EINVAL, "1 to 65535");
	refuses("0,queues=2x", -EINVAL, "1 to 65535");
	refuses("0,queues= 2", -EINVAL, "1 to 65535");
	refuses("0,window=5", -EINVAL, "FIRST+COUNT");
	refuses("0,window=+5", -EINVAL, "FIRST+COUNT");
	refuses("0,window=5+", -EINVAL, "FIRST+COUNT");
	refuses("0,window=5+-1", -EINVAL, "FIRST+COUNT");
	refuses("0,window=5+5+5", -EINVAL, "FIRST+COUNT");
	refuses("0,window=5+0", -EINVAL, "1 or more");
	refuses("0,window=18446744073709551615+1", -EINVAL, "64 bits");
	refuses("0,window=1+18446744073709551616", -EINVAL, "FIRST+COUNT");
	refuses("0,fixed", -EINVAL, "ro");
	refuses("0,ro,fixed,window=0+65", -ERANGE, "65 blocks, and 64");
}

static void second(void)
{
	struct policy p;
	char text[32];
	unsigned int i;

	policy_init(&p);
	accepts(&p, "root");
	CHECK(policy_add(&p, "0,ro", why, sizeof(why)) == -EEXIST && p.nr == 1,
	      "a second rule for a user, by another name: %s", why);
	for (i = 1; i < POLICY_MAX; i++) {
		snprintf(text, sizeof(text), "%u", i);
		policy_add(&p, text, why, sizeof(why));
	}
	CHECK(p.nr == POLICY_MAX, "%zu rules", p.nr);
	CHECK(policy_add(&p, "5000", why, sizeof(why)) == -ENOSPC && strstr(why, "64"),
	      "and one too many: %s", why);
}

static void finds(void)
{
	const struct rule *r;
	struct policy p;

	policy_init(&p);
	p.own.uid = 77; /* whose it is, if not root's */
	CHECK(policy_find(&p, 0) == &p.own && policy_find(&p, 77) == &p.own,
	      "without a rule root and its own user have all");
	CHECK(!policy_find(&p, 1000), "and nobody else has");
	r = accepts(&p, "1000,ro");
	CHECK(policy_find(&p, 1000) == r && !policy_find(&p, 1001), "a rule is for its user");
	CHECK(policy_find(&p, 0) == &p.own, "and takes nothing from root");
	r = accepts(&p, "any,queues=1");
	CHECK(policy_find(&p, 1001) == r && policy_find(&p, 0) == r, "any is everybody");
	CHECK(policy_find(&p, 1000) == &p.rules[0], "but who is named");
}

static void fits(void)
{
	struct policy p;

	policy_init(&p);
	accepts(&p, "1,window=10+90");
	accepts(&p, "2");
	CHECK(!policy_fit(&p, 100, why, sizeof(why)), "a window up to the end of the disk");
	CHECK(p.rules[0].count == 90 && p.rules[1].count == 100 && p.own.count == 100,
	      "what was left open is the whole disk");
	CHECK(policy_fit(&p, 99, why, sizeof(why)) == -ERANGE && strstr(why, "10+90") &&
		      strstr(why, "99"),
	      "past its end: %s", why);
	policy_init(&p);
	accepts(&p, "1,window=18446744073709551614+1");
	CHECK(policy_fit(&p, 100, why, sizeof(why)) == -ERANGE, "far past its end: %s", why);
}

static void trust(void)
{
	struct policy p;

	policy_init(&p);
	accepts(&p, "1,window=0+10");
	accepts(&p, "2,ro,window=0+10");
	accepts(&p, "3,ro,fixed,window=0+10");
	accepts(&p, "4,window=0+100");
	policy_fit(&p, 100, why, sizeof(why));
	CHECK(strstr(policy_trust(&p.rules[0], 100), "window") &&
		      strstr(policy_trust(&p.rules[1], 100), "window"),
	      "a window is kept on the holder's word, for reading, too");
	CHECK(!strcmp(policy_trust(&p.rules[2], 100), "nothing"), "but if it is fixed");
	CHECK(!strcmp(policy_trust(&p.rules[3], 100), "nothing"), "or all there is");
}

int main(void)
{
	reads();
	refusals();
	second();
	finds();
	fits();
	trust();
	return tap_done();
}
