// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traceline.h"

/*
 * "%16s-%-7d [%03d] FLAGS SECONDS.USEC: EVENT: device=... bar=... buf=... FACT=VALUE ...".
 * The task's name may hold any of these characters, but is never longer than its column.
 */
#define TASK_WIDTH 16

/* The word at *p, which is moved behind it; NULL at the end of the line. */
static char *next_word(char **p)
{
	char *word = *p + strspn(*p, " ");
	size_t len = strcspn(word, " ");

	if (!len)
		return NULL;
	*p = word + len;
	if (**p)
		*(*p)++ = '\0';
	return word;
}

static bool to_u64(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value <= max;
}

static bool parse_time(char *text, uint64_t *usec)
{
	size_t len = strlen(text);
	uint64_t seconds, rest;
	char *dot;

	if (!len || text[len - 1] != ':')
		return false;
	text[len - 1] = '\0';
	dot = strchr(text, '.');
	if (!dot || strlen(dot + 1) != 6)
		return false;
	*dot = '\0';
	if (!to_u64(text, UINT64_MAX / 1000000 - 1, &seconds) || !to_u64(dot + 1, 999999, &rest))
		return false;
	*usec = seconds * 1000000 + rest;
	return true;
}

static bool parse_facts(char *p, struct trace_event *e)
{
	static const char *const first[] = { "device", "bar", "buf" };
	uint64_t value;
	size_t nr = 0;
	char *word;

	e->nr_facts = 0;
	while ((word = next_word(&p))) {
		char *eq = strchr(word, '=');

		if (!eq)
			return false;
		*eq++ = '\0';
		if (nr < 3) {
			if (strcmp(word, first[nr]))
				return false;
			if (nr == 0) {
				e->device = eq;
			} else {
				if (!to_u64(eq, nr == 1 ? UINT_MAX : UINT64_MAX, &value))
					return false;
				if (nr == 1)
					e->bar = value;
				else
					e->buffer = value;
			}
		} else if (e->nr_facts < TRACE_FACTS_MAX) {
			e->facts[e->nr_facts++] = (struct trace_fact){ word, eq };
		}
		nr++;
	}
	return nr >= 3;
}

static bool parse_event(char *line, struct trace_event *e)
{
	uint64_t value;
	char *p, *word;
	size_t len;

	if (strlen(line) <= TASK_WIDTH || line[TASK_WIDTH] != '-')
		return false;
	line[TASK_WIDTH] = '\0';
	e->task = line + strspn(line, " ");

	p = line + TASK_WIDTH + 1;
	word = next_word(&p);
	if (!word || !to_u64(word, INT_MAX, &value))
		return false;
	e->pid = value;
	word = next_word(&p); /* processor */
	if (!word || *word != '[')
		return false;
	word = next_word(&p); /* flags */
	if (!word)
		return false;
	word = next_word(&p);
	if (!word || !parse_time(word, &e->usec))
		return false;
	word = next_word(&p);
	len = word ? strlen(word) : 0;
	if (len < 2 || word[len - 1] != ':')
		return false;
	word[len - 1] = '\0';
	e->event = word;
	return parse_facts(p, e);
}

enum trace_line trace_line_parse(char *line, struct trace_event *e, uint64_t *lost)
{
	static const char head[] = "CPU:";
	char *p;

	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, head, strlen(head))) {
		p = strstr(line, " [LOST ");
		if (p) {
			*lost = strtoull(p + strlen(" [LOST "), NULL, 10);
			return TRACE_LINE_LOST;
		}
	}
	return parse_event(line, e) ? TRACE_LINE_EVENT : TRACE_LINE_OTHER;
}

const char *trace_fact(const struct trace_event *e, const char *name)
{
	size_t i;

	for (i = 0; i < e->nr_facts; i++)
		if (!strcmp(e->facts[i].name, name))
			return e->facts[i].value;
	return "";
}

/* What the leaf of this order maps, on 4 KiB pages. */
static const char *leaf_text(const char *order)
{
	if (!strcmp(order, "9"))
		return "a leaf of 2M";
	if (!strcmp(order, "18"))
		return "a leaf of 1G";
	return "pages";
}

static void fault_text(const struct trace_event *e, char *text, size_t size)
{
	const char *ret = trace_fact(e, "ret"), *state = trace_fact(e, "state");
	const char *offset = trace_fact(e, "offset");

	if (!strcmp(ret, "NOPAGE"))
		snprintf(text, size, "offset %s, %s: %s mapped", offset, state,
			 leaf_text(trace_fact(e, "order")));
	else if (!strcmp(ret, "RETRY"))
		snprintf(text, size, "offset %s, %s: waits", offset, state);
	else
		snprintf(text, size, "offset %s, %s: %s", offset, state, ret);
}

void trace_text(const struct trace_event *e, char *text, size_t size)
{
	size_t i, len = 0;
	int ret;

	*text = '\0';
	if (!strcmp(e->event, "export") || !strcmp(e->event, "release")) {
		snprintf(text, size, "%s, size %s, ranges %s", trace_fact(e, "kind"),
			 trace_fact(e, "size"), trace_fact(e, "ranges"));
	} else if (!strcmp(e->event, "mmap")) {
		snprintf(text, size, "offset %s at %s, %s", trace_fact(e, "offset"),
			 trace_fact(e, "addr"), trace_fact(e, "memattr"));
	} else if (!strcmp(e->event, "fault")) {
		fault_text(e, text, size);
	} else if (!strcmp(e->event, "state")) {
		snprintf(text, size, "%s -> %s", trace_fact(e, "from"), trace_fact(e, "to"));
	} else if (!strcmp(e->event, "revoke")) {
		ret = atoi(trace_fact(e, "ret"));
		snprintf(text, size, "%s", ret ? strerror(-ret) : "done");
	} else {
		/* One that a later kernel has. */
		for (i = 0; i < e->nr_facts && len < size; i++)
			len += snprintf(text + len, size - len, "%s%s=%s", i ? " " : "",
					e->facts[i].name, e->facts[i].value);
	}
}
