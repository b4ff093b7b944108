// SPDX-License-Identifier: LGPL-2.1-or-later
/* The demo's children: what they say is heard, and none of them is waited for without an end. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "tap.h"

/* What a child said: lines with a bar behind each. */
struct heard {
	char out[PROC_LINE * 3], err[256];
	unsigned int lines;
};

static void on_line(struct proc *p, const char *line)
{
	struct heard *h = p->arg;

	h->lines++;
	snprintf(h->out + strlen(h->out), sizeof(h->out) - strlen(h->out), "%s|", line);
}

static void on_complaint(struct proc *p, const char *line)
{
	struct heard *h = p->arg;

	snprintf(h->err + strlen(h->err), sizeof(h->err) - strlen(h->err), "%s|", line);
}

static int start(struct proc *p, struct heard *h, const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };

	*p = (struct proc){ .name = "sh", .line = on_line, .complains = on_complaint, .arg = h };
	memset(h, 0, sizeof(*h));
	return proc_start(p, 0, argv);
}

static void says_and_ends(void)
{
	struct heard h;
	struct proc p;
	char text[64];

	REQUIRE(!start(&p, &h, "echo one; echo two >&2; printf 'a\\000b'; exit 7"), "starts");
	CHECK(p.pid > 0 && !strcmp(proc_end_text(&p, text), "still running"), "it runs");
	CHECK(UNTIL(p.ended, 10) && !p.pid, "it ends, and has no pid any more");
	CHECK(!strcmp(h.out, "one|a?b|"), "its lines, also the last without an end: '%s'", h.out);
	CHECK(!strcmp(h.err, "two|"), "and what it complains of: '%s'", h.err);
	CHECK(proc_exited(&p, 7) && !proc_exited(&p, 0), "%s", proc_end_text(&p, text));
	proc_signal(&p, SIGKILL);
	CHECK(!strcmp(text, "exit status 7"), "a signal to what has ended reaches nobody");
}

static void killed(void)
{
	struct heard h;
	struct proc p;
	char text[64];

	REQUIRE(!start(&p, &h, "kill -9 $$"), "starts");
	CHECK(UNTIL(p.ended, 10) && !proc_exited(&p, 9) && !proc_exited(&p, 0) &&
		      !strcmp(proc_end_text(&p, text), "killed by Killed"),
	      "%s", text);
}

static void no_such(void)
{
	char *argv[] = { (char *)"no-such-program", NULL };
	struct proc p = { .name = "none" };
	char text[64];

	CHECK(proc_start(&p, 0, argv) == -ENOENT && !p.pid, "what is not there does not start");
	CHECK(!strcmp(proc_end_text(&p, text), "not started"), "%s", text);
}

static void long_lines(void)
{
	struct heard h;
	struct proc p;

	REQUIRE(!start(&p, &h, "head -c 10000 /dev/zero | tr '\\0' x; echo; echo end"), "starts");
	CHECK(UNTIL(p.ended, 10) && h.lines == 4 && strlen(h.out) == 10000 + 4 + 3 &&
		      strstr(h.out, "x|end|"),
	      "a line that is too long comes in pieces: %u lines, %zu bytes", h.lines,
	      strlen(h.out));
}

/* One that never ends, one whose child keeps the pipe, one that never stops talking. */
static void hung(void)
{
	struct heard h1, h2, h3;
	struct proc p1, p2, p3;
	double began = timeline_now();
	char text[64];
	pid_t pid;

	REQUIRE(!start(&p1, &h1, "trap '' TERM; echo up; while :; do sleep 60; done"), "starts");
	REQUIRE(!start(&p2, &h2, "sleep 60 & echo $!; exit 3"), "starts");
	REQUIRE(!start(&p3, &h3, "exec yes >&2"), "starts");
	CHECK(UNTIL(p2.ended, 30), "an end is seen though a child of its own has the pipe");
	CHECK(proc_exited(&p2, 3) && h2.lines == 1, "with what it said before");
	CHECK(UNTIL(h1.lines, 10), "the others are heard while one talks without an end");
	proc_signal(&p1, SIGTERM);
	CHECK(!UNTIL(p1.ended, 0.3), "waiting for one that hangs has an end");
	pid = p1.pid;
	CHECK(procs_end() && p1.ended && p3.ended, "all are killed at the end");
	CHECK(WIFSIGNALED(p1.status) && WTERMSIG(p1.status) == SIGKILL, "%s",
	      proc_end_text(&p1, text));
	CHECK(kill(pid, 0) < 0 && errno == ESRCH, "and no zombie is left");
	CHECK(timeline_now() - began < 50, "in %.1f seconds", timeline_now() - began);
	kill(atoi(h2.out), SIGKILL);
}

static void many(void)
{
	static struct proc p[PROCS_MAX + 1];
	static struct heard h[PROCS_MAX + 1];
	unsigned int i, ok = 0;

	for (i = 0; i < PROCS_MAX; i++)
		ok += !start(&p[i], &h[i], "exec sleep 60");
	CHECK(ok == PROCS_MAX, "%u run at once", ok);
	CHECK(start(&p[PROCS_MAX], &h[PROCS_MAX], ":") == -EAGAIN, "one more does not start");
	CHECK(procs_end(), "all end");
	CHECK(!start(&p[0], &h[0], "echo again") && UNTIL(p[0].ended, 10) &&
		      !strcmp(h[0].out, "again|"),
	      "there is room again");
}

int main(void)
{
	says_and_ends();
	killed();
	no_such();
	long_lines();
	hung();
	many();
	return tap_done();
}
