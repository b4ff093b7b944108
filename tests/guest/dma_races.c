// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to a BAR while a container maps it, unmaps it, gets a domain or loses one: a
 * thread is held where it matters, so no race has to be won.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "dma.h"
#include "held.h"
#include "hold.h"
#include "importer.h"

#define AT   MIB(1)
#define PART (4 * PAGE)
/* Where a DMA mapping waits for the end of a transition. */
#define IN_MAP "vfio_pci_dma_buf_wait"
#define APART  "/sys/module/domain_apart/parameters/"

/* What the other thread does. */
struct work {
	struct rig *rig;
	struct piece *piece;
	const char *model;
	struct dma_device *device;
};

static int map_piece(void *arg)
{
	struct work *w = arg;

	return try_dma_map_piece(&w->rig->dma, RIG_IOVA, w->piece, 0, w->piece->size, DMA_BOTH);
}

static int unmap_piece(void *arg)
{
	struct work *w = arg;

	return try_dma_unmap(&w->rig->dma, RIG_IOVA, w->piece->size) == (long)w->piece->size ? 0 :
											       -1;
}

static int revoke_piece(void *arg)
{
	struct work *w = arg;

	return try_revoke(w->rig->dev, w->piece->fd);
}

static int decode_off(void *arg)
{
	struct work *w = arg;

	memory_decode(w->rig->dev, false);
	return 0;
}

static int decode_on(void *arg)
{
	struct work *w = arg;

	memory_decode(w->rig->dev, true);
	return 0;
}

/* It has ended, or waits for a lock that the thread who is held has. */
static void ended_or_waits(struct call *call)
{
	uint64_t end = timeout();

	while (!__atomic_load_n(&call->ended, __ATOMIC_SEQ_CST) && task_state(call->tid) != 'D' &&
	       !is_asleep_in(call->tid, "vfio")) {
		CHECK_MSG(now_ns() < end, "it is in state %c", task_state(call->tid));
		sleep_ms(1);
	}
}

/* A resume between the unmap and the detach ---------------------------------*/

static void resume_before_detach(const struct dma_way *way)
{
	struct piece lent;
	struct call call;
	struct rig rig;
	int hold;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	call_prepare(&call, unmap_piece, &(struct work){ .rig = &rig, .piece = &lent });
	hold = hold_arm("dma_buf_detach", .tid = call.tid);
	call_go(&call);
	hold_wait(hold);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	hold_release(hold);
	CHECK_EQ(call_end(&call), 0);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(resume_before_detach)

/* A loss while it is being mapped --------------------------------------------*/

static const struct step {
	const char *function;
	bool exit;
} steps[] = {
	{ "dma_buf_dynamic_attach", false },
	{ "dma_buf_dynamic_attach", true },
	{ "iommu_map", false },
	{ "iommu_map", true },
};

static void revoke_while_mapping(const struct dma_way *way)
{
	struct call mapper, revoker;
	struct piece lent;
	struct rig rig;
	unsigned int i;
	int hold, err;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct work work = { .rig = &rig, .piece = &lent };

		rig_buffer(&rig, &lent, AT, PART);
		call_prepare(&mapper, map_piece, &work);
		hold = hold_arm(steps[i].function, .tid = mapper.tid, .exit = steps[i].exit);
		call_go(&mapper);
		hold_wait(hold);
		call_begin(&revoker, revoke_piece, &work);
		ended_or_waits(&revoker);
		hold_release(hold);
		CHECK_EQ(call_end(&revoker), 0);
		err = call_end(&mapper);
		note("revoked at the %s of %s: mapping it %s", steps[i].exit ? "end" : "beginning",
		     steps[i].function, err ? strerror_name(err) : "succeeds");
		CHECK(!err || err == way->err_revoked);
		CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
		memory_decode(rig.dev, false);
		memory_decode(rig.dev, true);
		CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
		if (!err)
			dma_unmap(&rig.dma, RIG_IOVA, PART);
		close(hold);
		piece_close(&lent);
	}
	rig_close(&rig);
}
EACH_DMA(revoke_while_mapping)

static void suspend_while_mapping(const struct dma_way *way)
{
	struct call mapper, suspender;
	struct piece lent;
	struct rig rig;
	unsigned int i;
	int hold, err;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct work work = { .rig = &rig, .piece = &lent };

		call_prepare(&mapper, map_piece, &work);
		hold = hold_arm(steps[i].function, .tid = mapper.tid, .exit = steps[i].exit);
		call_go(&mapper);
		hold_wait(hold);
		rig_clear(lent.seen);
		call_begin(&suspender, decode_off, &work);
		ended_or_waits(&suspender);
		hold_release(hold);
		CHECK_EQ(call_end(&suspender), 0);
		err = call_end(&mapper);
		note("suspended at the %s of %s: mapping it %s",
		     steps[i].exit ? "end" : "beginning", steps[i].function,
		     err ? strerror_name(err) : "succeeds");
		CHECK(!err || err == way->err_suspended);
		memory_decode(rig.dev, true);
		if (err)
			CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
		else
			CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
		if (!err)
			dma_unmap(&rig.dma, RIG_IOVA, PART);
		close(hold);
	}
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(suspend_while_mapping)

/* A revoke while a resume maps it again: the last word wins. */
static void revoke_while_it_returns(const struct dma_way *way)
{
	struct call resumer, revoker;
	struct piece lent;
	struct rig rig;
	int hold, exit;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	for (exit = 0; exit < 2; exit++) {
		struct work work = { .rig = &rig, .piece = &lent };

		rig_buffer(&rig, &lent, AT, PART);
		dma_map_piece(&rig.dma, RIG_IOVA, &lent);
		memory_decode(rig.dev, false);
		call_prepare(&resumer, decode_on, &work);
		hold = hold_arm("iommu_map", .tid = resumer.tid, .exit = exit);
		call_go(&resumer);
		hold_wait(hold);
		call_begin(&revoker, revoke_piece, &work);
		ended_or_waits(&revoker);
		hold_release(hold);
		CHECK_EQ(call_end(&resumer), 0);
		CHECK_EQ(call_end(&revoker), 0);
		CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
		dma_unmap(&rig.dma, RIG_IOVA, PART);
		close(hold);
		piece_close(&lent);
	}
	rig_close(&rig);
}
EACH_DMA(revoke_while_it_returns)

/* Unmapped while a resume maps it again: it is gone when that call returns. */
static void unmap_while_it_returns(const struct dma_way *way)
{
	struct call resumer, unmapper;
	struct piece lent;
	struct rig rig;
	int hold;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	memory_decode(rig.dev, false);
	call_prepare(&resumer, decode_on, &(struct work){ .rig = &rig, .piece = &lent });
	hold = hold_arm("iommu_map", .tid = resumer.tid);
	call_go(&resumer);
	hold_wait(hold);
	call_begin(&unmapper, unmap_piece, &(struct work){ .rig = &rig, .piece = &lent });
	ended_or_waits(&unmapper);
	hold_release(hold);
	CHECK_EQ(call_end(&resumer), 0);
	CHECK_EQ(call_end(&unmapper), 0);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(unmap_while_it_returns)

/* While a transition runs ----------------------------------------------------*/

static void map_waits_for_a_transition(const struct dma_way *way)
{
	struct piece lent, before;
	struct call mapper;
	struct held held;
	struct rig rig;

	rig_open(&rig, way, "nvme", 2, MIB(4));
	rig_buffer(&rig, &before, MIB(2), PART);
	OK(try_dma_map_piece(&rig.dma, MIB(32), &before, 0, PART, DMA_BOTH));
	rig_buffer(&rig, &lent, AT, PART);
	held_by_importer(&held, rig.dev, export_range(rig.dev, 2, 0, PAGE), try_reset);
	rig_clear(before.seen);
	rig_clear(lent.seen);
	held_begin(&held);
	call_begin(&mapper, map_piece, &(struct work){ .rig = &rig, .piece = &lent });
	call_wait_asleep_in(&mapper, IN_MAP);
	/* Nothing is reached while it lasts. */
	rig_send(&rig, MIB(32));
	rig_send(&rig, RIG_IOVA);
	CHECK(!mapper.ended);
	held_end(&held);
	CHECK_EQ(call_end(&mapper), 0);
	CHECK(!rig_arrived(&rig, before.seen));
	CHECK(!rig_arrived(&rig, lent.seen));
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), before.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	dma_unmap(&rig.dma, MIB(32), PART);
	piece_close(&before);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(map_waits_for_a_transition)

/* A client that waits so can be killed, and is no burden to the container. */
static int map_in_child(void *arg)
{
	return map_piece(arg) ? 1 : 0;
}

static void killed_while_it_waits(const struct dma_way *way)
{
	struct piece lent;
	struct held held;
	struct rig rig;
	int status;
	pid_t pid;

	rig_open(&rig, way, "nvme", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	held_by_importer(&held, rig.dev, export_range(rig.dev, 2, 0, PAGE), try_reset);
	held_begin(&held);
	pid = spawn(map_in_child, &(struct work){ .rig = &rig, .piece = &lent });
	wait_asleep_in(pid, IN_MAP);
	kill(pid, SIGKILL);
	status = wait_end(pid, "a client that was killed");
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* Others map meanwhile. */
	dma_map(&rig.dma, MIB(64), rig.ram, PAGE, DMA_BOTH);
	dma_unmap(&rig.dma, MIB(64), PAGE);
	held_end(&held);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(killed_while_it_waits)

/*
 * A transition has set the state of all and not yet notified importers; a mapping waits for
 * its end, with whatever locks it has. The importers' callbacks need none of them.
 */
static int reset_it(void *arg)
{
	struct work *w = arg;

	return try_reset(w->rig->dev);
}

static void waiting_keeps_no_callback_out(const struct dma_way *way)
{
	struct call mapper, transition;
	struct piece lent, before;
	struct rig rig;
	int hold;

	rig_open(&rig, way, "nvme", 2, MIB(4));
	rig_buffer(&rig, &before, MIB(2), PART);
	OK(try_dma_map_piece(&rig.dma, MIB(32), &before, 0, PART, DMA_BOTH));
	rig_buffer(&rig, &lent, AT, PART);
	call_prepare(&transition, reset_it, &(struct work){ .rig = &rig, .piece = &lent });
	hold = hold_arm(HOLD_NOTIFY, .tid = transition.tid);
	call_go(&transition);
	hold_wait(hold);
	call_begin(&mapper, map_piece, &(struct work){ .rig = &rig, .piece = &lent });
	call_wait_asleep_in(&mapper, IN_MAP);
	hold_release(hold);
	CHECK_EQ(call_end(&transition), 0);
	CHECK_EQ(call_end(&mapper), 0);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), before.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	dma_unmap(&rig.dma, MIB(32), PART);
	piece_close(&before);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(waiting_keeps_no_callback_out)

/* The device is in the very container whose mapping waits for it, and is closed next. */
static int remove_device(void *arg)
{
	struct work *w = arg;

	dma_remove(w->device);
	return 0;
}

static void closed_while_a_mapping_waits(const struct dma_way *way)
{
	struct call mapper, closer;
	struct dma_device *other;
	struct piece lent;
	struct held held;
	struct rig rig;

	dev_bound("plug");
	rig_open(&rig, way, "nvme", 2, MIB(4));
	other = dma_add(&rig.dma, "plug");
	rig_buffer(&rig, &lent, AT, PART);
	held_by_importer(&held, rig.dev, export_range(rig.dev, 2, 0, PAGE), try_reset);
	held_begin(&held);
	call_begin(&mapper, map_piece, &(struct work){ .rig = &rig, .piece = &lent });
	call_wait_asleep_in(&mapper, IN_MAP);
	call_begin(&closer, remove_device, &(struct work){ .device = other });
	sleep_ms(50);
	held_end(&held);
	CHECK_EQ(call_end(&mapper), 0);
	CHECK_EQ(call_end(&closer), 0);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(closed_while_a_mapping_waits)

/* Domains --------------------------------------------------------------------*/

static int add_device(void *arg)
{
	struct work *w = arg;
	char text[16];

	snprintf(text, sizeof(text), "%d", gettid());
	CHECK(write_file(APART "tid", text));
	w->device = dma_add(&w->rig->dma, w->model);
	return 0;
}

/*
 * A device gets a domain of its own, into which what is mapped has been copied; before others
 * can see that domain, a revoke comes.
 */
static void revoke_while_a_domain_joins(void)
{
	struct edu second;
	struct call adder;
	struct piece lent, kept;
	struct work work;
	struct rig rig;
	int hold;

	dev_bound("plug");
	if (access(APART "tid", F_OK) && system("modprobe domain_apart"))
		SKIP("this guest has no module domain_apart");
	set_parameter(APART "tid", "0");
	rig_open(&rig, &dma_type1, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	rig_buffer(&rig, &kept, MIB(2), PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	OK(try_dma_map_piece(&rig.dma, MIB(32), &kept, 0, PART, DMA_BOTH));
	work = (struct work){ .rig = &rig, .model = "plug" };
	call_prepare(&adder, add_device, &work);
	hold = hold_arm(HOLD_DOMAIN_MAPPED, .tid = adder.tid, .exit = true);
	call_go(&adder);
	hold_wait(hold);
	revoke_buffer(rig.dev, lent.fd);
	memory_decode(rig.dev, false);
	hold_release(hold);
	CHECK_EQ(call_end(&adder), 0);
	memory_decode(rig.dev, true);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), kept.seen);
	rig_edu(&rig, &second, work.device);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	CHECK_REACHED(&rig, MIB(32), kept.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	dma_unmap(&rig.dma, MIB(32), PART);
}

/* A domain is freed; a callback that comes now knows nothing of it. */
static void callback_while_a_domain_goes(void)
{
	struct dma_device *other;
	struct piece lent;
	struct call closer;
	char text[16];
	struct rig rig;
	int hold;

	dev_bound("plug");
	if (access(APART "tid", F_OK) && system("modprobe domain_apart"))
		SKIP("this guest has no module domain_apart");
	snprintf(text, sizeof(text), "%d", gettid());
	set_parameter(APART "tid", "0");
	rig_open(&rig, &dma_type1, "ivshmem", 2, MIB(4));
	CHECK(write_file(APART "tid", text));
	other = dma_add(&rig.dma, "plug");
	rig_buffer(&rig, &lent, AT, PART);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	call_prepare(&closer, remove_device, &(struct work){ .device = other });
	hold = hold_arm("iommu_domain_free", .tid = closer.tid, .exit = true);
	call_go(&closer);
	hold_wait(hold);
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	hold_release(hold);
	CHECK_EQ(call_end(&closer), 0);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}

/* Addresses ------------------------------------------------------------------*/

/* Another thread puts memory where a BAR was found, before it is looked at again. */
static void memory_in_its_place(void)
{
	struct call mapper;
	struct piece lent;
	struct rig rig;
	void *p;
	int hold;

	rig_open(&rig, &dma_type1, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	call_prepare(&mapper, map_piece, &(struct work){ .rig = &rig, .piece = &lent });
	hold = hold_arm(HOLD_BAR_FOUND, .tid = mapper.tid);
	call_go(&mapper);
	hold_wait(hold);
	p = mmap((void *)lent.addr, PART, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(p == lent.addr);
	hold_release(hold);
	CHECK_EQ(call_end(&mapper), EFAULT);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.addr);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	rig_close(&rig);
}

/* The same without holding, in both directions. */
struct changer {
	struct piece *lent;
	volatile int stop;
	unsigned int changes;
};

static void *change_place(void *arg)
{
	struct changer *c = arg;
	void *p;

	while (!c->stop) {
		p = mmap((void *)c->lent->addr, PART, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		CHECK(p == c->lent->addr);
		p = mmap((void *)c->lent->addr, PART, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, c->lent->fd, 0);
		CHECK(p == c->lent->addr);
		c->changes++;
	}
	return NULL;
}

static void place_that_changes(const struct dma_way *way)
{
	unsigned int mapped = 0, failed = 0;
	struct changer changer = { 0 };
	uint64_t end;
	pthread_t thread;
	struct piece lent;
	struct rig rig;
	long pinned;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, PART);
	pinned = pinned_pages();
	changer.lent = &lent;
	CHECK(pthread_create(&thread, NULL, change_place, &changer) == 0);
	for (end = now_ns() + 3000000000ull; now_ns() < end;) {
		if (try_dma_map(&rig.dma, RIG_IOVA, lent.addr, PART, DMA_BOTH)) {
			CHECK_EQ(errno, EFAULT);
			failed++;
			continue;
		}
		mapped++;
		dma_unmap(&rig.dma, RIG_IOVA, PART);
	}
	changer.stop = 1;
	CHECK(pthread_join(thread, NULL) == 0);
	note("mapped %u times, refused %u times, changed %u times", mapped, failed,
	     changer.changes);
	CHECK(mapped && changer.changes);
	CHECK_EQ(pinned_pages(), pinned);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PART);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(place_that_changes)

#define BY_ADDRESS(fn) CASE_MMAP(fn##_type1), CASE_MMAP(fn##_compat)
#define ALL(fn)	       BY_ADDRESS(fn), CASE_MMAP(fn##_native)

static const struct test_case cases[] = {
	ALL(resume_before_detach),
	ALL(revoke_while_mapping),
	ALL(suspend_while_mapping),
	ALL(revoke_while_it_returns),
	ALL(unmap_while_it_returns),
	ALL(map_waits_for_a_transition),
	ALL(killed_while_it_waits),
	ALL(waiting_keeps_no_callback_out),
	BY_ADDRESS(closed_while_a_mapping_waits),
	CASE_MMAP(revoke_while_a_domain_joins),
	CASE_MMAP(callback_while_a_domain_goes),
	CASE_MMAP(memory_in_its_place),
	BY_ADDRESS(place_that_changes),
};

TEST_MAIN(cases)
