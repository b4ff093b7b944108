// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that may have to wait for each other. Two take faults, on mappings that
 * are all there before they start, so that nothing but the faults can make them
 * wait; a third takes something away meanwhile. A wait is a voluntary context
 * switch of one of the two.
 *
 * All go in step: the two are let loose on their next few faults at the moment
 * when the third begins. An emulator with one thread for all processors would
 * otherwise run one of them to its end before another begins.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <barbuf.h>

#include "bench.h"

#define NR_FAULTERS 2
#define FAULTS_EACH 16384
#define NR_VICTIMS 1024
#define NR_RESETS 8

struct smp {
	const struct bench *b;
	const struct target *target; /* whose BAR the faults are on */
	struct arena places[NR_FAULTERS]; /* a mapping a page, which no fault maps around */
	int fds[NR_FAULTERS]; /* of buffers; -1: through the device fd */
	atomic_uint ready;
	atomic_size_t allowed; /* faults that each may take by now */
	atomic_size_t progress; /* faults taken by both */
};

struct faulter {
	struct smp *s;
	size_t number;
	pthread_t thread;
	uint64_t faults;
	uint64_t waits;
};

/* Spinning, as sleep would be a wait. An emulator goes on with another processor. */
static void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

static uint64_t waits_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void *fault_on(void *arg)
{
	struct faulter *f = arg;
	struct smp *s = f->s;
	const char *at = s->places[f->number].at;
	uint64_t faults, waits;
	size_t i;

	/* Once for nothing, so that what this needs itself is there. */
	faults = faults_taken_by_thread();
	waits = waits_so_far();
	atomic_fetch_add(&s->ready, 1);
	while (!atomic_load(&s->allowed))
		relax();
	faults = faults_taken_by_thread();
	waits = waits_so_far();
	for (i = 0; i < FAULTS_EACH; i++) {
		while (i >= atomic_load_explicit(&s->allowed, memory_order_relaxed))
			relax();
		touch(at + i * s->b->page);
		atomic_fetch_add_explicit(&s->progress, 1, memory_order_relaxed);
	}
	f->waits = waits_so_far() - waits;
	f->faults = faults_taken_by_thread() - faults;
	return NULL;
}

static void smp_free(struct smp *s)
{
	size_t i;

	for (i = 0; i < NR_FAULTERS; i++) {
		arena_free(&s->places[i]);
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	}
}

/* On error, too, smp_free() is to be called. */
static int smp_make(struct smp *s, const struct bench *b, const struct target *t, size_t buffers)
{
	size_t pages = t->bar.size / b->page;
	size_t i, page;
	int ret;

	*s = (struct smp){ .b = b, .target = t, .fds = { -1, -1 } };
	if (buffers > NR_FAULTERS)
		return -EINVAL;
	for (i = 0; i < buffers; i++) {
		s->fds[i] = export_range(t, 0, t->bar.size);
		if (s->fds[i] < 0)
			return s->fds[i];
	}
	for (i = 0; i < NR_FAULTERS; i++) {
		int fd = buffers ? s->fds[i % buffers] : barbuf_device_fd(t->dev);
		uint64_t offset = buffers ? 0 : t->bar.offset;

		ret = arena_make(&s->places[i], FAULTS_EACH * b->page, b->page);
		/* Every other page of the BAR, so that neighbours are not merged into one. */
		for (page = 0; page < FAULTS_EACH && !ret; page++)
			ret = map_at(s->places[i].at + page * b->page, b->page, fd,
				     offset + 2 * page % pages * b->page);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Call @act @nr times, evenly spread over the faults that the two take, and count
 * the waits. The third must have come upon the two, or the figure says nothing:
 * a fault was taken during a call, or waited for its end.
 */
static int smp_run(struct smp *s, int (*act)(void *ctx, size_t i), void *ctx, size_t nr,
		   struct figures *f)
{
	struct faulter faulters[NR_FAULTERS];
	size_t share = FAULTS_EACH / nr;
	size_t started = 0;
	size_t met = 0;
	int ret = 0;
	size_t i;

	for (i = 0; i < NR_FAULTERS && !ret; i++) {
		faulters[i] = (struct faulter){ .s = s, .number = i };
		ret = -pthread_create(&faulters[i].thread, NULL, fault_on, &faulters[i]);
		if (!ret)
			started++;
	}
	while (!ret && atomic_load(&s->ready) < NR_FAULTERS)
		relax();
	for (i = 0; i < nr && !ret; i++) {
		size_t before = NR_FAULTERS * i * share;

		while (atomic_load(&s->progress) < before)
			relax();
		atomic_store(&s->allowed, (i + 1) * share);
		ret = act(ctx, i);
		if (atomic_load(&s->progress) != before)
			met++;
	}
	/* Whatever became of it, the two have to come to their end. */
	atomic_store(&s->allowed, FAULTS_EACH);
	for (i = 0; i < started; i++)
		pthread_join(faulters[i].thread, NULL);
	f->of[WAITS] = 0;
	for (i = 0; i < NR_FAULTERS && !ret; i++) {
		if (faulters[i].faults < FAULTS_EACH)
			ret = -EIO;
		f->of[WAITS] += faulters[i].waits;
	}
	if (!ret && !met && !f->of[WAITS])
		ret = -EAGAIN;
	return ret;
}

static int revoke_victim(void *ctx, size_t i)
{
	const struct many *m = ctx;

	return barbuf_device_revoke(m->target->dev, m->fds[i]);
}

int smp_revoke_others(const struct bench *b, size_t n, struct figures *f)
{
	struct many victims = { 0 };
	uint32_t word;
	struct smp s;
	size_t i;
	int ret;

	ret = smp_make(&s, b, &b->memory, n);
	if (!ret)
		ret = many_make(&victims, b, &b->memory, NR_VICTIMS);
	if (!ret)
		ret = smp_run(&s, revoke_victim, &victims, NR_VICTIMS, f);
	for (i = 0; i < NR_VICTIMS && !ret; i++)
		if (barbuf_read32(victims.maps[i], &word) != -EIO)
			ret = -EIO;
	many_free(&victims);
	smp_free(&s);
	return ret;
}

static int reset_device(void *ctx, size_t i)
{
	const struct target *t = ctx;

	return ioctl(barbuf_device_fd(t->dev), VFIO_DEVICE_RESET) ? -errno : 0;
}

/* A page of the device that is reset is mapped, and must be gone each time. */
static int smp_reset(const struct bench *b, const struct target *faults_on, size_t n,
		     struct figures *f)
{
	struct target reset = b->reset;
	struct arena a = { 0 };
	uint64_t before;
	struct smp s;
	int ret;

	ret = smp_make(&s, b, faults_on, n);
	if (!ret)
		ret = arena_make(&a, b->page, b->page);
	if (!ret)
		ret = map_at(a.at, b->page, barbuf_device_fd(reset.dev), reset.bar.offset);
	if (!ret) {
		touch(a.at);
		ret = smp_run(&s, reset_device, &reset, NR_RESETS, f);
	}
	if (!ret) {
		before = faults_taken();
		touch(a.at);
		if (faults_taken() == before)
			ret = -EIO;
	}
	arena_free(&a);
	smp_free(&s);
	return ret;
}

int smp_reset_other(const struct bench *b, size_t n, struct figures *f)
{
	return smp_reset(b, &b->memory, n, f);
}

int smp_reset_same(const struct bench *b, size_t n, struct figures *f)
{
	return smp_reset(b, &b->reset, n, f);
}
