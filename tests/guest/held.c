// SPDX-License-Identifier: GPL-2.0-only
#include "held.h"
#include "importer.h"

static void *run_transition(void *arg)
{
	struct held *h = arg;

	__atomic_store_n(&h->tid, gettid(), __ATOMIC_SEQ_CST);
	h->result = h->transition(h->dev);
	__atomic_store_n(&h->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

void held_by_importer(struct held *h, struct dev *dev, int dmabuf_fd,
		      int (*transition)(const struct dev *dev))
{
	*h = (struct held){ .dev = dev, .transition = transition };
	set_parameter(IMPORTER_TIMEOUT, FOR_EVER);
	h->importer = importer_open_stubborn(dev, dmabuf_fd);
}

void held_begin(struct held *h)
{
	h->tid = h->ended = 0;
	CHECK(pthread_create(&h->thread, NULL, run_transition, h) == 0);
	wait_for(&h->tid, "the thread of the transition");
	wait_asleep_in(h->tid, HELD_IN);
	CHECK(importer_asked(h->importer) > 0);
}

void held_end(struct held *h)
{
	CHECK(!h->ended);
	CHECK(is_asleep_in(h->tid, HELD_IN));
	importer_unmap(h->importer);
	wait_for(&h->ended, "the end of the transition");
	pthread_join(h->thread, NULL);
	CHECK_EQ(h->result, 0);
}
