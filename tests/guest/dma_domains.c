// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several domains of one container: devices that come and go get and lose what is mapped,
 * and a BAR that is taken back is out of reach of each of them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma.h"
#include "hold.h"

#define AT    MIB(1)
#define PART  (4 * PAGE)
#define APART "/sys/module/domain_apart/parameters/"

/* How many mappings of domains this thread makes until the next call. */
static int counting = -1;

static void count_domains(void)
{
	if (counting >= 0)
		close(counting);
	counting = hold_arm("iommu_map", .tid = gettid(), .skip = 1 << 30);
}

/* iommufd as a container has one domain for devices of one IOMMU. */
#define EACH_WITH_DOMAINS(fn) DMA_CASE_OF(fn, type1) DMA_CASE_OF(fn, native)

struct pair {
	struct rig rig;
	struct edu first, second;
	struct dma_device *other;
};

static int turned(void)
{
	char text[16];

	return atoi(read_file(APART "turned", text, sizeof(text)));
}

/* From here on, what this thread adds gets a domain of its own. */
static void apart(struct dma *d, bool on)
{
	char text[16];

	d->apart = on && d->way->by_file;
	if (d->way->by_file)
		return;
	snprintf(text, sizeof(text), "%d", on ? gettid() : 0);
	if (!write_file(APART "tid", text))
		FAIL(APART "tid: %s", strerror_name(errno));
}

static void load_module(const struct dma_way *way)
{
	if (way->by_file)
		return;
	if (access(APART "tid", F_OK) && system("modprobe domain_apart"))
		SKIP("this guest has no module domain_apart");
	set_parameter(APART "tid", "0");
}

static void add_other(struct pair *p)
{
	bool by_module = !p->rig.dma.way->by_file;
	int before = by_module ? turned() : 0;

	apart(&p->rig.dma, true);
	p->other = dma_add(&p->rig.dma, "plug");
	apart(&p->rig.dma, false);
	CHECK_MSG(!by_module || turned() > before, "nobody asked whether it is coherent");
	rig_edu(&p->rig, &p->second, p->other);
	rig_use(&p->rig, &p->first);
}

static void pair_open(struct pair *p, const struct dma_way *way)
{
	dev_bound("plug");
	load_module(way);
	rig_open(&p->rig, way, "ivshmem", 2, MIB(8));
	p->first = p->rig.edu;
}

static void remove_other(struct pair *p)
{
	edu_stop(&p->second);
	dma_remove(p->other);
	p->other = NULL;
	rig_use(&p->rig, &p->first);
}

static void pair_close(struct pair *p)
{
	if (p->other)
		remove_other(p);
	rig_use(&p->rig, &p->first);
	rig_close(&p->rig);
}

#define CHECK_BOTH_REACH(p, iova, at)            \
	do {                                     \
		rig_use(&(p)->rig, &(p)->first); \
		CHECK_REACHED(&(p)->rig, iova, at); \
		rig_use(&(p)->rig, &(p)->second);   \
		CHECK_REACHED(&(p)->rig, iova, at); \
	} while (0)
#define CHECK_NONE_REACHES(p, iova, at)               \
	do {                                          \
		rig_use(&(p)->rig, &(p)->first);      \
		CHECK_UNREACHED(&(p)->rig, iova, at); \
		rig_use(&(p)->rig, &(p)->second);     \
		CHECK_UNREACHED(&(p)->rig, iova, at); \
	} while (0)

/* They are two, or all that follows proves nothing. */
static void two_domains(const struct dma_way *way)
{
	struct piece lent;
	struct pair p = { 0 };

	pair_open(&p, way);
	rig_buffer(&p.rig, &lent, AT, PART);
	count_domains();
	dma_map_piece(&p.rig.dma, RIG_IOVA, &lent);
	CHECK_EQ(hold_passes(counting), 1);
	dma_unmap(&p.rig.dma, RIG_IOVA, PART);
	add_other(&p);
	count_domains();
	dma_map_piece(&p.rig.dma, RIG_IOVA, &lent);
	CHECK_EQ(hold_passes(counting), 2);
	CHECK_BOTH_REACH(&p, RIG_IOVA, lent.seen);
	memory_decode(p.rig.dev, false);
	memory_decode(p.rig.dev, true);
	CHECK_BOTH_REACH(&p, RIG_IOVA, lent.seen);
	revoke_buffer(p.rig.dev, lent.fd);
	CHECK_NONE_REACHES(&p, RIG_IOVA, lent.seen);
	dma_unmap(&p.rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	pair_close(&p);
}
EACH_WITH_DOMAINS(two_domains)

/* One that joins gets what is mapped now, and what returns later. */
static void joins_later(const struct dma_way *way)
{
	struct piece lent, taken;
	struct pair p = { 0 };

	pair_open(&p, way);
	rig_buffer(&p.rig, &lent, AT, PART);
	rig_buffer(&p.rig, &taken, MIB(2), PART);
	dma_map_piece(&p.rig.dma, RIG_IOVA, &lent);
	dma_map_piece(&p.rig.dma, MIB(32), &taken);
	revoke_buffer(p.rig.dev, taken.fd);
	add_other(&p);
	CHECK_BOTH_REACH(&p, RIG_IOVA, lent.seen);
	CHECK_NONE_REACHES(&p, MIB(32), taken.seen);
	remove_other(&p);
	CHECK_REACHED(&p.rig, RIG_IOVA, lent.seen);

	memory_decode(p.rig.dev, false);
	add_other(&p);
	rig_use(&p.rig, &p.second);
	memory_decode(p.rig.dev, true);
	CHECK_BOTH_REACH(&p, RIG_IOVA, lent.seen);
	CHECK_NONE_REACHES(&p, MIB(32), taken.seen);
	revoke_buffer(p.rig.dev, lent.fd);
	CHECK_NONE_REACHES(&p, RIG_IOVA, lent.seen);
	dma_unmap(&p.rig.dma, RIG_IOVA, PART);
	dma_unmap(&p.rig.dma, MIB(32), PART);
	pair_close(&p);
}
EACH_WITH_DOMAINS(joins_later)

/* One that leaves is no longer thought of, the first or the second. */
static void leaves(const struct dma_way *way, bool first)
{
	struct piece lent;
	struct pair p = { 0 };

	pair_open(&p, way);
	rig_buffer(&p.rig, &lent, AT, PART);
	dma_map_piece(&p.rig.dma, RIG_IOVA, &lent);
	add_other(&p);
	if (first) {
		edu_stop(&p.first);
		dma_remove(p.rig.initiator);
		p.rig.initiator = p.other;
		p.first = p.second;
		p.other = NULL;
		rig_use(&p.rig, &p.first);
	} else {
		memory_decode(p.rig.dev, false);
		remove_other(&p);
		memory_decode(p.rig.dev, true);
	}
	CHECK_REACHED(&p.rig, RIG_IOVA, lent.seen);
	memory_decode(p.rig.dev, false);
	memory_decode(p.rig.dev, true);
	CHECK_REACHED(&p.rig, RIG_IOVA, lent.seen);
	revoke_buffer(p.rig.dev, lent.fd);
	CHECK_UNREACHED(&p.rig, RIG_IOVA, lent.seen);
	dma_unmap(&p.rig.dma, RIG_IOVA, PART);
	pair_close(&p);
}

static void first_leaves(const struct dma_way *way)
{
	leaves(way, true);
}
EACH_WITH_DOMAINS(first_leaves)

static void second_leaves(const struct dma_way *way)
{
	leaves(way, false);
}
EACH_WITH_DOMAINS(second_leaves)

/*
 * Memory behind a BAR that was revoked: iommu_unmap() ends at the hole, and what it leaves
 * would be reached by DMA after its pages are somebody else's.
 */
static void hole_in_the_middle(const struct dma_way *way, bool revoked)
{
	unsigned char *at = dma_memory(3 * PART), *here = at + 2 * PART + PAGE;
	long pinned = pinned_pages();
	struct piece lent;
	struct pair p = { 0 };

	pair_open(&p, way);
	rig_buffer(&p.rig, &lent, AT, PART);
	unmap((void *)lent.addr, PART);
	lent.addr = mmap(at + PART, PART, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, lent.fd,
			 0);
	CHECK(lent.addr == at + PART);
	add_other(&p);
	dma_map(&p.rig.dma, RIG_IOVA, at, 3 * PART, DMA_BOTH);
	CHECK_BOTH_REACH(&p, RIG_IOVA + PART, lent.seen);
	CHECK_BOTH_REACH(&p, RIG_IOVA + 2 * PART + PAGE, here);
	if (revoked)
		revoke_buffer(p.rig.dev, lent.fd);
	else
		memory_decode(p.rig.dev, false);
	CHECK_BOTH_REACH(&p, RIG_IOVA + 2 * PART + PAGE, here);
	dma_unmap(&p.rig.dma, RIG_IOVA, 3 * PART);
	CHECK_NONE_REACHES(&p, RIG_IOVA + 2 * PART + PAGE, here);
	CHECK_NONE_REACHES(&p, RIG_IOVA, at);
	memory_decode(p.rig.dev, true);
	CHECK_NONE_REACHES(&p, RIG_IOVA + PART, lent.seen);
	CHECK_EQ(pinned_pages(), pinned + 1);
	/* The same place again, for both. */
	dma_map(&p.rig.dma, RIG_IOVA, at, PART, DMA_BOTH);
	CHECK_BOTH_REACH(&p, RIG_IOVA, at);
	dma_unmap(&p.rig.dma, RIG_IOVA, PART);
	pair_close(&p);
}

static void revoked_hole(const struct dma_way *way)
{
	hole_in_the_middle(way, true);
}
DMA_CASE_OF(revoked_hole, type1)

static void suspended_hole(const struct dma_way *way)
{
	hole_in_the_middle(way, false);
}
DMA_CASE_OF(suspended_hole, type1)

/* The second domain goes, or comes, with such a hole in what is mapped. */
static void hole_while_one_joins(const struct dma_way *way)
{
	unsigned char *at = dma_memory(3 * PART), *here = at + 2 * PART + PAGE;
	struct piece lent;
	struct pair p = { 0 };
	int i;

	pair_open(&p, way);
	rig_buffer(&p.rig, &lent, AT, PART);
	unmap((void *)lent.addr, PART);
	lent.addr = mmap(at + PART, PART, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, lent.fd,
			 0);
	CHECK(lent.addr == at + PART);
	dma_map(&p.rig.dma, RIG_IOVA, at, 3 * PART, DMA_BOTH);
	for (i = 0; i < 2; i++) {
		if (i)
			revoke_buffer(p.rig.dev, lent.fd);
		else
			memory_decode(p.rig.dev, false);
		add_other(&p);
		CHECK_BOTH_REACH(&p, RIG_IOVA + 2 * PART + PAGE, here);
		memory_decode(p.rig.dev, true);
		if (i)
			CHECK_NONE_REACHES(&p, RIG_IOVA + PART, lent.seen);
		else
			CHECK_BOTH_REACH(&p, RIG_IOVA + PART, lent.seen);
		remove_other(&p);
		CHECK_REACHED(&p.rig, RIG_IOVA + 2 * PART + PAGE, here);
	}
	dma_unmap(&p.rig.dma, RIG_IOVA, 3 * PART);
	pair_close(&p);
}
DMA_CASE_OF(hole_while_one_joins, type1)

/* Storm ----------------------------------------------------------------------*/

struct storm {
	struct pair pair;
	struct piece lent;
	volatile int stop;
	unsigned int joined, revoked, toggled;
};

static void *join_and_leave(void *arg)
{
	struct storm *s = arg;
	struct dma_device *dev;

	while (!s->stop) {
		apart(&s->pair.rig.dma, s->joined % 4);
		dev = dma_add(&s->pair.rig.dma, "plug");
		dma_remove(dev);
		s->joined++;
	}
	apart(&s->pair.rig.dma, false);
	return NULL;
}

static void *lend_and_revoke(void *arg)
{
	struct storm *s = arg;
	struct piece lent;
	int ret;

	while (!s->stop) {
		rig_buffer(&s->pair.rig, &lent, MIB(4), PART);
		ret = try_dma_map_piece(&s->pair.rig.dma, MIB(64), &lent, 0, PART, DMA_BOTH);
		CHECK(ret == 0 || errno == s->pair.rig.dma.way->err_suspended);
		revoke_buffer(s->pair.rig.dev, lent.fd);
		if (!ret)
			dma_unmap(&s->pair.rig.dma, MIB(64), PART);
		piece_close(&lent);
		s->revoked++;
	}
	return NULL;
}

static void *toggle(void *arg)
{
	struct storm *s = arg;

	while (!s->stop) {
		memory_decode(s->pair.rig.dev, false);
		usleep(500);
		memory_decode(s->pair.rig.dev, true);
		usleep(500);
		s->toggled++;
	}
	return NULL;
}

static bool storm_is_enough(const struct storm *s)
{
	return s->joined > 2 && s->revoked > 2 && s->toggled > 2;
}

static void join_and_leave_during_revokes(const struct dma_way *way)
{
	void *(*const work[])(void *) = { join_and_leave, lend_and_revoke, toggle };
	pthread_t thread[ARRAY_SIZE(work)];
	struct storm s = { 0 };
	unsigned int i;

	pair_open(&s.pair, way);
	rig_buffer(&s.pair.rig, &s.lent, AT, PART);
	dma_map_piece(&s.pair.rig.dma, RIG_IOVA, &s.lent);
	for (i = 0; i < ARRAY_SIZE(work); i++)
		CHECK(pthread_create(&thread[i], NULL, work[i], &s) == 0);
	/* Five seconds, or until a slow kernel has done enough. */
	for (i = 0; i < 50 || (i < 500 && !storm_is_enough(&s)); i++)
		sleep_ms(100);
	s.stop = 1;
	for (i = 0; i < ARRAY_SIZE(work); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	note("joined %u times, %u revokes, decode off %u times", s.joined, s.revoked, s.toggled);
	CHECK(storm_is_enough(&s));
	add_other(&s.pair);
	CHECK_BOTH_REACH(&s.pair, RIG_IOVA, s.lent.seen);
	revoke_buffer(s.pair.rig.dev, s.lent.fd);
	CHECK_NONE_REACHES(&s.pair, RIG_IOVA, s.lent.seen);
	dma_unmap(&s.pair.rig.dma, RIG_IOVA, PART);
	pair_close(&s.pair);
}
EACH_WITH_DOMAINS(join_and_leave_during_revokes)

#define EACH(fn, ...) CASE_MMAP(fn##_type1, ##__VA_ARGS__), CASE_MMAP(fn##_native, ##__VA_ARGS__)

static const struct test_case cases[] = {
	EACH(two_domains),
	EACH(joins_later, .seconds = 30),
	EACH(first_leaves),
	EACH(second_leaves),
	CASE_MMAP(revoked_hole_type1, .seconds = 30),
	CASE_MMAP(suspended_hole_type1, .seconds = 30),
	CASE_MMAP(hole_while_one_joins_type1, .seconds = 40),
	EACH(join_and_leave_during_revokes, .seconds = 120),
};

TEST_MAIN(cases)
