// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taken back means taken back: whatever an unprivileged client does with the one
 * buffer that it was lent, no access of it gets through once a revoke, a memory
 * decode off or a close of the device has returned; none gets through a reset,
 * where it waits; and the call takes no longer than with a client that does
 * nothing but access its mapping.
 *
 * A new trick is a row of tricks[]. Each row is a case for each size of leaf and
 * each thing that the primary does: TRICK_LEAF_ACTION. (A reset has one size.)
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attacker.h"

/* A window has been tried often enough, after so many accesses and so long. */
#define TRIES 20
#define WATCH_MS 100
#define ATTEMPTS 3

#define TRICK(trick, ...)                                           \
	{                                                           \
		.name = #trick, .play = play_##trick, ##__VA_ARGS__ \
	}
#define WHILE(trick, fn, ...)                                                    \
	{                                                                        \
		.name = #trick, .play = play_nothing, .churn = fn, ##__VA_ARGS__ \
	}

static const struct trick tricks[] = {
	TRICK(nothing),
	TRICK(move_page),
	TRICK(use_moved_page),
	TRICK(move_half),
	TRICK(move_all),
	TRICK(move_twice),
	TRICK(dontunmap, .refused = EINVAL),
	TRICK(duplicate, .refused = EFAULT),
	TRICK(grow, .refused = EFAULT),
	TRICK(shrink),
	TRICK(unmap_page),
	TRICK(overlay_page),
	TRICK(protect_page),
	TRICK(protect_and_back),
	TRICK(remap_file_pages),
	TRICK(map_often, .one_leaf = true),
	TRICK(map_private, .refused = EINVAL),
	TRICK(map_files, .refused = EPERM),
	TRICK(madvise_page),
	TRICK(mlock, .one_leaf = true),
	TRICK(mseal),
	TRICK(migrate, .one_leaf = true),
	TRICK(write_protect, .refused = EINVAL),
	TRICK(execute, .refused = EACCES),
	TRICK(fork),
	TRICK(fork_and_cut),
	TRICK(orphan),
	TRICK(threads),
	WHILE(moving, churn_move),
	WHILE(protecting, churn_protect),
	WHILE(cutting, churn_cut),
	WHILE(forking, churn_fork, .one_leaf = true),
	WHILE(mapping, churn_map),
	TRICK(map_anew, .one_leaf = true),
	TRICK(pipe, .one_leaf = true),
	TRICK(io_uring, .one_leaf = true),
	TRICK(vmsplice, .calls_are_refused = true),
	TRICK(proc_mem, .calls_are_refused = true),
	TRICK(process_vm, .calls_are_refused = true),
	TRICK(ptrace, .calls_are_refused = true),
	TRICK(futex, .one_leaf = true),
	TRICK(fence, .prepare = prepare_fence, .one_leaf = true),
	TRICK(kvm, .prepare = prepare_kvm),
};

enum { LEAF_4K, LEAF_2M, LEAF_1G };

static const struct lease leases[] = {
	[LEAF_4K] = {
		.name = "4k", .size = 64 * PAGE, .align = MIB(2), .skew = PAGE,
		.bar_offset = MIB(8), .cut = 7 * PAGE, .keep = 40 * PAGE,
	},
	[LEAF_2M] = {
		.name = "2m", .size = MIB(8), .align = MIB(2),
		.bar_offset = MIB(8), .cut = MIB(4) + 77 * PAGE, .keep = MIB(5),
	},
	/*
	 * Congruent for a leaf of 1 GiB, whether or not the kernel makes one. The two pages
	 * differ in the low bits of their numbers, by which processors keep them apart.
	 */
	[LEAF_1G] = {
		.name = "1g", .size = GIB(1), .align = GIB(1),
		.cut = MIB(300) + 77 * PAGE, .keep = MIB(512) + 40 * PAGE,
	},
};

struct scene {
	struct dev *dev;
	const struct lease *lease;
	const struct trick *trick;
	const struct action *action;
	struct shared_scene *shared;
	volatile char *bar; /* the buffer's memory, as the primary has it */
	int fd;
	pid_t client;
	uint64_t took_ns;
};

struct action {
	const char *name, *model;
	void (*run)(struct scene *s);
};

/* How long each call took with a client that plays no trick; of this boot. */
static uint64_t (*yardstick)[4];

/* The client as the primary sees it -----------------------------------------*/

static void set_phase(struct scene *s, enum phase phase)
{
	__atomic_store_n(&s->shared->phase, phase, __ATOMIC_SEQ_CST);
}

static unsigned long count(const unsigned long *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void check_client(struct scene *s)
{
	int status;

	if (waitpid(s->client, &status, WNOHANG) == s->client)
		FAIL("the client ended with status 0x%x", status);
}

/* A call that this kernel refuses for such memory, whatever the buffer's state. */
static bool is_refused(const struct scene *s, const struct window *w)
{
	return s->trick->calls_are_refused && w->access != access_cpu && !w->hits;
}

static void wait_windows(struct scene *s, size_t counter, const unsigned long *more_than,
			 unsigned long by, const char *what)
{
	uint64_t end = timeout();
	unsigned int i;

	for (i = 0; i < s->shared->nr_windows; i++) {
		struct window *w = &s->shared->window[i];
		unsigned long *c = (void *)((char *)w + counter);

		if (counter == offsetof(struct window, hits) && w->gone)
			continue;
		if (counter == offsetof(struct window, hits) && s->trick->calls_are_refused &&
		    w->access != access_cpu)
			c = &w->tries;
		while (count(c) < (more_than ? more_than[i] : 0) + by) {
			check_client(s);
			if (now_ns() > end)
				FAIL("%s: %lu tries, %lu hits, %lu while taken, last error %d %s",
				     w->name, w->tries, w->hits, w->tries_taken, w->last_error,
				     what);
			usleep(200);
		}
	}
}

static void windows_work(struct scene *s, const char *when)
{
	unsigned long before[MAX_WINDOWS];
	unsigned int i;

	for (i = 0; i < s->shared->nr_windows; i++)
		before[i] = is_refused(s, &s->shared->window[i]) ? s->shared->window[i].tries :
								   s->shared->window[i].hits;
	wait_windows(s, offsetof(struct window, hits), before, 3, when);
}

static void notes(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < s->shared->nr_windows; i++) {
		struct window *w = &s->shared->window[i];

		if (is_refused(s, w))
			note("%s is refused: %s", w->name, strerror_name(-w->last_error));
	}
	if (s->shared->text[0])
		note("%s", s->shared->text);
}

/* Looking -------------------------------------------------------------------*/

static uint32_t memory_of(const struct scene *s, unsigned int window)
{
	return read32(s->bar + s->shared->window[window].offset);
}

/* No access gets through, neither to the client's eyes nor in the device's memory. */
static void nothing_gets_through(struct scene *s, bool look)
{
	uint32_t before[MAX_WINDOWS];
	unsigned int i, nr = s->shared->nr_windows;
	uint64_t start = now_ns();

	for (i = 0; look && i < nr; i++)
		before[i] = memory_of(s, i);
	wait_windows(s, offsetof(struct window, tries_taken), NULL, TRIES, "after the call");
	while (look && now_ns() - start < WATCH_MS * 1000000ull)
		sleep_ms(10);
	for (i = 0; i < nr; i++) {
		struct window *w = &s->shared->window[i];

		CHECK_MSG(!count(&w->late), "%s: %lu of %lu accesses got through after %s", w->name,
			  w->late, w->tries_taken, s->action->name);
		CHECK_MSG(!look || memory_of(s, i) == before[i],
			  "%s: memory went from %u to %u after %s", w->name, before[i],
			  memory_of(s, i), s->action->name);
	}
}

/* Every access that did get through, at any time, reached its own page. */
static void nothing_was_wrong(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < s->shared->nr_windows; i++) {
		struct window *w = &s->shared->window[i];

		CHECK_MSG(!w->wrong, "%s: %lu of %lu accesses read what is not of their page",
			  w->name, w->wrong, w->hits);
		CHECK_MSG(!w->failed_lent || w->may_fail || w->gone || is_refused(s, w),
			  "%s: %lu accesses failed with %d while the buffer was lent", w->name,
			  w->failed_lent, w->last_error);
	}
}

/* What the primary does -----------------------------------------------------*/

static void timed(struct scene *s, void (*call)(struct scene *s))
{
	uint64_t start = now_ns();

	call(s);
	s->took_ns = now_ns() - start;
}

static void do_revoke(struct scene *s)
{
	revoke_buffer(s->dev, s->fd);
}

static void revoked(struct scene *s)
{
	set_phase(s, TAKING);
	timed(s, do_revoke);
	set_phase(s, TAKEN);
	nothing_gets_through(s, true);
}

static void do_decode_off(struct scene *s)
{
	memory_decode(s->dev, false);
}

/* With decode off the memory is out of everybody's reach, and can't be looked at. */
static void decode_off(struct scene *s)
{
	set_phase(s, TAKING);
	timed(s, do_decode_off);
	set_phase(s, TAKEN);
	nothing_gets_through(s, false);
	set_phase(s, GIVEN_BACK);
	memory_decode(s->dev, true);
	windows_work(s, "with decode on again");
}

static void do_close(struct scene *s)
{
	dev_close(s->dev);
}

/* The next owner looks. */
static void closed(struct scene *s)
{
	unmap((void *)s->bar, s->lease->size);
	set_phase(s, TAKING);
	timed(s, do_close);
	set_phase(s, TAKEN);
	s->dev = dev_open(s->action->model);
	s->bar = map_bar(s->dev, 2, s->lease->bar_offset, s->lease->size);
	nothing_gets_through(s, true);
}

static void do_reset(struct scene *s)
{
	OK(try_reset(s->dev));
}

/*
 * The function-level reset waits 100 ms for the device. Who accesses it then waits
 * as long, and sees neither a signal nor a device that does not answer.
 */
static void was_reset(struct scene *s)
{
	unsigned long refusals[MAX_WINDOWS];
	unsigned int i;

	for (i = 0; i < s->shared->nr_windows; i++) {
		refusals[i] = s->shared->window[i].refusals;
		s->shared->window[i].longest_gap_ns = 0;
	}
	set_phase(s, TAKING);
	timed(s, do_reset);
	set_phase(s, GIVEN_BACK);
	windows_work(s, "after the reset");
	for (i = 0; i < s->shared->nr_windows; i++) {
		struct window *w = &s->shared->window[i];

		if (w->gone || is_refused(s, w))
			continue;
		CHECK_MSG(w->longest_gap_ns > 80000000, "%s: never waited longer than %llu us",
			  w->name, (unsigned long long)w->longest_gap_ns / 1000);
		CHECK_MSG(w->refusals == refusals[i] || w->may_fail || w->cannot_wait,
			  "%s: failed with %d", w->name, w->last_error);
	}
}

static const struct action actions[] = {
	{ "revoke", "ivshmem", revoked },
	{ "decode_off", "ivshmem", decode_off },
	{ "close", "ivshmem", closed },
	/* The only device of the lab with memory and a reset; it has 16 MiB. */
	{ "reset", "nvme", was_reset },
};

/* Scenes --------------------------------------------------------------------*/

/* Those pages of it that clients touch. */
static void stamp(const struct scene *s)
{
	const struct lease *l = s->lease;
	uint64_t i, step = l->size > MIB(16) ? MIB(2) : PAGE;

	for (i = 0; i < l->size; i += step)
		write32(s->bar + i + 4, STAMP(i));
	write32(s->bar + l->cut + 4, STAMP(l->cut));
	write32(s->bar + l->keep + 4, STAMP(l->keep));
}

static struct shared_scene *share_scene(void)
{
	void *p = try_map(-1, 0, sizeof(struct shared_scene), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS);

	CHECK(p);
	return p;
}

/* The client begins before there is a device that it could inherit. */
static void lend_to_client(struct scene *s)
{
	int pair[2];

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	s->shared = share_scene();
	s->shared->thread_each = s->action->run == was_reset;
	s->client = fork();
	CHECK(s->client >= 0);
	if (s->client == 0)
		client_run(s->shared, s->lease, s->trick, pair[1]);
	close(pair[1]);
	s->dev = dev_open(s->action->model);
	s->bar = map_bar(s->dev, 2, s->lease->bar_offset, s->lease->size);
	stamp(s);
	s->fd = export_range(s->dev, 2, s->lease->bar_offset, s->lease->size);
	CHECK(barbuf_message_send(pair[0], "f", 1, s->fd) == 0);
	close(pair[0]);
}

static void stay_on_first_processor(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK(sched_setaffinity(0, sizeof(first), &first) == 0);
}

static void wait_ready(struct scene *s)
{
	uint64_t end = timeout();

	while (!s->shared->ready) {
		check_client(s);
		CHECK_MSG(now_ns() < end, "the client does not get to play its trick");
		usleep(500);
	}
}

static void end_client(struct scene *s)
{
	int status;

	set_phase(s, OVER);
	status = wait_end(s->client, "the client");
	CHECK_MSG(status == 0, "the client ended with status 0x%x", status);
}

/* Says that the trick is impossible; else returns. */
static void check_refused(struct scene *s)
{
	const char *call = s->shared->refused_call;
	int error = s->shared->refused_errno;

	if (!call) {
		CHECK_MSG(!s->trick->refused, "%s is not refused: its row has to say so",
			  s->trick->name);
		return;
	}
	end_client(s);
	if (!s->trick->refused)
		SKIP("this kernel refuses %s: %s", call, strerror_name(error));
	CHECK_MSG(error == s->trick->refused, "%s: %s", call, strerror_name(error));
	note("%s is refused: %s", call, strerror_name(error));
	_exit(0);
}

static uint64_t play_scene(const struct trick *trick, const struct lease *lease,
			   const struct action *action)
{
	struct scene s = { .trick = trick, .lease = lease, .action = action };

	lend_to_client(&s);
	stay_on_first_processor();
	wait_ready(&s);
	check_refused(&s);
	windows_work(&s, "before the call");
	action->run(&s);
	nothing_was_wrong(&s);
	notes(&s);
	end_client(&s);
	unmap((void *)s.bar, lease->size);
	dev_close(s.dev);
	close(s.fd);
	return s.took_ns;
}

struct attack {
	const struct trick *trick;
	const struct lease *lease;
	const struct action *action;
};

static uint64_t plain_time(const struct attack *a)
{
	uint64_t *plain = &yardstick[a->lease - leases][a->action - actions];

	if (!*plain)
		*plain = play_scene(&tricks[0], a->lease, a->action);
	return *plain;
}

/*
 * At most four times as long as with a client that plays no trick, and half a second
 * for two processors that share one of the host's. A busy host may be late, but not
 * each time.
 */
static void attack(const void *arg)
{
	const struct attack *a = arg;
	uint64_t took = 0, plain;
	int i;

	if (a->trick->prepare)
		a->trick->prepare();
	for (i = 0; i < ATTEMPTS; i++) {
		took = play_scene(a->trick, a->lease, a->action);
		plain = plain_time(a);
		if (took <= 4 * plain + 500000000)
			return;
	}
	FAIL("%s took %llu us, %llu us with a client that plays no trick", a->action->name,
	     (unsigned long long)took / 1000, (unsigned long long)plain / 1000);
}

/* Not where one case says what another says already; and where that takes minutes, fewer. */
static bool is_case(const struct attack *a)
{
	bool refused = a->trick->refused || a->trick->calls_are_refused;

	/* The device that can be reset has no room for more. */
	if ((a->trick->one_leaf || refused || a->action->run == was_reset) &&
	    a->lease != &leases[LEAF_2M])
		return false;
	if (slow_kernel() && a->lease == &leases[LEAF_4K])
		return false;
	return !refused || a->action->run == revoked;
}

static struct test_case *all_cases(size_t *nr)
{
	size_t most = ARRAY_SIZE(tricks) * ARRAY_SIZE(leases) * ARRAY_SIZE(actions), i;
	struct test_case *cases = calloc(most, sizeof(*cases));
	struct attack *attacks = calloc(most, sizeof(*attacks));

	if (!cases || !attacks)
		return NULL;
	for (i = 0, *nr = 0; i < most; i++) {
		struct attack *a = &attacks[i];
		char *name;

		*a = (struct attack){
			&tricks[i / ARRAY_SIZE(actions) / ARRAY_SIZE(leases)],
			&leases[i / ARRAY_SIZE(actions) % ARRAY_SIZE(leases)],
			&actions[i % ARRAY_SIZE(actions)],
		};
		if (!is_case(a))
			continue;
		if (asprintf(&name, "%s_%s_%s", a->trick->name, a->lease->name, a->action->name) <
		    0)
			return NULL;
		cases[(*nr)++] = (struct test_case){
			.name = name,
			.run_with = attack,
			.arg = a,
			.need = NEED_MMAP,
		};
	}
	return cases;
}

int main(int argc, char **argv)
{
	struct test_case *cases;
	size_t nr;

	yardstick = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	cases = all_cases(&nr);
	if (!yardstick || !cases)
		return EXIT_FAILURE;
	return harness_main(argc, argv, cases, nr);
}
