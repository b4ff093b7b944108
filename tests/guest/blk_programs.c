// SPDX-License-Identifier: GPL-2.0-only
/*
 * blkcat and blkload against blkd and a real queue, and the kernel's own driver as a witness: what
 * they say is on the disk, it has to find there.
 */
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "program.h"

#define MODEL "blk"
#define SECTOR 512u
#define BLOCK 4096u
#define SECTORS (BLOCK / SECTOR)
/* The part of the disk that these tests use, in blocks: 4 MiB. */
#define BLOCKS 1024u
#define NOBODY 65534

static char address[32];
static pid_t blkd;
/* The disk as the kernel reads it, when it has the device. */
static uint8_t disk[BLOCKS * BLOCK] __attribute__((aligned(4096)));

/* The kernel's driver ---------------------------------------------------------*/

/* Gives the device back to the kernel and opens its disk. */
static int kernel_disk(void)
{
	uint64_t end = timeout();
	char pattern[128], path[64];
	glob_t found = { 0 };
	int fd;

	CHECK(system("modprobe virtio_blk && vfio-unbind " MODEL) == 0);
	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/virtio*/block/*", address);
	while (glob(pattern, 0, NULL, &found) || !found.gl_pathc) {
		CHECK_MSG(now_ns() < end, "the kernel has no disk of %s", address);
		sleep_ms(10);
	}
	snprintf(path, sizeof(path), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	while ((fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC)) < 0) {
		CHECK_MSG(now_ns() < end, "%s cannot be opened", path);
		sleep_ms(10);
	}
	return fd;
}

static void vfio_again(int fd)
{
	int group;

	close(fd);
	CHECK(dev_bind(MODEL, address, &group));
}

static void host_sector(void *data, uint64_t sector)
{
	char text[SECTOR + 1];

	snprintf(text, sizeof(text), "%-511llu\n", (unsigned long long)sector);
	memcpy(data, text, SECTOR);
}

static bool is_host(const void *data, uint64_t sector)
{
	char text[SECTOR];

	host_sector(text, sector);
	return !memcmp(data, text, SECTOR);
}

static void read_disk(void)
{
	int fd = kernel_disk();

	CHECK_EQ(OK(pread(fd, disk, sizeof(disk), 0)), sizeof(disk));
	vfio_again(fd);
}

static void write_disk(void)
{
	int fd = kernel_disk();

	CHECK_EQ(OK(pwrite(fd, disk, sizeof(disk), 0)), sizeof(disk));
	OK(fsync(fd));
	vfio_again(fd);
}

/* CRC-32 of IEEE 802.3 (reflected 0x04c11db7), not the one that wrote it. */
static uint32_t crc32_of(const uint8_t *p, size_t size)
{
	uint32_t crc = ~0u;
	int i;

	while (size--) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static uint64_t word(const uint8_t *sector, unsigned int nr)
{
	uint64_t w;

	memcpy(&w, sector + 8 * nr, sizeof(w));
	return w;
}

/*
 * Each sector from @first on is the host's or a whole one of this writer's. How many there
 * are of his, and the sum of their checksums.
 */
static uint64_t find_written(uint32_t first, uint32_t blocks, uint64_t seed, uint64_t *sum)
{
	uint64_t sector = first * SECTORS, end = sector + blocks * SECTORS, found = 0;

	for (*sum = 0; sector < end; sector++) {
		const uint8_t *p = disk + sector * SECTOR;
		uint32_t crc;

		if (is_host(p, sector))
			continue;
		CHECK_MSG(!memcmp(p, "BLOAD001", 8), "sector %llu is nobody's",
			  (unsigned long long)sector);
		CHECK_EQ(word(p, 1), sector);
		CHECK_EQ(word(p, 3), seed);
		memcpy(&crc, p + SECTOR - 4, sizeof(crc));
		CHECK_EQ(crc, crc32_of(p, SECTOR - 4));
		*sum += crc;
		found++;
	}
	return found;
}

/* Programs ------------------------------------------------------------------------*/

/* A folder of its own, and the disk as the host made it. */
static void prepare(void)
{
	uint64_t sector;
	int group;

	if (!dev_bind(MODEL, address, &group))
		SKIP("this lab has no " MODEL);
	enter_scratch();
	OK(chmod(".", 0755)); /* for the plain user that the programs run as */
	for (sector = 0; sector < BLOCKS * SECTORS; sector++)
		host_sector(disk + sector * SECTOR, sector);
	write_disk();
}

/* Waits until blkd has told of this. */
static void wait_event(const char *event)
{
	uint64_t end = timeout();
	char text[4096];

	while (!strstr(read_file("blkd", text, sizeof(text)), event)) {
		CHECK_MSG(now_ns() < end && !waitpid(blkd, NULL, WNOHANG), "no '%s' in: %s", event,
			  text);
		sleep_ms(1);
	}
}

/* blkd, with this rule. */
static void serve(const char *allow)
{
	unlink("blkd");
	blkd = OK(fork());
	if (!blkd) {
		int fd = open("blkd", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execlp("blkd", "blkd", "--allow", allow, address, "socket", NULL);
		_exit(127);
	}
	wait_event(" ready ");
}

static void stop_blkd(void)
{
	OK(kill(blkd, SIGTERM));
	CHECK_EQ(exit_status(blkd, "blkd"), 0);
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(126);
}

/* Starts a program as a plain user without capabilities; its output is in @name.out and .err. */
static pid_t start(const char *name, const char *in, const char *const *argv)
{
	pid_t pid = OK(fork());

	if (!pid) {
		char path[64];
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(in ? in : "/dev/null", O_RDONLY);
		dup2(fd, STDIN_FILENO);
		snprintf(path, sizeof(path), "%s.out", name);
		dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
		snprintf(path, sizeof(path), "%s.err", name);
		dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
		become_nobody();
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return pid;
}

#define START(name, in, ...) start(name, in, (const char *const[]){ __VA_ARGS__, NULL })
#define RUN(name, in, ...) exit_status(START(name, in, __VA_ARGS__), name)

static const char *said(const char *name)
{
	static char text[4096];
	char path[64];

	snprintf(path, sizeof(path), "%s.err", name);
	return read_file(path, text, sizeof(text));
}

static bool blkctl(const char *command, const char *queue)
{
	pid_t pid = OK(fork());

	if (!pid) {
		execlp("blkctl", "blkctl", "socket", command, queue, NULL);
		_exit(127);
	}
	return exit_status(pid, "blkctl") == 0;
}

/* The last line of what blkload --json has printed. */
static json_t *last_line(const char *name)
{
	static char line[4096];
	char path[64];
	json_t *object = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s.out", name);
	f = fopen(path, "re");
	if (!f)
		return NULL; /* the child has not come so far */
	while (fgets(line, sizeof(line), f) && strchr(line, '\n')) {
		json_decref(object);
		object = json_loads(line, 0, NULL);
		CHECK_MSG(object, "'%s' is no JSON", line);
	}
	fclose(f);
	return object;
}

static long long number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	CHECK_MSG(json_is_integer(value), "no number '%s'", key);
	return json_integer_value(value);
}

static json_t * final(const char *name)
{
	json_t *object = last_line(name);

	CHECK_MSG(object && json_is_true(json_object_get(object, "final")), "%s: no last line: %s",
		  name, said(name));
	return object;
}

static void check_end(const json_t *object, const char *why)
{
	const char *end = json_string_value(json_object_get(object, "end"));

	CHECK_MSG(why ? end && !strcmp(end, why) : !end, "it ended because '%s', not '%s'",
		  end ? end : "(nothing)", why ? why : "(nothing)");
}

/* Waits until it has done so many requests more. */
static void wait_requests(const char *name, long long more)
{
	uint64_t end = timeout();
	long long first = -1;

	for (;;) {
		json_t *line = last_line(name);
		long long done = line ? number(line, "done") : 0;

		json_decref(line);
		if (first < 0)
			first = done;
		if (done >= first + more)
			return;
		CHECK_MSG(now_ns() < end, "%s does not get on: %s", name, said(name));
		sleep_ms(5);
	}
}

/* Cases -------------------------------------------------------------------------------*/

static const struct {
	const char *name, *depth, *blocks, *seed, *extra, *more;
	uint32_t first, count;
} loads[] = {
	{ "one", "1", "0+100", "1001", "--confine", NULL, 0, 100 },
	{ "one-poll", "1", "100+100", "1002", "--poll", NULL, 100, 100 },
	{ "all", "64", "200+300", "1003", NULL, NULL, 200, 300 },
	{ "all-poll", "64", "500+40", "1004", "--poll", "--confine", 500, 40 },
};

/* Depths 1 and 64, by interrupts and polling: written, read back, and found by the kernel. */
static void written_and_found(void)
{
	const char *requests = slow_kernel() ? "400" : "3000";
	json_t *end[ARRAY_SIZE(loads)];
	uint64_t sum;
	size_t i;

	prepare();
	serve("any");
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		const char *name = loads[i].name;
		int status = RUN(name, NULL, "blkload", "socket", "--json", "--write", "50",
				 "--requests", requests, "--depth", loads[i].depth, "--blocks",
				 loads[i].blocks, "--seed", loads[i].seed, "--verify", "host",
				 loads[i].extra ? loads[i].extra : loads[i].more, loads[i].more);

		CHECK_MSG(status == 0, "%s: status %d: %s", name, status, said(name));
		end[i] = final(name);
		check_end(end[i], NULL);
		CHECK_EQ(number(end[i], "done"), atoi(requests));
		CHECK(number(end[i], "reads") > 0 && number(end[i], "writes") > 0);
		CHECK_EQ(number(end[i], "errors"), 0);
		CHECK_EQ(number(end[i], "io_errors"), 0);
		CHECK_EQ(number(end[i], "sigbus"), 0);
		CHECK_EQ(number(end[i], "faults"), 0);
		CHECK_EQ(number(end[i], "ignored"), 0);
		CHECK_EQ(number(end[i], "resubmitted"), 0);
		CHECK(!number(end[i], "interrupts") == !!strstr(name, "poll"));
		CHECK(number(end[i], "p50_us") <= number(end[i], "p99_us") &&
		      number(end[i], "p99_us") <= number(end[i], "max_us"));
		note("depth %s%s: %lld IOPS, p50 %lld us, p99 %lld us", loads[i].depth,
		     strstr(name, "poll") ? ", polling" : "", number(end[i], "iops"),
		     number(end[i], "p50_us"), number(end[i], "p99_us"));
		CHECK_MSG(!*said(name), "%s says '%s'", name, said(name));
	}
	stop_blkd();
	read_disk();
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		CHECK_EQ(find_written(loads[i].first, loads[i].count, atoi(loads[i].seed), &sum),
			 number(end[i], "written"));
		CHECK_EQ(sum, number(end[i], "sum"));
		CHECK(number(end[i], "written") > 0);
	}
	CHECK_EQ(find_written(540, BLOCKS - 540, 0, &sum), 0);
}

/* What is on the disk is told apart from what should be there. */
static void wrong_data(void)
{
	json_t *end;

	prepare();
	memset(disk + 10 * BLOCK + 3 * SECTOR, 0, SECTOR);
	disk[11 * BLOCK + 100] ^= 0x40;
	host_sector(disk + 12 * BLOCK, 12 * SECTORS + 1);
	write_disk();
	serve("any");

	CHECK_EQ(RUN("zeros", NULL, "blkload", "socket", "--json", "--blocks", "10+1", "--requests",
		     "5", "--depth", "4"),
		 1);
	end = final("zeros");
	CHECK_EQ(number(end, "errors"), 5);
	CHECK_EQ(number(end, "io_errors"), 0);
	check_end(end, NULL);
	CHECK_MSG(strstr(said("zeros"), "data error: sector 83 has neither"), "%s", said("zeros"));
	CHECK_EQ(RUN("bit", NULL, "blkload", "socket", "--blocks", "11+1", "--requests", "1"), 1);
	CHECK_MSG(strstr(said("bit"), "data error: sector 88 has neither"), "%s", said("bit"));
	CHECK_EQ(RUN("place", NULL, "blkload", "socket", "--blocks", "12+1", "--requests", "1"), 1);
	CHECK_EQ(RUN("beside", NULL, "blkload", "socket", "--blocks", "13+1", "--requests", "1"),
		 0);
	/* What was not written by it is not its concern, but what was is. */
	CHECK_EQ(RUN("own", NULL, "blkload", "socket", "--blocks", "10+3", "--requests", "300",
		     "--verify", "own", "--write", "50"),
		 0);
	CHECK_EQ(RUN("host", NULL, "blkload", "socket", "--blocks", "10+3", "--requests", "20"), 1);
	CHECK_EQ(RUN("any", NULL, "blkload", "socket", "--blocks", "10+3", "--requests", "20",
		     "--verify", "any"),
		 0);
	stop_blkd();
}

static void make_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	CHECK_EQ(write(fd, data, size), size);
	close(fd);
}

static bool file_is(const char *path, const uint8_t *data, size_t size)
{
	static uint8_t have[BLOCKS * BLOCK + 1];
	int fd = OK(open(path, O_RDONLY));
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, have + n, sizeof(have) - n)) > 0)
		n += got;
	close(fd);
	return n == size && !memcmp(have, data, size);
}

static void cat_both_ways(void)
{
	static uint8_t data[200 * BLOCK];
	unsigned int i;

	prepare();
	serve("any");
	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 7 + i / BLOCK;
	make_file("data", data, sizeof(data));
	CHECK_MSG(RUN("in", "data", "blkcat", "socket", "--block", "300", "--write", "--flush",
		      "--confine") == 0,
		  "%s", said("in"));
	CHECK_MSG(RUN("back", NULL, "blkcat", "socket", "--block", "300+200", "--confine") == 0,
		  "%s", said("back"));
	CHECK(file_is("back.out", data, sizeof(data)));
	CHECK_MSG(RUN("one", NULL, "blkcat", "socket", "--block", "300+200", "--depth", "1") == 0,
		  "%s", said("one"));
	CHECK(file_is("one.out", data, sizeof(data)));

	make_file("part", data, 2 * BLOCK + 1);
	CHECK_EQ(RUN("part", "part", "blkcat", "socket", "--block", "600", "--write"), 1);
	CHECK_MSG(strstr(said("part"), "after 1 of 4096 bytes"), "%s", said("part"));
	CHECK_EQ(RUN("more", "data", "blkcat", "socket", "--block", "700+3", "--write"), 1);
	CHECK_MSG(strstr(said("more"), "after the last block, 702"), "%s", said("more"));
	CHECK_EQ(RUN("far", NULL, "blkcat", "socket", "--block", "8192"), 1);
	CHECK_MSG(strstr(said("far"), "which has 8192 blocks of 4096 bytes"), "%s", said("far"));
	CHECK_EQ(RUN("full", NULL, "sh", "-c", "blkcat socket --block 0+1 >/dev/full"), 1);
	CHECK_MSG(strstr(said("full"), "No space left"), "%s", said("full"));
	stop_blkd();

	read_disk();
	CHECK(!memcmp(disk + 300 * BLOCK, data, sizeof(data)));
	CHECK(!memcmp(disk + 600 * BLOCK, data, 2 * BLOCK));
	CHECK(is_host(disk + 602 * BLOCK, 602 * SECTORS));
	CHECK(!memcmp(disk + 700 * BLOCK, data, 3 * BLOCK));
	CHECK(is_host(disk + 703 * BLOCK, 703 * SECTORS));
	CHECK(is_host(disk + 299 * BLOCK, 299 * SECTORS));
}

/* A queue that is taken back, by each of the ways; what is then on the disk is of a whole write or none. */
static void taken_back(void)
{
	static const struct {
		const char *name, *end;
	} ways[] = {
		{ "revoke", "revoked" },
		{ "leave", "asked to leave" },
		{ "stop", "shutdown" },
		{ "kill", "shutdown" },
	};
	uint64_t sum;
	size_t i;

	prepare();
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		const char *name = ways[i].name;
		json_t *end;
		pid_t load;
		int status;

		serve("any");
		load = START(name, NULL, "blkload", "socket", "--json", "--write", "70", "--period",
			     "20", "--blocks", "0+200", "--seed", "55", "--verify", "any",
			     "--queue", "2", "--confine");
		wait_requests(name, 200);
		if (!strcmp(name, "kill"))
			OK(kill(blkd, SIGKILL));
		else
			CHECK(blkctl(name, strcmp(name, "stop") ? "2" : NULL));
		status = exit_status(load, name);
		CHECK_MSG(status == 3, "%s: status %d: %s", name, status, said(name));
		end = final(name);
		check_end(end, ways[i].end);
		CHECK_EQ(number(end, "errors"), 0);
		CHECK(number(end, "sigbus") <= 1);
		CHECK_MSG(!*said(name), "%s says '%s'", name, said(name));
		if (!strcmp(name, "revoke") || !strcmp(name, "leave")) {
			/* Another has it at once, and what the former wrote is whole. */
			status = RUN("next", NULL, "blkload", "socket", "--queue", "2", "--blocks",
				     "0+200", "--requests", "300", "--verify", "any");
			CHECK_MSG(status == 0, "after %s: status %d: %s", name, status,
				  said("next"));
			stop_blkd();
		} else {
			wait_end(blkd, "blkd");
		}
	}
	read_disk();
	CHECK(find_written(0, 200, 55, &sum) > 0);
}

/* The device restarts and is reset under the load: it sees pauses and another grant, and nothing else. */
static void goes_on(void)
{
	json_t *end;
	uint64_t sum;
	pid_t load;
	int i;

	prepare();
	serve("any");
	load = START("load", NULL, "blkload", "socket", "--json", "--write", "50", "--period", "20",
		     "--blocks", "300+200", "--seed", "77", "--depth", "16", "--confine");
	for (i = 0; i < 4; i++) {
		wait_requests("load", 200);
		CHECK(blkctl(i % 2 ? "reset" : "restart", NULL));
	}
	wait_requests("load", 200);
	OK(kill(load, SIGINT));
	i = exit_status(load, "load");
	CHECK_MSG(i == 0, "status %d: %s", i, said("load"));
	end = final("load");
	check_end(end, NULL);
	CHECK_EQ(number(end, "errors"), 0);
	CHECK_EQ(number(end, "io_errors"), 0);
	CHECK_EQ(number(end, "faults"), 0);
	CHECK_EQ(number(end, "pauses"), 2);
	CHECK_EQ(number(end, "regrants"), 2);
	note("%lld requests submitted again, %lld faults for new grants, %lld SIGBUS",
	     number(end, "resubmitted"), number(end, "grant_faults"), number(end, "sigbus"));
	CHECK_MSG(!*said("load"), "'%s'", said("load"));
	stop_blkd();
	read_disk();
	CHECK_EQ(find_written(300, 200, 77, &sum), number(end, "written"));
	CHECK_EQ(sum, number(end, "sum"));
}

/* As goes_on(), while it is the other end of a pipe that is waited for. */
static void slow_pipe(void)
{
	pid_t cat;

	prepare();
	serve("any");
	OK(mkfifo("go", 0666));
	OK(chmod("go", 0666));
	cat = START("slow", NULL, "sh", "-c",
		    "blkcat socket --block 0+900 --confine | (cat go; exec cat)");
	wait_event(" lease ");
	/* By then it has filled the pipe. */
	sleep_ms(500);
	CHECK(blkctl("reset", NULL));
	wait_event(" epoch=2");
	sleep_ms(200);
	CHECK(blkctl("restart", NULL));
	close(OK(open("go", O_WRONLY)));
	CHECK_MSG(exit_status(cat, "slow") == 0 && !*said("slow"), "'%s'", said("slow"));
	CHECK(file_is("slow.out", disk, 900 * BLOCK));
	stop_blkd();
}

/* A lease that is kept, and ends when told. */
static void holds(void)
{
	uint64_t end = timeout();
	json_t *line;
	pid_t load;

	prepare();
	serve("any");
	load = START("hold", NULL, "blkload", "socket", "--json", "--period", "20", "--requests",
		     "0", "--hold", "--confine");
	for (;;) {
		const char *state;

		line = last_line("hold");
		state = line ? json_string_value(json_object_get(line, "state")) : "";
		if (!strcmp(state, "holding"))
			break;
		CHECK_MSG(now_ns() < end, "it does not hold: %s", said("hold"));
		sleep_ms(5);
	}
	CHECK_EQ(number(line, "done"), 0);
	OK(kill(load, SIGTERM));
	CHECK_EQ(exit_status(load, "hold"), 0);
	stop_blkd();
}

/* What the policy allows, and what not; and what is no queue at all. */
static void policy(void)
{
	prepare();
	serve("65534,queues=1,ro,fixed,window=100+50");
	CHECK_MSG(RUN("cat", NULL, "blkcat", "socket") == 0, "%s", said("cat"));
	CHECK(file_is("cat.out", disk + 100 * BLOCK, 50 * BLOCK));
	CHECK_EQ(RUN("few", NULL, "blkcat", "socket", "--depth", "16"), 1);
	CHECK_MSG(strstr(said("few"),
			 "0+50: in this lease each block has a request of its own, and "
			 "there are 16"),
		  "%s", said("few"));
	CHECK_MSG(RUN("load", NULL, "blkload", "socket", "--requests", "500", "--depth", "64") == 0,
		  "%s", said("load"));
	CHECK_MSG(RUN("some", NULL, "blkload", "socket", "--requests", "50", "--blocks", "3+2") ==
			  0,
		  "%s", said("some"));
	CHECK_EQ(RUN("write", NULL, "blkload", "socket", "--write", "1", "--requests", "1"), 1);
	CHECK_MSG(strstr(said("write"), "--write: the lease is read-only"), "%s", said("write"));
	CHECK_EQ(RUN("in", "/dev/zero", "blkcat", "socket", "--write"), 1);
	CHECK_MSG(strstr(said("in"), "Read-only"), "%s", said("in"));
	CHECK_EQ(RUN("queue", NULL, "blkload", "socket", "--queue", "99", "--requests", "1"), 1);
	CHECK_MSG(strstr(said("queue"), "99"), "%s", said("queue"));
	stop_blkd();
	CHECK_EQ(RUN("gone", NULL, "blkload", "socket", "--requests", "1"), 1);
	CHECK_MSG(strstr(said("gone"), "blkload: socket: "), "%s", said("gone"));
	read_disk();
	CHECK(is_host(disk + 100 * BLOCK, 100 * SECTORS));
}

static const struct test_case cases[] = {
	CASE_MMAP(written_and_found, .seconds = 120),
	CASE_MMAP(wrong_data, .seconds = 120),
	CASE_MMAP(cat_both_ways, .seconds = 120),
	CASE_MMAP(taken_back, .seconds = 120),
	CASE_MMAP(goes_on, .seconds = 120),
	CASE_MMAP(slow_pipe, .seconds = 120),
	CASE_MMAP(holds, .seconds = 120),
	CASE_MMAP(policy, .seconds = 120),
};

TEST_MAIN(cases)
