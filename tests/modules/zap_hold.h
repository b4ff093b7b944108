/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/zap_hold does: an open file of it watches one range of its opener's
 * memory, and can keep whoever zaps page table entries there (a revoke, a reset)
 * waiting just before it does, so that a test sees what is so in between.
 */
#ifndef ZAP_HOLD_H
#define ZAP_HOLD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct zap_hold_range - what to watch
 * @start: address in the caller's memory, page aligned
 * @length: in bytes, page aligned
 */
struct zap_hold_range {
	__u64 start;
	__u64 length;
};

/* EBUSY: this file watches already. */
#define ZAP_HOLD_WATCH		_IOW('z', 1, struct zap_hold_range)
/*
 * From now on a zap waits for ZAP_HOLD_RELEASE, for the end of this file, or until as
 * many seconds are over as the argument says, so that a test that goes wrong is a
 * failure and not a hang. Who is killed does not wait.
 */
#define ZAP_HOLD_HOLD		_IO('z', 2)
#define ZAP_HOLD_RELEASE	_IO('z', 3)
/* Returns how many zaps have come to the range so far, held or not. */
#define ZAP_HOLD_SEEN		_IO('z', 4)

#endif
