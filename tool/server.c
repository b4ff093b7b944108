// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jsonline.h"
#include "out.h"
#include "serve.h"
#include "server.h"
#include "stop.h"

/* After accept() found no descriptor or memory. */
#define PAUSE_SECONDS 0.2

struct client {
	int sock;
	struct barbuf_peer peer;
	double deadline; /* to have asked by */
	struct offer *offer; /* NULL: has not been lent anything */
	struct barbuf_buffer *buf;
};

struct server {
	const struct server_plan *plan;
	struct listener *listener;
	struct barbuf_leases *leases;
	struct client *clients[SERVER_CONNECTIONS_MAX];
	size_t nr;
	double accept_after;
	unsigned int untold; /* lines that were dropped */
	bool nobody_reads; /* standard output is closed at its other end */
};

/* The same number that tracepoints and /proc/PID/maps show. */
static uint64_t buffer_number(const struct barbuf_buffer *buf)
{
	struct stat st;

	return buf && !fstat(barbuf_buffer_fd(buf), &st) ? st.st_ino : 0;
}

/*
 * A reader who has stopped must not stop the server: clients make these lines, and a
 * revoke cannot wait. A pipe that is writable has room for one.
 */
static bool may_tell(struct server *s)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if (poll(&out, 1, 0) == 1 && out.revents & POLLERR)
		s->nobody_reads = true;
	if (!(out.revents & POLLOUT) || s->nobody_reads) {
		s->untold++;
		return false;
	}
	if (s->untold)
		note(s->plan->call, "standard output was full: %u lines are missing", s->untold);
	s->untold = 0;
	return true;
}

/* One line for each thing that happens; @why may be NULL. */
static void tell(struct server *s, const char *event, const struct client *client, const char *name,
		 const char *why)
{
	const struct call *c = s->plan->call;
	uint64_t number = buffer_number(client->buf);
	json_t *o;

	if (!may_tell(s))
		return;
	if (c->json) {
		o = json_pack("{s:s, s:o, s:i, s:I, s:I}", "event", event, "name", out_string(name),
			      "pid", (int)client->peer.pid, "uid", (json_int_t)client->peer.uid,
			      "gid", (json_int_t)client->peer.gid);
		if (o && number)
			json_object_set_new(o, "buffer", json_integer(number));
		if (o && why)
			json_object_set_new(o, "reason", out_string(why));
		out_line(c, o);
		return;
	}
	printf("%-8s %s pid %d uid %u", event, *name ? name : "-", client->peer.pid,
	       client->peer.uid);
	if (number)
		printf(" buffer %" PRIu64, number);
	if (why)
		printf(": %s", why);
	putchar('\n');
	fflush(stdout);
}

static void drop(struct server *s, struct client *client)
{
	size_t i;

	for (i = 0; s->clients[i] != client; i++)
		;
	s->clients[i] = s->clients[--s->nr];
	if (client->offer)
		client->offer->lent--;
	barbuf_buffer_free(client->buf);
	close(client->sock);
	free(client);
}

/* Tell the client, tell the user, and part. */
static void refuse(struct server *s, struct client *client, const char *name, const char *why)
{
	serve_refuse(client->sock, "%s", why);
	tell(s, "refused", client, name, why);
	drop(s, client);
}

static bool is_allowed(const struct server_plan *plan, int sock)
{
	size_t i;

	for (i = 0; i < plan->nr_allowed; i++)
		if (!barbuf_peer_check(sock, plan->allowed[i].uid, plan->allowed[i].gid))
			return true;
	return false;
}

/* NULL: there is none, and @why says so. */
static struct offer *find_offer(const struct server_plan *plan, const char *name, char *why,
				size_t size)
{
	size_t i;

	if (!*name && plan->nr_offers == 1)
		return &plan->offers[0];
	for (i = 0; i < plan->nr_offers; i++)
		if (!strcmp(plan->offers[i].name, name))
			return &plan->offers[i];
	if (*name) {
		snprintf(why, size, "no buffer of the name '%s' is offered", name);
		return NULL;
	}
	snprintf(why, size, "several buffers are offered, name one:");
	for (i = 0; i < plan->nr_offers; i++) {
		size_t len = strlen(why);

		snprintf(why + len, size - len, " %s", plan->offers[i].name);
	}
	return NULL;
}

/* An export of its own, a lease on it, and away with it. */
static int lend(struct server *s, struct client *client, struct offer *offer)
{
	struct barbuf_export x = s->plan->export;
	uint64_t lease;
	int pidfd;
	int ret;

	x.ranges = offer->ranges;
	x.nr_ranges = offer->nr_ranges;
	x.name = *offer->name ? offer->name : NULL;
	pidfd = barbuf_peer_pidfd(client->sock);
	if (pidfd < 0)
		return pidfd;
	ret = barbuf_buffer_export(&client->buf, s->plan->dev, &x);
	if (!ret)
		ret = barbuf_lease(s->leases, client->buf, pidfd, client->sock, &client->peer,
				   client, &lease);
	close(pidfd);
	if (ret)
		return ret;
	ret = serve_lend(client->sock, offer->name, client->buf);
	if (ret) {
		barbuf_lease_end(s->leases, lease);
		return ret;
	}
	client->offer = offer;
	offer->lent++;
	return 0;
}

static void answer(struct server *s, struct client *client)
{
	char why[SERVE_REASON_MAX], name[BARBUF_NAME_MAX + 1];
	struct offer *offer;
	int ret;

	ret = serve_read(client->sock, name);
	if (ret == -EAGAIN)
		return;
	if (ret == -EPROTO)
		return refuse(s, client, "", "this server speaks version 1 of the protocol");
	if (ret == -EBADMSG)
		return refuse(s, client, "", "not a request");
	if (ret) /* Gone without a word, as who only looks whether anybody is there. */
		return drop(s, client);
	if (!is_allowed(s->plan, client->sock))
		return refuse(s, client, name, "not allowed for this user");
	offer = find_offer(s->plan, name, why, sizeof(why));
	if (!offer)
		return refuse(s, client, name, why);
	if (offer->lent >= s->plan->max) {
		snprintf(why, sizeof(why), "lent to %u, which is the most", offer->lent);
		return refuse(s, client, name, why);
	}
	ret = lend(s, client, offer);
	if (ret)
		return refuse(s, client, name, strerror(-ret));
	tell(s, "lent", client, offer->name, NULL);
}

static const char *end_text(const struct barbuf_lease_event *e)
{
	if (e->error == -EBADFD)
		return "by someone else";
	if (e->error)
		return strerror(-e->error);
	return e->why == BARBUF_LEASE_EXITED ? "its process ended" : "it disconnected";
}

static int end_leases(struct server *s)
{
	struct barbuf_lease_event e;
	int ret;

	while ((ret = barbuf_leases_next(s->leases, &e)) > 0) {
		struct client *client = e.lease.cookie;

		tell(s, e.error && e.error != -EBADFD ? "failed" : "revoked", client,
		     client->offer->name, end_text(&e));
		drop(s, client);
	}
	return ret;
}

static bool has_room(const struct server *s, uid_t uid)
{
	unsigned int waiting = 0;
	size_t i;

	for (i = 0; i < s->nr; i++)
		waiting += !s->clients[i]->offer && s->clients[i]->peer.uid == uid;
	return s->nr < SERVER_CONNECTIONS_MAX && waiting < SERVER_WAITING_MAX;
}

/* One at a time, so that those who are connected have their turn. */
static void accept_one(struct server *s)
{
	struct client *client;
	int sock;

	sock = accept4(s->listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			s->accept_after = stop_clock() + PAUSE_SECONDS;
		return;
	}
	client = calloc(1, sizeof(*client));
	if (!client || barbuf_peer_get(sock, &client->peer)) {
		close(sock);
		free(client);
		return;
	}
	client->sock = sock;
	client->deadline = stop_clock() + SERVER_REQUEST_SECONDS;
	if (!has_room(s, client->peer.uid)) {
		serve_refuse(sock, "too many connections");
		tell(s, "refused", client, "", "too many connections");
		close(sock);
		free(client);
		return;
	}
	s->clients[s->nr++] = client;
}

/* Milliseconds until something is to be done unasked, -1: nothing. */
static int time_left(const struct server *s)
{
	double first = s->accept_after, left;
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (!s->clients[i]->offer && (!first || s->clients[i]->deadline < first))
			first = s->clients[i]->deadline;
	if (!first)
		return -1;
	left = first - stop_clock();
	return left > 0 ? left * 1000 + 1 : 0;
}

static void send_late_away(struct server *s)
{
	double now = stop_clock();
	size_t i = 0;

	if (s->accept_after && now >= s->accept_after)
		s->accept_after = 0;
	while (i < s->nr) {
		struct client *client = s->clients[i];

		if (!client->offer && now >= client->deadline)
			refuse(s, client, "", "did not ask in time");
		else
			i++;
	}
}

/* One round. 0 to go on, 1 to stop, or a negative errno. */
static int serve_once(struct server *s)
{
	struct pollfd fds[3 + SERVER_CONNECTIONS_MAX];
	struct client *waiting[SERVER_CONNECTIONS_MAX];
	size_t nr = 0, i;
	int ret;

	fds[0] = (struct pollfd){ .fd = stop_fd(), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = barbuf_leases_fd(s->leases), .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = s->accept_after ? -1 : s->listener->fd, .events = POLLIN };
	/* Who has been lent something is not read from: the leases see him go. */
	for (i = 0; i < s->nr; i++) {
		if (s->clients[i]->offer)
			continue;
		waiting[nr] = s->clients[i];
		fds[3 + nr++] = (struct pollfd){ .fd = s->clients[i]->sock, .events = POLLIN };
	}
	if (poll(fds, 3 + nr, time_left(s)) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents)
		return 1;
	for (i = 0; i < nr; i++)
		if (fds[3 + i].revents)
			answer(s, waiting[i]);
	if (fds[1].revents) {
		ret = end_leases(s);
		if (ret)
			return ret;
	}
	send_late_away(s);
	if (fds[2].revents)
		accept_one(s);
	return 0;
}

int server_run(const struct server_plan *plan, struct listener *l)
{
	struct server *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (s)
		ret = barbuf_leases_new(&s->leases);
	if (ret) {
		free(s);
		return failed(plan->call, "%s", strerror(-ret));
	}
	s->plan = plan;
	s->listener = l;
	do {
		ret = serve_once(s);
		/* As a program in a pipe ends; but what is lent is taken back, and the socket removed. */
		if (!ret && s->nobody_reads)
			ret = 1;
	} while (!ret);

	/* Revokes what is still lent; then nobody can be told that it was not. */
	barbuf_leases_free(s->leases);
	while (s->nr) {
		if (s->clients[0]->offer)
			tell(s, "revoked", s->clients[0], s->clients[0]->offer->name,
			     "the server ends");
		drop(s, s->clients[0]);
	}
	free(s);
	return ret < 0 ? failed(plan->call, "%s", strerror(-ret)) : EXIT_SUCCESS;
}
