// SPDX-License-Identifier: LGPL-2.1-or-later
/* The lines of the demo's children: what is taken, and what is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "tap.h"

#define LOAD                                                                          \
	"\"t\":1.5,\"state\":\"running\",\"iops\":812.5,\"done\":1200,\"errors\":0,"  \
	"\"io_errors\":1,\"faults\":3,\"sigbus\":0,\"p50_us\":900,\"p99_us\":2100.5," \
	"\"max_us\":30000,\"pauses\":0,\"regrants\":2"

static void reports(void)
{
	const char *why = "";
	struct report r;
	int ret;

	ret = report_parse("{" LOAD "}\n", &r, &why);
	CHECK(!ret && !why, "a report is taken: %s", why ? why : "yes");
	CHECK(r.t == 1.5 && !strcmp(r.state, "running") && r.iops == 812.5 && r.done == 1200 &&
		      !r.errors && r.io_errors == 1 && r.faults == 3 && !r.sigbus &&
		      r.p50_us == 900 && r.p99_us == 2100.5 && r.max_us == 30000 && !r.pauses &&
		      r.regrants == 2 && !r.final,
	      "each value is in its place");
	ret = report_parse("{" LOAD ",\"more\":[{}],\"final\":true,\"end\":\"revoked\"}", &r, &why);
	CHECK(!ret && r.final && !strcmp(r.end, "revoked"), "a last one, keys not known here");
	ret = report_parse("{" LOAD ",\"final\":true,\"end\":null}", &r, &why);
	CHECK(!ret && r.final && !*r.end, "a last one of a load that ended itself");
	ret = report_parse("{" LOAD ",\"final\":true}", &r, &why);
	CHECK(ret == -EBADMSG && why && !strcmp(why, "end"), "a last one must say why");
	ret = report_parse("{" LOAD ",\"final\":false,\"end\":7}", &r, &why);
	CHECK(!ret && !r.final, "others need not");
}

/* Each key of a report, left out or of a wrong kind, is found. */
static void wrong_keys(void)
{
	static const char *const keys[] = {
		"t",	  "state",  "iops",   "done",	"errors", "io_errors", "faults",
		"sigbus", "p50_us", "p99_us", "max_us", "pauses", "regrants",
	};
	static const char *const values[] = { "null", "-1", "[]", "true" };
	char line[512], name[32];
	const char *why;
	struct report r;
	size_t i, n;
	int ret;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		unsigned int found = 0;
		char *at, *end;

		snprintf(name, sizeof(name), "\"%s\":", keys[i]);
		for (n = 0; n < 5; n++) {
			strcpy(line, "{" LOAD "}");
			at = strstr(line, name);
			end = at + strcspn(at, ",}");
			if (n == 4) { /* a key of another name */
				at[1] = '#';
			} else {
				char rest[512];

				strcpy(rest, end);
				sprintf(at + strlen(name), "%s%s", values[n], rest);
			}
			why = NULL;
			ret = report_parse(line, &r, &why);
			found += ret == -EBADMSG && why && !strcmp(why, keys[i]);
		}
		CHECK(found == 5, "%s: of 5 defects %u are found and named", keys[i], found);
	}
}

static void no_objects(void)
{
	static const char *const lines[] = {
		"",	    " ",   "blkload: cannot connect", "[]",	"7", "{",
		"{\"t\":1", "{}x", "{\"t\":1,\"t\":2}",	      "\xff{}",
	};
	const char *why;
	struct report r;
	struct event e;
	struct attempt a;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK(report_parse(lines[i], &r, &why) == -EBADMSG && why &&
			      event_parse(lines[i], &e, &why) == -EBADMSG && why &&
			      attempt_parse(lines[i], &a, &why) == -EBADMSG && why,
		      "'%s' is refused: %s", lines[i], why);
}

static void words(void)
{
	char line[256], text[REPORT_WORD + 1];
	const char *why;
	struct event e;

	memset(text, 'x', sizeof(text));
	text[REPORT_WORD - 1] = '\0';
	snprintf(line, sizeof(line), "{\"t\":0,\"event\":\"%s\"}", text);
	CHECK(!event_parse(line, &e, &why) && !strcmp(e.name, text), "a word of %zu bytes fits",
	      strlen(text));
	text[REPORT_WORD - 1] = 'x';
	text[REPORT_WORD] = '\0';
	snprintf(line, sizeof(line), "{\"t\":0,\"event\":\"%s\"}", text);
	CHECK(event_parse(line, &e, &why) == -EBADMSG && !strcmp(why, "event"),
	      "one of %zu does not", strlen(text));
	CHECK(!event_parse("{\"t\":0,\"event\":\"\\u001b[2J\\n\"}", &e, &why) &&
		      !strcmp(e.name, "?[2J?"),
	      "what would move the cursor does not get through: %s", e.name);
}

static void events(void)
{
	const char *why;
	struct event e;
	int ret;

	ret = event_parse("{\"t\":2.5,\"event\":\"reclaim\",\"queue\":3,\"pid\":77,\"how\":\"queue "
			  "reset\",\"us\":950.5,\"more\":1}",
			  &e, &why);
	CHECK(!ret && e.t == 2.5 && !strcmp(e.name, "reclaim") && e.queue == 3 && e.pid == 77 &&
		      e.us == 950.5 && !strcmp(e.how, "queue reset") && !*e.why,
	      "an event");
	ret = event_parse("{\"t\":2.5,\"event\":\"broken\",\"queue\":null,\"why\":null}", &e, &why);
	CHECK(!ret && e.queue == -1 && e.pid == -1 && e.us == -1 && !*e.how && !*e.why,
	      "what it does not have is known as such");
	CHECK(!event_parse("{\"t\":1,\"event\":\"ready\",\"queue_reset\":true}", &e, &why) &&
		      e.queue_reset,
	      "a device that can reset a queue");
	CHECK(!event_parse("{\"t\":1,\"event\":\"ready\",\"queue_reset\":false}", &e, &why) &&
		      !e.queue_reset,
	      "and one that cannot");
	CHECK(event_parse("{\"t\":1,\"t\":1,\"event\":\"x\"}", &e, &why) == -EBADMSG,
	      "one value each");
	CHECK(event_parse("{\"t\":1}", &e, &why) == -EBADMSG && !strcmp(why, "event"),
	      "an event has a name");
	CHECK(event_parse("{\"t\":1,\"event\":\"x\",\"queue\":\"3\"}", &e, &why) == -EBADMSG &&
		      !strcmp(why, "queue"),
	      "a queue is a number");
	CHECK(event_parse("{\"t\":1,\"event\":\"x\",\"how\":3}", &e, &why) == -EBADMSG &&
		      !strcmp(why, "how"),
	      "how is a word");
}

static void attempts(void)
{
	struct attempt a = { .what = "a \"quoted\" \\ thing", .wanted = "EPERM", .got = "0" };
	struct attempt last = { .say = "done" };
	struct attempt b;
	const char *why;
	char *line;

	line = attempt_line(&a);
	CHECK(line && !strchr(line, '\n') && !attempt_parse(line, &b, &why) &&
		      !strcmp(a.what, b.what) && !strcmp(a.wanted, b.wanted) &&
		      !strcmp(a.got, b.got) && !*b.say,
	      "an attempt comes back as it was: %s", line);
	free(line);
	line = attempt_line(&last);
	CHECK(line && !attempt_parse(line, &b, &why) && !strcmp(b.say, "done"),
	      "so does the last: %s", line);
	free(line);
	CHECK(attempt_parse("{\"what\":\"x\",\"wanted\":\"y\"}", &b, &why) == -EBADMSG &&
		      !strcmp(why, "got"),
	      "one without its outcome is refused");
	strcpy(a.what, "\xff");
	CHECK(!attempt_line(&a), "what is no UTF-8 gives no line");
}

int main(void)
{
	reports();
	wrong_keys();
	no_objects();
	words();
	events();
	attempts();
	return tap_done();
}
