// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the demo claims of those whom it did not concern, and of its roles: is each of it seen when it is not so? */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo.h"
#include "tap.h"

static struct story story;
static unsigned int steps;
/* Called in each step of a wait: what the clients report meanwhile. */
static void (*reports)(void);

static void step(void)
{
	steps++;
	if (reports)
		reports();
}

/* Claims that did not hold, of what @act claims; they are printed, and that is no TAP. */
static unsigned int failures(void (*act)(void))
{
	int saved = dup(STDOUT_FILENO), said = memfd_create("said", MFD_CLOEXEC);
	static char text[16384];
	unsigned int nr = 0;
	const char *at;
	ssize_t n;

	fflush(stdout);
	dup2(said, STDOUT_FILENO);
	act();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	n = pread(said, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	close(said);
	for (at = text; (at = strstr(at, "FAILED")); at++)
		nr++;
	return nr;
}

static void one_report(unsigned int i, uint64_t more)
{
	story.clients[i].reports++;
	story.clients[i].now.done += more;
}

/* The victim is the one that it concerns. */
static void all_go_on(void)
{
	unsigned int i;

	for (i = 0; i < NR_QUEUES; i++)
		if (i != VICTIM)
			one_report(i, 10);
}

static struct report *third(void)
{
	return &story.clients[REVOKED].now;
}

static void faults_late(void)
{
	all_go_on();
	if (steps == 2)
		third()->faults++;
}

static void sigbus(void)
{
	all_go_on();
	third()->sigbus = 1;
}

static void data_error(void)
{
	all_go_on();
	third()->errors = 1;
}

static void io_error(void)
{
	all_go_on();
	third()->io_errors = 1;
}

static void pause_of_all(void)
{
	unsigned int i;

	all_go_on();
	for (i = 0; i < NR_QUEUES; i++)
		story.clients[i].now.pauses = 1;
}

static void new_grant(void)
{
	all_go_on();
	third()->regrants = 1;
}

/* It reports, and no request of its is done; the test does not wait for the limit. */
static void stalls(void)
{
	all_go_on();
	third()->done = 100;
	story.clients[REVOKED].proc.ended = steps >= 5;
}

static void dies(void)
{
	all_go_on();
	story.clients[REVOKED].proc.ended = true;
	story.clients[REVOKED].proc.pid = 0;
}

static struct others before;

static void look(void)
{
	others_undisturbed(&story, &before, "in this test");
}

static unsigned int undisturbed(void (*what)(void), bool queue_reset)
{
	unsigned int i;

	memset(&story, 0, sizeof(story));
	story.primary.queue_reset = queue_reset;
	for (i = 0; i < NR_CLIENTS; i++) {
		struct demo_client *c = &story.clients[i];

		snprintf(c->row.name, sizeof(c->row.name), "client %u", i + 1);
		c->proc.pid = i < NR_QUEUES ? getpid() : 0;
		c->running = i < NR_QUEUES;
		c->now.done = 100;
	}
	before = others_now(&story, VICTIM);
	/* Of the time before that which happened. */
	for (i = 0; i < 2 * REPORTS; i++)
		all_go_on();
	third()->done = 100;
	steps = 0;
	reports = what;
	return failures(look);
}

static void others(void)
{
	static const struct {
		void (*what)(void);
		const char *name;
		unsigned int with, without; /* claims that fail, with the reset of a queue */
	} cases[] = {
		{ all_go_on, "all go on", 0, 0 },
		{ faults_late, "one takes a fault, after reports of before", 1, 1 },
		{ sigbus, "one sees a SIGBUS", 1, 1 },
		{ data_error, "one has a data error", 1, 1 },
		{ io_error, "one has an I/O error", 1, 1 },
		{ pause_of_all, "all pause", 3, 0 },
		{ new_grant, "one has another grant", 1, 1 },
		{ stalls, "one stands still", 1, 1 },
		{ dies, "one dies", 1, 1 },
	};
	unsigned int nr;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nr = undisturbed(cases[i].what, true);
		CHECK(nr == cases[i].with, "%s: %u claims fail", cases[i].name, nr);
		CHECK(steps >= REPORTS || cases[i].what == dies, "after %u steps", steps);
		nr = undisturbed(cases[i].what, false);
		CHECK(nr == cases[i].without, "without the reset of a queue: %u", nr);
	}
	/* All have ended before: there is nobody to look at. */
	for (i = 0; i < NR_CLIENTS; i++)
		story.clients[i].proc.pid = 0;
	before = others_now(&story, NR_CLIENTS);
	nr = failures(look);
	CHECK(nr == 1, "nobody: %u", nr);
}

/* Roles ---------------------------------------------------------------------------*/

static const char *script;
static unsigned int least;

static void play(void)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	static struct tries roles[8];
	static unsigned int nr;
	struct tries *t = &roles[nr++];

	if (tries_start(t, "role", '!', 0, 0, argv))
		tries_end(t, least);
}

static void role(const char *name, const char *does, unsigned int need, unsigned int want)
{
	unsigned int nr;

	reports = NULL;
	script = does;
	least = need;
	nr = failures(play);
	CHECK(nr == want, "%s: %u claims fail", name, nr);
}

#define TRY(got) "echo '{\"what\": \"a thing\", \"wanted\": \"EPERM\", \"got\": \"" got "\"}';"
#define DONE "echo '{\"say\": \"done\"}';"

static void roles(void)
{
	role("two tries that fail as they have to", TRY("EPERM") TRY("EPERM") DONE, 2, 0);
	role("one that works", TRY("EPERM") TRY("works") DONE, 2, 1);
	role("nothing is tried", DONE, 2, 1);
	role("less is tried than there is", TRY("EPERM") DONE, 2, 1);
	role("it is not said that all was tried", TRY("EPERM") TRY("EPERM"), 2, 1);
	role("it fails", TRY("EPERM") TRY("EPERM") DONE "exit 1", 2, 1);
}

int main(void)
{
	procs_idle(step);
	others();
	roles();
	return tap_done();
}
