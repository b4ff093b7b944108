/* SPDX-License-Identifier: MIT */
/* All that a client needs of the kernel once it has its lease. */
#ifndef BLK_SYSCALLS_H
#define BLK_SYSCALLS_H

/*
 * No new privileges, and from here on no system call but those that I/O, the primary's messages and
 * another grant take; any other one kills the process (SIGSYS). No file can be opened, no program
 * started and no memory made executable. By libseccomp. -EOPNOTSUPP: this kernel has no seccomp
 * filters; -ENOMEM.
 */
int syscalls_restrict(void);

#endif
