// SPDX-License-Identifier: MIT
/*
 * The loop. It sleeps until something comes, or until the next look: at the device, for holders
 * that are hung or should have left, for queues that drain. It waits for nobody.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "blkd.h"
#include "events.h"

#define EVENTS_MAX 32
/* While a queue drains or the device is about to restart. */
#define SOON_MS 1

int server_watch(struct blkd *b, struct watch *w, int fd,
		 void (*ready)(struct blkd *, struct watch *))
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };

	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	*w = (struct watch){ .fd = fd, .ready = ready };
	return 0;
}

void server_unwatch(struct blkd *b, struct watch *w)
{
	if (!w->ready)
		return;
	w->ready = NULL;
	/* Another descriptor of the same file, such as the leases', keeps it in the set. */
	epoll_ctl(b->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	close(w->fd);
}

static void signal_ready(struct blkd *b, struct watch *w)
{
	struct signalfd_siginfo info;

	if (read(w->fd, &info, sizeof(info)) == sizeof(info))
		b->stop = true;
}

static int open_signals(struct blkd *b)
{
	struct sigaction hangup;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Ignored by nohup(1), it would come here all the same. */
	if (sigaction(SIGHUP, NULL, &hangup) || hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : server_watch(b, &b->signals, fd, signal_ready);
}

/* Ends of holders are looked at in each round, before all else: this one only wakes us. */
static void leases_ready(struct blkd *b, struct watch *w)
{
}

static int open_leases(struct blkd *b)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &b->leases };
	int ret = barbuf_leases_new(&b->table);

	if (ret)
		return ret;
	b->leases.ready = leases_ready;
	return epoll_ctl(b->epoll, EPOLL_CTL_ADD, barbuf_leases_fd(b->table), &e) ? -errno : 0;
}

int server_open(struct blkd *b)
{
	int ret;

	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (b->epoll < 0)
		return -errno;
	ret = open_signals(b);
	if (!ret)
		ret = open_leases(b);
	if (!ret)
		ret = fault_open(b);
	if (!ret)
		ret = culprit_open(b);
	if (!ret)
		ret = request_open(b);
	return ret;
}

static int timeout_ms(const struct blkd *b)
{
	double left = b->looked + LOOK_SECONDS - now();

	if (b->restart != RESTART_NONE || reclaim_is_busy(b))
		return SOON_MS;
	return left > 0 ? (int)(left * 1e3) + 1 : 0;
}

/* The listening socket is left out for a while when there are no descriptors to accept with. */
static void listen_again(struct blkd *b)
{
	struct epoll_event e = { .data.ptr = &b->listen };

	if (now() >= b->accept_after)
		b->accept_after = 0;
	e.events = b->accept_after ? 0 : EPOLLIN;
	epoll_ctl(b->epoll, EPOLL_CTL_MOD, b->listen.fd, &e);
}

/* What is done unasked. */
static void look(struct blkd *b)
{
	reclaim_look(b);
	restart_look(b);
	lease_try_waiting(b);
	if (b->accept_after)
		listen_again(b);
	if (now() < b->looked + LOOK_SECONDS)
		return;
	b->looked = now();
	culprit_look(b);
	lease_look(b);
	conn_look(b);
}

/*
 * The clock of all that a client must have done by a time. Between two looks it goes on by no more
 * than the loop sleeps: when blkd was kept from running, or all of the machine was, clients may
 * have been, too, and nobody has seen what they did. A client cannot stop it: each look moves it.
 */
void server_tick(struct blkd *b, double t)
{
	double passed = t - b->ticked;

	b->clock += passed < LOOK_SECONDS ? passed : LOOK_SECONDS;
	b->ticked = t;
}

static void run_once(struct blkd *b)
{
	struct epoll_event events[EVENTS_MAX];
	int i, n;

	n = epoll_wait(b->epoll, events, EVENTS_MAX, timeout_ms(b));
	server_tick(b, now());
	lease_ends(b);
	for (i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		if (w->ready)
			w->ready(b, w);
	}
	if (!b->stop)
		look(b);
	conn_bury(b);
}

void server_run(struct blkd *b)
{
	b->clock = b->ticked = now();
	while (!b->stop)
		run_once(b);
}

/* Leases end, and who is connected is let go. */
void server_close(struct blkd *b)
{
	size_t i;

	b->stop = true;
	for (i = 0; b->queues && i < b->nr_queues; i++)
		if (b->queues[i].state == QUEUE_LENT)
			lease_end(b, &b->queues[i], BLK_END_SHUTDOWN);
	for (i = 0; i < b->nr_conns; i++)
		conn_drop(b, b->conns[i]);
	conn_bury(b);
	barbuf_leases_free(b->table);
	server_unwatch(b, &b->kmsg);
	server_unwatch(b, &b->config);
	server_unwatch(b, &b->request);
	server_unwatch(b, &b->signals);
	if (b->epoll >= 0)
		close(b->epoll);
}
