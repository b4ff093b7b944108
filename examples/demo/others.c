// SPDX-License-Identifier: MIT
#include <inttypes.h>

#include "demo.h"

struct others others_now(const struct story *s, unsigned int but)
{
	struct others o = { .counts = { false } };
	unsigned int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		const struct demo_client *c = &s->clients[i];

		o.counts[i] = i != but && c->proc.pid && c->running;
		o.report[i] = c->now;
		o.reports[i] = c->reports;
	}
	return o;
}

bool others_has_gone_on(const struct story *s, const struct others *o, unsigned int i)
{
	const struct demo_client *c = &s->clients[i];

	return c->proc.ended ||
	       (c->reports >= o->reports[i] + REPORTS && c->now.done > o->report[i].done);
}

void others_undisturbed(const struct story *s, const struct others *o, const char *when)
{
	/* Reports that have come already may be of before. */
	const struct others now = others_now(s, NR_CLIENTS);
	unsigned int i, nr = 0;

	for (i = 0; i < NR_CLIENTS; i++) {
		const struct demo_client *c = &s->clients[i];
		const struct report *was = &o->report[i], *is = &c->now;
		bool paused;

		if (!o->counts[i])
			continue;
		nr++;
		UNTIL(others_has_gone_on(s, &now, i), LIMIT);
		/* Where no queue can be reset alone, all pause for each end of a lease. */
		paused = s->primary.queue_reset && is->pauses != was->pauses;
		claim(c->row.name,
		      c->proc.pid && is->done > now.report[i].done && is->faults == was->faults &&
			      is->sigbus == was->sigbus && is->errors == was->errors &&
			      is->io_errors == was->io_errors && !paused &&
			      is->regrants == was->regrants,
		      "%s: goes on, %" PRIu64 " requests more; %" PRIu64 " extra faults, %" PRIu64
		      " SIGBUS, %" PRIu64 " data errors, %" PRIu64 " pauses",
		      when, is->done - was->done, is->faults - was->faults,
		      is->sigbus - was->sigbus, is->errors - was->errors, is->pauses - was->pauses);
	}
	claim(ME, nr >= 2, "%s: %u others were looked at", when, nr);
}
