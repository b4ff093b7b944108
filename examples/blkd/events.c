// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

/* A line, at most: what a pipe that is writable takes at once (PIPE_BUF). */
#define LINE_MAX_BYTES 4096

static struct {
	const char *program;
	bool json;
	unsigned int untold; /* lines that were dropped */
} out;

double now(void)
{
	static struct timespec start;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (!start.tv_sec && !start.tv_nsec)
		start = t;
	return t.tv_sec - start.tv_sec + (t.tv_nsec - start.tv_nsec) / 1e9;
}

void events_begin(const char *program, bool json)
{
	int fd;

	/* Else the next file that is opened would be what is printed to. */
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
	signal(SIGPIPE, SIG_IGN);
	out.program = program;
	out.json = json;
	now();
}

static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT && !(p.revents & POLLERR);
}

/* All of the line or nothing, and no waiting. */
static bool put(int fd, const char *line, size_t len)
{
	return has_room(fd) && write(fd, line, len) == (ssize_t)len;
}

void complain(const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	size_t len;

	len = snprintf(line, sizeof(line), "%s: ", out.program);
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	put(STDERR_FILENO, line, strlen(line));
}

/* name=value, strings with spaces in quotes. */
static size_t put_pair(char *line, size_t size, const char *key, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
	const char *plain = json_string_value(value);
	int n;

	if (plain && *plain && !strpbrk(plain, " \"=\n"))
		n = snprintf(line, size, " %s=%s", key, plain);
	else
		n = snprintf(line, size, " %s=%s", key, text ? text : "?");
	free(text);
	return n < 0 || (size_t)n >= size ? size - 1 : (size_t)n;
}

static void tell_people(const char *name, json_t *o)
{
	char line[LINE_MAX_BYTES];
	const char *key;
	json_t *value;
	size_t len;

	len = snprintf(line, sizeof(line), "%9.3f %-11s", now(), name);
	json_object_foreach(o, key, value)
	{
		len += put_pair(line + len, sizeof(line) - 1 - len, key, value);
	}
	line[len++] = '\n';
	if (!put(STDOUT_FILENO, line, len))
		out.untold++;
}

static void tell_programs(const char *name, json_t *o)
{
	json_t *root = json_pack("{s:f, s:s}", "t", now(), "event", name);
	char line[LINE_MAX_BYTES];
	size_t len = 0;

	if (root && !json_object_update(root, o))
		len = json_dumpb(root, line, sizeof(line) - 1,
				 JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(root);
	if (!len || len >= sizeof(line)) {
		out.untold++;
		return;
	}
	line[len++] = '\n';
	if (!put(STDOUT_FILENO, line, len))
		out.untold++;
}

void event(const char *name, const char *fmt, ...)
{
	unsigned int untold = out.untold;
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	o = json_vpack_ex(NULL, 0, fmt, ap);
	va_end(ap);
	if (!o) {
		out.untold++;
		return;
	}
	if (out.json)
		tell_programs(name, o);
	else
		tell_people(name, o);
	json_decref(o);
	/* Told when there is room again. */
	if (untold && out.untold == untold) {
		out.untold = 0;
		complain("standard output was full: %u lines are missing", untold);
	}
}
