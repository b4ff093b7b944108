/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device seen through every kind of mapping there is: for some of its BARs, a
 * page mapped through the device fd and the same page mapped through an exported
 * buffer. What happens to the device happens to all of them.
 */
#ifndef BARBUF_TESTS_VIEWS_H
#define BARBUF_TESTS_VIEWS_H

#include "harness.h"

#define MAX_VIEWS 8

struct view {
	unsigned int bar;
	uint64_t offset;	/* of the page, in the BAR */
	int dmabuf_fd;		/* -1: mapped through the device fd */
	volatile void *page;
};

struct views {
	const struct dev *dev;
	struct view view[MAX_VIEWS];
	unsigned int nr;
};

/* Which kinds of mappings to make. */
#define VIEW_BAR     1u
#define VIEW_BUFFER  2u
#define VIEW_ALL     (VIEW_BAR | VIEW_BUFFER)

/* Adds the views of one page of a BAR. */
void views_add(struct views *views, const struct dev *dev, unsigned int bar, uint64_t offset,
	       unsigned int kinds);
/* BAR 0 and BAR 2, as far as the device has them, past their first page if they have more. */
void views_open(struct views *views, const struct dev *dev, unsigned int kinds);
/* Each can be read, and shows what a read() of the device shows. */
void views_alive(const struct views *views, const char *when);
/* Each gives SIGBUS. */
void views_dead(const struct views *views, const char *when);
/* Each is alive, and had lost its page-table entry: reading it took a fault. */
void views_were_zapped(const struct views *views, const char *when);
/* Two resets: each takes the page-table entries, and none the mappings. */
void views_survive(const struct dev *dev, unsigned int kinds,
		   void (*reset)(const struct dev *dev));
void views_close(struct views *views);

#endif
