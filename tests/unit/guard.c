// SPDX-License-Identifier: LGPL-2.1-or-later
/* The guarded accesses: each width, many threads, signal handlers. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

#include <barbuf.h>

#include "pages.h"
#include "tap.h"

static volatile char *good, *bad;

#define WIDTH(bits, value)                                                                        \
	static void width##bits(void)                                                             \
	{                                                                                         \
		uint##bits##_t v[3] = { 7, 7, 7 };                                                \
                                                                                                  \
		memset((void *)good, 0xee, 16);                                                   \
		CHECK(barbuf_write##bits(good, value) == 0, "a write of " #bits " bits");         \
		CHECK((uint8_t)good[bits / 8] == 0xee, "has no byte too many");                   \
		CHECK(barbuf_read##bits(good, &v[1]) == 0 && v[1] == (value), "is read back");    \
		CHECK(v[0] == 7 && v[2] == 7, "to where it was asked for, and no further");       \
		v[1] = 7;                                                                         \
		CHECK(barbuf_read##bits(bad, &v[1]) == -EIO && v[1] == 7, "SIGBUS fails a read"); \
		CHECK(barbuf_write##bits(bad, value) == -EIO, "and a write");                     \
		CHECK(barbuf_read##bits(good, &v[1]) == 0 && v[1] == (value),                     \
		      "and the next access is as before");                                        \
	}

WIDTH(8, 0xa5)
WIDTH(16, 0xa55a)
WIDTH(32, 0xa55aa55a)
WIDTH(64, 0xa55aa55aa55aa55a)

#define ROUNDS 20000

static void *hammer(void *arg)
{
	uintptr_t wrong = 0;
	uint64_t v;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		wrong += barbuf_read64(bad, &v) != -EIO;
		wrong += barbuf_read64(good, &v) != 0;
	}
	return (void *)wrong;
}

static void threads(void)
{
	pthread_t t[4];
	uintptr_t sum = 0;
	void *wrong;
	int i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, hammer, NULL))
			break;
	REQUIRE(i == 4, "four threads start");
	while (i--) {
		pthread_join(t[i], &wrong);
		sum += (uintptr_t)wrong;
	}
	CHECK(sum == 0, "in four threads at once, %ju of %d accesses wrong", (uintmax_t)sum,
	      8 * ROUNDS);
}

static atomic_uint nested, nested_wrong;

static void access_in_handler(int sig)
{
	uint32_t v = 5;

	nested++;
	if (barbuf_read32(bad, &v) != -EIO || v != 5 || barbuf_write32(bad, 1) != -EIO ||
	    barbuf_read32(good, &v))
		nested_wrong++;
}

static void in_signal_handlers(void)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } }, off = { 0 };
	uintptr_t wrong = 0;
	int i;

	signal(SIGALRM, access_in_handler);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 1000 && nested < 100; i++)
		wrong += (uintptr_t)hammer(NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	signal(SIGALRM, SIG_DFL);
	CHECK(nested >= 100 && !nested_wrong, "of %u handlers of another signal %u went wrong",
	      nested, nested_wrong);
	CHECK(!wrong, "and none of the accesses that they interrupted");
}

static void mask_untouched(void)
{
	sigset_t now;
	uint8_t v;

	barbuf_read8(bad, &v);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(!sigismember(&now, SIGBUS), "SIGBUS is not left blocked");
}

/* Neither outcome of a guarded access may leave a guard up. */
static int bare_access_after_success(void)
{
	uint8_t v;

	if (barbuf_guard_install() || barbuf_read8(good, &v))
		return 1;
	return *bad;
}

static int bare_access_after_failure(void)
{
	uint8_t v;

	if (barbuf_guard_install() || barbuf_read8(bad, &v) != -EIO)
		return 1;
	return *bad;
}

static int guarded_access_without_handler(void)
{
	uint8_t v;

	return barbuf_read8(bad, &v);
}

static int guarded_access_with_sigbus_blocked(void)
{
	sigset_t set;
	uint8_t v;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	if (barbuf_guard_install() || pthread_sigmask(SIG_BLOCK, &set, NULL))
		return 1;
	return barbuf_read8(bad, &v);
}

static void deaths(void)
{
	CHECK(KILLED_BY(in_child(bare_access_after_success), SIGBUS),
	      "after a guarded access that succeeded a SIGBUS kills");
	CHECK(KILLED_BY(in_child(bare_access_after_failure), SIGBUS), "and after one that failed");
	CHECK(KILLED_BY(in_child(guarded_access_without_handler), SIGBUS),
	      "without the handler the accesses are plain ones");
	if (USER_EMULATION)
		tap_skip("with SIGBUS blocked a fault kills", "in user emulation it hangs");
	else
		CHECK(KILLED_BY(in_child(guarded_access_with_sigbus_blocked), SIGBUS),
		      "with SIGBUS blocked a fault kills");
}

int main(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	good = pages_map(1, 1);
	if (CHECK(good, "a page and one past the end")) {
		bad = good + page;
		deaths();
		if (CHECK(barbuf_guard_install() == 0, "the handler")) {
			width8();
			width16();
			width32();
			width64();
			threads();
			in_signal_handlers();
			mask_untouched();
		}
	}
	return tap_done();
}
