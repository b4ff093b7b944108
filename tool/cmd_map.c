// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "width.h"
#include "jsonline.h"
#include "out.h"
#include "stop.h"
#include "target.h"

/*
 * How often it looks whether the buffer still stands, each time by a mapping that a trace
 * shows. A server hangs up when it revokes, and then it looks at once.
 */
#define TICK_MS 500

/* No limit that anybody would see the end of, and no overflow either. */
#define SECONDS_MAX UINT64_C(1000000000)

struct holding {
	uint64_t offset, length, seconds; /* 0 seconds: until stopped */
};

static int parse(const struct call *c, const struct target *t, size_t taken, struct holding *h)
{
	const char *offset = call_option(c, "offset");
	const char *length = call_option(c, "length");
	const char *seconds = call_option(c, "seconds");
	int status = -1;

	*h = (struct holding){ 0 };
	if (c->nr_args > taken)
		return wrong(c, "argument", c->args[taken], "one too many");
	if (offset)
		status = parse_size(c, "--offset", offset, 8, t->size - 1, &h->offset);
	if (status >= 0)
		return status;
	if (h->offset % sysconf(_SC_PAGESIZE))
		return wrong(c, "--offset", offset, "not a multiple of %ld, the page size",
			     sysconf(_SC_PAGESIZE));
	h->length = t->size - h->offset;
	if (length)
		status = parse_size(c, "--length", length, 8, t->size - h->offset, &h->length);
	if (status >= 0)
		return status;
	if (!h->length)
		return wrong(c, "--length", length, "nothing to map");
	if (seconds && !parse_number(c, "--seconds", seconds, 1, SECONDS_MAX, &h->seconds, &status))
		return status;
	return -1;
}

static int say(const struct call *c, const struct target *t, const char *event, double after)
{
	if (c->json)
		return out_line(c, json_pack("{s:s, s:o, s:f}", "event", event, "target",
					     out_string(t->label), "seconds", after));
	printf("%8.3f s  %s: %s\n", after, t->label, event);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* 0: time to look again; 1: to stop; or a negative errno. */
static int wait_a_tick(struct target *t)
{
	int sock = t->sock, ret;

	ret = stop_wait(sock, TICK_MS);
	if (!ret && sock >= 0 && stop_is_closed(sock)) {
		close(sock);
		t->sock = -1;
	}
	return ret;
}

static int hold(const struct call *c, struct target *t, const struct holding *h)
{
	double began = stop_clock(), deadline = h->seconds ? began + h->seconds : 0;
	int status;

	status = stop_begin();
	if (status)
		return failed(c, "%s", strerror(-status));
	status = say(c, t, "mapped", 0);
	while (!status) {
		if (t->buf && barbuf_buffer_check(t->buf) == -EBADFD) {
			say(c, t, "revoked", stop_clock() - began);
			return EXIT_FAILURE;
		}
		if (deadline && stop_clock() >= deadline)
			return say(c, t, "unmapped", stop_clock() - began);
		status = wait_a_tick(t);
		if (status)
			return status < 0 ? failed(c, "%s", strerror(-status)) :
					    say(c, t, "unmapped", stop_clock() - began);
	}
	return status;
}

int cmd_map(struct call *c)
{
	struct barbuf_map *map;
	struct holding h;
	struct target t;
	size_t taken;
	uint64_t at;
	int status;

	status = target_open(&t, c, &taken);
	if (status >= 0)
		return status;
	status = parse(c, &t, taken, &h);
	if (status < 0)
		status = target_map(&t, c, h.offset, h.length, !t.read_only, &map, &at);
	if (status < 0) {
		status = hold(c, &t, &h);
		barbuf_unmap(map);
	}
	target_close(&t);
	return status;
}
