// SPDX-License-Identifier: GPL-2.0-only
/*
 * What blkd is told that is wrong: by its command line, by the device it is given, by
 * clients that are nobody's, mistaken or hostile. It says so, names who it was, and goes on
 * for the others; what is wrong from the start ends it with one line.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "../linger.h"
#include "blk_lent.h"
#include "program.h"

#define NOBODY 65534
#define SOMEBODY 65533
#define VICTIM 0

static void start(struct blkd *b, const char *allow)
{
	const char *const more[] = { "--allow", allow, NULL };

	blkd_start(b, "blk", more);
}

/* Two on other queues, who have to notice nothing, or a pause at most. */
struct others {
	struct load *load[2];
	uint64_t faults[2], pauses[2];
};

static void start_others(struct others *o, const struct blkd *b)
{
	struct ledger *ledger = ledger_new(false);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		o->load[i] = load_new(b, ledger, 1024 * (i + 1), 512);
		o->load[i]->uid = SOMEBODY;
		o->load[i]->queue = 1 + i;
		load_start(o->load[i]);
	}
	for (i = 0; i < 2; i++) {
		load_wait(o->load[i], 50);
		o->faults[i] = o->load[i]->faults;
		o->pauses[i] = o->load[i]->counts.pauses;
	}
}

/* @pauses more since the last look. */
static void check_others(struct others *o, uint64_t pauses)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		load_wait(o->load[i], 50);
		CHECK_EQ(o->load[i]->faults, o->faults[i]);
		CHECK_EQ(o->load[i]->counts.sigbus, 0);
		CHECK_EQ(o->load[i]->counts.pauses, o->pauses[i] + pauses);
		o->pauses[i] += pauses;
	}
}

static void stop_others(struct others *o)
{
	load_stop(o->load[0]);
	load_stop(o->load[1]);
}

/* Peers ------------------------------------------------------------------------------*/

static int refused_user(void *arg)
{
	const struct blkd *b = arg;
	char why[256];
	struct raw r;

	drop_to(NOBODY);
	CHECK_EQ(raw_try_open(&r, b, BLK_ANY_QUEUE, 0, 0, why), -EACCES);
	CHECK_MSG(strstr(why, "65534"), "%s", why);
	/* Nor may somebody who controls nothing give orders. */
	CHECK(blkd_try_command(b, BLK_CMD_STATUS, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(b, BLK_CMD_REVOKE, 1, 0, NULL) < 0);
	CHECK(blkd_try_command(b, BLK_CMD_RESTART, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(b, BLK_CMD_RESET, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(b, BLK_CMD_STOP, -1, 0, NULL) < 0);
	return 0;
}

/* Nor one who may have a lease. */
static int user_without_control(void *arg)
{
	const struct blkd *b = arg;
	char why[256];
	struct raw r;

	drop_to(SOMEBODY);
	raw_open(&r, b, BLK_ANY_QUEUE, 0, 0);
	CHECK(blkd_try_command(b, BLK_CMD_STOP, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(b, BLK_CMD_REVOKE, r.g.queue, 0, NULL) < 0);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	/* It may hold one queue. */
	CHECK_EQ(raw_try_open(&r, b, BLK_ANY_QUEUE, 0, 0, why), -EDQUOT);
	return 0;
}

static void wrong_user(void)
{
	struct blkd b;

	start(&b, "65533,queues=1");
	join(spawn(refused_user, &b));
	CHECK_EQ(event_int(blkd_event(&b, 0, "refused", -1), "uid"), NOBODY);
	join(spawn(user_without_control, &b));
	CHECK_EQ(blkd_status(&b, 0).leases, 1);
	blkd_stop(&b);
}

/* A client that looks at who answers does not take memory from somebody else. */
static void wrong_primary(void)
{
	struct blk_client_options o = { .queue = BLK_ANY_QUEUE, .primary = SOMEBODY };
	struct blk_client *c;
	struct blkd b;
	char why[256];

	start(&b, "any");
	CHECK_EQ(blk_client_open(&c, b.socket, &o, why, sizeof(why)), -EACCES);
	o.primary = 0;
	CHECK_EQ(blk_client_open(&c, b.socket, &o, why, sizeof(why)), 0);
	blk_client_close(c);
	blkd_stop(&b);
	CHECK(blk_client_open(&c, b.socket, &o, why, sizeof(why)) == -ENOENT ||
	      blk_client_open(&c, b.socket, &o, why, sizeof(why)) == -ECONNREFUSED);
}

static void asks(void)
{
	static const int queues[] = { 4, 5, 1000, INT_MAX, -2, INT_MIN };
	char why[256], number[16];
	struct others o;
	struct raw r, second;
	struct blkd b;
	unsigned int i;
	int ret;

	start(&b, "any");
	start_others(&o, &b);
	for (i = 0; i < ARRAY_SIZE(queues); i++) {
		ret = raw_try_open(&r, &b, queues[i], 0, 0, why);
		CHECK_MSG(ret == -ERANGE || ret == -EINVAL, "queue %d: %s", queues[i],
			  strerror_name(-ret));
		snprintf(number, sizeof(number), "%d", queues[i]);
		CHECK_MSG(strstr(why, number), "queue %d: %s", queues[i], why);
	}
	CHECK_EQ(raw_try_open(&r, &b, VICTIM, 0x80, 0, why), -EINVAL);
	CHECK_EQ(raw_try_open(&r, &b, VICTIM, BLK_FIXED, 0, why), -EINVAL);
	CHECK_EQ(raw_try_open(&r, &b, VICTIM, 0, 65, why), -EINVAL);
	CHECK_EQ(raw_try_open(&r, &b, VICTIM, 0, UINT32_MAX, why), -EINVAL);
	CHECK_EQ(raw_try_open(&r, &b, 1, 0, 0, why), -EBUSY);

	/* Fewer slots than there are. */
	raw_open(&r, &b, VICTIM, 0, 1);
	CHECK_EQ(r.g.window.depth, 1);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	/* The same queue from elsewhere, and any when all are lent. */
	CHECK_EQ(raw_try_open(&second, &b, VICTIM, 0, 0, why), -EBUSY);
	raw_open(&second, &b, BLK_ANY_QUEUE, 0, 0);
	CHECK_EQ(second.g.queue, 3);
	CHECK_EQ(raw_try_open(&second, &b, BLK_ANY_QUEUE, 0, 0, why), -EBUSY);
	CHECK_EQ(raw_read(&r, 0, 65), VIRTIO_BLK_S_OK);
	check_others(&o, 0);
	stop_others(&o);
	blkd_stop(&b);
}

/* A second ASK on a connection that has a lease is refused. */
static void lease_twice(void)
{
	struct blk_ask ask = { .kind = BLK_ASK, .version = BLK_VERSION, .queue = 3 };
	struct others o;
	struct blkd b;
	struct raw r;
	int i;

	start(&b, "any");
	start_others(&o, &b);
	raw_open(&r, &b, VICTIM, 0, 0);
	CHECK_EQ(barbuf_message_send(r.sock, &ask, sizeof(ask), -1), 0);
	CHECK_EQ(raw_refused(&r), -EALREADY);
	/* The one it has goes on. */
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	/* Who goes on asking is not listened to for ever. */
	for (i = 0; i < 100; i++)
		barbuf_message_send(r.sock, &ask, sizeof(ask), -1);
	while (raw_ring(&r) == 0 && i++ < 1000)
		sleep_ms(5);
	CHECK_EQ(raw_ring(&r), -EIO);
	CHECK(strcmp(event_text(blkd_event(&b, 0, "end", VICTIM), "why"),
		     blk_end_name(BLK_END_PROTOCOL)) == 0);
	CHECK_EQ(blkd_status(&b, 3).leases, 0);
	raw_close(&r);
	check_others(&o, 0);
	stop_others(&o);
	blkd_stop(&b);
}

/* Rings --------------------------------------------------------------------------------*/

struct nonsense {
	const char *name;
	void (*put)(struct raw *r);
};

static void index_too_far(struct raw *r)
{
	raw_avail_idx(r, r->avail + 1000);
}

static void index_backwards(struct raw *r)
{
	raw_avail_idx(r, r->avail - 1);
}

static void head_beyond(struct raw *r)
{
	raw_head(r, 0xffff);
}

static void head_of_no_chain(struct raw *r)
{
	raw_head(r, 2);
}

static void head_of_nothing(struct raw *r)
{
	raw_head(r, r->g.window.queue_size - 1);
}

static void all_nonsense(struct raw *r)
{
	uint32_t i;

	/* In the ring, and in headers and data too. */
	for (i = 0; i < r->g.window.arena_size; i++)
		r->arena[i] = (i * 2654435761u) >> 13;
	raw_avail_idx(r, 300);
}

static const struct nonsense nonsense[] = {
	{ "an index too far ahead", index_too_far },
	{ "an index that goes back", index_backwards },
	{ "a head beyond the table", head_beyond },
	{ "a head within a chain", head_of_no_chain },
	{ "a head of an empty descriptor", head_of_nothing },
	{ "all of it nonsense", all_nonsense },
};

struct speaker {
	const struct blkd *b;
	const struct nonsense *n;
};

static int speak_nonsense(void *arg)
{
	const struct speaker *s = arg;
	struct raw r;

	drop_to(NOBODY);
	raw_open(&r, s->b, VICTIM, 0, 0);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	s->n->put(&r);
	CHECK_EQ(raw_ring(&r), 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BROKE_DEVICE);
	CHECK_EQ(raw_ring(&r), -EIO);
	return 0;
}

static unsigned int count_events(struct blkd *b, size_t mark, const char *name)
{
	size_t end = blkd_mark(b);
	unsigned int n = 0;

	for (; mark < end; mark++)
		n += strcmp(event_text(json_array_get(b->events, mark), "event"), name) == 0;
	return n;
}

static void device_gives_up(void)
{
	struct speaker s;
	struct others o;
	struct blkd b;
	unsigned int i;
	json_t *broken;
	size_t mark;
	pid_t pid;

	start(&b, "any");
	start_others(&o, &b);
	s.b = &b;
	for (i = 0; i < ARRAY_SIZE(nonsense); i++) {
		note("%s", nonsense[i].name);
		s.n = &nonsense[i];
		mark = blkd_mark(&b);
		pid = spawn(speak_nonsense, &s);
		broken = blkd_event(&b, mark, "broken", -1);
		CHECK_EQ(event_int(broken, "queue"), VICTIM);
		CHECK_EQ(event_int(broken, "pid"), pid);
		CHECK(strcmp(event_text(blkd_event(&b, mark, "end", VICTIM), "why"),
			     blk_end_name(BLK_END_BROKE_DEVICE)) == 0);
		blkd_event(&b, mark, "restart", -1);
		join(pid);
		check_others(&o, 1);
		CHECK_MSG(count_events(&b, mark, "broken") == 1, "told more than once");
	}
	stop_others(&o);
	blkd_stop(&b);
}

/* Nonsense that the device takes: the same request many times. */
static void same_head_again(void)
{
	struct others o;
	struct blkd b;
	struct raw r;
	uint32_t i;

	start(&b, "any");
	start_others(&o, &b);
	raw_open(&r, &b, VICTIM, 0, 0);
	raw_header(&r, 0, VIRTIO_BLK_T_IN, raw_sector(&r, 64));
	for (i = 0; i < 300; i++)
		raw_head(&r, blk_window_head(&r.g.window, 0, false));
	CHECK_EQ(raw_ring(&r), 0);
	CHECK_EQ(raw_reap(&r, 300, slow_kernel() ? 50000 : 10000), 300);
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	check_others(&o, 0);
	/* It is reclaimed as any. */
	raw_send(&r, BLK_BYE, 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BYE);
	blkd_event(&b, 0, "reclaim", VICTIM);
	stop_others(&o);
	blkd_stop(&b);
}

/* A sector beyond the disk is an error of that request alone. */
static void beyond_the_disk(void)
{
	struct blkd b;
	struct raw r;

	start(&b, "any");
	raw_open(&r, &b, VICTIM, 0, 0);
	CHECK_EQ(raw_io(&r, 0, VIRTIO_BLK_T_IN, 65536), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(raw_io(&r, 0, VIRTIO_BLK_T_IN, UINT64_MAX), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(raw_io(&r, 0, VIRTIO_BLK_T_OUT, 65535), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(raw_io(&r, 0, VIRTIO_BLK_T_OUT, UINT64_MAX / 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(raw_io(&r, 0, 0x1234, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	blkd_stop(&b);
}

struct hole {
	const struct blkd *b;
	uint64_t address; /* of the page, as the device has it */
};

/* A page of the window is not there for the device: that of the last slot's data. */
static int reads_into_hole(void *arg)
{
	struct pollfd p = { .events = POLLIN };
	const struct vring_desc *d;
	struct hole *hole = arg;
	uint32_t slot, why;
	struct raw r;

	drop_to(NOBODY);
	raw_open(&r, hole->b, VICTIM, 0, 0);
	slot = r.g.window.depth - 1;
	d = (const void *)r.table;
	hole->address = d[d[blk_window_head(&r.g.window, slot, false)].next].addr / PAGE * PAGE;
	p.fd = r.sock;
	while (!raw_answer(&r, &why)) {
		raw_header(&r, slot, VIRTIO_BLK_T_IN, raw_sector(&r, 64 + slot));
		raw_head(&r, blk_window_head(&r.g.window, slot, false));
		raw_ring(&r);
		/* The kernel tells of so many faults a second. */
		poll(&p, 1, 100);
	}
	CHECK_EQ(why, BLK_END_IOMMU_FAULT);
	CHECK_EQ(raw_ring(&r), -EIO);
	return 0;
}

static void hole_in_a_window(void)
{
	const char *const more[] = { "--allow", "any", "--inject", "hole=0", NULL };
	struct hole *hole = mmap(NULL, sizeof(*hole), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct others o;
	struct blkd b;
	json_t *fault, *end;
	char said[2000];
	pid_t pid;

	CHECK(hole != MAP_FAILED);
	blkd_start(&b, "blk", more);
	start_others(&o, &b);
	hole->b = &b;
	pid = spawn(reads_into_hole, hole);
	fault = blkd_event(&b, 0, "iommu_fault", -1);
	CHECK_EQ(event_int(fault, "queue"), VICTIM);
	CHECK_EQ(event_int(fault, "pid"), pid);
	CHECK_EQ(strtoull(event_text(fault, "address"), NULL, 0) / PAGE * PAGE, hole->address);
	end = blkd_event(&b, 0, "end", VICTIM);
	CHECK(strcmp(event_text(end, "why"), blk_end_name(BLK_END_IOMMU_FAULT)) == 0);
	blkd_event(&b, 0, "reclaim", VICTIM);
	join(pid);
	load_wait(o.load[0], 50);
	load_wait(o.load[1], 50);
	stop_others(&o);
	note("%s", blkd_said(&b, said, sizeof(said)));
	blkd_stop(&b);
}

/* What is wrong from the start ----------------------------------------------------------*/

/* One line, which has all of these words. */
static void check_line(const char *said, const char *const *words)
{
	size_t len = strlen(said);
	const char *end = strchr(said, '\n');

	CHECK_MSG(len > 10 && (!end || end == said + len), "not one line: %s", said);
	for (; *words; words++)
		CHECK_MSG(strcasestr(said, *words), "no '%s' in: %s", *words, said);
}

static void device_too_small(void)
{
	static const char *const none[] = { "has 0 bytes, ", "524288 are needed", NULL };
	static const char *const one_less[] = { "has 33554432 bytes, ", "33554433 are needed",
						NULL };
	const char *address = dev_bound("blk-small");
	char said[1000];
	struct blkd b;

	CHECK_EQ(blkd_run(address, NULL, said, sizeof(said)), 1);
	check_line(said, (const char *const[]){ address, NULL });
	check_line(said, none);
	CHECK_EQ(blkd_run(dev_bound("blk"), (const char *const[]){ "--min-size", "33554433", NULL },
			  said, sizeof(said)),
		 1);
	check_line(said, one_less);
	blkd_start(&b, "blk", (const char *const[]){ "--min-size", "32M", NULL });
	blkd_stop(&b);
}

static void doorbells_share_a_page(void)
{
	const char *address = dev_bound("blk-shared");
	char said[1000];

	CHECK_EQ(blkd_run(address, NULL, said, sizeof(said)), 1);
	check_line(said, (const char *const[]){ address, "page", NULL });
}

static void not_virtio(void)
{
	const char *address = dev_bound("nvme");
	char said[1000];

	CHECK_EQ(blkd_run(address, NULL, said, sizeof(said)), 1);
	check_line(said, (const char *const[]){ address, "virtio", NULL });
	CHECK_EQ(blkd_run("0000:3f:1f.7", NULL, said, sizeof(said)), 1);
	check_line(said, (const char *const[]){ "0000:3f:1f.7", NULL });
	CHECK(blkd_run("nonsense", NULL, said, sizeof(said)) != 0);
	check_line(said, (const char *const[]){ "nonsense", NULL });
}

static void device_in_use(void)
{
	char said[1000], who[64];
	struct others o;
	struct blkd b;

	start(&b, "any");
	start_others(&o, &b);
	CHECK_EQ(blkd_run(b.address, NULL, said, sizeof(said)), 1);
	snprintf(who, sizeof(who), "process %d (blkd) has ", b.pid);
	check_line(said, (const char *const[]){ b.address, "cannot be opened", who, NULL });
	check_others(&o, 0);
	stop_others(&o);
	blkd_stop(&b);
}

/* A socket that another blkd listens at is not taken away from it. */
static void socket_in_use(void)
{
	const char *plain = dev_bound("blk-plain");
	struct blkd b;
	struct raw r;

	start(&b, "any");
	enter_scratch();
	CHECK_EQ(exit_status(start_program("out", "blkd", plain, b.socket, NULL), "the second"), 1);
	check_mentions("out", "somebody listens there");
	raw_open(&r, &b, VICTIM, 0, 0);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	blkd_stop(&b);
}

static void command_line(void)
{
	static const char *const wrong[][3] = {
		{ "--no-such-option" },
		{ "--allow", "" },
		{ "--allow", "no_such_user" },
		{ "--allow", "any,queues=0" },
		{ "--allow", "any,queues=x" },
		{ "--allow", "any,nonsense" },
		{ "--allow", "any,fixed" },
		{ "--allow", "any,window=1" },
		{ "--allow", "any,window=0+0" },
		{ "--allow", "any,window=-1+5" },
		{ "--allow", "4294967296" },
		{ "--hang", "x" },
		{ "--hang", "-1" },
		{ "--inject", "nonsense" },
	};
	const char *address = dev_bound("blk");
	char said[1000];
	unsigned int i;
	int status;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		status = blkd_run(address, wrong[i], said, sizeof(said));
		CHECK_MSG(status == 2, "%s %s: %d: %s", wrong[i][0], wrong[i][1] ?: "", status,
			  said);
		check_line(said, (const char *const[]){ wrong[i][1] ?: wrong[i][0], NULL });
	}
	/* A window that only the disk shows to be too much. */
	status = blkd_run(address, (const char *const[]){ "--allow", "any,window=8000+193", NULL },
			  said, sizeof(said));
	CHECK(status == 1 || status == 2);
	check_line(said, (const char *const[]){ "8192", NULL });
}

/* Messages ---------------------------------------------------------------------------*/

static void send_with_descriptors(int sock, const void *msg, size_t len, int fd, unsigned int nr)
{
	struct iovec v = { (void *)msg, len };
	char control[CMSG_SPACE(sizeof(int) * 8)] = { 0 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	unsigned int i;

	if (nr) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nr);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr);
		for (i = 0; i < nr; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static unsigned int open_descriptors(pid_t pid)
{
	char command[64], out[16];

	snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l >/tmp/blk.fds", pid);
	CHECK_EQ(system(command), 0);
	return atoi(read_file("/tmp/blk.fds", out, sizeof(out)));
}

static void wait_descriptors(const struct blkd *b, unsigned int nr)
{
	uint64_t end = timeout();
	unsigned int got;

	while ((got = open_descriptors(b->pid)) != nr) {
		if (now_ns() > end)
			FAIL("blkd has %u descriptors open, and had %u", got, nr);
		sleep_ms(100);
	}
}

/* Each kind, known and unknown, in each length, with a descriptor or none: as the first
 * message, and in a lease. */
static int hostile(void *arg)
{
	static const uint32_t kinds[] = {
		0,	    BLK_ASK,   BLK_REFUSED, BLK_GRANT,	BLK_ARENA,  BLK_COMPLETION,
		BLK_PING,   BLK_PONG,  BLK_PAUSE,   BLK_PAUSED, BLK_RESUME, BLK_LEAVE,
		BLK_BYE,    BLK_ENDED, BLK_COMMAND, BLK_STATUS, BLK_DONE,   BLK_DONE + 1,
		0xffffffff,
	};
	static const size_t sizes[] = { 0, 1, 4, 7, 8, 9, 23, 24, 25, 264, BARBUF_MESSAGE_MAX };
	const struct blkd *b = arg;
	uint8_t msg[BARBUF_MESSAGE_MAX];
	unsigned int k, s, n = 0;
	struct raw r;
	int fd;

	drop_to(NOBODY);
	fd = OK(eventfd(0, EFD_CLOEXEC));
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (s = 0; s < ARRAY_SIZE(sizes); s++, n++) {
			int sock = raw_connect(b);

			memset(msg, 0xff, sizeof(msg));
			memcpy(msg, &kinds[k], sizeof(kinds[k]));
			if (n % 2) {
				/* EPIPE: one connection too many. */
				int ret = barbuf_message_send(sock, msg, sizes[s], fd);

				CHECK_MSG(ret == -EPERM || ret == -EPIPE, "%d", ret);
			}
			barbuf_message_send(sock, msg, sizes[s], -1);
			close(sock);
		}
	}
	/* What is no message of the library's, with more descriptors than anybody wants. */
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		int sock = raw_connect(b);

		send_with_descriptors(sock, msg, sizes[s], fd, s % 8);
		close(sock);
	}
	/* The same by who holds a lease, which then is over, but nothing else. */
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		if (kinds[k] == BLK_PONG || kinds[k] == BLK_BYE)
			continue;
		note("in a lease: kind 0x%x", kinds[k]);
		raw_open(&r, b, VICTIM, 0, 0);
		memcpy(msg, &kinds[k], sizeof(kinds[k]));
		CHECK_EQ(barbuf_message_send(r.sock, msg, 64, fd), -EPERM);
		barbuf_message_send(r.sock, msg, k % 2 ? 8 : 64, -1);
		CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_PROTOCOL);
		CHECK_EQ(raw_ring(&r), -EIO);
		raw_close(&r);
	}
	/* PAUSED that nobody has asked for, PONG to no PING; a flood of them. */
	raw_open(&r, b, VICTIM, 0, 0);
	for (n = 0; n < 20000; n++) {
		struct blk_word w = { BLK_PONG, n };

		if (send(r.sock, &w, sizeof(w), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			break;
	}
	close(r.sock);
	return 0;
}

static void hostile_messages(void)
{
	unsigned int fds;
	struct others o;
	struct blkd b;
	struct raw r;

	start(&b, "any");
	start_others(&o, &b);
	fds = open_descriptors(b.pid);
	join(spawn(hostile, &b));
	check_others(&o, 0);
	wait_descriptors(&b, fds);
	raw_open(&r, &b, VICTIM, 0, 0);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	stop_others(&o);
	blkd_stop(&b);
}

struct slow {
	struct blkd b;
	int said[2];
};

/* Sends what takes long to close. */
static int slow_to_close(void *arg)
{
	struct slow *s = arg;
	struct lingering l = linger_open(20);
	int sock, ret;

	drop_to(NOBODY);
	sock = raw_connect(&s->b);
	CHECK(l.sock >= 0);
	ret = barbuf_message_send(sock, "x", 1, l.sock);
	linger_close(&l, !ret);
	CHECK_EQ(write(s->said[1], "", 1), 1);
	for (;;)
		pause();
	return 0;
}

static void slow_descriptor(void)
{
	uint64_t asked, took;
	struct slow s;
	struct raw r;
	pid_t pid;
	char c;

	start(&s.b, "any");
	OK(pipe(s.said));
	pid = spawn(slow_to_close, &s);
	close(s.said[1]);
	CHECK_EQ(read(s.said[0], &c, 1), 1);
	asked = now_ns();
	raw_open(&r, &s.b, VICTIM, 0, 0);
	took = (now_ns() - asked) / 1000000;
	CHECK_MSG(took < 1000 || slow_kernel(), "a lease after %llu ms", (unsigned long long)took);
	OK(kill(pid, SIGKILL));
	wait_end(pid, "who sends descriptors");
	blkd_stop(&s.b);
}

static void wrong_commands(void)
{
	struct blkd b;

	start(&b, "any");
	CHECK(blkd_try_command(&b, 99, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(&b, -1, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(&b, BLK_CMD_REVOKE, 4, 0, NULL) < 0);
	CHECK(blkd_try_command(&b, BLK_CMD_REVOKE, -1, 0, NULL) < 0);
	CHECK(blkd_try_command(&b, BLK_CMD_REVOKE, INT_MIN, 0, NULL) < 0);
	CHECK(blkd_try_command(&b, BLK_CMD_LEAVE, INT_MAX, 0, NULL) < 0);
	/* Nobody has it. */
	CHECK(blkd_try_command(&b, BLK_CMD_REVOKE, 2, 0, NULL) < 0);
	CHECK_EQ(blkd_status(&b, 2).lent, 0);
	blkd_stop(&b);
}

#define CROWD 100u
/* So many of one user may be about to ask. */
#define WAITING 16u

/* Many who say nothing keep nobody else out, and are not kept for ever. */
struct crowd {
	const struct blkd *b;
	volatile unsigned int too_many, too_late; /* that were told so */
};

static int crowd(void *arg)
{
	struct pollfd p[CROWD];
	struct crowd *c = arg;
	struct blk_text m;
	unsigned int i;
	size_t len;

	drop_to(NOBODY);
	for (i = 0; i < CROWD; i++)
		p[i] = (struct pollfd){ .fd = raw_connect(c->b), .events = POLLIN };
	/* Their ends stay open. */
	while (poll(p, CROWD, -1) > 0) {
		for (i = 0; i < CROWD; i++) {
			if (!p[i].revents)
				continue;
			CHECK_EQ(barbuf_message_recv(p[i].fd, &m, sizeof(m), &len, NULL), 0);
			CHECK(m.kind == BLK_REFUSED && len == sizeof(m));
			CHECK(m.error == -EUSERS || m.error == -ETIMEDOUT);
			if (m.error == -EUSERS)
				c->too_many++;
			else
				c->too_late++;
			p[i].fd = -1;
		}
	}
	return 0;
}

static int plain_user(void *arg)
{
	struct raw r;

	drop_to(SOMEBODY);
	raw_open(&r, arg, VICTIM, 0, 0);
	CHECK_EQ(raw_read(&r, 0, 64), VIRTIO_BLK_S_OK);
	raw_send(&r, BLK_BYE, 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BYE);
	return 0;
}

static void silent_connections(void)
{
	struct crowd *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int fds;
	struct others o;
	struct blkd b;
	uint64_t end;
	pid_t pid;

	CHECK(c != MAP_FAILED);
	start(&b, "any");
	start_others(&o, &b);
	fds = open_descriptors(b.pid);
	c->b = &b;
	pid = spawn(crowd, c);
	for (end = timeout(); c->too_many < CROWD - WAITING; sleep_ms(1))
		CHECK_MSG(now_ns() < end, "%u of %u were told that they are too many", c->too_many,
			  CROWD);
	/* For others a lease and control are to be had meanwhile. */
	CHECK_EQ(blkd_status(&b, 1).lent, 1);
	join(spawn(plain_user, &b));
	check_others(&o, 0);
	/* While their other ends stay open. */
	wait_descriptors(&b, fds);
	for (end = timeout(); c->too_late < WAITING; sleep_ms(1))
		CHECK_MSG(now_ns() < end, "%u of %u were told that they are too late", c->too_late,
			  WAITING);
	CHECK_EQ(c->too_many, CROWD - WAITING);
	OK(kill(pid, SIGKILL));
	wait_end(pid, "the crowd");
	check_others(&o, 0);
	stop_others(&o);
	blkd_stop(&b);
}

/* Takes its lease and reads no more messages, while it does its I/O. */
static void deaf_client(void)
{
	const char *const more[] = { "--allow", "any", "--hang", slow_kernel() ? "10" : "5", NULL };
	uint32_t slot = 0;
	struct others o;
	struct blkd b;
	struct raw r;
	json_t *end;

	blkd_start(&b, "blk", more);
	start_others(&o, &b);
	raw_open(&r, &b, VICTIM, 0, 0);
	do {
		if (raw_used_idx(&r) == r.avail) {
			raw_header(&r, slot, VIRTIO_BLK_T_IN, raw_sector(&r, 64));
			raw_head(&r, blk_window_head(&r.g.window, slot, false));
			slot = (slot + 1) % r.g.window.depth;
		}
		sleep_ms(1);
	} while (raw_ring(&r) == 0);
	CHECK(r.avail > 100);
	end = blkd_event(&b, 0, "end", VICTIM);
	CHECK(strcmp(event_text(end, "why"), blk_end_name(BLK_END_HUNG)) == 0);
	check_others(&o, 0);
	stop_others(&o);
	blkd_stop(&b);
}

/* The primary ends without a word ---------------------------------------------------------*/

static void primary_killed(void)
{
	struct ledger *ledger = ledger_new(false);
	struct load *l[3];
	struct blkd b;
	struct raw r;
	unsigned int i;

	start(&b, "any");
	raw_open(&r, &b, VICTIM, 0, 0);
	for (i = 0; i < 3; i++) {
		l[i] = load_new(&b, ledger, 1024 + i * 256, 256);
		load_start(l[i]);
		load_wait(l[i], 100);
	}
	OK(kill(b.pid, SIGKILL));
	CHECK_EQ(wait_end(b.pid, "blkd"), SIGKILL);
	/* All live on, and know. */
	CHECK_EQ(raw_ring(&r), -EIO);
	CHECK(raw_hung_up(&r));
	for (i = 0; i < 3; i++) {
		CHECK_EQ(wait_end(l[i]->pid, "a load"), 0);
		CHECK_EQ(l[i]->result, -EPIPE);
		CHECK_EQ(l[i]->errors, 0);
	}
	raw_close(&r);
	/* The socket it left is in nobody's way; what was written is there. */
	start(&b, "any");
	for (i = 0; i < 3; i++) {
		load_start(l[i]);
		load_wait(l[i], 300);
		load_stop(l[i]);
	}
	blkd_stop(&b);
}

/* Asked to end by a signal, it says good-bye. */
static void primary_terminated(void)
{
	struct blkd b;
	struct raw r;

	start(&b, "any");
	raw_open(&r, &b, VICTIM, 0, 0);
	OK(kill(b.pid, SIGTERM));
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_SHUTDOWN);
	CHECK_EQ(wait_end(b.pid, "blkd"), 0);
	CHECK_EQ(raw_ring(&r), -EIO);
	blkd_event(&b, 0, "stop", -1);
	CHECK(access(b.socket, F_OK) != 0);
}

static const struct test_case cases[] = {
	CASE_MMAP(wrong_user),
	CASE_MMAP(wrong_primary),
	CASE_MMAP(asks),
	CASE_MMAP(lease_twice),
	CASE_MMAP(device_gives_up, .seconds = 40),
	CASE_MMAP(same_head_again),
	CASE_MMAP(beyond_the_disk),
	CASE_MMAP(hole_in_a_window),
	CASE_MMAP(device_too_small),
	CASE(doorbells_share_a_page),
	CASE(not_virtio),
	CASE_MMAP(device_in_use),
	CASE_MMAP(socket_in_use),
	CASE(command_line),
	CASE_MMAP(hostile_messages, .seconds = 40),
	CASE_MMAP(slow_descriptor),
	CASE_MMAP(wrong_commands),
	CASE_MMAP(silent_connections, .seconds = 40),
	CASE_MMAP(deaf_client, .seconds = 40),
	CASE_MMAP(primary_killed),
	CASE_MMAP(primary_terminated),
};

TEST_MAIN(cases)
