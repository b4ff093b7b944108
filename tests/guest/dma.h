/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA of one device into another's BAR, by each of the ways in which Linux maps it: the
 * same scenario runs with all of them. Below libbarbuf, since cases ask for errors, sizes
 * and versions that the library does not let through.
 */
#ifndef BARBUF_TESTS_DMA_H
#define BARBUF_TESTS_DMA_H

#include "edu.h"
#include "harness.h"

#define DMA_READ  BARBUF_DMA_READ
#define DMA_WRITE BARBUF_DMA_WRITE
#define DMA_BOTH  (DMA_READ | DMA_WRITE)

struct dma;
struct dma_device;

/*
 * Those without "must" in their names answer as a system call does. @by_file: a BAR is mapped
 * by a buffer's descriptor and not by an address; then there is no DMA to a BAR that is no
 * buffer. The errors are those of mapping a buffer that is suspended or revoked, or with
 * rights that it does not give.
 */
struct dma_way {
	const char *name;
	bool by_file;
	bool is_iommufd;
	int iommu_type;
	int err_suspended, err_revoked, err_rights;
	/* Skips the case on a kernel that has it not. */
	void (*open)(struct dma *d);
	int (*attach)(struct dma *d, struct dma_device *dev);
	void (*detach)(struct dma *d, struct dma_device *dev);
	int (*map)(struct dma *d, uint64_t iova, const void *addr, uint64_t len, unsigned int access);
	int (*map_file)(struct dma *d, uint64_t iova, int fd, uint64_t offset, uint64_t len,
			unsigned int access);
	/* How many bytes were unmapped, or -1. */
	long (*unmap)(struct dma *d, uint64_t iova, uint64_t len);
};

extern const struct dma_way dma_type1;	   /* legacy, VFIO_TYPE1v2_IOMMU */
extern const struct dma_way dma_type1_v1;  /* legacy, VFIO_TYPE1_IOMMU */
extern const struct dma_way dma_compat;	   /* VFIO's calls of a container on /dev/iommu */
extern const struct dma_way dma_native;	   /* iommufd's own, IOMMU_IOAS_MAP_FILE */

/* The functions of a table of cases, for a function that takes a way. */
#define DMA_CASE_OF(fn, way)              \
	static void fn##_##way(void)      \
	{                                 \
		fn(&dma_##way);           \
	}
#define EACH_DMA_TYPE1(fn) DMA_CASE_OF(fn, type1) DMA_CASE_OF(fn, type1_v1)
#define EACH_DMA_BY_ADDRESS(fn) DMA_CASE_OF(fn, type1) DMA_CASE_OF(fn, compat)
#define EACH_DMA(fn) EACH_DMA_BY_ADDRESS(fn) DMA_CASE_OF(fn, native)

/* A container or an IOAS. */
struct dma {
	const struct dma_way *way;
	int fd;
	uint32_t ioas;
	unsigned int nr_devices;
	/* The next device gets a domain of its own: of iommufd's own calls alone. */
	bool apart;
};

/* A device in it. */
struct dma_device {
	struct dma *dma;
	struct dev *dev;
	const char *model;
	int group;
	uint32_t hwpt; /* its domain, if that is its own */
};

void dma_open(struct dma *d, const struct dma_way *way);
void dma_close(struct dma *d);
struct dma_device *dma_add(struct dma *d, const char *model);
struct dma_device *try_dma_add(struct dma *d, const char *model);
void dma_remove(struct dma_device *dev);

int try_dma_map(struct dma *d, uint64_t iova, const volatile void *addr, uint64_t len,
		unsigned int access);
void dma_map(struct dma *d, uint64_t iova, const volatile void *addr, uint64_t len,
	     unsigned int access);
long try_dma_unmap(struct dma *d, uint64_t iova, uint64_t len);
/* All of it, and it was mapped. */
void dma_unmap(struct dma *d, uint64_t iova, uint64_t len);

/*
 * A part of a BAR as a client has it, and as the owner of the device sees it. Of a buffer,
 * or (@fd is the device's) through the device itself.
 */
struct piece {
	int fd;
	uint64_t offset; /* of the piece in the file */
	volatile unsigned char *addr;
	uint64_t size;
	volatile unsigned char *seen;
};

/* Have a device of the native interface attached to an IOAS or a hardware page table, or to none. */
void ioas_join(const struct dma_device *dev, uint32_t id);
void ioas_leave(const struct dma_device *dev);

int try_dma_map_piece(struct dma *d, uint64_t iova, const struct piece *piece, uint64_t offset,
		      uint64_t len, unsigned int access);
/* All of it, for both. */
void dma_map_piece(struct dma *d, uint64_t iova, const struct piece *piece);

/* A rig: an edu device that does the DMA, and a BAR of another device that it goes to. */
#define RIG_IOVA     MIB(16)
#define RIG_RAM_IOVA MIB(240)
/* So many bytes are copied; it takes the device 0.1 s. */
#define RIG_BYTES    512

struct rig {
	struct dma dma;
	struct dma_device *initiator;
	struct edu edu;
	unsigned int held; /* what the edu device has in its memory */
	unsigned int next;
	unsigned char *ram; /* a page at RIG_RAM_IOVA */
	struct dev *dev;
	unsigned int bar;
	volatile unsigned char *seen;
	uint64_t size;
};

/* The size is that of what is used of the BAR. */
void rig_open(struct rig *rig, const struct dma_way *way, const char *model, unsigned int bar,
	      uint64_t size);
/* As it stands: the exporter may be closed and NULL. */
void rig_close(struct rig *rig);
/* Skips the case where Linux's own iommufd cannot map a BAR by an address, or again. */
void rig_need(struct rig *rig);
/* DMA is another edu device's from now on; rig_edu() makes it ready first. */
void rig_edu(struct rig *rig, struct edu *edu, struct dma_device *dev);
void rig_use(struct rig *rig, const struct edu *edu);

void rig_buffer(struct rig *rig, struct piece *piece, uint64_t offset, uint64_t size);
void rig_bar(struct rig *rig, struct piece *piece, uint64_t offset, uint64_t size);
/* The client's mapping is gone, and so is its descriptor. */
void piece_unmap(struct piece *piece);
void piece_close(struct piece *piece);

/* Zeroes there, so that arrived() knows. */
void rig_clear(volatile unsigned char *p);
/* DMA that was sent to a place has come there: all or nothing, or it fails. */
bool rig_arrived(struct rig *rig, const volatile unsigned char *p);
/* DMA to the IOVA, and that did or did not arrive at p; from it, what stands at p. */
bool rig_stores(struct rig *rig, uint64_t iova, volatile unsigned char *p);
bool rig_fetches(struct rig *rig, uint64_t iova, volatile unsigned char *p);

/* It is reached by DMA in both directions; it is not, in any. */
#define CHECK_REACHED(rig, iova, p)                                       \
	do {                                                              \
		if (!rig_stores(rig, iova, p))                            \
			FAIL("DMA does not write to %s", #p);             \
		if (!rig_fetches(rig, iova, p))                           \
			FAIL("DMA does not read from %s", #p);            \
	} while (0)
#define CHECK_UNREACHED(rig, iova, p)                                     \
	do {                                                              \
		if (rig_stores(rig, iova, p))                             \
			FAIL("DMA writes to %s", #p);                     \
		if (rig_fetches(rig, iova, p))                            \
			FAIL("DMA reads from %s", #p);                    \
	} while (0)

/* The same for a device that has no access now: seen when it has. */
void rig_send(struct rig *rig, uint64_t iova);

unsigned char *dma_memory(size_t size);
/* Pages that are pinned for long on this machine. */
long pinned_pages(void);
/* Of this process, in bytes. */
long locked_bytes(void);
bool kernel_is(const char *name);

#endif
