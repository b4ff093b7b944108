// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Barriers between memory and devices.
 *
 * x86-64, Intel SDM volume 3, "Memory Ordering" and "Methods of Caching Available":
 * stores to write-back and uncached memory are in order, stores to write-combining
 * memory are not, and wait in buffers that SFENCE, MFENCE, an uncached access or an
 * interrupt empties. Loads from WC memory may be speculative and out of order; LFENCE
 * orders them. AMD APM volume 2, "Write-Combining", says the same.
 *
 * arm64, Arm ARM (DDI 0487), B2.3 and "Data Synchronization Barrier": Device memory
 * is ordered within itself, Normal non-cacheable memory (WC) is not, nor either against
 * cacheable memory. DMB would order them; DSB also waits for their end, which is what
 * Linux's wmb(), rmb() and mb() use, and what empties the gathering buffers.
 */
#include <stdatomic.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "access.h"
#include "order.h"

#ifdef __x86_64__
#define FENCE_STORES "sfence"
#define FENCE_LOADS "lfence"
#define FENCE_ALL "mfence"
#else
#define FENCE_STORES "dsb st"
#define FENCE_LOADS "dsb ld"
#define FENCE_ALL "dsb sy"
#endif

void barbuf_wmb(void)
{
	__asm__ volatile(FENCE_STORES ::: "memory");
}

void barbuf_rmb(void)
{
	__asm__ volatile(FENCE_LOADS ::: "memory");
}

void barbuf_mb(void)
{
	__asm__ volatile(FENCE_ALL ::: "memory");
}

void barbuf_wc_flush(void)
{
	__asm__ volatile(FENCE_STORES ::: "memory");
}

#define DEFINE_DOORBELL(bits)                                                \
	int barbuf_doorbell##bits(volatile void *addr, uint##bits##_t value) \
	{                                                                    \
		int ret;                                                     \
                                                                             \
		barbuf_wmb();                                                \
		ret = barbuf_write##bits(addr, value);                       \
		barbuf_wc_flush();                                           \
		return ret;                                                  \
	}

DEFINE_DOORBELL(16)
DEFINE_DOORBELL(32)
DEFINE_DOORBELL(64)

#ifdef __x86_64__

/* Intel SDM volume 1, "Detection of AVX-512 Foundation Instructions": XCR0's bits. */
#define XCR0_AVX 0x06u /* SSE and the upper halves of YMM */
#define XCR0_AVX512 0xe6u /* and opmasks, upper halves of ZMM, ZMM16 to 31 */

/* What the system saves when it switches threads; without it the registers can't be used. */
static unsigned int xcr0(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
		return 0;
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

bool barbuf__store_available(enum barbuf_store kind)
{
	unsigned int eax, ebx = 0, ecx = 0, edx;

	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	switch (kind) {
	case BARBUF_STORE_8X8:
		return true;
	case BARBUF_STORE_AVX2:
		return ebx & bit_AVX2 && (xcr0() & XCR0_AVX) == XCR0_AVX;
	case BARBUF_STORE_AVX512:
		return ebx & bit_AVX512F && (xcr0() & XCR0_AVX512) == XCR0_AVX512;
	case BARBUF_STORE_MOVDIR64B:
		return ecx & 1u << 28;
	default:
		return false;
	}
}

int barbuf__store64b_as(enum barbuf_store kind, volatile void *dst, const void *src)
{
	switch (kind) {
	case BARBUF_STORE_MOVDIR64B:
		return barbuf__store64b_movdir64b(dst, src);
	case BARBUF_STORE_AVX512:
		return barbuf__store64b_avx512(dst, src);
	case BARBUF_STORE_AVX2:
		return barbuf__store64b_avx2(dst, src);
	default:
		return barbuf__store64b_8x8(dst, src);
	}
}

#else

bool barbuf__store_available(enum barbuf_store kind)
{
	return kind == BARBUF_STORE_PAIRS;
}

int barbuf__store64b_as(enum barbuf_store kind, volatile void *dst, const void *src)
{
	return barbuf__store64b_pairs(dst, src);
}

#endif

enum barbuf_store barbuf_store_kind(void)
{
	/* Asked for once: CPUID traps in a guest. Whoever asks gets the same answer. */
	static atomic_int known = -1;
	int kind = atomic_load_explicit(&known, memory_order_relaxed);

	if (kind < 0) {
		/* They stand in the order of preference. */
		kind = BARBUF_STORE_MOVDIR64B;
		while (kind > BARBUF_STORE_8X8 && !barbuf__store_available(kind))
			kind--;
		atomic_store_explicit(&known, kind, memory_order_relaxed);
	}
	return kind;
}

int barbuf_store64b(volatile void *dst, const void *src)
{
	int ret;

	barbuf_wmb();
	ret = barbuf__store64b_as(barbuf_store_kind(), dst, src);
	barbuf_wc_flush();
	return ret;
}
