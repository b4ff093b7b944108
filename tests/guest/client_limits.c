// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that gets no memory, or no processor, in the middle of a fault delays
 * neither the revoke of its buffer nor a transition of the device, and nobody else.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"

#define NOBODY 65534
#define SIZE MIB(64)
#define ROUNDS 8
#define HOG_MS 400
/* Longer than wait_for() waits. */
#define HOLD_SECONDS 12

#define CGROUP CGROUPFS "/barbuf-client"

/* A page table is allocated, and what comes of it when the client's cgroup has no more. */
#define HOLD_ALLOCATION "pte_alloc_one"
#define HOLD_RECLAIM "try_to_free_mem_cgroup_pages"

/* Between the primary and its client. */
struct steps {
	volatile int ready, go, again, ended, round, quit;
	volatile int sig; /* that the first touches ended with, or 0 */
	volatile int hog_runs, hog_ended;
};

struct scene {
	struct dev *dev;
	int fd[ROUNDS];
	volatile char *bystander; /* another buffer of the device */
	struct steps *steps;
	pid_t client, hog;
};

static void become_nobody(void)
{
	OK(setresgid(NOBODY, NOBODY, NOBODY));
	OK(setresuid(NOBODY, NOBODY, NOBODY));
}

/* A page in each page table of a mapping that needs one for every 2 MiB. */
static int touch_all(volatile char *p)
{
	uint64_t i;

	for (i = 0; i < SIZE; i += MIB(2)) {
		if (touch(p + i))
			return SIGBUS;
	}
	return 0;
}

static struct scene open_scene(unsigned int nr)
{
	struct scene s = { .dev = dev_open("ivshmem") };
	unsigned int i;

	s.bystander = map_buffer(export_range(s.dev, 2, 0, PAGE), 0, PAGE);
	for (i = 0; i < nr; i++)
		s.fd[i] = export_range(s.dev, 2, 0, SIZE);
	s.steps = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK(s.steps);
	return s;
}

/* No memory -------------------------------------------------------------------*/

static int touching_client(void *arg)
{
	struct scene *s = arg;
	volatile char *p = map_aligned(s->fd[0], 0, SIZE, GIB(1), PAGE);

	close(s->dev->fd);
	become_nobody();
	s->steps->ready = 1;
	wait_for(&s->steps->go, "the primary");
	s->steps->sig = touch_all(p);
	s->steps->ended = 1;
	wait_for(&s->steps->again, "the primary");
	return touch_all(p);
}

static int take_back(void *arg)
{
	struct scene *s = arg;

	return try_revoke(s->dev, s->fd[0]);
}

static int decode_off(void *arg)
{
	struct scene *s = arg;

	memory_decode(s->dev, false);
	return 0;
}

/* The call returns while the client's fault waits for memory; then the fault fails. */
static void call_while_held(struct scene *s, int hold, int (*fn)(void *arg))
{
	pid_t held;
	struct call call;

	s->steps->go = 1;
	held = hold_wait(hold);
	CHECK_EQ(held, s->client);
	CHECK_ALIVE(s->bystander);
	call_begin(&call, fn, s);
	wait_for(&call.ended, "the primary's call");
	CHECK_EQ(call_end(&call), 0);
	CHECK_EQ(hold_held(hold), held);
	if (fn == take_back)
		CHECK_ALIVE(s->bystander);
}

static void end_client(struct scene *s, bool gone)
{
	int status;

	wait_for(&s->steps->ended, "the client");
	CHECK_EQ(s->steps->sig, SIGBUS);
	if (!gone)
		memory_decode(s->dev, true);
	s->steps->again = 1;
	status = wait_end(s->client, "the client");
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), gone ? SIGBUS : 0);
	CHECK_ALIVE(s->bystander);
}

/* The second page table of a fault: mm makes the first before it calls the driver. */
static int arm_allocation(struct scene *s)
{
	return hold_arm(HOLD_ALLOCATION, .tgid = s->client, .skip = 1, .seconds = HOLD_SECONDS);
}

static void held_in_allocation(int (*fn)(void *arg))
{
	struct scene s = open_scene(1);
	int hold;

	s.client = spawn(touching_client, &s);
	wait_for(&s.steps->ready, "the client");
	hold = arm_allocation(&s);
	call_while_held(&s, hold, fn);
	hold_release(hold);
	end_client(&s, fn == take_back);
}

static void revoke_while_a_page_table_is_made(void)
{
	held_in_allocation(take_back);
}

static void decode_off_while_a_page_table_is_made(void)
{
	held_in_allocation(decode_off);
}

static void limit_to(long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	CHECK(write_file(CGROUP "/memory.max", text));
}

static long memory_current(void)
{
	char text[32];

	return atol(read_file(CGROUP "/memory.current", text, sizeof(text)));
}

/*
 * There is not a page left. The first, a little lower, has the kernel give back what
 * this processor has charged in advance.
 */
static void limit_to_what_is_used(void)
{
	limit_to(memory_current() - PAGE);
	limit_to(memory_current());
}

static void at_the_limit(int (*fn)(void *arg))
{
	struct scene s = open_scene(1);
	int allocation, reclaim;

	run_on(0, 0);
	s.client = spawn(touching_client, &s);
	wait_for(&s.steps->ready, "the client");
	/* The client alone. */
	cgroup_make(CGROUP, "memory");
	cgroup_enter(CGROUP, s.client);
	allocation = arm_allocation(&s);
	s.steps->go = 1;
	hold_wait(allocation);
	limit_to_what_is_used();
	reclaim = hold_arm(HOLD_RECLAIM, .tgid = s.client, .seconds = HOLD_SECONDS);
	hold_release(allocation);
	call_while_held(&s, reclaim, fn);
	/* Or it would be killed now. */
	CHECK(write_file(CGROUP "/memory.max", "max"));
	hold_release(reclaim);
	end_client(&s, fn == take_back);
	CHECK(rmdir(CGROUP) == 0);
}

static void revoke_while_its_client_is_at_its_limit(void)
{
	at_the_limit(take_back);
}

static void decode_off_while_a_client_is_at_its_limit(void)
{
	at_the_limit(decode_off);
}

/* No processor ----------------------------------------------------------------*/

/* Faults for ever, with whatever the second processor has to spare. */
static int idle_client(void *arg)
{
	struct scene *s = arg;
	struct sched_param none = { 0 };
	volatile char *p;

	run_on(0, 1);
	OK(sched_setscheduler(0, SCHED_IDLE, &none));
	become_nobody();
	p = map_aligned(s->fd[0], 0, SIZE, GIB(1), PAGE);
	while (!s->steps->quit) {
		/* Fails from a revoke until the next round. */
		if (mmap((void *)p, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 s->fd[s->steps->round], 0) == p &&
		    !touch_all(p))
			s->steps->ready = 1;
	}
	return 0;
}

/* Takes that processor from it, at any instruction where the kernel lets it. */
static int run_hog(void *arg)
{
	struct scene *s = arg;
	struct sched_param first = { .sched_priority = 50 };
	uint64_t end;

	run_on(0, 1);
	OK(sched_setscheduler(0, SCHED_FIFO, &first));
	s->steps->hog_runs = 1;
	for (end = now_ns() + HOG_MS * 1000000ull; now_ns() < end;)
		;
	s->steps->hog_ended = 1;
	return 0;
}

static void while_starved(int (*fn)(void *arg))
{
	struct scene s = open_scene(ROUNDS);
	uint64_t start, longest = 0;
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("one processor");
	run_on(0, 0);
	s.client = spawn(idle_client, &s);
	for (i = 0; i < ROUNDS; i++) {
		s.steps->round = i;
		s.steps->ready = s.steps->hog_runs = s.steps->hog_ended = 0;
		wait_for(&s.steps->ready, "the client's faults");
		s.hog = spawn(run_hog, &s);
		wait_for(&s.steps->hog_runs, "the hog");
		start = now_ns();
		if (fn == take_back)
			CHECK(try_revoke(s.dev, s.fd[i]) == 0);
		else
			CHECK(fn(&s) == 0);
		if (now_ns() - start > longest)
			longest = now_ns() - start;
		CHECK_MSG(!s.steps->hog_ended,
			  "round %d: the call waited for a client that did not run", i);
		if (fn != take_back)
			memory_decode(s.dev, true);
		CHECK_ALIVE(s.bystander);
		join(s.hog);
	}
	note("the longest call took %llu us", (unsigned long long)longest / 1000);
	s.steps->quit = 1;
	join(s.client);
}

static void revoke_while_its_client_is_starved(void)
{
	while_starved(take_back);
}

static void decode_off_while_a_client_is_starved(void)
{
	while_starved(decode_off);
}

static const struct test_case cases[] = {
	CASE_MMAP(revoke_while_a_page_table_is_made),
	CASE_MMAP(decode_off_while_a_page_table_is_made),
	CASE_MMAP(revoke_while_its_client_is_at_its_limit),
	CASE_MMAP(decode_off_while_a_client_is_at_its_limit),
	CASE_MMAP(revoke_while_its_client_is_starved, .seconds = 30),
	CASE_MMAP(decode_off_while_a_client_is_starved, .seconds = 30),
};

TEST_MAIN(cases)
