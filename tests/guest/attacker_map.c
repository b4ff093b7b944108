// SPDX-License-Identifier: GPL-2.0-only
/* Tricks with the mapping: it is moved, cut, protected, copied, mapped over and over. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attacker.h"

#define RW (PROT_READ | PROT_WRITE)

/* Newer than the headers that this may be built with. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define WP_UNPOPULATED (1ull << 13)
#define WP_ASYNC (1ull << 15)
#ifndef MPOL_BIND
#define MPOL_BIND 2
#endif
#define MPOL_MOVE 2

static char *cut_of(const struct client *c)
{
	return (char *)c->p + c->lease->cut;
}

static void add_cut(struct client *c, const char *name, volatile char *p)
{
	window_add(c, name, p, c->lease->cut, access_cpu);
}

/* Where a piece can go so that leaves of any size would still fit. */
static char *congruent(const struct client *c)
{
	return client_reserve(c->size, c->lease->align, c->lease->skew);
}

static bool move(struct client *c, char *from, size_t size, char *to)
{
	if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
		return true;
	client_refused(c, "mremap");
	return false;
}

void play_nothing(struct client *c)
{
	/* The pages that every client has. */
}

/* Moved -----------------------------------------------------------------------*/

/*
 * And not accessed where it is then: a leaf that mm throws away is in the processor
 * until that has a reason to forget it.
 */
void play_move_page(struct client *c)
{
	move(c, cut_of(c), PAGE, congruent(c) + c->lease->cut);
}

void play_use_moved_page(struct client *c)
{
	char *to = congruent(c) + c->lease->cut;

	if (move(c, cut_of(c), PAGE, to))
		add_cut(c, "moved page", to);
}

void play_move_half(struct client *c)
{
	uint64_t half = c->size / 2;
	char *to = congruent(c);

	if (!move(c, (char *)c->p + half, half, to + half))
		return;
	c->kept->gone = true;
	window_add(c, "moved half", to + c->lease->keep, c->lease->keep, access_cpu);
}

void play_move_all(struct client *c)
{
	char *to = congruent(c);

	if (!move(c, (char *)c->p, c->size, to))
		return;
	c->kept->gone = c->first->gone = true;
	window_add(c, "moved mapping", to + c->lease->keep, c->lease->keep, access_cpu);
}

void play_move_twice(struct client *c)
{
	char *to = congruent(c) + c->lease->cut;

	if (!move(c, cut_of(c), PAGE, to) || !move(c, to, PAGE, cut_of(c)))
		return;
	add_cut(c, "returned page", cut_of(c));
}

void play_dontunmap(struct client *c)
{
	char *to = congruent(c);

	if (mremap((char *)c->p, c->size, c->size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		   to) == MAP_FAILED)
		client_refused(c, "MREMAP_DONTUNMAP");
}

/* An old size of 0 asks for a second mapping of the same. */
void play_duplicate(struct client *c)
{
	if (mremap((char *)c->p, 0, c->size, MREMAP_MAYMOVE) == MAP_FAILED)
		client_refused(c, "mremap of size 0");
}

void play_grow(struct client *c)
{
	if (mremap((char *)c->p, c->size, c->size + PAGE, MREMAP_MAYMOVE) == MAP_FAILED)
		client_refused(c, "mremap to a larger size");
}

void play_shrink(struct client *c)
{
	if (mremap((char *)c->p, c->size, c->size - PAGE, 0) == MAP_FAILED)
		client_refused(c, "mremap to a smaller size");
}

/* Cut ---------------------------------------------------------------------------*/

void play_unmap_page(struct client *c)
{
	if (munmap(cut_of(c), PAGE))
		client_refused(c, "munmap");
}

void play_overlay_page(struct client *c)
{
	if (mmap(cut_of(c), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		client_refused(c, "mmap");
}

void play_protect_page(struct client *c)
{
	struct window *w;

	if (mprotect(cut_of(c), PAGE, PROT_READ))
		client_refused(c, "mprotect");
	w = window_add(c, "protected page", cut_of(c), c->lease->cut, access_cpu);
	w->read_only = w->may_fail = true;
}

void play_protect_and_back(struct client *c)
{
	if (mprotect((char *)c->p, c->size, PROT_NONE) || mprotect((char *)c->p, c->size, RW) ||
	    mprotect(cut_of(c), PAGE, PROT_NONE) || mprotect(cut_of(c), PAGE, RW))
		client_refused(c, "mprotect");
	add_cut(c, "cut page", cut_of(c));
}

void play_remap_file_pages(struct client *c)
{
	if (remap_file_pages(cut_of(c), PAGE, 0, c->lease->keep / PAGE, 0))
		return client_refused(c, "remap_file_pages");
	window_add(c, "remapped page", cut_of(c), c->lease->keep, access_cpu);
}

/* Mapped in other ways ------------------------------------------------------------*/

void play_map_often(struct client *c)
{
	uint64_t keep = c->lease->keep;
	char *p, *to = congruent(c);
	unsigned int i;

	for (i = 0; i < 8; i++) {
		p = map_buffer(c->fd, i % 2 ? keep : 0, PAGE);
		(void)*(volatile char *)p;
		if (i % 4 == 3)
			window_add(c, "small mapping", p, keep, access_cpu);
	}
	/* The whole once more, with leaves as large as those of the first. */
	CHECK(mmap(to, c->size, RW, MAP_SHARED | MAP_FIXED, c->fd, 0) == to);
	window_add(c, "second mapping", to + keep, keep, access_cpu);
}

void play_map_private(struct client *c)
{
	if (!try_map(c->fd, 0, c->size, RW, MAP_PRIVATE))
		client_refused(c, "mmap with MAP_PRIVATE");
}

/* Another way to the file of a mapping. */
void play_map_files(struct client *c)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)c->p,
		 (unsigned long)c->p + c->size);
	if (open(path, O_RDWR) < 0)
		client_refused(c, "open of /proc/PID/map_files");
}

/* Every advice there is and will be, to the page and to the whole. */
void play_madvise_page(struct client *c)
{
	char text[128] = "";
	int advice;

	for (advice = 0; advice < 128; advice++) {
		if (madvise(cut_of(c), PAGE, advice) == 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d", advice);
		/* What a guard region took away, the next advice gives back. */
		if (advice != 102)
			madvise((char *)c->p, c->size, advice);
	}
	if (!text[0])
		client_refused(c, "madvise");
	client_note(c, "madvise of the page accepts%s", text);
	add_cut(c, "cut page", cut_of(c));
}

void play_mlock(struct client *c)
{
	if (mlock(cut_of(c), PAGE) || mlock2(cut_of(c) + PAGE, PAGE, MLOCK_ONFAULT) ||
	    munlock(cut_of(c), PAGE))
		return client_refused(c, "mlock");
	add_cut(c, "locked page", cut_of(c));
}

/* Nobody can unmap it any more; who takes the buffer back does not unmap. */
void play_mseal(struct client *c)
{
	if (syscall(SYS_mseal, c->p, c->size, 0))
		return client_refused(c, "mseal");
	CHECK_ERRNO(munmap((char *)c->p, c->size), EPERM);
	add_cut(c, "sealed page", cut_of(c));
}

void play_migrate(struct client *c)
{
	unsigned long nodes = 1;
	void *page = cut_of(c);
	int node = 0, status = 0;

	if (syscall(SYS_mbind, page, PAGE, MPOL_BIND, &nodes, 8, MPOL_MOVE))
		return client_refused(c, "mbind");
	if (syscall(SYS_move_pages, 0, 1, &page, &node, &status, MPOL_MOVE))
		return client_refused(c, "move_pages");
	client_note(c, "move_pages says %s of the page", strerror_name(-status));
	add_cut(c, "cut page", cut_of(c));
}

/* userfaultfd, in the one mode that it has for memory of any kind. */
void play_write_protect(struct client *c)
{
	struct uffdio_api api = { .api = UFFD_API, .features = WP_ASYNC | WP_UNPOPULATED };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)c->p, .len = c->size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { .start = (uintptr_t)cut_of(c), .len = PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return client_refused(c, "userfaultfd");
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		return client_refused(c, "UFFDIO_REGISTER");
	if (ioctl(fd, UFFDIO_WRITEPROTECT, &protect))
		return client_refused(c, "UFFDIO_WRITEPROTECT");
	add_cut(c, "write-protected page", cut_of(c));
}

void play_execute(struct client *c)
{
	if (mprotect(cut_of(c), PAGE, PROT_READ | PROT_EXEC))
		client_refused(c, "mprotect with PROT_EXEC");
}

/* Copied ------------------------------------------------------------------------*/

static void child_of_fork(struct client *c)
{
	uint64_t keep = c->lease->keep;

	window_add(c, "child's copy", c->p + keep, keep, access_cpu);
	window_add(c, "child's own mapping", map_buffer(c->fd, keep, PAGE), keep, access_cpu);
}

void play_fork(struct client *c)
{
	client_fork(c, child_of_fork);
}

static void child_that_cuts(struct client *c)
{
	char *to = congruent(c) + c->lease->cut;

	if (move(c, cut_of(c), PAGE, to))
		add_cut(c, "page moved in the child", to);
	if (munmap(cut_of(c) + PAGE, PAGE))
		client_refused(c, "munmap in the child");
	window_add(c, "child's kept page", c->p + c->lease->keep, c->lease->keep, access_cpu);
}

void play_fork_and_cut(struct client *c)
{
	client_fork(c, child_that_cuts);
	add_cut(c, "parent's page", cut_of(c));
}

static void child_that_leaves(struct client *c)
{
	client_fork(c, child_of_fork);
}

/* Init's child from then on; none of its parents has the buffer. */
void play_orphan(struct client *c)
{
	pid_t pid = client_fork(c, child_that_leaves);

	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	c->kept->gone = c->first->gone = true;
	munmap((char *)c->p, c->size);
	close(c->fd);
}

void play_threads(struct client *c)
{
	cpu_set_t all;
	unsigned int i;

	memset(&all, 0xff, sizeof(all));

	/* On every processor. */
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
	for (i = 0; i < 8; i++)
		client_attack(c);
}

/* While the call runs -------------------------------------------------------------*/

void churn_move(struct client *c)
{
	char *to = congruent(c) + c->lease->cut;

	while (!client_is_over(c) && move(c, cut_of(c), PAGE, to) && move(c, to, PAGE, cut_of(c)))
		(void)0;
	CHECK(!c->shared->refused_call);
}

void churn_protect(struct client *c)
{
	unsigned int i;

	for (i = 0; i < c->shared->nr_windows; i++)
		c->shared->window[i].may_fail = true;
	while (!client_is_over(c)) {
		CHECK(mprotect(cut_of(c), PAGE, PROT_NONE) == 0);
		CHECK(mprotect((char *)c->p, c->size, PROT_READ) == 0);
		CHECK(mprotect((char *)c->p, c->size, RW) == 0);
		usleep(100);
	}
}

void churn_cut(struct client *c)
{
	while (!client_is_over(c)) {
		CHECK(munmap(cut_of(c), PAGE) == 0);
		mmap(cut_of(c), PAGE, RW, MAP_SHARED | MAP_FIXED, c->fd, c->lease->cut);
	}
}

void churn_fork(struct client *c)
{
	struct window w = { .p = c->p + c->lease->keep };
	uint32_t stamp;
	pid_t pid;

	while (!client_is_over(c)) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			access_cpu(&w, 0, &stamp);
			_exit(0);
		}
		CHECK(waitpid(pid, NULL, 0) == pid);
	}
}

void churn_map(struct client *c)
{
	struct window w = { 0 };
	char *to = congruent(c);
	uint32_t stamp;

	while (!client_is_over(c)) {
		if (mmap(to, c->size, RW, MAP_SHARED | MAP_FIXED, c->fd, 0) == MAP_FAILED) {
			usleep(100);
			continue;
		}
		w.p = to + c->lease->keep;
		access_cpu(&w, 0, &stamp);
		CHECK(munmap(to, c->size) == 0);
	}
}
