// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "fake_blk.h"

#define IOVA 0x40000000ull

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! the fake primary: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int make_piece(const char *name, uint32_t size, int seals, void **out)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	need(fd >= 0 && !ftruncate(fd, size), "a memfd");
	*out = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(*out != MAP_FAILED, "a mapping");
	need(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals), "seals");
	return fd;
}

static void make_memory(struct fake_memory *m)
{
	const struct blk_window *w = &m->grant.window;
	void *page;

	/* Larger than the window: the next lease of this memory may have another layout. */
	m->table_fd = make_piece("table", w->table_size + 4096, F_SEAL_FUTURE_WRITE, &m->table);
	m->arena_fd = make_piece("arena", w->arena_size + 4096, 0, &m->arena);
	blk_window_fill(w, m->table, IOVA, m->grant.first_block * (w->block_size / BLK_SECTOR));
	m->eventfd = eventfd(0, EFD_CLOEXEC);
	m->doorbell_fd = memfd_create("dmabuf:doorbell", MFD_CLOEXEC);
	need(m->eventfd >= 0 && m->doorbell_fd >= 0 && !ftruncate(m->doorbell_fd, 4096), "a page");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m->doorbell_fd, 0);
	need(page != MAP_FAILED, "the doorbell");
	m->doorbell = (void *)((char *)page + FAKE_DOORBELL);
	need(!barbuf_buffer_adopt(&m->buffer, dup(m->doorbell_fd)), "a buffer");
	m->arena_kind = BLK_ARENA;
	m->eventfd_kind = BLK_COMPLETION;
}

void fake_memory_drop(struct fake_memory *m)
{
	const struct blk_window *w = &m->grant.window;

	munmap(m->table, w->table_size + 4096);
	munmap(m->arena, w->arena_size + 4096);
	munmap((char *)m->doorbell - FAKE_DOORBELL, 4096);
	barbuf_buffer_free(m->buffer);
	close(m->table_fd);
	close(m->arena_fd);
	close(m->eventfd);
	close(m->doorbell_fd);
}

void fake_blk_new(struct fake_blk *f, uint32_t flags, uint32_t depth, uint32_t block_size)
{
	struct blk_window w = {
		.flags = flags,
		.queue_size = depth > 25 ? 512 : 128,
		.depth = depth,
		.block_size = block_size,
	};
	int socks[2];

	memset(f, 0, sizeof(*f));
	need(!blk_window_layout(&w, 4096), "a window");
	f->m.grant = (struct blk_grant){
		.kind = BLK_GRANT,
		.epoch = 1,
		.window = w,
		.first_block = FAKE_FIRST,
		.nr_blocks = FAKE_BLOCKS,
		.queue = FAKE_QUEUE,
		.doorbell = FAKE_DOORBELL,
		.doorbell_value = FAKE_RING,
		.flush = 1,
	};
	make_memory(&f->m);
	f->disk = calloc(FAKE_BLOCKS, block_size);
	need(f->disk, "a disk");
	need(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), "a socketpair");
	f->sock = socks[0];
	f->client = socks[1];
	need(!fcntl(f->sock, F_SETFL, O_NONBLOCK), "fcntl");
}

void fake_blk_free(struct fake_blk *f)
{
	fake_device_stop(f);
	fake_memory_drop(&f->m);
	free(f->disk);
	if (f->sock >= 0)
		close(f->sock);
}

void fake_blk_renew(struct fake_blk *f, struct fake_memory *former)
{
	*former = f->m;
	make_memory(&f->m);
	f->seen = f->used = 0;
}

/* The device ----------------------------------------------------------------*/

/* As an IOMMU would: an address outside of the window is nobody's. */
static void *at(struct fake_blk *f, uint64_t iova, uint32_t len)
{
	const struct blk_window *w = &f->m.grant.window;
	uint64_t pos = iova - IOVA;

	if (pos < w->table_size && len <= w->table_size - pos)
		return (char *)f->m.table + pos;
	pos -= w->table_size;
	need(pos < w->arena_size && len <= w->arena_size - pos, "an address");
	return (char *)f->m.arena + pos;
}

void fake_complete(struct fake_blk *f, uint32_t id, uint8_t status)
{
	const struct blk_window *w = &f->m.grant.window;
	struct vring_used *used = (void *)((char *)f->m.table + w->used);
	int slot = blk_window_slot(w, id);

	if (slot >= 0 && status != 0xff)
		((volatile uint8_t *)f->m.arena)[w->status + slot] = status;
	used->ring[f->used++ % w->queue_size].id = id;
	__atomic_store_n(&used->idx, f->used, __ATOMIC_RELEASE);
}

static void serve(struct fake_blk *f, uint16_t head)
{
	const struct vring_desc *table = f->m.table, *d = &table[head];
	uint32_t size = f->m.grant.window.block_size;
	const struct virtio_blk_outhdr *h = at(f, d->addr, d->len);
	uint64_t pos = (h->sector * BLK_SECTOR) - (uint64_t)FAKE_FIRST * size;
	bool flush = h->type == VIRTIO_BLK_T_FLUSH;
	unsigned char *data;

	if (f->idle_from && f->done >= f->idle_from) {
		fake_complete(f, head, f->status);
		return;
	}
	need(d->len == sizeof(*h), "a header");
	need(flush ? !h->sector : pos / size < FAKE_BLOCKS && !(pos % size), "a sector");
	d = &table[d->next];
	data = at(f, d->addr, d->len);
	if (flush)
		f->flushes++;
	else if (h->type == VIRTIO_BLK_T_IN && d->flags & VRING_DESC_F_WRITE)
		memcpy(data, f->disk + pos, size);
	else if (h->type == VIRTIO_BLK_T_OUT && !(d->flags & VRING_DESC_F_WRITE))
		memcpy(f->disk + pos, data, size);
	else
		need(false, "a chain of the other direction");
	fake_complete(f, head, f->status);
}

static void *device(void *arg)
{
	struct fake_blk *f = arg;
	struct vring_avail *avail = f->m.arena;
	uint64_t one = 1;

	while (!atomic_load(&f->stop)) {
		/* It works when it is told to, and not when it happens to see something. */
		if (__atomic_exchange_n(f->m.doorbell, 0, __ATOMIC_ACQ_REL) != FAKE_RING) {
			sched_yield();
			continue;
		}
		while (f->done < f->limit &&
		       f->seen != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
			serve(f, avail->ring[f->seen++ % f->m.grant.window.queue_size]);
			f->done++;
			if (!(avail->flags & VRING_AVAIL_F_NO_INTERRUPT))
				need(write(f->m.eventfd, &one, sizeof(one)) == sizeof(one),
				     "an interrupt");
		}
	}
	return NULL;
}

void fake_device_start(struct fake_blk *f, unsigned int limit)
{
	f->limit = limit;
	f->done = 0;
	atomic_store(&f->stop, false);
	need(!pthread_create(&f->thread, NULL, device, f), "a thread");
	f->runs = true;
}

void fake_device_stop(struct fake_blk *f)
{
	if (!f->runs)
		return;
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
	f->runs = false;
}

void fake_rewind(struct fake_blk *f)
{
	const struct blk_window *w = &f->m.grant.window;
	struct vring_avail *avail = f->m.arena;

	avail->idx = 0;
	memset((char *)f->m.table + w->used, 0, sizeof(struct vring_used));
	f->seen = f->used = 0;
}

/* The primary ----------------------------------------------------------------*/

bool fake_say(struct fake_blk *f, uint32_t kind, uint32_t value, int fd)
{
	const struct blk_word word = { .kind = kind, .value = value };

	return !barbuf_message_send(f->sock, &word, sizeof(word), fd);
}

bool fake_grant(struct fake_blk *f)
{
	return !barbuf_message_send(f->sock, &f->m.grant, sizeof(f->m.grant), f->m.table_fd) &&
	       fake_say(f, f->m.arena_kind, 0, f->m.arena_fd) &&
	       fake_say(f, f->m.eventfd_kind, 0, f->m.eventfd) &&
	       !barbuf_buffer_send(f->sock, f->m.buffer, FAKE_QUEUE);
}

uint32_t fake_hear(struct fake_blk *f, uint32_t *value)
{
	char bytes[BARBUF_MESSAGE_MAX];
	struct blk_word word;
	size_t len;

	if (barbuf_message_recv(f->sock, bytes, sizeof(bytes), &len, NULL) || len < sizeof(word))
		return 0;
	memcpy(&word, bytes, sizeof(word));
	*value = word.value;
	return word.kind;
}
