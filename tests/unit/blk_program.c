// SPDX-License-Identifier: LGPL-2.1-or-later
/* blkload, the program (its path is the argument), against a primary and a device that are played here. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "fake_blk.h"
#include "tap.h"

#define WAIT_MS 20000
#define SIZE 1024u /* of a block */

static char *program;
static char directory[] = "/tmp/blk_program.XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };

struct load {
	struct fake_blk f;
	pid_t pid;
	int out; /* what it prints */
	char said[65536];
	size_t len;
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void run(int out, const char *const *options)
{
	const char *argv[24] = { program, address.sun_path, "--json" };
	size_t n = 3;

	while (*options)
		argv[n++] = *options++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	execv(program, (char *const *)argv);
	_exit(127);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1;
}

/* Start it, and grant it a lease. The disk begins with what the lab's disks do; the device stands still. */
static void start(struct load *l, uint32_t flags, uint32_t depth, const char *const *options)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), out[2];
	uint32_t value;
	size_t i;

	memset(l, 0, sizeof(*l));
	fake_blk_new(&l->f, flags, depth, SIZE);
	for (i = 0; i < FAKE_BLOCKS * SIZE / 512; i++)
		snprintf((char *)l->f.disk + i * 512, 512, "%-511zu", FAKE_FIRST * SIZE / 512 + i);
	for (i = 511; i < FAKE_BLOCKS * SIZE; i += 512)
		l->f.disk[i] = '\n';
	unlink(address.sun_path);
	need(!bind(listener, (struct sockaddr *)&address, sizeof(address)) && !listen(listener, 1),
	     "a socket");
	need(!pipe2(out, O_CLOEXEC), "a pipe");
	l->pid = fork();
	if (!l->pid)
		run(out[1], options);
	close(out[1]);
	l->out = out[0];
	close(l->f.client);
	close(l->f.sock);
	need(l->pid > 0 && readable(listener), "no connection");
	l->f.sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(listener);
	need(readable(l->f.sock) && fake_hear(&l->f, &value) == BLK_ASK && fake_grant(&l->f),
	     "no lease");
}

/* Its exit status, with all that it has said in .said. */
static int end(struct load *l)
{
	int status = -1;
	ssize_t n;

	while (l->len < sizeof(l->said) - 1 && readable(l->out) &&
	       (n = read(l->out, l->said + l->len, sizeof(l->said) - 1 - l->len)) > 0)
		l->len += n;
	kill(l->pid, l->len ? 0 : SIGKILL);
	waitpid(l->pid, &status, 0);
	close(l->out);
	fake_blk_free(&l->f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

/* The last line's number of this name, or -1. */
static long long last(const struct load *l, const char *name)
{
	const char *line = strstr(l->said, "\"final\""), *at;
	char key[64];

	while (line && line > l->said && line[-1] != '\n')
		line--;
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = line ? strstr(line, key) : NULL;
	return at ? atoll(at + strlen(key)) : -1;
}

/* A device that answers a read and moves nothing: what the slot held before is right, of another time. */
static void no_data(void)
{
	static const char *const options[] = { "--depth", "8", "--requests", "100", NULL };
	struct load l;
	int status;

	start(&l, BLK_READ_ONLY | BLK_FIXED, 8, options);
	fake_device_start(&l.f, UINT_MAX);
	status = end(&l);
	CHECK(status == 0 && last(&l, "done") == 100 && last(&l, "errors") == 0,
	      "a device that reads: status %d, %lld errors", status, last(&l, "errors"));

	/* Each slot is one block's: the first eight requests are of all of them. */
	start(&l, BLK_READ_ONLY | BLK_FIXED, 8, options);
	l.f.idle_from = 8;
	fake_device_start(&l.f, UINT_MAX);
	status = end(&l);
	CHECK(status == 1 && last(&l, "done") == 100 && last(&l, "errors") == 92 * 2,
	      "one that does no more after 8 requests: status %d, %lld sectors are wrong", status,
	      last(&l, "errors"));
}

static void fill_pipe(int fd)
{
	char path[32], page[4096];
	int in;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	in = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	need(in >= 0, path);
	memset(page, '\n', sizeof(page));
	while (write(in, page, sizeof(page)) > 0)
		;
	close(in);
}

/* Asked to leave: the queue is given back before it sums up, and before anybody reads what it sums up. */
static void leaves(void)
{
	static const char *const options[] = { "--write",  "50",      "--verify", "own",
					       "--period", "3600000", NULL };
	uint32_t value, word = 0;
	struct load l;
	int status;

	start(&l, 0, 8, options);
	fake_device_start(&l.f, UINT_MAX);
	need(readable(l.out), "it does not begin");
	fill_pipe(l.out);
	usleep(50000);
	fake_say(&l.f, BLK_LEAVE, 1000, -1);
	if (readable(l.f.sock))
		word = fake_hear(&l.f, &value);
	CHECK(word == BLK_BYE, "BYE comes first: %u", word);
	status = end(&l);
	CHECK(status == 3 && strstr(l.said, "asked to leave"), "then the sum: status %d", status);
	CHECK(last(&l, "written") > 0 && last(&l, "errors") == 0 && l.f.flushes == 1,
	      "of %lld sectors, and they were flushed", last(&l, "written"));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s BLKLOAD\n", argv[0]);
		return 2;
	}
	program = argv[1];
	need(mkdtemp(directory), directory);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	no_data();
	leaves();
	unlink(address.sun_path);
	rmdir(directory);
	return tap_done();
}
