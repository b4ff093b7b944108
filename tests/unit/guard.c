// SPDX-License-Identifier: LGPL-2.1-or-later
/* A page past the end of a file raises SIGBUS, as a revoked buffer does. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "tap.h"

static volatile char *good, *bad;

static bool make_pages(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("guard", MFD_CLOEXEC);
	char *map;

	if (fd < 0 || ftruncate(fd, page))
		return false;
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	good = map;
	bad = map + page;
	return map != MAP_FAILED;
}

#define WIDTH(bits, value)                                                                  \
	static void width##bits(void)                                                       \
	{                                                                                   \
		uint##bits##_t v = 0;                                                       \
                                                                                            \
		memset((void *)good, 0xee, 16);                                             \
		CHECK(barbuf_write##bits(good, value) == 0, "a write of " #bits " bits");   \
		CHECK((uint8_t)good[bits / 8] == 0xee, "has no byte too many");             \
		CHECK(barbuf_read##bits(good, &v) == 0 && v == (value), "is read back");    \
		v = 7;                                                                      \
		CHECK(barbuf_read##bits(bad, &v) == -EIO && v == 7, "SIGBUS fails a read"); \
		CHECK(barbuf_write##bits(bad, value) == -EIO, "and a write");               \
		CHECK(barbuf_read##bits(good, &v) == 0 && v == (value),                     \
		      "and the next access is as before");                                  \
	}

WIDTH(8, 0xa5)
WIDTH(16, 0xa55a)
WIDTH(32, 0xa55aa55a)
WIDTH(64, 0xa55aa55aa55aa55a)

static void *hammer(void *arg)
{
	uintptr_t wrong = 0;
	uint64_t v;
	int i;

	for (i = 0; i < 20000; i++) {
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
	CHECK(sum == 0, "in four threads at once, %ju of 160000 accesses wrong", (uintmax_t)sum);
}

static void mask_untouched(void)
{
	sigset_t now;
	uint8_t v;

	barbuf_read8(bad, &v);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(!sigismember(&now, SIGBUS), "SIGBUS is not left blocked");
}

/* With a handler that came back for ever this would hang, hence the alarm. */
static void unguarded_after(const char *what, const volatile char *last)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		uint8_t v;

		barbuf_read8(last, &v);
		alarm(20);
		(void)*bad;
		_exit(0);
	}
	REQUIRE(pid > 0, "fork");
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS,
	      "after a guarded access that %s, a SIGBUS kills", what);
}

int main(void)
{
	if (CHECK(make_pages(), "a page and one past the end") &&
	    CHECK(barbuf_guard_install() == 0, "the handler")) {
		width8();
		width16();
		width32();
		width64();
		threads();
		mask_untouched();
		/* Neither outcome may leave the guard up. */
		unguarded_after("succeeded", good);
		unguarded_after("failed", bad);
	}
	return tap_done();
}
