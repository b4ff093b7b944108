// SPDX-License-Identifier: LGPL-2.1-or-later
/* Leases and their ends. The revoke is ours: it notes what it was asked for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffer.h"
#include "leases.h"
#include "tap.h"
#include "wire.h"

#define MANY 10000

static struct barbuf_leases *t;
static struct barbuf_buffer bufs[MANY];
static struct barbuf_buffer *revoked[MANY]; /* in this order */
static unsigned int nr_revoked;
static int answer; /* of the next revokes */

static int note_revoke(struct barbuf_buffer *buf)
{
	if (nr_revoked < MANY)
		revoked[nr_revoked] = buf;
	nr_revoked++;
	return answer;
}

static unsigned int fds_before;

static bool begin(void)
{
	fds_before = open_fds();
	nr_revoked = 0;
	answer = 0;
	return CHECK(!barbuf__leases_new(&t, note_revoke), "a table");
}

static void finish(const char *what)
{
	barbuf_leases_free(t);
	CHECK(open_fds() == fds_before, "%s: no fd is left", what);
}

static bool readable(void)
{
	struct pollfd p = { .fd = barbuf_leases_fd(t), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Waits some seconds for the kernel to have said that a process has ended. */
static bool becomes_readable(void)
{
	struct pollfd p = { .fd = barbuf_leases_fd(t), .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

/* Nothing happens any more. */
static bool quiet(void)
{
	struct barbuf_lease_event event;

	return !readable() && barbuf_leases_next(t, &event) == 0;
}

/* A process that does nothing until it is killed. */
static pid_t start_holder(int *pidfd)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	*pidfd = pidfd_open(pid, 0);
	return pid;
}

static void kill_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void records(void)
{
	struct barbuf_peer holder = { .pid = 17, .uid = 1000, .gid = 100 };
	struct barbuf_lease got = { .id = 4711 };
	uint64_t id[3] = { 0 };
	int i;

	if (!begin())
		return;
	CHECK(barbuf_lease_after(t, 0, &got) == -ENOENT && got.id == 4711,
	      "an empty table is empty");
	for (i = 0; i < 3; i++)
		CHECK(!barbuf_lease(t, &bufs[i], -1, -1, i ? &holder : NULL, &id[i], &id[i]),
		      "lease %d", i);
	CHECK(id[0] && id[1] > id[0] && id[2] > id[1], "numbers count up from 1");
	CHECK(!barbuf_lease_find(t, &bufs[1], &got) && got.id == id[1] && got.buf == &bufs[1] &&
		      got.cookie == &id[1] && got.holder.pid == 17 && got.holder.uid == 1000 &&
		      got.holder.gid == 100,
	      "a buffer's lease is found, with all that was recorded");
	CHECK(!barbuf_lease_find(t, &bufs[0], &got) && got.holder.pid == 0 &&
		      got.holder.uid == (uid_t)-1 && got.holder.gid == (gid_t)-1,
	      "an unknown holder is nobody");
	CHECK(barbuf_lease_find(t, &bufs[3], &got) == -ENOENT && got.id == id[0],
	      "a buffer that is not leased is not found");
	CHECK(barbuf_lease(t, &bufs[1], -1, -1, &holder, NULL, &id[0]) == -EEXIST &&
		      id[0] == got.id,
	      "no buffer is leased twice");

	CHECK(!barbuf_lease_end(t, id[1]) && nr_revoked == 1 && revoked[0] == &bufs[1],
	      "the end of a lease revokes its buffer");
	CHECK(barbuf_lease_end(t, id[1]) == -ENOENT && barbuf_lease_end(t, 0) == -ENOENT &&
		      barbuf_lease_end(t, UINT64_MAX) == -ENOENT && nr_revoked == 1,
	      "once, and no lease that is none");
	CHECK(!barbuf_lease_after(t, 0, &got) && got.id == id[0] &&
		      !barbuf_lease_after(t, id[0], &got) && got.id == id[2] &&
		      barbuf_lease_after(t, id[2], &got) == -ENOENT &&
		      barbuf_lease_after(t, UINT64_MAX, &got) == -ENOENT,
	      "going through the table leaves it out");
	CHECK(!barbuf_lease(t, &bufs[1], -1, -1, &holder, NULL, &id[1]) && id[1] > id[2],
	      "leased again it has a new number");
	answer = -EIO;
	CHECK(barbuf_lease_end(t, id[1]) == -EIO, "what the revoke answers is told");
	CHECK(barbuf_lease_find(t, &bufs[1], &got) == -ENOENT, "and the lease is over");
	CHECK(quiet(), "none of this is an event");

	nr_revoked = 0;
	finish("records");
	CHECK(nr_revoked == 2 && revoked[0] == &bufs[0] && revoked[1] == &bufs[2],
	      "the end of the table revokes what was leased");
	barbuf_leases_free(NULL);
	CHECK(nr_revoked == 2, "no table is fine");
}

static void bad_calls(void)
{
	int lone = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int event = eventfd(0, EFD_CLOEXEC);
	int self = pidfd_open(getpid(), 0);
	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct barbuf_lease got;
	struct rlimit old, low;
	unsigned int before;
	uint64_t id = 4711;
	int ret, s[2];

	if (!begin())
		return;
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) && self >= 0, "holders");
	before = open_fds();
	CHECK(barbuf_lease(t, bufs, 9999, -1, NULL, NULL, &id) == -EBADF, "a pidfd that is none");
	CHECK(barbuf_lease(t, bufs, -2, -1, NULL, NULL, &id) == -EBADF, "-2 is not -1");
	CHECK(barbuf_lease(t, bufs, event, -1, NULL, NULL, &id) == -EINVAL, "an eventfd as pidfd");
	CHECK(barbuf_lease(t, bufs, s[0], -1, NULL, NULL, &id) == -EINVAL, "a socket as pidfd");
	CHECK(barbuf_lease(t, bufs, proc, -1, NULL, NULL, &id) == -EINVAL, "/proc/self as pidfd");
	CHECK(barbuf_lease(t, bufs, self, 9999, NULL, NULL, &id) == -EBADF,
	      "a socket that is none");
	CHECK(barbuf_lease(t, bufs, self, -2, NULL, NULL, &id) == -EBADF, "-2 is not -1");
	CHECK(barbuf_lease(t, bufs, self, event, NULL, NULL, &id) == -EINVAL,
	      "an eventfd as socket");
	CHECK(barbuf_lease(t, bufs, self, lone, NULL, NULL, &id) == -ENOTCONN,
	      "a socket that is not connected");

	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = dup(self);
	close(low.rlim_cur);
	setrlimit(RLIMIT_NOFILE, &low);
	ret = barbuf_lease(t, bufs, self, s[0], NULL, NULL, &id);
	low.rlim_cur++;
	setrlimit(RLIMIT_NOFILE, &low);
	CHECK(ret == -EMFILE, "no free descriptor: %s", strerror(-ret));
	ret = barbuf_lease(t, bufs, self, s[0], NULL, NULL, &id);
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK(ret == -EMFILE, "one for two: %s", strerror(-ret));
	CHECK(barbuf_lease(t, bufs, proc, s[0], NULL, NULL, &id) == -EINVAL,
	      "a good socket does not help");
	CHECK(open_fds() == before && id == 4711 && barbuf_lease_find(t, bufs, &got) == -ENOENT &&
		      barbuf_lease_after(t, 0, &got) == -ENOENT && quiet(),
	      "none of these left anything behind");
	CHECK(!barbuf_lease(t, bufs, self, s[0], NULL, NULL, &id) && id == 1, "then it is leased");

	close(lone);
	close(event);
	close(self);
	close(proc);
	close(s[0]);
	close(s[1]);
	fds_before -= 4; /* those from before the table */
	finish("bad calls");
}

static void a_process_ends(void)
{
	struct barbuf_peer holder = { .uid = 1, .gid = 2 };
	struct barbuf_lease_event event;
	int pidfd[2], order[3] = { 0 };
	pid_t pid[2];
	uint64_t id;
	int i;

	if (!begin())
		return;
	for (i = 0; i < 2; i++)
		pid[i] = start_holder(&pidfd[i]);
	for (i = 0; i < 4; i++) {
		holder.pid = pid[i == 3];
		CHECK(!barbuf_lease(t, &bufs[i], pidfd[i == 3], -1, &holder, &order[i % 3], &id),
		      "lease %d", i);
	}
	close(pidfd[0]);
	close(pidfd[1]);
	CHECK(quiet(), "while both live nothing happens");
	kill_holder(pid[0]);
	CHECK(becomes_readable() && !nr_revoked,
	      "one ends: the descriptor tells, nothing is revoked yet");
	memset(order, 0, sizeof(order));
	for (i = 0; i < 3; i++) {
		CHECK(barbuf_leases_next(t, &event) == 1 && event.why == BARBUF_LEASE_EXITED &&
			      !event.error && event.lease.holder.pid == pid[0] &&
			      event.lease.holder.uid == 1 && nr_revoked == i + 1u &&
			      revoked[i] == event.lease.buf,
		      "event %d of its three leases revokes one buffer", i);
		(*(int *)event.lease.cookie)++;
		CHECK(barbuf_lease_end(t, event.lease.id) == -ENOENT, "and it is over");
	}
	CHECK(order[0] == 1 && order[1] == 1 && order[2] == 1, "each of the three once");
	CHECK(quiet(), "there is no fourth, although another lives on");

	answer = -EBADFD;
	kill_holder(pid[1]);
	CHECK(becomes_readable() && barbuf_leases_next(t, &event) == 1 && event.error == -EBADFD &&
		      event.lease.buf == &bufs[3],
	      "a buffer that was revoked already is told as such");
	CHECK(quiet(), "and its lease is over");
	finish("a process ends");
}

static void ended_before(void)
{
	struct barbuf_lease_event event;
	int pidfd;
	pid_t pid;
	int s[2];

	if (!begin())
		return;
	pid = start_holder(&pidfd);
	kill_holder(pid);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) && !close(s[1]),
		"a closed peer");
	CHECK(!barbuf_lease(t, &bufs[0], pidfd, -1, NULL, NULL, NULL) &&
		      !barbuf_lease(t, &bufs[1], -1, s[0], NULL, NULL, NULL),
	      "leases of holders that have ended are taken");
	CHECK(!nr_revoked && readable(), "and end");
	CHECK(barbuf_leases_next(t, &event) == 1 && event.why == BARBUF_LEASE_EXITED &&
		      event.lease.buf == &bufs[0],
	      "by exit");
	CHECK(barbuf_leases_next(t, &event) == 1 && event.why == BARBUF_LEASE_HUNG_UP &&
		      event.lease.buf == &bufs[1] && nr_revoked == 2,
	      "and by hang-up, in this order");
	CHECK(quiet(), "and that is all");
	close(pidfd);
	close(s[0]);
	finish("ended before");
}

static void a_socket_ends(void)
{
	struct barbuf_lease_event event = { .error = 1 };
	char text[8];
	size_t len;
	int s[2];

	if (!begin())
		return;
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s),
		"a pair");
	CHECK(!barbuf_lease(t, bufs, -1, s[0], NULL, NULL, NULL), "a lease by socket");
	CHECK(!barbuf_message_send(s[1], "unread", 6, -1) && quiet(),
	      "what is not read ends nothing");
	CHECK(!barbuf_message_recv(s[0], text, sizeof(text), &len, NULL) && len == 6,
	      "and is still there for the owner of the socket");
	CHECK(!barbuf_message_send(s[1], "last", 4, -1) && !close(s[1]),
	      "the holder sends and closes");
	CHECK(readable() && barbuf_leases_next(t, &event) == 1 &&
		      event.why == BARBUF_LEASE_HUNG_UP && !event.error && nr_revoked == 1,
	      "this ends the lease");
	CHECK(!barbuf_message_recv(s[0], text, sizeof(text), &len, NULL) && len == 4,
	      "and the last message is still there");
	CHECK(quiet(), "no more happens");
	close(s[0]);

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), "a pair of streams");
	CHECK(!barbuf_lease(t, bufs, -1, s[0], NULL, NULL, NULL) && !close(s[0]),
	      "the owner may close its socket");
	CHECK(quiet(), "which ends nothing");
	CHECK(!shutdown(s[1], SHUT_WR) && barbuf_leases_next(t, &event) == 1 &&
		      event.why == BARBUF_LEASE_HUNG_UP,
	      "a holder that shuts it down has ended");
	close(s[1]);
	finish("a socket ends");
}

/* Of both, the first tells, and alone. */
static void both(void)
{
	struct barbuf_lease_event event;
	int pidfd;
	pid_t pid;
	int s[2];

	if (!begin())
		return;
	pid = start_holder(&pidfd);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), "a pair");
	CHECK(!barbuf_lease(t, bufs, pidfd, s[0], NULL, NULL, NULL), "a lease by pidfd and socket");
	kill_holder(pid);
	CHECK(becomes_readable(), "the process ends");
	close(s[1]);
	CHECK(barbuf_leases_next(t, &event) == 1 && event.why == BARBUF_LEASE_EXITED,
	      "then the socket");
	CHECK(quiet() && nr_revoked == 1, "it is told once");
	close(pidfd);
	close(s[0]);

	pid = start_holder(&pidfd);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), "a pair");
	CHECK(!barbuf_lease(t, bufs, pidfd, s[0], NULL, NULL, NULL) && !close(s[1]),
	      "another: the socket ends");
	kill_holder(pid);
	CHECK(barbuf_leases_next(t, &event) == 1 && event.why == BARBUF_LEASE_HUNG_UP,
	      "then the process");
	CHECK(quiet() && nr_revoked == 2, "it is told once");
	close(pidfd);
	close(s[0]);
	finish("both");
}

/* An end that came just before barbuf_lease_end() is nobody's any more. */
static void no_stale_events(void)
{
	struct barbuf_lease_event event;
	uint64_t id[2];
	int pidfd;
	pid_t pid;
	int s[2];

	if (!begin())
		return;
	pid = start_holder(&pidfd);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), "a pair");
	CHECK(!barbuf_lease(t, &bufs[0], pidfd, s[0], NULL, NULL, &id[0]), "a lease");
	close(s[1]);
	kill_holder(pid);
	CHECK(readable(), "its holder ends");
	CHECK(!barbuf_lease_end(t, id[0]) && nr_revoked == 1, "the primary ends it first");
	CHECK(quiet() && nr_revoked == 1, "no event is left");
	CHECK(!barbuf_lease(t, &bufs[0], -1, -1, NULL, NULL, &id[1]) && quiet() &&
		      !barbuf_lease_end(t, id[1]),
	      "nor does the buffer's next lease get it");
	close(pidfd);
	close(s[0]);

	/* A forked child has the same epoll set, so an event can come for a lease of its own. */
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), "a pair");
	pid = fork();
	if (!pid) {
		if (barbuf_lease(t, &bufs[1], -1, s[0], NULL, NULL, NULL))
			_exit(1);
		close(s[1]);
		for (;;)
			pause();
	}
	close(s[1]);
	CHECK(becomes_readable(), "an event with the number of no lease comes");
	close(s[0]);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) && !close(s[1]),
		"then one of ours");
	/* The same number must not be both. */
	for (id[1] = 0; id[1] < 9 && !barbuf_lease(t, &bufs[2], -1, -1, NULL, NULL, &id[0]);
	     id[1]++)
		barbuf_lease_end(t, id[0]);
	CHECK(!barbuf_lease(t, &bufs[2], -1, s[0], NULL, NULL, &id[0]) &&
		      barbuf_leases_next(t, &event) == 1 && event.lease.id == id[0],
	      "which is told, and the other skipped");
	CHECK(quiet(), "once and for all");
	kill_holder(pid);
	close(s[0]);
	finish("no stale events");
}

static void by_pid(void)
{
	struct barbuf_peer holder = { .pid = 30 };
	struct barbuf_lease got;
	int i;

	if (!begin())
		return;
	for (i = 0; i < 9; i++) {
		holder.pid = i % 3 ? 30 + i % 3 : 0;
		barbuf_lease(t, &bufs[i], -1, -1, &holder, NULL, NULL);
	}
	CHECK(barbuf_lease_end_pid(t, 31) == 3 && nr_revoked == 3 && revoked[0] == &bufs[1] &&
		      revoked[1] == &bufs[4] && revoked[2] == &bufs[7],
	      "all that one process holds");
	CHECK(barbuf_lease_end_pid(t, 31) == 0 && barbuf_lease_end_pid(t, 99) == 0, "then nothing");
	CHECK(barbuf_lease_end_pid(t, 0) == 0 && barbuf_lease_end_pid(t, -1) == 0 &&
		      nr_revoked == 3,
	      "who is not known by a pid is not meant by 0");
	answer = -EBADFD;
	CHECK(barbuf_lease_end_pid(t, 32) == 3 && nr_revoked == 6,
	      "a revoke that fails ends a lease");
	CHECK(!barbuf_lease_find(t, &bufs[0], &got) && !barbuf_lease_find(t, &bufs[3], &got) &&
		      !barbuf_lease_find(t, &bufs[6], &got),
	      "the others stay");
	finish("by pid");
}

/* An adopted buffer cannot be revoked, and the event says so. */
static void real_revoke(void)
{
	struct barbuf_buffer adopted = { .fd = -1 };
	struct barbuf_lease_event event;
	uint64_t id;
	int s[2];

	fds_before = open_fds();
	REQUIRE(!barbuf_leases_new(&t), "a table as programs have it");
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), "a pair");
	CHECK(!barbuf_lease(t, &adopted, -1, s[0], NULL, NULL, NULL) && !close(s[1]) &&
		      barbuf_leases_next(t, &event) == 1 && event.error == -EOPNOTSUPP,
	      "a buffer of no device: the event has the error");
	CHECK(!barbuf_lease(t, &adopted, -1, -1, NULL, NULL, &id) &&
		      barbuf_lease_end(t, id) == -EOPNOTSUPP,
	      "and so has the end");
	close(s[0]);
	finish("real revoke");
}

/* Whoever ends first is told first. */
static void in_order(void)
{
	struct barbuf_lease_event event;
	unsigned int wrong = 0, i, n = 300;
	int s[300][2];

	if (!begin())
		return;
	for (i = 0; i < n; i++)
		wrong += socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s[i]) != 0 ||
			 barbuf_lease(t, &bufs[i], -1, s[i][0], NULL, NULL, NULL);
	CHECK(!wrong && quiet(), "%u leases of %u sockets", n, n);
	for (i = n; i--;)
		close(s[i][1]);
	for (i = n; i-- && barbuf_leases_next(t, &event) == 1;)
		wrong += event.lease.buf != &bufs[i] || event.why != BARBUF_LEASE_HUNG_UP;
	CHECK(!wrong && nr_revoked == n && quiet(),
	      "they end in the order in which the sockets do");
	for (i = n; i--;)
		close(s[i][0]);
	finish("in order");
}

static double ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void many(void)
{
	static bool seen[MANY];
	struct barbuf_peer holder = { 0 };
	struct barbuf_lease_event event;
	double t0, made, found, ended, told;
	unsigned int wrong = 0, n = 0, i;
	struct rlimit limit, old;
	struct barbuf_lease got;
	uint64_t id;
	int pidfd;

	/* One descriptor for each lease. */
	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < MANY + 64) {
		tap_skip("10,000 leases", "no more than %lu descriptors", (long)limit.rlim_max);
		return;
	}
	if (!begin())
		return;
	holder.pid = start_holder(&pidfd);

	t0 = ms();
	for (i = 0; i < MANY; i++)
		wrong +=
			barbuf_lease(t, &bufs[i], pidfd, -1, &holder, &seen[i], &id) || id != i + 1;
	made = ms();
	CHECK(!wrong && quiet(), "%u leases of one process", MANY);
	for (i = 0; i < MANY; i++)
		wrong += barbuf_lease_find(t, &bufs[i], &got) || got.id != i + 1;
	for (id = 0; !barbuf_lease_after(t, id, &got); id = got.id)
		n++;
	found = ms();
	CHECK(!wrong && n == MANY, "each is found");

	for (i = 0; i < MANY; i += 2)
		wrong += barbuf_lease_end(t, i + 1) != 0;
	ended = ms();
	for (id = 0, n = 0; !barbuf_lease_after(t, id, &got); id = got.id)
		n += got.id % 2 == 0;
	CHECK(!wrong && n == MANY / 2 && nr_revoked == MANY / 2, "half of them end");

	kill_holder(holder.pid);
	CHECK(becomes_readable(), "the process ends");
	nr_revoked = 0;
	told = ms();
	for (n = 0; barbuf_leases_next(t, &event) == 1; n++) {
		bool *mark = event.lease.cookie;

		wrong += *mark || event.lease.id % 2 || revoked[n] != event.lease.buf;
		*mark = true;
	}
	told = ms() - told;
	CHECK(n == MANY / 2 && !wrong, "%u events, each of another lease", n);
	CHECK(barbuf_lease_after(t, 0, &got) == -ENOENT && quiet(), "then the table is empty");
	printf("# ms: %u made %.1f, found and walked %.1f, half ended %.1f, half told %.1f\n", MANY,
	       made - t0, found - made, ended - found, told);
	close(pidfd);
	finish("many");
	setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
	records();
	bad_calls();
	a_process_ends();
	ended_before();
	a_socket_ends();
	both();
	no_stale_events();
	by_pid();
	real_revoke();
	in_order();
	many();
	return tap_done();
}
