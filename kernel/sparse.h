/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Linux 7.3 uses and Debian's sparse does not know. Included before all
 * else when sparse runs, and only then: one error of this kind in a file and
 * sparse keeps its warnings about that file to itself.
 */
#define __typeof_unqual__	__typeof__
/* In the static_assert() of each MODULE_...() line, on a string literal. */
#define __builtin_strlen(s)	(sizeof(s) - 1)
