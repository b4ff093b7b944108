// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Leases are found by id in an array, which is in the order of the ids because
 * they only count up, and by buffer in a tree (tsearch). One that ended leaves a
 * hole in the array; when half of it is holes it is packed. So what is asked about
 * one lease takes O(log n), a revoke besides.
 *
 * What ends a lease is a descriptor in an epoll set, of its own for each lease.
 * The event carries the lease's id and not its address, and EPOLLONESHOT makes an
 * event that is not wanted any more the last of its descriptor: it is skipped and
 * cannot come again. An event that is taken ends its lease, whose descriptors leave
 * the set, so nobody is told twice, and none that waits is overtaken for ever: epoll
 * hands out events in the order in which they came.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <barbuf.h>

#include "leases.h"

/* The lowest bit of an event's data: which descriptor of the lease it is of. */
enum source { SOURCE_PIDFD, SOURCE_SOCK };

struct lease {
	struct barbuf_lease lease;
	int pidfd;
	int sock;
};

struct slot {
	uint64_t id;
	struct lease *l; /* NULL: a hole */
};

struct barbuf_leases {
	int (*revoke)(struct barbuf_buffer *buf);
	int epoll;
	uint64_t last_id;
	struct slot *slots;
	size_t nr, room, holes;
	void *by_buffer;
};

int barbuf__leases_new(struct barbuf_leases **out, int (*revoke)(struct barbuf_buffer *buf))
{
	struct barbuf_leases *t;
	int ret;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->revoke = revoke;
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll < 0) {
		ret = -errno;
		free(t);
		return ret;
	}
	*out = t;
	return 0;
}

int barbuf_leases_new(struct barbuf_leases **out)
{
	return barbuf__leases_new(out, barbuf_buffer_revoke);
}

int barbuf_leases_fd(const struct barbuf_leases *t)
{
	return t->epoll;
}

/* The first slot whose id is greater, t->nr if there is none. */
static size_t slot_after(const struct barbuf_leases *t, uint64_t id)
{
	size_t low = 0, high = t->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->slots[mid].id > id)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static struct slot *find_slot(const struct barbuf_leases *t, uint64_t id)
{
	size_t i = slot_after(t, id);

	return i && t->slots[i - 1].id == id && t->slots[i - 1].l ? &t->slots[i - 1] : NULL;
}

static struct lease *lease_after(const struct barbuf_leases *t, uint64_t id)
{
	size_t i;

	for (i = slot_after(t, id); i < t->nr; i++)
		if (t->slots[i].l)
			return t->slots[i].l;
	return NULL;
}

static int by_buffer(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct lease *)a)->lease.buf;
	uintptr_t y = (uintptr_t)((const struct lease *)b)->lease.buf;

	return (x > y) - (x < y);
}

static struct lease *find_buffer(const struct barbuf_leases *t, const struct barbuf_buffer *buf)
{
	struct lease key = { .lease.buf = (struct barbuf_buffer *)buf };
	struct lease **l = tfind(&key, &t->by_buffer, by_buffer);

	return l ? *l : NULL;
}

static int make_room(struct barbuf_leases *t)
{
	size_t room = t->room ? t->room * 2 : 16;
	struct slot *slots;

	if (t->nr < t->room)
		return 0;
	slots = reallocarray(t->slots, room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	t->slots = slots;
	t->room = room;
	return 0;
}

static void make_hole(struct barbuf_leases *t, struct slot *slot)
{
	size_t i, n = 0;

	slot->l = NULL;
	if (++t->holes <= t->nr / 2)
		return;
	for (i = 0; i < t->nr; i++)
		if (t->slots[i].l)
			t->slots[n++] = t->slots[i];
	t->nr = n;
	t->holes = 0;
}

/* Returns a descriptor of our own, or -1 for -1. */
static int dup_pidfd(int pidfd)
{
	int fd;

	if (pidfd == -1)
		return -1;
	fd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Any other answer than EBADF is about the process. */
	if (pidfd_send_signal(fd, 0, NULL, 0) && errno == EBADF) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static int dup_sock(int sock)
{
	struct sockaddr address;
	socklen_t len = sizeof(address);
	int fd;

	if (sock == -1)
		return -1;
	if (getpeername(sock, &address, &len))
		return errno == ENOTSOCK ? -EINVAL : -errno;
	fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int watch(struct barbuf_leases *t, int fd, uint64_t id, enum source source)
{
	struct epoll_event event = {
		.events = EPOLLONESHOT | (source == SOURCE_PIDFD ? EPOLLIN : EPOLLRDHUP),
		.data.u64 = id << 1 | source,
	};

	if (fd < 0 || !epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event))
		return 0;
	/* A directory of /proc can stand for a process, but is not told its end. */
	return errno == EPERM ? -EINVAL : -errno;
}

/* The caller has the same file open: to close our descriptor would not end the watch. */
static void unwatch(struct barbuf_leases *t, int fd)
{
	if (fd < 0)
		return;
	epoll_ctl(t->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

int barbuf_lease(struct barbuf_leases *t, struct barbuf_buffer *buf, int pidfd, int sock,
		 const struct barbuf_peer *holder, void *cookie, uint64_t *id)
{
	struct lease *l;
	int ret;

	if (find_buffer(t, buf))
		return -EEXIST;
	ret = make_room(t);
	if (ret)
		return ret;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->lease = (struct barbuf_lease){
		.id = t->last_id + 1,
		.buf = buf,
		.holder = { .uid = (uid_t)-1, .gid = (gid_t)-1 },
		.cookie = cookie,
	};
	if (holder)
		l->lease.holder = *holder;

	l->pidfd = dup_pidfd(pidfd);
	if (l->pidfd < 0 && pidfd != -1) {
		ret = l->pidfd;
		goto err_free;
	}
	l->sock = dup_sock(sock);
	if (l->sock < 0 && sock != -1) {
		ret = l->sock;
		goto err_pidfd;
	}
	ret = watch(t, l->pidfd, l->lease.id, SOURCE_PIDFD);
	if (ret)
		goto err_sock;
	ret = watch(t, l->sock, l->lease.id, SOURCE_SOCK);
	if (ret)
		goto err_sock;
	if (!tsearch(l, &t->by_buffer, by_buffer)) {
		ret = -ENOMEM;
		goto err_sock;
	}

	t->slots[t->nr++] = (struct slot){ .id = l->lease.id, .l = l };
	t->last_id = l->lease.id;
	if (id)
		*id = l->lease.id;
	return 0;

err_sock:
	unwatch(t, l->sock);
err_pidfd:
	unwatch(t, l->pidfd);
err_free:
	free(l);
	return ret;
}

static int end(struct barbuf_leases *t, struct slot *slot)
{
	struct lease *l = slot->l;
	int ret;

	ret = t->revoke(l->lease.buf);
	unwatch(t, l->sock);
	unwatch(t, l->pidfd);
	tdelete(l, &t->by_buffer, by_buffer);
	make_hole(t, slot);
	free(l);
	return ret;
}

void barbuf_leases_free(struct barbuf_leases *t)
{
	struct lease *l;
	uint64_t id = 0;

	if (!t)
		return;
	while ((l = lease_after(t, id))) {
		id = l->lease.id;
		end(t, find_slot(t, id));
	}
	close(t->epoll);
	free(t->slots);
	free(t);
}

int barbuf_leases_next(struct barbuf_leases *t, struct barbuf_lease_event *event)
{
	struct epoll_event e;
	struct slot *slot;
	int n;

	do {
		n = epoll_wait(t->epoll, &e, 1, 0);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		slot = find_slot(t, e.data.u64 >> 1);
	} while (!slot);

	*event = (struct barbuf_lease_event){
		.lease = slot->l->lease,
		.why = (e.data.u64 & 1) == SOURCE_PIDFD ? BARBUF_LEASE_EXITED :
							  BARBUF_LEASE_HUNG_UP,
	};
	event->error = end(t, slot);
	return 1;
}

int barbuf_lease_end(struct barbuf_leases *t, uint64_t id)
{
	struct slot *slot = find_slot(t, id);

	return slot ? end(t, slot) : -ENOENT;
}

int barbuf_lease_end_pid(struct barbuf_leases *t, pid_t pid)
{
	struct lease *l;
	uint64_t id = 0;
	int n = 0;

	/* 0 is in the record of a holder that is not known by a pid. */
	if (pid <= 0)
		return 0;
	while ((l = lease_after(t, id))) {
		id = l->lease.id;
		if (l->lease.holder.pid != pid)
			continue;
		end(t, find_slot(t, id));
		n++;
	}
	return n;
}

int barbuf_lease_find(const struct barbuf_leases *t, const struct barbuf_buffer *buf,
		      struct barbuf_lease *lease)
{
	struct lease *l = find_buffer(t, buf);

	if (!l)
		return -ENOENT;
	*lease = l->lease;
	return 0;
}

int barbuf_lease_after(const struct barbuf_leases *t, uint64_t id, struct barbuf_lease *lease)
{
	struct lease *l = lease_after(t, id);

	if (!l)
		return -ENOENT;
	*lease = l->lease;
	return 0;
}
