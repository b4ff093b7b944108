// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which signals end a command in order: not a SIGHUP that was ignored from the start. */
#include <signal.h>
#include <unistd.h>

#include "stop.h"
#include "tap.h"

int main(void)
{
	signal(SIGHUP, SIG_IGN);
	if (!CHECK(!stop_begin(), "signals are awaited"))
		return tap_done();
	CHECK(!stop_wait(-1, 0), "none has come");
	kill(getpid(), SIGHUP);
	CHECK(!stop_wait(-1, 0), "one that was ignored, as by nohup, still is");
	kill(getpid(), SIGTERM);
	CHECK(stop_wait(-1, 0) == 1, "SIGTERM stops");
	return tap_done();
}
