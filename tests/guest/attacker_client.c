// SPDX-License-Identifier: GPL-2.0-only
/* The client's process: who it is, and the threads that try to get through. */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attacker.h"

#define NOBODY 65534

static __thread sigjmp_buf *volatile on_signal;

static void got_signal(int sig)
{
	if (!on_signal)
		_exit(128 + sig);
	siglongjmp(*on_signal, sig);
}

/* SIGSEGV too: a trick may take the page away for a moment. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = got_signal, .sa_flags = SA_NODEFER };

	CHECK(sigaction(SIGBUS, &sa, NULL) == 0);
	CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
}

int access_cpu(struct window *w, uint32_t value, uint32_t *stamp)
{
	volatile uint32_t *word = (volatile uint32_t *)w->p;
	sigjmp_buf here;
	int sig;

	sig = sigsetjmp(here, 0);
	if (!sig) {
		on_signal = &here;
		if (!w->read_only)
			word[0] = value;
		*stamp = word[1];
	}
	on_signal = NULL;
	return sig;
}

/* Windows -------------------------------------------------------------------*/

static enum phase phase_of(const struct client *c)
{
	return __atomic_load_n(&c->shared->phase, __ATOMIC_SEQ_CST);
}

bool client_is_over(const struct client *c)
{
	return phase_of(c) == OVER;
}

static void count_hit(struct window *w, uint32_t stamp, bool taken)
{
	uint64_t now = now_ns();

	if (w->last_hit_ns && now - w->last_hit_ns > w->longest_gap_ns)
		w->longest_gap_ns = now - w->last_hit_ns;
	w->last_hit_ns = now;
	if (stamp != STAMP(w->offset))
		w->wrong++;
	if (taken)
		w->late++;
	__atomic_store_n(&w->hits, w->hits + 1, __ATOMIC_RELEASE);
}

/* All of an access that counts as late lies between the call's return and the way back. */
static void try_window(struct window *w)
{
	enum phase before = phase_of(w->client), after;
	uint32_t stamp = STAMP(w->offset);
	int error;

	error = w->access(w, w->tries + 1, &stamp);
	after = phase_of(w->client);
	if (!error) {
		count_hit(w, stamp, before == TAKEN && after == TAKEN);
	} else {
		w->refusals++;
		w->last_error = error;
		if (before == LENT && after == LENT)
			w->failed_lent++;
	}
	if (before == TAKEN && after == TAKEN)
		__atomic_store_n(&w->tries_taken, w->tries_taken + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&w->tries, w->tries + 1, __ATOMIC_RELEASE);
}

static void *run_attack(void *arg)
{
	struct client *c = arg;
	pid_t self = getpid();
	unsigned int i;

	do {
		for (i = 0; i < c->shared->nr_windows; i++) {
			struct window *w = &c->shared->window[i];

			if (__atomic_load_n(&w->owner, __ATOMIC_ACQUIRE) == self &&
			    !c->shared->thread_each)
				try_window(w);
		}
	} while (!client_is_over(c) && !c->shared->thread_each);
	return NULL;
}

static void *run_window(void *arg)
{
	struct window *w = arg;

	while (!client_is_over(w->client))
		try_window(w);
	return NULL;
}

void client_attack(struct client *c)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run_attack, c) == 0);
}

/* A new thread here could have the processor forget what it knows of the other windows. */
struct window *window_add_with(struct client *c, const char *name, volatile char *p,
			       uint64_t offset, access_fn *access, void *state)
{
	unsigned int n = __atomic_fetch_add(&c->shared->nr_windows, 1, __ATOMIC_SEQ_CST);
	struct window *w = &c->shared->window[n];
	pthread_t thread;

	CHECK(n < MAX_WINDOWS);
	w->client = c;
	w->name = name;
	w->p = p;
	w->offset = offset;
	w->access = access;
	w->state = state;
	__atomic_store_n(&w->owner, getpid(), __ATOMIC_RELEASE);
	if (c->shared->thread_each)
		CHECK(pthread_create(&thread, NULL, run_window, w) == 0);
	return w;
}

struct window *window_add(struct client *c, const char *name, volatile char *p, uint64_t offset,
			  access_fn *access)
{
	return window_add_with(c, name, p, offset, access, NULL);
}

/* The client ----------------------------------------------------------------*/

void client_refused(struct client *c, const char *call)
{
	c->shared->refused_errno = errno;
	c->shared->refused_call = call;
}

void client_note(struct client *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->shared->text, sizeof(c->shared->text), fmt, ap);
	va_end(ap);
}

char *client_reserve(size_t size, size_t align, size_t skew)
{
	char *area = mmap(NULL, size + 2 * align, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(area != MAP_FAILED);
	return (char *)(((uintptr_t)area + align - 1) / align * align + skew);
}

void client_wait_over(const struct client *c)
{
	while (!client_is_over(c))
		usleep(500);
}

pid_t client_fork(struct client *c, void (*fn)(struct client *c))
{
	volatile int *ready = &c->shared->children_ready;
	int before = *ready;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid) {
		while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) == before)
			usleep(200);
		return pid;
	}
	client_attack(c);
	fn(c);
	__atomic_fetch_add(ready, 1, __ATOMIC_SEQ_CST);
	client_wait_over(c);
	_exit(0);
}

/* It has the socket and what came through it, and nothing else. */
static void check_descriptors(const struct client *c)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int fd;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		fd = atoi(entry->d_name);
		if (entry->d_name[0] == '.' || fd <= 2 || fd == c->sock || fd == dirfd(dir))
			continue;
		FAIL("the client has descriptor %d", fd);
	}
	closedir(dir);
}

static void become_nobody(struct client *c)
{
	char status[4096];

	OK(close_range(3, c->sock - 1, 0));
	OK(close_range(c->sock + 1, ~0u, 0));
	OK(setgroups(0, NULL));
	OK(setresgid(NOBODY, NOBODY, NOBODY));
	OK(setresuid(NOBODY, NOBODY, NOBODY));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	/* As after an exec, so that it may look into itself. */
	OK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	read_file("/proc/self/status", status, sizeof(status));
	CHECK(strstr(status, "CapEff:\t0000000000000000"));
	check_descriptors(c);
}

/* All of it is touched, so that there is something to take away. */
static void map_all(struct client *c)
{
	uint64_t i, step = c->lease->size > MIB(16) ? MIB(2) : PAGE;
	uint32_t stamp;

	c->size = c->lease->size;
	c->p = client_reserve(c->size, c->lease->align, c->lease->skew);
	CHECK(mmap((void *)c->p, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c->fd,
		   0) == c->p);
	for (i = 0; i < c->size; i += step) {
		struct window w = { .p = c->p + i, .read_only = true };

		CHECK(access_cpu(&w, 0, &stamp) == 0);
		CHECK_EQ(stamp, STAMP(i));
	}
}

/*
 * The primary has that to itself, so that another process does not make the client's
 * processor forget the pages that it knows.
 */
static void leave_first_processor(void)
{
	cpu_set_t others;

	memset(&others, 0xff, sizeof(others));
	CPU_CLR(0, &others);
	sched_setaffinity(0, sizeof(others), &others);
}

void client_run(struct shared_scene *shared, const struct lease *lease, const struct trick *trick,
		int sock)
{
	static struct client c;
	size_t len;
	char msg;

	c = (struct client){ .shared = shared, .lease = lease, .sock = sock };
	OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
	leave_first_processor();
	/* What counts is what it can hold, and not its share of the processors. */
	CHECK(nice(10) == 10);
	become_nobody(&c);
	CHECK(barbuf_message_recv(sock, &msg, 1, &len, &c.fd) == 0 && c.fd >= 0);
	catch_signals();
	map_all(&c);
	c.kept = window_add(&c, "kept page", c.p + lease->keep, lease->keep, access_cpu);
	c.first = window_add(&c, "first page", c.p, 0, access_cpu);
	client_attack(&c);
	while (!c.kept->hits || !c.first->hits)
		usleep(200);
	trick->play(&c);
	__atomic_store_n(&shared->phase, LENT, __ATOMIC_SEQ_CST);
	shared->ready = 1;
	if (trick->churn && !shared->refused_call)
		trick->churn(&c);
	client_wait_over(&c);
	/* The children that are its own; an orphan sees the end by itself. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}
