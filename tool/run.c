// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM };

#define NR_PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

/* In the child; what went wrong goes into @report, which a successful exec closes. */
static void become(const struct run *r, const sigset_t *mask, void (*on_child)(int), int report)
{
	const char *const *env;
	ssize_t n;
	int err;

	signal(SIGCHLD, on_child);
	for (env = r->env; *env; env++)
		putenv((char *)*env);
	if (!fcntl(r->fd, F_SETFD, 0) && !sigprocmask(SIG_SETMASK, mask, NULL))
		execvp(r->argv[0], r->argv);
	err = errno;
	n = write(report, &err, sizeof(err));
	_exit(n == sizeof(err) ? 127 : 126);
}

static int wait_for(pid_t pid, int signals, int *how)
{
	struct signalfd_siginfo info;

	for (;;) {
		pid_t ended = waitpid(pid, how, WNOHANG);

		if (ended == pid)
			return 0;
		if (ended < 0 && errno != EINTR)
			return -errno;
		if (read(signals, &info, sizeof(info)) != sizeof(info)) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		/* SI_KERNEL: of the terminal, to its whole foreground group. */
		if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
			kill(pid, info.ssi_signo);
	}
}

int run_command(const struct run *r, int *status)
{
	int report[2], signals, err = 0, ret, end, how = 0;
	void (*on_child)(int);
	sigset_t set, old;
	size_t i;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (i = 0; i < NR_PASSED_ON; i++)
		sigaddset(&set, passed_on[i]);
	if (pipe2(report, O_CLOEXEC))
		return -errno;
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		ret = -errno;
		goto out_pipe;
	}
	/* SIGCHLD may have been ignored from the start, and then no status is kept. */
	on_child = signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &old);
	pid = fork();
	if (pid < 0) {
		ret = -errno;
		goto out_mask;
	}
	if (!pid)
		become(r, &old, on_child, report[1]);
	close(report[1]);
	report[1] = -1;
	ret = 0;
	if (read(report[0], &err, sizeof(err)) == sizeof(err))
		ret = -err;
	end = wait_for(pid, signals, &how);
	if (!ret)
		ret = end;
	if (!ret)
		*status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
out_mask:
	signal(SIGCHLD, on_child);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(signals);
out_pipe:
	close(report[0]);
	if (report[1] >= 0)
		close(report[1]);
	return ret;
}
