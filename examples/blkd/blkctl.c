// SPDX-License-Identifier: MIT
/* Asks a blkd for something, by the messages of proto.h. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <barbuf.h>

#include "listen.h"
#include "policy.h"
#include "proto.h"

#define PROGRAM "blkctl"
#define EXIT_USAGE 2
/* Longer than any restart of the device may take. */
#define ANSWER_SECONDS 15
#define LEAVE_MS 1000

static const char help[] =
	"usage: " PROGRAM " [--json] SOCKET COMMAND\n"
	"\n"
	"Asks the blkd that listens at SOCKET:\n"
	"\n"
	"  status            who holds which queue; with --json as one object\n"
	"  revoke QUEUE      take a queue back now\n"
	"  leave QUEUE [MS]  tell its holder to go within so many milliseconds (1000)\n"
	"  restart           reset and restart the device; leases stay\n"
	"  reset             reset the PCI function or its bus; leases are granted anew\n"
	"  stop              end blkd\n"
	"\n"
	"Root and blkd's own user may. Exit status: 1: it was not done, 2: wrong usage.\n";

static const struct command {
	const char *name;
	enum blk_command command;
	int min, max; /* arguments */
} commands[] = {
	{ "status", BLK_CMD_STATUS, 0, 0 }, { "revoke", BLK_CMD_REVOKE, 1, 1 },
	{ "leave", BLK_CMD_LEAVE, 1, 2 },   { "restart", BLK_CMD_RESTART, 0, 0 },
	{ "reset", BLK_CMD_RESET, 0, 0 },   { "stop", BLK_CMD_STOP, 0, 0 },
};

__attribute__((format(printf, 2, 3))) static int fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs(PROGRAM ": ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int read_number(const char *what, const char *text, uint64_t *value)
{
	if (!barbuf_size_parse(text, value, NULL) && *value <= INT32_MAX)
		return 0;
	return fail(EXIT_USAGE, "%s '%s': a number from 0 to %d is needed", what, text, INT32_MAX);
}

static int read_request(int argc, char **argv, struct blk_request *r)
{
	const struct command *c = argc ? find(argv[0]) : NULL;
	uint64_t value = LEAVE_MS;

	if (!argc)
		return fail(EXIT_USAGE, "SOCKET and COMMAND are needed; --help tells more");
	if (!c)
		return fail(EXIT_USAGE,
			    "COMMAND '%s': none of status, revoke, leave, restart, reset, stop",
			    argv[0]);
	if (argc - 1 < c->min)
		return fail(EXIT_USAGE, "%s: QUEUE is needed", c->name);
	if (argc - 1 > c->max)
		return fail(EXIT_USAGE, "%s: '%s' is one argument too many", c->name,
			    argv[1 + c->max]);
	*r = (struct blk_request){
		.kind = BLK_COMMAND,
		.version = BLK_VERSION,
		.command = c->command,
		.queue = BLK_ANY_QUEUE,
	};
	if (argc > 2 && read_number("MS", argv[2], &value))
		return EXIT_USAGE;
	r->value = value;
	if (argc > 1) {
		if (read_number("QUEUE", argv[1], &value))
			return EXIT_USAGE;
		r->queue = value;
	}
	return 0;
}

static void print_status(const struct blk_status *s)
{
	if (!s->queue)
		printf("%5s  %-8s %8s %8s %-8s %5s %21s %10s %8s %7s\n", "QUEUE", "STATE", "PID",
		       "UID", "ACCESS", "DEPTH", "FIRST+BLOCKS", "DONE", "SECONDS", "LEASES");
	if (!s->lent) {
		printf("%5d  %-8s %8s %8s %-8s %5s %21s %10s %8s %7" PRIu64 "\n", s->queue, "free",
		       "-", "-", "-", "-", "-", "-", "-", s->leases);
		return;
	}
	printf("%5d  %-8s %8d %8u %-8s %5u %10" PRIu64 "+%-10" PRIu64 " %10" PRIu64 " %8" PRIu64
	       " %7" PRIu64 "\n",
	       s->queue, "lent", s->pid, s->uid, policy_access(s->flags), s->depth, s->first_block,
	       s->nr_blocks, s->done, s->seconds, s->leases);
}

static json_t *status_object(const struct blk_status *s)
{
	if (!s->lent)
		return json_pack("{s:i, s:b, s:I}", "queue", s->queue, "lent", 0, "leases",
				 (json_int_t)s->leases);
	return json_pack("{s:i, s:b, s:I, s:i, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "queue",
			 s->queue, "lent", 1, "leases", (json_int_t)s->leases, "pid", s->pid, "uid",
			 (json_int_t)s->uid, "access", policy_access(s->flags), "depth",
			 (json_int_t)s->depth, "block", (json_int_t)s->block_size, "first",
			 (json_int_t)s->first_block, "blocks", (json_int_t)s->nr_blocks, "done",
			 (json_int_t)s->done, "seconds", (json_int_t)s->seconds);
}

union answer {
	uint32_t kind;
	struct blk_status status;
	struct blk_text text;
};

/* Until DONE or REFUSED. @rows: of status with --json. */
static int read_answers(int sock, json_t *rows, bool status)
{
	union answer a;
	size_t len;
	int ret;

	for (;;) {
		ret = barbuf_message_recv(sock, &a, sizeof(a), &len, NULL);
		if (ret == -EAGAIN)
			return fail(EXIT_FAILURE, "no answer within %d s", ANSWER_SECONDS);
		if (ret)
			return fail(EXIT_FAILURE, "%s",
				    ret == -EPIPE ? "it has hung up" : strerror(-ret));
		if (len == sizeof(a.status) && a.kind == BLK_STATUS && status) {
			if (rows)
				json_array_append_new(rows, status_object(&a.status));
			else
				print_status(&a.status);
			continue;
		}
		if (len != sizeof(a.text) || (a.kind != BLK_DONE && a.kind != BLK_REFUSED))
			return fail(EXIT_FAILURE, "an answer that makes no sense");
		if (!a.text.error)
			return EXIT_SUCCESS;
		a.text.text[sizeof(a.text.text) - 1] = '\0';
		return fail(EXIT_FAILURE, "%s", a.text.text);
	}
}

static int ask(int sock, const struct blk_request *r, bool json)
{
	bool status = r->command == BLK_CMD_STATUS;
	json_t *rows = status && json ? json_array() : NULL;
	int ret;

	ret = barbuf_message_send(sock, r, sizeof(*r), -1);
	if (ret)
		return fail(EXIT_FAILURE, "%s", strerror(-ret));
	ret = read_answers(sock, rows, status);
	if (!ret && rows) {
		json_t *root = json_pack("{s:O}", "queues", rows);

		json_dumpf(root, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(root);
	}
	json_decref(rows);
	if (fflush(stdout) || ferror(stdout))
		return fail(EXIT_FAILURE, "standard output: %s", strerror(errno));
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct blk_request request;
	bool json = false;
	int id, sock, ret;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == 'h') {
			fputs(help, stdout);
			return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
		}
		if (id != 'j')
			return EXIT_USAGE;
		json = true;
	}
	argc -= optind;
	argv += optind;
	ret = read_request(argc > 0 ? argc - 1 : 0, argv + 1, &request);
	if (ret)
		return ret;
	sock = listen_connect(argv[0], ANSWER_SECONDS);
	if (sock < 0)
		return fail(EXIT_FAILURE, "SOCKET '%s': %s", argv[0], strerror(-sock));
	ret = ask(sock, &request, json);
	close(sock);
	return ret;
}
