/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Access to a mapping that may be taken away: a SIGBUS becomes -EIO.
 *
 * The handler of SIGBUS is the process's, so the program installs it, once, and
 * says so by calling barbuf_guard_install(). A SIGBUS outside of a guarded access
 * kills the process as if there were no handler.
 *
 * Threads: guarded accesses may run in any number of threads at once.
 * barbuf_guard_install() is to be called before.
 */
#ifndef BARBUF_GUARD_H
#define BARBUF_GUARD_H

#include <stdint.h>

/* Take over SIGBUS. Returns 0 or a negative errno. May be called again. */
int barbuf_guard_install(void);

/*
 * One naturally aligned load or store of exactly this width, never split,
 * merged or repeated, as registers need it.
 *
 * Return: 0, or -EIO when it raised SIGBUS; *value is then unchanged.
 */
int barbuf_read8(const volatile void *addr, uint8_t *value);
int barbuf_read16(const volatile void *addr, uint16_t *value);
int barbuf_read32(const volatile void *addr, uint32_t *value);
int barbuf_read64(const volatile void *addr, uint64_t *value);
int barbuf_write8(volatile void *addr, uint8_t value);
int barbuf_write16(volatile void *addr, uint16_t value);
int barbuf_write32(volatile void *addr, uint32_t value);
int barbuf_write64(volatile void *addr, uint64_t value);

#endif
