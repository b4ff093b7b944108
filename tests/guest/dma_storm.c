// SPDX-License-Identifier: GPL-2.0-only
/*
 * All at once for some seconds: DMA mappings come and go, buffers are lent and revoked, the
 * device loses memory decode and is reset. What is mapped at the end is what should be.
 */
#include <linux/pci_regs.h>
#include <pthread.h>
#include <unistd.h>

#include "dma.h"

#define PART (4 * PAGE)
#define SECONDS 8

struct storm {
	struct rig rig;
	struct piece lent; /* all along */
	volatile int stop;
	unsigned int mapped, refused, revoked, toggled, resets;
};

struct worker {
	struct storm *storm;
	unsigned int index;
	pthread_t thread;
	void *(*run)(void *);
};

static void count(unsigned int *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static int try_map_at(struct storm *s, uint64_t iova, const struct piece *piece)
{
	int ret = try_dma_map_piece(&s->rig.dma, iova, piece, 0, piece->size, DMA_BOTH);

	if (ret)
		CHECK_MSG(errno == s->rig.dma.way->err_suspended ||
				  errno == s->rig.dma.way->err_revoked,
			  "%s", strerror_name(errno));
	count(ret ? &s->refused : &s->mapped);
	return ret;
}

static void *map_and_unmap(void *arg)
{
	struct worker *w = arg;
	struct storm *s = w->storm;
	uint64_t iova = MIB(64) + w->index * MIB(1);

	while (!s->stop) {
		if (try_map_at(s, iova, &s->lent))
			continue;
		dma_unmap(&s->rig.dma, iova, s->lent.size);
	}
	return NULL;
}

static void *lend_and_revoke(void *arg)
{
	struct worker *w = arg;
	struct storm *s = w->storm;
	uint64_t iova = MIB(64) + w->index * MIB(1);
	struct piece lent;

	while (!s->stop) {
		rig_buffer(&s->rig, &lent, MIB(2) + w->index * PART, PART);
		if (try_map_at(s, iova, &lent) == 0) {
			revoke_buffer(s->rig.dev, lent.fd);
			dma_unmap(&s->rig.dma, iova, PART);
		}
		piece_close(&lent);
		count(&s->revoked);
	}
	return NULL;
}

static pthread_mutex_t config = PTHREAD_MUTEX_INITIALIZER;

static void *toggle(void *arg)
{
	struct worker *w = arg;
	struct storm *s = w->storm;

	while (!s->stop) {
		/* A reset in between would put back what it has found. */
		pthread_mutex_lock(&config);
		memory_decode(s->rig.dev, false);
		usleep(300);
		memory_decode(s->rig.dev, true);
		pthread_mutex_unlock(&config);
		usleep(3000);
		count(&s->toggled);
	}
	return NULL;
}

static void *reset(void *arg)
{
	struct worker *w = arg;
	struct storm *s = w->storm;

	while (!s->stop) {
		pthread_mutex_lock(&config);
		OK(try_reset(s->rig.dev));
		pthread_mutex_unlock(&config);
		usleep(100000);
		count(&s->resets);
	}
	return NULL;
}

static void storm(const struct dma_way *way)
{
	struct worker worker[] = {
		{ .run = map_and_unmap }, { .run = map_and_unmap }, { .run = lend_and_revoke },
		{ .run = lend_and_revoke }, { .run = toggle }, { .run = reset },
	};
	struct piece taken;
	struct storm s = { 0 };
	unsigned int i;

	rig_open(&s.rig, way, "nvme", 2, MIB(8));
	rig_buffer(&s.rig, &s.lent, MIB(1), PART);
	rig_buffer(&s.rig, &taken, MIB(4), PART);
	dma_map_piece(&s.rig.dma, RIG_IOVA, &s.lent);
	OK(try_dma_map_piece(&s.rig.dma, MIB(32), &taken, 0, PART, DMA_BOTH));
	for (i = 0; i < ARRAY_SIZE(worker); i++) {
		worker[i].storm = &s;
		worker[i].index = i;
		CHECK(pthread_create(&worker[i].thread, NULL, worker[i].run, &worker[i]) == 0);
	}
	sleep_ms(SECONDS * 500);
	revoke_buffer(s.rig.dev, taken.fd);
	sleep_ms(SECONDS * 500);
	s.stop = 1;
	for (i = 0; i < ARRAY_SIZE(worker); i++)
		CHECK(pthread_join(worker[i].thread, NULL) == 0);
	note("mapped %u times, refused %u, %u revokes, decode off %u times, %u resets", s.mapped,
	     s.refused, s.revoked, s.toggled, s.resets);
	CHECK(s.mapped && s.revoked && s.toggled && s.resets);

	CHECK_REACHED(&s.rig, RIG_IOVA, s.lent.seen);
	CHECK_REACHED(&s.rig, RIG_IOVA + PART - PAGE, s.lent.seen + PART - PAGE);
	CHECK_UNREACHED(&s.rig, MIB(32), taken.seen);
	for (i = 0; i < 4; i++)
		CHECK(!rig_stores(&s.rig, MIB(64) + i * MIB(1), s.lent.seen));
	dma_unmap(&s.rig.dma, RIG_IOVA, PART);
	dma_unmap(&s.rig.dma, MIB(32), PART);
	piece_close(&taken);
	piece_close(&s.lent);
	rig_close(&s.rig);
}
EACH_DMA(storm)

static const struct test_case cases[] = {
	CASE_MMAP(storm_type1, .seconds = 40),
	CASE_MMAP(storm_compat, .seconds = 40),
	CASE_MMAP(storm_native, .seconds = 40),
};

TEST_MAIN(cases)
