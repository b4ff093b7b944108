// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include "stop.h"

static int signals = -1;

int stop_begin(void)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Ignored by nohup(1), it would come here all the same: what is blocked is not dropped. */
	if (sigaction(SIGHUP, NULL, &hangup) || hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return signals < 0 ? -errno : 0;
}

int stop_fd(void)
{
	return signals;
}

int stop_wait(int fd, int ms)
{
	struct pollfd p[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = fd, .events = POLLIN | POLLRDHUP },
	};

	if (poll(p, 2, ms) < 0 && errno != EINTR)
		return -errno;
	return p[0].revents ? 1 : 0;
}

bool stop_is_closed(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

double stop_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
