// SPDX-License-Identifier: MIT
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "screen.h"

/* How long the load runs undisturbed between two acts. */
#define CALM_SECONDS 1.5

static struct story story;
static char bind_complaint[256];

static void on_bound(struct proc *proc, const char *line)
{
	struct story *s = proc->arg;

	snprintf(s->address, sizeof(s->address), "%.*s", (int)strcspn(line, " "), line);
}

/* The last line is why. */
static void on_bind_complaint(struct proc *proc, const char *line)
{
	snprintf(bind_complaint, sizeof(bind_complaint), "%s", line);
}

/* As given, or from the lab's helper, which binds it to vfio-pci and prints "ADDRESS GROUP". */
static bool find_device(struct story *s)
{
	char *argv[] = { (char *)"vfio-bind", (char *)"blk", NULL };
	struct proc bind = {
		.name = "vfio-bind",
		.line = on_bound,
		.complains = on_bind_complaint,
		.arg = s,
	};
	char text[64];
	int ret;

	if (s->options->device) {
		snprintf(s->address, sizeof(s->address), "%s", s->options->device);
		return true;
	}
	ret = proc_start(&bind, 0, argv);
	UNTIL(ret || bind.ended, LIMIT);
	if (!ret && proc_exited(&bind, 0) && *s->address)
		return true;
	fprintf(stderr, "barbuf-demo: no device: `vfio-bind blk`: %s; --device names another\n",
		ret		? strerror(-ret) :
		*bind_complaint ? bind_complaint :
				  proc_end_text(&bind, text));
	return false;
}

static bool start_primary(struct story *s)
{
	static char rules[NR_USERS][64];
	char *allow[NR_USERS + 1] = { NULL };
	unsigned int i;

	for (i = 0; i < NR_USERS; i++) {
		snprintf(rules[i], sizeof(rules[i]), "%u,queues=1,window=%u+%u", FIRST_UID + i,
			 i * WINDOW, WINDOW);
		allow[i] = rules[i];
	}
	return primary_start(&s->primary, s->address, allow);
}

static void calm(void)
{
	UNTIL(false, CALM_SECONDS);
}

static bool tell(struct story *s)
{
	bool (*const acts[])(struct story *) = { act_four_at_once, act_intruder, act_kill,
						 act_revoke };
	size_t i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (!acts[i](s))
			return false;
		calm();
	}
	act_reset(s);
	calm();
	act_end(s);
	return true;
}

static void on_signal(int sig)
{
	/* Children are killed by the kernel; see proc_start(). */
	primary_clean(&story.primary);
	_exit(128 + sig);
}

int story_main(const struct options *o)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct story *s = &story;
	unsigned int i;
	bool all;

	if (geteuid()) {
		fputs("barbuf-demo: must be run as root: it opens a device and gives up rights for "
		      "others\n",
		      stderr);
		return 1;
	}
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_signal);
	s->options = o;
	s->host_content = !o->device;
	timeline_now();
	screen_begin(o->columns, o->lines,
		     "K killed  R revoked  0 reset  ! stopped  > lent  < left  = is new");
	procs_idle(screen_refresh);
	all = find_device(s) && start_primary(s);
	if (!all) {
		procs_end();
		primary_clean(&s->primary);
		return 1;
	}
	for (i = 0; i < NR_CLIENTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "client %u", i + 1);
		client_init(&s->clients[i], name, FIRST_UID + i,
			    i < NR_QUEUES ? i :
			    i == 4	  ? VICTIM :
					    REVOKED);
	}
	if (!tell(s))
		claim(ME, false, "ends before its end");
	claim(ME, procs_end(), "no child is left");
	primary_clean(&s->primary);
	screen_end();
	summary_print(s->clients, NR_CLIENTS, &s->measured);
	return timeline_end();
}
