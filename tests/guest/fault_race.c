// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault and a revoke, in both orders. The faulting thread is held on either side of the
 * lock under which it looks at the state and inserts, so neither case needs luck.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"
#include "leaf.h"

struct race {
	struct dev *dev;
	int fd;
	volatile char *page;
	int hold;
	volatile bool held_still; /* when the revoke had returned */
};

/* A huge leaf fits, or 4 KiB pages alone. */
static void race_open(struct race *r, bool leaf)
{
	r->dev = dev_open("ivshmem");
	r->fd = export_range(r->dev, 2, MIB(4), MIB(2));
	r->page = map_aligned(r->fd, 0, MIB(2), MIB(2), leaf ? 0 : PAGE);
	CHECK(!is_mapped(r->page));
}

static int touch_it(void *arg)
{
	struct race *r = arg;

	errno = EFAULT;
	return touch(r->page) ? -1 : 0;
}

/*
 * Without the library: its first malloc() in a thread is an mmap, and that waits for the lock of
 * the address space, which a fault of single pages has.
 */
static int revoke_it(void *arg)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_buf_revoke revoke;
	} feature = {
		.head.argsz = sizeof(feature),
		.head.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
	};
	struct race *r = arg;
	int ret;

	feature.revoke.dmabuf_fd = r->fd;
	ret = ioctl(r->dev->fd, VFIO_DEVICE_FEATURE, &feature);
	r->held_still = hold_held(r->hold);
	return ret;
}

/* The fault is on its way and has not looked at the state: it finds the new one. */
static void revoke_before_the_look(bool leaf)
{
	struct call access;
	struct race r;

	race_open(&r, leaf);
	call_prepare(&access, touch_it, &r);
	r.hold = hold_arm(leaf ? HOLD_FAULT_BEGINS_LEAF : HOLD_FAULT_BEGINS, .tid = access.tid);
	call_go(&access);
	CHECK_EQ(hold_wait(r.hold), access.tid);
	revoke_buffer(r.dev, r.fd);
	CHECK(!access.ended);
	hold_release(r.hold);
	CHECK_EQ(call_end(&access), EFAULT);
	CHECK(!is_mapped(r.page));
	CHECK_SIGBUS(r.page);
}

static void revoke_before_a_leaf_fault_looks(void)
{
	revoke_before_the_look(true);
}

static void revoke_before_a_page_fault_looks(void)
{
	revoke_before_the_look(false);
}

/*
 * The fault has seen that the buffer is live, and nothing is inserted yet: the revoke waits
 * until it is, and then takes it away. Both spin, so there may be no processor left for a
 * third: the fault goes on when its time is over.
 */
static void revoke_before_the_insertion(bool leaf)
{
	struct call access, revoke;
	struct race r;

	race_open(&r, leaf);
	r.held_still = true;
	call_prepare(&access, touch_it, &r);
	call_prepare(&revoke, revoke_it, &r);
	run_on(access.tid, 1);
	run_on(revoke.tid, 0);
	run_on(0, 0);
	r.hold = hold_arm(leaf ? HOLD_FAULT_INSERTS_LEAF : HOLD_FAULT_INSERTS, .tid = access.tid,
			  .seconds = 2);
	call_go(&access);
	CHECK_EQ(hold_wait(r.hold), access.tid);
	CHECK(!is_mapped(r.page));
	call_go(&revoke);
	CHECK_EQ(call_end(&revoke), 0);
	CHECK(!r.held_still);
	CHECK_ERRNO(try_hold_release(r.hold), ETIME);
	call_end(&access);
	CHECK(!is_mapped(r.page));
	CHECK_SIGBUS(r.page);
}

static void revoke_before_a_leaf_is_inserted(void)
{
	revoke_before_the_insertion(true);
}

static void revoke_before_pages_are_inserted(void)
{
	revoke_before_the_insertion(false);
}

static const struct test_case cases[] = {
	CASE_MMAP(revoke_before_a_leaf_fault_looks),
	CASE_MMAP(revoke_before_a_page_fault_looks),
	CASE_MMAP(revoke_before_a_leaf_is_inserted),
	CASE_MMAP(revoke_before_pages_are_inserted),
};

TEST_MAIN(cases)
