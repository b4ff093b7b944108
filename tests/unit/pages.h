/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages that raise SIGBUS, as those of a revoked buffer do, and children that die of it. */
#ifndef PAGES_H
#define PAGES_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* make check-arm64 runs the tests in QEMU's user emulation, which cannot do everything. */
#ifndef USER_EMULATION
#define USER_EMULATION 0
#endif

/* @good pages of a file, and @bad pages past its end. NULL: failed. */
__attribute__((unused)) static char *pages_map(size_t good, size_t bad)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("pages", MFD_CLOEXEC);
	char *map;

	if (fd < 0 || ftruncate(fd, good * page))
		return NULL;
	map = mmap(NULL, (good + bad) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

/*
 * The wait status of a child that runs @fn and exits with what it returns. A handler that
 * comes back for ever meets the alarm. The sanitizers' own handlers are taken out.
 */
__attribute__((unused)) static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		alarm(60);
		_exit(fn());
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

#define EXITED_0(status) (WIFEXITED(status) && !WEXITSTATUS(status))
#define KILLED_BY(status, sig) (WIFSIGNALED(status) && WTERMSIG(status) == (sig))

#endif
