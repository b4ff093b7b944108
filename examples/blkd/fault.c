// SPDX-License-Identifier: MIT
/*
 * The IOMMU stopped the device: in whose window? The address tells, as each queue's window is its
 * own, and memory that is made anew is not where the last was: a message that comes late is not
 * held against a successor.
 *
 * A lessee does not choose addresses, so this is a defect of the primary's or of the device. The
 * lease ends all the same: its data cannot be trusted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkd.h"
#include "events.h"
#include "kmsg.h"

/* Of the log in one round: a flood, of faults or of anything, does not keep us from all else. */
#define LINES_AT_ONCE 64

/* Whose it is, NULL: nobody's. *late: of memory that is gone. */
static struct queue *find_queue(struct blkd *b, uint64_t address, bool *late)
{
	uint64_t window = (address - b->iova) / b->stride;
	struct queue *q;

	if (address < b->iova || window >= (uint64_t)b->nr_queues * WINDOWS)
		return NULL;
	q = &b->queues[window / WINDOWS];
	*late = !q->mem.container || q->mem.iova != b->iova + window * b->stride;
	return q;
}

static void fault(struct blkd *b, const struct kmsg_fault *f)
{
	char address[24];
	struct queue *q;
	bool late = false;

	snprintf(address, sizeof(address), "0x%llx", (unsigned long long)f->address);
	q = find_queue(b, f->address, &late);
	if (!q || late || (q->state != QUEUE_LENT && q->state != QUEUE_DRAINING)) {
		event("iommu_fault", "{s:o, s:n, s:s, s:s}", "queue",
		      q ? json_integer(q->nr) : json_null(), "pid", "address", address, "access",
		      f->write ? "write" : "read");
		return;
	}
	event("iommu_fault", "{s:i, s:i, s:I, s:s, s:s}", "queue", (int)q->nr, "pid",
	      (int)q->holder.pid, "uid", (json_int_t)q->holder.uid, "address", address, "access",
	      f->write ? "write" : "read");
	if (q->state == QUEUE_LENT)
		lease_end(b, q, BLK_END_IOMMU_FAULT);
}

static void kmsg_ready(struct blkd *b, struct watch *w)
{
	unsigned int lines = LINES_AT_ONCE;
	struct kmsg_fault f;
	int ret;

	while ((ret = kmsg_next(w->fd, &f, &lines)) == 1)
		if (kmsg_is_of(&f, b->o.address))
			fault(b, &f);
	if (ret && ret != -EAGAIN) {
		complain("/dev/kmsg: %s: faults of the IOMMU are not seen any more",
			 strerror(-ret));
		server_unwatch(b, w);
	}
}

int fault_open(struct blkd *b)
{
	int fd = kmsg_open();

	if (fd < 0) {
		complain("/dev/kmsg: %s: faults of the IOMMU are not seen", strerror(-fd));
		return 0;
	}
	return server_watch(b, &b->kmsg, fd, kmsg_ready);
}
