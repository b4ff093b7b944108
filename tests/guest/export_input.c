// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VFIO_DEVICE_FEATURE_DMA_BUF refuses of its input, and how. All but the
 * unknown open flags is as in stock Linux 7.3, where the same cases run.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

#define EXPORT (VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET)

/* The feature's struct, with room for some ranges; size says how much is passed. */
struct request {
	struct vfio_device_feature_dma_buf head;
	range_t room[8];
};

static int try_request(const struct dev *dev, const struct request *request, size_t nr)
{
	struct request copy = *request;

	return try_feature(dev->fd, EXPORT, &copy, sizeof(copy.head) + nr * sizeof(range_t));
}

static struct request one(unsigned int bar, uint64_t offset, uint64_t length)
{
	struct request r = {
		.head = { .region_index = bar, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },
	};
	range_t range = { offset, length };

	memcpy(r.head.dma_ranges, &range, sizeof(range));
	return r;
}

static int open_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void refused(const struct dev *dev, unsigned int bar, uint64_t offset, uint64_t length,
		    int err)
{
	struct request r = one(bar, offset, length);
	int fds = open_fds(), ret = try_request(dev, &r, 1);

	if (ret >= 0 || errno != err)
		FAIL("BAR %u, 0x%llx+0x%llx: %s, wanted %s", bar, (unsigned long long)offset,
		     (unsigned long long)length, ret >= 0 ? "accepted" : strerror_name(errno),
		     strerror_name(err));
	CHECK_EQ(open_fds(), fds);
}

static void accepted(const struct dev *dev, unsigned int bar, uint64_t offset, uint64_t length)
{
	struct request r = one(bar, offset, length);
	int fd = try_request(dev, &r, 1);

	if (fd < 0)
		FAIL("BAR %u, 0x%llx+0x%llx: %s", bar, (unsigned long long)offset,
		     (unsigned long long)length, strerror_name(errno));
	CHECK_EQ(lseek(fd, 0, SEEK_END), length);
	close(fd);
}

static void ranges_of_the_bar(void)
{
	struct dev *dev = dev_open("bochs");
	uint64_t size = dev->region[0].size;

	accepted(dev, 0, 0, size);
	accepted(dev, 0, 0, PAGE);
	accepted(dev, 0, size - PAGE, PAGE);
	accepted(dev, 2, 0, PAGE);
	refused(dev, 0, 0, size + PAGE, EINVAL);
	refused(dev, 0, PAGE, size, EINVAL);
	refused(dev, 0, size, PAGE, EINVAL);
	refused(dev, 0, size + PAGE, PAGE, EINVAL);
	refused(dev, 0, 4 * size, PAGE, EINVAL);
	refused(dev, 0, 0, 0, EINVAL);
	refused(dev, 0, PAGE, 0, EINVAL);
}

static void unaligned_ranges(void)
{
	struct dev *dev = dev_open("bochs");

	refused(dev, 0, 0, 1, EINVAL);
	refused(dev, 0, 0, PAGE - 1, EINVAL);
	refused(dev, 0, 0, PAGE + 1, EINVAL);
	refused(dev, 0, 1, PAGE, EINVAL);
	refused(dev, 0, PAGE / 2, PAGE, EINVAL);
	refused(dev, 0, PAGE / 2, PAGE / 2, EINVAL);
}

/* Ends that don't fit in 64 bits: with the offset alone, or with the BAR's place. */
static void wrapping_ranges(void)
{
	struct dev *dev = dev_open("bochs");
	static const struct {
		uint64_t offset, length;
	} wraps[] = {
		{ -PAGE, PAGE },	     { -PAGE, 2 * PAGE },
		{ -2 * PAGE, PAGE },	     { PAGE, -PAGE },
		{ 0, -PAGE },		     { 1ull << 63, 1ull << 63 },
		{ (1ull << 63) - PAGE, PAGE }, { 1ull << 63, PAGE },
		{ 0, 1ull << 63 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wraps); i++) {
		struct request r = one(0, wraps[i].offset, wraps[i].length);
		int ret = try_request(dev, &r, 1);

		CHECK_MSG(ret < 0 && (errno == EINVAL || errno == EOVERFLOW), "range %zu: %s", i,
			  ret < 0 ? strerror_name(errno) : "accepted");
	}
}

/* One bad range spoils all, wherever it is. */
static void bad_among_good(void)
{
	struct dev *dev = dev_open("bochs");
	range_t good[8], ranges[8];
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		good[i] = (range_t){ i * 2 * PAGE, PAGE };
	fd = export_ranges(dev, 0, good, ARRAY_SIZE(good));
	close(fd);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		memcpy(ranges, good, sizeof(good));
		ranges[i].offset = dev->region[0].size;
		CHECK_ERRNO(try_export(dev, 0, O_RDWR, ranges, ARRAY_SIZE(ranges)), EINVAL);
		memcpy(ranges, good, sizeof(good));
		ranges[i].length = 0;
		CHECK_ERRNO(try_export(dev, 0, O_RDWR, ranges, ARRAY_SIZE(ranges)), EINVAL);
	}
}

/* The sum has to fit too: no part of it is too large for the BAR. */
static void total_too_large(void)
{
	struct dev *dev = dev_open("testdev");
	static range_t ranges[8];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (range_t){ 0, 1ull << 61 };
	CHECK_ERRNO(try_export(dev, 2, O_RDWR, ranges, ARRAY_SIZE(ranges)), EINVAL);
	CHECK_ERRNO(try_export(dev, 2, O_RDWR, ranges, 4), EINVAL);
}

static void no_ranges(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);

	r.head.nr_ranges = 0;
	CHECK_ERRNO(try_request(dev, &r, 0), EINVAL);
	CHECK_ERRNO(try_request(dev, &r, 1), EINVAL);
}

/* What is claimed to follow is not there to be read. */
static void more_ranges_than_memory(void)
{
	struct dev *dev = dev_open("bochs");
	struct vfio_device_feature *arg;
	struct request r = one(0, 0, PAGE);
	char *end;
	int err;

	end = try_map(-1, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(end);
	unmap(end + PAGE, PAGE);
	end += PAGE;
	/* One range is there, two are claimed; argsz has nothing to say in it. */
	r.head.nr_ranges = 2;
	arg = (void *)(end - sizeof(*arg) - sizeof(r.head) - sizeof(range_t));
	*arg = (struct vfio_device_feature){
		.argsz = sizeof(*arg) + sizeof(r.head) + sizeof(range_t), .flags = EXPORT,
	};
	memcpy(arg->data, &r, sizeof(r.head) + sizeof(range_t));
	err = ioctl(dev->fd, VFIO_DEVICE_FEATURE, arg) < 0 ? errno : 0;
	CHECK_MSG(err == EFAULT || err == EINVAL, "%s", strerror_name(err));
}

/* Refused for their number alone, however little memory follows. */
static void far_too_many_ranges(void)
{
	static const uint32_t numbers[] = {
		UINT32_MAX, INT32_MAX, 1u << 31, 1u << 28, (1u << 28) + 1, 1u << 24,
	};
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		int ret;

		r.head.nr_ranges = numbers[i];
		ret = try_request(dev, &r, 1);
		CHECK_MSG(ret < 0 && (errno == E2BIG || errno == EINVAL || errno == EFAULT ||
				      errno == ENOMEM || errno == EOVERFLOW),
			  "%u ranges: %s", numbers[i], ret < 0 ? strerror_name(errno) : "accepted");
	}
}

static void most_ranges(void)
{
	enum { MOST = 262144 };
	struct dev *dev = dev_open("bochs");
	range_t *ranges = calloc(MOST + 1, sizeof(*ranges));
	volatile char *p, *bar;
	size_t i;
	int fd;

	CHECK(ranges);
	for (i = 0; i <= MOST; i++)
		ranges[i] = (range_t){ i * 7 % 64 * PAGE, PAGE };
	CHECK_ERRNO(try_export(dev, 0, O_RDWR, ranges, MOST + 1), E2BIG);
	fd = export_ranges(dev, 0, ranges, MOST);
	bar = map_bar(dev, 0, 0, 64 * PAGE);
	for (i = 0; i < 64; i++)
		write32(bar + i * PAGE, 0x70500000 + i);
	p = map_buffer(fd, (MOST - 128) * PAGE, 128 * PAGE);
	for (i = 0; i < 128; i++)
		CHECK_EQ(read32(p + i * PAGE), 0x70500000 + (MOST - 128 + i) * 7 % 64);
}

static void regions_that_are_no_memory_bar(void)
{
	struct dev *testdev = dev_open("testdev"), *bochs = dev_open("bochs");

	refused(testdev, 1, 0, PAGE, EINVAL);	/* I/O, of 256 ports */
	refused(bochs, 1, 0, PAGE, ENODEV);	/* the upper half of BAR 0, or nothing */
	refused(bochs, 5, 0, PAGE, ENODEV);	/* not implemented */
	refused(bochs, 6, 0, PAGE, ENODEV);	/* ROM */
	refused(bochs, 7, 0, PAGE, ENODEV);	/* config space */
	refused(bochs, 8, 0, PAGE, ENODEV);	/* VGA */
	refused(bochs, 9, 0, PAGE, ENODEV);
	refused(bochs, UINT32_MAX, 0, PAGE, ENODEV);
	refused(bochs, 1u << 31, 0, PAGE, ENODEV);
}

/* 256 bytes: mmap gives the page it has to itself, export has no page of it. */
static void bar_smaller_than_a_page(void)
{
	struct dev *dev = dev_open("ivshmem");
	volatile char *p;
	uint32_t value;

	CHECK(dev->region[0].size < PAGE);
	refused(dev, 0, 0, PAGE, EINVAL);
	refused(dev, 0, 0, dev->region[0].size, EINVAL);
	CHECK(dev->region[0].flags & VFIO_REGION_INFO_FLAG_MMAP);
	p = map_bar(dev, 0, 0, PAGE);
	CHECK_EQ(pread(dev->fd, &value, sizeof(value), bar_offset(dev, 0, 8)), sizeof(value));
	CHECK_EQ(read32(p + 8), value);
	CHECK(!try_map(dev->fd, bar_offset(dev, 0, 0), 2 * PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, EINVAL);
	CHECK(!try_map(dev->fd, bar_offset(dev, 0, PAGE), PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, EINVAL);
}

/* The owner may have what it could mmap anyway: the MSI-X table is no exception. */
static void bar_with_the_msix_table(void)
{
	struct dev *dev = dev_open("nvme");
	uint64_t size = dev->region[0].size;
	volatile char *p;

	if (!config_capability(dev, 0x11))
		SKIP("%s has no MSI-X", dev->model);
	accepted(dev, 0, 0, size);
	p = map_bar(dev, 0, 0, size);
	CHECK_EQ(walk_faults(p, size, PAGE) >= 1, 1);
}

/* The whole of such a buffer can be mapped and read, as the BAR can. */
static void msix_table_in_a_buffer(void)
{
	struct dev *dev = dev_open("nvme");
	uint64_t size = dev->region[0].size, i;
	volatile char *p, *bar;

	if (!config_capability(dev, 0x11))
		SKIP("%s has no MSI-X", dev->model);
	p = map_buffer(export_range(dev, 0, 0, size), 0, size);
	bar = map_bar(dev, 0, 0, size);
	for (i = 0; i < size; i += PAGE)
		CHECK_EQ(read32(p + i), read32(bar + i));
}

static void flags_that_are_not_zero(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		r.head.flags = 1u << bit;
		CHECK_ERRNO(try_request(dev, &r, 1), EINVAL);
	}
}

static void open_flags_known(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	int fd;

	r.head.open_flags = O_RDWR | O_CLOEXEC;
	fd = OK(try_request(dev, &r, 1));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	r.head.open_flags = O_RDONLY;
	fd = OK(try_request(dev, &r, 1));
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void open_flags_unknown(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		uint32_t flag = 1u << bit;

		if (flag & (O_ACCMODE | O_CLOEXEC))
			continue;
		r.head.open_flags = O_RDWR | flag;
		CHECK_MSG(try_request(dev, &r, 1) < 0 && errno == EINVAL, "open flag 0x%x", flag);
	}
}

/* The access mode that is none of the three, which 7.3 takes, gives no access. */
static void open_flags_without_access(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	int fd;

	r.head.open_flags = O_ACCMODE;
	fd = try_request(dev, &r, 1);
	if (fd < 0) {
		CHECK_EQ(errno, EINVAL);
		return;
	}
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_EQ(errno, EACCES);
	CHECK(!try_map(fd, 0, PAGE, PROT_NONE, MAP_SHARED));
	CHECK_EQ(errno, EACCES);
}

static void wrong_direction_or_size(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	size_t size = sizeof(r.head) + sizeof(range_t);

	CHECK_ERRNO(try_feature(dev->fd,
				VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_SET, &r, size),
		    EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, VFIO_DEVICE_FEATURE_DMA_BUF, &r, size), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, EXPORT, &r, sizeof(r.head) - 1), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, EXPORT, NULL, 0), EINVAL);
	OK(try_feature(dev->fd, EXPORT | VFIO_DEVICE_FEATURE_PROBE, NULL, 0));
}

/* No number left for the fd: the buffer must be gone again, and its hold. */
static void no_free_fd(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	struct rlimit limit, none;
	unsigned int i;

	OK(getrlimit(RLIMIT_NOFILE, &limit));
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	OK(setrlimit(RLIMIT_NOFILE, &none));
	for (i = 0; i < 100; i++)
		CHECK_ERRNO(try_request(dev, &r, 1), EMFILE);
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	OK(try_request(dev, &r, 1));
	dev_close(dev);
	dev = try_dev_open("bochs");
	CHECK_MSG(dev, "the device is still held: %s", strerror_name(errno));
}

/* Where BAR 0 is, as the system has it. */
static uint64_t bar_start(const struct dev *dev)
{
	unsigned long long start;
	char path[64], text[2048];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", dev->address);
	CHECK_EQ(sscanf(read_file(path, text, sizeof(text)), "%llx", &start), 1);
	return start;
}

/*
 * A first range that lies at the address of all ones, and every one near it: what a builder
 * of the layout takes for "no range yet" must not be reached by an offset.
 */
static void address_of_all_ones(void)
{
	struct dev *dev = dev_open("bochs");
	uint64_t start = bar_start(dev), back;

	for (back = 0; back < 64; back++) {
		/* The sum of the second does not wrap, and that of the first does. */
		refused(dev, 0, UINT64_MAX - start - back, PAGE, EINVAL);
		refused(dev, 0, UINT64_MAX - start - back, 1, EINVAL);
	}
	accepted(dev, 0, 0, PAGE);
}

/* As many buffers as there is room for fds, of the same page. */
static void a_thousand_buffers(void)
{
	struct dev *dev = dev_open("bochs");
	struct request r = one(0, 0, PAGE);
	int fds[900];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = OK(try_request(dev, &r, 1));
	memory_decode(dev, false);
	memory_decode(dev, true);
	for (i = 0; i < ARRAY_SIZE(fds); i += 2)
		close(fds[i]);
	memory_decode(dev, false);
	memory_decode(dev, true);
	dev_close(dev);
	for (i = 1; i < ARRAY_SIZE(fds); i += 2)
		close(fds[i]);
}

static const struct test_case cases[] = {
	CASE(ranges_of_the_bar),
	CASE(unaligned_ranges),
	CASE(wrapping_ranges),
	CASE(bad_among_good),
	CASE(total_too_large),
	CASE(no_ranges),
	CASE(more_ranges_than_memory),
	CASE(far_too_many_ranges),
	CASE(regions_that_are_no_memory_bar),
	CASE(bar_smaller_than_a_page),
	CASE(bar_with_the_msix_table),
	CASE(flags_that_are_not_zero),
	CASE(open_flags_known),
	CASE(wrong_direction_or_size),
	CASE(no_free_fd),
	CASE(a_thousand_buffers),
	CASE(address_of_all_ones),
	CASE_MMAP(most_ranges),
	CASE_MMAP(msix_table_in_a_buffer),
	CASE_MMAP(open_flags_unknown),
	CASE_MMAP(open_flags_without_access),
};

TEST_MAIN(cases)
