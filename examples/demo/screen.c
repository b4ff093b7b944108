// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"
#include "timeline.h"

#define ROWS_MAX 12
#define REFRESH_SECONDS 0.25
/* Without a terminal: what fits most pages. */
#define PIPE_COLUMNS 100

static struct {
	struct row *rows[ROWS_MAX];
	unsigned int nr;
	unsigned int columns, lines;
	const char *legend;
	bool live; /* rows are drawn while things happen */
	unsigned int drawn; /* lines that stand there now */
	double refreshed;
} screen;

/* A static program finds no locale: what the environment says is what the terminal shows. */
static bool has_blocks(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	size_t i;

	for (i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

static void erase(void)
{
	if (screen.drawn)
		printf("\033[%uA\r\033[J", screen.drawn);
	screen.drawn = 0;
}

static void draw(void)
{
	struct look look = {
		/* One is left: some terminals wrap behind the last. */
		.columns = screen.columns - 1,
		.seconds = timeline_now(),
		.blocks = has_blocks(),
		.colours = timeline_colours(),
	};
	char text[ROW_TEXT];
	unsigned int i;

	/* Header and axis, and a line for the cursor. */
	if (!screen.nr || (screen.live && screen.lines && screen.lines < screen.nr + 3))
		return;
	for (i = 0; i < screen.nr; i++) {
		double most = history_most(&screen.rows[i]->history);

		if (most > look.most)
			look.most = most;
	}
	row_header(&look, text);
	puts(text);
	for (i = 0; i < screen.nr; i++) {
		row_text(&look, screen.rows[i], text);
		puts(text);
	}
	row_axis(&look, screen.legend, text);
	puts(text);
	screen.drawn = screen.nr + 2;
}

void screen_begin(unsigned int columns, unsigned int lines, const char *legend)
{
	screen.live = columns;
	screen.columns = columns ? columns : PIPE_COLUMNS;
	screen.lines = lines;
	screen.legend = legend;
	if (screen.live)
		timeline_bottom(erase, draw);
}

void screen_add(struct row *r)
{
	if (screen.nr < ROWS_MAX)
		screen.rows[screen.nr++] = r;
}

void screen_refresh(void)
{
	double now = timeline_now();

	if (!screen.live || now - screen.refreshed < REFRESH_SECONDS)
		return;
	screen.refreshed = now;
	erase();
	draw();
	fflush(stdout);
}

void screen_end(void)
{
	timeline_bottom(NULL, NULL);
	if (screen.live)
		erase();
	else
		putchar('\n');
	screen.live = false;
	draw();
	screen.drawn = 0;
	fflush(stdout);
}
