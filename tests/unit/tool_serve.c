// SPDX-License-Identifier: LGPL-2.1-or-later
/* The protocol of export --socket over a pair of sockets; memfds stand for DMABUFs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"
#include "tap.h"

static int client, server;

static bool say(int sock, const char *text)
{
	return !barbuf_message_send(sock, text, strlen(text), -1);
}

static void names(void)
{
	CHECK(serve_name_valid("a") && serve_name_valid("queue of client 7") &&
		      serve_name_valid("1234567890123456789012345678901"),
	      "names");
	CHECK(!serve_name_valid("") && !serve_name_valid("12345678901234567890123456789012"),
	      "too short, too long");
	CHECK(!serve_name_valid("a\nb") && !serve_name_valid("\x1b[2J") &&
		      !serve_name_valid("\x7f") && !serve_name_valid("\xc3\xa4"),
	      "characters that are not printed");
}

static void requests(void)
{
	char name[BARBUF_NAME_MAX + 1] = "before";

	CHECK(serve_read(server, name) == -EAGAIN, "no request yet");
	CHECK(!serve_ask(client, "rx") && !serve_read(server, name) && !strcmp(name, "rx"),
	      "a request for '%s'", name);
	CHECK(!serve_ask(client, "") && !serve_read(server, name) && !*name,
	      "and for the only one");
	CHECK(serve_ask(client, "a\n") == -EINVAL && serve_read(server, name) == -EAGAIN,
	      "a name that is none is not sent");
}

/* What a client may send that is not ours. */
static void hostile_requests(void)
{
	static const struct {
		const char *text;
		int want;
	} cases[] = {
		{ "", -EBADMSG },
		{ "barbuf/1", -EPROTO },
		{ "barbuf/1 lend", -EBADMSG },
		{ "barbuf/1 revoke rx", -EBADMSG },
		{ "barbuf/1 lend a\tb", -EBADMSG },
		{ "barbuf/1 lend \x1b[2J", -EBADMSG },
		{ "barbuf/1 lend 12345678901234567890123456789012", -EBADMSG },
		{ "barbuf/1 lend 123456789012345678901234567890123456789012345678901234567890",
		  -EBADMSG },
		{ "barbuf/2 lend rx", -EPROTO },
		{ "barbuf/11 lend rx", -EPROTO },
		{ "GET / HTTP/1.0\r\n\r\n", -EBADMSG },
	};
	char name[BARBUF_NAME_MAX + 1] = "before";
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret;

		say(client, cases[i].text);
		ret = serve_read(server, name);
		CHECK(ret == cases[i].want && !strcmp(name, "before"), "request %zu: %s", i,
		      strerror(-ret));
	}
	CHECK(!barbuf_message_send(client, "barbuf/1 lend a\0b", 17, -1) &&
		      serve_read(server, name) == -EBADMSG,
	      "a NUL");
	CHECK(!barbuf_message_send(client, "barbuf/1 lend a", 15, STDOUT_FILENO) &&
		      serve_read(server, name) == -EBADMSG,
	      "a descriptor");
	CHECK(send(client, "barbuf/1 lend a", 15, 0) == 15 && serve_read(server, name) == -EBADMSG,
	      "no message of the library");
}

static void refusals(void)
{
	char reason[SERVE_REASON_MAX] = "", longer[2 * SERVE_REASON_MAX];
	struct barbuf_buffer *buf = NULL;

	CHECK(!serve_refuse(server, "no %s here", "rx") &&
		      serve_receive(client, &buf, reason) == -EACCES &&
		      !strcmp(reason, "no rx here"),
	      "refused: %s", reason);
	CHECK(say(server, "barbuf/7 refused I am newer") &&
		      serve_receive(client, &buf, reason) == -EACCES &&
		      !strcmp(reason, "I am newer"),
	      "by another version: %s", reason);
	CHECK(say(server, "barbuf/1 refused \x1b[2J\n") &&
		      serve_receive(client, &buf, reason) == -EACCES && !strcmp(reason, "?[2J?"),
	      "without what a terminal would obey: %s", reason);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	CHECK(!serve_refuse(server, "%s", longer) &&
		      serve_receive(client, &buf, reason) == -EACCES &&
		      strlen(reason) == SERVE_REASON_MAX - 1,
	      "cut to %zu", strlen(reason));
	memcpy(longer, "barbuf/1 refused ", 17);
	CHECK(say(server, longer) && serve_receive(client, &buf, reason) == -EACCES &&
		      strlen(reason) == SERVE_REASON_MAX - 1,
	      "and so is what another sends");
	CHECK(say(server, "barbuf/1 maybe") && serve_receive(client, &buf, reason) == -EPROTO,
	      "an answer that is none");
	CHECK(say(server, "barbuf/1") && serve_receive(client, &buf, reason) == -EPROTO,
	      "nor this");
	CHECK(say(server, "") && serve_receive(client, &buf, reason) == -EPROTO, "nor nothing");
	CHECK(send(server, "hello", 5, 0) == 5 && serve_receive(client, &buf, reason) == -EPROTO,
	      "nor another protocol");
	CHECK(!buf, "no buffer came of it");
}

static void lending(void)
{
	int fd = memfd_create("dmabuf:rx", MFD_CLOEXEC);
	struct barbuf_buffer *buf, *got = NULL;
	char reason[SERVE_REASON_MAX];

	REQUIRE(fd >= 0 && !ftruncate(fd, 8192) && !barbuf_buffer_adopt(&buf, fd), "a buffer");
	CHECK(!serve_lend(server, "rx", buf), "is lent");
	REQUIRE(!serve_receive(client, &got, reason), "and received");
	CHECK(barbuf_buffer_size(got) == 8192 && !strcmp(barbuf_buffer_name(got), "rx"),
	      "%s, %llu bytes", barbuf_buffer_name(got),
	      (unsigned long long)barbuf_buffer_size(got));
	barbuf_buffer_free(got);
	got = NULL;
	CHECK(say(server, "barbuf/1 lent rx") && say(server, "no buffer") &&
		      serve_receive(client, &got, reason) == -EBADMSG && !got,
	      "a promise without a buffer");
	barbuf_buffer_free(buf);
}

static void ends(void)
{
	char reason[SERVE_REASON_MAX], name[BARBUF_NAME_MAX + 1];
	struct barbuf_buffer *buf;

	close(client);
	CHECK(serve_read(server, name) == -EPIPE, "the client is gone");
	CHECK(serve_refuse(server, "x") == -EPIPE, "and cannot be told why");
	close(server);
	CHECK(serve_receive(server, &buf, reason) == -EBADF, "nor asked");
}

int main(void)
{
	int s[2];

	if (CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s),
		  "a pair of sockets")) {
		client = s[0];
		server = s[1];
		names();
		requests();
		hostile_requests();
		refusals();
		lending();
		ends();
	}
	return tap_done();
}
