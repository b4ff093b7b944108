// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "bench.h"

int arena_make(struct arena *a, size_t size, size_t skew)
{
	a->reserved_size = size + skew + GIB;
	a->reserved = mmap(NULL, a->reserved_size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->reserved == MAP_FAILED) {
		a->reserved = NULL;
		return -errno;
	}
	a->at = (char *)(((uintptr_t)a->reserved + GIB - 1) & ~(GIB - 1)) + skew;
	return 0;
}

int arena_clear(char *at, size_t size)
{
	void *p = mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		       -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

void arena_free(struct arena *a)
{
	if (a->reserved)
		munmap(a->reserved, a->reserved_size);
	a->reserved = NULL;
}

int map_at(char *at, size_t size, int fd, uint64_t offset)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);

	return p == MAP_FAILED ? -errno : 0;
}

static uint64_t faults_of(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

uint64_t faults_taken(void)
{
	return faults_of(RUSAGE_SELF);
}

uint64_t faults_taken_by_thread(void)
{
	return faults_of(RUSAGE_THREAD);
}
