// SPDX-License-Identifier: MIT
#include <barbuf.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "load.h"
#include "message.h"

uint64_t load_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static double seconds(uint64_t ns)
{
	return ns / 1e9;
}

static json_int_t us(uint64_t ns)
{
	return (ns + 500) / 1000;
}

/* Of the I/O: what taking up another grant took is not among them. */
static uint64_t extra_faults(const struct load_stats *s, const struct blk_client *c)
{
	return load_faults() - s->faults - blk_client_counts(c)->grant_faults;
}

static double iops(const struct histogram *h, uint64_t ns)
{
	return ns ? h->count / seconds(ns) : 0;
}

static json_t *object(const struct load_stats *s, const struct blk_client *c, const char *state,
		      const struct histogram *h, uint64_t ns)
{
	const struct blk_client_counts *n = blk_client_counts(c);

	/* To the millisecond. */
	double t = (blk_now() - s->start) / 1000000 / 1e3;

	return json_pack(
		"{s:f, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
		" s:I, s:I, s:I, s:I, s:I, s:I}",
		"t", t, "state", state, "queue", (json_int_t)blk_client_facts(c)->queue, "iops",
		(json_int_t)(iops(h, ns) + 0.5), "done", (json_int_t)s->total.count, "reads",
		(json_int_t)s->reads, "writes", (json_int_t)s->writes, "errors",
		(json_int_t)s->errors, "io_errors", (json_int_t)s->io_errors, "faults",
		(json_int_t)extra_faults(s, c), "sigbus", (json_int_t)n->sigbus, "p50_us",
		us(histogram_at(h, 0.5)), "p99_us", us(histogram_at(h, 0.99)), "max_us", us(h->max),
		"pauses", (json_int_t)n->pauses, "regrants", (json_int_t)n->regrants, "resubmitted",
		(json_int_t)n->resubmitted, "doorbells", (json_int_t)n->doorbells, "interrupts",
		(json_int_t)n->interrupts, "ignored", (json_int_t)n->ignored);
}

static void print(json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;

	if (text)
		puts(text);
	free(text);
	json_decref(line);
}

void load_introduce(const struct load_options *o, const struct load_stats *s,
		    const struct blk_client *c)
{
	const struct blk_client_facts *f = blk_client_facts(c);
	const struct blk_window *w = &f->window;
	const char *access = w->flags & BLK_FIXED     ? "read-only, fixed" :
			     w->flags & BLK_READ_ONLY ? "read-only" :
							"read and write";

	if (o->json) {
		json_t *line = object(s, c, "ready", &s->period, 0);

		if (line)
			json_object_update_new(
				line, json_pack("{s:i, s:i, s:I, s:I, s:s, s:I}", "depth",
						(int)w->depth, "block_size", (int)w->block_size,
						"first_block", (json_int_t)f->first_block,
						"nr_blocks", (json_int_t)f->nr_blocks, "access",
						access, "seed", (json_int_t)o->seed));
		print(line);
	} else {
		printf("queue %u, depth %u, %ju blocks of %u bytes from block %ju on, %s; seed %ju\n",
		       f->queue, w->depth, (uintmax_t)f->nr_blocks, w->block_size,
		       (uintmax_t)f->first_block, access, (uintmax_t)o->seed);
	}
	fflush(stdout);
}

void load_report(const struct load_options *o, struct load_stats *s, const struct blk_client *c,
		 const char *state)
{
	const struct histogram *h = &s->period;
	uint64_t now = blk_now();

	if (o->json)
		print(object(s, c, state, h, now - s->period_start));
	else
		printf("%7.1f s  %-7s  %8.0f IOPS  p50 %ju us  p99 %ju us  max %ju us  data errors %ju"
		       "  faults %ju\n",
		       seconds(now - s->start), state, iops(h, now - s->period_start),
		       (uintmax_t)us(histogram_at(h, 0.5)), (uintmax_t)us(histogram_at(h, 0.99)),
		       (uintmax_t)us(h->max), (uintmax_t)s->errors, (uintmax_t)extra_faults(s, c));
	fflush(stdout);
	histogram_clear(&s->period);
	s->period_start = now;
}

/* What becomes of who looks at its doorbell after it was taken back; NULL: it was not. */
static const char *doorbell_outcome(struct blk_client *c)
{
	struct blk_client_raw raw;
	uint16_t word;

	if (blk_client_end(c) < 0 || blk_client_end(c) == BLK_END_BYE)
		return NULL;
	blk_client_raw(c, &raw);
	/* It had none to look at. */
	if (!raw.doorbell)
		return NULL;
	return barbuf_map_read16(raw.doorbell, 0, &word) ? "SIGBUS" : "works";
}

static void print_text(const struct load_stats *s, const struct blk_client *c, const char *end,
		       const char *doorbell, uint64_t ns)
{
	const struct blk_client_counts *n = blk_client_counts(c);
	const struct histogram *h = &s->total;

	printf("\nrequests       %ju (%ju reads, %ju writes) in %.1f s, %.0f IOPS\n",
	       (uintmax_t)h->count, (uintmax_t)s->reads, (uintmax_t)s->writes, seconds(ns),
	       iops(h, ns));
	printf("latency        p50 %ju us, p99 %ju us, max %ju us\n",
	       (uintmax_t)us(histogram_at(h, 0.5)), (uintmax_t)us(histogram_at(h, 0.99)),
	       (uintmax_t)us(h->max));
	printf("data errors    %ju\n", (uintmax_t)s->errors);
	printf("I/O errors     %ju\n", (uintmax_t)s->io_errors);
	printf("faults         %ju, and %ju to take up new grants\n", (uintmax_t)extra_faults(s, c),
	       (uintmax_t)n->grant_faults);
	printf("SIGBUS         %ju\n", (uintmax_t)n->sigbus);
	printf("doorbells      %ju; %ju interrupts\n", (uintmax_t)n->doorbells,
	       (uintmax_t)n->interrupts);
	printf("pauses         %ju; %ju new grants; %ju requests submitted again\n",
	       (uintmax_t)n->pauses, (uintmax_t)n->regrants, (uintmax_t)n->resubmitted);
	if (n->ignored)
		printf("ignored        %ju entries of the used ring that were of no request\n",
		       (uintmax_t)n->ignored);
	printf("the lease      %s\n", end ? end : "was given back");
	if (doorbell)
		printf("its doorbell   %s\n", doorbell);
}

void load_summary(const struct load_options *o, const struct load_stats *s, struct blk_client *c,
		  const char *end)
{
	const char *doorbell = doorbell_outcome(c);
	uint64_t ns = blk_now() - s->start;

	if (o->json) {
		json_t *line = object(s, c, "ended", &s->total, ns);

		if (line)
			json_object_update_new(
				line, json_pack("{s:b, s:s?, s:s?, s:I, s:I, s:I}", "final", 1,
						"end", end, "doorbell", doorbell, "written",
						(json_int_t)s->written, "sum", (json_int_t)s->sum,
						"grant_faults",
						(json_int_t)blk_client_counts(c)->grant_faults));
		print(line);
	} else {
		print_text(s, c, end, doorbell, ns);
	}
	fflush(stdout);
}
