// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

#define NR_EMPTY 101

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static uint64_t count(const struct meter *m)
{
	uint64_t n;

	return m->fd >= 0 && read(m->fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int open_counter(bool with_kernel)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_kernel = !with_kernel,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void meter_open(struct meter *m)
{
	struct sample empty[NR_EMPTY];
	size_t i;

	*m = (struct meter){ 0 };
	m->fd = open_counter(true);
	m->has_kernel = m->fd >= 0;
	if (!m->has_kernel)
		m->fd = open_counter(false);
	for (i = 0; i < NR_EMPTY; i++) {
		meter_start(m);
		empty[i] = meter_stop(m, 1);
	}
	empty[0] = sample_median(empty, NR_EMPTY);
	m->empty_ns = empty[0].ns;
	m->empty_instructions = empty[0].instructions;
}

void meter_close(struct meter *m)
{
	if (m->fd >= 0)
		close(m->fd);
}

void meter_start(struct meter *m)
{
	m->start_instructions = count(m);
	m->start_ns = now_ns();
}

static double per_operation(uint64_t total, double empty, size_t operations)
{
	return total > empty ? (total - empty) / operations : 0;
}

struct sample meter_stop(struct meter *m, size_t operations)
{
	uint64_t ns = now_ns() - m->start_ns;
	uint64_t instructions = count(m) - m->start_instructions;

	return (struct sample){
		.ns = per_operation(ns, m->empty_ns, operations),
		.instructions = per_operation(instructions, m->empty_instructions, operations),
	};
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static int compare_instructions(const void *x, const void *y)
{
	const struct sample *a = x, *b = y;

	return compare(&a->instructions, &b->instructions);
}

struct sample sample_median(struct sample *samples, size_t nr)
{
	struct sample middle;

	qsort(samples, nr, sizeof(*samples), compare);
	middle.ns = samples[nr / 2].ns;
	qsort(samples, nr, sizeof(*samples), compare_instructions);
	middle.instructions = samples[nr / 2].instructions;
	return middle;
}
