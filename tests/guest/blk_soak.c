// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four clients share the disk, and each second something happens to one of them, or to the
 * device under all: by chance, from a seed that is printed. Who ends is followed by another on
 * the same blocks. In the end the whole disk is what was written, and nothing ended but what
 * was meant to.
 *
 * SOAK=SECONDS (or 20m) is how long; SEED=N repeats what happens, though not when. A case as any
 * other by default; make soak lets it run for long.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "blk_lent.h"

#define CLIENTS 4
#define SHARE (DISK_BLOCKS / CLIENTS)
#define FIRST_UID 60000
#define UIDS 1000

enum action { KILL, REVOKE, LEAVE, STOP, RESTART, RESET, NONSENSE, NR_ACTIONS };

static const char *const action_names[NR_ACTIONS] = {
	[KILL] = "kill -9",    [REVOKE] = "revoke",   [LEAVE] = "leave",       [STOP] = "SIGSTOP",
	[RESTART] = "restart", [RESET] = "PCI reset", [NONSENSE] = "nonsense",
};

/* One of the four: a load, or who has taken its place to break the device. */
struct client {
	struct load *load;
	pid_t pid;
	bool stopped, hostile;
	unsigned int may; /* a bit for each enum blk_end that it may end with */
	bool over; /* its lease */
	uint64_t expected_by; /* when it must be, now_ns(); 0: need not */
};

static struct {
	unsigned int seconds;
	uint64_t seed, random;
	unsigned int uids; /* handed out so far */
	struct blkd b;
	struct ledger *ledger;
	struct client c[CLIENTS];
	size_t looked; /* at events */
	uint64_t done, faults, pauses, regrants, resubmitted, ignored;
	unsigned int actions[NR_ACTIONS], ends[BLK_END_DEVICE_GONE + 1];
	unsigned int by_queue_reset, by_restart;
	long long slowest_reclaim;
} soak;

static uint64_t next_random(void)
{
	uint64_t x = soak.random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Clients -----------------------------------------------------------------------------*/

static void begin(struct client *c)
{
	struct load *l = c->load;

	l->depth = 1 + next_random() % BLK_DEPTH_MAX;
	l->poll = next_random() % 4 == 0;
	load_start(l);
	c->pid = l->pid;
	c->stopped = false;
	c->hostile = false;
	c->over = false;
	c->may = 0;
	c->expected_by = 0;
}

static void count(struct client *c)
{
	struct load *l = c->load;

	CHECK_MSG(l->errors == 0, "client %d read %ju wrong blocks", c->pid, (uintmax_t)l->errors);
	CHECK_MSG(l->io_errors == 0, "client %d has met %ju errors", c->pid,
		  (uintmax_t)l->io_errors);
	soak.done += l->done;
	soak.faults += l->faults;
	soak.pauses += l->counts.pauses;
	soak.regrants += l->counts.regrants;
	soak.resubmitted += l->counts.resubmitted;
	soak.ignored += l->counts.ignored;
	l->done = 0;
	l->counts = (struct blk_client_counts){ 0 };
}

/* It has ended, or is to: its process goes, and another comes. */
static void replace(struct client *c)
{
	int status;

	c->load->fenced = 1;
	if (c->stopped) {
		/* Some wake up, and find out. */
		OK(kill(c->pid, next_random() % 2 ? SIGCONT : SIGKILL));
	}
	status = wait_end(c->pid, "a client that was told to");
	CHECK_MSG(status == 0 || WIFSIGNALED(status), "client %d ended with 0x%x", c->pid, status);
	if (WIFSIGNALED(status))
		CHECK_EQ(WTERMSIG(status), SIGKILL);
	if (!c->hostile)
		count(c);
	/* Somebody else: a user who was stopped at three restarts within ten seconds gets no queue. */
	c->load->uid = FIRST_UID + ++soak.uids % UIDS;
	begin(c);
}

static struct client *find(long long pid)
{
	unsigned int i;

	for (i = 0; i < CLIENTS; i++) {
		if (soak.c[i].pid == pid)
			return &soak.c[i];
	}
	return NULL;
}

static void look_at_end(const json_t *event)
{
	const char *why = event_text(event, "why");
	struct client *c = find(event_int(event, "pid"));
	uint32_t end;

	for (end = 0; end <= BLK_END_DEVICE_GONE; end++) {
		if (strcmp(why, blk_end_name(end)) == 0)
			break;
	}
	CHECK_MSG(end <= BLK_END_DEVICE_GONE, "an end by '%s'", why);
	soak.ends[end]++;
	/* Another grant follows, on the same connection. */
	if (end == BLK_END_RESET && soak.actions[RESET])
		return;
	CHECK_MSG(c && c->may & 1u << end, "pid %lld has lost its lease: %s",
		  event_int(event, "pid"), why);
	c->over = true;
}

static bool is_ending(const json_t *event)
{
	const struct client *c = find(event_int(event, "pid"));

	return c && c->may;
}

/* How it came to this: the clients, and the last events up to the one that is looked at. */
static void tell_all(void)
{
	size_t i = soak.looked < 30 ? 0 : soak.looked - 30;
	unsigned int n;

	for (; i <= soak.looked; i++) {
		char *line = json_dumps(json_array_get(soak.b.events, i), JSON_COMPACT);

		note("%s", line);
		free(line);
	}
	for (n = 0; n < CLIENTS; n++) {
		const struct client *c = &soak.c[n];

		note("client %d: may 0x%x, over %d, stopped %d, hostile %d; load: state %d, end %d, result %d %s",
		     c->pid, c->may, c->over, c->stopped, c->hostile, c->load->state, c->load->end,
		     c->load->result, c->load->why);
	}
}

static void look_at_events(void)
{
	const json_t *event;

	for (; soak.looked < json_array_size(soak.b.events); soak.looked++) {
		const char *name;

		event = json_array_get(soak.b.events, soak.looked);
		name = event_text(event, "event");
		if (strcmp(name, "end") == 0) {
			look_at_end(event);
		} else if (strcmp(name, "reclaim") == 0) {
			if (strcmp(event_text(event, "how"), "queue reset") == 0)
				soak.by_queue_reset++;
			else
				soak.by_restart++;
			if (event_int(event, "us") > soak.slowest_reclaim)
				soak.slowest_reclaim = event_int(event, "us");
		} else if (strcmp(name, "broken") == 0) {
			const struct client *c = find(event_int(event, "pid"));

			CHECK_MSG(c && c->hostile, "the device gave up, by pid %lld",
				  event_int(event, "pid"));
		} else if (strcmp(name, "refused") == 0 && is_ending(event)) {
			/* A reset ended the lease, and found nobody to grant it anew. */
			find(event_int(event, "pid"))->over = true;
		} else if (strcmp(name, "iommu_fault") == 0 || strcmp(name, "refused") == 0) {
			tell_all();
			FAIL("not expected of any client");
		}
	}
}

static void look(void)
{
	unsigned int i;

	CHECK_MSG(waitpid(soak.b.pid, NULL, WNOHANG) == 0, "blkd has ended");
	blkd_mark(&soak.b);
	look_at_events();
	for (i = 0; i < CLIENTS; i++) {
		struct client *c = &soak.c[i];

		if (c->over) {
			replace(c);
		} else if (c->expected_by && now_ns() > c->expected_by) {
			FAIL("the lease of %d is not over yet", c->pid);
		} else if (!c->hostile && !c->may) {
			load_check(c->load);
		}
	}
}

/* What happens --------------------------------------------------------------------------*/

static void expect(struct client *c, enum blk_end why)
{
	c->may |= 1u << why;
	if (!c->expected_by)
		c->expected_by = timeout();
}

/* Somebody else for a moment, who ends the device's work for all. */
static int hostile(void *arg)
{
	struct raw r;
	uint32_t i;

	drop_to(FIRST_UID + UIDS);
	raw_open(&r, &soak.b, BLK_ANY_QUEUE, 0, 0);
	for (i = 0; i < 1 + next_random() % 8; i++)
		raw_head(&r, r.g.window.queue_size + i);
	CHECK_EQ(raw_ring(&r), 0);
	while (raw_wait(&r, BLK_ENDED) != BLK_END_BROKE_DEVICE)
		;
	return 0;
}

static bool act(enum action a, struct client *c)
{
	/* One thing at a time for each; the device is under all. */
	if (a != RESTART && a != RESET &&
	    (c->may || __atomic_load_n(&c->load->state, __ATOMIC_ACQUIRE) != LOAD_RUNNING))
		return false;
	switch (a) {
	case KILL:
		expect(c, BLK_END_EXITED);
		OK(kill(c->pid, SIGKILL));
		break;
	case REVOKE:
		expect(c, BLK_END_REVOKED);
		blkd_command(&soak.b, BLK_CMD_REVOKE, c->load->got_queue, 0);
		break;
	case LEAVE:
		expect(c, BLK_END_BYE);
		expect(c, BLK_END_EXITED);
		expect(c, BLK_END_OVERSTAYED);
		blkd_command(&soak.b, BLK_CMD_LEAVE, c->load->got_queue,
			     next_random() % 2 ? 5000 : 1);
		break;
	case STOP:
		expect(c, BLK_END_HUNG);
		c->stopped = true;
		OK(kill(c->pid, SIGSTOP));
		break;
	case RESTART:
		blkd_command(&soak.b, BLK_CMD_RESTART, -1, 0);
		break;
	case RESET:
		soak.actions[RESET]++;
		blkd_command(&soak.b, BLK_CMD_RESET, -1, 0);
		return true;
	case NONSENSE:
		/* In the place of one that goes by itself. */
		expect(c, BLK_END_BYE);
		expect(c, BLK_END_EXITED);
		c->load->stop = 1;
		CHECK_EQ(wait_end(c->pid, "a client"), 0);
		while (!c->over) {
			blkd_mark(&soak.b);
			look_at_events();
			sleep_ms(5);
		}
		count(c);
		c->over = false;
		c->may = 0;
		c->expected_by = 0;
		c->hostile = true;
		c->pid = spawn(hostile, NULL);
		expect(c, BLK_END_BROKE_DEVICE);
		break;
	case NR_ACTIONS:
		break;
	}
	soak.actions[a]++;
	return true;
}

/* What stops all for longer is rarer. Drawn until none is left, so that each has its turn. */
static enum action lots[] = {
	KILL,	KILL,  KILL,  KILL, KILL,    REVOKE, REVOKE,   REVOKE,
	REVOKE, LEAVE, LEAVE, STOP, RESTART, RESET,  NONSENSE,
};

static void something_happens(void)
{
	static unsigned int left;
	unsigned int i, k;

	if (!left) {
		for (i = ARRAY_SIZE(lots) - 1; i; i--) {
			enum action a = lots[i];

			k = next_random() % (i + 1);
			lots[i] = lots[k];
			lots[k] = a;
		}
		left = ARRAY_SIZE(lots);
	}
	for (i = 0; i < 100; i++) {
		if (act(lots[left - 1], &soak.c[next_random() % CLIENTS])) {
			left--;
			return;
		}
	}
}

static void check_all_happened(void)
{
	unsigned int i, sum = 0;

	for (i = 0; i < NR_ACTIONS; i++)
		sum += soak.actions[i];
	CHECK_MSG(sum >= ARRAY_SIZE(lots) || soak.seconds < 60, "only %u things happened", sum);
	for (i = 0; i < NR_ACTIONS; i++)
		CHECK_MSG(soak.actions[i] || sum < ARRAY_SIZE(lots), "no %s in %u", action_names[i],
			  sum);
}

/* The whole ---------------------------------------------------------------------------------*/

static void tell(uint64_t began)
{
	uint64_t done = soak.done;
	char happened[200] = "";
	unsigned int i;

	for (i = 0; i < CLIENTS; i++)
		done += soak.c[i].load->done;
	for (i = 0; i < NR_ACTIONS; i++)
		snprintf(happened + strlen(happened), sizeof(happened) - strlen(happened),
			 ", %u %s", soak.actions[i], action_names[i]);
	note("%4ju s: %ju requests%s", (uintmax_t)((now_ns() - began) / 1000000000),
	     (uintmax_t)done, happened);
}

static void stop_clients(void)
{
	unsigned int i;

	for (i = 0; i < CLIENTS; i++) {
		struct client *c = &soak.c[i];

		/* First what is under way already. */
		while (c->may) {
			look();
			sleep_ms(10);
		}
	}
	for (i = 0; i < CLIENTS; i++) {
		load_wait(soak.c[i].load, 20);
		load_stop(soak.c[i].load);
		count(&soak.c[i]);
	}
}

static uint8_t *read_all(void)
{
	uint8_t *disk = malloc((size_t)DISK_BLOCKS * DISK_BLOCK);
	uint32_t block, slot;
	struct raw r;

	CHECK(disk);
	raw_open(&r, &soak.b, BLK_ANY_QUEUE, BLK_READ_ONLY, 0);
	CHECK_EQ(r.g.window.depth, BLK_DEPTH_MAX);
	for (block = 0; block < DISK_BLOCKS; block += BLK_DEPTH_MAX) {
		for (slot = 0; slot < BLK_DEPTH_MAX; slot++) {
			memset(raw_data(&r, slot), 0x5a, DISK_BLOCK);
			raw_header(&r, slot, VIRTIO_BLK_T_IN, raw_sector(&r, block + slot));
			raw_head(&r, blk_window_head(&r.g.window, slot, false));
		}
		CHECK_EQ(raw_ring(&r), 0);
		CHECK_EQ(raw_reap(&r, BLK_DEPTH_MAX, 50000), BLK_DEPTH_MAX);
		memcpy(disk + (size_t)block * DISK_BLOCK, raw_data(&r, 0),
		       (size_t)BLK_DEPTH_MAX * DISK_BLOCK);
	}
	raw_close(&r);
	return disk;
}

static void check_disk(uint8_t *disk, uint32_t blocks, const char *by)
{
	uint32_t unknown, bad = disk_check(disk, blocks, soak.ledger, &unknown);

	CHECK_MSG(bad == 0, "%u of %u blocks are not what was written, read by %s", bad, blocks,
		  by);
	note("%u blocks of the disk are what was written, read by %s; %u were not used",
	     blocks - unknown, by, unknown);
	free(disk);
}

static void run(void)
{
	const char *const more[] = { "--allow", "any", "--hang", slow_kernel() ? "10" : "5", NULL };
	uint64_t began, next, told;
	uint32_t blocks;
	uint8_t *disk;
	unsigned int i;
	int log = log_open();

	note("SOAK=%u SEED=%" PRIu64, soak.seconds, soak.seed);
	soak.random = soak.seed;
	soak.ledger = ledger_new(false);
	blkd_start(&soak.b, "blk", more);
	for (i = 0; i < CLIENTS; i++) {
		soak.c[i].load = load_new(&soak.b, soak.ledger, i * SHARE, SHARE);
		soak.c[i].load->uid = FIRST_UID + ++soak.uids;
		soak.c[i].load->seed = next_random();
		begin(&soak.c[i]);
	}
	began = told = now_ns();
	for (next = began + 1000000000; now_ns() < began + soak.seconds * 1000000000ull;) {
		if (now_ns() >= next) {
			something_happens();
			next = now_ns() + 1000000000;
		}
		look();
		if (now_ns() > told + 30000000000ull) {
			told = now_ns();
			tell(began);
		}
		sleep_ms(10);
	}
	stop_clients();
	check_disk(read_all(), DISK_BLOCKS, "a last lease");
	blkd_stop(&soak.b);
	tell(began);
	for (i = 0; i <= BLK_END_DEVICE_GONE; i++) {
		if (soak.ends[i])
			note("%u leases ended: %s", soak.ends[i], blk_end_name(i));
	}
	note("%u queues reclaimed by a queue reset, %u by a restart, the slowest in %lld ms",
	     soak.by_queue_reset, soak.by_restart, soak.slowest_reclaim / 1000);
	note("%ju pauses, %ju regrants, %ju requests submitted again", (uintmax_t)soak.pauses,
	     (uintmax_t)soak.regrants, (uintmax_t)soak.resubmitted);
	CHECK_EQ(soak.ignored, 0);
	CHECK(soak.done > 0);
	check_all_happened();
	check_no_iommu_fault(log);

	/* By somebody who knows nothing of all this. */
	disk = disk_read("blk", slow_kernel() && soak.seconds < 300 ? 512 : DISK_BLOCKS, &blocks);
	check_disk(disk, blocks, "the kernel's driver");
}

/* Seconds, or with an m minutes. */
static bool parse_time(const char *text, unsigned int *seconds)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *text == '-' || n < 1 || n > 604800)
		return false;
	if (*end == 'm') {
		n *= 60;
		end++;
	}
	*seconds = n;
	return !*end && n <= 604800;
}

int main(int argc, char **argv)
{
	struct test_case cases[] = { CASE_MMAP(run) };
	const char *text = getenv("SOAK");
	char *end;

	soak.seconds = 20;
	if (text && *text && !parse_time(text, &soak.seconds)) {
		fprintf(stderr,
			"blk_soak: SOAK '%s' is not seconds from 1 to 604800, nor minutes as 20m\n",
			text);
		return 2;
	}
	text = getenv("SEED");
	soak.seed = now_ns();
	if (text && *text) {
		soak.seed = strtoull(text, &end, 0);
		if (*end) {
			fprintf(stderr, "blk_soak: SEED '%s' is not a number\n", text);
			return 2;
		}
	}
	cases[0].name = "soak";
	cases[0].seconds = soak.seconds + 60;
	return harness_main(argc, argv, cases, 1);
}
