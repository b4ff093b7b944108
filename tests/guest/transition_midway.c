// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the middle of a transition of the device: its thread is held under memory_lock, right
 * before it does to the device what it is there for. No fault and no mmap takes that lock,
 * so both are done meanwhile, and no case here depends on time.
 */
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"

#define PAGES 4

/* A reset by VFIO, under memory_lock. */
#define HOLD_RESET "pci_try_reset_function"

struct midway {
	struct dev *dev;
	int fd;
	volatile char *bar, *buffer; /* mapped */
	struct call call;
	int hold;
};

static int decode_off(void *arg)
{
	memory_decode(arg, false);
	return 0;
}

static int reset(void *arg)
{
	return try_reset(arg);
}

/* Returns when the transition is held at that place. */
static void midway_begin(struct midway *m, int (*transition)(void *arg), const char *place)
{
	m->dev = dev_open("nvme");
	m->bar = map_bar(m->dev, 2, 0, PAGES * PAGE);
	m->fd = export_range(m->dev, 2, 0, PAGES * PAGE);
	m->buffer = map_buffer(m->fd, 0, PAGES * PAGE);
	CHECK_ALIVE(m->bar);
	CHECK_ALIVE(m->buffer);
	call_prepare(&m->call, transition, m->dev);
	m->hold = hold_arm(place, .tid = m->call.tid);
	call_go(&m->call);
	hold_wait(m->hold);
}

static void midway_end(struct midway *m)
{
	CHECK(!m->call.ended);
	hold_release(m->hold);
	CHECK_EQ(call_end(&m->call), 0);
	close(m->hold);
}

/* The BAR goes: that is known before the write, and a fault says so. */
static void fault_while_decode_goes_off(void)
{
	struct midway m;

	midway_begin(&m, decode_off, HOLD_COMMAND_WRITE);
	CHECK_SIGBUS(m.bar);
	CHECK_SIGBUS(m.buffer);
	CHECK_SIGBUS(m.bar + PAGE);
	midway_end(&m);
	CHECK_SIGBUS(m.bar);
	memory_decode(m.dev, true);
	CHECK_ALIVE(m.bar);
	CHECK_ALIVE(m.buffer);
}

/* What is mapped meanwhile is in the state of all the others. */
static void mmap_while_decode_goes_off(void)
{
	volatile char *bar, *same_bar, *buffer, *other;
	struct midway m;

	midway_begin(&m, decode_off, HOLD_COMMAND_WRITE);
	/* BAR 0 has no buffer yet, BAR 2 has one. */
	bar = map_bar(m.dev, 0, 0, PAGE);
	same_bar = map_bar(m.dev, 2, MIB(1), PAGE);
	buffer = map_buffer(m.fd, PAGE, PAGE);
	other = map_buffer(export_range(m.dev, 2, MIB(1), PAGE), 0, PAGE);
	unmap(map_bar(m.dev, 2, MIB(2), PAGE), PAGE);
	midway_end(&m);
	CHECK_SIGBUS(bar);
	CHECK_SIGBUS(same_bar);
	CHECK_SIGBUS(buffer);
	CHECK_SIGBUS(other);
	memory_decode(m.dev, true);
	CHECK_ALIVE(bar);
	CHECK_ALIVE(same_bar);
	CHECK_ALIVE(buffer);
	CHECK_ALIVE(other);
}

static int touch_it(void *arg)
{
	return touch(arg) ? -1 : 0;
}

/* A fault waits for the end of the reset, and keeps nobody from mmap_lock or its VMA. */
static void fault_while_a_reset_runs(void)
{
	struct call bar, buffer;
	struct midway m;
	int second;

	midway_begin(&m, reset, HOLD_RESET);
	call_begin(&bar, touch_it, (void *)m.bar);
	call_begin(&buffer, touch_it, (void *)m.buffer);
	call_wait_asleep_in(&bar, IN_FAULT);
	call_wait_asleep_in(&buffer, IN_FAULT);

	CHECK(mprotect((void *)m.bar, PAGES * PAGE, PROT_READ) == 0);
	CHECK(mprotect((void *)m.buffer, PAGES * PAGE, PROT_READ) == 0);
	unmap(map_bar(m.dev, 2, MIB(1), PAGE), PAGE);
	unmap(map_buffer(m.fd, PAGE, PAGE), PAGE);
	second = export_range(m.dev, 2, MIB(1), PAGE);
	unmap(map_buffer(second, 0, PAGE), PAGE);
	revoke_buffer(m.dev, second);
	CHECK(!bar.ended && !buffer.ended);

	midway_end(&m);
	CHECK_EQ(call_end(&bar), 0);
	CHECK_EQ(call_end(&buffer), 0);
}

static const struct test_case cases[] = {
	CASE_MMAP(fault_while_decode_goes_off),
	CASE_MMAP(mmap_while_decode_goes_off),
	CASE_MMAP(fault_while_a_reset_runs),
};

TEST_MAIN(cases)
