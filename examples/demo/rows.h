/* SPDX-License-Identifier: MIT */
/*
 * A row a client: who it is, how it is, and its I/O over time as a line of bars. Text
 * only, of a width that is asked for; screen.c puts it onto a terminal.
 */
#ifndef ROWS_H
#define ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Time is kept in bins. What is later than the last goes into the last. */
#define BIN_SECONDS 0.25
#define BINS 720

struct history {
	float value[BINS]; /* below 0: nothing is known */
	char mark[BINS]; /* something happened: a character that stands in place of the bar */
};

void history_init(struct history *h);
/* It was @value from then to then, in seconds since the demo began. */
void history_add(struct history *h, double from, double to, double value);
/* A later mark in the same bin takes its place. */
void history_mark(struct history *h, double at, char mark);
double history_most(const struct history *h);

/* Longest line: four bytes a character and escapes. */
#define ROW_TEXT 1024
#define ROW_COLUMNS_MAX 200

/* How rows are drawn. */
struct look {
	unsigned int columns; /* no line is longer; from 1 to ROW_COLUMNS_MAX, else taken as such */
	double seconds; /* how long the demo runs: the bars' time */
	double most; /* the value of a full bar */
	bool blocks; /* block characters in UTF-8, else ASCII */
	bool colours;
};

struct row {
	char name[11];
	int queue; /* -1: none */
	char state[11];
	double iops; /* below 0: not running */
	uint64_t errors;
	uint64_t faults;
	enum { ROW_DONE, ROW_GOOD, ROW_WAITING, ROW_BAD } mood; /* the colour of its state */
	struct history history;
};

void row_header(const struct look *l, char text[ROW_TEXT]);
void row_text(const struct look *l, const struct row *r, char text[ROW_TEXT]);
/* The time axis; @legend says what the marks are. */
void row_axis(const struct look *l, const char *legend, char text[ROW_TEXT]);

/* How many columns a text takes: a code point each, escapes of colours none. */
unsigned int text_columns(const char *text);
/* Cut it so that it takes no more. Colours that are on at the end are switched off. */
void text_cut(char *text, unsigned int columns);

#endif
