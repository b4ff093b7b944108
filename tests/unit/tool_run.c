// SPDX-License-Identifier: LGPL-2.1-or-later
/* A command that is run: its status, its descriptor, its environment, its signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"
#include "tap.h"

static int inherited;

/* Returns what run_command() does; *status is -1 if it was not set. */
static int shell(const char *script, int *status)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	static char number[32];
	const char *const env[] = { number, NULL };
	struct run r = { .argv = argv, .fd = inherited, .env = env };

	snprintf(number, sizeof(number), "NUMBER=%d", inherited);
	*status = -1;
	return run_command(&r, status);
}

static void statuses(void)
{
	int status;

	CHECK(!shell("exit 0", &status) && status == 0, "status %d", status);
	CHECK(!shell("exit 77", &status) && status == 77, "status %d", status);
	CHECK(!shell("kill -KILL $$", &status) && status == 128 + SIGKILL, "status %d", status);
	CHECK(!shell("kill -TERM $$", &status) && status == 128 + SIGTERM, "status %d", status);
}

static void not_there(void)
{
	char *argv[] = { (char *)"/nonexistent/command", NULL };
	const char *const env[] = { NULL };
	struct run r = { .argv = argv, .fd = inherited, .env = env };
	int status = 4711;

	CHECK(run_command(&r, &status) == -ENOENT && status == 4711, "a command that is not there");
	argv[0] = (char *)"/dev/null";
	CHECK(run_command(&r, &status) == -EACCES && status == 4711, "one that is no program");
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
}

static void descriptor(void)
{
	int other = fcntl(inherited, F_DUPFD_CLOEXEC, 50);
	char script[128];
	int status;

	CHECK(!shell("test $NUMBER -gt 2 && readlink /proc/self/fd/$NUMBER | grep -q memfd:it",
		     &status) &&
		      !status,
	      "the descriptor is inherited by its number");
	CHECK(fcntl(inherited, F_GETFD) & FD_CLOEXEC, "and still close-on-exec here");
	snprintf(script, sizeof(script), "! test -e /proc/self/fd/%d", other);
	CHECK(!shell(script, &status) && !status, "another one is not");
	CHECK(!getenv("NUMBER"), "the environment here is not touched");
	close(other);
}

/* The command sends @sig to whoever runs it, this process, which by then waits for it. */
static void passed_on(int sig)
{
	char script[64];
	int status;

	/* Under nohup(1), which this may run under, the command would ignore SIGHUP. */
	signal(sig, SIG_DFL);
	snprintf(script, sizeof(script), "kill -%d $PPID; exec sleep 60", sig);
	CHECK(!shell(script, &status) && status == 128 + sig, "signal %d is passed on: %d", sig,
	      status);
}

static void signals(void)
{
	sigset_t before, after;
	int status, i, different = 0;

	passed_on(SIGTERM);
	passed_on(SIGINT);
	passed_on(SIGHUP);
	sigprocmask(SIG_SETMASK, NULL, &before);
	/* The command is not born with our signals blocked: it would ignore Ctrl-C. */
	CHECK(!shell("grep -q '^SigBlk:.*0000000000000000$' /proc/self/status", &status) && !status,
	      "the command blocks no signal");
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (i = 1; i < 32; i++)
		different += sigismember(&before, i) != sigismember(&after, i);
	CHECK(!different, "nor do we afterwards");
	signal(SIGCHLD, SIG_IGN);
	CHECK(!shell("exit 3", &status) && status == 3, "with SIGCHLD ignored: %d", status);
	CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN, "which it still is then");
}

int main(void)
{
	inherited = memfd_create("it", MFD_CLOEXEC);
	if (CHECK(inherited >= 0, "a descriptor")) {
		statuses();
		not_there();
		descriptor();
		signals();
	}
	return tap_done();
}
