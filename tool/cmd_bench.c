// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "width.h"
#include "barchart.h"
#include "measure.h"
#include "open.h"
#include "out.h"
#include "progress.h"

#define NR_SAMPLES 101
#define NR_WALKS 11
/* Operations in a sample of those that are too quick for the clock. */
#define NR_BAR_READS 100
#define NR_MEMORY_READS 10000
/* How much of the BAR is walked through, unless --size says it. */
#define WALK_DEFAULT (UINT64_C(4) << 20)

struct bench {
	const struct call *call;
	struct open_bar bar;
	uint64_t page, size; /* of what is walked */
	bool buffers_map; /* or it goes by mappings of the BAR */
	struct meter meter;
	struct barbuf_buffer *buf; /* all of @size, where buffers map */
};

/* A mapping of the first @length bytes, of which no page was touched. */
static int map(const struct bench *b, uint64_t length, struct barbuf_map **m)
{
	const struct barbuf_map_options o = { .length = length, .read_only = true };

	return b->buf ? barbuf_map(m, b->buf, &o) : barbuf_map_bar(m, b->bar.dev, b->bar.index, &o);
}

static int export(const struct bench *b, uint64_t length, struct barbuf_buffer **buf)
{
	const struct barbuf_range range = { 0, length };
	const struct barbuf_export x = {
		.bar = b->bar.index,
		.read_only = true,
		.ranges = &range,
		.nr_ranges = 1,
	};

	return barbuf_buffer_export(buf, b->bar.dev, &x);
}

static int sample_export(struct bench *b, struct sample *s)
{
	struct barbuf_buffer *buf;
	int ret;

	meter_start(&b->meter);
	ret = export(b, b->page, &buf);
	if (ret)
		return ret;
	barbuf_buffer_free(buf);
	*s = meter_stop(&b->meter, 1);
	return 0;
}

static int sample_map(struct bench *b, struct sample *s)
{
	struct barbuf_map *m;
	int ret;

	meter_start(&b->meter);
	ret = map(b, b->page, &m);
	if (ret)
		return ret;
	barbuf_unmap(m);
	*s = meter_stop(&b->meter, 1);
	return 0;
}

/* The first access to each page of so much; a sample is of one page. */
static int walk(struct bench *b, uint64_t length, struct sample *s)
{
	struct barbuf_map *m;
	uint64_t at;
	uint32_t value;
	int ret;

	ret = map(b, length, &m);
	if (ret)
		return ret;
	meter_start(&b->meter);
	for (at = 0; at < length && !ret; at += b->page)
		ret = barbuf_map_read32(m, at, &value);
	*s = meter_stop(&b->meter, length / b->page);
	barbuf_unmap(m);
	return ret;
}

static int sample_touch(struct bench *b, struct sample *s)
{
	return walk(b, b->page, s);
}

static int sample_walk(struct bench *b, struct sample *s)
{
	return walk(b, b->size, s);
}

static int read_plain(struct bench *b, const volatile uint32_t *p, size_t nr, struct sample *s)
{
	size_t i;

	meter_start(&b->meter);
	for (i = 0; i < nr; i++)
		(void)*p;
	*s = meter_stop(&b->meter, nr);
	return 0;
}

static int read_guarded(struct bench *b, const volatile uint32_t *p, size_t nr, struct sample *s)
{
	uint32_t value;
	size_t i;
	int ret = 0;

	meter_start(&b->meter);
	for (i = 0; i < nr && !ret; i++)
		ret = barbuf_read32(p, &value);
	*s = meter_stop(&b->meter, nr);
	return ret;
}

static int read_bar(struct bench *b, struct sample *s,
		    int (*how)(struct bench *, const volatile uint32_t *, size_t, struct sample *))
{
	const volatile uint32_t *p;
	struct barbuf_map *m;
	uint32_t value;
	int ret;

	ret = map(b, b->page, &m);
	if (ret)
		return ret;
	/* The first touch is a row of its own, and here it may fail: the plain ones must not. */
	p = barbuf_map_addr(m);
	ret = barbuf_read32(p, &value);
	if (!ret)
		ret = how(b, p, NR_BAR_READS, s);
	barbuf_unmap(m);
	return ret;
}

static int sample_bar_plain(struct bench *b, struct sample *s)
{
	return read_bar(b, s, read_plain);
}

static int sample_bar_guarded(struct bench *b, struct sample *s)
{
	return read_bar(b, s, read_guarded);
}

static int sample_memory_plain(struct bench *b, struct sample *s)
{
	volatile uint32_t word = 1;

	return read_plain(b, &word, NR_MEMORY_READS, s);
}

static int sample_memory_guarded(struct bench *b, struct sample *s)
{
	volatile uint32_t word = 1;

	return read_guarded(b, &word, NR_MEMORY_READS, s);
}

static int sample_revoke(struct bench *b, struct sample *s)
{
	struct barbuf_buffer *buf;
	struct barbuf_map *m;
	uint32_t value;
	int ret;

	ret = export(b, b->page, &buf);
	if (ret)
		return ret;
	ret = barbuf_map(&m, buf, &(struct barbuf_map_options){ .read_only = true });
	if (ret)
		goto out_buffer;
	ret = barbuf_map_read32(m, 0, &value);
	if (ret)
		goto out_map;
	meter_start(&b->meter);
	ret = barbuf_buffer_revoke(buf);
	*s = meter_stop(&b->meter, 1);
	/* That it was one is checked, and costs nothing here. */
	if (!ret && barbuf_map_read32(m, 0, &value) != -EIO)
		ret = -EPROTO;
out_map:
	barbuf_unmap(m);
out_buffer:
	barbuf_buffer_free(buf);
	return ret;
}

static const struct row {
	const char *name, *what;
	int (*sample)(struct bench *b, struct sample *s);
	size_t nr;
	bool needs_buffers; /* that can be mapped and revoked */
	bool in_kernel; /* most of it is */
} rows[] = {
	{ "export", "make and drop a buffer", sample_export, NR_SAMPLES, false, true },
	{ "map", "map and unmap a page", sample_map, NR_SAMPLES, false, true },
	{ "touch", "first read of a page", sample_touch, NR_SAMPLES, false, true },
	{ "walk", "per page, walking through", sample_walk, NR_WALKS, false, true },
	{ "revoke", "revoke a mapped buffer", sample_revoke, NR_SAMPLES, true, true },
	{ "bar-plain", "read 32 bits of the BAR", sample_bar_plain, NR_SAMPLES, false, false },
	{ "bar-guarded", "the same, guarded", sample_bar_guarded, NR_SAMPLES, false, false },
	{ "memory-plain", "read 32 bits of memory", sample_memory_plain, NR_SAMPLES, false, false },
	{ "memory-guarded", "the same, guarded", sample_memory_guarded, NR_SAMPLES, false, false },
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

/* Where the fraction says nothing it is left out. */
static json_t *number(double value)
{
	return value < 100 ? json_real(value) : json_integer(llround(value));
}

/* The median of a row's samples, as a JSON object; null for what this machine cannot do or count. */
static int measure(struct bench *b, const struct row *row, json_t **result)
{
	struct sample samples[NR_SAMPLES], s;
	json_t *ns, *instructions = json_null();
	size_t i;
	int ret;

	if (row->needs_buffers && !b->buffers_map) {
		ns = json_null();
		goto out;
	}
	for (i = 0; i < row->nr; i++) {
		ret = row->sample(b, &samples[i]);
		if (ret)
			return ret;
	}
	s = sample_median(samples, row->nr);
	ns = number(s.ns);
	if (b->meter.fd >= 0 && (b->meter.has_kernel || !row->in_kernel))
		instructions = number(s.instructions);
out:
	*result = json_pack("{s:s, s:s, s:o, s:o}", "row", row->name, "what", row->what, "ns", ns,
			    "instructions", instructions);
	return *result ? 0 : -ENOMEM;
}

static bool has_instructions(json_t *list)
{
	json_t *row;
	size_t i;

	json_array_foreach(
		list, i, row) if (!json_is_null(json_object_get(row, "instructions"))) return true;
	return false;
}

static double greatest(json_t *list, const char *key)
{
	double most = 0, value;
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		value = json_number_value(json_object_get(row, key));
		most = value > most ? value : most;
	}
	return most;
}

/* A column has room for six digits; more are at the picture's expense. */
static unsigned int more_digits(double most)
{
	int len = snprintf(NULL, 0, "%.0f", most);

	return len > 6 ? len - 6 : 0;
}

static void add_picture(json_t *list, unsigned int width)
{
	bool blocks = bar_has_blocks();
	double most = greatest(list, "ns"), value;
	char text[BAR_TEXT_MAX];
	unsigned int more;
	json_t *row;
	size_t i;

	more = more_digits(most) + more_digits(greatest(list, "instructions"));
	width = more < width ? width - more : 1;
	json_array_foreach(list, i, row)
	{
		value = json_number_value(json_object_get(row, "ns"));
		bar_text(value, most, width, blocks, text);
		json_object_set_new(row, "picture", json_string(text));
	}
}

/* The picture has what is left of 80 columns. */
static int print_picture(json_t *list)
{
	static const struct column columns[] = {
		{ .key = "row" },
		{ .key = "what" },
		{ .key = "ns", .right = true },
		{ .key = "picture", .title = "ns, logarithmic" },
	};
	static const struct column all[] = {
		{ .key = "row" },
		{ .key = "what" },
		{ .key = "instructions", .right = true },
		{ .key = "ns", .right = true },
		{ .key = "picture", .title = "ns, logarithmic" },
	};
	bool counted = has_instructions(list);

	add_picture(list, counted ? 15 : 29);
	return out_rows(stdout, true, counted ? all : columns, counted ? 5 : 4, list);
}

static int print(const struct bench *b, json_t *list)
{
	static const struct column columns[] = {
		{ .key = "row" },
		{ .key = "ns" },
		{ .key = "instructions" },
		{ .key = "what" },
	};
	const struct call *c = b->call;
	int ret;

	if (c->json)
		return out_object(c, json_pack("{s:s, s:i, s:I, s:s, s:o}", "address",
					       b->bar.function.address, "bar", (int)b->bar.index,
					       "size", (json_int_t)b->size, "mapped",
					       b->buffers_map ? "buffer" : "bar", "rows", list));
	if (out_is_terminal(stdout))
		ret = print_picture(list);
	else
		ret = out_rows(stdout, false, columns, 4, list);
	json_decref(list);
	if (ret)
		return failed(c, "%s", strerror(-ret));
	if (!b->buffers_map)
		note(c,
		     "this kernel cannot map buffers: rows are of mappings of the BAR, and without "
		     "a revoke");
	return EXIT_SUCCESS;
}

static int run(struct bench *b)
{
	json_t *list = json_array(), *row;
	struct progress progress;
	size_t i;
	int ret = list ? 0 : -ENOMEM;

	meter_open(&b->meter);
	progress_begin(&progress, b->call, NR_ROWS);
	for (i = 0; i < NR_ROWS && !ret; i++) {
		progress_at(&progress, i);
		ret = measure(b, &rows[i], &row);
		if (ret)
			break;
		json_array_append_new(list, row);
	}
	progress_end(&progress);
	meter_close(&b->meter);
	if (!ret)
		return print(b, list);
	json_decref(list);
	return failed(b->call, "row %s: %s", i < NR_ROWS ? rows[i].name : "", strerror(-ret));
}

static int parse(struct bench *b, const char *bar)
{
	const char *size = call_option(b->call, "size");
	int status = -1;

	if (!(b->bar.region.flags & BARBUF_REGION_MMAP))
		return failed(b->call, "%s: this BAR cannot be mapped", bar);
	if (!b->bar.function.bars[b->bar.index].prefetchable && !call_has(b->call, "yes"))
		return wrong(
			b->call, "ADDRESS/BAR", bar,
			"not prefetchable: to read its registers may do something; with --yes they are read");
	b->size = b->bar.region.size & ~(b->page - 1);
	if (!b->size)
		return failed(b->call, "%s: smaller than a page", bar);
	if (!size) {
		b->size = b->size < WALK_DEFAULT ? b->size : WALK_DEFAULT;
		return -1;
	}
	status = parse_size(b->call, "--size", size, 8, b->size, &b->size);
	if (status < 0 && (!b->size || b->size % b->page))
		return wrong(b->call, "--size", size,
			     "not a multiple of %" PRIu64 ", the page size", b->page);
	return status;
}

int cmd_bench(struct call *c)
{
	struct bench b = { .call = c, .page = sysconf(_SC_PAGESIZE) };
	const char *bar = call_arg(c, 0);
	uint32_t features = 0;
	int status, ret;

	status = open_bar(c, bar, &b.bar);
	if (status >= 0)
		return status;
	status = parse(&b, bar);
	if (status >= 0)
		goto out;
	ret = barbuf_guard_install();
	if (!ret)
		ret = barbuf_device_probe(b.bar.dev, &features);
	b.buffers_map = features & BARBUF_HAS_MMAP && features & BARBUF_HAS_REVOKE;
	if (!ret && b.buffers_map)
		ret = export(&b, b.size, &b.buf);
	if (ret)
		status = failed(c, "%s: %s", bar, strerror(-ret));
	else
		status = run(&b);
	barbuf_buffer_free(b.buf);
out:
	barbuf_device_close(b.bar.dev);
	return status;
}
