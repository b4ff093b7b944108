// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever exports until it cannot gets a clear errno, pays for the memory, and
 * hurts nobody.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

#define CGROUP CGROUPFS "/barbuf"
#define MAX_RANGES 262144

static struct dev *dev;
static volatile void *bystander;

static void open_dev(void)
{
	dev = dev_open("ivshmem");
	bystander = map_buffer(export_range(dev, 2, 0, PAGE), 0, PAGE);
	CHECK_ALIVE(bystander);
}

/* No two of them adjacent, so that each has to be kept. */
static range_t *scattered(size_t nr)
{
	range_t *ranges = calloc(nr, sizeof(*ranges));
	size_t i;

	CHECK(ranges);
	for (i = 0; i < nr; i++)
		ranges[i] = (range_t){ i * 40503 % MAX_RANGES * PAGE, PAGE };
	return ranges;
}

static void until_no_descriptor_is_left(void)
{
	struct rlimit limit = { 5000, 5000 };
	int fd, last = -1;
	long n;

	open_dev();
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	for (n = 0;; n++) {
		const range_t range = { n % 1000 * PAGE, PAGE };

		fd = try_export(dev, 2, O_RDWR | O_CLOEXEC, &range, 1);
		if (fd < 0)
			break;
		last = fd;
	}
	CHECK_EQ(errno, EMFILE);
	CHECK(n > 4900);
	/* What did not get a descriptor is gone: there is room for one again. */
	close(last);
	CHECK_ALIVE(bystander);
	revoke_buffer(dev, export_range(dev, 2, 0, PAGE));
	CHECK_ALIVE(bystander);
}

static void enter_cgroup(const char *max)
{
	cgroup_make(CGROUP, "memory");
	CHECK(write_file(CGROUP "/memory.max", max));
	cgroup_enter(CGROUP, 0);
}

static long memory_current(void)
{
	char buf[64];

	return atol(read_file(CGROUP "/memory.current", buf, sizeof(buf)));
}

static void ranges_are_charged(void)
{
	range_t *ranges = scattered(MAX_RANGES);
	long before;

	open_dev();
	enter_cgroup("max");
	before = memory_current();
	export_ranges(dev, 2, ranges, MAX_RANGES);
	CHECK_MSG(memory_current() - before >= 16l * MAX_RANGES * 95 / 100, "%ld bytes for %d ranges",
		  memory_current() - before, MAX_RANGES);
	free(ranges);
}

static void until_the_cgroup_is_full(void)
{
	range_t *ranges = scattered(MAX_RANGES);
	char events[512];
	int fd, n, first = -1;

	open_dev();
	enter_cgroup("64M");
	for (n = 0; n < 100; n++) {
		fd = try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, MAX_RANGES);
		if (fd < 0)
			break;
		if (first < 0)
			first = fd;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK_MSG(n >= 4 && n < 20, "%d exports of 6 MiB in 64 MiB", n);
	CHECK_ALIVE(bystander);
	/* One given back makes room for one. */
	close(first);
	fd = OK(try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, MAX_RANGES));
	CHECK_ALIVE(map_buffer(fd, (uint64_t)(MAX_RANGES - 1) * PAGE, PAGE));
	read_file(CGROUP "/memory.events", events, sizeof(events));
	CHECK_MSG(strstr(events, "oom_kill 0"), "%s", events);
	free(ranges);
}

static int count(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}

/* The kernel's log since the last call. */
static const char *new_log(void)
{
	static char log[1 << 20];
	int n = klogctl(4, log, sizeof(log) - 1); /* read and clear */

	log[n > 0 ? n : 0] = '\0';
	return log;
}

static void check_complaint(const range_t *ranges, size_t nr, int err, const char *want)
{
	const char *log;

	new_log();
	CHECK(try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, nr) < 0);
	CHECK_EQ(errno, err);
	log = new_log();
	CHECK_MSG(strstr(log, want), "no '%s' in '%s'", want, log);
}

static void bad_range_is_named(void)
{
	range_t ranges[] = { { 0, PAGE }, { PAGE, PAGE }, { 2 * PAGE, PAGE } };
	int i, n;

	open_dev();
	if (!write_file("/proc/dynamic_debug/control", "func vfio_pci_export_complain +p"))
		SKIP("no dynamic debug");
	ranges[1].length = 17;
	check_complaint(ranges, 3, EINVAL,
			"DMA_BUF of BAR 2: range 1 of 3, offset 0x1000 length 0x11, is empty or not whole pages");
	ranges[1].length = 0;
	check_complaint(ranges, 3, EINVAL, "range 1 of 3, offset 0x1000 length 0x0, is empty");
	ranges[1].length = PAGE;
	ranges[2].offset = GIB(1);
	check_complaint(ranges, 3, EINVAL,
			"range 2 of 3, offset 0x40000000 length 0x1000, ends behind the BAR");
	ranges[0].length = INT64_MAX & ~(PAGE - 1);
	ranges[1].length = INT64_MAX & ~(PAGE - 1);
	/* The sum overflows, too; the first range that is wrong is named. */
	check_complaint(ranges, 3, EINVAL,
			"range 0 of 3, offset 0x0 length 0x7ffffffffffff000, ends behind the BAR");
	/* And a user who goes on does not fill the log. */
	new_log();
	for (i = 0; i < 1000; i++)
		CHECK(try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, 3) < 0);
	n = count(new_log(), "DMA_BUF of BAR 2");
	CHECK_MSG(n < 100, "%d messages of 1,000", n);
	CHECK(write_file("/proc/dynamic_debug/control", "func vfio_pci_export_complain -p"));
	new_log();
	CHECK(try_export(dev, 2, O_RDWR | O_CLOEXEC, ranges, 3) < 0);
	CHECK(!strstr(new_log(), "DMA_BUF"));
}

static const struct test_case cases[] = {
	CASE_MMAP(until_no_descriptor_is_left),
	CASE_MMAP(ranges_are_charged, .seconds = 60),
	CASE_MMAP(until_the_cgroup_is_full, .seconds = 60),
	CASE_MMAP(bad_range_is_named),
};

TEST_MAIN(cases)
