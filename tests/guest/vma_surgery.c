// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever is done to a mapping, cut, moved, protected, copied, every page of
 * what is left is the page it was, and dies with its buffer.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hold.h"
#include "leaf.h"

#define PAGES 64
#define SIZE  (PAGES * PAGE)
#define RW    (PROT_READ | PROT_WRITE)

/* Where the buffer of these tests lies in its BAR: three pieces, not in order. */
static const range_t ranges[] = {
	{ MIB(2) + 5 * PAGE, 24 * PAGE },
	{ MIB(1), 16 * PAGE },
	{ MIB(3), 24 * PAGE },
};

struct subject {
	struct dev *dev;
	int fd;			/* what is mapped, and at which offset it starts */
	uint64_t start;
	bool is_buffer;
	volatile char *p;
};

static uint32_t stamp(unsigned int page)
{
	return 0x51ce0000 + page;
}

/* Gives each page a number, and maps it untouched. */
static struct subject open_subject(bool buffer)
{
	struct subject s = { .is_buffer = buffer };
	volatile char *p;
	unsigned int i;

	s.dev = dev_open("ivshmem");
	if (buffer) {
		s.fd = export_ranges(s.dev, 2, ranges, ARRAY_SIZE(ranges));
	} else {
		s.fd = s.dev->fd;
		s.start = bar_offset(s.dev, 2, MIB(2) + 5 * PAGE);
	}
	p = map_buffer(s.fd, s.start, SIZE);
	for (i = 0; i < PAGES; i++)
		write32(p + i * PAGE, stamp(i));
	unmap((void *)p, SIZE);
	s.p = map_buffer(s.fd, s.start, SIZE);
	return s;
}

static void is_page(const volatile char *p, unsigned int page)
{
	uint32_t value;

	if (peek32(p, &value))
		FAIL("page %u: SIGBUS", page);
	if (value != stamp(page))
		FAIL("0x%x instead of page %u (0x%x)", value, page, stamp(page));
}

static void are_pages(const volatile char *p, unsigned int first, unsigned int nr)
{
	unsigned int i;

	/* From the end: it is offsets far from the start that go wrong. */
	for (i = nr; i; i--)
		is_page(p + (i - 1) * PAGE, first + i - 1);
}

static void are_gone(const volatile char *p, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		CHECK_SIGBUS(p + i * PAGE);
}

/* Away and back, so that every page of it faults once more. */
static void suspend(const struct subject *s, const volatile char *p, unsigned int first,
		    unsigned int nr)
{
	memory_decode(s->dev, false);
	are_gone(p, nr);
	memory_decode(s->dev, true);
	are_pages(p, first, nr);
}

static void split(bool buffer)
{
	struct subject s = open_subject(buffer);

	/* The middle page, before anything was touched. */
	unmap((void *)(s.p + 32 * PAGE), PAGE);
	are_pages(s.p + 33 * PAGE, 33, 31);
	are_pages(s.p, 0, 32);
	/* The ends, and holes of the rest. */
	unmap((void *)s.p, PAGE);
	unmap((void *)(s.p + 63 * PAGE), PAGE);
	unmap((void *)(s.p + 40 * PAGE), 3 * PAGE);
	are_pages(s.p + PAGE, 1, 31);
	suspend(&s, s.p + 43 * PAGE, 43, 20);
	suspend(&s, s.p + 33 * PAGE, 33, 7);
	suspend(&s, s.p + PAGE, 1, 31);
	if (buffer) {
		revoke_buffer(s.dev, s.fd);
		are_gone(s.p + PAGE, 31);
		are_gone(s.p + 33 * PAGE, 7);
		are_gone(s.p + 43 * PAGE, 20);
	}
}

static void bar_split(void)
{
	split(false);
}

static void buffer_split(void)
{
	split(true);
}

/* A page out of the middle of a 2 MiB leaf. */
static void split_huge(bool buffer)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer ? export_range(dev, 2, MIB(4), MIB(8)) : dev->fd;
	uint64_t start = buffer ? 0 : bar_offset(dev, 2, MIB(4)), i, hole = MIB(2) + 77 * PAGE;
	volatile char *p = map_aligned(fd, start, MIB(8), MIB(2), 0);

	walk_faults(p, MIB(8), PAGE);
	CHECK_EQ(count_leaves(p, MIB(8)), 4);
	for (i = 0; i < MIB(8); i += PAGE)
		write32(p + i, i);
	unmap((void *)(p + hole), PAGE);
	for (i = MIB(8); i; i -= PAGE) {
		if (i - PAGE != hole)
			CHECK_EQ(read32(p + i - PAGE), i - PAGE);
	}
	CHECK(mprotect((void *)(p + MIB(5)), PAGE, PROT_READ) == 0);
	CHECK_EQ(read32(p + MIB(5)), MIB(5));
	CHECK_EQ(read32(p + MIB(5) + PAGE), MIB(5) + PAGE);
	memory_decode(dev, false);
	for (i = 0; i < MIB(8); i += KIB(128))
		CHECK_SIGBUS(p + i);
	memory_decode(dev, true);
	for (i = 0; i < MIB(8); i += KIB(128))
		CHECK_EQ(read32(p + i), i);
	if (buffer) {
		revoke_buffer(dev, fd);
		for (i = 0; i < MIB(8); i += KIB(128))
			CHECK_SIGBUS(p + i);
	}
}

static void bar_split_in_a_huge_leaf(void)
{
	split_huge(false);
}

static void buffer_split_in_a_huge_leaf(void)
{
	split_huge(true);
}

static volatile char *free_place(size_t size)
{
	void *p = try_map(-1, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	CHECK(p);
	return p;
}

static void move(bool buffer)
{
	struct subject s = open_subject(buffer);
	volatile char *to;

	/* Half of it touched, half not; the whole, then a part. */
	are_pages(s.p, 0, 32);
	to = mremap((void *)s.p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(SIZE));
	CHECK(to != MAP_FAILED);
	are_pages(to, 0, PAGES);
	s.p = to;
	to = mremap((void *)(s.p + 20 * PAGE), 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    free_place(8 * PAGE));
	CHECK(to != MAP_FAILED);
	are_pages(to, 20, 8);
	are_pages(s.p, 0, 20);
	are_pages(s.p + 28 * PAGE, 28, 36);
	suspend(&s, to, 20, 8);
	suspend(&s, s.p + 28 * PAGE, 28, 36);
	if (buffer) {
		revoke_buffer(s.dev, s.fd);
		are_gone(to, 8);
		are_gone(s.p, 20);
		are_gone(s.p + 28 * PAGE, 36);
	}
}

static void bar_moved(void)
{
	move(false);
}

static void buffer_moved(void)
{
	move(true);
}

/* A mapping may shrink. It may not grow, copy itself or leave a ghost behind. */
static void resize(bool buffer)
{
	struct subject s = open_subject(buffer);

	CHECK(mremap((void *)s.p, SIZE, SIZE - 4 * PAGE, 0) == s.p);
	are_pages(s.p, 0, PAGES - 4);
	CHECK(mremap((void *)s.p, SIZE - 4 * PAGE, SIZE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap((void *)s.p, SIZE - 4 * PAGE, 4 * SIZE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap((void *)s.p, 0, SIZE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap((void *)s.p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) == MAP_FAILED);
	are_pages(s.p, 0, PAGES - 4);
	suspend(&s, s.p, 0, PAGES - 4);
}

static void bar_resized(void)
{
	resize(false);
}

static void buffer_resized(void)
{
	resize(true);
}

/* The signal that a child gets from a write. */
static int signal_of_write(volatile char *p)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		*(volatile uint32_t *)p = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void protect(bool buffer)
{
	struct subject s = open_subject(buffer);

	/* Read-only, touched so, then writable again. */
	CHECK(mprotect((void *)s.p, SIZE, PROT_READ) == 0);
	are_pages(s.p, 0, PAGES);
	CHECK_EQ(signal_of_write(s.p + 3 * PAGE + 64), SIGSEGV);
	CHECK(mprotect((void *)(s.p + 3 * PAGE), 2 * PAGE, RW) == 0);
	write32(s.p + 3 * PAGE + 64, 33);
	CHECK_EQ(read32(s.p + 3 * PAGE + 64), 33);
	CHECK_EQ(signal_of_write(s.p + 5 * PAGE + 64), SIGSEGV);
	are_pages(s.p, 0, PAGES);
	/* None at all, and back. */
	CHECK(mprotect((void *)(s.p + 30 * PAGE), 10 * PAGE, PROT_NONE) == 0);
	CHECK_EQ(signal_of_write(s.p + 31 * PAGE + 64), SIGSEGV);
	CHECK(mprotect((void *)s.p, SIZE, RW) == 0);
	are_pages(s.p, 0, PAGES);
	suspend(&s, s.p, 0, PAGES);
	/* Changed while nothing is mapped. */
	memory_decode(s.dev, false);
	CHECK(mprotect((void *)s.p, SIZE, PROT_READ) == 0);
	CHECK_EQ(signal_of_write(s.p + 64), SIGSEGV);
	CHECK(mprotect((void *)s.p, SIZE, RW) == 0);
	CHECK_EQ(signal_of_write(s.p + 64), SIGBUS);
	memory_decode(s.dev, true);
	write32(s.p + 64, 1);
	if (buffer) {
		CHECK(mprotect((void *)s.p, SIZE, PROT_READ) == 0);
		are_pages(s.p, 0, PAGES);
		revoke_buffer(s.dev, s.fd);
		CHECK(mprotect((void *)s.p, SIZE, RW) == 0);
		are_gone(s.p, PAGES);
		CHECK_EQ(signal_of_write(s.p + 64), SIGBUS);
	}
}

static void bar_protected(void)
{
	protect(false);
}

static void buffer_protected(void)
{
	protect(true);
}

static void advise(bool buffer)
{
	static const int advice[] = {
		MADV_NORMAL,   MADV_RANDOM,	   MADV_SEQUENTIAL,    MADV_WILLNEED,
		MADV_DONTNEED, MADV_FREE,	   MADV_REMOVE,	       MADV_MERGEABLE,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE,	   MADV_DONTDUMP,      MADV_DODUMP,
		MADV_COLD,     MADV_PAGEOUT,	   MADV_POPULATE_READ, MADV_POPULATE_WRITE,
		MADV_DONTFORK, MADV_DOFORK,	   MADV_WIPEONFORK,    25 /* MADV_COLLAPSE */,
	};
	struct subject s = open_subject(buffer);
	unsigned int i;

	are_pages(s.p, 0, PAGES / 2);
	/* Most are refused. Those that are not must not change what is there. */
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		madvise((void *)(s.p + 8 * PAGE), 16 * PAGE, advice[i]);
		are_pages(s.p, 0, PAGES);
	}
	/* There are no pages to pull in or to throw away, only a device. */
	CHECK(madvise((void *)s.p, SIZE, MADV_DONTNEED) && errno == EINVAL);
	CHECK(madvise((void *)s.p, SIZE, MADV_FREE) && errno == EINVAL);
	CHECK(madvise((void *)s.p, SIZE, MADV_POPULATE_READ));
	suspend(&s, s.p, 0, PAGES);
	if (buffer) {
		revoke_buffer(s.dev, s.fd);
		for (i = 0; i < ARRAY_SIZE(advice); i++) {
			madvise((void *)s.p, SIZE, advice[i]);
			CHECK_SIGBUS(s.p + i * PAGE);
		}
	}
}

static void bar_advised(void)
{
	advise(false);
}

static void buffer_advised(void)
{
	advise(true);
}

struct step {
	volatile int child, both, parent;
};

static struct step *new_step(void)
{
	return try_map(-1, 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
}

/*
 * Fork of touched pages, untouched ones and a 2 MiB leaf. The grandchild's copy
 * is two generations away from the mmap.
 */
struct family {
	struct step *step;
	const struct subject *s;
	volatile char *huge;
};

static void family_member(struct family *f, bool dead)
{
	unsigned int i;

	if (!dead) {
		are_pages(f->s->p, 0, PAGES);
		CHECK_EQ(read32(f->huge), 0x40e);
		return;
	}
	are_gone(f->s->p, PAGES);
	for (i = 0; i < 16; i++)
		CHECK_SIGBUS(f->huge + i * KIB(128));
}

static int grandchild(void *arg)
{
	struct family *f = arg;

	family_member(f, false);
	f->step->child = 1;
	wait_for(&f->step->parent, "the end");
	family_member(f, true);
	return 0;
}

static int child(void *arg)
{
	struct family *f = arg;
	pid_t pid = spawn(grandchild, f);

	family_member(f, false);
	wait_for(&f->step->child, "the grandchild");
	f->step->both = 1;
	wait_for(&f->step->parent, "the end");
	family_member(f, true);
	join(pid);
	return 0;
}

static void forked(bool buffer)
{
	struct subject s = open_subject(buffer);
	struct family f = { .step = new_step(), .s = &s };
	int fd = s.fd;
	pid_t pid;

	if (buffer)
		fd = export_range(s.dev, 2, MIB(4), MIB(2));
	f.huge = map_aligned(fd, buffer ? 0 : bar_offset(s.dev, 2, MIB(4)), MIB(2), MIB(2), 0);
	write32(f.huge, 0x40e);
	are_pages(s.p, 0, PAGES / 2);
	pid = spawn(child, &f);
	wait_for(&f.step->both, "child and grandchild");
	if (buffer) {
		revoke_buffer(s.dev, s.fd);
		revoke_buffer(s.dev, fd);
	} else {
		memory_decode(s.dev, false);
	}
	f.step->parent = 1;
	join(pid);
	family_member(&f, true);
}

/* Does a child get huge leaves by fork? Not ours where Linux's fork does it wrong. */
static bool fork_copies_leaves(void)
{
	const char *kernel = getenv("LAB_KERNEL");

	return mm_has_pud_leaves() || (kernel && strcmp(kernel, "stock") == 0);
}

/*
 * A fork that copied a leaf could do so behind the back of a zap, as Linux reads it without a
 * lock: the child has none, gets its own by a fault, and has the rest of what a fork gives.
 */
static int without_leaves(void *arg)
{
	volatile char *p = arg;

	CHECK(!is_mapped(p) && !is_mapped(p + MIB(3)));
	CHECK_EQ(read32(p + MIB(3)), 0x1eaf);
	CHECK_EQ(count_leaves(p, MIB(8)), 4);
	return 0;
}

static void fork_copies_no_leaf(bool buffer)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer ? export_range(dev, 2, MIB(4), MIB(8)) : dev->fd;
	volatile char *p = map_aligned(fd, buffer ? 0 : bar_offset(dev, 2, MIB(4)), MIB(8), MIB(2), 0);

	if (fork_copies_leaves())
		SKIP("this kernel's fork copies leaves, and does it right");
	write32(p + MIB(3), 0x1eaf);
	CHECK_EQ(count_leaves(p, MIB(8)), 4);
	join(spawn(without_leaves, (void *)p));
	/* Also of a child that has asked to keep what a fork wipes. */
	CHECK(madvise((void *)p, MIB(8), MADV_KEEPONFORK) == 0 || errno == EINVAL);
	join(spawn(without_leaves, (void *)p));
	CHECK_EQ(count_leaves(p, MIB(8)), 4);
}

static void bar_fork_copies_no_leaf(void)
{
	fork_copies_no_leaf(false);
}

static void buffer_fork_copies_no_leaf(void)
{
	fork_copies_no_leaf(true);
}

/* A fork that a zap meets in the middle; of a process of its own, whose memory is locked meanwhile. */
struct midway {
	struct {
		volatile int mapped, go, forked, zapped;
	} *step;
	int fd;
	uint64_t start;
	volatile char *p;
};

static int after_the_zap(void *arg)
{
	struct midway *m = arg;

	wait_for(&m->step->zapped, "the zap");
	CHECK(!is_mapped(m->p));
	CHECK_SIGBUS(m->p);
	return 0;
}

static int fork_midway(void *arg)
{
	struct midway *m = arg;
	pid_t pid;

	m->p = map_aligned(m->fd, m->start, MIB(2), MIB(2), 0);
	write32(m->p, 0x40e);
	CHECK_EQ(count_leaves(m->p, MIB(2)), 1);
	m->step->mapped = 1;
	wait_for(&m->step->go, "the hold");
	pid = spawn(after_the_zap, m);
	m->step->forked = 1;
	join(pid);
	CHECK_SIGBUS(m->p);
	return 0;
}

/*
 * The fork has looked at the huge leaf and not copied it yet, a zap comes, and clears the leaf
 * and looks at the child's page table: the child is not to get what the fork has seen. Linux as
 * it is gives it to the child:
 *
 *	lab/run --kernel stock -- barbuf-tests vma_surgery:bar_forked_in_a_zap
 */
static void forked_in_a_zap(bool buffer)
{
	struct dev *dev = dev_open("ivshmem");
	struct midway m = { .fd = dev->fd, .start = bar_offset(dev, 2, MIB(4)) };
	bool held = false;
	uint64_t end;
	pid_t pid;
	int hold;

	if (buffer) {
		m.fd = export_range(dev, 2, MIB(4), MIB(2));
		m.start = 0;
	}
	m.step = try_map(-1, 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
	pid = spawn(fork_midway, &m);
	wait_for(&m.step->mapped, "the mapping");
	hold = hold_arm(HOLD_LOCK, .caller = LOCK_IN_FORK, .tid = pid);
	m.step->go = 1;
	for (end = timeout(); !held && !m.step->forked && now_ns() < end; sleep_ms(1))
		held = hold_held(hold) == pid;

	if (buffer)
		revoke_buffer(dev, m.fd);
	else
		memory_decode(dev, false);
	if (held)
		hold_release(hold);
	m.step->zapped = 1;
	join(pid);
	CHECK_EQ(held, fork_copies_leaves());
}

static void bar_forked_in_a_zap(void)
{
	forked_in_a_zap(false);
}

static void buffer_forked_in_a_zap(void)
{
	forked_in_a_zap(true);
}

/* A leaf that is read-only where its VMA is not becomes writable by a write, and does not loop. */
static void written_after_clear_refs(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = export_range(dev, 2, MIB(4), MIB(8)), pipes[2];
	volatile char *p = map_aligned(fd, 0, MIB(8), MIB(2), 0);
	uint32_t word = 0xc1ea;

	OK(pipe(pipes));
	if (!write_file("/proc/self/clear_refs", "4"))
		SKIP("no soft-dirty bits: %s", strerror_name(errno));
	(void)read32(p);
	(void)read32(p + MIB(2));
	write32(p, 0x50f7);
	CHECK_EQ(read32(p), 0x50f7);
	/* By the kernel, for a program. */
	CHECK_EQ(write(pipes[1], &word, sizeof(word)), sizeof(word));
	CHECK_EQ(read(pipes[0], (void *)(p + MIB(2)), sizeof(word)), sizeof(word));
	CHECK_EQ(read32(p + MIB(2)), word);
}

static void bar_forked(void)
{
	forked(false);
}

static void buffer_forked(void)
{
	forked(true);
}

/* Something else in the middle, which a revoke must leave alone. */
static void mapped_over(bool buffer)
{
	struct subject s = open_subject(buffer), other;
	volatile char *anon, *page;
	int fd;

	are_pages(s.p, 0, PAGES);
	anon = mmap((void *)(s.p + 10 * PAGE), 4 * PAGE, RW,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(anon == s.p + 10 * PAGE);
	write32(anon, 1234);
	/* Of another buffer, or of another BAR page: right beside, at another offset. */
	fd = buffer ? export_range(s.dev, 2, MIB(1), PAGE) : s.dev->fd;
	page = mmap((void *)(s.p + 40 * PAGE), PAGE, RW, MAP_SHARED | MAP_FIXED, fd,
		    buffer ? 0 : bar_offset(s.dev, 2, MIB(1)));
	CHECK(page == s.p + 40 * PAGE);
	write32(page + 8, 0xcafe);
	/* The same object again, at an offset that does not continue what is there. */
	other = s;
	other.p = mmap((void *)(s.p + 50 * PAGE), 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, s.fd,
		       s.start + 2 * PAGE);
	CHECK(other.p == s.p + 50 * PAGE);
	are_pages(other.p, 2, 2);
	are_pages(s.p, 0, 10);
	are_pages(s.p + 14 * PAGE, 14, 26);
	are_pages(s.p + 41 * PAGE, 41, 9);
	are_pages(s.p + 52 * PAGE, 52, 12);
	suspend(&s, other.p, 2, 2);
	suspend(&s, s.p + 52 * PAGE, 52, 12);
	CHECK_EQ(read32(page + 8), 0xcafe);
	if (buffer) {
		long faults = thread_faults();

		revoke_buffer(s.dev, s.fd);
		CHECK_EQ(read32(anon), 1234);
		CHECK_EQ(read32(page + 8), 0xcafe);
		CHECK_EQ(thread_faults() - faults, 0);
		are_gone(s.p, 10);
		are_gone(s.p + 14 * PAGE, 26);
		are_gone(s.p + 41 * PAGE, 23);
	}
}

static void bar_mapped_over(void)
{
	mapped_over(false);
}

static void buffer_mapped_over(void)
{
	mapped_over(true);
}

/*
 * remap_file_pages() makes a mapping of the file that it finds under another.
 * It may be refused, and then leaves a hole, as any MAP_FIXED that fails late.
 * If it isn't, the page is the one asked for. What holds the device counts right
 * either way.
 */
static void remap_pages(bool buffer)
{
	struct subject s = open_subject(buffer);
	uint64_t base = s.start / PAGE;
	volatile char *whole = map_buffer(s.fd, s.start, SIZE);

	are_pages(s.p, 0, PAGES / 2);
	if (remap_file_pages((void *)(s.p + 30 * PAGE), PAGE, 0, base + 3, 0) == 0)
		is_page(s.p + 30 * PAGE, 3);
	are_pages(s.p, 0, 30);
	are_pages(s.p + 31 * PAGE, 31, PAGES - 31);
	if (remap_file_pages((void *)whole, SIZE, 0, base, 0) == 0)
		are_pages(whole, 0, PAGES);
	suspend(&s, s.p, 0, 30);
	dev_close(s.dev);
	if (buffer) {
		are_gone(s.p, 30);
		CHECK(try_dev_open("ivshmem"));
		return;
	}
	CHECK(!try_dev_open("ivshmem") && errno == EBUSY);
	is_page(s.p, 0);
	unmap((void *)whole, SIZE);
	unmap((void *)s.p, 20 * PAGE);
	CHECK(!try_dev_open("ivshmem") && errno == EBUSY);
	is_page(s.p + 40 * PAGE, 40);
	unmap((void *)(s.p + 20 * PAGE), SIZE - 20 * PAGE);
	CHECK_MSG(try_dev_open("ivshmem"), "the device is still held: %s", strerror_name(errno));
}

static void bar_remapped(void)
{
	remap_pages(false);
}

static void buffer_remapped(void)
{
	remap_pages(true);
}

/* Under a BAR mapping there is a file of the kernel's own; nobody maps that. */
static void bar_remapping_is_refused(void)
{
	struct subject s = open_subject(false);

	CHECK_ERRNO(remap_file_pages((void *)(s.p + 9 * PAGE), PAGE, 0, 9, 0), EINVAL);
	are_pages(s.p, 0, 9);
	are_pages(s.p + 10 * PAGE, 10, PAGES - 10);
	CHECK_ERRNO(remap_file_pages((void *)s.p, 8 * PAGE, 0, 0, 0), EINVAL);
	are_pages(s.p + 10 * PAGE, 10, PAGES - 10);
}

/* The kernel's own access to the mapping, on behalf of a system call. */
static void by_system_calls(bool buffer)
{
	struct subject s = open_subject(buffer);
	uint32_t value = 0;
	int pipes[2];

	OK(pipe(pipes));
	CHECK_EQ(write(pipes[1], (void *)(s.p + 60 * PAGE), 4), 4);
	CHECK_EQ(read(pipes[0], &value, 4), 4);
	CHECK_EQ(value, stamp(60));
	value = 0xf00d;
	CHECK_EQ(write(pipes[1], &value, 4), 4);
	CHECK_EQ(read(pipes[0], (void *)(s.p + 61 * PAGE + 32), 4), 4);
	CHECK_EQ(read32(s.p + 61 * PAGE + 32), 0xf00d);
	/* Into the device's own BAR, through its own file. */
	CHECK_EQ(pwrite(s.dev->fd, (void *)(s.p + 3 * PAGE), 4, bar_offset(s.dev, 2, MIB(8))), 4);
	CHECK_EQ(pread(s.dev->fd, (void *)(s.p + 4 * PAGE + 32), 4, bar_offset(s.dev, 2, MIB(8))),
		 4);
	CHECK_EQ(read32(s.p + 4 * PAGE + 32), stamp(3));

	memory_decode(s.dev, false);
	CHECK_ERRNO(write(pipes[1], (void *)s.p, 4), EFAULT);
	memory_decode(s.dev, true);
	CHECK_EQ(write(pipes[1], (void *)s.p, 4), 4);
	CHECK_EQ(read(pipes[0], &value, 4), 4);
	CHECK_EQ(value, stamp(0));
	if (buffer) {
		revoke_buffer(s.dev, s.fd);
		CHECK_ERRNO(write(pipes[1], (void *)s.p, 4), EFAULT);
		CHECK_EQ(write(pipes[1], &value, 4), 4);
		CHECK_ERRNO(read(pipes[0], (void *)s.p, 4), EFAULT);
	}
}

static void bar_by_system_calls(void)
{
	by_system_calls(false);
}

static void buffer_by_system_calls(void)
{
	by_system_calls(true);
}

static const struct test_case cases[] = {
	CASE(bar_split),
	CASE(bar_split_in_a_huge_leaf),
	CASE(bar_moved),
	CASE(bar_resized),
	CASE(bar_protected),
	CASE(bar_advised),
	CASE(bar_forked),
	CASE_MMAP(bar_fork_copies_no_leaf),
	CASE(bar_forked_in_a_zap),
	CASE(bar_mapped_over),
	CASE(bar_remapped),
	CASE(bar_by_system_calls),
	CASE_MMAP(buffer_split),
	CASE_MMAP(buffer_split_in_a_huge_leaf),
	CASE_MMAP(buffer_moved),
	CASE_MMAP(buffer_resized),
	CASE_MMAP(buffer_protected),
	CASE_MMAP(buffer_advised),
	CASE_MMAP(buffer_forked),
	CASE_MMAP(buffer_fork_copies_no_leaf),
	CASE_MMAP(buffer_forked_in_a_zap),
	CASE_MMAP(written_after_clear_refs),
	CASE_MMAP(buffer_mapped_over),
	CASE_MMAP(buffer_remapped),
	CASE_MMAP(bar_remapping_is_refused),
	CASE_MMAP(buffer_by_system_calls),
};

TEST_MAIN(cases)
