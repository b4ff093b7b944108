// SPDX-License-Identifier: LGPL-2.1-or-later
/* DMA mappings of a container, and the record of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

static bool is_aligned(uint64_t value)
{
	return !(value & (sysconf(_SC_PAGESIZE) - 1));
}

static int check(const struct barbuf_container *c, uint64_t iova, uint64_t offset, uint64_t len,
		 unsigned int access)
{
	uint64_t last;

	if (!c->nr_devices || !len || !is_aligned(iova | offset | len) || !access ||
	    access & ~(BARBUF_DMA_READ | BARBUF_DMA_WRITE))
		return -EINVAL;
	if (__builtin_add_overflow(iova, len - 1, &last))
		return -ERANGE;
	/* It is mapped or handed over as a size_t and an off_t. */
	if (len > SIZE_MAX || __builtin_add_overflow(offset, len, &last) || last > INT64_MAX)
		return -EINVAL;
	return 0;
}

static struct barbuf__mapping *new_mapping(uint64_t iova, uint64_t len, unsigned int access)
{
	struct barbuf__mapping *m = calloc(1, sizeof(*m));

	if (m)
		*m = (struct barbuf__mapping){ .iova = iova, .len = len, .access = access };
	return m;
}

static void add(struct barbuf_container *c, struct barbuf__mapping *m)
{
	m->next = c->mappings;
	c->mappings = m;
}

static void free_mapping(const struct barbuf_container *c, struct barbuf__mapping *m)
{
	if (m->owns_addr)
		c->sys->munmap(c->sys->ctx, m->addr, m->len);
	free(m);
}

static int prot_of(const struct barbuf__mapping *m)
{
	return PROT_READ | (m->access & BARBUF_DMA_WRITE ? PROT_WRITE : 0);
}

/* Map the file here, because the kernel wants an address. */
static int map_here(struct barbuf_container *c, struct barbuf__mapping *m, int fd, uint64_t offset)
{
	int ret;

	ret = c->sys->mmap(c->sys->ctx, &m->addr, m->len, prot_of(m), MAP_SHARED, fd, offset);
	if (ret)
		return ret;
	m->owns_addr = true;
	return 0;
}

int barbuf_dma_map(struct barbuf_container *c, uint64_t iova, void *addr, uint64_t len,
		   unsigned int access)
{
	struct barbuf__mapping *m;
	int ret;

	ret = check(c, iova, 0, len, access);
	if (ret)
		return ret;
	if (!is_aligned((uintptr_t)addr))
		return -EINVAL;
	m = new_mapping(iova, len, access);
	if (!m)
		return -ENOMEM;
	m->addr = addr;
	ret = c->iommu->map(c, m);
	if (ret) {
		free_mapping(c, m);
		return ret;
	}
	add(c, m);
	return 0;
}

/* To iommufd itself, where it can. It looks neither at how the file is open nor at its seals. */
static int hand_over(struct barbuf_container *c, struct barbuf__mapping *m, int fd, uint64_t offset)
{
	int ret;

	if (!c->iommu->map_file)
		return -ENOTTY;
	ret = barbuf__try_mmap(c->sys, fd, prot_of(m));
	return ret ? ret : c->iommu->map_file(c, m, fd, offset);
}

int barbuf_dma_map_file(struct barbuf_container *c, uint64_t iova, int fd, uint64_t offset,
			uint64_t len, unsigned int access)
{
	struct barbuf__mapping *m;
	int ret;

	ret = check(c, iova, offset, len, access);
	if (ret)
		return ret;
	m = new_mapping(iova, len, access);
	if (!m)
		return -ENOMEM;
	ret = hand_over(c, m, fd, offset);
	if (ret == -ENOTTY) {
		ret = map_here(c, m, fd, offset);
		if (!ret)
			ret = c->iommu->map(c, m);
	}
	if (ret) {
		free_mapping(c, m);
		return ret;
	}
	add(c, m);
	return 0;
}

/* -ENODEV is also what iommufd hears of a buffer whose device sleeps or resets. */
static bool is_revoked(const struct barbuf_container *c, const struct barbuf_buffer *buf)
{
	return barbuf__try_mmap(c->sys, barbuf_buffer_fd(buf), PROT_READ) == -ENODEV;
}

/* The kernel wants an address: a mapping of the buffer by the CPU. */
static int map_buffer_here(struct barbuf_container *c, struct barbuf__mapping *m,
			   const struct barbuf_buffer *buf, uint64_t offset)
{
	int ret;

	ret = map_here(c, m, barbuf_buffer_fd(buf), offset);
	/* Offset and length are right: it is the kernel that has no such mappings. */
	if (ret)
		return ret == -EINVAL ? -EOPNOTSUPP : ret;
	ret = c->iommu->map(c, m);
	/* It is mapped, for this access: what it lacks is a BAR that answers. */
	return ret == -EFAULT ? -ENODEV : ret;
}

int barbuf_dma_map_buffer(struct barbuf_container *c, uint64_t iova, struct barbuf_buffer *buf,
			  uint64_t offset, uint64_t len, unsigned int access)
{
	struct barbuf__mapping *m;
	int ret;

	ret = check(c, iova, offset, len, access);
	if (ret)
		return ret;
	if (offset > barbuf_buffer_size(buf) || len > barbuf_buffer_size(buf) - offset)
		return -EINVAL;
	/* iommufd would not look. */
	if (access & BARBUF_DMA_WRITE && barbuf_buffer_read_only(buf))
		return -EACCES;
	m = new_mapping(iova, len, access);
	if (!m)
		return -ENOMEM;
	if (c->iommu->map_file) {
		ret = c->iommu->map_file(c, m, barbuf_buffer_fd(buf), offset);
		/* Linux before 6.19 says so of all but memfds. */
		if (ret == -ENOTTY || ret == -EINVAL)
			ret = -EOPNOTSUPP;
	} else {
		ret = map_buffer_here(c, m, buf, offset);
	}
	if (ret) {
		free_mapping(c, m);
		return ret == -ENODEV && is_revoked(c, buf) ? -EBADFD : ret;
	}
	add(c, m);
	return 0;
}

int barbuf_dma_unmap(struct barbuf_container *c, uint64_t iova, uint64_t len)
{
	struct barbuf__mapping **p, *m;
	int ret;

	for (p = &c->mappings; *p; p = &(*p)->next)
		if ((*p)->iova == iova && (*p)->len == len)
			break;
	m = *p;
	if (!m)
		return -ENOENT;
	ret = c->iommu->unmap(c, m);
	if (ret)
		return ret;
	*p = m->next;
	free_mapping(c, m);
	return 0;
}

bool barbuf__is_addressable(struct barbuf_container *c, uint64_t iova, uint64_t len)
{
	struct barbuf_range *ranges;
	bool found = false;
	size_t nr, i;

	if (c->iommu->iova_ranges(c, &ranges, &nr))
		return true;
	for (i = 0; i < nr && !found; i++)
		found = iova >= ranges[i].offset &&
			iova + (len - 1) <= ranges[i].offset + (ranges[i].length - 1);
	free(ranges);
	return found;
}

int barbuf_dma_ranges(struct barbuf_container *c, struct barbuf_range *ranges, size_t *nr)
{
	struct barbuf_range *list;
	size_t count;
	int ret;

	if (!c->nr_devices)
		return -EINVAL;
	ret = c->iommu->iova_ranges(c, &list, &count);
	if (ret)
		return ret == -ENOTTY ? -EOPNOTSUPP : ret;
	if (count > *nr)
		ret = -ENOSPC;
	else if (count)
		memcpy(ranges, list, count * sizeof(*list));
	*nr = count;
	free(list);
	return ret;
}

void barbuf__dma_forget(struct barbuf_container *c)
{
	struct barbuf__mapping *m;

	/* What a child has inherited is still its parent's. */
	if (c->mappings && c->iommu->unmap_all && c->owner == getpid())
		c->iommu->unmap_all(c);
	while ((m = c->mappings)) {
		c->mappings = m->next;
		free_mapping(c, m);
	}
}
