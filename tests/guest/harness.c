// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define DEFAULT_SECONDS 20
#define SLOW_FACTOR 5

/* How the process of a case says what came of it. */
#define EXIT_PASSED 0
#define EXIT_FAILED 1
#define EXIT_SKIPPED 4

/* What lines of the kernel log are a failure of the test that caused them. */
static const char *const bad_log[] = {
	"WARNING:",
	"BUG:",
	"UBSAN:",
	"KASAN:",
	"Oops",
	"general protection fault",
	"kernel BUG at",
	"possible circular locking",
	"possible recursive locking",
	"inconsistent lock state",
	"suspicious RCU usage",
	"INFO: task ",
	"INFO: rcu",
	"soft lockup",
	"refcount_t:",
	"DMA-API:",
	/* An entry of a page table that Linux has cleared with no flush. */
	"bad pmd ",
	"bad pud ",
	/* Not what it says when an injected failure hits its own scan areas. */
	"kmemleak: unreferenced",
	"kmemleak: Memory pool",
	"kmemleak: Cannot allocate a kmemleak",
	"kmemleak: Cannot insert",
	"page allocation failure",
	/* A page table that mm does not understand, and throws away. */
	"bad p4d ",
	"bad pud ",
	"bad pmd ",
};

/* Shared by the runner and the processes of all cases. */
static struct shared {
	char reason[256];
	/* What set_parameter() has to undo. */
	unsigned int nr_parameters;
	struct parameter {
		char path[120], value[64];
	} parameters[4];
} * shared;

static const char *program;

/* Lines and verdicts --------------------------------------------------------*/

static void vnote(const char *fmt, va_list ap)
{
	char line[1024];
	char *p, *next;

	vsnprintf(line, sizeof(line), fmt, ap);
	for (p = line; p; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		if (*p || !next)
			dprintf(STDOUT_FILENO, "# %s\n", p);
		if (next && !*next)
			break;
	}
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(fmt, ap);
	va_end(ap);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note("%s:%d: %s", base ? base + 1 : file, line, text);
	_exit(EXIT_FAILED);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->reason, sizeof(shared->reason), fmt, ap);
	va_end(ap);
	_exit(EXIT_SKIPPED);
}

const char *strerror_name(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "an unknown errno";
}

long check_ok(const char *file, int line, const char *call, long result)
{
	if (result < 0)
		test_fail(file, line, "%s: %s", call, strerror_name(errno));
	return result;
}

void check_errno(const char *file, int line, const char *call, long result, const char *wanted,
		 int err)
{
	int got = errno;

	if (result >= 0)
		test_fail(file, line, "%s succeeded (%ld), wanted %s", call, result, wanted);
	if (got != err)
		test_fail(file, line, "%s failed with %s, wanted %s", call, strerror_name(got),
			  wanted);
}

/* Small files ---------------------------------------------------------------*/

const char *read_file(const char *path, char *buf, size_t size)
{
	ssize_t len = -1;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, buf, size - 1);
		close(fd);
	}
	if (len < 0)
		len = 0;
	while (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return buf;
}

bool write_file(const char *path, const char *text)
{
	size_t len = strlen(text);
	ssize_t done;
	int fd, err;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, text, len);
	err = errno;
	close(fd);
	errno = err;
	return done == (ssize_t)len;
}

void cgroup_make(const char *cgroup, const char *controller)
{
	char text[32];

	if (access(CGROUPFS "/cgroup.controllers", F_OK) &&
	    mount("none", CGROUPFS, "cgroup2", 0, NULL))
		SKIP("no cgroup2: %s", strerror_name(errno));
	if (controller) {
		snprintf(text, sizeof(text), "+%s", controller);
		if (!write_file(CGROUPFS "/cgroup.subtree_control", text))
			SKIP("no %s controller", controller);
	}
	if (mkdir(cgroup, 0700) && errno != EEXIST)
		FAIL("%s: %s", cgroup, strerror_name(errno));
}

void cgroup_enter(const char *cgroup, pid_t pid)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	if (!write_file(path, text))
		FAIL("%s: %s", path, strerror_name(errno));
}

void set_parameter(const char *path, const char *value)
{
	struct parameter *p = &shared->parameters[shared->nr_parameters];

	CHECK(shared->nr_parameters < ARRAY_SIZE(shared->parameters));
	CHECK(strlen(path) < sizeof(p->path));
	if (!*read_file(path, p->value, sizeof(p->value)))
		FAIL("%s: this kernel has no such parameter", path);
	strcpy(p->path, path);
	shared->nr_parameters++;
	if (!write_file(path, value))
		FAIL("%s: %s", path, strerror_name(errno));
}

/* In the runner: a case may have ended in any way. */
static void restore_parameters(void)
{
	struct parameter *p;

	while (shared->nr_parameters) {
		p = &shared->parameters[--shared->nr_parameters];
		if (!write_file(p->path, p->value))
			note("%s is not %s again: %s", p->path, p->value, strerror_name(errno));
	}
}

bool slow_kernel(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) == 0 ||
	       access("/proc/lockdep_stats", F_OK) == 0;
}

/* Time ----------------------------------------------------------------------*/

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* When a wait has become too long. */
uint64_t timeout(void)
{
	return now_ns() + (slow_kernel() ? 50 : 10) * 1000000000ull;
}

void wait_for(const volatile int *flag, const char *what)
{
	uint64_t end = timeout();

	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
		if (now_ns() > end)
			FAIL("waited too long for %s", what);
		sleep_ms(1);
	}
}

/* Processes -----------------------------------------------------------------*/

pid_t spawn(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	return pid;
}

void join(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		FAIL("a child died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == EXIT_SKIPPED)
		_exit(EXIT_SKIPPED);
	if (WEXITSTATUS(status))
		FAIL("a child failed with %d", WEXITSTATUS(status));
}

char task_state(pid_t tid)
{
	char path[48], stat[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	end = strrchr(read_file(path, stat, sizeof(stat)), ')');
	return end && end[1] == ' ' ? end[2] : '?';
}

bool is_asleep_in(pid_t tid, const char *function)
{
	char path[48], wchan[128];

	snprintf(path, sizeof(path), "/proc/%d/wchan", tid);
	return strstr(read_file(path, wchan, sizeof(wchan)), function);
}

void wait_asleep_in(pid_t tid, const char *function)
{
	uint64_t end = timeout();
	char path[48], wchan[128];

	while (!is_asleep_in(tid, function)) {
		snprintf(path, sizeof(path), "/proc/%d/wchan", tid);
		if (now_ns() > end)
			FAIL("task %d is in state %c in '%s', not in %s", tid, task_state(tid),
			     read_file(path, wchan, sizeof(wchan)), function);
		sleep_ms(1);
	}
}

int wait_end(pid_t pid, const char *what)
{
	uint64_t end = timeout();
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now_ns() > end)
			FAIL("waited too long for the end of %s", what);
		sleep_ms(1);
	}
	return status;
}

/* The kernel log ------------------------------------------------------------*/

static int kmsg_open(const char *name)
{
	int fd, w;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	w = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (w >= 0) {
		dprintf(w, "barbuf-tests: %s/%s", program, name);
		close(w);
	}
	return fd;
}

/* Prints what came into the log since kmsg_open(); true if something bad did. */
static bool kmsg_bad(int fd)
{
	unsigned int lines = 0;
	char record[2048];
	bool bad = false;
	ssize_t len;
	size_t i;
	char *text;

	if (fd < 0)
		return false;
	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		record[strcspn(record, "\n")] = '\0';
		text = strchr(record, ';');
		text = text ? text + 1 : record;
		if (strncmp(text, "barbuf-tests:", 13) == 0)
			continue;
		for (i = 0; i < ARRAY_SIZE(bad_log) && !bad; i++)
			bad = strstr(text, bad_log[i]);
		if (bad && lines++ < 40)
			note("kernel: %s", text);
	}
	close(fd);
	return bad;
}

/* Running cases -------------------------------------------------------------*/

/* Says where each thread of a process hangs. */
static void explain_hang(pid_t pid)
{
	char path[320], buf[4096];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stack", pid, entry->d_name);
		note("thread %s:\n%s", entry->d_name, read_file(path, buf, 1000));
	}
	closedir(dir);
}

/* Also those that the case left behind. */
static void explain_and_kill(pid_t pid)
{
	struct dirent *entry;
	char path[320], stat[512], *p;
	DIR *dir;
	int ppid, pgrp, other;

	dir = opendir("/proc");
	while (dir && (entry = readdir(dir))) {
		other = atoi(entry->d_name);
		if (other <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", other);
		read_file(path, stat, sizeof(stat));
		p = strrchr(stat, ')');
		if (p && sscanf(p + 1, " %*c %d %d", &ppid, &pgrp) == 2 && pgrp == pid)
			explain_hang(other);
	}
	if (dir)
		closedir(dir);
	kill(-pid, SIGKILL);
}

static bool reap(pid_t pid, int *status, uint64_t deadline)
{
	uint64_t start = now_ns();
	pid_t got;

	for (;;) {
		got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			return true;
		if (got < 0 && errno != EINTR)
			return true;
		if (now_ns() > deadline)
			return false;
		sleep_ms(now_ns() - start < 50000000 ? 1 : 5);
	}
}

static bool kernel_can_map(void)
{
	struct dev *dev;

	/* vfio-pci supports the same for every device it drives. */
	dev = dev_open(dev_some());
	return barbuf_device_feature(dev->lib, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
				     VFIO_DEVICE_FEATURE_SET) == 0;
}

static void probe_case(void)
{
	_exit(kernel_can_map() ? EXIT_PASSED : EXIT_SKIPPED);
}

/* Returns EXIT_*; *hung says that the process could not even be killed. */
static int run_case(const struct test_case *tc, bool *hung)
{
	unsigned int seconds = tc->seconds ? tc->seconds : DEFAULT_SECONDS;
	uint64_t began = now_ns();
	int status = 0, kmsg, result;
	pid_t pid;

	shared->reason[0] = '\0';
	kmsg = kmsg_open(tc->name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (tc->run_with)
			tc->run_with(tc->arg);
		else
			tc->run();
		_exit(EXIT_PASSED);
	}
	setpgid(pid, pid);

	if (slow_kernel())
		seconds *= SLOW_FACTOR;
	if (reap(pid, &status, now_ns() + seconds * 1000000000ull)) {
		if (WIFSIGNALED(status)) {
			note("died of signal %d", WTERMSIG(status));
			result = EXIT_FAILED;
		} else {
			result = WEXITSTATUS(status);
		}
		kill(-pid, SIGKILL);
	} else {
		note("still running after %u s", seconds);
		explain_and_kill(pid);
		*hung = !reap(pid, &status, now_ns() + 5000000000ull);
		result = EXIT_FAILED;
	}
	restore_parameters();
	if (kmsg_bad(kmsg))
		result = EXIT_FAILED;
	if (now_ns() - began > seconds * 1000000000ull / 4)
		note("that took %u s of %u", (unsigned int)((now_ns() - began) / 1000000000),
		     seconds);
	return result;
}

static bool wanted(int argc, char **argv, const char *name)
{
	int i;

	if (argc < 2)
		return true;
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return false;
}

int harness_main(int argc, char **argv, const struct test_case *cases, size_t nr)
{
	static const struct test_case probe = { .name = "probe", .run = probe_case };
	bool require = getenv("BARBUF_REQUIRE_FEATURE");
	size_t i, planned = 0, done = 0, failed = 0;
	int result, can_map = -1;
	bool hung = false;

	program = strrchr(argv[0], '/');
	program = program ? program + 1 : argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (barbuf_guard_install())
		return EXIT_FAILED;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return EXIT_FAILED;

	for (i = 0; i < nr; i++)
		planned += wanted(argc, argv, cases[i].name);
	printf("KTAP version 1\n1..%zu\n", planned);

	for (i = 0; i < nr; i++) {
		if (!wanted(argc, argv, cases[i].name))
			continue;
		if (hung) {
			/* A process that can't be killed may hold any lock. */
			printf("not ok %zu %s\n", ++done, cases[i].name);
			failed++;
			continue;
		}
		if (cases[i].need == NEED_MMAP && can_map < 0)
			can_map = run_case(&probe, &hung) == EXIT_PASSED;
		if (cases[i].need == NEED_MMAP && !can_map) {
			snprintf(shared->reason, sizeof(shared->reason),
				 "kernel lacks VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE");
			result = require ? EXIT_FAILED : EXIT_SKIPPED;
			if (require)
				note("%s", shared->reason);
		} else {
			result = run_case(&cases[i], &hung);
		}
		done++;
		if (result == EXIT_PASSED) {
			printf("ok %zu %s\n", done, cases[i].name);
		} else if (result == EXIT_SKIPPED && shared->reason[0]) {
			printf("ok %zu %s # SKIP %s\n", done, cases[i].name, shared->reason);
		} else {
			printf("not ok %zu %s\n", done, cases[i].name);
			failed++;
		}
	}
	return failed ? EXIT_FAILED : EXIT_PASSED;
}
