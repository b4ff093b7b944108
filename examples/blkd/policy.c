// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"
#include "window.h"

void policy_init(struct policy *p)
{
	*p = (struct policy){ .own = { .uid = geteuid() } };
}

/* Decimal digits and nothing else. */
static bool number(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &stop, 10);
	*end = stop;
	return !errno;
}

/* From the file, not by getpwnam(): a static program has no name services. */
static int find_user(const char *name, uid_t *uid)
{
	const struct passwd *pw;
	const char *end;
	uint64_t value;
	int ret = -ENOENT;
	FILE *f;

	if (!strcmp(name, "any")) {
		*uid = POLICY_ANY;
		return 0;
	}
	if (number(name, &value, &end) && !*end) {
		*uid = value;
		return value < POLICY_ANY ? 0 : -ENOENT;
	}
	f = fopen("/etc/passwd", "re");
	while (f && ret && (pw = fgetpwent(f))) {
		if (strcmp(pw->pw_name, name))
			continue;
		*uid = pw->pw_uid;
		ret = 0;
	}
	if (f)
		fclose(f);
	return ret;
}

__attribute__((format(printf, 4, 5))) static int bad(int error, char *why, size_t size,
						     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return error;
}

static int read_queues(struct rule *r, const char *text, char *why, size_t size)
{
	const char *end;
	uint64_t value;

	if (!number(text, &value, &end) || *end || !value || value > UINT16_MAX)
		return bad(-EINVAL, why, size, "queues=%s: a number from 1 to %u", text,
			   UINT16_MAX);
	r->queues = value;
	return 0;
}

static int read_window(struct rule *r, const char *text, char *why, size_t size)
{
	const char *end;

	if (!number(text, &r->first, &end) || *end != '+' || !number(end + 1, &r->count, &end) ||
	    *end)
		return bad(-EINVAL, why, size, "window=%s: FIRST+COUNT, in blocks", text);
	if (!r->count)
		return bad(-EINVAL, why, size, "window=%s: COUNT is 1 or more", text);
	if (r->first + r->count < r->first)
		return bad(-EINVAL, why, size, "window=%s: past the end of 64 bits", text);
	return 0;
}

static int read_word(struct rule *r, const char *word, char *why, size_t size)
{
	if (!strncmp(word, "queues=", 7))
		return read_queues(r, word + 7, why, size);
	if (!strncmp(word, "window=", 7))
		return read_window(r, word + 7, why, size);
	if (!strcmp(word, "ro"))
		r->flags |= BLK_READ_ONLY;
	else if (!strcmp(word, "fixed"))
		r->flags |= BLK_FIXED;
	else
		return bad(-EINVAL, why, size,
			   "'%s' is none of queues=N, ro, fixed, window=FIRST+COUNT", word);
	return 0;
}

static int read_rule(struct rule *r, char *copy, char *why, size_t size)
{
	char *rest = copy, *word = strsep(&rest, ",");
	int ret;

	ret = find_user(word, &r->uid);
	if (ret)
		return bad(ret, why, size, "'%s' is no user, no number of one, and not 'any'",
			   word);
	while (!ret && (word = strsep(&rest, ",")))
		ret = read_word(r, word, why, size);
	/* A client that writes says what and where in its own header. */
	if (!ret && r->flags == BLK_FIXED)
		return bad(-EINVAL, why, size, "fixed goes with ro only");
	/* Slot N is block N. */
	if (!ret && r->flags & BLK_FIXED && r->count > BLK_DEPTH_MAX)
		return bad(-ERANGE, why, size,
			   "fixed: a window of %llu blocks, and %u are the most, a slot each",
			   (unsigned long long)r->count, BLK_DEPTH_MAX);
	return ret;
}

int policy_add(struct policy *p, const char *text, char *why, size_t size)
{
	struct rule r = { 0 };
	char *copy;
	size_t i;
	int ret;

	if (p->nr == POLICY_MAX)
		return bad(-ENOSPC, why, size, "more than %u rules", POLICY_MAX);
	copy = strdup(text);
	if (!copy)
		return bad(-ENOMEM, why, size, "%s", strerror(ENOMEM));
	ret = read_rule(&r, copy, why, size);
	free(copy);
	if (ret)
		return ret;
	for (i = 0; i < p->nr; i++)
		if (p->rules[i].uid == r.uid)
			return bad(-EEXIST, why, size, "a second rule for this user");
	p->rules[p->nr++] = r;
	return 0;
}

int policy_fit(struct policy *p, uint64_t blocks, char *why, size_t size)
{
	size_t i;

	p->own.count = blocks;
	for (i = 0; i < p->nr; i++) {
		struct rule *r = &p->rules[i];

		if (r->first + r->count > blocks)
			return bad(-ERANGE, why, size,
				   "window=%" PRIu64 "+%" PRIu64
				   ": past the end of the disk, which has %" PRIu64 " blocks",
				   r->first, r->count, blocks);
		if (!r->count)
			r->count = blocks;
	}
	return 0;
}

const struct rule *policy_find(const struct policy *p, uid_t uid)
{
	const struct rule *any = NULL;
	size_t i;

	for (i = 0; i < p->nr; i++) {
		if (p->rules[i].uid == uid)
			return &p->rules[i];
		if (p->rules[i].uid == POLICY_ANY)
			any = &p->rules[i];
	}
	if (any)
		return any;
	return uid == 0 || uid == p->own.uid ? &p->own : NULL;
}

const char *policy_access(uint32_t flags)
{
	if (flags & BLK_FIXED)
		return "ro,fixed";
	return flags & BLK_READ_ONLY ? "ro" : "rw";
}

const char *policy_trust(const struct rule *r, uint64_t blocks)
{
	if (r->flags & BLK_FIXED || (!r->first && r->count == blocks))
		return "nothing";
	return "the window: it writes the sector numbers itself";
}
