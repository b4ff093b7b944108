// SPDX-License-Identifier: MIT
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "plain_user.h"

const char *become_plain_user(uid_t uid)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap))
			return "PR_CAPBSET_DROP";
	if (setgroups(0, NULL))
		return "setgroups";
	if (setresgid(uid, uid, uid))
		return "setresgid";
	if (setresuid(uid, uid, uid))
		return "setresuid";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return "PR_SET_NO_NEW_PRIVS";
	return NULL;
}
