/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What access_MACHINE.S gives to C. barbuf_read8() and the others of barbuf.h are
 * there, too: each access of theirs to the device is one instruction that is
 * listed in the table of fixups, with the place to go on when it raised SIGBUS.
 * The instructions that touch the caller's memory are not listed.
 */
#ifndef BARBUF_ACCESS_H
#define BARBUF_ACCESS_H

#include <stdint.h>

/* Each field is relative to its own address, so the table needs no relocation. */
struct barbuf__fixup {
	int32_t access;
	int32_t exit;
};

extern const struct barbuf__fixup barbuf__fixups[] __attribute__((visibility("hidden")));
extern const struct barbuf__fixup barbuf__fixups_end[] __attribute__((visibility("hidden")));

/* 64 bytes; @dst is aligned to 64. 0 or -EIO. For CPUs that have the instructions. */
#ifdef __x86_64__
int barbuf__store64b_8x8(volatile void *dst, const void *src);
int barbuf__store64b_avx2(volatile void *dst, const void *src);
int barbuf__store64b_avx512(volatile void *dst, const void *src);
int barbuf__store64b_movdir64b(volatile void *dst, const void *src);
#else
int barbuf__store64b_pairs(volatile void *dst, const void *src);
#endif

#endif
