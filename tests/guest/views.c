// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "views.h"

static const char *name_of(const struct views *views, const struct view *view)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s BAR %u, %s", views->dev->model, view->bar,
		 view->dmabuf_fd < 0 ? "device fd" : "buffer");
	return name;
}

static struct view *next_view(struct views *views)
{
	CHECK(views->nr < MAX_VIEWS);
	return &views->view[views->nr++];
}

void views_add(struct views *views, const struct dev *dev, unsigned int bar, uint64_t offset,
	       unsigned int kinds)
{
	struct view *view;

	views->dev = dev;
	if (kinds & VIEW_BAR) {
		view = next_view(views);
		*view = (struct view){ .bar = bar, .offset = offset, .dmabuf_fd = -1 };
		view->page = map_bar(dev, bar, offset, PAGE);
	}
	/* A BAR smaller than a page can't be exported. */
	if ((kinds & VIEW_BUFFER) && dev->region[bar].size >= PAGE) {
		view = next_view(views);
		*view = (struct view){ .bar = bar, .offset = offset };
		view->dmabuf_fd = export_range(dev, bar, offset, PAGE);
		view->page = map_buffer(view->dmabuf_fd, 0, PAGE);
	}
}

void views_open(struct views *views, const struct dev *dev, unsigned int kinds)
{
	static const unsigned int bars[] = { 0, 2 };
	size_t i;

	views->nr = 0;
	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		uint64_t size = dev->region[bars[i]].size;

		if (size)
			views_add(views, dev, bars[i], size > MIB(1) ? 3 * PAGE : 0, kinds);
	}
	CHECK(views->nr > 0);
}

/* The truth, in a way that needs no mapping. */
static uint32_t by_read(const struct views *views, const struct view *view)
{
	uint32_t value;

	CHECK_EQ(pread(views->dev->fd, &value, sizeof(value),
		       bar_offset(views->dev, view->bar, view->offset)),
		 sizeof(value));
	return value;
}

static void view_alive(const struct views *views, const struct view *view, const char *when)
{
	uint32_t value, want;

	want = by_read(views, view);
	if (peek32(view->page, &value))
		FAIL("%s: SIGBUS %s", name_of(views, view), when);
	if (value != want)
		FAIL("%s: 0x%x instead of 0x%x %s", name_of(views, view), value, want, when);
}

void views_alive(const struct views *views, const char *when)
{
	unsigned int i;

	for (i = 0; i < views->nr; i++)
		view_alive(views, &views->view[i], when);
}

void views_dead(const struct views *views, const char *when)
{
	unsigned int i;

	for (i = 0; i < views->nr; i++) {
		if (!touch(views->view[i].page))
			FAIL("%s: can be accessed %s", name_of(views, &views->view[i]), when);
	}
}

void views_were_zapped(const struct views *views, const char *when)
{
	unsigned int i;
	long faults;

	for (i = 0; i < views->nr; i++) {
		const struct view *view = &views->view[i];

		by_read(views, view);
		faults = thread_faults();
		if (touch(view->page))
			FAIL("%s: SIGBUS %s", name_of(views, view), when);
		if (thread_faults() == faults)
			FAIL("%s: its page stayed mapped %s", name_of(views, view), when);
		view_alive(views, view, when);
	}
}

void views_survive(const struct dev *dev, unsigned int kinds,
		   void (*reset)(const struct dev *dev))
{
	struct views views;
	unsigned int i;

	views_open(&views, dev, kinds);
	for (i = 0; i < 2; i++) {
		views_alive(&views, "before the reset");
		reset(dev);
		views_were_zapped(&views, "after the reset");
	}
}

void views_close(struct views *views)
{
	unsigned int i;

	for (i = 0; i < views->nr; i++) {
		unmap((void *)views->view[i].page, PAGE);
		if (views->view[i].dmabuf_fd >= 0)
			close(views->view[i].dmabuf_fd);
	}
	views->nr = 0;
}
