// SPDX-License-Identifier: MIT
/*
 * Connections and what comes by them. Nothing here waits: sockets do not block, and whoever does
 * not read what he is sent (-EAGAIN) is hung. What comes is hostile until it has been looked at;
 * of each message that is not due one is enough. So a client cannot keep blkd busy: there is a
 * bound to what it may say.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blkd.h"
#include "events.h"

/* Messages of one connection in a row. */
#define IN_A_ROW 8
/* How often ASK is answered with EALREADY. */
#define ASKED_AGAIN_MAX 16u
#define REFUSALS_TOLD 32u
/* After accept() found no descriptor or memory. */
#define ACCEPT_AGAIN_SECONDS 0.2

int conn_send(struct conn *c, const void *msg, size_t len, int fd)
{
	return barbuf_message_send(c->watch.fd, msg, len, fd);
}

int conn_word(struct conn *c, enum blk_kind kind, uint32_t value)
{
	const struct blk_word word = { .kind = kind, .value = value };

	return conn_send(c, &word, sizeof(word), -1);
}

/* Freed at the end of the round: events of this round may still name it. */
void conn_drop(struct blkd *b, struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	c->asking = false;
	server_unwatch(b, &c->watch);
}

/* Who connects in a loop makes only so many lines a second. */
static bool may_tell(void)
{
	static unsigned int told, untold;
	static double since;
	double t = now();

	if (t - since >= 1) {
		since = t;
		told = 0;
		if (untold)
			event("refused", "{s:i}", "more", (int)untold);
		untold = 0;
	}
	if (told < REFUSALS_TOLD) {
		told++;
		return true;
	}
	untold++;
	return false;
}

static void say_refused(struct conn *c, int error, const char *text)
{
	struct blk_text msg = { .kind = BLK_REFUSED, .error = error };

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	conn_send(c, &msg, sizeof(msg), -1);
	if (!may_tell())
		return;
	event("refused", "{s:i, s:I, s:i, s:s}", "pid", (int)c->peer.pid, "uid",
	      (json_int_t)c->peer.uid, "error", error, "why", msg.text);
}

/* Say why, and part. */
void conn_refuse(struct blkd *b, struct conn *c, int error, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_refused(c, error, text);
	conn_drop(b, c);
}

/* A message that is none, or not due. */
static void protocol_error(struct blkd *b, struct conn *c)
{
	if (c->queue)
		lease_end(b, c->queue, BLK_END_PROTOCOL);
	else
		conn_refuse(b, c, -EBADMSG, "not a message that is due");
}

union message {
	uint32_t kind;
	struct blk_ask ask;
	struct blk_word word;
	struct blk_request request;
};

static void asked(struct blkd *b, struct conn *c, const struct blk_ask *ask)
{
	if (!c->queue && !c->asking) {
		c->ask = *ask;
		lease_ask(b, c);
		return;
	}
	if (c->asked_again++ == ASKED_AGAIN_MAX)
		protocol_error(b, c);
	else
		say_refused(c, -EALREADY,
			    "a lease was asked for on this connection already: it "
			    "goes on");
}

static void paused(struct blkd *b, struct conn *c, uint32_t epoch)
{
	if (!c->owed) {
		protocol_error(b, c);
		return;
	}
	c->owed--;
	/* An answer to a PAUSE that is over is none to this one. */
	if (c->pause == CONN_TOLD && epoch == c->epoch)
		c->pause = CONN_PAUSED;
}

static void take(struct blkd *b, struct conn *c, const union message *m, size_t len)
{
	if (len == sizeof(m->ask) && m->kind == BLK_ASK)
		asked(b, c, &m->ask);
	else if (len == sizeof(m->request) && m->kind == BLK_COMMAND && !c->queue && !c->asking &&
		 !c->waits)
		control_ask(b, c, &m->request);
	else if (len != sizeof(m->word))
		protocol_error(b, c);
	else if (m->kind == BLK_BYE && c->queue)
		lease_end(b, c->queue, BLK_END_BYE);
	else if (m->kind == BLK_BYE)
		conn_drop(b, c);
	else if (m->kind == BLK_PONG && c->queue && c->ping_sent)
		c->ping_sent = 0;
	else if (m->kind == BLK_PAUSED && c->queue)
		paused(b, c, m->word.value);
	else
		protocol_error(b, c);
}

static void conn_ready(struct blkd *b, struct watch *w)
{
	struct conn *c = (struct conn *)w; /* its first member */
	union message m;
	int left = IN_A_ROW;
	size_t len;
	int ret = 0;

	while (!c->dead && left-- && !ret) {
		ret = barbuf_message_recv(w->fd, &m, sizeof(m), &len, NULL);
		if (!ret && len >= sizeof(m.kind))
			take(b, c, &m, len);
		else if (!ret)
			protocol_error(b, c);
	}
	if (c->dead || !ret || ret == -EAGAIN)
		return;
	if (ret != -EPIPE)
		protocol_error(b, c);
	else if (!c->queue)
		conn_drop(b, c);
	/* A holder's end is told by the table of leases. */
}

bool conn_is_controller(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool has_room(const struct blkd *b, uid_t uid)
{
	unsigned int waiting = 0;
	size_t i;

	for (i = 0; i < b->nr_conns; i++)
		waiting += !b->conns[i]->queue && b->conns[i]->peer.uid == uid;
	if (conn_is_controller(uid))
		return b->nr_conns < CONNECTIONS_MAX;
	return waiting < WAITING_MAX && b->nr_conns < CONNECTIONS_MAX - CONNECTIONS_RESERVED;
}

/* One in a round, so that those who are there have their turn. */
void conn_accept(struct blkd *b, struct watch *w)
{
	struct conn *c;
	int sock;

	sock = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			b->accept_after = now() + ACCEPT_AGAIN_SECONDS;
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || barbuf_peer_get(sock, &c->peer)) {
		close(sock);
		free(c);
		return;
	}
	c->watch.fd = sock;
	if (!has_room(b, c->peer.uid)) {
		say_refused(c, -EUSERS, "too many connections");
		close(sock);
		free(c);
		return;
	}
	c->deadline = b->clock + ASK_SECONDS;
	if (server_watch(b, &c->watch, sock, conn_ready)) {
		free(c);
		return;
	}
	b->conns[b->nr_conns++] = c;
}

/* Who has connected and says nothing. */
void conn_look(struct blkd *b)
{
	size_t i;

	for (i = 0; i < b->nr_conns; i++) {
		struct conn *c = b->conns[i];

		if (!c->dead && !c->queue && !c->asking && !c->waits && b->clock >= c->deadline)
			conn_refuse(b, c, -ETIMEDOUT, "nothing was asked for within %.0f s",
				    ASK_SECONDS);
	}
}

void conn_bury(struct blkd *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->nr_conns; i++) {
		if (b->conns[i]->dead)
			free(b->conns[i]);
		else
			b->conns[n++] = b->conns[i];
	}
	b->nr_conns = n;
}
