/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups by name or number. */
#ifndef TOOL_USERS_H
#define TOOL_USERS_H

#include <sys/types.h>

/* -ENOENT: there is none of that name. */
int user_parse(const char *text, uid_t *uid);
int group_parse(const char *text, gid_t *gid);

#endif
