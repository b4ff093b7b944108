// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "users.h"

/* The largest number means "any" or "none" to the kernel. */
static bool number(const char *text, unsigned int *id)
{
	unsigned long v;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || v >= UINT32_MAX)
		return false;
	*id = v;
	return true;
}

#ifdef BARBUF_STATIC
/* A static program has no name services: /etc/passwd and /etc/group are all there is. */
static const struct passwd *find_user(const char *name)
{
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *p = NULL;

	while (f && (p = fgetpwent(f)) && strcmp(p->pw_name, name))
		;
	if (f)
		fclose(f);
	return p;
}

static const struct group *find_group(const char *name)
{
	FILE *f = fopen("/etc/group", "re");
	const struct group *g = NULL;

	while (f && (g = fgetgrent(f)) && strcmp(g->gr_name, name))
		;
	if (f)
		fclose(f);
	return g;
}
#else
#define find_user getpwnam
#define find_group getgrnam
#endif

int user_parse(const char *text, uid_t *uid)
{
	const struct passwd *p;

	if (number(text, uid))
		return 0;
	p = find_user(text);
	if (!p)
		return -ENOENT;
	*uid = p->pw_uid;
	return 0;
}

int group_parse(const char *text, gid_t *gid)
{
	const struct group *g;

	if (number(text, gid))
		return 0;
	g = find_group(text);
	if (!g)
		return -ENOENT;
	*gid = g->gr_gid;
	return 0;
}
