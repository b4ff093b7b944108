/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /dev/fence_make does: each open file of it makes one fence, as a sync_file, that
 * signals when a test likes. Any user may, as clients of a GPU may make fences.
 */
#ifndef FENCE_MAKE_H
#define FENCE_MAKE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Returns the descriptor of a sync_file. The fence signals after as many seconds as the
 * argument says, with 0 not by itself, and at the latest when this file is closed. EBUSY:
 * this file has made one.
 */
#define FENCE_MAKE		_IO('f', 1)
/* Signals it now. EINVAL: none was made. */
#define FENCE_SIGNAL		_IO('f', 2)
/* Returns 1 when it has signalled, else 0. */
#define FENCE_IS_SIGNALLED	_IO('f', 3)

#endif
