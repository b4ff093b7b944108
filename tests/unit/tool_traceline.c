// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lines of trace_pipe, true ones and what a process may put into its name. */
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "traceline.h"

#define FAULT                                                                                   \
	"device=0000:00:05.0 bar=2 buf=18446744073709551615 addr=0x7f4b66fd7000 offset=0x1000 " \
	"order=0 state=live ret=NOPAGE"

static char line[1024];
static struct trace_event e;
static uint64_t lost;

static enum trace_line parse(const char *text)
{
	snprintf(line, sizeof(line), "%s", text);
	memset(&e, 0, sizeof(e));
	lost = 0;
	return trace_line_parse(line, &e, &lost);
}

static bool is_text(const char *want)
{
	char text[256];

	trace_text(&e, text, sizeof(text));
	if (!strcmp(text, want))
		return true;
	printf("# '%s'\n", text);
	return false;
}

static void a_line(void)
{
	REQUIRE(parse("     barbuf-hold-152     [000] .....     4.133751: fault: " FAULT "\n") ==
			TRACE_LINE_EVENT,
		"a line of the kernel");
	CHECK(!strcmp(e.task, "barbuf-hold") && e.pid == 152, "task %s, pid %d", e.task, e.pid);
	CHECK(e.usec == 4133751, "time %llu", (unsigned long long)e.usec);
	CHECK(!strcmp(e.event, "fault") && !strcmp(e.device, "0000:00:05.0") && e.bar == 2,
	      "event %s of %s/%u", e.event, e.device, e.bar);
	CHECK(e.buffer == UINT64_MAX, "a buffer's number has 64 bits");
	CHECK(e.nr_facts == 5 && !strcmp(e.facts[0].name, "addr") &&
		      !strcmp(e.facts[4].value, "NOPAGE"),
	      "and %zu facts", e.nr_facts);
	CHECK(!strcmp(trace_fact(&e, "state"), "live") && !*trace_fact(&e, "from"),
	      "found by name");
}

static void names(void)
{
	CHECK(parse("   a b [001] c-1-77      [001] d..1.  1234.000001: state: device=x bar=0 buf=1 "
		    "from=live to=revoked") == TRACE_LINE_EVENT &&
		      !strcmp(e.task, "a b [001] c-1") && e.pid == 77 && e.usec == 1234000001,
	      "a task's name may look like what follows: '%s'", e.task);
	CHECK(parse("               --1       [001] d..1.  1.000001: x: device=x bar=0 buf=1") ==
			      TRACE_LINE_EVENT &&
		      !strcmp(e.task, "-") && e.pid == 1,
	      "or like nothing much");
	CHECK(parse("  a name of two") == TRACE_LINE_OTHER, "one with a newline in it is no event");
	CHECK(parse("lines-12      [000] .....     4.133751: fault: " FAULT) == TRACE_LINE_OTHER,
	      "nor is its second half");
}

static void texts(void)
{
	static const char head[] = "             exe-197     [001] ..... 7.2: ";
	static const struct {
		const char *event, *want;
	} cases[] = {
		{ "export: device=d bar=0 buf=4 kind=exported size=0x1000 ranges=1",
		  "exported, size 0x1000, ranges 1" },
		{ "mmap: device=d bar=0 buf=4 offset=0x0 addr=0x7f00-0x8f00 memattr=wc",
		  "offset 0x0 at 0x7f00-0x8f00, wc" },
		{ "fault: device=d bar=0 buf=4 addr=0x7f offset=0x0 order=0 state=live ret=NOPAGE",
		  "offset 0x0, live: pages mapped" },
		{ "fault: device=d bar=0 buf=4 addr=0x7f offset=0x0 order=9 state=live ret=NOPAGE",
		  "offset 0x0, live: a leaf of 2M mapped" },
		{ "fault: device=d bar=0 buf=4 addr=0x7f offset=0x0 order=0 state=quiescing ret=RETRY",
		  "offset 0x0, quiescing: waits" },
		{ "fault: device=d bar=0 buf=4 addr=0x7f offset=0x0 order=0 state=revoked ret=SIGBUS",
		  "offset 0x0, revoked: SIGBUS" },
		{ "state: device=d bar=0 buf=4 from=live to=quiescing", "live -> quiescing" },
		{ "revoke: device=d bar=0 buf=4 ret=0", "done" },
		{ "revoke: device=d bar=0 buf=4 ret=-77", "File descriptor in bad state" },
		{ "later: device=d bar=0 buf=4 a=1 b=2", "a=1 b=2" },
		{ "later: device=d bar=0 buf=4", "" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), "%.*s7.200000: %s", (int)strlen(head) - 5, head,
			 cases[i].event);
		CHECK(parse(text) == TRACE_LINE_EVENT && is_text(cases[i].want), "%s",
		      cases[i].want);
	}
}

static void others(void)
{
	static const char *const lines[] = {
		"",
		"\n",
		"# tracer: nop",
		"     barbuf-hold-152",
		"     barbuf-hold-152     [000] .....     4.133751: fault:",
		"     barbuf-hold-152     [000] .....     4.133751: fault: device=x bar=0",
		"     barbuf-hold-152     [000] .....     4.133751: fault: bar=0 device=x buf=1",
		"     barbuf-hold-152     [000] .....     4.133751: fault: device=x bar=-1 buf=1",
		"     barbuf-hold-152     [000] .....     4.133751: fault: device=x bar=0 buf=1x",
		"     barbuf-hold-152     [000] .....     4.133751: fault: device=x bar=0 buf=1 word",
		"     barbuf-hold-152     [000] .....     4.1337512: fault: device=x bar=0 buf=1",
		"     barbuf-hold-152     [000] .....     4133751: fault: device=x bar=0 buf=1",
		"     barbuf-hold-x52     [000] .....     4.133751: fault: device=x bar=0 buf=1",
		"     barbuf-hold 152     [000] .....     4.133751: fault: device=x bar=0 buf=1",
		"     barbuf-hold-152     [000] .....     4.133751: : device=x bar=0 buf=1",
		"     barbuf-hold-152 ffff .....     4.133751: fault: device=x bar=0 buf=1",
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK(parse(lines[i]) == TRACE_LINE_OTHER, "no event: '%.70s'",
		      *lines[i] == '\n' ? "" : lines[i]);
	CHECK(parse("CPU:1 [LOST 4711 EVENTS]\n") == TRACE_LINE_LOST && lost == 4711,
	      "%llu events were lost", (unsigned long long)lost);
}

/* Facts beyond the room, and any cut: no crash, nothing read behind it (ASan looks). */
static void cut_anywhere(void)
{
	static const char whole[] =
		"     barbuf-hold-152     [000] .....     4.133751: fault: device=x bar=0 buf=1 "
		"a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=10";
	unsigned int events = 0;
	size_t len;

	CHECK(parse(whole) == TRACE_LINE_EVENT && e.nr_facts == TRACE_FACTS_MAX,
	      "facts beyond the room for them are left out");
	for (len = 0; len < sizeof(whole); len++) {
		char *copy = strndup(whole, len);

		memset(&e, 0, sizeof(e));
		events += trace_line_parse(copy, &e, &lost) == TRACE_LINE_EVENT;
		free(copy);
	}
	CHECK(events > 0 && events < 40, "cut anywhere, %u are still events", events);
}

int main(void)
{
	a_line();
	names();
	texts();
	others();
	cut_anywhere();
	return tap_done();
}
