// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "rows.h"

/* Columns of all fields but the bars, and how many bars are worth it. */
#define FIELDS 46u
#define BARS_MIN 8u

void history_init(struct history *h)
{
	unsigned int i;

	memset(h->mark, 0, sizeof(h->mark));
	for (i = 0; i < BINS; i++)
		h->value[i] = -1;
}

static unsigned int bin_at(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return seconds >= BINS * BIN_SECONDS ? BINS - 1 : seconds / BIN_SECONDS;
}

void history_add(struct history *h, double from, double to, double value)
{
	unsigned int i = bin_at(from), last = bin_at(to);

	do {
		h->value[i] = value;
	} while (++i <= last);
}

void history_mark(struct history *h, double at, char mark)
{
	h->mark[bin_at(at)] = mark;
}

double history_most(const struct history *h)
{
	double most = 0;
	unsigned int i;

	for (i = 0; i < BINS; i++)
		if (h->value[i] > most)
			most = h->value[i];
	return most;
}

/* The length of an escape sequence that begins here (ECMA-48, 5.4), or 0. */
static size_t escape(const char *text)
{
	size_t n = 2;

	if (text[0] != '\033' || text[1] != '[')
		return 0;
	while (text[n] && (text[n] < '@' || text[n] > '~'))
		n++;
	return text[n] ? n + 1 : n;
}

/* Where the text is that the first so many columns leave over. */
static const char *behind(const char *text, unsigned int columns, unsigned int *counted,
			  bool *coloured)
{
	*counted = 0;
	*coloured = false;
	for (;;) {
		size_t n = escape(text);

		if (n) {
			*coloured = strncmp(text, "\033[0m", n) != 0;
			text += n;
			continue;
		}
		if (!*text || *counted == columns)
			return text;
		++*counted;
		/* The rest of a code point (RFC 3629). */
		for (text++; (*text & 0xc0) == 0x80; text++)
			;
	}
}

unsigned int text_columns(const char *text)
{
	unsigned int counted;
	bool coloured;

	behind(text, -1u, &counted, &coloured);
	return counted;
}

void text_cut(char *text, unsigned int columns)
{
	unsigned int counted;
	bool coloured;
	char *end = (char *)behind(text, columns, &counted, &coloured);

	if (*end)
		strcpy(end, coloured && strlen(end) >= 4 ? "\033[0m" : "");
}

static unsigned int columns_of(const struct look *l)
{
	if (l->columns < 1)
		return 1;
	return l->columns > ROW_COLUMNS_MAX ? ROW_COLUMNS_MAX : l->columns;
}

/* 0: no room for bars. */
static unsigned int bars_of(const struct look *l)
{
	unsigned int columns = columns_of(l);

	return columns >= FIELDS + BARS_MIN ? columns - FIELDS : 0;
}

/* Each bar is of a bin as long as there is room; then all of the time is spread over all bars. */
static unsigned int first_bin(const struct look *l, unsigned int bar, unsigned int bars)
{
	unsigned int bins = bin_at(l->seconds) + 1;

	return bins <= bars ? bar : bar * bins / bars;
}

static const char *bar(double value, double most, bool blocks)
{
	static const char *const block[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const ascii[] = { ".", ",", ":", "-", "=", "+", "*", "#" };
	int level;

	if (value < 0)
		return " ";
	if (!(most > 0) || value == 0)
		return "_";
	level = value < most ? 8 * value / most + 0.5 : 8;
	level = level < 1 ? 1 : level;
	return blocks ? block[level - 1] : ascii[level - 1];
}

/* One bar: a mark among its bins, or the mean of what is known. */
static char *put_bar(const struct look *l, const struct history *h, unsigned int first,
		     unsigned int end, char *text)
{
	unsigned int i, known = 0;
	double sum = 0;
	char mark = 0;

	for (i = first; i < end && i < BINS; i++) {
		if (h->mark[i])
			mark = h->mark[i];
		if (h->value[i] < 0)
			continue;
		sum += h->value[i];
		known++;
	}
	if (!mark)
		return stpcpy(text, bar(known ? sum / known : -1, l->most, l->blocks));
	return text + sprintf(text, l->colours ? "\033[1m%c\033[0m" : "%c", mark);
}

/* Bars alone may be marks, each with its escapes: more than ROW_TEXT has room for. */
#define MARKS_MAX 32

static void put_bars(const struct look *l, const struct history *h, unsigned int bars, char *text)
{
	struct look plain = *l;
	unsigned int i, marks = 0;

	for (i = 0; i < BINS; i++)
		marks += !!h->mark[i];
	plain.colours &= marks <= MARKS_MAX;
	*text = '\0';
	for (i = 0; i < bars; i++)
		text = put_bar(&plain, h, first_bin(l, i, bars), first_bin(l, i + 1, bars), text);
}

void row_text(const struct look *l, const struct row *r, char text[ROW_TEXT])
{
	static const char *const colour[] = {
		[ROW_DONE] = "\033[2m",
		[ROW_GOOD] = "\033[32m",
		[ROW_WAITING] = "\033[33m",
		[ROW_BAD] = "\033[31m",
	};
	char bars[4 * ROW_COLUMNS_MAX + 1] = "";
	unsigned int nr_bars = bars_of(l);
	char queue[12] = "-", iops[24] = "-";

	if (nr_bars)
		put_bars(l, &r->history, nr_bars, bars);
	if (r->queue >= 0)
		snprintf(queue, sizeof(queue), "q%d", r->queue);
	if (r->iops >= 0)
		snprintf(iops, sizeof(iops), "%.0f", r->iops);
	snprintf(text, ROW_TEXT, "%-10s %2s %s%-10s%s%6s %6llu %6llu  %s", r->name, queue,
		 l->colours ? colour[r->mood] : "", r->state, l->colours ? "\033[0m" : "", iops,
		 (unsigned long long)r->errors, (unsigned long long)r->faults, bars);
	text_cut(text, columns_of(l));
}

void row_header(const struct look *l, char text[ROW_TEXT])
{
	snprintf(text, ROW_TEXT, "%-10s %2s %-10s%6s %6s %6s  ", "client", "", "state", "IOPS",
		 "errors", "faults");
	if (bars_of(l))
		snprintf(text + strlen(text), ROW_TEXT - strlen(text), "IOPS over time, %s = %.0f",
			 l->blocks ? "█" : "#", l->most);
	text_cut(text, columns_of(l));
}

void row_axis(const struct look *l, const char *legend, char text[ROW_TEXT])
{
	unsigned int bars = bars_of(l);
	unsigned int end;
	char right[32];

	*text = '\0';
	if (!bars)
		return;
	snprintf(right, sizeof(right), "%g s", first_bin(l, bars, bars) * BIN_SECONDS);
	end = bars - strlen(right);
	snprintf(text, ROW_TEXT, "%*s0 s  %.*s", (int)FIELDS, "", end > 7 ? (int)end - 7 : 0,
		 legend);
	snprintf(text + strlen(text), ROW_TEXT - strlen(text), "%*s%s",
		 (int)(FIELDS + end) - (int)text_columns(text), "", right);
	text_cut(text, columns_of(l));
}
