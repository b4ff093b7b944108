// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define DEFAULT_SECONDS 20
#define SLOW_FACTOR	5

/* How the process of a case says what came of it. */
#define EXIT_PASSED  0
#define EXIT_FAILED  1
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
	"kmemleak: ",
	"page allocation failure",
};

/* Shared by the runner and the processes of all cases. */
static struct shared {
	char reason[256];
} *shared;

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
static uint64_t patience(void)
{
	return now_ns() + (slow_kernel() ? 50 : 10) * 1000000000ull;
}

void wait_for(const volatile int *flag, const char *what)
{
	uint64_t end = patience();

	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
		if (now_ns() > end)
			FAIL("waited too long for %s", what);
		sleep_ms(1);
	}
}

/* Devices -------------------------------------------------------------------*/

/* Where what vfio-bind said is kept: under a slow kernel it takes seconds to run. */
#define BIND_CACHE "/tmp/barbuf-tests.%s"

static bool is_bound(const char *address)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", address);
	return access(path, F_OK) == 0;
}

bool dev_bind(const char *model, char address[32], int *group)
{
	char path[64], command[64], said[128];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), BIND_CACHE, model);
	read_file(path, said, sizeof(said));
	if (sscanf(said, "%31s %d", address, group) == 2 && is_bound(address))
		return true;

	snprintf(command, sizeof(command), "vfio-bind %s 2>&1", model);
	f = popen(command, "r");
	if (!f)
		FAIL("%s: %s", command, strerror_name(errno));
	len = fread(said, 1, sizeof(said) - 1, f);
	said[len] = '\0';
	if (pclose(f) != 0 || sscanf(said, "%31s %d", address, group) != 2) {
		note("vfio-bind %s: %s", model, said);
		return false;
	}
	f = fopen(path, "we");
	if (f) {
		fputs(said, f);
		fclose(f);
	}
	return true;
}

static struct dev *open_device(struct barbuf_container *container, const char *model, bool must)
{
	char address[32];
	struct dev *dev;
	unsigned int i;
	int group, ret;

	if (!dev_bind(model, address, &group))
		SKIP("this lab has no %s", model);

	dev = calloc(1, sizeof(*dev));
	CHECK(dev);
	dev->model = model;
	ret = barbuf_device_open(&dev->lib, container, address);
	if (ret) {
		if (must)
			FAIL("open of %s (%s): %s", model, address, strerror_name(-ret));
		free(dev);
		errno = -ret;
		return NULL;
	}
	dev->fd = barbuf_device_fd(dev->lib);
	dev->address = barbuf_device_address(dev->lib);
	for (i = 0; i < ARRAY_SIZE(dev->region); i++) {
		/* The VGA region is refused on most devices. */
		if (barbuf_device_get_region(dev->lib, i, &dev->region[i]))
			dev->region[i] = (struct barbuf_region){ .index = i };
	}
	return dev;
}

struct dev *dev_open(const char *model)
{
	return open_device(NULL, model, true);
}

struct dev *dev_open_in(struct barbuf_container *container, const char *model)
{
	return open_device(container, model, true);
}

struct dev *try_dev_open(const char *model)
{
	return open_device(NULL, model, false);
}

void dev_close(struct dev *dev)
{
	barbuf_device_close(dev->lib);
	free(dev);
}

int dev_request_eventfd(const struct dev *dev)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} arg = {
		.set = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
	};

	arg.fd = OK(eventfd(0, EFD_CLOEXEC));
	OK(ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &arg));
	return arg.fd;
}

/* The monitor, unplugging ----------------------------------------------------*/

/* Asks until the monitor says yes: the machine may still be at work on what was before. */
static void monitor(const char *command)
{
	uint64_t end = patience();
	char line[512], said[256];
	size_t len;
	FILE *f;

	snprintf(line, sizeof(line), "lab-monitor %s 2>&1", command);
	for (;;) {
		f = popen(line, "r");
		CHECK(f);
		len = fread(said, 1, sizeof(said) - 1, f);
		said[len] = '\0';
		if (pclose(f) == 0)
			return;
		if (now_ns() > end)
			FAIL("%s: %s", line, said);
		sleep_ms(50);
	}
}

/* What the lab wrote about a model's device: its place in the guest, and how to make it. */
static void model_lookup(const char *model, char place[32], char options[256])
{
	char name[32];
	FILE *f = fopen("/lab/run/devices", "re");

	CHECK(f);
	while (fscanf(f, "%31s %31s %255s", name, place, options) == 3) {
		if (strcmp(name, model) == 0) {
			fclose(f);
			return;
		}
	}
	fclose(f);
	SKIP("this lab has no %s", model);
}

bool model_present(const char *model)
{
	char place[32], options[256], pattern[128], *function;
	bool found;
	glob_t paths;

	model_lookup(model, place, options);
	function = strchr(place, '/');
	if (!function)
		FAIL("%s is not behind a port", model);
	*function++ = '\0';
	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/0000:00:%s/0000:*:%s", place,
		 function);
	found = glob(pattern, 0, NULL, &paths) == 0;
	globfree(&paths);
	return found;
}

void model_unplug(const char *model)
{
	char command[64];

	CHECK(model_present(model));
	snprintf(command, sizeof(command), "device_del %s", model);
	monitor(command);
}

static void wait_present(const char *model, bool present)
{
	/* The slot waits 5 seconds for a second thought. */
	uint64_t end = patience() + 10000000000ull;

	while (model_present(model) != present) {
		if (now_ns() > end)
			FAIL("waited too long for %s to %s", model, present ? "come" : "go");
		sleep_ms(10);
	}
}

void model_wait_unplugged(const char *model)
{
	wait_present(model, false);
}

void model_plug(const char *model)
{
	char place[32], options[256], command[288];

	model_lookup(model, place, options);
	snprintf(command, sizeof(command), "device_add %s", options);
	monitor(command);
	wait_present(model, true);
}

/* Modules -------------------------------------------------------------------*/

int try_rmmod(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK);
}

void rmmod_soon(const char *name)
{
	uint64_t end = patience();

	while (try_rmmod(name)) {
		if (now_ns() > end)
			FAIL("rmmod %s: %s", name, strerror_name(errno));
		sleep_ms(20);
	}
}

bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	return access(path, F_OK) == 0;
}

static int unbind(void *address)
{
	return write_file("/sys/bus/pci/drivers/vfio-pci/unbind", address) ? 0 : 1;
}

void vfio_pci_unbind_all(void)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/sys/bus/pci/drivers/vfio-pci");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (strchr(entry->d_name, ':'))
			join(spawn(unbind, entry->d_name));
	}
	closedir(dir);
}

static int as_errno(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int try_feature(int fd, uint32_t flags, void *data, size_t size)
{
	struct vfio_device_feature *arg;
	int ret, err;

	arg = malloc(sizeof(*arg) + size);
	CHECK(arg);
	arg->argsz = sizeof(*arg) + size;
	arg->flags = flags;
	if (size)
		memcpy(arg->data, data, size);
	ret = ioctl(fd, VFIO_DEVICE_FEATURE, arg);
	err = errno;
	if (size)
		memcpy(data, arg->data, size);
	free(arg);
	errno = err;
	return ret;
}

int try_export(const struct dev *dev, unsigned int bar, int open_flags, const range_t *ranges,
	       size_t nr)
{
	return as_errno(barbuf_export(dev->lib, bar, ranges, nr, open_flags));
}

int export_ranges(const struct dev *dev, unsigned int bar, const range_t *ranges, size_t nr)
{
	int fd = try_export(dev, bar, O_RDWR | O_CLOEXEC, ranges, nr);

	if (fd < 0)
		FAIL("export of %zu ranges of %s BAR %u: %s", nr, dev->model, bar,
		     strerror_name(errno));
	return fd;
}

int export_range(const struct dev *dev, unsigned int bar, uint64_t offset, uint64_t length)
{
	range_t range = { .offset = offset, .length = length };

	return export_ranges(dev, bar, &range, 1);
}

int try_revoke(const struct dev *dev, int dmabuf_fd)
{
	return as_errno(barbuf_revoke(dev->lib, dmabuf_fd));
}

void revoke_buffer(const struct dev *dev, int dmabuf_fd)
{
	if (try_revoke(dev, dmabuf_fd))
		FAIL("revoke: %s", strerror_name(errno));
}

void *try_map(int fd, uint64_t offset, size_t size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

void *map_buffer(int dmabuf_fd, uint64_t offset, size_t size)
{
	void *p = try_map(dmabuf_fd, offset, size, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (!p)
		FAIL("mmap of %zu bytes at 0x%llx: %s", size, (unsigned long long)offset,
		     strerror_name(errno));
	return p;
}

uint64_t bar_offset(const struct dev *dev, unsigned int bar, uint64_t offset)
{
	return dev->region[bar].offset + offset;
}

void *map_bar(const struct dev *dev, unsigned int bar, uint64_t offset, size_t size)
{
	return map_buffer(dev->fd, bar_offset(dev, bar, offset), size);
}

void *map_aligned(int fd, uint64_t offset, size_t size, size_t align, size_t skew)
{
	size_t room = size + 2 * align;
	uintptr_t start;
	char *area;
	void *p;

	area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area != MAP_FAILED);
	start = ((uintptr_t)area + align - 1) / align * align + skew;
	p = mmap((void *)start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
	if (p == MAP_FAILED)
		FAIL("mmap of %zu bytes at 0x%llx: %s", size, (unsigned long long)offset,
		     strerror_name(errno));
	return p;
}

void unmap(void *p, size_t size)
{
	CHECK(munmap(p, size) == 0);
}

/* Config space --------------------------------------------------------------*/

static void config_get(const struct dev *dev, unsigned int pos, void *value, size_t size)
{
	int ret = barbuf_config_read(dev->lib, pos, value, size);

	if (ret)
		FAIL("config read at 0x%x: %s", pos, strerror_name(-ret));
}

uint8_t config_read8(const struct dev *dev, unsigned int pos)
{
	uint8_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

uint16_t config_read16(const struct dev *dev, unsigned int pos)
{
	uint16_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

uint32_t config_read32(const struct dev *dev, unsigned int pos)
{
	uint32_t value;

	config_get(dev, pos, &value, sizeof(value));
	return value;
}

void config_write16(const struct dev *dev, unsigned int pos, uint16_t value)
{
	int ret = barbuf_config_write(dev->lib, pos, &value, sizeof(value));

	if (ret)
		FAIL("config write at 0x%x: %s", pos, strerror_name(-ret));
}

unsigned int config_capability(const struct dev *dev, uint8_t id)
{
	unsigned int pos, n;

	if (!(config_read16(dev, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	pos = config_read8(dev, PCI_CAPABILITY_LIST);
	for (n = 0; pos >= PCI_STD_HEADER_SIZEOF && n < 48; n++) {
		if (config_read8(dev, pos + PCI_CAP_LIST_ID) == id)
			return pos;
		pos = config_read8(dev, pos + PCI_CAP_LIST_NEXT);
	}
	return 0;
}

void memory_decode(const struct dev *dev, bool on)
{
	uint16_t command = config_read16(dev, PCI_COMMAND);

	if (on)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	config_write16(dev, PCI_COMMAND, command);
}

int try_reset(const struct dev *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET);
}

int try_low_power_enter(const struct dev *dev, int eventfd)
{
	return as_errno(barbuf_low_power_enter(dev->lib, eventfd));
}

int try_low_power_exit(const struct dev *dev)
{
	return as_errno(barbuf_low_power_exit(dev->lib));
}

bool wait_runtime_suspended(const struct dev *dev, unsigned int msec)
{
	uint64_t end = now_ns() + msec * 1000000ull;
	char path[96], state[32];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status",
		 dev->address);
	while (strcmp(read_file(path, state, sizeof(state)), "suspended") != 0) {
		if (now_ns() > end) {
			note("%s is %s", path, state);
			return false;
		}
		sleep_ms(5);
	}
	return true;
}

/* Faults --------------------------------------------------------------------*/

int peek32(const volatile void *p, uint32_t *value)
{
	return barbuf_read32(p, value) ? SIGBUS : 0;
}

int poke32(volatile void *p, uint32_t value)
{
	return barbuf_write32(p, value) ? SIGBUS : 0;
}

uint32_t read32(const volatile void *p)
{
	uint32_t value;

	if (peek32(p, &value))
		FAIL("read got SIGBUS");
	return value;
}

void write32(volatile void *p, uint32_t value)
{
	if (poke32(p, value))
		FAIL("write got SIGBUS");
}

int touch(const volatile void *p)
{
	uint32_t value;

	return peek32(p, &value);
}

long thread_faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_minflt + usage.ru_majflt;
}

long walk_faults(const volatile void *p, size_t size, size_t step)
{
	const volatile char *c = p;
	long before;
	size_t i;

	before = thread_faults();
	for (i = 0; i < size; i += step)
		(void)*(const volatile uint32_t *)(c + i);
	return thread_faults() - before;
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
	uint64_t end = patience();
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
	uint64_t end = patience();
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
	dev = dev_open("edu");
	return barbuf_device_feature_probe(dev->lib, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
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
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
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
