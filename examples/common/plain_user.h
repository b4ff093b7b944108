/* SPDX-License-Identifier: MIT */
#ifndef PLAIN_USER_H
#define PLAIN_USER_H

#include <sys/types.h>

/* nobody and nogroup: the overflow ids, which own nothing */
#define PLAIN_USER_NOBODY 65534

/**
 * become_plain_user() - give up all rights, with no way back
 * @uid: and the gid of the same number; no other groups
 *
 * For a child of root, between fork() and exec(): all capabilities go, also out of the
 * bounding set, and no program that it executes gets new ones.
 *
 * Return: NULL, or the name of the step that failed, with errno.
 */
const char *become_plain_user(uid_t uid);

#endif
