// SPDX-License-Identifier: GPL-2.0-only
/* What mmap and mprotect refuse, of BARs and of exported buffers, and how. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define RW (PROT_READ | PROT_WRITE)

#define CHECK_NO_MAP(err, ...) CHECK_ERRNO(try_map(__VA_ARGS__) ? 0 : -1, err)

static void bar_private(void)
{
	struct dev *dev = dev_open("ivshmem");

	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 2, 0), PAGE, RW, MAP_PRIVATE);
	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 2, 0), PAGE, PROT_READ, MAP_PRIVATE);
}

static void bar_past_the_end(void)
{
	struct dev *dev = dev_open("bochs");
	uint64_t size = dev->region[0].size;

	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 0, 0), size + PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 0, size), PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 0, size - PAGE), 2 * PAGE, RW, MAP_SHARED);
	CHECK(try_map(dev->fd, bar_offset(dev, 0, size - PAGE), PAGE, RW, MAP_SHARED));
	/* The last page of the region's window, far beyond its BAR. */
	CHECK_NO_MAP(EINVAL, dev->fd, bar_offset(dev, 1, 0) - PAGE, PAGE, RW, MAP_SHARED);
}

static void bar_that_is_none(void)
{
	struct dev *testdev = dev_open("testdev"), *bochs = dev_open("bochs");

	/* An I/O BAR, an unimplemented one, the ROM, config space, no region at all. */
	CHECK_NO_MAP(EINVAL, testdev->fd, bar_offset(testdev, 1, 0), PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, bochs->fd, 5ull << 40, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, bochs->fd, 6ull << 40, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, bochs->fd, 7ull << 40, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, bochs->fd, 100ull << 40, PAGE, RW, MAP_SHARED);
}

static int buffer(const struct dev *dev, int open_flags, uint64_t size)
{
	range_t range = { MIB(1), size };

	return OK(try_export(dev, 2, open_flags, &range, 1));
}

static void buffer_private(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, 4 * PAGE);

	CHECK_NO_MAP(EINVAL, fd, 0, PAGE, RW, MAP_PRIVATE);
	CHECK_NO_MAP(EINVAL, fd, 0, PAGE, PROT_READ, MAP_PRIVATE);
	fd = buffer(dev, O_RDONLY, 4 * PAGE);
	CHECK_NO_MAP(EINVAL, fd, 0, PAGE, RW, MAP_PRIVATE);
}

static void buffer_past_the_end(void)
{
	static const range_t ranges[] = { { MIB(4), PAGE }, { 0, 2 * PAGE }, { MIB(2), PAGE } };
	struct dev *dev = dev_open("ivshmem");
	int fd = export_ranges(dev, 2, ranges, ARRAY_SIZE(ranges));

	CHECK(try_map(fd, 0, 4 * PAGE, RW, MAP_SHARED));
	CHECK(try_map(fd, 3 * PAGE, PAGE, RW, MAP_SHARED));
	CHECK_NO_MAP(EINVAL, fd, 0, 5 * PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, fd, PAGE, 4 * PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, fd, 4 * PAGE, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, fd, GIB(1), PAGE, RW, MAP_SHARED);
	/* What looks like a region of the device fd is only an offset here. */
	CHECK_NO_MAP(EINVAL, fd, 2ull << 40, PAGE, RW, MAP_SHARED);
}

/* An offset whose end does not fit in 64 bits, as bytes or as pages. */
static void buffer_offset_overflow(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, MIB(4));
	static const uint64_t offsets[] = {
		UINT64_MAX - PAGE + 1, UINT64_MAX - 2 * PAGE + 1, UINT64_MAX - MIB(4) + 1,
		1ull << 63, INT64_MAX - PAGE + 1, 1ull << 52, 1ull << 44,
	};
	size_t i, size;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (size = PAGE; size <= MIB(4); size *= 4) {
			void *p = try_map(fd, offsets[i], size, RW, MAP_SHARED);

			CHECK_MSG(!p, "offset 0x%llx, size 0x%zx", (unsigned long long)offsets[i],
				  size);
			CHECK_MSG(errno == EINVAL || errno == EOVERFLOW, "offset 0x%llx: %s",
				  (unsigned long long)offsets[i], strerror_name(errno));
		}
	}
	CHECK_NO_MAP(ENOMEM, fd, 0, SIZE_MAX, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, fd, 0, 0, RW, MAP_SHARED);
	CHECK_NO_MAP(EINVAL, fd, 512, PAGE, RW, MAP_SHARED);
}

static void buffer_revoked(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, 4 * PAGE);

	CHECK(try_map(fd, 0, PAGE, RW, MAP_SHARED));
	revoke_buffer(dev, fd);
	CHECK_NO_MAP(ENODEV, fd, 0, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(ENODEV, fd, PAGE, PAGE, PROT_READ, MAP_SHARED);
	CHECK_NO_MAP(ENODEV, fd, 0, PAGE, PROT_NONE, MAP_SHARED);
}

static void buffer_of_a_closed_device(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, 4 * PAGE);

	dev_close(dev);
	CHECK_NO_MAP(ENODEV, fd, 0, PAGE, RW, MAP_SHARED);
	/* Nor does the device's next life bring it back. */
	dev = dev_open("ivshmem");
	CHECK_NO_MAP(ENODEV, fd, 0, PAGE, RW, MAP_SHARED);
}

static void read_only_buffer(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDONLY, 4 * PAGE);
	volatile uint32_t *bar = map_bar(dev, 2, MIB(1), PAGE);
	char *p;

	CHECK_NO_MAP(EACCES, fd, 0, PAGE, RW, MAP_SHARED);
	CHECK_NO_MAP(EACCES, fd, 0, PAGE, PROT_WRITE, MAP_SHARED);
	p = try_map(fd, 0, 4 * PAGE, PROT_READ, MAP_SHARED);
	CHECK(p);
	*bar = 0x0b5e55ed;
	CHECK_EQ(read32(p), 0x0b5e55ed);
	CHECK_ERRNO(mprotect(p, PAGE, RW), EACCES);
	CHECK_ERRNO(mprotect(p, 4 * PAGE, PROT_WRITE), EACCES);
	CHECK_EQ(read32(p), 0x0b5e55ed);
}

/* No new open of the same file gives more than its export did. */
static void read_only_buffer_reopened(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDONLY, 4 * PAGE), again;
	char path[64];
	void *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return; /* as in 7.3: the file system of DMABUFs opens nothing */
	p = try_map(again, 0, PAGE, RW, MAP_SHARED);
	CHECK_MSG(!p, "a read-only buffer was mapped writable through %s", path);
}

static void write_only_buffer(void)
{
	struct dev *dev = dev_open("ivshmem");
	range_t range = { MIB(1), PAGE };
	int fd = try_export(dev, 2, O_WRONLY, &range, 1);

	/* To be refused at once is right too. */
	if (fd < 0)
		CHECK_EQ(errno, EINVAL);
	else
		CHECK_NO_MAP(EACCES, fd, 0, PAGE, PROT_WRITE, MAP_SHARED);
}

static void executable_buffer(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, PAGE);
	void *p;

	CHECK_NO_MAP(EPERM, fd, 0, PAGE, RW | PROT_EXEC, MAP_SHARED);
	p = map_buffer(fd, 0, PAGE);
	CHECK_ERRNO(mprotect(p, PAGE, PROT_READ | PROT_EXEC), EACCES);
}

/* A failed mmap holds nothing: not the buffer, not the device. */
static void refused_mmap_holds_nothing(void)
{
	struct dev *dev = dev_open("ivshmem");
	int fd = buffer(dev, O_RDWR, PAGE), i;

	for (i = 0; i < 100; i++) {
		CHECK(!try_map(fd, 0, PAGE, RW, MAP_PRIVATE));
		CHECK(!try_map(fd, 0, 2 * PAGE, RW, MAP_SHARED));
		CHECK(!try_map(dev->fd, bar_offset(dev, 2, 0), PAGE, RW, MAP_PRIVATE));
		CHECK(!try_map(dev->fd, bar_offset(dev, 2, GIB(1)), PAGE, RW, MAP_SHARED));
	}
	dev_close(dev);
	dev = try_dev_open("ivshmem");
	CHECK_MSG(dev, "the device is still held: %s", strerror_name(errno));
}

static const struct test_case cases[] = {
	CASE(bar_private),
	CASE(bar_past_the_end),
	CASE(bar_that_is_none),
	CASE_MMAP(buffer_private),
	CASE_MMAP(buffer_past_the_end),
	CASE_MMAP(buffer_offset_overflow),
	CASE_MMAP(buffer_revoked),
	CASE_MMAP(buffer_of_a_closed_device),
	CASE_MMAP(read_only_buffer),
	CASE_MMAP(read_only_buffer_reopened),
	CASE_MMAP(write_only_buffer),
	CASE_MMAP(executable_buffer),
	CASE_MMAP(refused_mmap_holds_nothing),
};

TEST_MAIN(cases)
