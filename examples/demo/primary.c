// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "primary.h"

#define NAME "blkd"

/* With every debug option of the kernel on, and an emulator. */
#define READY_SECONDS 30.0
#define STOP_SECONDS 15.0
#define CONTROL_SECONDS 20.0
/* So long the machine may stall without a queue's end becoming a restart, or a farewell a revoke. */
#define DRAIN_MS "10000"
#define LEAVE_MS "20000"

#define EVENTS_MAX 512

static struct event events[EVENTS_MAX];
static unsigned int nr_events;

/* A word or two behind the event's name. */
static void tell_event(const struct event *e)
{
	static char trust[REPORT_WORD]; /* the same for all of our users: told once */
	char queue[32] = "", pid[32] = "", us[32] = "";

	if (!strcmp(e->name, "policy")) {
		if (strcmp(e->on_trust, trust) && strcmp(e->on_trust, "nothing"))
			say(NAME, "on trust: %s", e->on_trust);
		strcpy(trust, e->on_trust);
		return;
	}
	if (e->queue >= 0)
		snprintf(queue, sizeof(queue), " queue %d", e->queue);
	if (e->pid >= 0 && *e->access)
		snprintf(pid, sizeof(pid), " to pid %d, %.8s", e->pid, e->access);
	if (e->us >= 0)
		snprintf(us, sizeof(us), ", %.0f us", e->us);
	say(NAME, "%s%s%s%s%s%s%s%s%s%s", e->name, queue, pid, *e->why ? ": " : "", e->why,
	    *e->how ? ", by " : "", e->how, *e->what ? ": " : "", e->what, us);
}

static void on_event(struct proc *proc, const char *line)
{
	struct event *e = &events[nr_events];
	const char *why;

	if (event_parse(line, e, &why)) {
		claim(NAME, false, "prints an event that is none (%s): %s", why, line);
		return;
	}
	if (nr_events == EVENTS_MAX - 1) {
		claim(NAME, false, "has no more to tell than %u events", EVENTS_MAX);
		return;
	}
	nr_events++;
	tell_event(e);
}

static void on_complaint(struct proc *proc, const char *line)
{
	struct primary *p = proc->arg;

	snprintf(p->complaint, sizeof(p->complaint), "%s", line);
	/* What it says before it is ready is why it ends: told once, by primary_start(). */
	if (nr_events)
		say(NAME, "%s", line);
}

bool primary_start(struct primary *p, const char *address, char *const *allow)
{
	char *argv[PRIMARY_ARGS] = { (char *)"blkd", (char *)"--json", (char *)"--drain",
				     (char *)DRAIN_MS };
	unsigned int n = 4;
	char text[64];
	int ret;

	p->proc = (struct proc){
		.name = NAME,
		.line = on_event,
		.complains = on_complaint,
		.arg = p,
	};
	strcpy(p->directory, "/tmp/barbuf-demo.XXXXXX");
	/* For everybody: who may have what is blkd's policy. */
	if (!mkdtemp(p->directory) || chmod(p->directory, 0711)) {
		fprintf(stderr, "barbuf-demo: %s: %s\n", p->directory, strerror(errno));
		return false;
	}
	snprintf(p->socket, sizeof(p->socket), "%s/blkd", p->directory);
	for (; *allow && n < PRIMARY_ARGS - 5; allow++) {
		argv[n++] = (char *)"--allow";
		argv[n++] = *allow;
	}
	argv[n++] = (char *)address;
	argv[n++] = p->socket;

	ret = proc_start(&p->proc, 0, argv);
	if (ret) {
		fprintf(stderr, "barbuf-demo: blkd cannot be started: %s\n", strerror(-ret));
		return false;
	}
	UNTIL(nr_events || p->proc.ended, READY_SECONDS);
	if (nr_events && !p->proc.ended) {
		p->queue_reset = events[0].queue_reset;
		return true;
	}
	if (*p->complaint)
		fprintf(stderr, "barbuf-demo: %s\n", p->complaint);
	else
		fprintf(stderr, "barbuf-demo: blkd is not ready: %s\n",
			proc_end_text(&p->proc, text));
	return false;
}

void primary_clean(const struct primary *p)
{
	unlink(p->socket);
	rmdir(p->directory);
}

unsigned int primary_events(void)
{
	return nr_events;
}

static const struct event *find(unsigned int since, const char *name, int queue)
{
	unsigned int i;

	for (i = since; i < nr_events; i++)
		if (!strcmp(events[i].name, name) && (queue < 0 || events[i].queue == queue))
			return &events[i];
	return NULL;
}

const struct event *primary_event(unsigned int since, const char *name, int queue, double seconds)
{
	const struct event *e = NULL;

	UNTIL((e = find(since, name, queue)), seconds);
	return e;
}

static void on_control_line(struct proc *proc, const char *line)
{
	say("blkctl", "%s", line);
}

static bool control(const struct primary *p, const char *command, int queue, const char *value)
{
	struct proc ctl = { .name = "blkctl",
			    .line = on_control_line,
			    .complains = on_control_line };
	char nr[16], text[64];
	char *argv[] = {
		(char *)"blkctl",      (char *)p->socket, (char *)command,
		queue < 0 ? NULL : nr, (char *)value,	  NULL,
	};
	int ret;

	snprintf(nr, sizeof(nr), "%d", queue);
	ret = proc_start(&ctl, 0, argv);
	if (!ret && !UNTIL(ctl.ended, CONTROL_SECONDS)) {
		proc_signal(&ctl, SIGKILL);
		UNTIL(ctl.ended, CONTROL_SECONDS);
	}
	return claim("blkctl", !ret && proc_exited(&ctl, 0), "%s%s%s: %s", command,
		     queue < 0 ? "" : " queue ", queue < 0 ? "" : nr,
		     ret ? strerror(-ret) : proc_end_text(&ctl, text));
}

bool primary_control(const struct primary *p, const char *command, int queue)
{
	return control(p, command, queue, NULL);
}

bool primary_leave(const struct primary *p, int queue)
{
	return control(p, "leave", queue, LEAVE_MS);
}

bool primary_stop(struct primary *p)
{
	char text[64];

	if (!primary_control(p, "stop", -1))
		return false;
	UNTIL(p->proc.ended, STOP_SECONDS);
	return claim(NAME, proc_exited(&p->proc, 0), "gives the device back and ends: %s",
		     proc_end_text(&p->proc, text));
}
