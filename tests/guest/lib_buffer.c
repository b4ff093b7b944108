// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbarbuf's buffers on a real kernel: what they are made with, what is known of
 * them where, and what their users are told when they go.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaf.h"

static struct dev *dev;

static struct barbuf_buffer *export(const struct barbuf_export *x)
{
	struct barbuf_buffer *buf;
	int ret = barbuf_buffer_export(&buf, dev->lib, x);

	if (ret)
		FAIL("export: %s", strerror_name(-ret));
	return buf;
}

static struct barbuf_buffer *export_range_of(unsigned int bar, uint64_t offset, uint64_t length)
{
	const range_t range = { offset, length };

	return export(&(struct barbuf_export){ .bar = bar, .ranges = &range, .nr_ranges = 1 });
}

/* What gone() said. */
struct told {
	atomic_int suspended, revoked;
};

static void gone(struct barbuf_map *map, enum barbuf_gone why, void *arg)
{
	struct told *told = arg;

	if (why == BARBUF_GONE_REVOKED)
		told->revoked++;
	else
		told->suspended++;
}

static struct barbuf_map *map_telling(struct barbuf_buffer *buf, struct told *told)
{
	const struct barbuf_map_options o = {
		.read_only = barbuf_buffer_read_only(buf),
		.gone = gone,
		.arg = told,
	};
	struct barbuf_map *map;

	CHECK_EQ(barbuf_map(&map, buf, &o), 0);
	return map;
}

static bool kernel_has(uint32_t feature)
{
	return !barbuf_device_feature(dev->lib, feature, VFIO_DEVICE_FEATURE_SET);
}

/* The path that /proc/self/maps shows for the mapping. */
static bool maps_show(const struct barbuf_map *map, const char *name)
{
	unsigned long start, end;
	bool found = false;
	char line[512];
	FILE *f;
	int at;

	f = fopen("/proc/self/maps", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &at) != 2 ||
		    start != (uintptr_t)barbuf_map_addr(map))
			continue;
		line[strcspn(line, "\n")] = '\0';
		found = !strcmp(line + at + strlen("/dmabuf:"), name);
	}
	fclose(f);
	return found;
}

static unsigned int open_fds(void)
{
	unsigned int n = 0;
	DIR *d = opendir("/proc/self/fd");

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void described(void)
{
	static const range_t two[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct barbuf_export x = { .bar = 2, .ranges = two, .nr_ranges = 2 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	char want[64];
	size_t nr;

	dev = dev_open("ivshmem");
	buf = export(&x);
	CHECK_EQ(barbuf_buffer_size(buf), 0x3000);
	CHECK(!memcmp(barbuf_buffer_ranges(buf, &nr), two, sizeof(two)) && nr == 2);
	/* Without a name it has the kernel's. */
	snprintf(want, sizeof(want), "%s/bar2+3000:1000", dev->address);
	CHECK_MSG(!strcmp(barbuf_buffer_name(buf), want), "'%s'", barbuf_buffer_name(buf));
	barbuf_buffer_free(buf);

	x.name = "doorbell of client 7";
	buf = export(&x);
	CHECK(!strcmp(barbuf_buffer_name(buf), x.name));
	CHECK_EQ(barbuf_map(&map, buf, NULL), 0);
	CHECK(maps_show(map, x.name));
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

/* On each kernel: what it offers works, what it does not is refused in words. */
static void as_far_as_the_kernel_goes(void)
{
	const range_t range = { 0, 4 * PAGE };
	struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1, .name = "slice" };
	struct barbuf_buffer *buf = (void *)1;
	struct barbuf_map *map = (void *)1;
	unsigned int fds;
	bool ours;

	dev = dev_open("ivshmem");
	ours = kernel_has(VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE);
	fds = open_fds();
	if (!kernel_has(VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR)) {
		x.memattr = BARBUF_WC;
		CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), -EOPNOTSUPP);
		CHECK(buf == (void *)1);
		CHECK_EQ(open_fds(), fds);
		x.memattr = BARBUF_NC;
	}
	buf = export(&x);
	CHECK_EQ(open_fds(), fds + 1);
	CHECK_EQ(barbuf_buffer_size(buf), 4 * PAGE);
	CHECK_EQ(barbuf_buffer_check(buf), ours ? 0 : -EOPNOTSUPP);
	CHECK_EQ(barbuf_map(&map, buf, NULL), ours ? 0 : -ENODEV);
	if (ours)
		barbuf_unmap(map);
	CHECK_EQ(barbuf_buffer_revoke(buf), ours ? 0 : -ENOTTY);
	barbuf_buffer_free(buf);
	CHECK_EQ(open_fds(), fds);
}

static void refused(void)
{
	const range_t outside = { GIB(1), PAGE }, odd = { 1, PAGE }, fine = { 0, PAGE };
	struct barbuf_export x = { .bar = 2, .ranges = &outside, .nr_ranges = 1 };
	struct barbuf_buffer *buf = (void *)1;
	unsigned int fds;

	dev = dev_open("ivshmem");
	fds = open_fds();
	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), -EINVAL);
	x.ranges = &odd;
	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), -EINVAL);
	x.ranges = &fine;
	x.nr_ranges = 0;
	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), -EINVAL);
	x.nr_ranges = 1;
	x.bar = 4;
	CHECK(barbuf_buffer_export(&buf, dev->lib, &x) < 0);
	x.bar = 2;
	x.name = "thirty-two bytes are one too many";
	CHECK_EQ(barbuf_buffer_export(&buf, dev->lib, &x), -ENAMETOOLONG);
	CHECK(buf == (void *)1);
	CHECK_EQ(open_fds(), fds);
}

static void attributes(void)
{
	const range_t range = { MIB(2), MIB(2) };
	struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1 };
	struct barbuf_map *map;
	struct leaf leaf;
	uint32_t v;

	dev = dev_open("ivshmem");
	for (x.memattr = BARBUF_NC; x.memattr <= BARBUF_WC; x.memattr++) {
		struct barbuf_buffer *buf = export(&x);

		CHECK_EQ(barbuf_buffer_memattr(buf), x.memattr);
		CHECK_EQ(barbuf_map(&map, buf, NULL), 0);
		CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
		CHECK(leaf_at(barbuf_map_addr(map), &leaf));
		CHECK_EQ(leaf.memtype, x.memattr == BARBUF_WC ? MEMTYPE_WC : MEMTYPE_UC_MINUS);
		barbuf_unmap(map);
		barbuf_buffer_free(buf);
	}
}

static void read_only(void)
{
	const range_t range = { 0, PAGE };
	struct barbuf_export x = { .bar = 2, .ranges = &range, .nr_ranges = 1, .read_only = true };
	const struct barbuf_map_options writable = { 0 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	struct leaf leaf;
	uint32_t v;

	dev = dev_open("ivshmem");
	buf = export(&x);
	CHECK(barbuf_buffer_read_only(buf));
	CHECK_EQ(barbuf_map(&map, buf, &writable), -EACCES);
	CHECK_EQ(barbuf_map(&map, buf, NULL), 0);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	CHECK(leaf_at(barbuf_map_addr(map), &leaf) && !leaf.writable);
	CHECK(mprotect((void *)barbuf_map_addr(map), PAGE, PROT_READ | PROT_WRITE) &&
	      errno == EACCES);
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
}

/* A mapping needs to read. */
static void write_only(void)
{
	const range_t range = { 0, PAGE };
	struct barbuf_buffer *buf;
	int fd;

	dev = dev_open("ivshmem");
	fd = barbuf_device_export(dev->lib, 2, &range, 1, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(barbuf_buffer_adopt(&buf, fd), -EINVAL);
}

static void revoked(void)
{
	struct told told = { 0 };
	struct barbuf_buffer *buf, *other;
	struct barbuf_map *map, *others, *none = (void *)1;
	char bytes[64];
	uint64_t v;

	dev = dev_open("ivshmem");
	buf = export_range_of(2, 0, 2 * PAGE);
	other = export_range_of(2, 0, 2 * PAGE);
	map = map_telling(buf, &told);
	CHECK_EQ(barbuf_map(&others, other, NULL), 0);
	CHECK_EQ(barbuf_map_write64(map, 8, 0x1122334455667788), 0);
	CHECK_EQ(barbuf_buffer_check(buf), 0);

	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
	CHECK_EQ(barbuf_buffer_revoke(buf), -EBADFD);
	CHECK_EQ(barbuf_map(&none, buf, NULL), -ENODEV);
	CHECK(none == (void *)1 && !told.revoked);
	CHECK_EQ(barbuf_map_read64(map, 8, &v), -EIO);
	CHECK_EQ(told.revoked, 1);
	CHECK_EQ(barbuf_map_write64(map, 8, v), -EIO);
	CHECK_EQ(barbuf_map_copy_from(map, PAGE - 3, bytes, sizeof(bytes)), -EIO);
	CHECK_EQ(barbuf_map_copy_to(map, PAGE - 3, bytes, sizeof(bytes)), -EIO);
	CHECK(told.revoked == 1 && !told.suspended);
	/* A buffer of the same range is not concerned. */
	CHECK_EQ(barbuf_map_read64(others, 8, &v), 0);
	CHECK_EQ(v, 0x1122334455667788);
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

/* The mapping outlives the buffer's object, and is told all the same. */
static void revoked_when_freed(void)
{
	struct told told = { 0 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	uint8_t v;
	int fd;

	dev = dev_open("ivshmem");
	buf = export_range_of(2, 0, PAGE);
	map = map_telling(buf, &told);
	fd = OK(dup(barbuf_buffer_fd(buf)));
	barbuf_buffer_free(buf);
	CHECK_EQ(barbuf_map_read8(map, 1, &v), 0);
	CHECK_EQ(barbuf_device_revoke(dev->lib, fd), 0);
	CHECK_EQ(barbuf_map_read8(map, 1, &v), -EIO);
	CHECK_EQ(told.revoked, 1);
	barbuf_unmap(map);
}

/* Access comes back; what is revoked in between is told then. */
static void suspended(struct barbuf_buffer *buf, void (*off)(void), void (*on)(void))
{
	struct told told = { 0 };
	struct barbuf_map *map = map_telling(buf, &told);
	uint32_t v;

	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	off();
	CHECK_EQ(barbuf_buffer_check(buf), 0);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK(told.suspended == 1 && !told.revoked);
	on();
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	barbuf_map_rearm(map);
	off();
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK(told.suspended == 2 && !told.revoked);
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK_EQ(told.revoked, 1);
	on();
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK(told.suspended == 2 && told.revoked == 1);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

static void decode_off(void)
{
	memory_decode(dev, false);
}

static void decode_on(void)
{
	memory_decode(dev, true);
}

static void suspended_by_decode(void)
{
	dev = dev_open("ivshmem");
	suspended(export_range_of(2, PAGE, PAGE), decode_off, decode_on);
}

static void to_sleep(void)
{
	CHECK_EQ(barbuf_low_power_enter(dev->lib, -1), 0);
	CHECK(wait_runtime_suspended(dev, 10000));
}

static void wake_up(void)
{
	CHECK_EQ(barbuf_low_power_exit(dev->lib), 0);
}

static void suspended_by_low_power(void)
{
	dev = dev_open("nvme");
	suspended(export_range_of(2, PAGE, PAGE), to_sleep, wake_up);
}

/* An access during a reset waits, and nothing is told. */
static atomic_int stop;

struct reader {
	struct barbuf_map *map;
	atomic_int reads, failures;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	uint32_t v;

	while (!stop) {
		r->failures += barbuf_map_read32(r->map, 0, &v) != 0;
		r->reads++;
	}
	return NULL;
}

static void reset_in_progress(void)
{
	struct told told = { 0 };
	struct reader reader = { 0 };
	struct barbuf_buffer *buf;
	pthread_t t;
	int i;

	dev = dev_open("nvme");
	buf = export_range_of(2, 0, PAGE);
	reader.map = map_telling(buf, &told);
	CHECK(!pthread_create(&t, NULL, read_on, &reader));
	for (i = 0; i < 3; i++) {
		reader.reads = 0;
		wait_for((volatile int *)&reader.reads, "reads before the reset");
		CHECK_EQ(barbuf_device_reset(dev->lib), 0);
		reader.reads = 0;
		wait_for((volatile int *)&reader.reads, "reads after the reset");
	}
	stop = 1;
	pthread_join(t, NULL);
	CHECK(!reader.failures && !told.suspended && !told.revoked);
}

static void device_closed(void)
{
	struct told told = { 0 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	uint32_t v;

	dev = dev_open("ivshmem");
	buf = export_range_of(2, 0, PAGE);
	map = map_telling(buf, &told);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), 0);
	dev_close(dev);
	CHECK_EQ(barbuf_buffer_revoke(buf), -EOPNOTSUPP);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
	CHECK_EQ(barbuf_map_read32(map, 0, &v), -EIO);
	CHECK_EQ(told.revoked, 1);
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

static struct barbuf_buffer *lent;
static int from_child, to_child;

/* Another process, with nothing but the fd. */
static int adopter(void *arg)
{
	struct told told = { 0 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	size_t nr;
	uint32_t v;
	char c = 0;

	CHECK_EQ(barbuf_buffer_adopt(&buf, OK(dup(barbuf_buffer_fd(lent)))), 0);
	CHECK_EQ(barbuf_buffer_size(buf), 2 * PAGE);
	CHECK(barbuf_buffer_read_only(buf) && !strcmp(barbuf_buffer_name(buf), "lent"));
	CHECK(!barbuf_buffer_ranges(buf, &nr) && !nr);
	CHECK_EQ(barbuf_buffer_revoke(buf), -EOPNOTSUPP);
	CHECK_EQ(barbuf_buffer_check(buf), 0);
	map = map_telling(buf, &told);
	CHECK_EQ(barbuf_map_read32(map, PAGE, &v), 0);
	CHECK_EQ(v, 0x600df00d);
	CHECK(write(from_child, &c, 1) == 1 && read(to_child, &c, 1) == 1);
	CHECK_EQ(barbuf_buffer_check(buf), -EBADFD);
	CHECK_EQ(barbuf_map_read32(map, PAGE, &v), -EIO);
	CHECK_EQ(told.revoked, 1);
	return 0;
}

static void adopted(void)
{
	const range_t range = { PAGE, 2 * PAGE };
	const struct barbuf_export x = {
		.bar = 2,
		.ranges = &range,
		.nr_ranges = 1,
		.read_only = true,
		.name = "lent",
	};
	int up[2], down[2];
	pid_t pid;
	char c;

	dev = dev_open("ivshmem");
	write32(map_bar(dev, 2, 2 * PAGE, PAGE), 0x600df00d);
	lent = export(&x);
	CHECK(!pipe(up) && !pipe(down));
	from_child = up[1];
	to_child = down[0];
	pid = spawn(adopter, NULL);
	close(up[1]);
	CHECK(read(up[0], &c, 1) == 1);
	CHECK_EQ(barbuf_buffer_revoke(lent), 0);
	CHECK(write(down[1], &c, 1) == 1);
	join(pid);
}

static void adopts_no_other(void)
{
	struct barbuf_buffer *buf = (void *)1;
	char path[64];
	int fd;

	dev = dev_open("ivshmem");
	fd = export_range(dev, 2, 0, PAGE);
	CHECK_EQ(barbuf_buffer_adopt(&buf, -1), -EBADF);
	CHECK_EQ(barbuf_buffer_adopt(&buf, 999), -EBADF);
	CHECK_EQ(barbuf_buffer_adopt(&buf, OK(memfd_create("/dmabuf:x", MFD_CLOEXEC))), -EINVAL);
	CHECK_EQ(barbuf_buffer_adopt(&buf, dev->fd), -EINVAL);
	/* It names the buffer and can't be mapped. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(barbuf_buffer_adopt(&buf, OK(open(path, O_PATH | O_CLOEXEC))), -EINVAL);
	CHECK(buf == (void *)1);
	CHECK_EQ(barbuf_buffer_adopt(&buf, fd), 0);
	barbuf_buffer_free(buf);
}

static void parts(void)
{
	static const range_t ranges[] = { { 6 * PAGE, PAGE }, { 0, 2 * PAGE }, { 3 * PAGE, PAGE } };
	const struct barbuf_export x = { .bar = 2, .ranges = ranges, .nr_ranges = 3 };
	static const unsigned int bar_page[] = { 6, 0, 1, 3 };
	struct barbuf_map_options o = { 0 };
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	volatile char *bar;
	uint32_t v, i, j;

	dev = dev_open("ivshmem");
	buf = export(&x);
	bar = map_bar(dev, 2, 0, 8 * PAGE);
	for (i = 0; i < 8; i++)
		write32(bar + i * PAGE + 4, 0xbab00000 + i);
	for (i = 0; i < 4; i++) {
		for (j = 1; i + j <= 4; j++) {
			uint32_t k;

			o.offset = i * PAGE;
			o.length = j * PAGE;
			CHECK_EQ(barbuf_map(&map, buf, &o), 0);
			CHECK_EQ(barbuf_map_length(map), j * PAGE);
			for (k = 0; k < j; k++) {
				CHECK_EQ(barbuf_map_read32(map, k * PAGE + 4, &v), 0);
				CHECK_EQ(v, 0xbab00000 + bar_page[i + k]);
			}
			CHECK_EQ(barbuf_map_read32(map, j * PAGE, &v), -ERANGE);
			barbuf_unmap(map);
		}
	}
	o.offset = 4 * PAGE;
	CHECK_EQ(barbuf_map(&map, buf, &o), -ERANGE);
	o.offset = 2 * PAGE;
	o.length = 3 * PAGE;
	CHECK_EQ(barbuf_map(&map, buf, &o), -ERANGE);
}

struct copier {
	struct barbuf_map *map;
	atomic_int running;
	int ret;
};

static char copied[MIB(4)];

static void *copy_on(void *arg)
{
	struct copier *c = arg;

	do {
		c->ret = barbuf_map_copy_from(c->map, 0, copied, sizeof(copied));
		c->running++;
	} while (!c->ret);
	return NULL;
}

/* A revoke in the middle of a copy ends it. */
static void revoked_in_a_copy(void)
{
	struct told told = { 0 };
	struct copier copier = { 0 };
	struct barbuf_buffer *buf;
	pthread_t t;

	dev = dev_open("ivshmem");
	buf = export_range_of(2, 0, sizeof(copied));
	copier.map = map_telling(buf, &told);
	CHECK(!pthread_create(&t, NULL, copy_on, &copier));
	wait_for((volatile int *)&copier.running, "the first copy");
	CHECK_EQ(barbuf_buffer_revoke(buf), 0);
	pthread_join(t, NULL);
	CHECK_EQ(copier.ret, -EIO);
	CHECK(told.revoked == 1 && !told.suspended);
}

static const struct test_case cases[] = {
	CASE(as_far_as_the_kernel_goes),
	CASE(refused),
	CASE_MMAP(described),
	CASE_MMAP(attributes),
	CASE_MMAP(read_only),
	CASE(write_only),
	CASE_MMAP(revoked),
	CASE_MMAP(revoked_when_freed),
	CASE_MMAP(suspended_by_decode),
	CASE_MMAP(suspended_by_low_power),
	CASE_MMAP(reset_in_progress),
	CASE_MMAP(device_closed),
	CASE_MMAP(adopted),
	CASE(adopts_no_other),
	CASE_MMAP(parts),
	CASE_MMAP(revoked_in_a_copy),
};

TEST_MAIN(cases)
