// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbarbuf's DMA mappings, through both interfaces of the kernel: what a device
 * reads and writes with its own DMA engine, and what it reaches no more.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "edu.h"
#include "harness.h"

#define IOVA MIB(16)
#define BOTH (BARBUF_DMA_READ | BARBUF_DMA_WRITE)

static struct barbuf_container *start(enum barbuf_iommu iommu, struct edu *edu)
{
	struct barbuf_container *c;
	char address[32];
	int group;

	dev_bind("edu", address, &group);
	CHECK_EQ(barbuf_container_new(&c, iommu), 0);
	edu_open(edu, c);
	return c;
}

static void end(struct barbuf_container *c, struct edu *edu)
{
	edu_close(edu);
	CHECK_EQ(barbuf_container_free(c), 0);
}

static unsigned char *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void fill(unsigned char *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = seed + i * 7 + (i >> 8);
}

static bool is_filled(const volatile unsigned char *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != (unsigned char)(seed + i * 7 + (i >> 8)))
			return false;
	return true;
}

static bool is_zero(const volatile unsigned char *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* The device has this in its own memory from now on. */
static void load(struct edu *edu, struct barbuf_container *c, unsigned int seed)
{
	unsigned char *p = memory(PAGE);

	fill(p, EDU_ROOM, seed);
	CHECK_EQ(barbuf_dma_map(c, MIB(200), p, PAGE, BARBUF_DMA_READ), 0);
	edu_fetch(edu, MIB(200), EDU_ROOM);
	CHECK_EQ(barbuf_dma_unmap(c, MIB(200), PAGE), 0);
	unmap(p, PAGE);
}

static void anonymous(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	unsigned char *p = memory(4 * PAGE);

	fill(p + 3 * PAGE + 100, EDU_ROOM, 1);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, 4 * PAGE, BOTH), 0);
	edu_fetch(&edu, IOVA + 3 * PAGE + 100, EDU_ROOM);
	edu_store(&edu, IOVA + PAGE - 17, EDU_ROOM);
	CHECK(is_filled(p + PAGE - 17, EDU_ROOM, 1));
	CHECK(is_zero(p, PAGE - 17));
	CHECK(is_zero(p + PAGE - 17 + EDU_ROOM, PAGE));

	/* The page below and the page behind are not reached. */
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 4 * PAGE), 0);
	memset(p, 0, 4 * PAGE);
	edu_store(&edu, IOVA, EDU_ROOM);
	edu_store(&edu, IOVA + 3 * PAGE, EDU_ROOM);
	CHECK(is_zero(p, 4 * PAGE));
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 4 * PAGE), -ENOENT);
	end(c, &edu);
}
EACH_IOMMU(anonymous)

/* A memfd that is not mapped by this process while the device uses it. */
static void memfd(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	int fd = OK(memfd_create("dma", MFD_CLOEXEC));
	unsigned char got[EDU_ROOM];

	OK(ftruncate(fd, 8 * PAGE));
	load(&edu, c, 2);
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, fd, 2 * PAGE, 4 * PAGE, BOTH), 0);
	edu_store(&edu, IOVA + PAGE, EDU_ROOM);
	CHECK_EQ(pread(fd, got, sizeof(got), 3 * PAGE), sizeof(got));
	CHECK(is_filled(got, sizeof(got), 2));

	fill(got, sizeof(got), 3);
	CHECK_EQ(pwrite(fd, got, sizeof(got), 5 * PAGE), sizeof(got));
	edu_fetch(&edu, IOVA + 3 * PAGE, EDU_ROOM);
	edu_store(&edu, IOVA, EDU_ROOM);
	memset(got, 0, sizeof(got));
	CHECK_EQ(pread(fd, got, sizeof(got), 2 * PAGE), sizeof(got));
	CHECK(is_filled(got, sizeof(got), 3));

	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 4 * PAGE), 0);
	load(&edu, c, 4);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK_EQ(pread(fd, got, sizeof(got), 2 * PAGE), sizeof(got));
	CHECK(is_filled(got, sizeof(got), 3));
	OK(close(fd));
	end(c, &edu);
}
EACH_IOMMU(memfd)

/* The device does only what it was let. */
static void access_is_kept(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	unsigned char *p = memory(PAGE);

	load(&edu, c, 5);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BARBUF_DMA_READ), 0);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK(is_zero(p, PAGE));
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), 0);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BOTH), 0);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK(is_filled(p, EDU_ROOM, 5));
	end(c, &edu);
}
EACH_IOMMU(access_is_kept)

static void refuses(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c;
	unsigned char *p = memory(4 * PAGE);
	char text[512];

	CHECK_EQ(barbuf_container_new(&c, iommu), 0);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_advice(c, -EINVAL, PAGE, text, sizeof(text)), 0);
	CHECK(strstr(text, "no device"));
	edu_open(&edu, c);

	CHECK_EQ(barbuf_dma_map(c, IOVA + 1, p, PAGE, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p + 1, PAGE, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE + 1, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, 0, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, 0), -EINVAL);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, 4), -EINVAL);

	CHECK_EQ(barbuf_dma_map(c, IOVA, p, 2 * PAGE, BOTH), 0);
	CHECK_EQ(barbuf_dma_map(c, IOVA + PAGE, p, 2 * PAGE, BOTH), -EEXIST);
	CHECK_EQ(barbuf_dma_map(c, IOVA - PAGE, p, 4 * PAGE, BOTH), -EEXIST);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), -ENOENT);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA + PAGE, PAGE), -ENOENT);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 3 * PAGE), -ENOENT);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 2 * PAGE), 0);

	/* More bits than the IOMMU has; the window of the interrupts; past the end. */
	CHECK_EQ(barbuf_dma_map(c, 1ull << 60, p, PAGE, BOTH), -ERANGE);
	CHECK_EQ(barbuf_dma_map(c, 0xfee00000, p, PAGE, BOTH), -ERANGE);
	CHECK_EQ(barbuf_dma_map(c, -PAGE, p, 2 * PAGE, BOTH), -ERANGE);
	CHECK_EQ(barbuf_dma_advice(c, -ERANGE, PAGE, text, sizeof(text)), 0);
	note("%s", text);
	CHECK(strstr(text, "can address 0 to 0xfedfffff, 0xfef00000 to 0x"));

	unmap(p + PAGE, PAGE);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, 4 * PAGE, BOTH), -EFAULT);
	CHECK_EQ(barbuf_dma_advice(c, -EFAULT, PAGE, text, sizeof(text)), 0);
	/* Nothing is left of it. */
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BOTH), 0);
	CHECK_EQ(barbuf_dma_map(c, IOVA + PAGE, p + 2 * PAGE, 2 * PAGE, BOTH), 0);
	end(c, &edu);
}
EACH_IOMMU(refuses)

static void file_is_refused(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	int fd = OK(memfd_create("dma", MFD_CLOEXEC | MFD_ALLOW_SEALING)), ret, reader;
	char path[64];

	OK(ftruncate(fd, 2 * PAGE));
	/* iommufd by itself would let the device write. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = OK(open(path, O_RDONLY | O_CLOEXEC));
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, reader, 0, PAGE, BOTH), -EACCES);
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, reader, 0, PAGE, BARBUF_DMA_READ), 0);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), 0);
	OK(close(reader));

	CHECK_EQ(barbuf_dma_map_file(c, IOVA, fd, 1, PAGE, BOTH), -EINVAL);
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, -1, 0, PAGE, BOTH), -EBADF);
	/* Past the end of the file. */
	ret = barbuf_dma_map_file(c, IOVA, fd, PAGE, 2 * PAGE, BOTH);
	note("past the end of the file: %s", strerror_name(-ret));
	CHECK(ret < 0);
	/* Nothing is left of these. */
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, fd, 0, 2 * PAGE, BOTH), 0);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 2 * PAGE), 0);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	CHECK_EQ(barbuf_dma_map_file(c, IOVA, fd, 0, PAGE, BOTH), -EPERM);
	end(c, &edu);
}
EACH_IOMMU(file_is_refused)

/* With its last device a container loses its mappings, the kernel's and the record. */
static void last_device_ends_them(enum barbuf_iommu iommu)
{
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	int fd = OK(memfd_create("dma", MFD_CLOEXEC));
	unsigned char *p = memory(PAGE), *shared;

	OK(ftruncate(fd, PAGE));
	shared = map_buffer(fd, 0, PAGE);
	load(&edu, c, 6);
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BOTH), 0);
	CHECK_EQ(barbuf_dma_map_file(c, IOVA + PAGE, fd, 0, PAGE, BOTH), 0);
	edu_close(&edu);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), -ENOENT);

	edu_open(&edu, c);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), -ENOENT);
	edu_store(&edu, IOVA, EDU_ROOM);
	edu_store(&edu, IOVA + PAGE, EDU_ROOM);
	CHECK(is_zero(p, PAGE));
	CHECK(is_zero(shared, PAGE));
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, PAGE, BOTH), 0);
	CHECK_EQ(barbuf_dma_map_file(c, IOVA + PAGE, fd, 0, PAGE, BOTH), 0);
	end(c, &edu);
}
EACH_IOMMU(last_device_ends_them)

/* Root may lock what it likes, so let it be root without that. */
static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	OK(syscall(SYS_capget, &head, data));
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	OK(syscall(SYS_capset, &head, data));
}

static void memlock_advice(enum barbuf_iommu iommu)
{
	struct rlimit limit = { .rlim_cur = KIB(64), .rlim_max = KIB(64) };
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	unsigned char *p = memory(MIB(1));
	char text[512];

	OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	drop_ipc_lock();
	CHECK_EQ(barbuf_dma_map(c, IOVA, p, KIB(16), BOTH), 0);
	CHECK_EQ(barbuf_dma_map(c, MIB(32), p, MIB(1), BOTH), -ENOMEM);
	CHECK_EQ(barbuf_dma_advice(c, -ENOMEM, MIB(1), text, sizeof(text)), 0);
	note("%s", text);
	CHECK(!strcmp(text,
		      "mapping pins 1024 KiB, of the 64 KiB that RLIMIT_MEMLOCK allows 16 KiB "
		      "are used: raise it with `ulimit -l 1040`, or LimitMEMLOCK=1040K of the "
		      "systemd unit"));
	end(c, &edu);
}
EACH_IOMMU(memlock_advice)

/* The buffer of another device: ivshmem's memory. */
struct peer {
	struct dev *dev;
	struct barbuf_buffer *buf;
	volatile unsigned char *bar;
};

static void peer_open(struct peer *peer, const range_t *ranges, size_t nr, bool read_only)
{
	struct barbuf_export x = {
		.bar = 2,
		.read_only = read_only,
		.ranges = ranges,
		.nr_ranges = nr,
	};
	int ret;

	peer->dev = dev_open("ivshmem");
	peer->bar = map_bar(peer->dev, 2, 0, MIB(4));
	memset((void *)peer->bar, 0, MIB(4));
	ret = barbuf_buffer_export(&peer->buf, peer->dev->lib, &x);
	if (ret)
		FAIL("export: %s", strerror_name(-ret));
}

static void peer_close(struct peer *peer)
{
	barbuf_buffer_free(peer->buf);
	unmap((void *)peer->bar, MIB(4));
	dev_close(peer->dev);
}

static void buffer(enum barbuf_iommu iommu)
{
	static const range_t range = { MIB(1), 4 * PAGE };
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	struct peer peer;

	peer_open(&peer, &range, 1, false);
	load(&edu, c, 7);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, PAGE, 2 * PAGE, BOTH), 0);
	edu_store(&edu, IOVA + 100, EDU_ROOM);
	CHECK(is_filled(peer.bar + MIB(1) + PAGE + 100, EDU_ROOM, 7));
	CHECK(is_zero(peer.bar, MIB(1) + PAGE + 100));
	fill((unsigned char *)peer.bar + MIB(1) + 2 * PAGE, EDU_ROOM, 8);
	edu_fetch(&edu, IOVA + PAGE, EDU_ROOM);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK(is_filled(peer.bar + MIB(1) + PAGE, EDU_ROOM, 8));
	/* Past the window. */
	edu_store(&edu, IOVA + 2 * PAGE, EDU_ROOM);
	CHECK(is_zero(peer.bar + MIB(1) + 3 * PAGE, PAGE));

	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 2 * PAGE), 0);
	load(&edu, c, 9);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK(is_filled(peer.bar + MIB(1) + PAGE, EDU_ROOM, 8));
	peer_close(&peer);
	end(c, &edu);
}
EACH_IOMMU(buffer)

static void buffer_is_refused(enum barbuf_iommu iommu)
{
	static const range_t range = { MIB(1), 4 * PAGE };
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	struct peer peer;

	peer_open(&peer, &range, 1, true);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, 5 * PAGE, BARBUF_DMA_READ), -EINVAL);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 4 * PAGE, PAGE, BARBUF_DMA_READ),
		 -EINVAL);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, -PAGE, PAGE, BARBUF_DMA_READ), -EINVAL);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BOTH), -EACCES);
	CHECK_EQ(barbuf_dma_map_buffer(c, 1ull << 60, peer.buf, 0, PAGE, BARBUF_DMA_READ), -ERANGE);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BARBUF_DMA_READ), 0);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BARBUF_DMA_READ), -EEXIST);
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, PAGE), 0);
	CHECK_EQ(barbuf_buffer_revoke(peer.buf), 0);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BARBUF_DMA_READ), -EBADFD);
	peer_close(&peer);
	end(c, &edu);
}
EACH_IOMMU(buffer_is_refused)

/* Nothing can be mapped while the device does not answer, and that is not for ever. */
static void buffer_is_suspended(enum barbuf_iommu iommu)
{
	static const range_t range = { MIB(1), PAGE };
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	struct peer peer;

	peer_open(&peer, &range, 1, false);
	memory_decode(peer.dev, false);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BOTH), -ENODEV);
	memory_decode(peer.dev, true);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BOTH), 0);
	peer_close(&peer);
	end(c, &edu);
}
EACH_IOMMU(buffer_is_suspended)

/* A kernel whose buffers cannot be mapped by the CPU: type 1 has no way. */
static void stock_type1_has_no_way(void)
{
	static const range_t range = { MIB(1), PAGE };
	const char *kernel = getenv("LAB_KERNEL");
	struct barbuf_container *c;
	char text[512];
	struct peer peer;
	struct edu edu;

	if (!kernel || strcmp(kernel, "stock"))
		SKIP("only the stock kernel is so");
	c = start(BARBUF_IOMMU_TYPE1, &edu);
	peer_open(&peer, &range, 1, false);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, PAGE, BOTH), -EOPNOTSUPP);
	CHECK_EQ(barbuf_dma_advice(c, -EOPNOTSUPP, PAGE, text, sizeof(text)), 0);
	peer_close(&peer);
	end(c, &edu);
}

/* A revoke reaches the device that imported the buffer. */
static void revoke_ends_import(void)
{
	static const range_t range = { MIB(1), 4 * PAGE };
	struct barbuf_container *c;
	struct peer peer;
	struct edu edu;

	need_iommufd();
	c = start(BARBUF_IOMMU_IOMMUFD, &edu);
	peer_open(&peer, &range, 1, false);
	load(&edu, c, 10);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, 4 * PAGE, BOTH), 0);
	edu_store(&edu, IOVA, EDU_ROOM);
	CHECK(is_filled(peer.bar + MIB(1), EDU_ROOM, 10));
	CHECK_EQ(barbuf_buffer_revoke(peer.buf), 0);
	edu_store(&edu, IOVA + PAGE, EDU_ROOM);
	CHECK(is_zero(peer.bar + MIB(1) + PAGE, PAGE));
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 4 * PAGE), 0);
	peer_close(&peer);
	end(c, &edu);
}

/* One DMA across the edge of two ranges, which are out of order in the BAR. */
static void several_ranges(enum barbuf_iommu iommu)
{
	static const range_t ranges[] = { { MIB(2), PAGE }, { MIB(1), PAGE } };
	struct edu edu;
	struct barbuf_container *c = start(iommu, &edu);
	struct peer peer;

	peer_open(&peer, ranges, 2, false);
	load(&edu, c, 11);
	CHECK_EQ(barbuf_dma_map_buffer(c, IOVA, peer.buf, 0, 2 * PAGE, BOTH), 0);
	edu_store(&edu, IOVA + PAGE - 24, EDU_ROOM);
	CHECK(is_filled(peer.bar + MIB(2) + PAGE - 24, 24, 11));
	CHECK(peer.bar[MIB(1)] == (unsigned char)(11 + 24 * 7));
	CHECK_EQ(barbuf_dma_unmap(c, IOVA, 2 * PAGE), 0);
	peer_close(&peer);
	end(c, &edu);
}
EACH_IOMMU(several_ranges)

static const struct test_case cases[] = {
	CASE(anonymous_type1),
	CASE(anonymous_iommufd),
	CASE(memfd_type1),
	CASE(memfd_iommufd),
	CASE(access_is_kept_type1),
	CASE(access_is_kept_iommufd),
	CASE(refuses_type1),
	CASE(refuses_iommufd),
	CASE(file_is_refused_type1),
	CASE(file_is_refused_iommufd),
	CASE(last_device_ends_them_type1),
	CASE(last_device_ends_them_iommufd),
	CASE(memlock_advice_type1),
	CASE(memlock_advice_iommufd),
	CASE(stock_type1_has_no_way),
	CASE_MMAP(buffer_type1),
	CASE_MMAP(buffer_iommufd),
	CASE_MMAP(buffer_is_refused_type1),
	CASE_MMAP(buffer_is_refused_iommufd),
	CASE_MMAP(buffer_is_suspended_type1),
	CASE_MMAP(buffer_is_suspended_iommufd),
	CASE_MMAP(revoke_ends_import),
	CASE_MMAP(several_ranges_type1),
	CASE_MMAP(several_ranges_iommufd),
};

TEST_MAIN(cases)
