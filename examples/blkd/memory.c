// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "memory.h"

#define MAX_RANGES 32
/* Where windows begin if nothing speaks against it: 0 stays a wrong address. */
#define FIRST_IOVA (UINT64_C(16) << 20)

int memory_layout(struct blk_window *most, uint32_t queue_size, uint32_t depth, uint32_t block_size,
		  uint32_t page)
{
	/* Of all kinds this one has the most slots, and headers in the table. */
	uint32_t flags = BLK_READ_ONLY | BLK_FIXED;
	uint32_t room = blk_window_depth(queue_size, flags);

	*most = (struct blk_window){
		.flags = flags,
		.queue_size = queue_size,
		.depth = depth < room ? depth : room,
		.block_size = block_size,
	};
	return blk_window_layout(most, page);
}

uint64_t memory_stride(const struct blk_window *most, uint32_t page)
{
	uint64_t need = (uint64_t)most->table_size + most->arena_size + page;
	uint64_t stride = page;

	/* A power of two: then an address in a message of the IOMMU tells its queue to the eye. */
	while (stride < need)
		stride *= 2;
	return stride;
}

int memory_find_iova(struct barbuf_container *c, uint64_t stride, uint32_t nr, uint64_t *iova)
{
	struct barbuf_range ranges[MAX_RANGES];
	size_t count = MAX_RANGES, i;
	int ret;

	ret = barbuf_dma_ranges(c, ranges, &count);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		uint64_t end = ranges[i].offset + ranges[i].length;
		uint64_t start = ranges[i].offset > FIRST_IOVA ? ranges[i].offset : FIRST_IOVA;

		start = (start + stride - 1) / stride * stride;
		/* An end of 0 is that of 64 bits. */
		if (start >= ranges[i].offset && start < end - 1 && (end - start) / stride >= nr) {
			*iova = start;
			return 0;
		}
	}
	return -ENOSPC;
}

static int seal(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals) ? -errno :
											   0;
}

/* Mapped before it is sealed: F_SEAL_FUTURE_WRITE spares the mappings that there are. */
static int make_piece(const char *name, size_t size, int seals, int *out_fd, void **out)
{
	int fd, ret;
	void *p;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	p = ftruncate(fd, size) ? MAP_FAILED :
				  mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ret = seal(fd, seals);
	if (ret) {
		munmap(p, size);
		close(fd);
		return ret;
	}
	*out_fd = fd;
	*out = p;
	return 0;
}

/*
 * What is mapped for DMA, a call each: what the device only reads it cannot write. The arena is
 * in up to two pieces, around the hole.
 */
struct piece {
	uint64_t iova;
	void *addr;
	uint64_t len;
	unsigned int access;
};

#define MAX_PIECES 5u

static void add(struct piece *p, unsigned int *nr, const struct memory *m, uint64_t from,
		uint64_t to, unsigned int access)
{
	uint64_t table = m->most.table_size;

	if (from == to)
		return;
	p[(*nr)++] = (struct piece){
		.iova = m->iova + from,
		.addr = from < table ? (char *)m->table + from : (char *)m->arena + (from - table),
		.len = to - from,
		.access = access,
	};
}

static unsigned int table_pieces(const struct memory *m, struct piece *p)
{
	const struct blk_window *w = &m->most;
	uint32_t used = w->used & ~(m->page - 1);
	unsigned int nr = 0;

	/* Descriptors; used ring; fixed headers, which w has as it has all that a queue can be. */
	add(p, &nr, m, 0, used, BARBUF_DMA_READ);
	add(p, &nr, m, used, w->fixed_headers, BARBUF_DMA_READ | BARBUF_DMA_WRITE);
	add(p, &nr, m, w->fixed_headers, w->table_size, BARBUF_DMA_READ);
	return nr;
}

static unsigned int arena_pieces(const struct memory *m, struct piece *p)
{
	unsigned int access = BARBUF_DMA_READ | BARBUF_DMA_WRITE;
	uint64_t start = m->most.table_size, end = start + m->most.arena_size;
	unsigned int nr = 0;

	if (m->hole == MEMORY_NO_HOLE) {
		add(p, &nr, m, start, end, access);
		return nr;
	}
	add(p, &nr, m, start, start + m->hole, access);
	add(p, &nr, m, start + m->hole + m->page, end, access);
	return nr;
}

static unsigned int all_pieces(const struct memory *m, struct piece *p)
{
	unsigned int nr = table_pieces(m, p);

	return nr + arena_pieces(m, p + nr);
}

static void unmap_pieces(struct memory *m, const struct piece *p, unsigned int nr)
{
	while (nr--)
		barbuf_dma_unmap(m->container, p[nr].iova, p[nr].len);
}

static int map_pieces(struct memory *m, const struct piece *p, unsigned int nr)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		ret = barbuf_dma_map(m->container, p[i].iova, p[i].addr, p[i].len, p[i].access);
		if (ret) {
			unmap_pieces(m, p, i);
			return ret;
		}
	}
	return 0;
}

void memory_close_fds(struct memory *m)
{
	if (m->arena_fd >= 0)
		close(m->arena_fd);
	if (m->table_fd >= 0)
		close(m->table_fd);
	m->arena_fd = m->table_fd = -1;
}

static void drop_pieces(struct memory *m)
{
	munmap(m->arena, m->most.arena_size);
	munmap(m->table, m->most.table_size);
	memory_close_fds(m);
	m->container = NULL;
}

int memory_make(struct memory *m, struct barbuf_container *c, const struct blk_window *most,
		uint64_t iova, uint32_t page, uint32_t hole)
{
	struct piece p[MAX_PIECES];
	int ret;

	*m = (struct memory){ .most = *most, .w = *most, .iova = iova, .page = page, .hole = hole };
	ret = make_piece("blkd-table", most->table_size, F_SEAL_FUTURE_WRITE, &m->table_fd,
			 &m->table);
	if (ret)
		return ret;
	ret = make_piece("blkd-arena", most->arena_size, 0, &m->arena_fd, &m->arena);
	if (ret) {
		munmap(m->table, most->table_size);
		close(m->table_fd);
		return ret;
	}
	m->container = c;
	ret = map_pieces(m, p, all_pieces(m, p));
	if (ret)
		drop_pieces(m);
	return ret;
}

int memory_fill(struct memory *m, uint32_t flags, uint32_t depth, uint64_t first_sector)
{
	struct blk_window w = {
		.flags = flags,
		.queue_size = m->most.queue_size,
		.depth = depth,
		.block_size = m->most.block_size,
	};
	int ret;

	ret = blk_window_layout(&w, m->page);
	if (ret)
		return ret;
	/* The queue is enabled where the most of it would be. */
	if (w.used != m->most.used || w.table_size != m->most.table_size ||
	    w.arena_size > m->most.arena_size)
		return -EINVAL;
	m->w = w;
	blk_window_fill(&m->w, m->table, m->iova, first_sector);
	return 0;
}

int memory_rewind(struct memory *m, uint64_t first_sector)
{
	struct piece p[MAX_PIECES];
	unsigned int nr = arena_pieces(m, p);

	unmap_pieces(m, p, nr);
	blk_window_fill(&m->w, m->table, m->iova, first_sector);
	/* Flags and index; entries before the index count for nothing. */
	__atomic_store_n((uint32_t *)m->arena, 0, __ATOMIC_RELEASE);
	return map_pieces(m, p, nr);
}

void memory_drop(struct memory *m)
{
	struct piece p[MAX_PIECES];

	if (!m->container)
		return;
	unmap_pieces(m, p, all_pieces(m, p));
	drop_pieces(m);
}

uint16_t memory_used_index(const struct memory *m)
{
	const struct vring_used *used = (const void *)((const char *)m->table + m->most.used);

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

uint16_t memory_avail_index(const struct memory *m)
{
	return __atomic_load_n(&((const struct vring_avail *)m->arena)->idx, __ATOMIC_ACQUIRE);
}
