// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "jsonline.h"
#include "out.h"
#include "pci.h"
#include "stop.h"
#include "tracefs.h"
#include "traceline.h"

/* Longer than any line of these events. */
#define LINE_SIZE 1024

/* What is in the ring buffer is given out in pages; a poll in between wakes for nothing. */
#define TICK_MS 100

struct reader {
	const struct call *call;
	char line[LINE_SIZE];
	size_t len;
	uint64_t began; /* in microseconds of the trace clock */
};

static double since_start(const struct reader *r, uint64_t usec)
{
	return usec > r->began ? (usec - r->began) / 1e6 : 0;
}

/* Sizes and addresses stay the kernel's text: they may have 64 bits. */
static int print_json(const struct reader *r, const struct trace_event *e)
{
	json_t *o = json_pack("{s:f, s:o, s:o, s:i, s:I, s:o, s:i}", "seconds",
			      since_start(r, e->usec), "event", out_string(e->event), "device",
			      out_string(e->device), "bar", (int)e->bar, "buffer",
			      (json_int_t)e->buffer, "task", out_string(e->task), "pid", e->pid);
	size_t i;

	for (i = 0; o && i < e->nr_facts; i++)
		json_object_set_new_nocheck(o, e->facts[i].name, out_string(e->facts[i].value));
	return out_line(r->call, o);
}

/* The kernel knows only names of those that it has switched away from since it records them. */
static void name_task(const struct reader *r, struct trace_event *e, char *name, size_t size)
{
	if (!strcmp(e->task, "<...>") &&
	    file_read(r->call->root, name, size, "/proc/%d/comm", e->pid) > 0)
		e->task = name;
}

static int print_event(const struct reader *r, const struct trace_event *e)
{
	char text[256], task[80], clean[256];

	if (r->call->json)
		return print_json(r, e);
	trace_text(e, text, sizeof(text));
	out_clean(text, clean, sizeof(clean));
	out_clean(e->task, task, sizeof(task));
	printf(out_is_terminal(stdout) ? "%10.6f  %-7s  %s/%u  %4" PRIu64 "  %s[%d]  %s\n" :
					 "%.6f\t%s\t%s/%u\t%" PRIu64 "\t%s[%d]\t%s\n",
	       since_start(r, e->usec), e->event, e->device, e->bar, e->buffer, task, e->pid,
	       clean);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_line(struct reader *r)
{
	char copy[LINE_SIZE], clean[LINE_SIZE];
	struct trace_event e;
	char comm[64];
	uint64_t lost;

	strcpy(copy, r->line);
	switch (trace_line_parse(copy, &e, &lost)) {
	case TRACE_LINE_EVENT:
		name_task(r, &e, comm, sizeof(comm));
		return print_event(r, &e);
	case TRACE_LINE_LOST:
		note(r->call, "%" PRIu64 " events were lost: they came faster than they were read",
		     lost);
		return EXIT_SUCCESS;
	case TRACE_LINE_OTHER:
		out_clean(r->line, clean, sizeof(clean));
		if (*clean)
			note(r->call, "not understood: %s", clean);
		break;
	}
	return EXIT_SUCCESS;
}

/* All that is there now. */
static int read_pipe(struct reader *r, int fd)
{
	char buf[4096];
	int status = EXIT_SUCCESS;
	ssize_t n, i;

	while (!status && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n && !status; i++) {
			if (buf[i] != '\n') {
				if (r->len + 1 < sizeof(r->line))
					r->line[r->len++] = buf[i];
				continue;
			}
			r->line[r->len] = '\0';
			r->len = 0;
			status = print_line(r);
		}
	}
	return status;
}

static int follow(const struct call *c, struct tracefs *t, uint64_t seconds)
{
	struct reader r = { .call = c };
	double deadline = stop_clock() + seconds;
	int status = EXIT_SUCCESS, ret = 0;

	r.began = stop_clock() * 1e6;
	while (!status && !ret && !(seconds && stop_clock() >= deadline)) {
		ret = stop_wait(t->pipe, TICK_MS);
		status = read_pipe(&r, t->pipe);
	}
	tracefs_stop(t);
	if (!status)
		status = read_pipe(&r, t->pipe);
	return ret < 0 ? failed(c, "%s", strerror(-ret)) : status;
}

static int make_filter(const struct call *c, char *filter, size_t size)
{
	const char *address = call_arg(c, 0), *buffer = call_option(c, "buffer");
	char full[PCI_ADDRESS_MAX];
	uint64_t number = 0;
	size_t len = 0;
	int status;

	*filter = '\0';
	/* It need not be there: it may come, and its events may be of before it went. */
	if (address && arg_address(c, "ADDRESS", address, full, &status))
		return status;
	if (buffer && !parse_number(c, "--buffer", buffer, 1, UINT64_MAX, &number, &status))
		return status;
	if (address)
		len = snprintf(filter, size, "device == \"%s\"%s", full, buffer ? " && " : "");
	if (buffer)
		snprintf(filter + len, size - len, "ino == %" PRIu64, number);
	return -1;
}

static int open_failed(const struct call *c, int ret)
{
	switch (ret) {
	case -ENODEV:
		return failed(
			c, "tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)");
	case -ENOENT:
		return failed(c,
			      "no events of buffers: this kernel is without barbuf, or vfio-pci is "
			      "not loaded (modprobe vfio-pci)");
	case -EACCES:
	case -EPERM:
		return failed(c, "tracing is for root");
	}
	return failed(c, "tracefs: %s", strerror(-ret));
}

int cmd_trace(struct call *c)
{
	const char *text = call_option(c, "seconds");
	uint64_t seconds = 0;
	struct tracefs t;
	char filter[128];
	int status, ret;

	status = make_filter(c, filter, sizeof(filter));
	if (status >= 0)
		return status;
	if (text && !parse_number(c, "--seconds", text, 1, 1000000000, &seconds, &status))
		return status;
	/* Before there is anything to remove: neither a signal nor a closed pipe must leave it. */
	signal(SIGPIPE, SIG_IGN);
	ret = stop_begin();
	if (ret)
		return failed(c, "%s", strerror(-ret));
	ret = tracefs_open(&t, c->root);
	if (ret)
		return open_failed(c, ret);
	ret = tracefs_start(&t, filter);
	status = ret ? failed(c, "tracefs: %s", strerror(-ret)) : follow(c, &t, seconds);
	tracefs_close(&t);
	return status;
}
