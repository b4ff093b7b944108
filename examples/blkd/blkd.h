/* SPDX-License-Identifier: MIT */
/*
 * The primary: what its files share. One thread, one loop (server.c) that waits for no client.
 *
 *	memory.c	the memory of a queue for one lease
 *	queue.c		a queue: memory, interrupt, doorbell, device
 *	lease.c		grants a queue to a client, and ends that
 *	reclaim.c	makes a queue that was lent one that can be lent again
 *	restart.c	resets the virtio device under its lessees, who keep what they have
 *	pci_reset.c	resets the PCI function under them, who get all anew
 *	request.c	the kernel wants the device back
 *	culprit.c	the device gave up: who did it
 *	fault.c		the IOMMU stopped the device: in whose window
 *	conn.c		connections and their messages
 *	control.c	what blkctl asks for
 *	ban.c, policy.c, kmsg.c, listen.c, events.c	stand alone
 *	virtio*.c	the device
 */
#ifndef BLKD_BLKD_H
#define BLKD_BLKD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

#include "ban.h"
#include "listen.h"
#include "memory.h"
#include "policy.h"
#include "proto.h"
#include "virtio.h"

/* Of a device that has more, only so many are used. */
#define QUEUES_MAX 64u
/* IOVA windows of a queue: memory that is made anew is not where the last was. */
#define WINDOWS 16u
/* How long a device that has reset a queue may go on with what it had begun: see reclaim.c, 5. */
#define RETIRED_SECONDS 2.0
/* Connections in all; a few of them are for who controls blkd. */
#define CONNECTIONS_MAX 64u
#define CONNECTIONS_RESERVED 4u
/* Of one uid that is not in control, such that hold no queue. */
#define WAITING_MAX 16u
/* To have asked by, and to get a queue that is being reclaimed. */
#define ASK_SECONDS 5.0
/* For the answer to PAUSE, and the points that silence costs: see ban.h. */
#define PAUSE_SECONDS 2.0
#define SILENCE_POINTS 6u
/* How often a doorbell is looked at. */
#define CHECK_SECONDS 1.0
/* How often the device and the leases are looked at when nothing happens. */
#define LOOK_SECONDS 0.1
#define WHY_MAX sizeof(((struct blk_text *)0)->text)

struct blkd;

/* One descriptor of the loop, which closes it; of a free one .ready is NULL. */
struct watch {
	void (*ready)(struct blkd *b, struct watch *w);
	int fd;
};

enum queue_state {
	QUEUE_EMPTY, /* no memory: there was none to be had. Tried again at each look */
	QUEUE_FREE, /* fresh memory, enabled */
	QUEUE_LENT,
	QUEUE_DRAINING, /* its lease ended; the device may be at work on it */
	QUEUE_STOPPED, /* waits for a restart of the device */
};

struct queue {
	uint32_t nr;
	enum queue_state state;
	struct memory mem;
	uint32_t made; /* how often: which of its windows is next */
	struct {
		struct memory mem;
		double until;
	} retired[WINDOWS]; /* the memory of leases that are over, each in its window */
	int irq; /* eventfd of this memory's life, or -1 */

	struct barbuf_buffer *doorbell; /* while lent */
	uint64_t lease; /* in blkd.table */
	struct conn *conn;
	struct barbuf_peer holder; /* the last one, while the queue is being reclaimed */
	struct blk_grant grant;
	struct blk_ask ask; /* what was asked for, to grant it anew */
	double since;
	double checked; /* whether the doorbell still stands; of the clock */
	uint64_t done;
	uint16_t looked; /* used index when .done was counted */
	uint16_t seen_used, seen_avail; /* both indexes at the last look */
	uint64_t leases;
	uint32_t late; /* completions of its predecessors that may show in its used ring */

	double noticed; /* when its lease ended */
	double drained_by; /* of the clock */
	double still_since;
	uint16_t still_at;
	uint16_t rung_for; /* available index when the primary rang */
	double grew; /* when that had changed, of the clock; 0: not since the lease ended */
};

enum conn_pause { CONN_RUNS, CONN_TOLD, CONN_PAUSED };

struct conn {
	struct watch watch; /* first */
	struct barbuf_peer peer;
	bool dead; /* freed at the end of the round */
	/* Times of the clock. */
	double deadline; /* without a queue: to have asked by, or to get one */
	bool asking; /* .ask waits for a queue that is being reclaimed */
	struct blk_ask ask;

	struct queue *queue; /* NULL: nothing is lent */
	uint32_t epoch;
	unsigned int asked_again;
	enum conn_pause pause;
	unsigned int owed; /* answers to PAUSE, also to one that is over */
	double ping_at; /* when the next PING is due */
	double ping_sent; /* 0: it was answered */
	double leave_by; /* 0: was not told to leave */

	bool waits; /* for the end of a restart that it asked for */
};

enum restart_phase { RESTART_NONE, RESTART_WANTED, RESTART_PAUSING };

struct options {
	const char *address, *socket;
	uint64_t block;
	uint64_t min_size; /* 0: a block for each slot */
	uint32_t depth;
	uint32_t queues; /* 0: all */
	double hang; /* seconds; 0: never */
	double drain;
	uint32_t hole; /* queue, or UINT32_MAX */
	bool json;
};

struct blkd {
	struct options o;
	struct policy policy;
	struct barbuf_device *dev;
	struct barbuf_container *container;
	struct virtio_blk *virtio;
	const struct virtio_blk_facts *facts;
	uint32_t page;
	uint64_t blocks; /* of the disk */
	struct blk_window most;
	uint64_t iova, stride;

	struct queue *queues; /* as many as are used */
	uint32_t nr_queues;
	struct virtio_blk_queue *rings; /* of all that there are: those not used stay off */
	struct barbuf_leases *table; /* ends of holders */
	struct conn *conns[CONNECTIONS_MAX];
	size_t nr_conns;

	struct listener listener;
	struct watch listen, signals, leases, config, request, kmsg;
	int epoll;
	double accept_after;
	double looked;
	double clock; /* of what clients have time for: see server_tick() */
	double ticked;
	bool stop;
	int status; /* of the program */

	enum restart_phase restart;
	double paused_by; /* of the clock */
	char restart_why[64];
	double restart_noticed;
	bool suspended; /* the device was out of reach at the last look */
	double blame_by; /* the device gave up, and nobody is known to have done it yet */
	double unexplained; /* when that was so the last time */
	struct bans bans;
};

/* queue.c */
int queue_provision(struct blkd *b, struct queue *q);
void queue_drop(struct blkd *b, struct queue *q);
bool queue_can_retire(const struct queue *q);
void queue_retire(struct blkd *b, struct queue *q);
void queue_free_retired(struct queue *q, bool all);
uint32_t queue_late(const struct queue *q);
struct virtio_blk_queue queue_rings(const struct blkd *b, const struct queue *q);
int queue_enable(struct blkd *b, struct queue *q);
int queue_start_all(struct blkd *b);
int queue_rewind(struct blkd *b, struct queue *q);
int queue_ring(struct blkd *b, struct queue *q);
bool queue_has_taken_back(struct queue *q);
void queue_count(struct queue *q);
uint64_t queue_first_sector(const struct blkd *b, const struct queue *q);

/* lease.c */
void lease_ask(struct blkd *b, struct conn *c);
void lease_try_waiting(struct blkd *b);
int lease_grant(struct blkd *b, struct queue *q, struct conn *c);
void lease_end(struct blkd *b, struct queue *q, enum blk_end why);
bool lease_tell(struct blkd *b, struct queue *q, enum blk_kind kind, uint32_t value);
void lease_let_go(struct blkd *b, struct queue *q, enum blk_end why);
void lease_ends(struct blkd *b);
void lease_look(struct blkd *b);

/* reclaim.c */
void reclaim_push(struct blkd *b, struct queue *q);
void reclaim_begin(struct blkd *b, struct queue *q, enum blk_end why);
void reclaim_look(struct blkd *b);
bool reclaim_is_busy(const struct blkd *b);
void reclaim_done(struct blkd *b, struct queue *q, const char *how);

/* restart.c */
void restart_want(struct blkd *b, const char *why);
void restart_look(struct blkd *b);
void restart_renew(struct blkd *b);
void restart_renewed(struct blkd *b);
void device_gone(struct blkd *b, const char *why);

/* request.c */
int request_open(struct blkd *b);

/* pci_reset.c */
int pci_reset(struct blkd *b, char *why, size_t size);

/* culprit.c */
bool culprit_evidence(const struct blk_window *w, const void *table, const void *arena,
		      uint32_t late, char *what, size_t size);
int culprit_open(struct blkd *b);
void culprit_look(struct blkd *b);

/* fault.c */
int fault_open(struct blkd *b);

/* conn.c */
void conn_accept(struct blkd *b, struct watch *w);
int conn_send(struct conn *c, const void *msg, size_t len, int fd);
int conn_word(struct conn *c, enum blk_kind kind, uint32_t value);
__attribute__((format(printf, 4, 5))) void conn_refuse(struct blkd *b, struct conn *c, int error,
						       const char *fmt, ...);
void conn_drop(struct blkd *b, struct conn *c);
bool conn_is_controller(uid_t uid);
void conn_look(struct blkd *b);
void conn_bury(struct blkd *b);

/* control.c */
void control_ask(struct blkd *b, struct conn *c, const struct blk_request *r);
void control_answer_waiting(struct blkd *b, int error, const char *text);

/* server.c */
int server_open(struct blkd *b);
void server_tick(struct blkd *b, double t);
void server_run(struct blkd *b);
void server_close(struct blkd *b);
int server_watch(struct blkd *b, struct watch *w, int fd,
		 void (*ready)(struct blkd *, struct watch *));
void server_unwatch(struct blkd *b, struct watch *w);

#endif
