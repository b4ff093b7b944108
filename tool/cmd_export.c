// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jsonline.h"
#include "open.h"
#include "out.h"
#include "run.h"
#include "serve.h"
#include "server.h"
#include "stop.h"
#include "users.h"

struct plan {
	struct open_bar bar;
	struct offer *offers; /* with copies of their names */
	size_t nr_offers;
	struct allowed *allowed;
	size_t nr_allowed;
	mode_t mode;
	uint64_t max;
};

/* The kernel says EINVAL to all of it. */
static int check_ranges(const struct call *c, const char *text, const struct offer *offer,
			uint64_t size)
{
	uint64_t page = sysconf(_SC_PAGESIZE), whole = (size + page - 1) & ~(page - 1);
	size_t i;

	for (i = 0; i < offer->nr_ranges; i++) {
		uint64_t offset = offer->ranges[i].offset, length = offer->ranges[i].length;

		if (!length)
			return wrong(c, "RANGES", text, "range %zu is empty", i + 1);
		if (offset % page || length % page)
			return wrong(c, "RANGES", text,
				     "%s 0x%" PRIx64 " of range %zu is not a multiple of %" PRIu64
				     ", the page size",
				     offset % page ? "offset" : "length",
				     offset % page ? offset : length, i + 1, page);
		if (offset > whole || length > whole - offset)
			return wrong(c, "RANGES", text,
				     "range %zu ends at 0x%" PRIx64
				     ", past the end of the BAR (0x%" PRIx64 ")",
				     i + 1, offset + length, size);
	}
	return -1;
}

/* [NAME=]RANGES */
static int parse_offer(const struct call *c, const char *text, bool named, struct plan *p)
{
	const char *equals = named ? strchr(text, '=') : NULL;
	const char *ranges = equals ? equals + 1 : text;
	struct offer *offer = &p->offers[p->nr_offers];
	const char *bad;
	char *name;
	size_t i;
	int ret;

	ret = barbuf_ranges_parse(ranges, &offer->ranges, &offer->nr_ranges, &bad);
	if (ret == -ENOMEM)
		return failed(c, "%s", strerror(ENOMEM));
	if (ret)
		return wrong(c, "RANGES", text, "%s at '%s' (OFFSET:LENGTH[,OFFSET:LENGTH...])",
			     ret == -ERANGE ? "a number too large" : "not understood", bad);
	name = equals ? strndup(text, equals - text) : strdup("");
	offer->name = name;
	p->nr_offers++;
	if (!name)
		return failed(c, "%s", strerror(ENOMEM));
	if (equals && !serve_name_valid(name))
		return wrong(c, "NAME", name, "not a name: 1 to %d printable characters of ASCII",
			     BARBUF_NAME_MAX);
	for (i = 0; i + 1 < p->nr_offers; i++)
		if (!strcmp(p->offers[i].name, name))
			return wrong(c, "NAME", name,
				     *name ? "given twice" :
					     "only one buffer can do without (NAME=RANGES)");
	return check_ranges(c, text, offer, p->bar.region.size);
}

/* USER, USER:GROUP or :GROUP, by name or number. */
static int parse_allow(const struct call *c, const char *text, struct allowed *a)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char user[256];

	*a = (struct allowed){ (uid_t)-1, (gid_t)-1 };
	if (len >= sizeof(user) || (!len && (!colon || !colon[1])))
		return wrong(c, "--allow", text, "not USER, USER:GROUP or :GROUP");
	memcpy(user, text, len);
	user[len] = '\0';
	if (len && user_parse(user, &a->uid))
		return wrong(c, "--allow", text, "there is no user '%s'", user);
	if (colon && group_parse(colon + 1, &a->gid))
		return wrong(c, "--allow", text, "there is no group '%s'", colon + 1);
	return -1;
}

static int parse_allowed(const struct call *c, struct plan *p)
{
	const char *text;
	size_t at = 0;
	int status = -1;

	p->allowed = calloc(c->nr_given + 1, sizeof(*p->allowed));
	if (!p->allowed)
		return failed(c, "%s", strerror(ENOMEM));
	while (status < 0 && (text = call_option_next(c, "allow", &at)))
		status = parse_allow(c, text, &p->allowed[p->nr_allowed++]);
	if (!p->nr_allowed)
		p->allowed[p->nr_allowed++] = (struct allowed){ geteuid(), (gid_t)-1 };
	return status;
}

static int parse_mode(const struct call *c, struct plan *p)
{
	const char *text = call_option(c, "mode");
	char *end;
	long mode;

	/* Whom the list allows must reach the socket; the list then decides. */
	p->mode = call_has(c, "allow") ? 0666 : 0600;
	if (!text)
		return -1;
	errno = 0;
	mode = strtol(text, &end, 8);
	if (*text < '0' || *text > '7' || *end || errno || mode > 0777)
		return wrong(c, "--mode", text, "not an octal number from 0 to 0777");
	p->mode = mode;
	return -1;
}

static int listen_failed(const struct call *c, const char *path, int ret)
{
	switch (ret) {
	case -ENAMETOOLONG:
		return wrong(c, "--socket", path, "longer than %zu bytes", SOCKET_PATH_MAX);
	case -EADDRINUSE:
		return failed(c, "%s: a server listens there already", path);
	case -EEXIST:
		return failed(c, "%s: exists, and is no socket", path);
	case -ETIMEDOUT:
		return failed(c, "%s: its folder is locked (flock) by somebody else", path);
	}
	return failed(c, "%s: %s", path, strerror(-ret));
}

static int serve(const struct call *c, struct plan *p, const struct barbuf_export *x)
{
	const struct server_plan plan = {
		.call = c,
		.dev = p->bar.dev,
		.export = *x,
		.offers = p->offers,
		.nr_offers = p->nr_offers,
		.allowed = p->allowed,
		.nr_allowed = p->nr_allowed,
		.max = p->max,
	};
	const char *path = call_option(c, "socket");
	struct barbuf_buffer *trial;
	struct listener listener;
	uint32_t features;
	int ret, status;
	size_t i;

	/* Who does not read any more is seen by the server, which ends in order. */
	signal(SIGPIPE, SIG_IGN);
	ret = barbuf_device_probe(p->bar.dev, &features);
	if (ret)
		return failed(c, "%s: %s", p->bar.function.address, strerror(-ret));
	if (!(features & BARBUF_HAS_REVOKE))
		return failed(c,
			      "%s: this kernel cannot take buffers back (barbuf doctor says more)",
			      p->bar.function.address);
	/* What cannot be exported shall be known now, and not with the first client. */
	for (i = 0; i < p->nr_offers; i++) {
		struct barbuf_export try = *x;

		try.ranges = p->offers[i].ranges;
		try.nr_ranges = p->offers[i].nr_ranges;
		ret = barbuf_buffer_export(&trial, p->bar.dev, &try);
		if (ret)
			return failed(c, "export of '%s': %s", p->offers[i].name, strerror(-ret));
		barbuf_buffer_free(trial);
	}
	/* From here on a signal ends it in order, and the socket file with it. */
	ret = stop_begin();
	if (ret)
		return failed(c, "%s", strerror(-ret));
	ret = listen_open(&listener, path, p->mode);
	if (ret)
		return listen_failed(c, path, ret);
	if (c->json) {
		out_line(c, json_pack("{s:s, s:o, s:i}", "event", "listening", "socket",
				      out_string(path), "offers", (int)p->nr_offers));
	} else {
		printf("%-8s at %s, %zu offered\n", "listening", path, p->nr_offers);
		fflush(stdout);
	}
	status = server_run(&plan, &listener);
	listen_close(&listener);
	return status;
}

/* The device is open here, in the command's parent, and only here. */
static int run(const struct call *c, struct plan *p, struct barbuf_export *x)
{
	char env_fd[32], env_size[48];
	const char *const env[] = { env_fd, env_size, NULL };
	struct run r = { .argv = c->command, .env = env };
	struct barbuf_buffer *buf;
	int ret, status;

	x->ranges = p->offers[0].ranges;
	x->nr_ranges = p->offers[0].nr_ranges;
	x->name = call_option(c, "name");
	ret = barbuf_buffer_export(&buf, p->bar.dev, x);
	if (ret == -EOPNOTSUPP && x->memattr != BARBUF_NC)
		return failed(c, "--wc: this kernel has no write-combining buffers");
	if (ret)
		return failed(c, "%s: export: %s", p->bar.function.address, strerror(-ret));
	r.fd = barbuf_buffer_fd(buf);
	snprintf(env_fd, sizeof(env_fd), "BARBUF_FD=%d", r.fd);
	snprintf(env_size, sizeof(env_size), "BARBUF_SIZE=%" PRIu64, barbuf_buffer_size(buf));

	ret = run_command(&r, &status);
	if (ret) {
		failed(c, "%s: %s", c->command[0], strerror(-ret));
		status = ret == -ENOENT ? 127 : 126;
	}
	/* What the command has left running may hold it. Stock kernels have no revoke; there the
	 * end of the device's fd has to do. barbuf revoke may have been first. */
	ret = barbuf_buffer_revoke(buf);
	if (ret && ret != -ENOTTY && ret != -EOPNOTSUPP && ret != -EBADFD)
		note(c, "revoke: %s", strerror(-ret));
	barbuf_buffer_free(buf);
	return status;
}

static int parse_options(const struct call *c, struct plan *p)
{
	static const char *const of_socket[] = { "allow", "mode", "max" };
	const char *socket = call_option(c, "socket"), *name = call_option(c, "name");
	const char *max = call_option(c, "max");
	int status;
	size_t i;

	for (i = 0; i < 3; i++) {
		if (!socket && call_has(c, of_socket[i])) {
			char option[16];

			snprintf(option, sizeof(option), "--%s", of_socket[i]);
			return wrong(c, option, call_option(c, of_socket[i]), "needs --socket");
		}
	}
	if (socket && c->command)
		return wrong(c, "--socket", socket, "not together with a COMMAND");
	if (!socket && !c->command)
		return wrong(c, "COMMAND", "",
			     "is missing (-- COMMAND [ARG...], or --socket PATH)");
	if (!socket && c->json)
		return wrong(c, "--json", "",
			     "needs --socket: with a COMMAND there is nothing to tell");
	if (socket && name)
		return wrong(c, "--name", name, "not together with --socket (NAME=RANGES)");
	if (name && !serve_name_valid(name))
		return wrong(c, "--name", name, "not a name: 1 to %d printable characters of ASCII",
			     BARBUF_NAME_MAX);
	if (!socket && c->nr_args > 2)
		return wrong(c, "argument", c->args[2],
			     "one too many (the command runs with one buffer)");
	p->max = UINT_MAX;
	if (max && !parse_number(c, "--max", max, 1, SERVER_CONNECTIONS_MAX, &p->max, &status))
		return status;
	status = parse_mode(c, p);
	return status < 0 ? parse_allowed(c, p) : status;
}

int cmd_export(struct call *c)
{
	struct barbuf_export x = {
		.read_only = call_has(c, "read-only"),
		.memattr = call_has(c, "wc") ? BARBUF_WC : BARBUF_NC,
	};
	struct plan p = { 0 };
	int status;
	size_t i;

	status = parse_options(c, &p);
	if (status < 0)
		status = open_bar(c, c->args[0], &p.bar);
	if (status >= 0)
		goto out;
	x.bar = p.bar.index;
	p.offers = calloc(c->nr_args, sizeof(*p.offers));
	if (!p.offers)
		status = failed(c, "%s", strerror(ENOMEM));
	for (i = 1; i < c->nr_args && status < 0; i++)
		status = parse_offer(c, c->args[i], !c->command, &p);
	if (status < 0)
		status = c->command ? run(c, &p, &x) : serve(c, &p, &x);
	barbuf_device_close(p.bar.dev);
out:
	for (i = 0; i < p.nr_offers; i++) {
		free((char *)p.offers[i].name);
		free(p.offers[i].ranges);
	}
	free(p.offers);
	free(p.allowed);
	return status;
}
