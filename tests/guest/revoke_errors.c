// SPDX-License-Identifier: GPL-2.0-only
/* Each way of getting VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE wrong has its errno. */
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define REVOKE VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE
#define SET    VFIO_DEVICE_FEATURE_SET
#define GET    VFIO_DEVICE_FEATURE_GET
#define PROBE  VFIO_DEVICE_FEATURE_PROBE

/* A buffer that has to survive the errors of a case. */
static struct dev *dev;
static int bystander;
static volatile void *its_page;

static void begin(void)
{
	dev = dev_open("ivshmem");
	bystander = export_range(dev, 2, 0, PAGE);
	its_page = map_buffer(bystander, 0, PAGE);
	CHECK_ALIVE(its_page);
}

static void end(void)
{
	long faults = thread_faults();

	CHECK_ALIVE(its_page);
	CHECK_EQ(thread_faults() - faults, 0);
	revoke_buffer(dev, bystander);
	CHECK_SIGBUS(its_page);
}

static void no_fd(void)
{
	begin();
	CHECK_ERRNO(try_revoke(dev, -1), EBADF);
	CHECK_ERRNO(try_revoke(dev, 1000), EBADF);
	CHECK_ERRNO(try_revoke(dev, INT32_MIN), EBADF);
	CHECK_ERRNO(try_revoke(dev, INT32_MAX), EBADF);
	end();
}

/* Fds that are open, but not of a DMABUF. */
static void no_dmabuf(void)
{
	int pair[2];

	begin();
	CHECK_ERRNO(try_revoke(dev, OK(memfd_create("none", MFD_CLOEXEC))), EINVAL);
	CHECK_ERRNO(try_revoke(dev, dev->fd), EINVAL);
	CHECK_ERRNO(try_revoke(dev, OK(open("/dev/null", O_RDWR))), EINVAL);
	CHECK_ERRNO(try_revoke(dev, OK(open("/", O_RDONLY | O_DIRECTORY))), EINVAL);
	OK(pipe(pair));
	CHECK_ERRNO(try_revoke(dev, pair[0]), EINVAL);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_ERRNO(try_revoke(dev, pair[0]), EINVAL);
	end();
}

/* O_PATH opens a name, not the object: no fd in the sense of this call. */
static void path_only(void)
{
	char path[64];
	int fd;

	begin();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bystander);
	fd = OK(open(path, O_PATH | O_CLOEXEC));
	CHECK_ERRNO(try_revoke(dev, fd), EBADF);
	end();
}

static void of_another_device(void)
{
	struct dev *other;
	volatile void *page;
	int fd;

	begin();
	other = dev_open("bochs");
	fd = export_range(other, 0, 0, PAGE);
	page = map_buffer(fd, 0, PAGE);
	CHECK_ALIVE(page);
	CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
	CHECK_ERRNO(try_revoke(other, bystander), ENODEV);
	CHECK_ALIVE(page);
	revoke_buffer(other, fd);
	CHECK_SIGBUS(page);
	/* Whose it is comes before what state it is in. */
	CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
	end();
}

static void of_udmabuf(void)
{
	struct udmabuf_create create = { .size = PAGE };
	int udmabuf, memfd, fd;
	volatile uint32_t *p;

	begin();
	udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (udmabuf < 0)
		SKIP("/dev/udmabuf: %s", strerror_name(errno));
	memfd = OK(memfd_create("pages", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	OK(ftruncate(memfd, PAGE));
	OK(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	create.memfd = memfd;
	fd = OK(ioctl(udmabuf, UDMABUF_CREATE, &create));
	p = map_buffer(fd, 0, PAGE);
	CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
	CHECK_ALIVE(p);
	end();
}

static void of_a_dma_heap(void)
{
	struct dma_heap_allocation_data data = { .len = PAGE, .fd_flags = O_RDWR | O_CLOEXEC };
	volatile uint32_t *p;
	int heap;

	begin();
	heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	if (heap < 0)
		SKIP("/dev/dma_heap/system: %s", strerror_name(errno));
	OK(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	p = map_buffer(data.fd, 0, PAGE);
	CHECK_ERRNO(try_revoke(dev, data.fd), ENODEV);
	CHECK_ALIVE(p);
	end();
}

static void of_a_closed_device(void)
{
	int fd;

	begin();
	fd = bystander;
	dev_close(dev);
	begin();
	CHECK_ERRNO(try_revoke(dev, fd), ENODEV);
	end();
}

static void twice(void)
{
	int fd, i;

	begin();
	fd = export_range(dev, 2, 0, PAGE);
	revoke_buffer(dev, fd);
	for (i = 0; i < 3; i++)
		CHECK_ERRNO(try_revoke(dev, fd), EBADFD);
	/* Revoked without ever having been mapped, and mapped in between. */
	CHECK(!try_map(fd, 0, PAGE, PROT_READ, MAP_SHARED));
	CHECK_ERRNO(try_revoke(dev, fd), EBADFD);
	end();
}

static void wrong_direction(void)
{
	struct vfio_device_feature_dma_buf_revoke arg;

	begin();
	arg.dmabuf_fd = bystander;
	CHECK_ERRNO(try_feature(dev->fd, GET | REVOKE, &arg, sizeof(arg)), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, GET | SET | REVOKE, &arg, sizeof(arg)), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, REVOKE, &arg, sizeof(arg)), EINVAL);
	end();
}

static void wrong_size(void)
{
	struct vfio_device_feature_dma_buf_revoke arg[4] = { };

	begin();
	arg[0].dmabuf_fd = bystander;
	CHECK_ERRNO(try_feature(dev->fd, SET | REVOKE, NULL, 0), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, SET | REVOKE, arg, sizeof(arg[0]) - 1), EINVAL);
	end();
	dev_close(dev);
	/* A larger struct of a later day has this one at its start. */
	begin();
	arg[0].dmabuf_fd = bystander;
	OK(try_feature(dev->fd, SET | REVOKE, arg, sizeof(arg)));
	CHECK_SIGBUS(its_page);
}

/* The argument ends where the mapped memory ends. */
static void bad_pointer(void)
{
	const size_t whole = sizeof(struct vfio_device_feature) +
			     sizeof(struct vfio_device_feature_dma_buf_revoke);
	struct vfio_device_feature *header;
	char *pages;

	begin();
	CHECK_ERRNO(ioctl(dev->fd, VFIO_DEVICE_FEATURE, NULL), EFAULT);
	pages = try_map(-1, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(pages);
	unmap(pages + PAGE, PAGE);
	header = (void *)(pages + PAGE - sizeof(*header));
	*header = (struct vfio_device_feature){ .argsz = whole, .flags = SET | REVOKE };
	CHECK_ERRNO(ioctl(dev->fd, VFIO_DEVICE_FEATURE, header), EFAULT);
	end();
}

static void probe(void)
{
	begin();
	OK(try_feature(dev->fd, PROBE | SET | REVOKE, NULL, 0));
	CHECK_ERRNO(try_feature(dev->fd, PROBE | GET | REVOKE, NULL, 0), EINVAL);
	CHECK_ERRNO(try_feature(dev->fd, PROBE | GET | SET | REVOKE, NULL, 0), EINVAL);
	OK(try_feature(dev->fd, PROBE | GET | VFIO_DEVICE_FEATURE_DMA_BUF, NULL, 0));
	end();
}

/* With an argument, to probe does nothing with it. */
static void probe_revokes_nothing(void)
{
	struct vfio_device_feature_dma_buf_revoke arg;

	begin();
	arg.dmabuf_fd = bystander;
	OK(try_feature(dev->fd, PROBE | SET | REVOKE, &arg, sizeof(arg)));
	end();
}

static const struct test_case cases[] = {
	CASE_MMAP(no_fd),
	CASE_MMAP(no_dmabuf),
	CASE_MMAP(path_only),
	CASE_MMAP(of_another_device),
	CASE_MMAP(of_udmabuf),
	CASE_MMAP(of_a_dma_heap),
	CASE_MMAP(of_a_closed_device),
	CASE_MMAP(twice),
	CASE_MMAP(wrong_direction),
	CASE_MMAP(wrong_size),
	CASE_MMAP(bad_pointer),
	CASE_MMAP(probe),
	CASE_MMAP(probe_revokes_nothing),
};

TEST_MAIN(cases)
