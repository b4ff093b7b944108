// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever is in the middle of a call of the device may be waiting for a page of
 * user memory, for as long as its owner likes: userfaultfd holds it there. With
 * a config write queued behind, everybody else still gets to map, to touch and
 * to revoke.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

struct scene {
	struct dev *dev;
	unsigned int bar;
	int uffd;
	char *held;		/* a page that nobody gets before release() */
	pthread_t blocked, writer;
	void (*block)(struct scene *s);
	volatile int blocked_done, writer_done;
};

static void hold_page(struct scene *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0)
		SKIP("userfaultfd: %s", strerror_name(errno));
	OK(ioctl(s->uffd, UFFDIO_API, &api));
	s->held = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(s->held);
	reg.range.start = (uintptr_t)s->held;
	reg.range.len = PAGE;
	OK(ioctl(s->uffd, UFFDIO_REGISTER, &reg));
}

static void wait_until_held(struct scene *s)
{
	struct pollfd event = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;

	CHECK_EQ(poll(&event, 1, slow_kernel() ? 50000 : 10000), 1);
	CHECK_EQ(read(s->uffd, &msg, sizeof(msg)), sizeof(msg));
	CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
	CHECK(!s->blocked_done);
}

static void let_go(struct scene *s)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)s->held, .len = PAGE },
	};

	OK(ioctl(s->uffd, UFFDIO_ZEROPAGE, &zero));
}

static void *run_blocked(void *arg)
{
	struct scene *s = arg;

	s->block(s);
	s->blocked_done = 1;
	return NULL;
}

/* Takes the device's lock for write, and changes nothing. */
static void *run_writer(void *arg)
{
	struct scene *s = arg;

	config_write16(s->dev, PCI_COMMAND, config_read16(s->dev, PCI_COMMAND));
	s->writer_done = 1;
	return NULL;
}

/*
 * A deadlock here hangs this thread, and its limit ends the case; a wait for the
 * held page would hang it just so.
 */
static void others_go_on(const char *model, unsigned int bar, void (*block)(struct scene *s),
			 bool buffers)
{
	struct scene s = { .dev = dev_open(model), .bar = bar, .block = block };
	volatile char *untouched, *shared = NULL, *gone = NULL;
	int fd = -1, victim = -1, i;
	void *p;

	hold_page(&s);
	untouched = map_bar(s.dev, bar, 0, PAGE);
	if (buffers) {
		fd = export_range(s.dev, bar, 0, PAGE);
		victim = export_range(s.dev, bar, 0, PAGE);
		shared = map_buffer(fd, 0, PAGE);
		gone = map_buffer(victim, 0, PAGE);
		CHECK_ALIVE(gone);
	}
	CHECK(pthread_create(&s.blocked, NULL, run_blocked, &s) == 0);
	wait_until_held(&s);
	CHECK(pthread_create(&s.writer, NULL, run_writer, &s) == 0);
	sleep_ms(50);

	for (i = 0; i < 3; i++) {
		p = map_bar(s.dev, bar, 0, PAGE);
		unmap(p, PAGE);
		if (buffers) {
			p = map_buffer(fd, 0, PAGE);
			unmap(p, PAGE);
		}
	}
	if (buffers) {
		CHECK_ALIVE(untouched);
		CHECK_ALIVE(shared);
		revoke_buffer(s.dev, victim);
		CHECK_SIGBUS(gone);
	}
	CHECK(!s.blocked_done);
	let_go(&s);
	pthread_join(s.blocked, NULL);
	pthread_join(s.writer, NULL);
	CHECK_ALIVE(untouched);
}

static void read_bar(struct scene *s)
{
	CHECK_EQ(pread(s->dev->fd, s->held, 4, bar_offset(s->dev, s->bar, 0)), 4);
}

static void write_bar(struct scene *s)
{
	CHECK_EQ(pwrite(s->dev->fd, s->held, 4, bar_offset(s->dev, s->bar, 0)), 4);
}

static void read_config(struct scene *s)
{
	CHECK_EQ(pread(s->dev->fd, s->held, 4, bar_offset(s->dev, 7, PCI_COMMAND)), 4);
}

/* The cache line size, which means nothing to anybody here. */
static void write_config(struct scene *s)
{
	CHECK_EQ(pwrite(s->dev->fd, s->held, 1, bar_offset(s->dev, 7, PCI_CACHE_LINE_SIZE)), 1);
}

static void read_rom(struct scene *s)
{
	CHECK_EQ(pread(s->dev->fd, s->held, 4, bar_offset(s->dev, 6, 0)), 4);
}

/* An argument that is all zero is not valid; where it is read from is what counts. */
static void any_ioctl(struct scene *s)
{
	CHECK_ERRNO(ioctl(s->dev->fd, VFIO_DEVICE_FEATURE, s->held), EINVAL);
}

/* The request's head is there, its argument is not yet. */
static void head_before_held_page(struct scene *s, uint32_t flags, size_t size)
{
	struct vfio_device_feature *head;
	char *area;
	int ret;

	/* The page before the held one: move that there. */
	area = try_map(-1, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	CHECK(area);
	{
		struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

		s->held = area + PAGE;
		reg.range.start = (uintptr_t)s->held;
		reg.range.len = PAGE;
		OK(ioctl(s->uffd, UFFDIO_REGISTER, &reg));
	}
	head = (void *)(s->held - sizeof(*head));
	*head = (struct vfio_device_feature){ .argsz = sizeof(*head) + size, .flags = flags };
	ret = ioctl(s->dev->fd, VFIO_DEVICE_FEATURE, head);
	CHECK_MSG(ret < 0, "a request of zeroes was accepted (%d)", ret);
}

static void export_ioctl(struct scene *s)
{
	head_before_held_page(s, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
			      sizeof(struct vfio_device_feature_dma_buf));
}

/* Of fd 0, which is no DMABUF. */
static void revoke_ioctl(struct scene *s)
{
	head_before_held_page(s, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
			      sizeof(struct vfio_device_feature_dma_buf_revoke));
}

static void bar_while_a_bar_is_read(void)
{
	others_go_on("ivshmem", 2, read_bar, false);
}

static void bar_while_config_is_written(void)
{
	others_go_on("ivshmem", 2, write_config, false);
}

static void while_a_bar_is_read(void)
{
	others_go_on("ivshmem", 2, read_bar, true);
}

static void while_a_bar_is_written(void)
{
	others_go_on("ivshmem", 2, write_bar, true);
}

static void while_config_is_read(void)
{
	others_go_on("ivshmem", 2, read_config, true);
}

static void while_config_is_written(void)
{
	others_go_on("ivshmem", 2, write_config, true);
}

static void while_the_rom_is_read(void)
{
	others_go_on("bochs", 0, read_rom, true);
}

static void while_an_ioctl_is_read(void)
{
	others_go_on("ivshmem", 2, any_ioctl, true);
}

static void while_an_export_is_read(void)
{
	others_go_on("ivshmem", 2, export_ioctl, true);
}

static void while_a_revoke_is_read(void)
{
	others_go_on("ivshmem", 2, revoke_ioctl, true);
}

static const struct test_case cases[] = {
	CASE(bar_while_a_bar_is_read),
	CASE(bar_while_config_is_written),
	CASE_MMAP(while_a_bar_is_read),
	CASE_MMAP(while_a_bar_is_written),
	CASE_MMAP(while_config_is_read),
	CASE_MMAP(while_config_is_written),
	CASE_MMAP(while_the_rom_is_read),
	CASE_MMAP(while_an_ioctl_is_read),
	CASE_MMAP(while_an_export_is_read),
	CASE_MMAP(while_a_revoke_is_read),
};

TEST_MAIN(cases)
