// SPDX-License-Identifier: LGPL-2.1-or-later
/* The demo's rows: bars, marks, and that no line is wider than it may be. */
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "tap.h"

static const struct look wide = {
	.columns = 80,
	.seconds = 2,
	.most = 800,
	.blocks = true,
};

/* 34 columns of bars at 80: a bar is a bin as long as there are no more bins. */
static struct row example(void)
{
	struct row r = {
		.name = "client 1",
		.queue = 0,
		.state = "running",
		.iops = 800,
		.errors = 0,
		.faults = 3,
		.mood = ROW_GOOD,
	};

	history_init(&r.history);
	history_add(&r.history, 0.25, 0.3, 100);
	history_add(&r.history, 0.5, 0.6, 400);
	history_add(&r.history, 0.75, 1.2, 800);
	return r;
}

static void bars(void)
{
	struct look ascii = wide;
	struct row r = example();
	char text[ROW_TEXT];

	row_text(&wide, &r, text);
	CHECK(!strcmp(text,
		      "client 1   q0 running      800      0      3   ▁▄██                             "),
	      "bars are of each bin, nothing where nothing is known: '%s'", text);
	CHECK(text_columns(text) == 80, "they are %u columns", text_columns(text));
	ascii.blocks = false;
	row_text(&ascii, &r, text);
	CHECK(strstr(text, "  .-##  "), "in ASCII: '%s'", text);

	history_add(&r.history, 1.25, 1.3, 0);
	history_add(&r.history, 1.5, 1.6, 1);
	history_add(&r.history, 1.75, 1.8, 9999);
	row_text(&wide, &r, text);
	CHECK(strstr(text, "██_▁█ "),
	      "nothing done is no bar, little is one, more than all is one: '%s'", text);
	ascii.most = 0;
	row_text(&ascii, &r, text);
	CHECK(strstr(text, "  ____"), "a scale of 0 divides by nothing: '%s'", text);
	CHECK(history_most(&r.history) == 9999, "the most is %.0f", history_most(&r.history));

	r.queue = -1;
	r.iops = -1;
	row_text(&wide, &r, text);
	CHECK(!strncmp(text, "client 1    - running        -", 30), "without a queue: '%s'", text);
}

static void marks(void)
{
	struct look look = wide;
	struct row r = example();
	char text[ROW_TEXT];

	history_mark(&r.history, 0.8, 'K');
	row_text(&look, &r, text);
	CHECK(strstr(text, "▁▄K█"), "a mark takes a bar's place: '%s'", text);
	/* So much time that a bar is of three bins: 0-2, 3-5. */
	look.seconds = 101 * BIN_SECONDS;
	row_text(&look, &r, text);
	CHECK(strstr(text, "  ▃K  "), "also of several bins, which are otherwise their mean: '%s'",
	      text);
	/* Not a whole number of bins: the last is in the last bar. */
	look.seconds = 50 * BIN_SECONDS;
	history_mark(&r.history, look.seconds, 'E');
	row_text(&look, &r, text);
	CHECK(text[strlen(text) - 1] == 'E' && text_columns(text) == 80,
	      "all of the time is in all of the bars: '%s'", text);
	row_axis(&look, "", text);
	CHECK(!strcmp(text + 73, "12.75 s"), "which the axis tells: '%s'", text);
	look.colours = true;
	row_text(&look, &r, text);
	CHECK(strstr(text, "\033[32mrunning   \033[0m") && strstr(text, "\033[1mK\033[0m"),
	      "colours of state and mark");
	CHECK(text_columns(text) == 80, "which take no columns: %u", text_columns(text));
}

/* Marks in each bin, colours: the longest text; under ASan. */
static void every_width(void)
{
	static const double seconds[] = { -1, 0, 7, 120, 1e9 };
	unsigned int n, i, wrong = 0, unclosed = 0;
	struct row r = example();
	char text[ROW_TEXT];

	r.errors = r.faults = UINT64_MAX;
	r.iops = 1e15;
	for (n = 0; n < 5; n++) {
		for (i = 0; i < 400; i++) {
			struct look look = {
				.columns = i,
				.seconds = seconds[n],
				.most = 800,
				.blocks = i & 1,
				.colours = i & 2,
			};
			unsigned int most = i < 1 ? 1 : i > ROW_COLUMNS_MAX ? ROW_COLUMNS_MAX : i;
			const char *last;

			if (i < BINS)
				history_mark(&r.history, i * BIN_SECONDS, 'R');
			row_text(&look, &r, text);
			wrong += text_columns(text) > most || strlen(text) >= ROW_TEXT;
			last = strrchr(text, '\033');
			unclosed += last && strncmp(last, "\033[0m", 4) != 0;
			row_header(&look, text);
			wrong += text_columns(text) > most;
			row_axis(&look, "K killed  R reset", text);
			wrong += text_columns(text) > most;
		}
	}
	CHECK(!wrong, "no line of 0 to 399 columns is too wide: %u are", wrong);
	CHECK(!unclosed, "no colour goes on behind its line: %u do", unclosed);
}

static void late(void)
{
	struct row r = example();

	history_add(&r.history, 0, -1, 5);
	CHECK(r.history.value[0] == 5, "before the beginning is the first bin");
	history_add(&r.history, 1e9, 1e12, 7);
	history_mark(&r.history, 1e12, 'X');
	CHECK(r.history.value[BINS - 1] == 7 && r.history.mark[BINS - 1] == 'X',
	      "too late is the last");
	history_add(&r.history, 2, 1, 9);
	CHECK(r.history.value[4] == 800 && r.history.value[8] == 9,
	      "an end before its begin is one bin");
}

static void header_and_axis(void)
{
	struct look look = wide;
	char text[ROW_TEXT];

	row_header(&look, text);
	CHECK(!strcmp(text,
		      "client        state       IOPS errors faults  IOPS over time, █ = 800"),
	      "header: '%s'", text);
	look.columns = 50;
	row_header(&look, text);
	CHECK(!strcmp(text, "client        state       IOPS errors faults  "),
	      "where there is no room for bars: '%s'", text);
	row_axis(&look, "K killed", text);
	CHECK(!*text, "nor an axis: '%s'", text);

	look = wide;
	row_axis(&look, "K killed", text);
	CHECK(!strncmp(text + 46, "0 s  K killed ", 14) && !strcmp(text + 75, "8.5 s"),
	      "axis: '%s'", text);
	look.columns = 56;
	row_axis(&look, "K killed, and much more", text);
	CHECK(text_columns(text) == 56 && !strstr(text, "killed"), "a legend is cut: '%s'", text);
}

static void cut(void)
{
	static const struct {
		const char *text, *cut;
		unsigned int columns;
	} cases[] = {
		{ "", "", 0 },
		{ "abc", "", 0 },
		{ "abc", "ab", 2 },
		{ "abc", "abc", 3 },
		{ "abc", "abc", 9 },
		{ "█▁x", "█", 1 },
		{ "█▁x", "█▁", 2 },
		{ "\033[1mab\033[0m", "\033[1ma\033[0m", 1 },
		{ "\033[1mab\033[0m", "\033[1mab\033[0m", 2 },
		{ "a\033[", "a\033[", 1 },
	};
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(text, cases[i].text);
		text_cut(text, cases[i].columns);
		CHECK(!strcmp(text, cases[i].cut), "'%s' cut to %u is '%s'", cases[i].text,
		      cases[i].columns, text);
	}
}

int main(void)
{
	bars();
	marks();
	every_width();
	late();
	header_and_axis();
	cut();
	return tap_done();
}
