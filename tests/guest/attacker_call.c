// SPDX-License-Identifier: GPL-2.0-only
/* Tricks with system calls that access memory in the name of their caller. */
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attacker.h"
#include "fence.h"

static int failed(void)
{
	return -errno;
}

static struct window *add(struct client *c, const char *name, access_fn *access, void *state)
{
	uint64_t keep = c->lease->keep;

	return window_add_with(c, name, c->p + keep, keep, access, state);
}

/* A pipe, whose other end is in the same hands ----------------------------------*/

static int *pipe_of(struct window *w)
{
	if (!w->state) {
		w->state = malloc(2 * sizeof(int));
		CHECK(w->state && pipe2(w->state, O_CLOEXEC | O_NONBLOCK) == 0);
	}
	return w->state;
}

static void drain(int fd)
{
	char buf[64];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* read() writes into the mapping, write() reads from it. */
static int access_pipe(struct window *w, uint32_t value, uint32_t *stamp)
{
	int *ends = pipe_of(w), error = 0;

	CHECK(write(ends[1], &value, sizeof(value)) == sizeof(value));
	if (read(ends[0], (void *)w->p, sizeof(value)) != sizeof(value) ||
	    write(ends[1], (void *)(w->p + 4), 4) != 4 || read(ends[0], stamp, 4) != 4)
		error = failed();
	drain(ends[0]);
	return error;
}

void play_pipe(struct client *c)
{
	add(c, "read() and write()", access_pipe, NULL);
}

/* The pipe gets the pages themselves, and would keep them. */
static int access_vmsplice(struct window *w, uint32_t value, uint32_t *stamp)
{
	struct iovec iov = { (void *)(w->p + 4), 4 };
	int *ends = pipe_of(w);

	if (vmsplice(ends[1], &iov, 1, SPLICE_F_GIFT) != 4)
		return failed();
	return read(ends[0], stamp, 4) == 4 ? 0 : failed();
}

void play_vmsplice(struct client *c)
{
	add(c, "vmsplice", access_vmsplice, NULL);
}

/* Memory of a process, from outside ----------------------------------------------*/

static int access_proc_mem(struct window *w, uint32_t value, uint32_t *stamp)
{
	int fd = *(int *)w->state;

	if (pwrite(fd, &value, 4, (uintptr_t)w->p) != 4 ||
	    pread(fd, stamp, 4, (uintptr_t)w->p + 4) != 4)
		return failed();
	return 0;
}

void play_proc_mem(struct client *c)
{
	static int fd;

	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return client_refused(c, "open of /proc/PID/mem");
	add(c, "/proc/PID/mem", access_proc_mem, &fd);
}

static int access_process_vm(struct window *w, uint32_t value, uint32_t *stamp)
{
	struct iovec local = { &value, 4 }, remote = { (void *)w->p, 4 };

	if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 4)
		return failed();
	local.iov_base = stamp;
	remote.iov_base = (void *)(w->p + 4);
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 4 ? 0 : failed();
}

void play_process_vm(struct client *c)
{
	add(c, "process_vm_writev", access_process_vm, NULL);
}

static volatile pid_t idle_tid;

static void *run_idle(void *arg)
{
	idle_tid = gettid();
	client_wait_over(arg);
	return NULL;
}

/* A child traces a thread of its parent that has nothing to do. */
static int access_ptrace(struct window *w, uint32_t value, uint32_t *stamp)
{
	long word;

	if (!w->state) {
		if (ptrace(PTRACE_SEIZE, idle_tid, 0, 0) ||
		    ptrace(PTRACE_INTERRUPT, idle_tid, 0, 0))
			return failed();
		CHECK(waitpid(idle_tid, NULL, __WALL) == idle_tid);
		w->state = w;
	}
	if (ptrace(PTRACE_POKEDATA, idle_tid, w->p, (uint64_t)STAMP(w->offset) << 32 | value))
		return failed();
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, idle_tid, w->p, 0);
	*stamp = (uint64_t)word >> 32;
	return failed();
}

static void child_that_traces(struct client *c)
{
	window_add(c, "ptrace by its child", c->p + c->lease->keep, c->lease->keep, access_ptrace);
}

void play_ptrace(struct client *c)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run_idle, c) == 0);
	while (!idle_tid)
		usleep(200);
	/* Where Yama is, a child may not without this. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	client_fork(c, child_that_traces);
}

/* io_uring -----------------------------------------------------------------------*/

struct ring {
	int fd, pipe[2];
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

static void *map_ring(struct ring *r, size_t size, uint64_t offset)
{
	return try_map(r->fd, offset, size, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static bool open_ring(struct ring *r)
{
	r->fd = syscall(SYS_io_uring_setup, 2, &r->params);
	if (r->fd < 0)
		return false;
	r->sq = map_ring(r, r->params.sq_off.array + 8, IORING_OFF_SQ_RING);
	r->cq = map_ring(r, r->params.cq_off.cqes + 4 * sizeof(struct io_uring_cqe),
			 IORING_OFF_CQ_RING);
	r->sqes = map_ring(r, 2 * sizeof(*r->sqes), IORING_OFF_SQES);
	CHECK(r->sq && r->cq && r->sqes);
	CHECK(pipe2(r->pipe, O_CLOEXEC | O_NONBLOCK) == 0);
	return true;
}

/* Submits one and waits for it; by a worker of the kernel's. */
static int ring_do(struct ring *r, uint8_t op, int fd, void *p)
{
	unsigned int *tail = (void *)(r->sq + r->params.sq_off.tail);
	unsigned int *mask = (void *)(r->sq + r->params.sq_off.ring_mask);
	unsigned int *array = (void *)(r->sq + r->params.sq_off.array);
	unsigned int *head = (void *)(r->cq + r->params.cq_off.head);
	unsigned int *cmask = (void *)(r->cq + r->params.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->params.cq_off.cqes);
	unsigned int slot = *tail & *mask;
	int result;

	r->sqes[slot] = (struct io_uring_sqe){
		.opcode = op,
		.fd = fd,
		.addr = (uintptr_t)p,
		.len = 4,
		.off = -1,
		.flags = IOSQE_ASYNC,
	};
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	while (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		CHECK(errno == EINTR);
	result = cqes[*head & *cmask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static int access_io_uring(struct window *w, uint32_t value, uint32_t *stamp)
{
	struct ring *r = w->state;
	int done;

	CHECK(write(r->pipe[1], &value, 4) == 4);
	done = ring_do(r, IORING_OP_READ, r->pipe[0], (void *)w->p);
	if (done == 4)
		done = ring_do(r, IORING_OP_WRITE, r->pipe[1], (void *)(w->p + 4));
	if (done == 4)
		CHECK(read(r->pipe[0], stamp, 4) == 4);
	drain(r->pipe[0]);
	return done == 4 ? 0 : done;
}

void play_io_uring(struct client *c)
{
	struct ring *r = calloc(1, sizeof(*r));
	struct iovec iov = { (char *)c->p + c->lease->keep, PAGE };

	CHECK(r);
	if (!open_ring(r))
		return client_refused(c, "io_uring_setup");
	/* Registered memory would be pinned. */
	if (syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, &iov, 1) == 0)
		client_note(c, "io_uring registered the buffer");
	else
		client_note(c, "io_uring registers no such buffer: %s", strerror_name(errno));
	add(c, "io_uring", access_io_uring, r);
}

/* Others ---------------------------------------------------------------------------*/

/* Never the same mapping twice. */
static int access_map_anew(struct window *w, uint32_t value, uint32_t *stamp)
{
	volatile char *p =
		try_map(w->client->fd, w->offset, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct window there = { .p = p };
	int error;

	if (!p)
		return failed();
	error = access_cpu(&there, value, stamp);
	munmap((void *)p, PAGE);
	return error;
}

void play_map_anew(struct client *c)
{
	add(c, "mmap for each access", access_map_anew, NULL);
}

/* A private futex is only an address, and an operation on it an access of the kernel's. */
static int access_futex(struct window *w, uint32_t value, uint32_t *stamp)
{
	static uint32_t other;

	return syscall(SYS_futex, &other, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1UL, w->p,
		       FUTEX_OP(FUTEX_OP_SET, value & 0x7ff, FUTEX_OP_CMP_EQ, 0)) < 0 ?
		       failed() :
		       0;
}

void play_futex(struct client *c)
{
	add(c, "futex", access_futex, NULL)->cannot_wait = true;
}

/* Fences ---------------------------------------------------------------------------*/

/* A driver that gives fences to anybody, as those of GPUs do. */
void prepare_fence(void)
{
	if (access("/dev/fence_make", F_OK) && system("modprobe fence_make"))
		FAIL("this guest has no module fence_make");
}

/* Nobody signals it before the client has ended. */
void play_fence(struct client *c)
{
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_RW };
	struct fence fence;

	fence_make(&fence, 0);
	arg.fd = fence.fd;
	if (ioctl(c->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg))
		client_refused(c, "DMA_BUF_IOCTL_IMPORT_SYNC_FILE");
}
