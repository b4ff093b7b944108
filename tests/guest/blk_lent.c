// SPDX-License-Identifier: GPL-2.0-only
/* blkd under test, and a client by hand. The disk and the load are in blk_load.c. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blk_lent.h"

#define MAX_ARGS 24

/* blkd ------------------------------------------------------------------------*/

/* One case's blkd may still be on its way out when the next case begins. */
static void wait_unused(int group)
{
	uint64_t end = timeout();
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		if (errno != EBUSY || now_ns() > end)
			FAIL("open of %s: %s", path, strerror_name(errno));
		sleep_ms(10);
	}
	close(fd);
}

static pid_t exec_blkd(const char *address, const char *socket, const char *const *more, int out,
		       int err)
{
	const char *argv[MAX_ARGS] = { "blkd", "--json" };
	unsigned int n = 2;
	pid_t pid;

	while (more && *more) {
		CHECK(n < MAX_ARGS - 3);
		argv[n++] = *more++;
	}
	argv[n++] = address;
	argv[n] = socket;
	pid = fork();
	CHECK(pid >= 0);
	if (pid)
		return pid;
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(126);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

void blkd_start(struct blkd *b, const char *model, const char *const *more)
{
	int out[2], err, group;

	*b = (struct blkd){ .events = json_array() };
	if (!dev_bind(model, b->address, &group))
		SKIP("this lab has no %s", model);
	wait_unused(group);
	snprintf(b->socket, sizeof(b->socket), "/tmp/blk.%d", getpid());
	snprintf(b->said, sizeof(b->said), "/tmp/blk.%d.said", getpid());
	err = OK(open(b->said, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	OK(pipe2(out, O_CLOEXEC));
	b->pid = exec_blkd(b->address, b->socket, more, out[1], err);
	close(out[1]);
	close(err);
	b->out = out[0];
	OK(fcntl(b->out, F_SETFL, O_NONBLOCK));
	blkd_event(b, 0, "ready", -1);
}

int blkd_run(const char *address, const char *const *more, char *said, size_t size)
{
	char path[64], socket[64];
	int err, status;
	pid_t pid;

	snprintf(socket, sizeof(socket), "/tmp/blk.%d.run", getpid());
	snprintf(path, sizeof(path), "/tmp/blk.%d.run.said", getpid());
	err = OK(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	pid = exec_blkd(address, socket, more, err, err);
	close(err);
	status = wait_end(pid, "blkd");
	read_file(path, said, size);
	CHECK_MSG(WIFEXITED(status), "blkd died of signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

const char *blkd_said(const struct blkd *b, char *buf, size_t size)
{
	return read_file(b->said, buf, size);
}

static void explain(struct blkd *b)
{
	char said[900];
	size_t i, n = json_array_size(b->events);

	for (i = n > 12 ? n - 12 : 0; i < n; i++) {
		char *line = json_dumps(json_array_get(b->events, i), JSON_COMPACT);

		note("event: %s", line);
		free(line);
	}
	note("blkd said: %s", blkd_said(b, said, sizeof(said)));
}

/* Takes what there is; false when blkd has closed its end. */
static bool take_events(struct blkd *b)
{
	json_error_t error;
	json_t *event;
	ssize_t got;
	char *end;

	while ((got = read(b->out, b->line + b->have, sizeof(b->line) - 1 - b->have)) > 0) {
		b->have += got;
		b->line[b->have] = '\0';
		while ((end = strchr(b->line, '\n'))) {
			event = json_loadb(b->line, end - b->line, JSON_REJECT_DUPLICATES, &error);
			if (!event)
				FAIL("no JSON: %.*s", (int)(end - b->line), b->line);
			CHECK(json_is_number(json_object_get(event, "t")));
			CHECK(json_is_string(json_object_get(event, "event")));
			json_array_append_new(b->events, event);
			b->have -= end + 1 - b->line;
			memmove(b->line, end + 1, b->have + 1);
		}
		CHECK(b->have < sizeof(b->line) - 1);
	}
	return got != 0;
}

size_t blkd_mark(struct blkd *b)
{
	take_events(b);
	return json_array_size(b->events);
}

json_t *blkd_try_event(struct blkd *b, size_t mark, const char *name, int queue)
{
	take_events(b);
	for (; mark < json_array_size(b->events); mark++) {
		json_t *event = json_array_get(b->events, mark);

		if (strcmp(event_text(event, "event"), name) == 0 &&
		    (queue < 0 || event_int(event, "queue") == queue))
			return event;
	}
	return NULL;
}

json_t *blkd_event(struct blkd *b, size_t mark, const char *name, int queue)
{
	struct pollfd p = { .fd = b->out, .events = POLLIN };
	uint64_t end = timeout();
	json_t *event;
	bool open = true;

	while (!(event = blkd_try_event(b, mark, name, queue))) {
		if (!open || now_ns() > end) {
			explain(b);
			FAIL("%s event '%s' of queue %d", open ? "no" : "blkd ended without", name,
			     queue);
		}
		poll(&p, 1, 50);
		open = take_events(b);
	}
	return event;
}

/* -1: the event has no such key. */
long long event_int(const json_t *event, const char *key)
{
	const json_t *value = json_object_get(event, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

const char *event_text(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

static int command_socket(const struct blkd *b, enum blk_command cmd, int queue, uint32_t value)
{
	struct blk_request ask = {
		.kind = BLK_COMMAND,
		.version = BLK_VERSION,
		.command = cmd,
		.queue = queue,
		.value = value,
	};
	int sock = raw_connect(b);

	CHECK_EQ(barbuf_message_send(sock, &ask, sizeof(ask), -1), 0);
	return sock;
}

/* Of all answers the last, and the status of @queue if it is among them. */
static int command_answer(int sock, int queue, struct blk_status *of, char *why)
{
	union {
		uint32_t kind;
		struct blk_text text;
		struct blk_status status;
	} m;
	size_t len;
	int ret;

	for (;;) {
		ret = barbuf_message_recv(sock, &m, sizeof(m), &len, NULL);
		CHECK_MSG(!ret, "no answer to a command: %s", strerror_name(-ret));
		if (m.kind == BLK_DONE || m.kind == BLK_REFUSED)
			break;
		CHECK_EQ(m.kind, BLK_STATUS);
		CHECK_EQ(len, sizeof(m.status));
		if (of && m.status.queue == queue)
			*of = m.status;
	}
	CHECK_EQ(len, sizeof(m.text));
	CHECK(memchr(m.text.text, '\0', sizeof(m.text.text)));
	if (why)
		strcpy(why, m.text.text);
	close(sock);
	return m.text.error;
}

int blkd_try_command(const struct blkd *b, enum blk_command cmd, int queue, uint32_t value,
		     char *why)
{
	return command_answer(command_socket(b, cmd, queue, value), -1, NULL, why);
}

void blkd_command(const struct blkd *b, enum blk_command cmd, int queue, uint32_t value)
{
	char why[256];
	int ret = blkd_try_command(b, cmd, queue, value, why);

	CHECK_MSG(!ret, "command %d, queue %d: %s: %s", cmd, queue, strerror_name(-ret), why);
}

struct blk_status blkd_status(const struct blkd *b, int queue)
{
	struct blk_status s = { .queue = -1 };

	CHECK_EQ(command_answer(command_socket(b, BLK_CMD_STATUS, -1, 0), queue, &s, NULL), 0);
	CHECK_EQ(s.queue, queue);
	return s;
}

void blkd_stop(struct blkd *b)
{
	char said[900];
	int status;

	blkd_command(b, BLK_CMD_STOP, -1, 0);
	status = wait_end(b->pid, "blkd");
	CHECK_MSG(status == 0, "blkd ended with 0x%x and said: %s", status,
		  blkd_said(b, said, sizeof(said)));
	take_events(b);
	CHECK(blkd_try_event(b, 0, "stop", -1));
	CHECK_MSG(access(b->socket, F_OK) != 0, "the socket was left");
	close(b->out);
	unlink(b->said);
	json_decref(b->events);
}

/* The kernel's log ---------------------------------------------------------------*/

int log_open(void)
{
	int fd = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));

	OK(lseek(fd, 0, SEEK_END));
	return fd;
}

void check_no_iommu_fault(int log)
{
	char record[2048];
	ssize_t len;

	for (;;) {
		len = read(log, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		CHECK_MSG(!strstr(record, "fault addr") && !strstr(record, "IO_PAGE_FAULT"), "%s",
			  record);
	}
	close(log);
}

/* A client by hand --------------------------------------------------------------*/

/* As one that was started so: /proc/self/fd is its own. */
void drop_to(uid_t uid)
{
	OK(setgroups(0, NULL));
	OK(setresgid(uid, uid, uid));
	OK(setresuid(uid, uid, uid));
	OK(prctl(PR_SET_DUMPABLE, 1));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int raw_connect(const struct blkd *b)
{
	struct timeval limit = { .tv_sec = slow_kernel() ? 50 : 10 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = OK(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));

	strncpy(at.sun_path, b->socket, sizeof(at.sun_path) - 1);
	OK(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	OK(setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
	OK(connect(sock, (struct sockaddr *)&at, sizeof(at)));
	return sock;
}

static int take_piece(const struct raw *r, uint32_t kind)
{
	struct blk_word w = { 0 };
	size_t len;
	int fd = -1;

	CHECK_EQ(barbuf_message_recv(r->sock, &w, sizeof(w), &len, &fd), 0);
	CHECK_EQ(w.kind, kind);
	CHECK_EQ(len, sizeof(w));
	CHECK(fd >= 0);
	return fd;
}

static void take_rest(struct raw *r)
{
	CHECK_EQ(blk_window_check(&r->g.window, PAGE), 0);
	r->arena_fd = take_piece(r, BLK_ARENA);
	r->event_fd = take_piece(r, BLK_COMPLETION);
	CHECK_EQ(barbuf_buffer_recv(r->sock, &r->buf), 0);
	CHECK_EQ(barbuf_buffer_size(r->buf), PAGE);
	CHECK_EQ(barbuf_map(&r->bell, r->buf, NULL), 0);
	r->table = mmap(NULL, r->g.window.table_size, PROT_READ, MAP_SHARED, r->table_fd, 0);
	CHECK(r->table != MAP_FAILED);
	r->arena = mmap(NULL, r->g.window.arena_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			r->arena_fd, 0);
	CHECK(r->arena != MAP_FAILED);
	r->avail = 0;
	r->used = 0;
}

void raw_take(struct raw *r)
{
	size_t len;

	CHECK_EQ(barbuf_message_recv(r->sock, &r->g, sizeof(r->g), &len, &r->table_fd), 0);
	CHECK_EQ(r->g.kind, BLK_GRANT);
	CHECK_EQ(len, sizeof(r->g));
	CHECK(r->table_fd >= 0);
	take_rest(r);
}

int raw_try_open(struct raw *r, const struct blkd *b, int queue, uint32_t flags, uint32_t depth,
		 char *why)
{
	struct blk_ask ask = {
		.kind = BLK_ASK,
		.version = BLK_VERSION,
		.queue = queue,
		.flags = flags,
		.depth = depth,
	};
	union {
		uint32_t kind;
		struct blk_grant grant;
		struct blk_text text;
	} m;
	size_t len;
	int ret;

	*r = (struct raw){ .blkd = b, .sock = raw_connect(b), .table_fd = -1 };
	CHECK_EQ(barbuf_message_send(r->sock, &ask, sizeof(ask), -1), 0);
	ret = barbuf_message_recv(r->sock, &m, sizeof(m), &len, &r->table_fd);
	CHECK_MSG(!ret, "no answer to ASK: %s", strerror_name(-ret));
	if (m.kind == BLK_REFUSED) {
		CHECK_EQ(len, sizeof(m.text));
		CHECK(m.text.error < 0);
		CHECK(memchr(m.text.text, '\0', sizeof(m.text.text)));
		if (why)
			strcpy(why, m.text.text);
		close(r->sock);
		return m.text.error;
	}
	CHECK_EQ(m.kind, BLK_GRANT);
	CHECK_EQ(len, sizeof(m.grant));
	CHECK(r->table_fd >= 0);
	r->g = m.grant;
	if (queue != BLK_ANY_QUEUE)
		CHECK_EQ(r->g.queue, queue);
	take_rest(r);
	return 0;
}

void raw_open(struct raw *r, const struct blkd *b, int queue, uint32_t flags, uint32_t depth)
{
	char why[256];
	int ret = raw_try_open(r, b, queue, flags, depth, why);

	CHECK_MSG(!ret, "queue %d: %s: %s", queue, strerror_name(-ret), why);
}

void raw_close(struct raw *r)
{
	close(r->sock);
	barbuf_unmap(r->bell);
	barbuf_buffer_free(r->buf);
	munmap(r->table, r->g.window.table_size);
	munmap(r->arena, r->g.window.arena_size);
	close(r->table_fd);
	close(r->arena_fd);
	close(r->event_fd);
}

void raw_send(const struct raw *r, uint32_t kind, uint32_t value)
{
	struct blk_word w = { kind, value };

	CHECK_EQ(barbuf_message_send(r->sock, &w, sizeof(w), -1), 0);
}

/* Who was asleep for long may answer to nobody. */
static void answer(const struct raw *r, uint32_t kind, uint32_t value)
{
	struct blk_word w = { kind, value };
	int ret = barbuf_message_send(r->sock, &w, sizeof(w), -1);

	CHECK_MSG(!ret || ret == -EPIPE, "%s", strerror_name(-ret));
}

int raw_refused(struct raw *r)
{
	union {
		uint32_t kind;
		struct blk_text text;
	} m;
	size_t len;

	do {
		CHECK_EQ(barbuf_message_recv(r->sock, &m, sizeof(m), &len, NULL), 0);
	} while (m.kind == BLK_PING);
	CHECK_EQ(m.kind, BLK_REFUSED);
	CHECK_EQ(len, sizeof(m.text));
	return m.text.error;
}

/* Takes one message and does what a client has to. */
static struct blk_word take_message(struct raw *r)
{
	union {
		struct blk_word word;
		struct blk_grant grant;
	} m;
	size_t len;
	int fd = -1;
	int ret = barbuf_message_recv(r->sock, &m, sizeof(m), &len, &fd);

	CHECK_MSG(!ret, "queue %u: no message of blkd: %s", r->g.queue, strerror_name(-ret));
	if (m.word.kind == BLK_GRANT) {
		CHECK_EQ(len, sizeof(m.grant));
		CHECK(fd >= 0);
		/* What it is in place of stays mapped and open: the test may look at it. */
		r->g = m.grant;
		r->table_fd = fd;
		take_rest(r);
		return m.word;
	}
	CHECK_EQ(len, sizeof(m.word));
	CHECK_EQ(fd, -1);
	switch (m.word.kind) {
	case BLK_PING:
		answer(r, BLK_PONG, m.word.value);
		break;
	case BLK_PAUSE:
		answer(r, BLK_PAUSED, m.word.value);
		break;
	case BLK_RESUME:
		r->avail = 0;
		r->used = 0;
		break;
	case BLK_LEAVE:
	case BLK_ENDED:
		break;
	default:
		FAIL("a message of kind 0x%x", m.word.kind);
	}
	return m.word;
}

uint32_t raw_wait(struct raw *r, uint32_t kind)
{
	struct blk_word w;

	do {
		w = take_message(r);
		CHECK_MSG(w.kind != BLK_ENDED || kind == BLK_ENDED, "queue %u: the lease ended: %s",
			  r->g.queue, blk_end_name(w.value));
	} while (w.kind != kind);
	return w.value;
}

bool raw_answer(struct raw *r, uint32_t *why)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	while (poll(&p, 1, 0) > 0) {
		struct blk_word w = take_message(r);

		if (w.kind == BLK_ENDED) {
			*why = w.value;
			return true;
		}
	}
	return false;
}

void raw_sleep(struct raw *r, unsigned int ms)
{
	uint64_t end = now_ns() + ms * 1000000ull;
	uint32_t why;

	do {
		CHECK_MSG(!raw_answer(r, &why), "queue %u: the lease ended: %s", r->g.queue,
			  blk_end_name(why));
		if (ms)
			sleep_ms(5);
	} while (now_ns() < end);
}

/* blkd has closed its end, within some seconds; what it said before does not matter. */
bool raw_hung_up(const struct raw *r)
{
	uint64_t end = timeout();
	char buf[BARBUF_MESSAGE_MAX + 64];
	ssize_t got;

	do {
		got = recv(r->sock, buf, sizeof(buf), 0);
	} while (got > 0 && now_ns() < end);
	return got == 0 || (got < 0 && errno == ECONNRESET);
}

/* Its rings ------------------------------------------------------------------------*/

uint64_t raw_sector(const struct raw *r, uint64_t block)
{
	return (r->g.first_block + block) * (r->g.window.block_size / BLK_SECTOR);
}

uint8_t *raw_data(const struct raw *r, uint32_t slot)
{
	return r->arena + r->g.window.data + (size_t)slot * r->g.window.block_size;
}

uint8_t *raw_status(const struct raw *r, uint32_t slot)
{
	return r->arena + r->g.window.status + slot;
}

static const struct vring_used *used_ring(const struct raw *r)
{
	return (const void *)(r->table + r->g.window.used);
}

uint16_t raw_used_idx(const struct raw *r)
{
	return __atomic_load_n(&used_ring(r)->idx, __ATOMIC_ACQUIRE);
}

void raw_header(const struct raw *r, uint32_t slot, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *h = (void *)(r->arena + r->g.window.headers);

	h[slot] = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	*raw_status(r, slot) = 0xff;
}

void raw_avail_idx(struct raw *r, uint16_t idx)
{
	struct vring_avail *a = (void *)r->arena;

	r->avail = idx;
	__atomic_store_n(&a->idx, idx, __ATOMIC_RELEASE);
}

void raw_head(struct raw *r, uint16_t head)
{
	struct vring_avail *a = (void *)r->arena;

	a->ring[r->avail % r->g.window.queue_size] = head;
	raw_avail_idx(r, r->avail + 1);
}

int raw_ring(struct raw *r)
{
	return barbuf_map_doorbell16(r->bell, r->g.doorbell, r->g.doorbell_value);
}

unsigned int raw_reap(struct raw *r, unsigned int nr, unsigned int ms)
{
	uint64_t end = now_ns() + ms * 1000000ull;
	uint16_t got;

	while ((got = raw_used_idx(r) - r->used) < nr && now_ns() < end) {
		raw_sleep(r, 0);
		usleep(100);
	}
	if (got > nr)
		got = nr;
	r->used += got;
	return got;
}

int raw_io(struct raw *r, uint32_t slot, uint32_t type, uint64_t sector)
{
	raw_header(r, slot, type, sector);
	raw_head(r, blk_window_head(&r->g.window, slot, type == VIRTIO_BLK_T_OUT));
	CHECK_EQ(raw_ring(r), 0);
	if (raw_reap(r, 1, slow_kernel() ? 50000 : 10000) != 1)
		return -ETIMEDOUT;
	return *raw_status(r, slot);
}

int raw_read(struct raw *r, uint32_t slot, uint64_t block)
{
	return raw_io(r, slot, VIRTIO_BLK_T_IN, raw_sector(r, block));
}

int raw_write(struct raw *r, uint32_t slot, uint64_t block)
{
	return raw_io(r, slot, VIRTIO_BLK_T_OUT, raw_sector(r, block));
}
