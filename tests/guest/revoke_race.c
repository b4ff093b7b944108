// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault that runs while its buffer is revoked has either put its page in
 * before the sweep or gets SIGBUS: after the revoke has returned, no access of
 * any thread succeeds.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define THREADS 8
#define PAGES	64

struct race {
	volatile int round;	/* odd: go, even: rest */
	volatile int revoked;	/* the last round whose revoke has returned */
	volatile int resting;
	volatile int quit;
	volatile int fd;
	volatile char *shared;	/* a mapping that all threads use */
	unsigned long hits, buses, late;
};

struct racer {
	struct race *race;
	pthread_t thread;
	unsigned int index;
};

/* One access; counts those that got through although the revoke had returned. */
static bool access_page(struct race *race, const volatile void *p, int round)
{
	bool after = __atomic_load_n(&race->revoked, __ATOMIC_ACQUIRE) >= round;
	bool through = touch(p) == 0;

	if (through)
		__atomic_fetch_add(&race->hits, 1, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(&race->buses, 1, __ATOMIC_RELAXED);
	if (through && after)
		__atomic_fetch_add(&race->late, 1, __ATOMIC_RELAXED);
	return through;
}

/* Maps anew each time, so that each access is a fault. */
static void *run_racer(void *arg)
{
	struct racer *r = arg;
	struct race *race = r->race;
	unsigned int page = r->index;
	int round, done = 0;	/* rounds taken part in, or slept through */
	bool after;

	while (!race->quit) {
		round = __atomic_load_n(&race->round, __ATOMIC_ACQUIRE);
		/* The odd number that is running, or that has just ended. */
		if (round % 2 == 0)
			round--;
		if (round < 0 || round == done) {
			sleep_ms(1);
			continue;
		}
		done = round;
		while (__atomic_load_n(&race->round, __ATOMIC_ACQUIRE) == done) {
			volatile char *p;

			page = (page + 7) % PAGES;
			after = __atomic_load_n(&race->revoked, __ATOMIC_ACQUIRE) >= done;
			p = try_map(race->fd, page * PAGE, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED);
			if (p) {
				if (after)
					__atomic_fetch_add(&race->late, 1, __ATOMIC_RELAXED);
				access_page(race, p, done);
				munmap((void *)p, PAGE);
			}
			access_page(race, race->shared + page * PAGE, done);
		}
		__atomic_fetch_add(&race->resting, 1, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

/* Without taking the CPU away from those it waits for. */
static void wait_for_more(const unsigned long *counter, unsigned long than)
{
	while (__atomic_load_n(counter, __ATOMIC_RELAXED) < than)
		usleep(100);
}

static void race(struct dev *dev, unsigned int bar, unsigned int rounds)
{
	uint64_t end = now_ns() + 4000000000ull;
	struct race race = { .fd = -1 };
	struct racer racers[THREADS];
	unsigned long before, after;
	unsigned int i, n;

	for (i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .race = &race, .index = i };
		CHECK(pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]) == 0);
	}
	for (n = 0; n < rounds && (n < 5 || now_ns() < end); n++) {
		race.fd = export_range(dev, bar, 0, PAGES * PAGE);
		race.shared = map_buffer(race.fd, 0, PAGES * PAGE);
		race.resting = 0;
		before = race.hits;
		__atomic_store_n(&race.round, 2 * n + 1, __ATOMIC_RELEASE);
		/* Right in the middle, at another place each time. */
		wait_for_more(&race.hits, before + 20 + n * 7 % 50);
		revoke_buffer(dev, race.fd);
		__atomic_store_n(&race.revoked, 2 * n + 1, __ATOMIC_RELEASE);
		for (i = 0; i < PAGES; i++)
			CHECK_SIGBUS(race.shared + i * PAGE);
		after = race.buses;
		wait_for_more(&race.buses, after + 50);
		__atomic_store_n(&race.round, 2 * n + 2, __ATOMIC_RELEASE);
		while (race.resting < THREADS)
			sleep_ms(1);
		unmap((void *)race.shared, PAGES * PAGE);
		close(race.fd);
		CHECK_MSG(!race.late, "%lu accesses got through in round %u", race.late, n);
	}
	race.quit = 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	note("%u revokes, %lu accesses before, %lu SIGBUS after", n, race.hits, race.buses);
}

static void eight_threads_faulting(void)
{
	race(dev_open("ivshmem"), 2, slow_kernel() ? 5 : 25);
}

/* The same race, with every fault a huge leaf of one gigantic buffer. */
struct huge {
	struct dev *dev;
	volatile char *p;
	volatile int stop, revoked;
	unsigned long hits, late;
};

static void *touch_huge(void *arg)
{
	struct huge *h = arg;
	uint64_t i;

	for (i = 0; !h->stop; i = (i + MIB(10)) % GIB(1)) {
		bool after = __atomic_load_n(&h->revoked, __ATOMIC_ACQUIRE);

		if (touch(h->p + i))
			continue;
		__atomic_fetch_add(&h->hits, 1, __ATOMIC_RELAXED);
		if (after)
			__atomic_fetch_add(&h->late, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void eight_threads_on_huge_leaves(void)
{
	struct huge h = { .dev = dev_open("ivshmem") };
	pthread_t threads[THREADS];
	unsigned int i, n;
	int fd;

	for (n = 0; n < 6; n++) {
		fd = export_range(h.dev, 2, 0, GIB(1));
		/* 2 MiB leaves in some rounds, one of 1 GiB in others. */
		h.p = map_aligned(fd, 0, GIB(1), GIB(1), n % 2 ? MIB(2) : 0);
		h.hits = h.stop = h.revoked = 0;
		for (i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, touch_huge, &h) == 0);
		wait_for_more(&h.hits, 30);
		revoke_buffer(h.dev, fd);
		__atomic_store_n(&h.revoked, 1, __ATOMIC_RELEASE);
		sleep_ms(10);
		h.stop = 1;
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(h.late, 0);
		close(fd);
	}
}

/* The first thread to say "revoke" wins; who is told so finds it done already. */
struct rivals {
	struct dev *dev;
	volatile char *p;
	int fd;
	volatile int go;
	int won, lost;
};

static void *revoke_once(void *arg)
{
	struct rivals *r = arg;
	int i;

	while (!r->go)
		;
	if (try_revoke(r->dev, r->fd) == 0)
		__atomic_fetch_add(&r->won, 1, __ATOMIC_RELAXED);
	else if (errno == EBADFD)
		__atomic_fetch_add(&r->lost, 1, __ATOMIC_RELAXED);
	for (i = 0; i < PAGES; i++)
		CHECK_SIGBUS(r->p + i * PAGE);
	return NULL;
}

static void eight_threads_revoking(void)
{
	struct rivals r = { .dev = dev_open("ivshmem") };
	pthread_t threads[THREADS];
	unsigned int i, n;

	for (n = 0; n < 20; n++) {
		r.won = r.lost = r.go = 0;
		r.fd = export_range(r.dev, 2, 0, PAGES * PAGE);
		r.p = map_buffer(r.fd, 0, PAGES * PAGE);
		walk_faults(r.p, PAGES * PAGE, PAGE);
		for (i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, revoke_once, &r) == 0);
		r.go = 1;
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(r.won, 1);
		CHECK_EQ(r.lost, THREADS - 1);
		unmap((void *)r.p, PAGES * PAGE);
		close(r.fd);
	}
}

/*
 * A buffer goes for other reasons at the moment it is revoked: its last fd is
 * closed, its last mapping unmapped, its device toggled. Nobody waits for
 * somebody who waits for him.
 */
struct release {
	struct dev *dev;
	int fd, copy;
	volatile void *p;
	volatile int turn, done;
	volatile int quit;
};

static void *release_each(void *arg)
{
	struct release *r = arg;
	int turn = 0;

	while (!r->quit) {
		if (__atomic_load_n(&r->turn, __ATOMIC_ACQUIRE) == turn) {
			sched_yield();
			continue;
		}
		turn = r->turn;
		close(r->copy);
		munmap((void *)r->p, PAGE);
		__atomic_store_n(&r->done, turn, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *toggle_on(void *arg)
{
	struct release *r = arg;

	while (!r->quit) {
		memory_decode(r->dev, false);
		memory_decode(r->dev, true);
		usleep(500);
	}
	return NULL;
}

static void release_while_revoked(void)
{
	struct release r = { .dev = dev_open("ivshmem") };
	uint64_t end = now_ns() + 2000000000ull;
	pthread_t releaser, toggler;
	int n;

	CHECK(pthread_create(&releaser, NULL, release_each, &r) == 0);
	CHECK(pthread_create(&toggler, NULL, toggle_on, &r) == 0);
	for (n = 1; n < 20 || now_ns() < end; n++) {
		r.fd = export_range(r.dev, 2, 0, PAGE);
		r.copy = OK(dup(r.fd));
		r.p = map_buffer(r.fd, 0, PAGE);
		touch(r.p);
		__atomic_store_n(&r.turn, n, __ATOMIC_RELEASE);
		if (n % 3)
			revoke_buffer(r.dev, r.fd);
		close(r.fd);
		while (__atomic_load_n(&r.done, __ATOMIC_ACQUIRE) != n)
			sched_yield();
	}
	r.quit = 1;
	pthread_join(releaser, NULL);
	pthread_join(toggler, NULL);
	note("%d buffers", n);
	dev_close(r.dev);
	CHECK(try_dev_open("ivshmem"));
}

static const struct test_case cases[] = {
	CASE_MMAP(eight_threads_faulting, .seconds = 30),
	CASE_MMAP(eight_threads_on_huge_leaves),
	CASE_MMAP(eight_threads_revoking),
	CASE_MMAP(release_while_revoked),
};

TEST_MAIN(cases)
