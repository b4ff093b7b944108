// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "lease.h"
#include "message.h"

static int check_grant(const struct blk_grant *g)
{
	uint32_t sectors;

	if (blk_window_check(&g->window, sysconf(_SC_PAGESIZE)))
		return -EPROTO;
	/* All of it has sector numbers that virtio-blk can say. */
	sectors = g->window.block_size / BLK_SECTOR;
	if (!g->nr_blocks || g->first_block > UINT64_MAX / sectors ||
	    g->nr_blocks > UINT64_MAX / sectors - g->first_block)
		return -EPROTO;
	return g->doorbell % sizeof(uint16_t) || g->doorbell_value > UINT16_MAX ? -EPROTO : 0;
}

static int receive_fd(int sock, uint32_t kind, int *fd, uint64_t deadline)
{
	union blk_message m;
	int ret = blk_message_take(sock, &m, fd, deadline);

	if (ret || m.kind == kind)
		return ret;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -EPROTO;
}

static int receive_buffer(struct blk_lease *l, int sock, uint64_t deadline)
{
	uint64_t size;
	int ret;

	do {
		ret = barbuf_buffer_recv(sock, &l->buffer);
	} while (ret == -EAGAIN && !(ret = blk_socket_wait(sock, POLLIN, deadline)));
	if (ret) {
		l->buffer = NULL;
		return ret == -EBADMSG ? -EPROTO : ret;
	}
	size = barbuf_buffer_size(l->buffer);
	return size < sizeof(uint16_t) || l->grant.doorbell > size - sizeof(uint16_t) ||
			       barbuf_buffer_read_only(l->buffer) ?
		       -EPROTO :
		       0;
}

/*
 * At least so large, and fixed by a seal: memory that could be cut would be a SIGBUS later. Of tmpfs, where
 * a page that was punched out comes back as zeros; one of hugetlbfs may be a SIGBUS. Populated, so that the
 * I/O takes no fault.
 */
static int map_memory(void **out, int fd, uint32_t size, int prot)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	if (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC)
		return -EPROTO;
	if (fstat(fd, &st) || st.st_size < (off_t)size)
		return -EPROTO;
	*out = mmap(NULL, size, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return errno == EACCES || errno == EPERM ? -EPROTO : -errno;
}

/* One that was taken back before we came to it is none, and what is to become of us is on its way. */
static int map_doorbell(struct blk_lease *l)
{
	int ret = barbuf_map(&l->doorbell, l->buffer, NULL);

	if (!ret || barbuf_buffer_check(l->buffer) != -EBADFD)
		return ret;
	l->doorbell = NULL;
	return 0;
}

int blk_lease_take(struct blk_lease *l, int sock, const struct blk_grant *grant, int table_fd,
		   uint64_t deadline)
{
	const struct blk_window *w = &grant->window;
	void *table = NULL;
	int ret;

	*l = (struct blk_lease){
		.grant = *grant,
		.table_fd = table_fd,
		.arena_fd = -1,
		.eventfd = -1,
	};
	ret = check_grant(grant);
	if (!ret)
		ret = receive_fd(sock, BLK_ARENA, &l->arena_fd, deadline);
	if (!ret)
		ret = receive_fd(sock, BLK_COMPLETION, &l->eventfd, deadline);
	if (!ret)
		ret = receive_buffer(l, sock, deadline);
	if (!ret)
		ret = map_memory(&table, table_fd, w->table_size, PROT_READ);
	l->table = table;
	if (!ret)
		ret = map_memory(&l->arena, l->arena_fd, w->arena_size, PROT_READ | PROT_WRITE);
	if (!ret)
		ret = map_doorbell(l);
	/* Whoever else holds it must not make us wait in read(). */
	if (!ret && fcntl(l->eventfd, F_SETFL, O_NONBLOCK))
		ret = -EPROTO;
	if (ret)
		blk_lease_drop(l);
	return ret;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void blk_lease_drop(struct blk_lease *l)
{
	const struct blk_window *w = &l->grant.window;

	barbuf_unmap(l->doorbell);
	barbuf_buffer_free(l->buffer);
	if (l->table)
		munmap((void *)l->table, w->table_size);
	if (l->arena)
		munmap(l->arena, w->arena_size);
	close_fd(l->table_fd);
	close_fd(l->arena_fd);
	close_fd(l->eventfd);
	*l = (struct blk_lease){ .table_fd = -1, .arena_fd = -1, .eventfd = -1 };
}
