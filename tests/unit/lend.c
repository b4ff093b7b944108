// SPDX-License-Identifier: LGPL-2.1-or-later
/* The demo's arithmetic, and that it would notice a device that computes wrong. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include <barbuf.h>

#include "lend.h"
#include "tap.h"

static void cpu_factorials(void)
{
	static const uint32_t known[] = { 1,	1,     2,      6,	24,	  120,	    720,
					  5040, 40320, 362880, 3628800, 39916800, 479001600 };
	unsigned int wrong = 0;
	uint32_t n;

	for (n = 0; n < 13; n++)
		wrong += factorial(n) != known[n];
	CHECK(!wrong, "0! to 12! are right, %u wrong", wrong);
	CHECK(factorial(13) == 1932053504, "13! modulo 2^32 is %u", factorial(13));
	CHECK(factorial(34) == 0, "34! has 32 factors of two");
}

/* An edu of its own: computes while the status bit is set. */
static struct {
	_Atomic uint32_t regs[16];
	atomic_bool stop;
} edu;

static void *edu_thread(void *arg)
{
	uint32_t seen = 0;

	/* No write can be seen here, so a changed value is one. */
	while (!edu.stop) {
		uint32_t n = edu.regs[EDU_FACTORIAL / 4];

		if (n == seen)
			continue;
		edu.regs[EDU_FACTORIAL / 4] = seen = factorial(n);
		edu.regs[EDU_STATUS / 4] = 0;
	}
	return NULL;
}

static void waits_for_device(void)
{
	uint32_t result = 0;
	pthread_t thread;
	int ret;

	/* Busy until the thread has an answer. */
	edu.regs[EDU_STATUS / 4] = EDU_STATUS_COMPUTING | 0x80;
	REQUIRE(!pthread_create(&thread, NULL, edu_thread, NULL), "a device starts");
	ret = edu_factorial((void *)edu.regs, 10, &result);
	edu.stop = true;
	pthread_join(thread, NULL);
	CHECK(!ret && result == 3628800, "waits until the device is done: 10! is %u", result);
}

static void notices_wrong(void)
{
	uint32_t regs[16] = { 0 };
	uint32_t result = 0;

	CHECK(!edu_factorial(regs, 5, &result) && result != factorial(5),
	      "a device that returns its operand (%u) is not taken for right", result);
}

static void notices_sigbus(void)
{
	int fd = memfd_create("edu", MFD_CLOEXEC);
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t result;

	REQUIRE(map != MAP_FAILED, "a page that raises SIGBUS");
	CHECK(edu_factorial(map, 5, &result) == -EIO, "a revoked frame is an error");
}

static void patterns(void)
{
	unsigned int same = 0;
	uint64_t pos;

	for (pos = 8; pos < 1 << 20; pos += 8) {
		same += pattern(1, pos) == pattern(1, pos - 8);
		same += pattern(1, pos) == pattern(2, pos);
		/* a page in the place of another */
		same += pattern(1, pos) == pattern(1, pos + 4096);
	}
	CHECK(!same, "words differ by position and by seed, %u do not", same);
	CHECK(pattern(3, 4096) == pattern(3, 4096), "and are the same each time");
}

static void identification(void)
{
	CHECK(edu_id_ok(0x010000ed), "edu is known by its identification");
	CHECK(!edu_id_ok(0) && !edu_id_ok(0xffffffff), "nothing is not");
}

int main(void)
{
	CHECK(!barbuf_guard_install(), "the handler of SIGBUS");
	cpu_factorials();
	waits_for_device();
	notices_wrong();
	notices_sigbus();
	patterns();
	identification();
	return tap_done();
}
