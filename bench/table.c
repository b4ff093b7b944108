// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

/* Within this of 1 ns an instruction, the clock counts instructions. */
#define EXACT 0.01

struct comparison {
	const char *with; /* what it is compared with, in words; NULL: with nothing */
	double ratio;
	bool has_target;
	bool met;
};

static struct comparison compare(const struct report *report, size_t i)
{
	const struct row *row = &rows[i];
	const struct result *ours = &report->results[OURS][i];
	const struct result *reference = NULL;
	struct comparison c = { 0 };

	if (row->versus) {
		size_t other = find_row(row->versus);

		/* What stock has, ours is held against; the rest against ours. */
		reference = &report->results[rows[other].stock_has_it ? STOCK : OURS][other];
		c.with = row->versus;
	} else if (row->stock_has_it) {
		reference = &report->results[STOCK][i];
		c.with = "stock";
	}
	if (row->unit != TIME) {
		c.with = NULL;
		c.has_target = row->target >= 0 && ours->measured;
		c.met = ours->worst <= row->target;
		return c;
	}
	if (!reference || !reference->measured || !ours->measured || !reference->best) {
		c.with = NULL;
		return c;
	}
	c.ratio = (double)ours->best / reference->best;
	c.has_target = row->target >= 0;
	/* The same is what two digits cannot tell apart. */
	c.met = row->target == 1 ? c.ratio < 1.005 : c.ratio <= row->target;
	return c;
}

/* With thousands apart: 25,450. */
static const char *grouped(char *buf, size_t size, uint64_t value)
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	size_t out = 0;
	int i;

	for (i = 0; i < n && out + 2 < size; i++) {
		if (i && (n - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	buf[out] = '\0';
	return buf;
}

static const char *value_text(char *buf, size_t size, enum unit unit, const struct result *r)
{
	if (!r->measured)
		return "-";
	/* Time is only ever added to by what else goes on; a count has no such excuse. */
	return grouped(buf, size, unit == TIME ? r->best : r->worst);
}

static void print_line(bool markdown, const char *const cells[5])
{
	if (markdown)
		printf("| %s | %s | %s | %s | %s |\n", cells[0], cells[1], cells[2], cells[3],
		       cells[4]);
	else
		printf("%-60s %12s %12s  %-20s %s\n", cells[0], cells[1], cells[2], cells[3],
		       cells[4]);
}

static void target_text(char *buf, size_t size, const struct row *row, bool met)
{
	const char *verdict = met ? "met" : "MISSED";

	if (row->unit == TIME && row->target == 1)
		snprintf(buf, size, "1.00: %s", verdict);
	else
		snprintf(buf, size, "%s%g: %s", row->target > 0 ? "<= " : "", row->target, verdict);
}

static bool is_measured(const struct report *report, size_t i)
{
	return report->results[STOCK][i].measured || report->results[OURS][i].measured;
}

static void print_table(const struct report *report)
{
	bool markdown = report->format == MARKDOWN;
	size_t i;

	print_line(markdown, (const char *[]){ "what", "stock", "barbuf", "ratio", "target" });
	if (markdown)
		printf("|---|--:|--:|---|---|\n");
	for (i = 0; i < nr_rows; i++) {
		const struct result *values[NR_SETS] = { &report->results[STOCK][i],
							 &report->results[OURS][i] };
		struct comparison c = compare(report, i);
		enum unit unit = rows[i].unit;
		char stock[32], ours[32];
		char ratio[64] = "";
		char target[64] = "";

		if (!is_measured(report, i))
			continue;
		if (c.with)
			snprintf(ratio, sizeof(ratio), "%.3f of %s", c.ratio, c.with);
		if (c.has_target)
			target_text(target, sizeof(target), &rows[i], c.met);
		print_line(markdown, (const char *[]){
					     rows[i].title,
					     value_text(stock, sizeof(stock), unit, values[STOCK]),
					     value_text(ours, sizeof(ours), unit, values[OURS]),
					     ratio,
					     target,
				     });
	}
}

static void json_value(const char *name, const struct result *r)
{
	if (r->measured)
		printf(",\n     \"%s\": {\"best\": %" PRIu64 ", \"worst\": %" PRIu64 "}", name,
		       r->best, r->worst);
}

/* What both kinds of JSON begin with. */
static void json_head(const struct report *report)
{
	struct utsname uts;

	uname(&uts);
	printf("{\"mode\": \"%s\", \"kernel\": \"%s\", \"processors\": %ld",
	       report->smp ? "smp" : "time", uts.release, sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_json(const struct report *report, double scale)
{
	static const char *const units[NR_UNITS] = {
		[TIME] = "ns", [FAULTS] = "faults", [WAITS] = "waits",
		[KIB] = "KiB", [BYTES] = "bytes",
	};
	const char *comma = "";
	size_t i;

	json_head(report);
	printf(", \"rounds\": %u, \"ns_per_instruction\": %.4f,\n \"rows\": [", report->rounds,
	       scale);
	for (i = 0; i < nr_rows; i++) {
		struct comparison c = compare(report, i);

		if (!is_measured(report, i))
			continue;
		printf("%s\n    {\"id\": \"%s\", \"title\": \"%s\", \"unit\": \"%s\"", comma,
		       rows[i].id, rows[i].title, units[rows[i].unit]);
		comma = ",";
		json_value("stock", &report->results[STOCK][i]);
		json_value("barbuf", &report->results[OURS][i]);
		if (c.with)
			printf(",\n     \"versus\": \"%s\", \"ratio\": %.4f", c.with, c.ratio);
		if (c.has_target)
			printf(", \"target\": %g, \"met\": %s", rows[i].target,
			       c.met ? "true" : "false");
		printf("}");
	}
	printf("\n]}\n");
}

/* How far the rounds of one set lie apart, at most, in percent. */
static double spread(const struct report *report)
{
	double most = 0;
	size_t i;
	int set;

	for (set = 0; set < NR_SETS; set++) {
		for (i = 0; i < nr_rows; i++) {
			const struct result *r = &report->results[set][i];

			if (r->measured && r->best && rows[i].unit == TIME &&
			    100.0 * (r->worst - r->best) / r->best > most)
				most = 100.0 * (r->worst - r->best) / r->best;
		}
	}
	return most;
}

bool print_report(const struct report *report)
{
	double scale = ns_per_instruction();
	bool exact = scale > 1 - EXACT && scale < 1 + EXACT;
	struct utsname uts;
	bool all_met = true;
	size_t i;

	for (i = 0; i < nr_rows; i++) {
		struct comparison c = compare(report, i);

		all_met = all_met && (!c.has_target || c.met);
	}
	if (report->format == JSON) {
		print_json(report, scale);
		return all_met;
	}
	uname(&uts);
	print_table(report);
	if (report->smp)
		printf("\nLinux %s, %ld processors. Figures are counts, each the most of %u "
		       "round%s.\n",
		       uts.release, sysconf(_SC_NPROCESSORS_ONLN), report->rounds,
		       report->rounds == 1 ? "" : "s");
	else
		printf("\nLinux %s. Figures without a unit are %s (the clock advances %.3f ns for "
		       "each). Each is the best of %u round%s, of which none is more than %.2f %% "
		       "off; of what is counted, the most.\n",
		       uts.release,
		       exact ? "instructions executed" :
			       "nanoseconds of an emulator that is not counting instructions: "
			       "compare nothing with them",
		       scale, report->rounds, report->rounds == 1 ? "" : "s", spread(report));
	return all_met;
}

void print_skipped(const struct report *report, const char *why)
{
	if (report->format == JSON) {
		json_head(report);
		printf(", \"skipped\": \"%s\"}\n", why);
	} else {
		printf("barbuf-bench --smp: skipped: %s\n", why);
	}
}
