// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "demo.h"
#include "screen.h"

static void on_attempt(struct proc *proc, const char *line)
{
	struct tries *t = proc->arg;
	struct attempt a;
	const char *why;
	bool holds;

	if (attempt_parse(line, &a, &why)) {
		claim(proc->name, false, "prints what is none of its lines (%s): %s", why, line);
		return;
	}
	t->waits |= !strcmp(a.say, "waits");
	t->done |= !strcmp(a.say, "done");
	if (*a.say)
		return;
	t->tried++;
	holds = !strcmp(a.wanted, a.got);
	t->row.errors += !holds;
	history_mark(&t->row.history, timeline_now(), holds ? t->mark : 'X');
	claim(proc->name, holds, "%s: %s%s%s", a.what, a.got, holds ? "" : ", and not ",
	      holds ? "" : a.wanted);
}

static void on_complaint(struct proc *proc, const char *line)
{
	say(proc->name, "%s", line);
}

bool tries_start(struct tries *t, const char *name, char mark, int queue, uid_t uid,
		 char *const *argv)
{
	int ret;

	t->proc = (struct proc){
		.name = name,
		.line = on_attempt,
		.complains = on_complaint,
		.arg = t,
	};
	t->mark = mark;
	t->row = (struct row){ .queue = queue, .iops = -1, .mood = ROW_WAITING };
	snprintf(t->row.name, sizeof(t->row.name), "%s", name);
	snprintf(t->row.state, sizeof(t->row.state), "at work");
	history_init(&t->row.history);
	screen_add(&t->row);
	ret = proc_start(&t->proc, uid, argv);
	if (ret)
		return claim(name, false, "cannot be started: %s", strerror(-ret));
	return true;
}

void tries_end(struct tries *t, unsigned int least)
{
	char text[64];

	UNTIL(t->proc.ended, LIMIT);
	claim(t->proc.name, t->done && t->tried >= least && proc_exited(&t->proc, 0),
	      "has tried %u things, of %u at least, and ends: %s", t->tried, least,
	      proc_end_text(&t->proc, text));
	t->row.mood = ROW_DONE;
	snprintf(t->row.state, sizeof(t->row.state), "done");
}
