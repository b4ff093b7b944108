/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/zap_watch does: an open file of it counts the zaps of page table entries in one
 * range of its opener's memory, as a user of mmu_notifiers, which KVM is, sees them.
 */
#ifndef ZAP_WATCH_H
#define ZAP_WATCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct zap_watch_range - what to watch
 * @start: address in the caller's memory, page aligned
 * @length: in bytes, page aligned
 */
struct zap_watch_range {
	__u64 start;
	__u64 length;
};

/* EBUSY: this file watches already. */
#define ZAP_WATCH		_IOW('z', 1, struct zap_watch_range)
/* Returns how many zaps have come to the range so far; an munmap is none. */
#define ZAP_WATCH_SEEN		_IO('z', 2)

/* Zaps come to this function, where thread_hold finds them before the entries go. */
#define ZAP_WATCH_FUNCTION	"zap_watch_invalidate"

#endif
