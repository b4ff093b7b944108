/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What files of kernel/ take from the kernel's linux/minmax.h, for user space. */
#ifndef SHIM_LINUX_MINMAX_H
#define SHIM_LINUX_MINMAX_H

#define min3(a, b, c)                           \
	({                                      \
		__typeof__(a) a_ = (a);         \
		__typeof__(b) b_ = (b);         \
		__typeof__(c) c_ = (c);         \
		a_ = b_ < a_ ? b_ : a_;         \
		c_ < a_ ? c_ : a_;              \
	})

#endif
