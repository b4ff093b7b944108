/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of trace_pipe that is an event of vfio_pci_dmabuf; docs/observability.md has them all. */
#ifndef TOOL_TRACELINE_H
#define TOOL_TRACELINE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_FACTS_MAX 8

struct trace_fact {
	const char *name, *value;
};

struct trace_event {
	uint64_t usec; /* of the trace clock */
	const char *task; /* printed as the process calls itself: anything may be in it */
	int pid;
	const char *event;
	const char *device;
	unsigned int bar;
	uint64_t buffer; /* inode number */
	struct trace_fact facts[TRACE_FACTS_MAX]; /* what follows those three */
	size_t nr_facts;
};

enum trace_line {
	TRACE_LINE_EVENT,
	TRACE_LINE_LOST, /* the ring buffer was overwritten */
	TRACE_LINE_OTHER,
};

/* Take @line apart in place; @e points into it. @lost: how many events were overwritten. */
enum trace_line trace_line_parse(char *line, struct trace_event *e, uint64_t *lost);

/* The value of a fact, or "". */
const char *trace_fact(const struct trace_event *e, const char *name);

/* Its facts as a person reads them, cut to @size. */
void trace_text(const struct trace_event *e, char *text, size_t size);

#endif
