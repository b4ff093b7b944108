// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping of 1 GiB by one PUD leaf, cut, moved, protected, advised and copied by fork:
 * what is left of it is right, and all of it ends with a revoke or with memory decode, on
 * each processor. That is Linux's mm's to do. Where BARs have no such leaf each case is
 * skipped; a kernel that has them and not kernel/patches/7.3-pud fails, or crashes. Stock
 * is one, so the cases of a BAR are the reproducers for it:
 *
 *	lab/run --kernel stock -- barbuf-tests pud_leaf:bar_munmap_page
 */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leaf.h"

#define PUD	GIB(1)
#define PMD	MIB(2)
#define RW	(PROT_READ | PROT_WRITE)
#define STEP	MIB(8)		/* from stamp to stamp */
#define HOT	MIB(512)	/* what the other processor accesses is near it */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* Access that survives SIGSEGV too ------------------------------------------*/

static __thread sigjmp_buf *volatile landing;
static struct sigaction before[_NSIG];

static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (landing)
		siglongjmp(*landing, sig);
	if (before[sig].sa_flags & SA_SIGINFO) {
		before[sig].sa_sigaction(sig, info, context);
		return;
	}
	/* Again, and then it kills. */
	sigaction(sig, &before[sig], NULL);
}

static void survive_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };

	OK(sigaction(SIGBUS, &action, &before[SIGBUS]));
	OK(sigaction(SIGSEGV, &action, &before[SIGSEGV]));
}

/* 0, or the signal that the access got. */
static int try_access(volatile char *p, uint32_t *value, bool write)
{
	volatile uint32_t *word = (volatile uint32_t *)p;
	sigjmp_buf here;
	int sig = sigsetjmp(here, 0);

	if (!sig) {
		landing = &here;
		if (write)
			*word = *value;
		else
			*value = *word;
	}
	landing = NULL;
	return sig;
}

static int signal_of(volatile char *p, bool write)
{
	uint32_t value = 0;

	return try_access(p, &value, write);
}

/* The other processor -------------------------------------------------------*/

/* Shared with a child. */
struct other {
	volatile char *p;
	bool write;
	volatile int taken, stop;
	volatile unsigned long early, late, refused;
	volatile uint32_t last; /* what it wrote and was not refused */
};

static void run_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	OK(sched_setaffinity(0, sizeof(set), &set));
}

static void *other_run(void *arg)
{
	struct other *o = arg;
	uint32_t value;

	run_on(1);
	while (!o->stop) {
		int taken = __atomic_load_n(&o->taken, __ATOMIC_ACQUIRE);

		value = o->last + 1;
		if (try_access(o->p, &value, o->write)) {
			o->refused += taken;
			continue;
		}
		if (o->write)
			o->last = value;
		if (taken)
			o->late++;
		else
			o->early++;
	}
	return NULL;
}

/* It has accessed since, and so has the translation if there is one. */
static void other_wait(const struct other *o)
{
	unsigned long n = o->early;
	uint64_t end = timeout();

	while (o->early < n + 100) {
		CHECK_MSG(now_ns() < end, "%lu accesses", o->early - n);
		sleep_ms(1);
	}
}

static struct other *other_start(pthread_t *thread, volatile char *p, bool write)
{
	struct other *o = try_map(-1, 0, sizeof(*o), RW, MAP_SHARED | MAP_ANONYMOUS);

	CHECK(o);
	o->p = p;
	o->write = write;
	if (thread) {
		CHECK_EQ(pthread_create(thread, NULL, other_run, o), 0);
		other_wait(o);
	}
	return o;
}

/* Its access was taken away before this call. Was it? */
static void other_is_refused(struct other *o)
{
	uint64_t end = timeout();

	__atomic_store_n(&o->taken, 1, __ATOMIC_RELEASE);
	while (!o->late && !o->refused) {
		CHECK_MSG(now_ns() < end, "the other processor neither accesses nor is refused");
		sleep_ms(1);
	}
	/* A translation that is there lasts; a refusal of now may not have been the first. */
	sleep_ms(30);
	CHECK_MSG(!o->late, "%lu accesses got through, the last wrote %u", o->late, o->last);
}

/* One leaf ------------------------------------------------------------------*/

struct subject {
	struct dev *dev;
	bool buffer;
	int fd;
	int prot;
	uint64_t hot;		/* what the other processor accesses */
	volatile char *p;
	volatile char *side;	/* the BAR from the other side, by a VMA that nobody cuts */
	volatile char *free;	/* 2 GiB of nothing at a multiple of 1 GiB */
	uint64_t at, len;	/* what is cut, and whether it is gone from there */
	bool gone;
	volatile char *moved;	/* where it is then, or NULL */
	bool untouched;		/* by this processor: a fault of its own would insert anew */
	pthread_t thread;
	struct other *other;
};

static uint32_t stamp(uint64_t offset)
{
	return 0x9d000000u ^ (uint32_t)(offset / PAGE);
}

static uint64_t leaf_size(const volatile char *p)
{
	struct leaf leaf;

	return leaf_at(p, &leaf) ? leaf.size : 0;
}

/* Maps it anew, with one leaf. */
static void map_leaf(struct subject *s)
{
	uint64_t start = s->buffer ? 0 : bar_offset(s->dev, 2, 0);
	void *place = map_aligned(s->fd, start, PUD, PUD, 0);

	if (s->prot != RW) {
		/* Mapped so from the beginning, and not protected later. */
		CHECK(mmap(place, PUD, s->prot, MAP_SHARED | MAP_FIXED, s->fd, start) == place);
	}
	s->p = place;
	CHECK_EQ(signal_of(s->p + HOT, false), 0);
	if (leaf_size(s->p + HOT) == PUD)
		return;
	CHECK_MSG(!mm_has_pud_leaves(), "a leaf of 0x%zx bytes", (size_t)leaf_size(s->p + HOT));
	SKIP("kernel %s maps a BAR with no 1 GiB leaf", getenv("LAB_KERNEL") ?: "unknown");
}

static void put_stamps(struct subject *s)
{
	uint64_t end = s->at + s->len, i;

	for (i = 0; i < PUD; i += STEP)
		write32(s->side + i, stamp(i));
	write32(s->side + s->at - PAGE, stamp(s->at - PAGE));
	write32(s->side + s->at, stamp(s->at));
	write32(s->side + end - PAGE, stamp(end - PAGE));
	if (end < PUD)
		write32(s->side + end, stamp(end));
}

static void is_stamp(const struct subject *s, uint64_t offset)
{
	bool cut = offset >= s->at && offset < s->at + s->len;
	volatile char *p = s->p + offset;
	uint32_t value;
	int sig;

	if (cut && s->moved)
		p = s->moved + (offset - s->at);
	else if (cut && s->gone)
		return;
	sig = try_access(p, &value, false);
	if (sig)
		FAIL("0x%zx: signal %d", (size_t)offset, sig);
	if (value != stamp(offset))
		FAIL("0x%zx: 0x%x instead of 0x%x", (size_t)offset, value, stamp(offset));
}

/* From the end: it is offsets far from the start that go wrong. */
static void are_stamps(const struct subject *s)
{
	uint64_t end = s->at + s->len, i;

	for (i = PUD; i; i -= STEP)
		is_stamp(s, i - STEP);
	is_stamp(s, s->at - PAGE);
	is_stamp(s, s->at);
	is_stamp(s, end - PAGE);
	if (end < PUD)
		is_stamp(s, end);
}

static void is_no_access(const struct subject *s)
{
	uint64_t i;

	for (i = 0; i < PUD; i += STEP) {
		if (i < s->at || i >= s->at + s->len)
			CHECK_EQ(signal_of(s->p + i, false), SIGBUS);
	}
	if (s->moved)
		CHECK_EQ(signal_of(s->moved, false), SIGBUS);
	else if (!s->gone)
		CHECK_EQ(signal_of(s->p + s->at, false), SIGBUS);
}

static void start_other(struct subject *s)
{
	s->other = other_start(&s->thread, s->p + s->hot, s->prot & PROT_WRITE);
}

static void open_subject(struct subject *s)
{
	uintptr_t reserve;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("one processor");
	if (!s->hot)
		s->hot = HOT + PAGE;
	survive_faults();
	run_on(0);
	s->dev = dev_open("ivshmem");
	CHECK_EQ(s->dev->region[2].size, PUD);
	s->side = map_bar(s->dev, 2, 0, PUD);
	s->fd = s->buffer ? export_range(s->dev, 2, 0, PUD) : s->dev->fd;
	reserve = (uintptr_t)try_map(-1, 0, 3 * PUD, PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	CHECK(reserve);
	s->free = (char *)((reserve + PUD - 1) & ~(PUD - 1));
	put_stamps(s);
	map_leaf(s);
	start_other(s);
}

static void stop_other(struct subject *s)
{
	s->other->stop = 1;
	CHECK_EQ(pthread_join(s->thread, NULL), 0);
}

/* All that is left of it: of a buffer for good, of a BAR until decode is on again. */
static void take_away(struct subject *s)
{
	if (s->buffer)
		revoke_buffer(s->dev, s->fd);
	else
		memory_decode(s->dev, false);
	other_is_refused(s->other);
	stop_other(s);
	is_no_access(s);
	if (!s->buffer)
		memory_decode(s->dev, true);
	if (s->other->write)
		CHECK_EQ(read32(s->side + s->hot), s->other->last);
	if (!s->buffer)
		are_stamps(s);
}

typedef void cut_fn(struct subject *s);

static void cut_and_take_away(struct subject *s, cut_fn *cut)
{
	open_subject(s);
	cut(s);
	other_wait(s->other);
	if (!s->untouched)
		are_stamps(s);
	take_away(s);
}

/* The VMA now ends in the middle of what was one leaf. */
static void is_split(const struct subject *s)
{
	CHECK_EQ(signal_of(s->p + HOT, false), 0);
	CHECK_EQ(leaf_size(s->p + HOT), PMD);
}

/* Cuts ----------------------------------------------------------------------*/

static void move_to(struct subject *s, volatile char *to)
{
	CHECK(mremap((void *)(s->p + s->at), s->len, s->len, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	      to);
	s->moved = to;
	s->gone = true;
}

/* And no more: the entries are those that mremap() has left. */
static void move_congruent(struct subject *s)
{
	move_to(s, s->free + s->at);
	s->untouched = true;
}

static void move_elsewhere(struct subject *s)
{
	move_to(s, s->free + PAGE);
	CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
	is_split(s);
}

/* Both may grow, leave a ghost behind or be copied: not PFN mappings. */
static void move_refused(struct subject *s)
{
	void *from = (void *)(s->p + s->at);

	CHECK(mremap(from, s->len, s->len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) == MAP_FAILED);
	CHECK(mremap(from, s->len, 2 * s->len, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(from, 0, s->len, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(from, s->len, s->len, MREMAP_MAYMOVE) == from);
}

static void shrink(struct subject *s)
{
	CHECK(mremap((void *)s->p, PUD, PUD - s->len, 0) == s->p);
	s->gone = true;
	CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
	is_split(s);
}

static void unmap_part(struct subject *s)
{
	unmap((void *)(s->p + s->at), s->len);
	s->gone = true;
	CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
	is_split(s);
}

static void map_over(struct subject *s)
{
	void *at = (void *)(s->p + s->at);

	CHECK(mmap(at, s->len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	s->gone = true;
	CHECK_EQ(read32(s->p + s->at), 0);
	is_split(s);
}

static void protect(struct subject *s)
{
	void *at = (void *)(s->p + s->at);

	CHECK(mprotect(at, s->len, PROT_READ) == 0);
	CHECK_EQ(signal_of(s->p + s->at + s->len - PAGE + 64, true), SIGSEGV);
	CHECK_EQ(signal_of(s->p + s->at + s->len + 64, true), 0);
	are_stamps(s);
	is_split(s);
	CHECK(mprotect(at, s->len, PROT_NONE) == 0);
	CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
	CHECK(mprotect(at, s->len, RW) == 0);
	CHECK_EQ(signal_of(s->p + s->at + 64, true), 0);
}

/* Of a mapping that was read-only from the beginning. */
static void protect_up(struct subject *s)
{
	CHECK(mprotect((void *)(s->p + s->at), s->len, RW) == 0);
	CHECK_EQ(signal_of(s->p + s->at + 64, true), 0);
	CHECK_EQ(signal_of(s->p + s->at - 64, true), SIGSEGV);
	CHECK_EQ(signal_of(s->p + s->at + s->len + 64, true), SIGSEGV);
	is_split(s);
}

static void seal(struct subject *s)
{
	if (syscall(__NR_mseal, s->p + s->at, s->len, 0) < 0 && errno == ENOSYS)
		SKIP("this kernel has no mseal()");
	CHECK_ERRNO(munmap((void *)(s->p + s->at), s->len), EPERM);
	is_split(s);
}

static void bind_memory(struct subject *s)
{
	unsigned long node = 1;

	/* STRICT walks what no policy moves. */
	if (syscall(__NR_mbind, s->p + s->at, s->len, MPOL_BIND, &node, 2, MPOL_MF_STRICT) < 0 &&
	    errno == ENOSYS)
		SKIP("this kernel has no mbind()");
}

static void read_all(const char *path)
{
	int fd = OK(open(path, O_RDONLY | O_CLOEXEC));
	char buf[4096];

	while (OK(read(fd, buf, sizeof(buf))))
		;
	close(fd);
}

/* Those who look at page tables may split the leaf. A fault makes it whole again. */
static void be_looked_at(struct subject *s)
{
	static unsigned char present[PUD / PAGE];
	uint64_t entry;
	int fd;

	CHECK(mincore((void *)s->p, PUD, present) == 0);
	CHECK(present[s->hot / PAGE] & 1);
	fd = OK(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	CHECK_EQ(pread(fd, &entry, sizeof(entry), (uintptr_t)s->p / PAGE * 8), sizeof(entry));
	read_all("/proc/self/smaps");
	read_all("/proc/self/smaps_rollup");
	if (access("/proc/self/numa_maps", F_OK) == 0)
		read_all("/proc/self/numa_maps");
	other_wait(s->other);
	CHECK_EQ(leaf_size(s->p), PUD);
}

/* A driver zaps one page, and a fault comes in between; see tests/modules/split_fault.c. */
static void fault_in_zap(struct subject *s)
{
	int fd;

	if (access("/dev/split_fault", F_OK) && system("modprobe split_fault"))
		FAIL("this guest has no module split_fault");
	fd = OK(open("/dev/split_fault", O_WRONLY | O_CLOEXEC));
	CHECK_EQ(OK(pwrite(fd, "", 1, (uintptr_t)s->p + s->at)), 1);
	s->untouched = true;
}

/* Cases ---------------------------------------------------------------------*/

static void operate(bool buffer, int prot, cut_fn *cut, uint64_t at, uint64_t len)
{
	struct subject s = { .buffer = buffer, .prot = prot, .at = at, .len = len };

	cut_and_take_away(&s, cut);
}

#define PAGE_AT	(MIB(300) + 5 * PAGE)
#define HUGE_AT	MIB(300)

#define CUT_AT(name, cut, prot, page_at, huge_at)			\
	static void bar_##name##_page(void)				\
	{								\
		operate(false, prot, cut, page_at, PAGE);		\
	}								\
	static void buffer_##name##_page(void)				\
	{								\
		operate(true, prot, cut, page_at, PAGE);		\
	}								\
	static void buffer_##name##_huge(void)				\
	{								\
		operate(true, prot, cut, huge_at, PMD);			\
	}

CUT_AT(move, move_congruent, RW, PAGE_AT, HUGE_AT)
CUT_AT(move_elsewhere, move_elsewhere, RW, PAGE_AT, HUGE_AT)
CUT_AT(move_refused, move_refused, RW, PAGE_AT, HUGE_AT)
CUT_AT(shrink, shrink, RW, PUD - PAGE, PUD - PMD)
CUT_AT(munmap, unmap_part, RW, PAGE_AT, HUGE_AT)
CUT_AT(map_over, map_over, RW, PAGE_AT, HUGE_AT)
CUT_AT(protect, protect, RW, PAGE_AT, HUGE_AT)
CUT_AT(protect_up, protect_up, PROT_READ, PAGE_AT, HUGE_AT)
CUT_AT(seal, seal, RW, PAGE_AT, HUGE_AT)
CUT_AT(mbind, bind_memory, RW, PAGE_AT, HUGE_AT)

static void nothing(struct subject *s)
{
	CHECK_EQ(leaf_size(s->p), PUD);
	CHECK_EQ(leaf_size(s->p + PUD - PAGE), PUD);
}

static void bar_whole(void)
{
	operate(false, RW, nothing, PAGE_AT, PAGE);
}

static void buffer_whole(void)
{
	operate(true, RW, nothing, PAGE_AT, PAGE);
}

static void bar_looked_at(void)
{
	operate(false, RW, be_looked_at, PAGE_AT, PAGE);
}

static void buffer_looked_at(void)
{
	operate(true, RW, be_looked_at, PAGE_AT, PAGE);
}

static void bar_fault_in_zap(void)
{
	operate(false, RW, fault_in_zap, PAGE_AT, PAGE);
}

static void buffer_fault_in_zap(void)
{
	operate(true, RW, fault_in_zap, PAGE_AT, PAGE);
}

/* What is done to all of the leaf does not split it. */
static void protect_whole(struct subject *s)
{
	CHECK(mprotect((void *)s->p, PUD, PROT_READ) == 0);
	CHECK_EQ(leaf_size(s->p), PUD);
	CHECK_EQ(signal_of(s->p + s->at, true), SIGSEGV);
	are_stamps(s);
	CHECK(mprotect((void *)s->p, PUD, PROT_NONE) == 0);
	CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
	CHECK(mprotect((void *)s->p, PUD, RW) == 0);
	CHECK_EQ(signal_of(s->p + s->at + 64, true), 0);
	CHECK_EQ(leaf_size(s->p), PUD);
}

static void bar_protect_whole(void)
{
	operate(false, RW, protect_whole, PAGE_AT, PAGE);
}

static void buffer_protect_whole(void)
{
	operate(true, RW, protect_whole, PAGE_AT, PAGE);
}

/* The leaf itself moves, and from where it was no processor accesses it any more. */
static void move_whole(bool buffer, uint64_t new_size, uint64_t skew)
{
	struct subject s = { .buffer = buffer, .prot = RW, .at = PAGE_AT, .len = PAGE };
	volatile char *to;

	open_subject(&s);
	to = s.free + skew;
	CHECK(mremap((void *)s.p, PUD, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	other_is_refused(s.other);
	stop_other(&s);
	CHECK_EQ(read32(s.side + s.hot), s.other->last);
	if (new_size == PUD && !skew)
		CHECK_EQ(leaf_size(to + HOT), PUD);

	s.p = to;
	start_other(&s);
	if (new_size == PUD) {
		are_stamps(&s);
		take_away(&s);
		return;
	}
	/* What it lost is treated as a cut. */
	s.at = new_size;
	s.len = PUD - new_size;
	s.gone = true;
	is_stamp(&s, 0);
	is_stamp(&s, MIB(512));
	CHECK_EQ(signal_of(s.p + new_size, false), SIGSEGV);
	take_away(&s);
}

static void bar_move_whole(void)
{
	move_whole(false, PUD, 0);
}

/*
 * The translation that another processor has from before the move. An emulated processor
 * may forget any page of it for one of its own at the same place of a table, so many are tried.
 */
static void buffer_revoked_after_move(void)
{
	struct subject s = { .buffer = true, .prot = RW, .at = PAGE_AT, .len = PAGE };
	int round;

	open_subject(&s);
	for (round = 1;; round++) {
		move_congruent(&s);
		other_wait(s.other);
		take_away(&s);
		if (round == 24)
			return;
		unmap((void *)s.p, PUD);
		close(s.fd);
		s.fd = export_range(s.dev, 2, 0, PUD);
		s.hot = HOT + round * 37 * PAGE;
		s.moved = NULL;
		s.gone = false;
		map_leaf(&s);
		start_other(&s);
	}
}

static void buffer_move_whole(void)
{
	move_whole(true, PUD, 0);
}

static void bar_move_whole_elsewhere(void)
{
	move_whole(false, PUD, PMD + PAGE);
}

static void buffer_move_whole_elsewhere(void)
{
	move_whole(true, PUD, PMD + PAGE);
}

static void bar_shrink_and_move(void)
{
	move_whole(false, MIB(768) + PAGE, 0);
}

static void buffer_shrink_and_move(void)
{
	move_whole(true, MIB(768) + PAGE, 0);
}

/* madvise() with each number that there is, and some that there are not. */
static void every_advice(bool buffer, uint64_t at, uint64_t len)
{
	struct subject s = { .buffer = buffer, .prot = RW, .at = at, .len = len };
	volatile char *p[30];
	size_t i;

	open_subject(&s);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		map_leaf(&s);
		p[i] = s.p;
		/* What is no advice for a PFN mapping is refused, and changes nothing. */
		if (!madvise((void *)(s.p + at), len, i))
			note("advice %zu is taken, leaf 0x%zx", i, (size_t)leaf_size(s.p + HOT));
		is_stamp(&s, 0);
		is_stamp(&s, at - PAGE);
		is_stamp(&s, at);
		is_stamp(&s, at + len - PAGE);
		is_stamp(&s, at + len);
		is_stamp(&s, PUD - STEP);
	}
	take_away(&s);
	if (!buffer)
		return;
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		CHECK_EQ(signal_of(p[i], false), SIGBUS);
		CHECK_EQ(signal_of(p[i] + at, false), SIGBUS);
		CHECK_EQ(signal_of(p[i] + HOT, false), SIGBUS);
	}
}

static void bar_advise_page(void)
{
	every_advice(false, PAGE_AT, PAGE);
}

static void buffer_advise_page(void)
{
	every_advice(true, PAGE_AT, PAGE);
}

static void buffer_advise_huge(void)
{
	every_advice(true, HUGE_AT, PMD);
}

static void collapse(struct subject *s)
{
	CHECK_ERRNO(madvise((void *)s->p, PUD, MADV_COLLAPSE), EINVAL);
	CHECK_EQ(leaf_size(s->p + HOT), PUD);
	/* And of what a split has left. */
	unmap((void *)(s->p + s->at), s->len);
	s->gone = true;
	is_split(s);
	CHECK_ERRNO(madvise((void *)(s->p + MIB(512)), MIB(64), MADV_COLLAPSE), EINVAL);
}

static void bar_collapse(void)
{
	operate(false, RW, collapse, PAGE_AT, PAGE);
}

static void buffer_collapse(void)
{
	operate(true, RW, collapse, PAGE_AT, PAGE);
}

/* fork ----------------------------------------------------------------------*/

/*
 * The child has the leaf without a fault, but for what it is not to have, and loses it with
 * the parent.
 */
static void child_has_it(struct subject *s, bool part)
{
	struct other *o = other_start(NULL, s->p + s->hot, true);
	pid_t pid;
	int status;

	o->last = 1u << 30;
	pid = fork();
	if (!pid) {
		if (part)
			CHECK_EQ(signal_of(s->p + s->at, false), SIGSEGV);
		else
			CHECK_EQ(leaf_size(s->p + HOT), PUD);
		s->gone = part;
		are_stamps(s);
		other_run(o);
		is_no_access(s);
		_exit(0);
	}
	CHECK(pid > 0);
	/* Both are on one processor. */
	stop_other(s);
	other_wait(o);
	CHECK_EQ(read32(s->side + s->hot) >> 30, 1);
	if (s->buffer)
		revoke_buffer(s->dev, s->fd);
	else
		memory_decode(s->dev, false);
	other_is_refused(o);
	is_no_access(s);
	o->stop = 1;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	if (!s->buffer)
		memory_decode(s->dev, true);
	CHECK_EQ(read32(s->side + s->hot), o->last);
}

static void forked(bool buffer)
{
	struct subject s = { .buffer = buffer, .prot = RW, .at = PAGE_AT, .len = PAGE };

	open_subject(&s);
	child_has_it(&s, false);
}

static void bar_fork(void)
{
	forked(false);
}

static void buffer_fork(void)
{
	forked(true);
}

/* The parent keeps a part to itself, which splits the VMA and nothing else. */
static void forked_in_part(bool buffer, uint64_t at, uint64_t len)
{
	struct subject s = { .buffer = buffer, .prot = RW, .at = at, .len = len };

	open_subject(&s);
	CHECK(madvise((void *)(s.p + at), len, MADV_DONTFORK) == 0);
	child_has_it(&s, true);
}

static void bar_fork_but_huge(void)
{
	forked_in_part(false, HUGE_AT, PMD);
}

static void buffer_fork_but_page(void)
{
	forked_in_part(true, PAGE_AT, PAGE);
}

static void buffer_fork_but_huge(void)
{
	forked_in_part(true, HUGE_AT, PMD);
}

#define CASES_OF(name)                                                                        \
	CASE(bar_##name##_page), CASE_MMAP(buffer_##name##_page), CASE_MMAP(buffer_##name##_huge)

static const struct test_case cases[] = {
	CASE(bar_whole),
	CASE_MMAP(buffer_whole),
	CASES_OF(move),
	CASES_OF(move_elsewhere),
	CASES_OF(move_refused),
	CASES_OF(shrink),
	CASES_OF(munmap),
	CASES_OF(map_over),
	CASES_OF(protect),
	CASES_OF(protect_up),
	CASES_OF(seal),
	CASES_OF(mbind),
	CASE(bar_looked_at),
	CASE_MMAP(buffer_looked_at),
	CASE(bar_fault_in_zap),
	CASE_MMAP(buffer_fault_in_zap),
	CASE(bar_protect_whole),
	CASE_MMAP(buffer_protect_whole),
	CASE(bar_move_whole),
	CASE_MMAP(buffer_move_whole),
	CASE_MMAP(buffer_revoked_after_move),
	CASE(bar_move_whole_elsewhere),
	CASE_MMAP(buffer_move_whole_elsewhere),
	CASE(bar_shrink_and_move),
	CASE_MMAP(buffer_shrink_and_move),
	CASES_OF(advise),
	CASE(bar_collapse),
	CASE_MMAP(buffer_collapse),
	CASE(bar_fork),
	CASE_MMAP(buffer_fork),
	CASE(bar_fork_but_huge),
	CASE_MMAP(buffer_fork_but_page),
	CASE_MMAP(buffer_fork_but_huge),
};

TEST_MAIN(cases)
