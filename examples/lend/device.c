// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sched.h>
#include <time.h>

#include <barbuf.h>

#include "lend.h"

/* Far more than an emulator needs for a loop of multiplications. */
#define EDU_TIMEOUT_S 10

int edu_factorial(volatile void *regs, uint32_t n, uint32_t *result)
{
	volatile char *base = regs;
	struct timespec start, now;
	uint32_t status;
	int ret;

	ret = barbuf_write32(base + EDU_FACTORIAL, n);
	if (ret)
		return ret;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		ret = barbuf_read32(base + EDU_STATUS, &status);
		if (ret)
			return ret;
		if (!(status & EDU_STATUS_COMPUTING))
			return barbuf_read32(base + EDU_FACTORIAL, result);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > EDU_TIMEOUT_S)
			return -ETIMEDOUT;
		sched_yield();
	}
}

uint32_t factorial(uint32_t n)
{
	uint32_t product = 1;

	for (; n > 1; n--)
		product *= n;
	return product;
}

uint64_t pattern(uint64_t seed, uint64_t pos)
{
	/* Steele, Lea and Flood's SplitMix64: each position and seed its own value. */
	uint64_t z = seed * 0xd1342543de82ef95 + pos * 0x9e3779b97f4a7c15 + 1;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}
