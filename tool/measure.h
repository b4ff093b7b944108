/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time and, where the kernel and the processor let it count them, instructions. */
#ifndef TOOL_MEASURE_H
#define TOOL_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meter {
	int fd; /* of perf_event_open(), or -1 */
	bool has_kernel; /* counts what the kernel does, too */
	double empty_ns, empty_instructions; /* of a measurement of nothing */
	uint64_t start_ns, start_instructions;
};

struct sample {
	double ns, instructions; /* of one operation */
};

void meter_open(struct meter *m);
void meter_close(struct meter *m);

void meter_start(struct meter *m);
/* @operations: how many there were since meter_start() */
struct sample meter_stop(struct meter *m, size_t operations);

/* The median of each; sorts them. */
struct sample sample_median(struct sample *samples, size_t nr);

#endif
