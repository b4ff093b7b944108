/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A transition of the device that lasts as long as a test likes: an importer has been
 * asked to let go, and does not before the test says so.
 */
#ifndef BARBUF_TESTS_HELD_H
#define BARBUF_TESTS_HELD_H

#include <pthread.h>

#include "harness.h"

/* Where such a transition waits, as wait_asleep_in() wants it. */
#define HELD_IN "wait_importers"

struct held {
	struct dev *dev;
	int importer;
	int (*transition)(const struct dev *dev);
	pthread_t thread;
	volatile pid_t tid;
	volatile int ended;
	int result;
};

/* By an importer of this buffer, which is used for nothing else. */
void held_by_importer(struct held *h, struct dev *dev, int dmabuf_fd,
		      int (*transition)(const struct dev *dev));
/* Returns when the transition has taken all access away and waits. */
void held_begin(struct held *h);
/* It still waits, and is let go; returns at its end. */
void held_end(struct held *h);

#endif
