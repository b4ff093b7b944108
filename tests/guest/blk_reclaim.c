// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lease ends, in each of the ways it can, and the next client gets the queue: with
 * nothing of its predecessor's in it, and with nothing that the predecessor can still
 * reach. Those on the other queues notice no more than a pause.
 *
 * On blk a queue is reset alone; on blk-plain the device is restarted.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "blk_lent.h"
#include "program.h"

#define NOBODY 65534
#define SOMEBODY 65533
#define QUEUE 0 /* that changes hands */
#define OTHERS 2
#define SCRATCH 768 /* block that a predecessor tries to write */
#define SHARE 1024u /* blocks of each of the others; the first are for the victims */

/* The device, and how a queue of it is reclaimed. */
struct kind {
	const char *model, *how;
};

static const struct kind kinds[] = {
	{ "blk", "queue reset" },
	{ "blk-plain", "restart" },
};

#define EACH_KIND(fn)                  \
	static void fn##_queue(void)   \
	{                              \
		fn(&kinds[0]);         \
	}                              \
	static void fn##_restart(void) \
	{                              \
		fn(&kinds[1]);         \
	}

/* The disk takes so many requests a second; 0: no limit. */
static void throttle(const struct kind *k, unsigned int iops)
{
	char command[96];

	snprintf(command, sizeof(command), "lab-monitor block_set_io_throttle %s 0 0 0 %u 0 0",
		 strcmp(k->model, "blk") ? "plain" : "blk", iops);
	CHECK_EQ(system(command), 0);
}

static void start_hang(struct blkd *b, const struct kind *k, const char *hang)
{
	const char *const more[] = { "--allow", "any", "--hang", hang, NULL };

	/* Whatever a case before this one has left. */
	throttle(k, 0);
	blkd_start(b, k->model, more);
}

static void start(struct blkd *b, const struct kind *k)
{
	start_hang(b, k, slow_kernel() ? "10" : "5");
}

/* For those who need not answer. */
static void start_patient(struct blkd *b, const struct kind *k)
{
	start_hang(b, k, "0");
}

/* The others ------------------------------------------------------------------*/

struct others {
	struct load *load[OTHERS];
	uint64_t faults[OTHERS], pauses[OTHERS];
};

static void start_others(struct others *o, const struct blkd *b, struct ledger *ledger)
{
	unsigned int i;

	for (i = 0; i < OTHERS; i++) {
		o->load[i] = load_new(b, ledger, (i + 1) * SHARE, SHARE);
		o->load[i]->queue = QUEUE + 1 + i;
		load_start(o->load[i]);
	}
}

static void look_at_others(struct others *o)
{
	unsigned int i;

	for (i = 0; i < OTHERS; i++) {
		load_wait(o->load[i], 50);
		o->faults[i] = o->load[i]->faults;
		o->pauses[i] = o->load[i]->counts.pauses;
	}
}

/* Since look_at_others(): they go on, with no wrong byte and no extra fault. */
static void check_others(struct others *o, bool pause)
{
	unsigned int i;

	for (i = 0; i < OTHERS; i++) {
		load_wait(o->load[i], 50);
		CHECK_EQ(o->load[i]->faults, o->faults[i]);
		CHECK_EQ(o->load[i]->counts.sigbus, 0);
		CHECK_EQ(o->load[i]->counts.regrants, 0);
		if (pause)
			CHECK(o->load[i]->counts.pauses > o->pauses[i]);
		else
			CHECK_EQ(o->load[i]->counts.pauses, o->pauses[i]);
	}
}

static void stop_others(struct others *o)
{
	unsigned int i;

	for (i = 0; i < OTHERS; i++)
		load_stop(o->load[i]);
}

/* The victim ----------------------------------------------------------------------*/

enum way { KILLED, STOPPED, REVOKED, LEAVES, OVERSTAYS, SAYS_BYE, HANGS_UP, FORKED, NR_WAYS };

static const struct {
	const char *name;
	enum blk_end why;
} ways[] = {
	[KILLED] = { "kill -9", BLK_END_EXITED },
	[STOPPED] = { "SIGSTOP", BLK_END_HUNG },
	[REVOKED] = { "revoke", BLK_END_REVOKED },
	[LEAVES] = { "leave, and does", BLK_END_BYE },
	[OVERSTAYS] = { "leave, and does not", BLK_END_OVERSTAYED },
	[SAYS_BYE] = { "BYE", BLK_END_BYE },
	[HANGS_UP] = { "close of the socket", BLK_END_EXITED },
	[FORKED] = { "kill -9 of one that has forked", BLK_END_EXITED },
};

/* Shared with the victim and its child. */
struct stage {
	const struct blkd *b;
	enum blk_command cmd;
	enum way way;
	unsigned int in_flight; /* requests to have on the way when it ends */
	int ready, over, stop, done; /* flags */
	pid_t child;
	ino_t table, arena; /* of the memfds */
	uint64_t rings; /* that were heard after the end */
	uint64_t sigbus;
};

static struct stage *stage_new(const struct blkd *b)
{
	struct stage *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(s != MAP_FAILED);
	s->b = b;
	return s;
}

static void say(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static ino_t inode(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_ino;
}

/* All that a successor should see nothing of. */
static void leave_traces(struct raw *r)
{
	uint32_t i;

	for (i = 0; i < r->g.window.depth; i++)
		memset(raw_data(r, i), 0xc0 + i % 16, r->g.window.block_size);
	/* The first blocks of the disk are the victims'. */
	CHECK_EQ(raw_write(r, 0, 7), VIRTIO_BLK_S_OK);
	CHECK_EQ(raw_read(r, 1, 7), VIRTIO_BLK_S_OK);
	CHECK_EQ(*raw_data(r, 1), 0xc0);
}

static void put_in_flight(struct raw *r, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		/* Not side by side, or QEMU makes one request of them. */
		raw_header(r, i, VIRTIO_BLK_T_IN, raw_sector(r, 16 + 5 * i));
		raw_head(r, blk_window_head(&r->g.window, i, false));
	}
	if (nr)
		CHECK_EQ(raw_ring(r), 0);
}

/* After its end a doorbell answers SIGBUS, in a child as well. */
static void ring_in_vain(struct raw *r, struct stage *s)
{
	if (raw_ring(r) == -EIO)
		s->sigbus++;
	else
		s->rings++;
}

static int forked_child(struct raw *r, struct stage *s)
{
	say(&s->ready);
	wait_for(&s->over, "the end of the parent's lease");
	ring_in_vain(r, s);
	say(&s->done);
	return 0;
}

static int victim(void *arg)
{
	struct stage *s = arg;
	struct raw r;

	drop_to(NOBODY);
	raw_open(&r, s->b, QUEUE, 0, 0);
	s->table = inode(r.table_fd);
	s->arena = inode(r.arena_fd);
	leave_traces(&r);
	put_in_flight(&r, s->in_flight);
	if (s->way == FORKED) {
		s->child = fork();
		CHECK(s->child >= 0);
		if (s->child == 0)
			_exit(forked_child(&r, s));
		for (;;)
			pause();
	}
	say(&s->ready);
	switch (s->way) {
	case LEAVES:
		raw_wait(&r, BLK_LEAVE);
		raw_send(&r, BLK_BYE, 0);
		break;
	case SAYS_BYE:
		raw_send(&r, BLK_BYE, 0);
		break;
	case HANGS_UP:
		close(r.sock);
		wait_for(&s->over, "the end of the lease");
		ring_in_vain(&r, s);
		return 0;
	case KILLED:
	case STOPPED:
	default:
		break;
	}
	CHECK_EQ(raw_wait(&r, BLK_ENDED), ways[s->way].why);
	ring_in_vain(&r, s);
	CHECK(raw_hung_up(&r));
	return 0;
}

/* What of it comes from outside. */
static void do_it(struct blkd *b, enum way way, pid_t pid)
{
	switch (way) {
	case KILLED:
	case FORKED:
		OK(kill(pid, SIGKILL));
		break;
	case STOPPED:
		OK(kill(pid, SIGSTOP));
		break;
	case REVOKED:
		blkd_command(b, BLK_CMD_REVOKE, QUEUE, 0);
		break;
	case LEAVES:
		blkd_command(b, BLK_CMD_LEAVE, QUEUE, 20000);
		break;
	case OVERSTAYS:
		blkd_command(b, BLK_CMD_LEAVE, QUEUE, 300);
		break;
	default:
		break;
	}
}

/* The events that tell of it. */
static void check_reclaimed(struct blkd *b, size_t mark, const struct stage *s, pid_t pid,
			    const char *how)
{
	json_t *end = blkd_event(b, mark, "end", QUEUE);
	json_t *reclaim = blkd_event(b, mark, "reclaim", QUEUE);

	CHECK_MSG(strcmp(event_text(end, "why"), blk_end_name(ways[s->way].why)) == 0,
		  "%s: the end is told as '%s'", ways[s->way].name, event_text(end, "why"));
	CHECK_EQ(event_int(end, "pid"), pid);
	CHECK_EQ(event_int(end, "uid"), NOBODY);
	CHECK_MSG(strcmp(event_text(reclaim, "how"), how) == 0, "%s: reclaimed by %s",
		  ways[s->way].name, event_text(reclaim, "how"));
	CHECK(event_int(reclaim, "us") > 0);
}

/* The successor --------------------------------------------------------------------*/

/* All of a memfd from an offset on, also what is beyond the window. */
static void check_all_zero(int fd, size_t from, const char *what)
{
	struct stat st;
	uint8_t *p;
	size_t i;

	OK(fstat(fd, &st));
	CHECK((size_t)st.st_size > from);
	p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	for (i = from; i < (size_t)st.st_size; i++)
		CHECK_MSG(p[i] == 0, "byte 0x%zx of the %s is 0x%02x", i, what, p[i]);
	munmap(p, st.st_size);
}

static void check_fresh(const struct raw *r, const struct stage *s)
{
	check_all_zero(r->arena_fd, 0, "arena");
	check_all_zero(r->table_fd, r->g.window.used, "used ring");
	CHECK(inode(r->table_fd) != s->table);
	CHECK(inode(r->arena_fd) != s->arena);
}

/* Waits by its eventfd alone, as a client does that is not to poll. */
static void read_by_wake_up(struct raw *r, uint32_t slot, uint64_t block)
{
	struct pollfd p = { .fd = r->event_fd, .events = POLLIN };
	uint64_t count;

	memset(raw_data(r, slot), 0x5a, r->g.window.block_size);
	raw_header(r, slot, VIRTIO_BLK_T_IN, raw_sector(r, block));
	raw_head(r, blk_window_head(&r->g.window, slot, false));
	raw_sleep(r, 0);
	CHECK_EQ(raw_ring(r), 0);
	CHECK_MSG(poll(&p, 1, slow_kernel() ? 50000 : 10000) == 1,
		  "no wake-up; the used index is %u, awaited %u", raw_used_idx(r), r->used + 1);
	CHECK_EQ(read(r->event_fd, &count, sizeof(count)), sizeof(count));
	CHECK_EQ(raw_reap(r, 1, 1000), 1);
	CHECK_EQ(raw_used_idx(r), r->used);
	CHECK_EQ(*raw_status(r, slot), VIRTIO_BLK_S_OK);
	CHECK(block_is(raw_data(r, slot), block, 0));
}

static void use(struct raw *r, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		read_by_wake_up(r, i % r->g.window.depth, 64 + i % 512);
}

/* Cases -----------------------------------------------------------------------------*/

static void one_way(struct blkd *b, const struct kind *k, struct others *o, enum way way)
{
	struct stage *s = stage_new(b);
	size_t mark = blkd_mark(b);
	struct raw next;
	pid_t pid;

	look_at_others(o);
	s->way = way;
	s->in_flight = 16;
	pid = spawn(victim, s);
	wait_for(&s->ready, "the victim");
	do_it(b, way, pid);
	if (way == KILLED || way == FORKED)
		CHECK_EQ(wait_end(pid, "the victim"), SIGKILL);
	check_reclaimed(b, mark, s, pid, k->how);
	say(&s->over);
	if (way == STOPPED)
		OK(kill(pid, SIGCONT));
	if (way == FORKED)
		wait_for(&s->done, "the victim's child");
	else if (way != KILLED)
		CHECK_EQ(wait_end(pid, ways[way].name), 0);
	CHECK_EQ(s->rings, 0);
	CHECK_EQ(s->sigbus, way != KILLED);

	raw_open(&next, b, QUEUE, 0, 0);
	check_fresh(&next, s);
	use(&next, 8);
	check_others(o, strcmp(k->how, "restart") == 0);
	mark = blkd_mark(b);
	raw_send(&next, BLK_BYE, 0);
	CHECK_EQ(raw_wait(&next, BLK_ENDED), BLK_END_BYE);
	blkd_event(b, mark, "reclaim", QUEUE);
	raw_close(&next);
}

static void each_end(const struct kind *k)
{
	struct ledger *ledger = ledger_new(false);
	int log = log_open();
	struct others o;
	struct blkd b;
	enum way way;

	start(&b, k);
	start_others(&o, &b, ledger);
	for (way = 0; way < NR_WAYS; way++) {
		note("%s", ways[way].name);
		one_way(&b, k, &o, way);
	}
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	stop_others(&o);
	blkd_stop(&b);
	check_no_iommu_fault(log);
}
EACH_KIND(each_end)

/* A predecessor that has kept all it was given, and uses it as if nothing were. */
static int undead(void *arg)
{
	struct stage *s = arg;
	uint64_t one = 1;
	struct raw r;
	uint32_t i, round = 0;

	drop_to(NOBODY);
	raw_open(&r, s->b, QUEUE, 0, 0);
	s->table = inode(r.table_fd);
	s->arena = inode(r.arena_fd);
	leave_traces(&r);
	OK(fcntl(r.event_fd, F_SETFL, O_NONBLOCK));
	say(&s->ready);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_REVOKED);
	say(&s->over);
	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		uint64_t eaten;

		for (i = 0; i < r.g.window.depth; i++) {
			raw_header(&r, i, VIRTIO_BLK_T_OUT, raw_sector(&r, SCRATCH + i));
			memset(raw_data(&r, i), round, 64);
			raw_head(&r, blk_window_head(&r.g.window, i, true));
		}
		round++;
		ring_in_vain(&r, s);
		/* Eat its wake-ups, and now and then make one up. */
		for (i = 0; i < 64; i++) {
			if (read(r.event_fd, &eaten, sizeof(eaten)) < 0 && i == 63)
				CHECK_EQ(write(r.event_fd, &one, sizeof(one)), sizeof(one));
		}
	}
	return 0;
}

/* Until its queue is reclaimed the device may take up what it still puts into the ring, and write
 * where it was allowed to. From then on nothing. */
static void look_at_scratch(struct raw *r, uint8_t *seen, bool same)
{
	const uint32_t size = r->g.window.block_size;
	uint32_t i;

	for (i = 0; i < r->g.window.depth; i++) {
		CHECK_EQ(raw_read(r, 0, SCRATCH + i), VIRTIO_BLK_S_OK);
		CHECK_MSG(!same || memcmp(seen + i * size, raw_data(r, 0), size) == 0,
			  "block %u was written by who had it before", SCRATCH + i);
		memcpy(seen + i * size, raw_data(r, 0), size);
	}
}

/* Its ring may overflow before it is reclaimed, and the device give up. Then it is named. */
static void check_who_broke(struct blkd *b, pid_t pid)
{
	json_t *e = blkd_try_event(b, 0, "broken", -1);

	CHECK(!e || json_integer_value(json_object_get(e, "pid")) == pid);
}

static void predecessor_goes_on(const struct kind *k)
{
	static uint8_t seen[BLK_DEPTH_MAX * DISK_BLOCK];
	struct ledger *ledger = ledger_new(false);
	int log = log_open();
	struct pollfd p = { .events = POLLIN };
	struct vring_avail *avail;
	struct stage *s;
	struct others o;
	struct blkd b;
	struct raw r;
	uint64_t count;
	pid_t pid;

	start_patient(&b, k);
	start_others(&o, &b, ledger);
	s = stage_new(&b);
	pid = spawn(undead, s);
	wait_for(&s->ready, "the predecessor");
	blkd_command(&b, BLK_CMD_REVOKE, QUEUE, 0);
	wait_for(&s->over, "the predecessor's end");
	blkd_event(&b, 0, "reclaim", QUEUE);

	raw_open(&r, &b, QUEUE, 0, 0);
	avail = (void *)r.arena;
	OK(fcntl(r.event_fd, F_SETFL, O_NONBLOCK));
	check_fresh(&r, s);
	look_at_others(&o);
	look_at_scratch(&r, seen, false);
	use(&r, slow_kernel() ? 150 : 400);
	/* What has been asked for comes behind its used index, and by the end of this look it has. */
	__atomic_store_n(&avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELEASE);
	look_at_scratch(&r, seen, true);
	while (read(r.event_fd, &count, sizeof(count)) > 0)
		;
	/* No wake-up that is not its own. */
	p.fd = r.event_fd;
	CHECK_EQ(poll(&p, 1, 200), 0);
	check_others(&o, false);
	check_who_broke(&b, pid);
	say(&s->stop);
	CHECK_EQ(wait_end(pid, "the predecessor"), 0);
	CHECK_EQ(s->rings, 0);
	CHECK(s->sigbus > 0);

	stop_others(&o);
	blkd_stop(&b);
	check_no_iommu_fault(log);
}
EACH_KIND(predecessor_goes_on)

/* Requests are with the device when their owner dies: nothing of them may come later, in
 * memory or in a ring. */
static int with_requests_held_up(void *arg)
{
	const struct kind *k = arg;
	int log = log_open();
	json_t *reclaim;
	size_t mark;
	struct blkd b;
	struct raw r;
	uint32_t i;

	start_patient(&b, k);
	mark = blkd_mark(&b);
	raw_open(&r, &b, QUEUE, 0, 0);
	throttle(k, 10);
	put_in_flight(&r, 40);
	sleep_ms(50);
	CHECK_MSG(raw_used_idx(&r) < 40, "nothing was held up");
	blkd_command(&b, BLK_CMD_REVOKE, QUEUE, 0);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_REVOKED);
	raw_close(&r);
	/* It does not drain in time, on either. */
	reclaim = blkd_event(&b, mark, "reclaim", QUEUE);
	CHECK_MSG(strcmp(event_text(reclaim, "how"), "restart") == 0, "reclaimed by %s",
		  event_text(reclaim, "how"));

	raw_open(&r, &b, QUEUE, 0, 0);
	for (i = 0; i < r.g.window.depth; i++)
		memset(raw_data(&r, i), 0xa5, r.g.window.block_size);
	raw_sleep(&r, 1500);
	CHECK_EQ(raw_used_idx(&r), 0);
	throttle(k, 0);
	raw_sleep(&r, 500);
	CHECK_EQ(raw_used_idx(&r), 0);
	for (i = 0; i < r.g.window.depth * r.g.window.block_size; i++)
		CHECK_MSG(raw_data(&r, 0)[i] == 0xa5, "byte %u of the data was written", i);
	use(&r, 16);
	CHECK(!blkd_try_event(&b, 0, "broken", -1));
	CHECK(!blkd_try_event(&b, 0, "iommu_fault", -1));
	raw_close(&r);
	blkd_stop(&b);
	check_no_iommu_fault(log);
	return 0;
}

/* The disk is slow for no longer than this takes, also if it fails. */
static void while_throttled(int (*fn)(void *arg), const struct kind *k)
{
	pid_t pid = spawn(fn, (void *)k);
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	throttle(k, 0);
	CHECK_EQ(status, 0);
}

static void in_flight(const struct kind *k)
{
	while_throttled(with_requests_held_up, k);
}
EACH_KIND(in_flight)

/* Mappings of arenas that the primary has. */
static unsigned int count_arenas(const struct blkd *b)
{
	char path[64], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", b->pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:blkd-arena") != NULL;
	fclose(f);
	return n;
}

/* Hides what it has in flight, gives the pages away, and leaves. How the queue was reclaimed. */
static const char *hide_and_leave(struct blkd *b, bool quick)
{
	uint64_t end = timeout();
	size_t mark = blkd_mark(b);
	const char *how;
	struct raw r;

	raw_open(&r, b, QUEUE, 0, 0);
	throttle(&kinds[0], 10);
	put_in_flight(&r, 40);
	/* It has not begun before: then there would be nothing to hide. */
	while (!raw_used_idx(&r) && now_ns() < end)
		usleep(100);
	/* Who asks has it look. */
	if (!quick)
		blkd_status(b, QUEUE);
	CHECK_MSG(raw_used_idx(&r) < 40, "nothing was held up");
	raw_avail_idx(&r, raw_used_idx(&r));
	OK(fallocate(r.arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096,
		     r.g.window.arena_size - 4096));
	raw_close(&r);
	how = event_text(blkd_event(b, mark, "reclaim", QUEUE), "how");
	note("%s", how);
	return how;
}

/*
 * Where the lie is seen the device is restarted; @quick: where it is not, the pages stay with the
 * primary, as does the IOMMU's mapping of them, until the device can have no use for them.
 */
static int lie(bool quick)
{
	unsigned int arenas;
	const char *how;
	uint64_t end;
	struct load *l;
	struct blkd b;

	start_patient(&b, &kinds[0]);
	arenas = count_arenas(&b);
	how = hide_and_leave(&b, quick);
	if (quick && strcmp(how, "queue reset") == 0)
		CHECK_EQ(count_arenas(&b), arenas + 1);
	else
		CHECK_EQ(strcmp(how, "restart"), 0);

	/* The next one comes to its data, at worst after a restart. */
	throttle(&kinds[0], 0);
	l = load_new(&b, ledger_new(false), SHARE, 64);
	l->queue = QUEUE;
	load_start(l);
	load_wait(l, 100);
	for (end = timeout(); count_arenas(&b) != arenas; sleep_ms(50))
		CHECK_MSG(now_ns() < end, "%u arenas, not %u", count_arenas(&b), arenas);
	load_wait(l, 100);
	load_stop(l);
	blkd_stop(&b);
	return 0;
}

static int lift_throttle(void *arg)
{
	throttle(arg, 0);
	return 0;
}

/* What the device completes late is in the next one's used ring, and not held against it. */
static int lie_about_next(void *arg)
{
	struct blkd b;
	struct raw r;
	unsigned int tries = 8;
	pid_t pid;
	int status;
	size_t mark;
	json_t *e;

	start_patient(&b, &kinds[0]);
	/* Where the lie was seen nothing comes late. */
	while (tries-- && strcmp(hide_and_leave(&b, true), "queue reset"))
		;
	mark = blkd_mark(&b);
	raw_open(&r, &b, QUEUE, 0, 0);
	/* That takes a while, and here somebody may be asked to pause. */
	pid = spawn(lift_throttle, arg);
	while (waitpid(pid, &status, WNOHANG) == 0)
		raw_sleep(&r, 20);
	CHECK_EQ(status, 0);
	raw_sleep(&r, 500);
	note("%u late completions", raw_used_idx(&r));
	put_in_flight(&r, 1);
	/* Its lease goes on, at worst after a restart. */
	raw_sleep(&r, 1500);
	for (; (e = blkd_try_event(&b, mark, "broken", -1)); mark++) {
		note("%s", event_text(e, "what"));
		CHECK_EQ(event_int(e, "pid"), -1);
	}
	raw_close(&r);
	blkd_stop(&b);
	return 0;
}

static int lie_in_time(void *arg)
{
	return lie(false);
}

static int lie_quickly(void *arg)
{
	return lie(true);
}

static void liar(void)
{
	while_throttled(lie_in_time, &kinds[0]);
	while_throttled(lie_quickly, &kinds[0]);
	while_throttled(lie_about_next, &kinds[0]);
}

/* Fills its queue as fast as it can, and does not stop by itself. */
static int restless(void *arg)
{
	struct stage *s = arg;
	struct raw r;
	uint32_t slot = 0;

	drop_to(NOBODY);
	raw_open(&r, s->b, QUEUE, 0, 0);
	for (slot = 0; slot < r.g.window.depth; slot++)
		raw_header(&r, slot, VIRTIO_BLK_T_IN, raw_sector(&r, slot));
	slot = 0;
	do {
		while ((uint16_t)(r.avail - raw_used_idx(&r)) < r.g.window.depth) {
			raw_head(&r, blk_window_head(&r.g.window, slot, false));
			slot = (slot + 1) % r.g.window.depth;
		}
		say(&s->ready);
	} while (raw_ring(&r) == 0);
	return 0;
}

/* The doorbell goes first: or the queue would never be empty, and be reset while it is used. */
static void restless_client(void)
{
	int log = log_open();
	json_t *reclaim;
	struct stage *s;
	char said[900];
	struct blkd b;
	struct raw r;
	pid_t pid;

	start_patient(&b, &kinds[0]);
	s = stage_new(&b);
	pid = spawn(restless, s);
	wait_for(&s->ready, "the restless");
	sleep_ms(200);
	blkd_command(&b, BLK_CMD_REVOKE, QUEUE, 0);
	reclaim = blkd_event(&b, 0, "reclaim", QUEUE);
	CHECK_EQ(wait_end(pid, "the restless"), 0);
	CHECK_MSG(strcmp(event_text(reclaim, "how"), "queue reset") == 0,
		  "not drained: reclaimed by %s; blkd said: %s", event_text(reclaim, "how"),
		  blkd_said(&b, said, sizeof(said)));
	raw_open(&r, &b, QUEUE, 0, 0);
	use(&r, 8);
	raw_close(&r);
	blkd_stop(&b);
	check_no_iommu_fault(log);
}

static int command_child(void *arg)
{
	struct stage *s = arg;

	blkd_command(s->b, s->cmd, -1, 0);
	return 0;
}

/* Its answer comes when it is done, and that takes this process's answers, too. */
static pid_t command_beside(const struct blkd *b, enum blk_command cmd)
{
	struct stage *s = stage_new(b);

	s->cmd = cmd;
	return spawn(command_child, s);
}

/* On command, leases stay, and all see the same pause. */
static void restart_on_command(void)
{
	struct ledger *ledger = ledger_new(false);
	uint8_t *table, *arena;
	struct others o;
	struct blkd b;
	struct raw r;
	size_t mark;
	uint32_t epoch;
	unsigned int i;
	long faults;
	pid_t pid;

	start_patient(&b, &kinds[0]);
	start_others(&o, &b, ledger);
	raw_open(&r, &b, QUEUE, 0, 0);
	for (i = 0; i < 3; i++) {
		use(&r, 4);
		look_at_others(&o);
		mark = blkd_mark(&b);
		table = r.table;
		arena = r.arena;
		pid = command_beside(&b, BLK_CMD_RESTART);
		epoch = raw_wait(&r, BLK_RESUME);
		CHECK(epoch > r.g.epoch);
		r.g.epoch = epoch;
		join(pid);
		CHECK(r.table == table && r.arena == arena);
		CHECK_EQ(raw_used_idx(&r), 0);
		CHECK(event_int(blkd_event(&b, mark, "restart", -1), "us") > 0);
		/* The same doorbell, without a fault. */
		faults = thread_faults();
		CHECK_EQ(raw_ring(&r), 0);
		CHECK_EQ(thread_faults(), faults);
		use(&r, 4);
		check_others(&o, true);
	}
	raw_close(&r);
	stop_others(&o);
	blkd_stop(&b);
}

/* A reset of the bus ends every lease, and each is granted anew: with other memory. */
static void pci_reset(const struct kind *k)
{
	struct ledger *ledger = ledger_new(false);
	struct stage *s;
	struct barbuf_map *bell;
	struct others o;
	struct blkd b;
	struct raw r;
	size_t mark;
	unsigned int i, n;
	pid_t pid;

	start_patient(&b, k);
	s = stage_new(&b);
	start_others(&o, &b, ledger);
	raw_open(&r, &b, QUEUE, 0, 0);
	for (n = 0; n < 2; n++) {
		leave_traces(&r);
		for (i = 0; i < OTHERS; i++)
			load_wait(o.load[i], 50);
		s->table = inode(r.table_fd);
		s->arena = inode(r.arena_fd);
		bell = r.bell;
		mark = blkd_mark(&b);
		pid = command_beside(&b, BLK_CMD_RESET);
		raw_wait(&r, BLK_GRANT);
		CHECK(event_int(blkd_event(&b, mark, "reset", -1), "us") > 0);
		join(pid);
		check_fresh(&r, s);
		CHECK_EQ(barbuf_map_doorbell16(bell, r.g.doorbell, r.g.doorbell_value), -EIO);
		use(&r, 8);
		for (i = 0; i < OTHERS; i++) {
			load_wait(o.load[i], 50);
			CHECK_EQ(o.load[i]->counts.regrants, n + 1);
		}
	}
	raw_close(&r);
	stop_others(&o);
	blkd_stop(&b);
}
EACH_KIND(pci_reset)

/* By root's `barbuf revoke`, of which blkd is not told: it notices, and says so to the holder. */
static void revoked_by_another(void)
{
	struct barbuf_buffer *buf;
	json_t *event;
	struct blkd b;
	struct raw r;
	size_t mark;

	blkd_start(&b, "blk", (const char *const[]){ "--hang", "0", NULL });
	raw_open(&r, &b, 1, 0, 8);
	CHECK_EQ(raw_read(&r, 0, 0), VIRTIO_BLK_S_OK);
	buf = r.buf;
	mark = blkd_mark(&b);
	enter_scratch();
	CHECK_EQ(exit_status(start_program("out", "barbuf", "revoke", "blkd-queue-1", NULL),
			     "barbuf revoke"),
		 0);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
	CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_REVOKED);
	event = blkd_event(&b, mark, "end", 1);
	CHECK(strcmp(event_text(event, "why"), blk_end_name(BLK_END_REVOKED)) == 0);
	blkd_event(&b, mark, "reclaim", 1);
	raw_close(&r);
	raw_open(&r, &b, 1, 0, 8);
	CHECK_EQ(raw_read(&r, 0, 0), VIRTIO_BLK_S_OK);
	raw_close(&r);
	blkd_stop(&b);
}

/* The device file of blkd, as root has it by ptrace's rights. */
static int steal_device(const struct blkd *b)
{
	int pidfd = OK(syscall(SYS_pidfd_open, b->pid, 0)), fd;
	char path[64], target[64];

	for (fd = 0; fd < 1024; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", b->pid, fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		/* By its group, or by a file of its own. */
		if (strcmp(target, "anon_inode:[vfio-device]") == 0 ||
		    strncmp(target, "/dev/vfio/devices/", strlen("/dev/vfio/devices/")) == 0)
			return OK(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
	}
	FAIL("blkd has no device open");
}

static void decode(int device, bool on)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command;

	OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config));
	CHECK_EQ(pread(device, &command, 2, config.offset + PCI_COMMAND), 2);
	if (on)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	CHECK_EQ(pwrite(device, &command, 2, config.offset + PCI_COMMAND), 2);
}

/* The BARs are switched off for a while, and blkd looks at them meanwhile. */
static void out_of_reach(void)
{
	struct ledger *ledger = ledger_new(false);
	struct others o;
	struct blkd b;
	int device;
	unsigned int i;

	start(&b, &kinds[0]);
	start_others(&o, &b, ledger);
	for (i = 0; i < OTHERS; i++)
		load_wait(o.load[i], 50);
	device = steal_device(&b);
	decode(device, false);
	sleep_ms(300);
	decode(device, true);
	close(device);
	for (i = 0; i < OTHERS; i++) {
		load_wait(o.load[i], 50);
		CHECK(o.load[i]->counts.sigbus > 0);
		CHECK_EQ(o.load[i]->counts.regrants, 0);
	}
	CHECK(!blkd_try_event(&b, 0, "end", -1));
	stop_others(&o);
	blkd_stop(&b);
}

static struct load *load_on(const struct blkd *b, struct ledger *ledger, int queue)
{
	struct load *l = load_new(b, ledger, (queue + 1) * SHARE, SHARE);

	l->queue = queue;
	load_start(l);
	load_wait(l, 50);
	return l;
}

/* One of those that are granted a lease anew cannot be sent it; where a queue cannot be reset alone
 * that is a restart, for which all the others are paused, those behind it as well. */
static void lost_at_regrant(void)
{
	struct ledger *ledger = ledger_new(false);
	struct load *before, *behind;
	struct blkd b;
	struct raw r;
	size_t mark;

	blkd_start(&b, "blk-plain", (const char *const[]){ "--allow", "any", "--hang", "0", NULL });
	before = load_on(&b, ledger, 0);
	raw_open(&r, &b, 1, 0, 0);
	behind = load_on(&b, ledger, 2);
	OK(shutdown(r.sock, SHUT_RD));
	mark = blkd_mark(&b);
	blkd_command(&b, BLK_CMD_RESET, -1, 0);
	blkd_event(&b, mark, "reclaim", 1);
	load_wait(before, 50);
	load_wait(behind, 50);
	load_stop(before);
	load_stop(behind);
	blkd_stop(&b);
}

/* Who cannot be told to pause is not waited for. */
static void lost_at_pause(void)
{
	struct load *l;
	struct blkd b;
	struct raw r;

	blkd_start(&b, "blk", (const char *const[]){ "--allow", "any", "--hang", "0", NULL });
	l = load_on(&b, ledger_new(false), 1);
	raw_open(&r, &b, QUEUE, 0, 0);
	OK(shutdown(r.sock, SHUT_RD));
	blkd_command(&b, BLK_CMD_RESTART, -1, 0);
	CHECK(strcmp(event_text(blkd_event(&b, 0, "end", QUEUE), "why"),
		     blk_end_name(BLK_END_EXITED)) == 0);
	/* Silence would be waited for for two seconds. */
	CHECK(event_int(blkd_event(&b, 0, "restart", -1), "pause_us") < 1500000);
	load_stop(l);
	blkd_stop(&b);
}

/* Who stops the device again and again ----------------------------------------------*/

/* Has what it had asked for taken back, over and over, until it gets no queue any more. */
static int takes_back(void *arg)
{
	const struct blkd *b = arg;
	unsigned int i, round;
	char why[256];
	struct raw r;
	int ret;

	drop_to(NOBODY);
	for (round = 0; round < 100; round++) {
		ret = raw_try_open(&r, b, QUEUE, 0, 0, why);
		if (ret) {
			note("refused after %u rounds: %s", round, why);
			CHECK_EQ(ret, -EACCES);
			return 0;
		}
		for (i = 0; i < r.g.window.depth; i++) {
			raw_header(&r, i, VIRTIO_BLK_T_IN, raw_sector(&r, 16 + 5 * i));
			raw_head(&r, blk_window_head(&r.g.window, i, false));
		}
		raw_send(&r, BLK_BYE, 0);
		CHECK_EQ(raw_wait(&r, BLK_ENDED), BLK_END_BYE);
		raw_avail_idx(&r, raw_used_idx(&r));
		raw_close(&r);
	}
	FAIL("it may go on for ever");
}

static int beside_who_takes_back(void *arg)
{
	const struct kind *k = arg;
	struct load *l;
	struct blkd b;
	struct raw r;

	start_patient(&b, k);
	l = load_new(&b, ledger_new(false), SHARE, SHARE);
	l->queue = 1;
	l->uid = SOMEBODY;
	load_start(l);
	load_wait(l, 50);
	/* So slow that each time there is something to take back. */
	throttle(k, 100);
	join(spawn(takes_back, &b));
	throttle(k, 0);
	load_wait(l, 50);
	/* Others get the queue. */
	raw_open(&r, &b, QUEUE, 0, 0);
	use(&r, 4);
	raw_close(&r);
	load_stop(l);
	blkd_stop(&b);
	return 0;
}

static void taken_back_again_and_again(void)
{
	if (slow_kernel())
		SKIP("too often is 16 restarts in 10 s, and this kernel may be slower than that");
	while_throttled(beside_who_takes_back, &kinds[0]);
}

/* Takes a queue and answers nothing. */
static int silent(void *arg)
{
	struct stage *s = arg;
	char why[256];
	struct raw r;
	int ret;

	drop_to(NOBODY);
	ret = raw_try_open(&r, s->b, QUEUE, 0, 0, why);
	say(&s->ready);
	if (ret) {
		note("%s", why);
		CHECK_EQ(ret, -EACCES);
		say(&s->over);
		return 0;
	}
	CHECK(raw_hung_up(&r));
	return 0;
}

static void silent_again_and_again(void)
{
	struct load *l;
	struct stage *s;
	struct blkd b;
	unsigned int i;
	pid_t pid;

	blkd_start(&b, "blk", (const char *const[]){ "--allow", "any", "--hang", "0", NULL });
	l = load_new(&b, ledger_new(false), SHARE, SHARE);
	l->queue = 1;
	l->uid = SOMEBODY;
	load_start(l);
	load_wait(l, 50);
	s = stage_new(&b);
	for (i = 0; !s->over; i++) {
		CHECK_MSG(i < 6, "each of its leases stops all the others");
		s->ready = 0;
		pid = spawn(silent, s);
		wait_for(&s->ready, "a silent client");
		if (!s->over)
			blkd_command(&b, BLK_CMD_RESTART, -1, 0);
		join(pid);
	}
	/* Not for the first one: it may be in a debugger. */
	CHECK(i > 2);
	load_wait(l, 50);
	load_stop(l);
	blkd_stop(&b);
}

/* A queue that the device may still be at work on counts, for who had it. */
static int asks_for_one_more(void *arg)
{
	const struct blkd *b = arg;
	struct raw first, next;

	drop_to(NOBODY);
	raw_open(&first, b, QUEUE, 0, 0);
	put_in_flight(&first, 40);
	raw_send(&first, BLK_BYE, 0);
	CHECK_EQ(raw_wait(&first, BLK_ENDED), BLK_END_BYE);
	raw_open(&next, b, BLK_ANY_QUEUE, 0, 0);
	return 0;
}

static int quota(void *arg)
{
	const struct kind *k = arg;
	const char *const more[] = { "--allow", "65534,queues=1", "--drain", "1000", NULL };
	const json_t *event;
	struct blkd b;
	size_t i;
	int seen = 0;

	blkd_start(&b, k->model, more);
	throttle(k, 10);
	join(spawn(asks_for_one_more, &b));
	blkd_event(&b, 0, "reclaim", -1);
	/* lease, end, reclaim, lease */
	json_array_foreach(b.events, i, event)
	{
		if (strcmp(event_text(event, "event"), "reclaim") == 0)
			break;
		seen += strcmp(event_text(event, "event"), "lease") == 0;
	}
	CHECK_EQ(seen, 1);
	blkd_stop(&b);
	return 0;
}

static void quota_while_reclaimed(void)
{
	while_throttled(quota, &kinds[0]);
}

static void ask_alone(int sock, int queue)
{
	const struct blk_ask ask = { .kind = BLK_ASK, .version = BLK_VERSION, .queue = queue };

	CHECK_EQ(barbuf_message_send(sock, &ask, sizeof(ask), -1), 0);
}

static uint32_t first_word(int sock)
{
	union {
		uint32_t kind;
		struct blk_grant grant;
		struct blk_text text;
	} m;
	size_t len;
	int fd = -1;

	CHECK_EQ(barbuf_message_recv(sock, &m, sizeof(m), &len, &fd), 0);
	return m.kind;
}

/* Who asks in the very round in which a queue comes free is behind those who wait for it. */
static void waiting_in_order(void)
{
	struct raw pausing, leaving;
	int waits, late;
	struct blkd b;
	pid_t pid;

	blkd_start(&b, "blk", (const char *const[]){ "--allow", "any", "--hang", "0", NULL });
	raw_open(&pausing, &b, 1, 0, 0);
	raw_open(&leaving, &b, QUEUE, 0, 0);
	waits = raw_connect(&b);
	late = raw_connect(&b);
	pid = command_beside(&b, BLK_CMD_RESTART);
	blkd_event(&b, 0, "pause", 1);
	raw_send(&leaving, BLK_BYE, 0);
	blkd_event(&b, 0, "end", QUEUE);
	ask_alone(waits, QUEUE);
	sleep_ms(100);
	OK(kill(b.pid, SIGSTOP));
	while (task_state(b.pid) != 'T')
		sleep_ms(1);
	raw_wait(&pausing, BLK_PAUSE);
	ask_alone(late, QUEUE);
	OK(kill(b.pid, SIGCONT));
	CHECK_EQ(first_word(waits), BLK_GRANT);
	CHECK_EQ(first_word(late), BLK_REFUSED);
	join(pid);
	blkd_stop(&b);
}

static const struct test_case cases[] = {
	CASE_MMAP(each_end_queue, .seconds = 60),
	CASE_MMAP(each_end_restart, .seconds = 60),
	CASE_MMAP(predecessor_goes_on_queue),
	CASE_MMAP(predecessor_goes_on_restart),
	CASE_MMAP(restless_client),
	CASE_MMAP(restart_on_command),
	CASE_MMAP(pci_reset_queue),
	CASE_MMAP(pci_reset_restart),
	CASE_MMAP(in_flight_queue, .seconds = 60),
	CASE_MMAP(in_flight_restart, .seconds = 60),
	CASE_MMAP(liar, .seconds = 60),
	CASE_MMAP(revoked_by_another),
	CASE_MMAP(out_of_reach),
	CASE_MMAP(lost_at_regrant),
	CASE_MMAP(lost_at_pause),
	CASE_MMAP(taken_back_again_and_again, .seconds = 60),
	CASE_MMAP(silent_again_and_again, .seconds = 40),
	CASE_MMAP(quota_while_reclaimed),
	CASE_MMAP(waiting_in_order),
};

TEST_MAIN(cases)
