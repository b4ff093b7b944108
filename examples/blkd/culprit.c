// SPDX-License-Identifier: MIT
/*
 * The device has given up (DEVICE_NEEDS_RESET, virtio 1.2, 2.1.1): who did it?
 *
 * Clients write two things that can do that. The available ring still has what the device
 * stumbled over, behind the used index, unless its writer has been quick to cover it: an index
 * further ahead than there are slots, or back behind what is used, or a head that heads no chain.
 * And the headers of what it names, where they are not fixed: QEMU 7.2 gives up at a discard whose
 * chain has no room for its segment, as a read chain. This is evidence of bad manners rather than
 * of the deed; who is found so has no claim to a queue in either case.
 *
 * The used index is the device's, which may set it ahead by what it completes late of a
 * predecessor's: so far, an available index behind it says nothing about who wrote that.
 *
 * If nobody is found, the device restarts for all of them, and not more often than once a second.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blkd.h"
#include "events.h"

/* The IOMMU's word comes by another way, and may be later. */
#define BLAME_SECONDS 0.2
#define UNEXPLAINED_SECONDS 1.0

/* What this driver's clients ask for; the identity is harmless. */
static bool is_usual(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_FLUSH ||
	       type == VIRTIO_BLK_T_GET_ID;
}

/*
 * Does this ring hold what a device may give up about? @late: the used index may be ahead by so
 * much and its holder has done nothing, see queue_late(). @what: a few words.
 */
bool culprit_evidence(const struct blk_window *w, const void *table, const void *arena,
		      uint32_t late, char *what, size_t size)
{
	const struct vring_used *used = (const void *)((const char *)table + w->used);
	const struct vring_avail *avail = arena;
	const struct virtio_blk_outhdr *headers = (const void *)((const char *)arena + w->headers);
	uint16_t from = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	uint16_t to = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);

	if ((uint16_t)(to - from) > w->depth) {
		if ((uint16_t)(from - to) <= late)
			return false;
		snprintf(what, size, "available index %u, used index %u, %u slots", to, from,
			 w->depth);
		return true;
	}
	for (; from != to; from++) {
		uint16_t head =
			__atomic_load_n(&avail->ring[from % w->queue_size], __ATOMIC_RELAXED);
		int slot = blk_window_slot(w, head);
		uint32_t type;

		if (slot < 0) {
			snprintf(what, size, "head %u in its available ring", head);
			return true;
		}
		type = __atomic_load_n(&headers[slot].type, __ATOMIC_RELAXED);
		if (!(w->flags & BLK_FIXED) && !is_usual(type)) {
			snprintf(what, size, "a request of type %u", type);
			return true;
		}
	}
	return false;
}

static void tell(struct blkd *b, const struct queue *q, const char *what)
{
	ban_count(&b->bans, q->holder.uid, 1, now());
	event("broken", "{s:i, s:i, s:I, s:s}", "queue", (int)q->nr, "pid", (int)q->holder.pid,
	      "uid", (json_int_t)q->holder.uid, "what", what);
}

/* End the leases of those who show evidence. How many were found, lease over or not. */
static unsigned int find(struct blkd *b)
{
	unsigned int found = 0;
	char what[96];
	uint32_t i;

	for (i = 0; i < b->nr_queues; i++) {
		struct queue *q = &b->queues[i];

		if (q->state != QUEUE_LENT && q->state != QUEUE_DRAINING)
			continue;
		if (!culprit_evidence(&q->mem.w, q->mem.table, q->mem.arena, q->late, what,
				      sizeof(what)))
			continue;
		found++;
		tell(b, q, what);
		if (q->state == QUEUE_LENT)
			lease_end(b, q, BLK_END_BROKE_DEVICE);
	}
	return found;
}

static void gave_up(struct blkd *b)
{
	double t = now();

	if (b->restart != RESTART_NONE)
		return;
	if (find(b)) {
		b->blame_by = 0;
		restart_want(b, "the device gave up");
		return;
	}
	if (!b->blame_by) {
		b->blame_by = t + BLAME_SECONDS;
		if (b->unexplained && b->blame_by < b->unexplained + UNEXPLAINED_SECONDS)
			b->blame_by = b->unexplained + UNEXPLAINED_SECONDS;
	}
	if (t < b->blame_by)
		return;
	b->blame_by = 0;
	b->unexplained = t;
	event("broken", "{s:n, s:s}", "queue", "what", "no ring shows why");
	complain("the device gave up, and no ring shows why; it is restarted for all");
	restart_want(b, "the device gave up");
}

void culprit_look(struct blkd *b)
{
	int ret = virtio_blk_health(b->virtio);

	if (ret == -EAGAIN) {
		b->suspended = true;
	} else if (ret == -EIO) {
		gave_up(b);
	} else if (ret) {
		device_gone(b, strerror(-ret));
	} else {
		b->blame_by = 0;
		/* Who rang meanwhile was not heard, and waits for a word. */
		if (b->suspended)
			restart_want(b, "it was out of reach");
	}
}

static void config_ready(struct blkd *b, struct watch *w)
{
	uint64_t n;

	if (read(w->fd, &n, sizeof(n)) == sizeof(n))
		culprit_look(b);
}

int culprit_open(struct blkd *b)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret;

	if (fd < 0)
		return -errno;
	ret = virtio_blk_irq(b->virtio, VIRTIO_BLK_VECTOR_CONFIG, fd);
	if (ret) {
		close(fd);
		return ret;
	}
	return server_watch(b, &b->config, fd, config_ready);
}
