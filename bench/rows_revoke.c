// SPDX-License-Identifier: LGPL-2.1-or-later
/* Revokes, and the global zap that stock has in their place. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <unistd.h>

#include <barbuf.h>

#include "bench.h"

#define NR_REVOKES 21
#define NR_CLIENTS_MAX 8
#define CLIENT_PAGES 64

/* A page that was taken away must be gone, or no figure means anything. */
static int check_gone(const char *page)
{
	uint32_t word;

	return barbuf_read32(page, &word) == -EIO ? 0 : -EIO;
}

/* Revoke one and put a new one in its place, again and again. */
int revoke_one(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t took[NR_REVOKES];
	struct many m;
	size_t i;
	int ret;

	ret = many_make(&m, b, &b->memory, n);
	f->of[FAULTS] = 0;
	for (i = 0; i < NR_REVOKES && !ret; i++) {
		size_t victim = (i * 389 + 1) % n;
		uint64_t start = now_ns();

		ret = barbuf_device_revoke(b->memory.dev, m.fds[victim]);
		took[i] = since(start);
		if (ret)
			break;
		f->of[FAULTS] += many_touch(&m, victim);
		ret = check_gone(m.maps[victim]);
		if (!ret)
			ret = many_replace(&m, victim);
	}
	many_free(&m);
	if (!ret)
		f->of[TIME] = median(took, NR_REVOKES);
	return ret;
}

/*
 * Clients that map the same range, each at a place with page tables of its own: the
 * mappings are what a zap goes through, whichever process they are in.
 */
struct clients {
	size_t nr;
	size_t size;
	int fds[NR_CLIENTS_MAX]; /* of buffers; -1: through the device fd */
	struct arena places[NR_CLIENTS_MAX];
};

static void read_client(const struct bench *b, const struct clients *c, size_t i)
{
	size_t at;

	for (at = 0; at < c->size; at += b->page)
		touch(c->places[i].at + at);
}

static int map_client(const struct bench *b, struct clients *c, size_t i, bool buffer)
{
	int fd = barbuf_device_fd(b->memory.dev);
	uint64_t offset = b->memory.bar.offset;
	int ret;

	if (c->fds[i] >= 0)
		close(c->fds[i]);
	c->fds[i] = -1;
	if (buffer) {
		fd = c->fds[i] = export_range(&b->memory, 0, c->size);
		offset = 0;
		if (fd < 0)
			return fd;
	}
	ret = map_at(c->places[i].at, c->size, fd, offset);
	if (!ret)
		read_client(b, c, i);
	return ret;
}

static int clients_make(const struct bench *b, struct clients *c, size_t nr, bool buffers)
{
	int ret = 0;
	size_t i;

	*c = (struct clients){ .nr = nr, .size = CLIENT_PAGES * b->page };
	for (i = 0; i < NR_CLIENTS_MAX; i++)
		c->fds[i] = -1;
	if (nr > NR_CLIENTS_MAX)
		return -EINVAL;
	for (i = 0; i < nr && !ret; i++) {
		ret = arena_make(&c->places[i], c->size, b->page);
		if (!ret)
			ret = map_client(b, c, i, buffers);
	}
	return ret;
}

static void clients_free(struct clients *c)
{
	size_t i;

	for (i = 0; i < NR_CLIENTS_MAX; i++) {
		arena_free(&c->places[i]);
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
}

/* All but one read what they have mapped. Counts the faults; the most stay in @f. */
static uint64_t read_clients(const struct bench *b, const struct clients *c, size_t but,
			     struct figures *f)
{
	uint64_t before = faults_taken();
	uint64_t start = now_ns();
	uint64_t took, faults;
	size_t i;

	for (i = 0; i < c->nr; i++)
		if (i != but)
			read_client(b, c, i);
	took = since(start);
	faults = faults_taken() - before;
	if (faults > f->of[FAULTS])
		f->of[FAULTS] = faults;
	return took;
}

/* Memory decode off and on again is one way in which stock takes a BAR from a client. */
static int zap_all(const struct bench *b, const struct clients *c)
{
	uint16_t command, off;
	int ret, back;
	size_t i;

	ret = barbuf_config_read(b->memory.dev, PCI_COMMAND, &command, sizeof(command));
	if (ret)
		return ret;
	off = command & ~PCI_COMMAND_MEMORY;
	ret = barbuf_config_write(b->memory.dev, PCI_COMMAND, &off, sizeof(off));
	for (i = 0; i < c->nr && !ret; i++)
		ret = check_gone(c->places[i].at);
	back = barbuf_config_write(b->memory.dev, PCI_COMMAND, &command, sizeof(command));
	return ret ? ret : back;
}

int zap_clients(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t took[NR_REVOKES];
	struct clients c;
	size_t i;
	int ret;

	ret = clients_make(b, &c, n, false);
	f->of[FAULTS] = 0;
	for (i = 0; i < NR_REVOKES && !ret; i++) {
		ret = zap_all(b, &c);
		if (!ret)
			took[i] = read_clients(b, &c, n, f);
	}
	clients_free(&c);
	if (!ret)
		f->of[TIME] = smallest(took, NR_REVOKES);
	return ret;
}

int revoke_client(const struct bench *b, size_t n, struct figures *f)
{
	uint64_t took[NR_REVOKES];
	struct clients c;
	size_t i;
	int ret;

	ret = clients_make(b, &c, n, true);
	f->of[FAULTS] = 0;
	for (i = 0; i < NR_REVOKES && !ret; i++) {
		size_t victim = i % n;

		ret = barbuf_device_revoke(b->memory.dev, c.fds[victim]);
		if (!ret)
			ret = check_gone(c.places[victim].at);
		if (ret)
			break;
		took[i] = read_clients(b, &c, victim, f);
		ret = map_client(b, &c, victim, true);
	}
	clients_free(&c);
	if (!ret)
		f->of[TIME] = smallest(took, NR_REVOKES);
	return ret;
}
