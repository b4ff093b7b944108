// SPDX-License-Identifier: LGPL-2.1-or-later
/* What blkload's verdicts stand on: sectors, the account of what may be on a disk, percentiles. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "args.h"
#include "histogram.h"
#include "load.h"
#include "stamp.h"
#include "syscalls.h"
#include "tap.h"

/* CRC-32 once more, bit by bit. */
static uint32_t crc(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t c = ~0u;
	int i;

	while (size--) {
		c ^= *p++;
		for (i = 0; i < 8; i++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
	}
	return ~c;
}

static void stamps(void)
{
	struct stamp s, other;
	unsigned int i, torn = 0;
	char text[BLK_SECTOR + 1];

	stamp_make(&s, 1234, 5, 6);
	CHECK(!memcmp(&s, "BLOAD001", 8), "a stamp begins with its name");
	CHECK(s.crc == crc(&s, offsetof(struct stamp, crc)), "and ends with a CRC-32");
	CHECK(stamp_look(&s, 1234) == STAMP_OURS && s.generation == 5 && s.seed == 6,
	      "what was written is found");
	CHECK(stamp_look(&s, 1235) == STAMP_ELSEWHERE, "a sector of another place");
	for (i = 8 * BLK_SECTOR - 1; i >= 64; i--) {
		((unsigned char *)&s)[i / 8] ^= 1 << i % 8;
		torn += stamp_look(&s, 1234) == STAMP_TORN;
		((unsigned char *)&s)[i / 8] ^= 1 << i % 8;
	}
	CHECK(torn == 8 * BLK_SECTOR - 64, "each bit that is another is seen: %u", torn);
	stamp_make(&other, 1234, 6, 6);
	torn = 0;
	for (i = 64; i < BLK_SECTOR; i += 64) {
		struct stamp mixed = other;

		memcpy(&mixed, &s, i);
		torn += stamp_look(&mixed, 1234) == STAMP_TORN;
	}
	CHECK(torn == 7, "half of one generation, half of the next: %u", torn);
	stamp_make(&other, 1234, 5, 7);
	CHECK(memcmp(s.filling, other.filling, sizeof(s.filling)), "each writer has its filling");

	snprintf(text, sizeof(text), "%-511d\n", 98765);
	CHECK(stamp_look((void *)text, 98765) == STAMP_HOST, "the host's content");
	CHECK(stamp_look((void *)text, 98766) == STAMP_OTHER, "of another sector");
	text[300] = 'x';
	CHECK(stamp_look((void *)text, 98765) == STAMP_OTHER, "or not quite");
	memset(text, 0, sizeof(text));
	CHECK(stamp_look((void *)text, 0) == STAMP_OTHER, "zeros are nobody's");
	stamp_host(text, UINT64_MAX);
	CHECK(!strncmp(text, "18446744073709551615  ", 22), "the largest number");
	stamp_host(text, 0);
	CHECK(!strncmp(text, "0  ", 3) && text[511] == '\n', "and the smallest");
}

/* Of one block of two sectors, 50 of the window and 150 of the disk. */
static unsigned char block[2 * BLK_SECTOR];
static char text[300];

static void account(struct load_check *k, enum load_verify verify)
{
	const struct blk_client_facts facts = {
		.window = { .block_size = sizeof(block) },
		.first_block = 100,
		.nr_blocks = 200,
	};

	if (load_check_init(k, verify, 42, &facts, 50, 10))
		exit(1);
	stamp_host((char *)block, 300);
	stamp_host((char *)block + BLK_SECTOR, 301);
}

static unsigned int wrong(const struct load_check *k)
{
	return load_check_read(k, 0, block, text, sizeof(text));
}

static void checks(void)
{
	unsigned char old[sizeof(block)];
	struct load_check k;
	struct stamp foreign;
	uint64_t written, sum, want;

	account(&k, LOAD_VERIFY_HOST);
	CHECK(!wrong(&k), "the host's content, where nothing was written");
	CHECK(load_check_read(&k, 1, block, text, sizeof(text)) == 2, "of another block: %s", text);
	load_check_sum(&k, &written, &sum);
	CHECK(!written && !sum, "nothing is written yet");

	memcpy(old, block, sizeof(block));
	load_check_fill(&k, 0, block);
	CHECK(!wrong(&k), "a write in flight may have happened");
	memcpy(block, old, BLK_SECTOR);
	CHECK(!wrong(&k), "to one of its sectors");
	memcpy(block, old, sizeof(block));
	CHECK(!wrong(&k), "or not");
	load_check_written(&k, 0, 0);
	CHECK(wrong(&k) == 2, "when it is done, it has: %s", text);
	load_check_fill(&k, 0, block);
	memcpy(old, block, sizeof(block));
	load_check_written(&k, 0, 0);
	CHECK(!wrong(&k), "the next one");
	load_check_sum(&k, &written, &sum);
	want = (uint64_t)((struct stamp *)block)[0].crc + ((struct stamp *)block)[1].crc;
	CHECK(written == 2 && sum == want, "and the sum of it");

	load_check_fill(&k, 0, block);
	load_check_written(&k, 0, -EIO);
	CHECK(!wrong(&k), "a write that failed may have happened");
	memcpy(block + BLK_SECTOR, old + BLK_SECTOR, BLK_SECTOR);
	CHECK(!wrong(&k), "in part");
	load_check_sum(&k, &written, &sum);
	CHECK(!written, "and is none that is known");
	block[BLK_SECTOR - 9] ^= 1;
	CHECK(wrong(&k) == 1 && strstr(text, "checksum"), "but not within a sector: %s", text);
	load_check_fill(&k, 0, block);
	load_check_written(&k, 0, 0);
	memcpy(block, old, sizeof(block));
	CHECK(wrong(&k) == 2 && strstr(text, "generation 2 of seed 42"), "what is old: %s", text);
	load_check_free(&k);

	account(&k, LOAD_VERIFY_HOST);
	load_check_spoil(&k, block);
	CHECK(wrong(&k) == 2, "what lay where a read came to nothing: %s", text);
	load_check_fill(&k, 0, block);
	load_check_written(&k, 0, 0);
	memcpy(old, block, sizeof(block));
	load_check_spoil(&k, block);
	memcpy(block, old, BLK_SECTOR / 2);
	memcpy(block + BLK_SECTOR, old + BLK_SECTOR, BLK_SECTOR);
	CHECK(wrong(&k) == 1 && strstr(text, "checksum"), "or came in part: %s", text);
	load_check_free(&k);

	account(&k, LOAD_VERIFY_HOST);
	stamp_make(&foreign, 300, 1, 43);
	memcpy(block, &foreign, sizeof(foreign));
	CHECK(wrong(&k) == 1 && strstr(text, "seed 43"), "another's sector: %s", text);
	k.verify = LOAD_VERIFY_ANY;
	CHECK(!wrong(&k), "which `any` allows");
	block[100] ^= 1;
	CHECK(wrong(&k) == 1, "if it is whole");
	k.verify = LOAD_VERIFY_OWN;
	CHECK(!wrong(&k), "and `own` does not look at");
	load_check_fill(&k, 0, block);
	load_check_written(&k, 0, 0);
	CHECK(!wrong(&k), "until it wrote itself");
	block[100] ^= 1;
	CHECK(wrong(&k) == 1, "then it does");
	k.verify = LOAD_VERIFY_NONE;
	CHECK(!wrong(&k), "`none` never does");
	load_check_free(&k);

	account(&k, LOAD_VERIFY_OWN);
	memset(block, 0xee, sizeof(block));
	load_check_fill(&k, 0, old);
	CHECK(!wrong(&k), "before the first write is over, anything");
	memcpy(block, old, sizeof(block));
	block[100] ^= 1;
	CHECK(wrong(&k) == 1, "but a part of it");
	load_check_free(&k);
}

static struct histogram h;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void histograms(void)
{
	static uint64_t times[20000];
	static const double parts[] = { 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	size_t i, nr = sizeof(times) / sizeof(times[0]);
	unsigned int seed = 1;

	CHECK(histogram_at(&h, 0.5) == 0, "of nothing");
	histogram_add(&h, 0);
	CHECK(h.count == 1 && histogram_at(&h, 1) == 0, "of 0");
	for (i = 1; i < 100; i++)
		histogram_add(&h, i);
	CHECK(histogram_at(&h, 0.5) == 49 && histogram_at(&h, 0.99) == 98 &&
		      histogram_at(&h, 1) == 99,
	      "small ones are exact");
	histogram_clear(&h);
	for (i = 1; i <= 3; i++)
		histogram_add(&h, i);
	CHECK(histogram_at(&h, 0.5) == 2 && histogram_at(&h, 0.34) == 2 &&
		      histogram_at(&h, 0.33) == 1,
	      "half of three are two");
	histogram_clear(&h);
	histogram_add(&h, UINT64_MAX);
	CHECK(h.max == HISTOGRAM_MAX && histogram_at(&h, 0.5) == HISTOGRAM_MAX,
	      "what is too long is the longest");
	histogram_clear(&h);
	CHECK(!h.count && !h.max && !histogram_at(&h, 1), "cleared");

	for (i = 0; i < nr; i++) {
		times[i] = (uint64_t)rand_r(&seed) << rand_r(&seed) % 9;
		histogram_add(&h, times[i]);
	}
	qsort(times, nr, sizeof(times[0]), compare);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t rank = parts[i] * nr;
		uint64_t is = times[rank ? rank - 1 : 0], got = histogram_at(&h, parts[i]);

		CHECK(got >= is && got <= is + is / 64 + 1, "%g of them: %ju, that is %ju",
		      parts[i], (uintmax_t)got, (uintmax_t)is);
	}
	CHECK(histogram_at(&h, 1) == times[nr - 1], "the longest is exact");
	/* Each power of two and its neighbours: no bucket is missing, none is out of order. */
	for (i = 1; i < 40; i++) {
		uint64_t t, last = 0;

		for (t = (1ull << i) - 1; t <= (1ull << i) + 1; t++) {
			histogram_clear(&h);
			histogram_add(&h, t);
			histogram_add(&h, HISTOGRAM_MAX);
			if (histogram_at(&h, 0.5) < t || histogram_at(&h, 0.5) > t + t / 64 ||
			    histogram_at(&h, 0.5) < last)
				break;
			last = histogram_at(&h, 0.5);
		}
		if (t <= (1ull << i) + 1)
			break;
	}
	CHECK(i == 40, "around each power of two: %zu", i);
}

/* What stderr has while a command line is read. */
static bool parses(const char *const *argv, int want, const char *complaint)
{
	struct load_options o;
	char said[512] = "", *args[16];
	int pipes[2], saved = dup(STDERR_FILENO), argc, ret;
	ssize_t n;

	for (argc = 0; argv[argc]; argc++)
		args[argc] = (char *)argv[argc];
	args[argc] = NULL;
	if (pipe(pipes))
		return false;
	dup2(pipes[1], STDERR_FILENO);
	optind = 0;
	ret = load_parse(&o, argc, args);
	dup2(saved, STDERR_FILENO);
	close(pipes[1]);
	close(saved);
	n = read(pipes[0], said, sizeof(said) - 1);
	close(pipes[0]);
	/* One line, if any. */
	if (n > 0 && strchr(said, '\n') == said + n - 1)
		said[n - 1] = '\0';
	return CHECK(ret == want && !strchr(said, '\n') &&
			     (complaint ? n > 0 && strstr(said, complaint) : !n),
		     "%s %s: %d, %s", argv[1] ? argv[1] : "", argc > 2 ? argv[2] : "", ret, said);
}

#define PARSES(want, complaint, ...) \
	parses((const char *const[]){ "blkload", ##__VA_ARGS__, NULL }, want, complaint)

static void options(void)
{
	const struct blk_client_facts facts = { .nr_blocks = 100, .window.block_size = 512 };
	uint64_t count;

	PARSES(0, NULL, "s");
	PARSES(0, NULL, "s", "--depth", "64", "--queue", "0", "--write", "100", "--blocks", "1+2");
	PARSES(-1, "SOCKET of blkd is missing");
	PARSES(-1, "'t': one SOCKET", "s", "t");
	PARSES(-1, "--depth: '65' is not a number from 1 to 64", "--depth", "65", "s");
	PARSES(-1, "--depth: '0'", "--depth", "0", "s");
	PARSES(-1, "--depth: ' 1'", "--depth", " 1", "s");
	PARSES(-1, "--depth: '-1'", "--depth", "-1", "s");
	PARSES(-1, "--depth: ''", "--depth", "", "s");
	PARSES(-1, "--write: '101'", "--write", "101", "s");
	PARSES(-1, "--seed: '18446744073709551616'", "--seed", "18446744073709551616", "s");
	PARSES(0, NULL, "--seed", "9223372036854775807", "s");
	PARSES(-1, "--seed: '9223372036854775808'", "--seed", "9223372036854775808", "s");
	PARSES(-1, "--blocks: '1-2'", "--blocks", "1-2", "s");
	PARSES(-1, "--blocks: '1+0'", "--blocks", "1+0", "s");
	PARSES(-1, "--blocks: '1+2x'", "--blocks", "1+2x", "s");
	PARSES(-1, "--verify: 'all'", "--verify", "all", "s");
	PARSES(-1, "--requests: --seconds", "--requests", "5", "--seconds", "5", "s");
	PARSES(-1, "--nonsense", "--nonsense", "s");

	count = 0;
	CHECK(arg_fit_blocks("--blocks", &facts, 40, &count) && count == 60, "all that is left");
	count = 60;
	CHECK(arg_fit_blocks("--blocks", &facts, 40, &count), "to the end");
	count = 61;
	CHECK(!arg_fit_blocks("--blocks", &facts, 40, &count), "past the end");
	count = UINT64_MAX;
	CHECK(!arg_fit_blocks("--blocks", &facts, 40, &count), "far past the end");
	count = 0;
	CHECK(!arg_fit_blocks("--blocks", &facts, 100, &count), "from the end on");
}

static int failed;

/* The status with which a child ends that was restricted and does this. */
static int restricted(void (*act)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (syscalls_restrict())
			_exit(99);
		act();
		/* Not _exit(), before which ASan has a system call of its own. */
		syscall(SYS_exit_group, failed);
	}
	waitpid(pid, &status, 0);
	return status;
}

static int socks[2];

static void do_io(void)
{
	const struct blk_word word = { .kind = BLK_PONG };
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t len;
	int fd;

	failed = p == MAP_FAILED || munmap(p, 4096) || load_faults() == 0 ||
		 barbuf_message_send(socks[0], &word, sizeof(word), -1) ||
		 barbuf_message_recv(socks[1], block, sizeof(block), &len, &fd) ||
		 len != sizeof(word);
}

static void do_open(void)
{
	open("/dev/null", O_RDONLY);
}

static void do_socket(void)
{
	socket(AF_UNIX, SOCK_STREAM, 0);
}

static void do_exec(void)
{
	char *const argv[] = { NULL };

	execve("/bin/true", argv, argv);
}

static void do_fork(void)
{
	fork();
}

static void do_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_kill(void)
{
	kill(1, 0);
}

static void syscalls(void)
{
	static const struct {
		void (*act)(void);
		const char *what;
	} no[] = {
		{ do_open, "open a file" },	{ do_socket, "make a socket" },
		{ do_exec, "start a program" }, { do_fork, "fork" },
		{ do_code, "map code" },	{ do_kill, "signal another" },
	};
	int status;
	size_t i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks))
		return;
	status = restricted(do_io);
	CHECK(!status, "messages and memory are there: 0x%x", status);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		status = restricted(no[i].act);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "no way to %s: 0x%x",
		      no[i].what, status);
	}
}

int main(void)
{
	stamps();
	checks();
	histograms();
	options();
	syscalls();
	return tap_done();
}
