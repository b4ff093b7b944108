// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the mappings of one client add to a revoke, and to a transition of the device. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Below vm.max_map_count, which is 65,530; so many processes make the rest. */
#define VMAS_OF_A_PROCESS 60000
#define NR_PROCESSES_MAX 8

/* A buffer of one page that is mapped and touched again and again. */
struct vmas {
	struct arena places;
	int fd;
	size_t nr_processes;
	pid_t processes[NR_PROCESSES_MAX];
};

static int vmas_fork(struct vmas *v)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		/* fork() has copied all of it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	v->processes[v->nr_processes++] = pid;
	return 0;
}

/* On error, too, vmas_free() is to be called. */
static int vmas_make(struct vmas *v, const struct bench *b, size_t nr)
{
	size_t here = nr > VMAS_OF_A_PROCESS ? VMAS_OF_A_PROCESS : nr, i;
	int ret;

	memset(v, 0, sizeof(*v));
	v->fd = export_range(&b->memory, 0, b->page);
	if (v->fd < 0)
		return v->fd;
	if (nr % here || nr / here > NR_PROCESSES_MAX)
		return -EINVAL;
	ret = arena_make(&v->places, here * b->page, 0);
	for (i = 0; i < here && !ret; i++) {
		/* The same page each time, so that no two are merged. */
		ret = map_at(v->places.at + i * b->page, b->page, v->fd, 0);
		if (!ret)
			touch(v->places.at + i * b->page);
	}
	while (!ret && (v->nr_processes + 1) * here < nr)
		ret = vmas_fork(v);
	return ret;
}

static void vmas_free(struct vmas *v)
{
	size_t i;

	for (i = 0; i < v->nr_processes; i++) {
		kill(v->processes[i], SIGKILL);
		waitpid(v->processes[i], NULL, 0);
	}
	arena_free(&v->places);
	if (v->fd >= 0)
		close(v->fd);
}

static int check_gone(const struct vmas *v, const struct bench *b)
{
	uint32_t word;

	return barbuf_read32(v->places.at, &word) == -EIO ? 0 : -EIO;
}

static int revoke_it(const struct vmas *v, const struct bench *b, uint64_t *took)
{
	uint64_t start = now_ns();
	int ret = barbuf_device_revoke(b->memory.dev, v->fd);

	*took = since(start);
	return ret ? ret : check_gone(v, b);
}

static int decode_off(const struct vmas *v, const struct bench *b, uint64_t *took)
{
	uint16_t command, off;
	uint64_t start;
	int ret, back;

	ret = barbuf_config_read(b->memory.dev, PCI_COMMAND, &command, sizeof(command));
	if (ret)
		return ret;
	off = command & ~PCI_COMMAND_MEMORY;
	start = now_ns();
	ret = barbuf_config_write(b->memory.dev, PCI_COMMAND, &off, sizeof(off));
	*took = since(start);
	if (!ret)
		ret = check_gone(v, b);
	back = barbuf_config_write(b->memory.dev, PCI_COMMAND, &command, sizeof(command));
	return ret ? ret : back;
}

typedef int call_fn(const struct vmas *v, const struct bench *b, uint64_t *took);

/* With this many; the best of three for a few, where an interrupt would show. */
static int call_with(const struct bench *b, size_t nr, call_fn *call, uint64_t *best)
{
	uint64_t took[3];
	size_t i, times = nr > 1000 ? 1 : ARRAY_SIZE(took);
	struct vmas v;
	int ret = 0;

	for (i = 0; i < times && !ret; i++) {
		ret = vmas_make(&v, b, nr);
		if (!ret)
			ret = call(&v, b, &took[i]);
		vmas_free(&v);
	}
	if (!ret)
		*best = smallest(took, times);
	return ret;
}

/* What each of @n adds to the call with one mapping. */
static int each_adds(const struct bench *b, size_t n, call_fn *call, struct figures *f)
{
	uint64_t one, all;
	int ret;

	ret = call_with(b, 1, call, &one);
	if (!ret)
		ret = call_with(b, n, call, &all);
	if (ret)
		return ret;
	if (all < one)
		return -EIO;
	f->of[TIME] = (all - one + n / 2) / n;
	return 0;
}

int revoke_per_vma(const struct bench *b, size_t n, struct figures *f)
{
	return each_adds(b, n, revoke_it, f);
}

int decode_per_vma(const struct bench *b, size_t n, struct figures *f)
{
	return each_adds(b, n, decode_off, f);
}
