// SPDX-License-Identifier: GPL-2.0-only
/*
 * A primary lends buffers to unprivileged clients over sockets, and gets them back
 * when they end: only theirs, and nobody else takes a fault.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "buffer.h"
#include "harness.h"

#define NOBODY 65534
#define MAX_BUFS 3
#define SIZE (4 * PAGE)

/* What a client is told to do, and what came of it. */
enum op { OP_RECV, OP_MAP, OP_READ, OP_WRITE, OP_HANG_UP };

struct order {
	enum op op;
	unsigned int slot;
	uint64_t offset;
	uint32_t value;
};

struct result {
	int ret;
	uint32_t value;
	long faults; /* that the access took */
	uint64_t size, tag;
	bool read_only;
	char name[BARBUF_NAME_MAX + 1];
};

struct client {
	pid_t pid;
	uid_t uid;
	int control; /* orders and results */
	int sock; /* where buffers are handed over: the client connected to it */
};

static int listener = -1;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_len;

/* The client ---------------------------------------------------------------*/

static int drop_to(uid_t uid)
{
	return setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid);
}

static void obey(const struct order *o, int *sock, struct result *r)
{
	static struct barbuf_buffer *bufs[MAX_BUFS];
	static struct barbuf_map *maps[MAX_BUFS];
	struct barbuf_buffer *buf;
	long before;

	switch (o->op) {
	case OP_RECV:
		r->ret = barbuf_buffer_recv(*sock, &bufs[o->slot]);
		if (r->ret)
			break;
		buf = bufs[o->slot];
		r->size = barbuf_buffer_size(buf);
		r->tag = barbuf_buffer_tag(buf);
		r->read_only = barbuf_buffer_read_only(buf);
		snprintf(r->name, sizeof(r->name), "%s", barbuf_buffer_name(buf));
		break;
	case OP_MAP:
		r->ret = barbuf_map(&maps[o->slot], bufs[o->slot], NULL);
		break;
	case OP_READ:
		before = thread_faults();
		r->ret = barbuf_map_read32(maps[o->slot], o->offset, &r->value);
		r->faults = thread_faults() - before;
		break;
	case OP_WRITE:
		r->ret = barbuf_map_write32(maps[o->slot], o->offset, o->value);
		break;
	case OP_HANG_UP:
		close(*sock);
		*sock = -1;
		break;
	}
}

static int client_main(void *arg)
{
	const struct client *c = arg;
	struct order o;
	size_t len;
	int sock;

	/* Nothing of the primary's but the control socket. */
	if (dup2(c->control, 3) < 0 || close_range(4, ~0u, 0) || drop_to(c->uid))
		return 10;
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(sock, (struct sockaddr *)&address, address_len) || barbuf_guard_install())
		return 11;
	while (!barbuf_message_recv(3, &o, sizeof(o), &len, NULL)) {
		struct result r = { 0 };

		obey(&o, &sock, &r);
		if (barbuf_message_send(3, &r, sizeof(r), -1))
			return 12;
	}
	return 0;
}

/* The primary --------------------------------------------------------------*/

static void start_client_as(struct client *c, uid_t uid)
{
	int control[2];

	if (listener < 0) {
		/* The kernel chooses a name in the abstract name space. */
		address_len = sizeof(address);
		listener = OK(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
		OK(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)));
		OK(listen(listener, 4));
		OK(getsockname(listener, (struct sockaddr *)&address, &address_len));
	}
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control));
	*c = (struct client){ .uid = uid, .control = control[1] };
	c->pid = spawn(client_main, c);
	close(control[1]);
	c->control = control[0];
	c->sock = OK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

static void start_client(struct client *c)
{
	start_client_as(c, NOBODY);
}

static struct result ask(const struct client *c, enum op op, unsigned int slot, uint64_t offset,
			 uint32_t value)
{
	struct order o = { .op = op, .slot = slot, .offset = offset, .value = value };
	struct result r;
	size_t len;

	CHECK_EQ(barbuf_message_send(c->control, &o, sizeof(o), -1), 0);
	CHECK_EQ(barbuf_message_recv(c->control, &r, sizeof(r), &len, NULL), 0);
	CHECK_EQ(len, sizeof(r));
	return r;
}

static void kill_client(const struct client *c)
{
	OK(kill(c->pid, SIGKILL));
	CHECK_EQ(wait_end(c->pid, "a killed client"), SIGKILL);
	close(c->control);
	close(c->sock);
}

/* It leaves by itself when the control socket closes. */
static void end_client(const struct client *c)
{
	close(c->control);
	CHECK_EQ(wait_end(c->pid, "a client"), 0);
	close(c->sock);
}

static struct barbuf_buffer *export_slice(const struct dev *dev, unsigned int slice,
					  const char *name)
{
	struct barbuf_range range = { slice * SIZE, SIZE };
	struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1, .name = name };
	struct barbuf_buffer *buf;

	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), 0);
	return buf;
}

/* Sends it to the client, which maps it. */
static void hand_over(const struct client *c, const struct barbuf_buffer *buf, unsigned int slot)
{
	CHECK_EQ(barbuf_buffer_send(c->sock, buf, slot), 0);
	CHECK_EQ(ask(c, OP_RECV, slot, 0, 0).ret, 0);
	CHECK_EQ(ask(c, OP_MAP, slot, 0, 0).ret, 0);
	CHECK_EQ(ask(c, OP_READ, slot, 0, 0).ret, 0);
}

static struct barbuf_leases *new_leases(void)
{
	struct barbuf_leases *t;

	CHECK_EQ(barbuf_leases_new(&t), 0);
	return t;
}

static uint64_t lease(struct barbuf_leases *t, struct barbuf_buffer *buf, const struct client *c,
		      bool by_pidfd, bool by_sock)
{
	int pidfd = by_pidfd ? OK(barbuf_peer_pidfd(c->sock)) : -1;
	struct barbuf_peer holder;
	uint64_t id;

	CHECK_EQ(barbuf_peer_get(c->sock, &holder), 0);
	CHECK_EQ(holder.pid, c->pid);
	CHECK_EQ(barbuf_lease(t, buf, pidfd, by_sock ? c->sock : -1, &holder, NULL, &id), 0);
	if (pidfd >= 0)
		close(pidfd);
	return id;
}

/* As a primary's loop: the descriptor wakes it, then there is one event. */
static struct barbuf_lease_event wait_event(struct barbuf_leases *t)
{
	struct pollfd p = { .fd = barbuf_leases_fd(t), .events = POLLIN };
	struct barbuf_lease_event event;

	CHECK_EQ(poll(&p, 1, 20000), 1);
	CHECK_EQ(barbuf_leases_next(t, &event), 1);
	return event;
}

static void check_quiet(struct barbuf_leases *t)
{
	struct pollfd p = { .fd = barbuf_leases_fd(t), .events = POLLIN };
	struct barbuf_lease_event event;

	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(barbuf_leases_next(t, &event), 0);
}

/* The client reads on, without a fault. */
static void check_untouched(const struct client *c, unsigned int slot, uint32_t value)
{
	struct result r = ask(c, OP_READ, slot, 0, 0);

	CHECK_EQ(r.ret, 0);
	CHECK_EQ(r.value, value);
	CHECK_EQ(r.faults, 0);
}

static void check_gone(const struct client *c, unsigned int slot)
{
	CHECK_EQ(ask(c, OP_READ, slot, 0, 0).ret, -EIO);
}

/* Cases --------------------------------------------------------------------*/

static void handed_over(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_buffer *buf;
	struct client c;
	struct result r;

	start_client(&c);
	buf = export_slice(dev, 3, "a slice");
	CHECK_EQ(barbuf_buffer_send(c.sock, buf, 0x123456789abcdef0), 0);
	r = ask(&c, OP_RECV, 0, 0, 0);
	CHECK_EQ(r.ret, 0);
	CHECK_EQ(r.size, SIZE);
	CHECK_EQ(r.tag, 0x123456789abcdef0);
	CHECK(!r.read_only);
	CHECK(strcmp(r.name, "a slice") == 0);
	end_client(&c);
}

/* Stock Linux has buffers that cannot be mapped. */
static void mapping(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_buffer *buf = export_slice(dev, 0, NULL);
	int stands = barbuf_buffer_check(buf);
	struct client c;

	CHECK(stands == 0 || stands == -EOPNOTSUPP);
	start_client(&c);
	CHECK_EQ(barbuf_buffer_send(c.sock, buf, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, 0);
	CHECK_EQ(ask(&c, OP_MAP, 0, 0, 0).ret, stands ? -ENODEV : 0);
	end_client(&c);
}

static void read_only(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_range range = { 0, PAGE };
	struct barbuf_export x = { .bar = 2, .read_only = true, .ranges = &range, .nr_ranges = 1 };
	struct barbuf_buffer *buf;
	struct client c;
	struct result r;

	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), 0);
	start_client(&c);
	CHECK_EQ(barbuf_buffer_send(c.sock, buf, 0), 0);
	r = ask(&c, OP_RECV, 0, 0, 0);
	CHECK_EQ(r.ret, 0);
	CHECK(r.read_only);
	/* The sender's word does not make it writable. */
	buf->read_only = false;
	CHECK_EQ(barbuf_buffer_send(c.sock, buf, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 1, 0, 0).ret, -EBADMSG);
	end_client(&c);
}

/* What is no DMABUF, or another one, is not received as a buffer. */
static void impostors(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_buffer *buf = export_slice(dev, 0, NULL);
	struct barbuf_buffer lie = { .fd = -1, .size = SIZE };
	struct client c;
	char path[32];

	start_client(&c);
	lie.fd = OK(memfd_create("/dmabuf:no", MFD_CLOEXEC));
	OK(ftruncate(lie.fd, SIZE));
	CHECK_EQ(barbuf_buffer_send(c.sock, &lie, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, -EBADMSG);
	close(lie.fd);

	lie.fd = barbuf_buffer_fd(buf);
	lie.size = SIZE + PAGE;
	CHECK_EQ(barbuf_buffer_send(c.sock, &lie, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, -EBADMSG);

	/* A path to a buffer can be passed on, but is no way to it. */
	lie.size = SIZE;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", barbuf_buffer_fd(buf));
	lie.fd = OK(open(path, O_PATH | O_CLOEXEC));
	CHECK_EQ(barbuf_buffer_send(c.sock, &lie, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, -EBADMSG);
	close(lie.fd);

	CHECK_EQ(barbuf_message_send(c.sock, "no buffer", 9, barbuf_buffer_fd(buf)), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, -EBADMSG);
	CHECK_EQ(barbuf_buffer_send(c.sock, buf, 0), 0);
	CHECK_EQ(ask(&c, OP_RECV, 0, 0, 0).ret, 0);
	end_client(&c);
}

static void wrong_user(void)
{
	struct barbuf_peer peer;
	struct client c[2];
	int i;

	start_client_as(&c[0], NOBODY);
	start_client_as(&c[1], NOBODY - 1);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(barbuf_peer_get(c[i].sock, &peer), 0);
		CHECK_EQ(peer.pid, c[i].pid);
		CHECK_EQ(peer.uid, c[i].uid);
		CHECK_EQ(peer.gid, c[i].uid);
		CHECK_EQ(barbuf_peer_check(c[i].sock, NOBODY, -1), i ? -EACCES : 0);
		CHECK_EQ(barbuf_peer_check(c[i].sock, -1, NOBODY), i ? -EACCES : 0);
		CHECK_EQ(barbuf_peer_check(c[i].sock, 0, -1), -EACCES);
	}
	end_client(&c[0]);
	end_client(&c[1]);
}

/* The data that a client sees is the BAR's, at the place that was exported. */
static void right_data(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile uint32_t *bar = map_bar(dev, 2, 0, 8 * SIZE);
	struct client c;
	unsigned int i;

	start_client(&c);
	for (i = 0; i < MAX_BUFS; i++) {
		bar[(2 * i + 1) * SIZE / 4] = 0xb0b0 + i;
		hand_over(&c, export_slice(dev, 2 * i + 1, NULL), i);
		check_untouched(&c, i, 0xb0b0 + i);
		CHECK_EQ(ask(&c, OP_WRITE, i, SIZE - 4, 0xc0de + i).ret, 0);
		CHECK_EQ(bar[(2 * i + 2) * SIZE / 4 - 1], 0xc0de + i);
		CHECK_EQ(ask(&c, OP_READ, i, SIZE, 0).ret, -ERANGE);
	}
	end_client(&c);
}

static void killed_by(bool pidfd, bool sock)
{
	struct dev *dev = dev_open("ivshmem");
	volatile uint32_t *bar = map_bar(dev, 2, 0, 2 * SIZE);
	struct barbuf_leases *t = new_leases();
	struct barbuf_lease_event event;
	struct barbuf_buffer *buf[2];
	struct barbuf_lease left;
	struct barbuf_map *own;
	struct client c[2];
	uint64_t id[2];
	uint32_t value;
	int i;

	CHECK_EQ(barbuf_guard_install(), 0);
	for (i = 0; i < 2; i++) {
		bar[i * SIZE / 4] = 0x1000 + i;
		start_client(&c[i]);
		buf[i] = export_slice(dev, i, NULL);
		hand_over(&c[i], buf[i], 0);
		id[i] = lease(t, buf[i], &c[i], pidfd, sock);
	}
	check_untouched(&c[1], 0, 0x1001);
	CHECK_EQ(barbuf_map(&own, buf[0], NULL), 0);
	CHECK_EQ(barbuf_map_read32(own, 0, &value), 0);
	check_quiet(t);

	kill_client(&c[0]);
	event = wait_event(t);
	CHECK_EQ(event.lease.id, id[0]);
	CHECK(event.lease.buf == buf[0]);
	CHECK_EQ(event.lease.holder.pid, c[0].pid);
	CHECK_EQ(event.lease.holder.uid, NOBODY);
	CHECK_EQ(event.error, 0);
	if (!pidfd)
		CHECK_EQ(event.why, BARBUF_LEASE_HUNG_UP);
	if (!sock)
		CHECK_EQ(event.why, BARBUF_LEASE_EXITED);
	check_quiet(t);

	/* Nobody has it any more, not even the primary. The other goes on. */
	CHECK_EQ(barbuf_buffer_check(buf[0]), -EBADFD);
	CHECK_EQ(barbuf_map_read32(own, 0, &value), -EIO);
	CHECK_EQ(barbuf_buffer_check(buf[1]), 0);
	check_untouched(&c[1], 0, 0x1001);
	CHECK_EQ(barbuf_lease_find(t, buf[0], &left), -ENOENT);
	CHECK_EQ(barbuf_lease_find(t, buf[1], &left), 0);
	CHECK_EQ(left.id, id[1]);

	/* The end of the table is the end of what is left. */
	barbuf_leases_free(t);
	check_gone(&c[1], 0);
	end_client(&c[1]);
	barbuf_unmap(own);
}

static void killed_by_pidfd(void)
{
	killed_by(true, false);
}

static void killed_by_socket(void)
{
	killed_by(false, true);
}

static void killed_by_both(void)
{
	killed_by(true, true);
}

/* A client that lives on and has its mapping, but has closed the socket. */
static void socket_closed(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_leases *t = new_leases();
	struct barbuf_buffer *buf = export_slice(dev, 0, NULL);
	struct barbuf_lease_event event;
	struct client c;
	uint64_t id;

	start_client(&c);
	hand_over(&c, buf, 0);
	id = lease(t, buf, &c, true, true);
	check_quiet(t);
	ask(&c, OP_HANG_UP, 0, 0, 0);
	event = wait_event(t);
	CHECK_EQ(event.lease.id, id);
	CHECK_EQ(event.why, BARBUF_LEASE_HUNG_UP);
	CHECK_EQ(event.error, 0);
	check_gone(&c, 0);
	check_quiet(t);
	end_client(&c);
	check_quiet(t);
	barbuf_leases_free(t);
}

static void revoked_already(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_leases *t = new_leases();
	struct barbuf_buffer *buf = export_slice(dev, 0, NULL);
	struct barbuf_lease_event event;
	struct client c;

	start_client(&c);
	hand_over(&c, buf, 0);
	lease(t, buf, &c, true, false);
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	check_gone(&c, 0);
	check_quiet(t);
	kill_client(&c);
	event = wait_event(t);
	CHECK(event.lease.buf == buf);
	CHECK_EQ(event.error, -EBADFD);
	check_quiet(t);
	barbuf_leases_free(t);
}

static void device_closed(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_leases *t = new_leases();
	struct barbuf_buffer *buf = export_slice(dev, 0, NULL);
	struct client c;

	start_client(&c);
	hand_over(&c, buf, 0);
	lease(t, buf, &c, true, false);
	dev_close(dev);
	check_gone(&c, 0);
	kill_client(&c);
	CHECK_EQ(wait_event(t).error, -EOPNOTSUPP);
	barbuf_leases_free(t);
	barbuf_buffer_free(buf);
}

/* One of two clients is told off: it loses all it has, and the other nothing. */
static void by_pid(void)
{
	struct dev *dev = dev_open("ivshmem");
	struct barbuf_leases *t = new_leases();
	struct client c[2];
	unsigned int i, k;

	for (k = 0; k < 2; k++) {
		start_client(&c[k]);
		for (i = 0; i < MAX_BUFS; i++) {
			struct barbuf_buffer *buf = export_slice(dev, k * MAX_BUFS + i, NULL);

			hand_over(&c[k], buf, i);
			CHECK_EQ(ask(&c[k], OP_WRITE, i, 0, 16 * k + i).ret, 0);
			lease(t, buf, &c[k], true, true);
		}
	}
	CHECK_EQ(barbuf_lease_end_pid(t, c[0].pid), MAX_BUFS);
	for (i = 0; i < MAX_BUFS; i++) {
		check_gone(&c[0], i);
		check_untouched(&c[1], i, 16 + i);
	}
	CHECK_EQ(barbuf_lease_end_pid(t, c[0].pid), 0);
	kill_client(&c[0]);
	check_quiet(t);

	/* The other one's end is told once for each of its leases. */
	kill_client(&c[1]);
	for (i = 0; i < MAX_BUFS; i++) {
		struct barbuf_lease_event event = wait_event(t);

		CHECK_EQ(event.lease.holder.pid, c[1].pid);
		CHECK_EQ(event.error, 0);
		CHECK_EQ(barbuf_buffer_check(event.lease.buf), -EBADFD);
	}
	check_quiet(t);
	barbuf_leases_free(t);
}

static const struct test_case cases[] = {
	CASE(handed_over),
	CASE(mapping),
	CASE(read_only),
	CASE(impostors),
	CASE(wrong_user),
	CASE_MMAP(right_data),
	CASE_MMAP(killed_by_pidfd),
	CASE_MMAP(killed_by_socket),
	CASE_MMAP(killed_by_both),
	CASE_MMAP(socket_closed),
	CASE_MMAP(revoked_already),
	CASE_MMAP(device_closed),
	CASE_MMAP(by_pid),
};

TEST_MAIN(cases)
