// SPDX-License-Identifier: MIT
/*
 * A client with a lease of its own that wants more. It is a plain user without
 * capabilities, but no system call is filtered: what stops it is memory management,
 * seals and file modes. It tells each try and what it came to; story.c does the counting.
 */
#include <err.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <barbuf.h>

#include "demo.h"
#include "listen.h"
#include "role.h"

/* A device fd has BAR n at this offset; one might take a buffer's fd for one. */
#define BAR_OFFSET(bar) ((off_t)(bar) << 40)

struct intruder {
	struct blk_client *client;
	struct blk_client_raw raw;
	const struct blk_client_facts *facts;
	const char *socket, *address;
	int neighbour; /* a queue that another has */
	pid_t neighbour_pid, primary_pid;
	size_t page;
};

static void *map_at(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(addr, len, prot, flags, fd, offset);

	if (p != MAP_FAILED)
		munmap(p, len);
	return p;
}

/* Its one page is of a BAR in which the pages beside it are the neighbours' doorbells. */
static void neighbours_doorbell(const struct intruder *in)
{
	int rw = PROT_READ | PROT_WRITE, fd = in->raw.buffer_fd;
	size_t page = in->page;
	char *room, *own;

	tell("EINVAL", outcome_of_mmap(map_at(NULL, 2 * page, rw, MAP_SHARED, fd, 0)),
	     "maps its buffer and the page behind it");
	tell("EINVAL", outcome_of_mmap(map_at(NULL, page, rw, MAP_SHARED, fd, page)),
	     "maps the page behind its buffer, the next doorbell");
	tell("EINVAL", outcome_of_mmap(map_at(NULL, page, rw, MAP_SHARED, fd, 3 * page)),
	     "maps the third page behind it");

	/* Room to grow on both sides. */
	room = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		err(1, "mmap");
	munmap(room, 3 * page);
	own = mmap(room + page, page, rw, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (own == MAP_FAILED)
		err(1, "mmap of its own page");
	tell("EFAULT", outcome_of_mmap(mremap(own, page, 2 * page, 0)),
	     "lets its mapping grow by mremap");
	tell("EFAULT", outcome_of_mmap(mremap(own, page, 2 * page, MREMAP_MAYMOVE)),
	     "lets it grow and move");
	tell("SIGSEGV", touch(own + page, TOUCH_WRITE), "writes behind its page");
	tell("SIGSEGV", touch(own - page, TOUCH_WRITE), "writes before its page");
	tell("works", touch(own, TOUCH_READ), "reads its own page");
	/* The last: what was mapped there is gone afterwards. */
	tell("EINVAL", outcome(remap_file_pages(own, page, 0, 1, 0)),
	     "turns its mapping to the next page by remap_file_pages");
	munmap(own, page);
}

static void common_configuration(const struct intruder *in)
{
	int rw = PROT_READ | PROT_WRITE, fd = in->raw.buffer_fd;
	struct vfio_device_feature feature = { .argsz = sizeof(feature) };
	char word[4];
	int bar;

	for (bar = 0; bar < 6; bar++) {
		void *p = map_at(NULL, in->page, rw, MAP_SHARED, fd, BAR_OFFSET(bar));

		/* BAR 0 would be at the offset of its own page. */
		if (bar)
			tell("EINVAL", outcome_of_mmap(p),
			     "maps the configuration as the device fd has BAR %d", bar);
	}
	tell("EINVAL", outcome(read(fd, word, sizeof(word))), "reads its buffer as a file");
	tell("EINVAL", outcome(write(fd, word, sizeof(word))), "writes it as a file");
	tell("ENOTTY", outcome(ioctl(fd, VFIO_DEVICE_RESET)), "resets the device by its buffer");
	tell("ENOTTY", outcome(ioctl(fd, VFIO_DEVICE_FEATURE, &feature)),
	     "asks its buffer for features of the device");
}

static int reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static void descriptor_table(const struct intruder *in)
{
	int rw = PROT_READ | PROT_WRITE, fd = in->raw.table_fd;
	size_t size = in->facts->window.table_size;
	void *table = (void *)in->raw.table;
	char word[16] = "", *before, *own;
	int again, mem;

	before = malloc(size);
	if (!before)
		err(1, "malloc");
	memcpy(before, table, in->facts->window.used);
	tell("SIGSEGV", touch(table, TOUCH_WRITE), "writes the descriptor table");
	tell("EACCES", outcome(mprotect(table, in->page, rw)), "makes its mapping of it writable");
	tell("EPERM", outcome_of_mmap(map_at(NULL, size, rw, MAP_SHARED, fd, 0)),
	     "maps the table writable by its descriptor");
	tell("EPERM", outcome(pwrite(fd, word, sizeof(word), 0)), "writes it as a file");
	again = reopen(fd, O_RDWR);
	if (again >= 0) {
		tell("EPERM", outcome_of_mmap(map_at(NULL, size, rw, MAP_SHARED, again, 0)),
		     "opens it again by /proc/self/fd and maps that writable");
		tell("EPERM", outcome(pwrite(again, word, sizeof(word), 0)),
		     "writes what it opened again");
		close(again);
	} else {
		tell("EACCES", outcome(again), "opens it again by /proc/self/fd");
	}
	tell("EPERM", outcome(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size)),
	     "punches a hole into it");
	tell("EPERM", outcome(ftruncate(fd, 0)), "cuts it off");
	tell("EPERM", outcome(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), "seals it in another way");
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	tell("EIO", outcome(pwrite(mem, word, sizeof(word), (off_t)(uintptr_t)table)),
	     "writes the table by /proc/self/mem");
	close(mem);
	/* A private copy may be written; the device does not see it. */
	own = mmap(NULL, size, rw, MAP_PRIVATE, fd, 0);
	tell("works", own == MAP_FAILED ? outcome(-1) : touch(own, TOUCH_WRITE),
	     "writes a private copy of it");
	tell("works", memcmp(before, table, in->facts->window.used) ? "changed" : "works",
	     "finds the table as it was after all that");
	if (own != MAP_FAILED)
		munmap(own, size);
	free(before);
}

/* What it may write, and by what it could hurt the primary, who has it mapped too. */
static void own_memory(const struct intruder *in)
{
	size_t size = in->facts->window.arena_size;
	int rw = PROT_READ | PROT_WRITE;
	char *p;

	tell("EPERM", outcome(ftruncate(in->raw.arena_fd, 0)),
	     "cuts off its own memory, for the primary to stumble");
	p = mmap(NULL, size + in->page, rw, MAP_SHARED, in->raw.arena_fd, 0);
	tell("SIGBUS", p == MAP_FAILED ? outcome(-1) : touch(p + size, TOUCH_READ),
	     "reads behind the end of its own memory");
	if (p != MAP_FAILED)
		munmap(p, size + in->page);
}

static void open_path(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	tell("EACCES", outcome(fd), "opens %s", path);
	if (fd >= 0)
		close(fd);
}

/* The groups' files, of old, and the devices', of new. /dev/vfio/vfio is everybody's, and leads
 * nowhere without a group. */
static unsigned int open_all(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned int nr = 0;
	char path[300];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_CHR || !strcmp(entry->d_name, "vfio"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		open_path(path);
		nr++;
	}
	if (dir)
		closedir(dir);
	return nr;
}

static void device(const struct intruder *in)
{
	char path[128];
	int bar;

	if (!(open_all("/dev/vfio") + open_all("/dev/vfio/devices")))
		tell("some", "none", "finds files in /dev/vfio to try");
	if (!access("/dev/iommu", F_OK))
		open_path("/dev/iommu");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", in->address);
	open_path(path);
	for (bar = 0; bar < 6; bar++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", in->address,
			 bar);
		if (!access(path, F_OK))
			open_path(path);
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", in->address);
	if (!access(path, F_OK))
		tell("EACCES", outcome(open(path, O_WRONLY | O_CLOEXEC)), "opens %s", path);
}

static void others(const struct intruder *in)
{
	char path[64];
	int pidfd;

	tell("EPERM", outcome(kill(in->neighbour_pid, SIGKILL)), "kills its neighbour");
	tell("EPERM", outcome(ptrace(PTRACE_SEIZE, in->neighbour_pid, NULL, NULL)),
	     "traces its neighbour");
	snprintf(path, sizeof(path), "/proc/%d/mem", in->neighbour_pid);
	open_path(path);
	snprintf(path, sizeof(path), "/proc/%d/fd/3", in->neighbour_pid);
	open_path(path);
	pidfd = syscall(SYS_pidfd_open, in->primary_pid, 0);
	tell("EPERM", outcome(syscall(SYS_pidfd_getfd, pidfd, 3, 0)),
	     "takes a descriptor of the primary");
	close(pidfd);
	tell("EPERM", outcome(kill(in->primary_pid, SIGSTOP)), "stops the primary");
}

/* Words to the primary that it is not to obey. */
static void primary(const struct intruder *in)
{
	struct blk_request revoke = {
		.kind = BLK_COMMAND,
		.version = BLK_VERSION,
		.command = BLK_CMD_REVOKE,
		.queue = in->neighbour,
	};
	struct blk_client_options o = { .queue = in->neighbour, .primary = 0 };
	struct blk_client *second;
	struct blk_text answer = { .error = 0 };
	char why[300];
	size_t len;
	int sock, ret;

	sock = listen_connect(in->socket, ROLE_WAIT_MS / 1000);
	ret = sock < 0 ? sock : barbuf_message_send(sock, &revoke, sizeof(revoke), -1);
	if (!ret)
		ret = barbuf_message_recv(sock, &answer, sizeof(answer), &len, NULL);
	tell("EACCES", errno_name(ret ? -ret : -answer.error),
	     "tells the primary to revoke queue %d", in->neighbour);
	if (sock >= 0)
		close(sock);
	ret = blk_client_open(&second, in->socket, &o, why, sizeof(why));
	tell("EDQUOT", errno_name(-ret), "asks for its neighbour's queue %d, too", in->neighbour);
	if (!ret)
		blk_client_close(second);
}

/* Its own page, rung with what is its neighbour's number. */
static void false_doorbell(const struct intruder *in)
{
	int ret = barbuf_map_doorbell16(in->raw.doorbell, 0, in->neighbour);

	tell("works", errno_name(-ret), "rings its own doorbell with its neighbour's number");
}

static const char *read_a_block(const struct intruder *in)
{
	struct blk_client *c = in->client;
	int slot = blk_client_slot(c);
	int ret = slot < 0 ? slot : role_request(c, slot, BLK_OP_READ, 0);

	if (slot >= 0)
		blk_client_put(c, slot);
	return errno_name(-ret);
}

/* Until the primary takes the queue away; then nothing of it is to work. */
static void lose_it(const struct intruder *in)
{
	volatile void *own = barbuf_map_addr(in->raw.doorbell);
	int fd = in->raw.buffer_fd;

	tell_state("waits");
	if (blk_client_wait(in->client, ROLE_WAIT_MS) != -EPIPE)
		errx(1, "its lease did not end within %d ms", ROLE_WAIT_MS);
	tell("revoked", blk_end_name(blk_client_end(in->client)), "is told that its lease is over");
	tell("SIGBUS", touch(own, TOUCH_WRITE), "rings its doorbell afterwards");
	tell("SIGBUS", touch(own, TOUCH_READ), "reads its page afterwards");
	tell("ENODEV", outcome_of_mmap(map_at(NULL, in->page, PROT_READ, MAP_SHARED, fd, 0)),
	     "maps its buffer again");
}

int intruder_main(int argc, char **argv)
{
	struct intruder in = { .page = sysconf(_SC_PAGESIZE) };

	if (argc != 6)
		errx(2,
		     "--role=intruder: SOCKET QUEUE NEIGHBOUR NEIGHBOUR-PID PRIMARY-PID ADDRESS");
	in.socket = argv[0];
	in.neighbour = atoi(argv[2]);
	in.neighbour_pid = atoi(argv[3]);
	in.primary_pid = atoi(argv[4]);
	in.address = argv[5];
	in.client = role_lease(in.socket, atoi(argv[1]));
	in.facts = blk_client_facts(in.client);
	blk_client_raw(in.client, &in.raw);

	neighbours_doorbell(&in);
	common_configuration(&in);
	descriptor_table(&in);
	own_memory(&in);
	device(&in);
	others(&in);
	primary(&in);
	false_doorbell(&in);
	tell("works", read_a_block(&in), "reads a block by its own queue, as it may");
	lose_it(&in);
	tell_state("done");
	blk_client_close(in.client);
	return 0;
}
