// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "demo.h"

/* Requests of the first look at the disk. */
#define CHECKED "1000"
#define CHECKED_REQUESTS 1000u

/* In --help's language: what is on the disk is the host's, or not known. */
static const char *verify(const struct story *s)
{
	return s->host_content ? "host" : "own";
}

/* Each reads its part of what the host has put on the disk; read-only leases. */
static bool check_content(struct story *s)
{
	char *const options[] = { (char *)"--verify",
				  (char *)"host",
				  (char *)"--write",
				  (char *)"0",
				  (char *)"--requests",
				  (char *)CHECKED,
				  NULL };
	unsigned int i, ok = 0;
	char text[64];

	for (i = 0; i < NR_QUEUES; i++)
		if (!client_start(&s->clients[i], s->primary.socket, options))
			return false;
	for (i = 0; i < NR_QUEUES; i++) {
		struct demo_client *c = &s->clients[i];

		UNTIL(c->proc.ended, LIMIT);
		ok += claim(c->row.name,
			    proc_exited(&c->proc, 0) && c->now.final && !*c->now.end &&
				    c->now.done == CHECKED_REQUESTS && !c->now.errors &&
				    !c->now.io_errors && !c->now.sigbus,
			    "reads %" PRIu64 " blocks that the host has written, with %" PRIu64
			    " data errors: %s",
			    c->now.done, c->now.errors, proc_end_text(&c->proc, text));
	}
	return ok == NR_QUEUES;
}

/* With what is read verified: the host's, or what it has written itself. */
static bool start_load(struct story *s, unsigned int i, const char *content)
{
	char *const options[] = { (char *)"--verify", (char *)content, (char *)"--write",
				  (char *)"50", NULL };
	struct demo_client *c = &s->clients[i];

	if (!client_start(c, s->primary.socket, options))
		return false;
	client_mark(c, '>');
	return true;
}

static bool is_at_work(struct demo_client *c)
{
	char wrong[REPORT_WORD], text[64];
	bool confined;

	UNTIL((c->running && c->reports >= REPORTS) || c->proc.ended, LIMIT);
	if (!claim(c->row.name, c->running && c->proc.pid && !c->now.errors && !c->now.io_errors,
		   "rings queue %d alone: %" PRIu64 " verified requests so far, %" PRIu64
		   " data errors%s%s",
		   c->queue, c->now.done, c->now.errors, c->proc.ended ? "; " : "",
		   c->proc.ended ? proc_end_text(&c->proc, text) : ""))
		return false;
	confined = client_is_confined(c, wrong);
	return claim(c->row.name, confined,
		     "pid %d is plain user %u: no capability, no VFIO descriptor, a system call "
		     "filter%s%s",
		     c->proc.pid, c->uid, *wrong ? "; " : "", wrong);
}

bool act_four_at_once(struct story *s)
{
	unsigned int i;

	say(ME, "four plain users, a queue each");
	if (s->host_content) {
		if (!check_content(s))
			return false;
	} else {
		say(ME,
		    "what is on this disk is not known: data is verified that was written here");
	}
	for (i = 0; i < NR_QUEUES; i++)
		if (!start_load(s, i, verify(s)))
			return false;
	for (i = 0; i < NR_QUEUES; i++)
		if (!is_at_work(&s->clients[i]))
			return false;
	return true;
}

/* Its reports of now on; .worst_us too. */
static const struct event *event_us(struct story *s, unsigned int since, const char *name,
				    int queue)
{
	const struct event *e = primary_event(since, name, queue, LIMIT);

	return e && e->us >= 0 ? e : NULL;
}

/* The end of a lease as blkd tells it. */
static bool lease_ended(struct story *s, unsigned int since, int queue, const char *why,
			const char *what)
{
	const struct event *end = primary_event(since, "end", queue, LIMIT);
	const struct event *revoke = event_us(s, since, "revoke", queue);
	const struct event *reclaim = event_us(s, since, "reclaim", queue);
	const char *how = s->primary.queue_reset ? "queue reset" : "restart";
	struct measured *m = &s->measured;

	m->what[m->nr] = what;
	m->revoke_us[m->nr] = revoke ? revoke->us : -1;
	m->reclaim_us[m->nr++] = reclaim ? reclaim->us : -1;
	if (!claim("blkd", end && !strcmp(end->why, why) && revoke && reclaim,
		   "queue %d: %s; doorbell revoked in %.0f us, reset and fresh again in %.1f ms",
		   queue, end ? end->why : "its lease did not end", revoke ? revoke->us : -1,
		   reclaim ? reclaim->us / 1e3 : -1))
		return false;
	return claim("blkd", !strcmp(reclaim->how, how), "queue %d: %s: %s", queue,
		     s->primary.queue_reset ? "no other queue was stopped for that" :
					      "all others paused, as this device cannot do without",
		     reclaim->how);
}

bool act_intruder(struct story *s)
{
	struct demo_client *fourth = &s->clients[FOURTH], *neighbour = &s->clients[0];
	static struct tries role; /* its row stays on the screen */
	char queue[16], other[16], pid[16], blkd[16], text[64];
	char *argv[] = { (char *)"/proc/self/exe",
			 (char *)"--role=intruder",
			 s->primary.socket,
			 queue,
			 other,
			 pid,
			 blkd,
			 s->address,
			 NULL };
	unsigned int since = primary_events();
	struct others o = others_now(s, FOURTH);

	say(ME, "the fourth is asked to leave, and comes back as an intruder");
	if (!primary_leave(&s->primary, fourth->queue))
		return false;
	client_mark(fourth, '<');
	UNTIL(fourth->proc.ended, LIMIT);
	claim(fourth->row.name,
	      proc_exited(&fourth->proc, 3) && fourth->now.final && !fourth->now.errors,
	      "leaves: %s, with %" PRIu64 " data errors", proc_end_text(&fourth->proc, text),
	      fourth->now.errors);
	client_state(fourth, "left", ROW_DONE);
	lease_ended(s, since, fourth->queue, "left", "asked to leave");
	others_undisturbed(s, &o, "next to the leaving");

	snprintf(queue, sizeof(queue), "%d", fourth->queue);
	snprintf(other, sizeof(other), "%d", neighbour->queue);
	snprintf(pid, sizeof(pid), "%d", neighbour->proc.pid);
	snprintf(blkd, sizeof(blkd), "%d", s->primary.proc.pid);
	o = others_now(s, FOURTH);
	if (!tries_start(&role, "intruder", '!', fourth->queue, fourth->uid, argv))
		return false;
	UNTIL(role.waits || role.proc.ended, LIMIT);
	since = primary_events();
	if (!role.waits || !primary_control(&s->primary, "revoke", fourth->queue)) {
		tries_end(&role, INTRUDER_TRIES);
		return false;
	}
	tries_end(&role, INTRUDER_TRIES);
	lease_ended(s, since, fourth->queue, "revoked", "intruder, revoked");
	others_undisturbed(s, &o, "next to the intruder");
	/* Its user again, honest; some of its window is written already. */
	return start_load(s, FOURTH, s->host_content ? "any" : "own") && is_at_work(fourth);
}

bool act_kill(struct story *s)
{
	struct demo_client *victim = &s->clients[VICTIM], *next = &s->clients[AFTER_VICTIM];
	struct others o = others_now(s, VICTIM);
	unsigned int since = primary_events();
	static struct tries role;
	char queue[16], text[64];
	char *argv[] = { (char *)"/proc/self/exe", (char *)"--role=heir", s->primary.socket, queue,
			 NULL };

	say(ME, "%s is killed with requests in flight", victim->row.name);
	client_mark(victim, 'K');
	proc_signal(&victim->proc, SIGKILL);
	UNTIL(victim->proc.ended, LIMIT);
	claim(victim->row.name,
	      victim->proc.ended && WIFSIGNALED(victim->proc.status) &&
		      WTERMSIG(victim->proc.status) == SIGKILL && !client_errors(victim),
	      "is gone: %s, with %" PRIu64 " data errors until then",
	      proc_end_text(&victim->proc, text), client_errors(victim));
	strcpy(victim->how, "killed");
	client_state(victim, "killed", ROW_BAD);
	if (!lease_ended(s, since, victim->queue, "exited", "killed"))
		return false;
	others_undisturbed(s, &o, "next to the killed");

	snprintf(queue, sizeof(queue), "%d", victim->queue);
	if (!tries_start(&role, "heir", '=', victim->queue, FIRST_UID + HEIR, argv))
		return false;
	tries_end(&role, HEIR_TRIES);
	return start_load(s, next - s->clients, verify(s)) && is_at_work(next);
}

bool act_revoke(struct story *s)
{
	struct demo_client *c = &s->clients[REVOKED], *next = &s->clients[AFTER_REVOKED];
	struct others o = others_now(s, REVOKED);
	unsigned int since = primary_events();
	char text[64];

	say(ME, "%s loses its queue, with requests in flight", c->row.name);
	client_mark(c, 'R');
	if (!primary_control(&s->primary, "revoke", c->queue))
		return false;
	UNTIL(c->proc.ended, LIMIT);
	claim(c->row.name,
	      proc_exited(&c->proc, 3) && c->now.final && !strcmp(c->now.end, "revoked") &&
		      !strcmp(c->now.doorbell, "SIGBUS") && !c->now.errors,
	      "survives the %s of its doorbell and reports: %s, %" PRIu64 " requests, %" PRIu64
	      " data errors; %s",
	      c->now.doorbell, *c->now.end ? c->now.end : "nothing", c->now.done, c->now.errors,
	      proc_end_text(&c->proc, text));
	client_state(c, "revoked", ROW_BAD);
	if (!lease_ended(s, since, c->queue, "revoked", "revoked"))
		return false;
	others_undisturbed(s, &o, "next to the revoked");
	return start_load(s, next - s->clients, verify(s)) && is_at_work(next);
}

void act_reset(struct story *s)
{
	struct others o = others_now(s, NR_CLIENTS), now;
	unsigned int i, nr = 0, since = primary_events();
	const struct event *reset;

	say(ME, "the PCI device is reset under all of them");
	for (i = 0; i < NR_CLIENTS; i++) {
		if (!o.counts[i])
			continue;
		client_mark(&s->clients[i], '0');
		s->clients[i].worst_us = 0;
	}
	if (!primary_control(&s->primary, "reset", -1))
		return;
	reset = event_us(s, since, "reset", -1);
	s->measured.reset_us = reset ? reset->us : -1;
	claim("blkd", reset, "resets the device and grants all leases anew in %.1f ms: %s",
	      s->measured.reset_us / 1e3, reset ? reset->how : "it does not say so");
	now = others_now(s, NR_CLIENTS);
	for (i = 0; i < NR_CLIENTS; i++) {
		struct demo_client *c = &s->clients[i];
		const struct report *was = &o.report[i], *is = &c->now;

		if (!o.counts[i])
			continue;
		UNTIL(others_has_gone_on(s, &now, i) && is->regrants > was->regrants, LIMIT);
		nr += claim(c->row.name,
			    c->proc.pid && is->done > now.report[i].done &&
				    is->regrants == was->regrants + 1 &&
				    is->faults == was->faults && is->errors == was->errors &&
				    is->io_errors == was->io_errors,
			    "goes on with a new grant, %" PRIu64 " requests more, %" PRIu64
			    " extra faults, %" PRIu64
			    " data errors, no request took longer than %.0f ms",
			    is->done - was->done, is->faults - was->faults,
			    is->errors - was->errors, c->worst_us / 1e3);
		if (c->worst_us > s->measured.pause_us)
			s->measured.pause_us = c->worst_us;
	}
	claim(ME, nr == NR_QUEUES, "%u of %u survived the reset", nr, NR_QUEUES);
}

void act_end(struct story *s)
{
	struct others o = others_now(s, NR_CLIENTS);
	unsigned int i, nr = 0;
	uint64_t faults = 0;
	char text[64];

	say(ME, "all are told to end");
	for (i = 0; i < NR_CLIENTS; i++)
		proc_signal(&s->clients[i].proc, SIGTERM);
	for (i = 0; i < NR_CLIENTS; i++) {
		struct demo_client *c = &s->clients[i];

		if (!o.counts[i])
			continue;
		UNTIL(c->proc.ended, LIMIT);
		nr += claim(c->row.name,
			    proc_exited(&c->proc, 0) && c->now.final && !client_errors(c) &&
				    !c->now.io_errors,
			    "gives its queue back: %s, %" PRIu64 " requests, %" PRIu64
			    " data errors",
			    proc_end_text(&c->proc, text), client_done(c), client_errors(c));
		faults += c->now.faults;
	}
	claim(ME, nr == NR_QUEUES && !faults,
	      "%u of %u came through all this, with %" PRIu64 " extra faults", nr, NR_QUEUES,
	      faults);
	primary_stop(&s->primary);
}
