// SPDX-License-Identifier: GPL-2.0-only
/*
 * A DMA mapping has no more rights than the mapping by the CPU that it is made of, or the
 * buffer; and what a plain user may do with a device of his own and a buffer that he was lent.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dma.h"

#define AT    MIB(1)
#define SIZE  (4 * PAGE)
#define PLAIN 61001

/* A device that may read reads, and does not write. */
static void reads_only(struct rig *rig, volatile unsigned char *seen)
{
	CHECK(rig_fetches(rig, RIG_IOVA, seen));
	CHECK(!rig_stores(rig, RIG_IOVA, seen));
	memory_decode(rig->dev, false);
	memory_decode(rig->dev, true);
	CHECK(rig_fetches(rig, RIG_IOVA, seen));
	CHECK(!rig_stores(rig, RIG_IOVA, seen));
}

static void device_that_may_read(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	OK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_READ));
	reads_only(&rig, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(device_that_may_read)

/* The CPU may read: so may the device, and no more. */
static void read_only_vma(const struct dma_way *way)
{
	struct piece lent, bar;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	rig_bar(&rig, &bar, AT, SIZE);
	OK(mprotect((void *)lent.addr, SIZE, PROT_READ));
	OK(mprotect((void *)bar.addr, SIZE, PROT_READ));
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH), EFAULT);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_WRITE), EFAULT);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, bar.addr, SIZE, DMA_BOTH), EFAULT);
	CHECK(!rig_stores(&rig, RIG_IOVA, lent.seen));
	dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_READ);
	reads_only(&rig, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	dma_map(&rig.dma, RIG_IOVA, bar.addr, SIZE, DMA_READ);
	reads_only(&rig, bar.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&bar);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(read_only_vma)

static void vma_of_no_access(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	OK(mprotect((void *)lent.addr, SIZE, PROT_NONE));
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_READ), EFAULT);
	CHECK_ERRNO(try_dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH), EFAULT);
	OK(mprotect((void *)lent.addr, SIZE, PROT_READ | PROT_WRITE));
	dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(vma_of_no_access)

/* What the CPU may do later changes nothing for a mapping that is there. */
static void mprotect_afterwards(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map(&rig.dma, RIG_IOVA, lent.addr, SIZE, DMA_BOTH);
	OK(mprotect((void *)lent.addr, SIZE, PROT_READ));
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	OK(mprotect((void *)lent.addr, SIZE, PROT_NONE));
	memory_decode(rig.dev, false);
	memory_decode(rig.dev, true);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(mprotect_afterwards)

/* A buffer that was exported O_RDONLY is so for devices too. */
static void read_only_buffer(const struct dma_way *way)
{
	static const range_t range = { AT, SIZE };
	struct piece lent = { .size = SIZE };
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	lent.fd = OK(try_export(rig.dev, 2, O_RDONLY | O_CLOEXEC, &range, 1));
	lent.addr = try_map(lent.fd, 0, SIZE, PROT_READ, MAP_SHARED);
	CHECK(lent.addr);
	CHECK(mprotect((void *)lent.addr, SIZE, PROT_READ | PROT_WRITE) && errno == EACCES);
	CHECK_ERRNO(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_BOTH),
		    way->err_rights);
	CHECK_ERRNO(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_WRITE),
		    way->err_rights);
	CHECK(!rig_stores(&rig, RIG_IOVA, rig.seen + AT));
	OK(try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_READ));
	reads_only(&rig, rig.seen + AT);
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA(read_only_buffer)

/* A path is no descriptor to map by. */
static void path_descriptor(const struct dma_way *way)
{
	struct piece lent, path;
	struct rig rig;
	char name[64];

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", lent.fd);
	path = (struct piece){ .fd = OK(open(name, O_PATH | O_CLOEXEC)), .size = SIZE };
	CHECK_ERRNO(try_dma_map_piece(&rig.dma, RIG_IOVA, &path, 0, SIZE, DMA_BOTH), EBADF);
	piece_close(&lent);
	rig_close(&rig);
}
DMA_CASE_OF(path_descriptor, native)

/* fork -----------------------------------------------------------------------*/

struct child {
	struct rig *rig;
	struct piece *lent;
};

static int map_in_child(void *arg)
{
	struct child *c = arg;

	/* Its own rights count, not the parent's. */
	OK(mprotect((void *)c->lent->addr, PAGE, PROT_READ));
	CHECK_ERRNO(try_dma_map(&c->rig->dma, RIG_IOVA, c->lent->addr, PAGE, DMA_BOTH), EFAULT);
	dma_map(&c->rig->dma, RIG_IOVA, c->lent->addr + PAGE, PAGE, DMA_BOTH);
	return 0;
}

static void vma_of_a_child(const struct dma_way *way)
{
	struct piece lent;
	struct rig rig;

	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	join(spawn(map_in_child, &(struct child){ &rig, &lent }));
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen + PAGE);
	dma_map(&rig.dma, RIG_IOVA + PAGE, lent.addr, PAGE, DMA_BOTH);
	CHECK_REACHED(&rig, RIG_IOVA + PAGE, lent.seen);
	revoke_buffer(rig.dev, lent.fd);
	CHECK_UNREACHED(&rig, RIG_IOVA, lent.seen + PAGE);
	CHECK_UNREACHED(&rig, RIG_IOVA + PAGE, lent.seen);
	dma_unmap(&rig.dma, RIG_IOVA, PAGE);
	dma_unmap(&rig.dma, RIG_IOVA + PAGE, PAGE);
	piece_close(&lent);
	rig_close(&rig);
}
EACH_DMA_BY_ADDRESS(vma_of_a_child)

/* A plain user ---------------------------------------------------------------*/

/* Steps of the parent that the child waits for, and the reverse. */
static void step(int fd)
{
	CHECK_EQ(write(fd, "", 1), 1);
}

static void await(int fd)
{
	char c;

	CHECK_EQ(read(fd, &c, 1), 1);
}

struct plain {
	const struct dma_way *way;
	struct piece lent;
	int to_child[2], to_parent[2];
};

static void loaded(struct rig *rig)
{
	rig->ram = dma_memory(PAGE);
	dma_map(&rig->dma, RIG_RAM_IOVA, rig->ram, PAGE, DMA_BOTH);
	rig_edu(rig, &rig->edu, rig->initiator);
}

/* Owns edu and was handed a buffer; knows nothing else. */
static int plain_user(void *arg)
{
	struct plain *p = arg;
	struct rig rig = { 0 };

	OK(setresgid(PLAIN, PLAIN, PLAIN));
	OK(setresuid(PLAIN, PLAIN, PLAIN));
	dma_open(&rig.dma, p->way);
	rig.initiator = dma_add(&rig.dma, "edu");
	loaded(&rig);
	p->lent.addr = map_buffer(p->lent.fd, 0, SIZE);
	if (try_dma_map_piece(&rig.dma, RIG_IOVA, &p->lent, 0, SIZE, DMA_BOTH)) {
		CHECK(p->way->is_iommufd);
		SKIP("this kernel's iommufd maps no BAR by its address");
	}
	rig_send(&rig, RIG_IOVA);
	step(p->to_parent[1]);
	await(p->to_child[0]);
	/* It was taken back meanwhile. */
	rig_send(&rig, RIG_IOVA);
	rig_send(&rig, RIG_IOVA + 2 * PAGE);
	edu_fetch(&rig.edu, RIG_IOVA + PAGE, RIG_BYTES);
	edu_store(&rig.edu, RIG_RAM_IOVA, RIG_BYTES);
	CHECK(rig.ram[0] != 0x5e);
	CHECK(try_dma_map_piece(&rig.dma, RIG_IOVA + SIZE, &p->lent, 0, SIZE, DMA_BOTH));
	step(p->to_parent[1]);
	await(p->to_child[0]);
	rig_send(&rig, RIG_IOVA);
	step(p->to_parent[1]);
	return 0;
}

static bool anything_at(const volatile unsigned char *p)
{
	size_t i;

	for (i = 0; i < RIG_BYTES; i++)
		if (p[i])
			return true;
	return false;
}

/* A file that the plain user may open for as long as it is his. */
struct given {
	char path[64];
	struct stat before;
};

static struct given give(const char *path)
{
	struct given g;

	CHECK(snprintf(g.path, sizeof(g.path), "%s", path) < (int)sizeof(g.path));
	OK(stat(path, &g.before));
	OK(chown(path, PLAIN, PLAIN));
	return g;
}

static void take_back(const struct given *g)
{
	OK(chown(g->path, g->before.st_uid, g->before.st_gid));
}

static void lent_to_a_plain_user(const struct dma_way *way)
{
	struct plain p = { .way = way };
	struct given group_file, container_file;
	char address[32], path[64];
	struct dev *dev;
	ssize_t got;
	struct dma d;
	int group, fd;
	pid_t child;

	dma_open(&d, way); /* or skips */
	dma_close(&d);
	CHECK(dev_bind("edu", address, &group));
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	group_file = give(path);
	container_file = give(way->is_iommufd ? "/dev/iommu" : "/dev/vfio/vfio");

	dev = dev_open("ivshmem");
	p.lent.size = SIZE;
	p.lent.seen = map_bar(dev, 2, AT, SIZE);
	p.lent.fd = export_range(dev, 2, AT, SIZE);
	rig_clear(p.lent.seen);
	OK(pipe(p.to_child));
	OK(pipe(p.to_parent));
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		unmap((void *)p.lent.seen, SIZE);
		/* Of the device, its group and its container nothing is a client's. */
		for (fd = 3; fd < 256; fd++)
			if (fd != p.lent.fd && fd != p.to_child[0] && fd != p.to_parent[1])
				close(fd);
		_exit(plain_user(&p));
	}
	close(p.to_parent[1]);
	/* A child that was skipped or failed ends the pipe. */
	got = read(p.to_parent[0], path, 1);
	take_back(&group_file);
	take_back(&container_file);
	if (got != 1) {
		join(child);
		FAIL("the plain user said nothing");
	}
	CHECK(anything_at(p.lent.seen));
	revoke_buffer(dev, p.lent.fd);
	rig_clear(p.lent.seen);
	rig_clear(p.lent.seen + 2 * PAGE);
	p.lent.seen[PAGE] = 0x5e;
	step(p.to_child[1]);
	await(p.to_parent[0]);
	CHECK_MSG(!anything_at(p.lent.seen), "the client still writes");
	CHECK(!anything_at(p.lent.seen + 2 * PAGE));
	/* And the next owner of the device has nothing to fear. */
	unmap((void *)p.lent.seen, SIZE);
	dev_close(dev);
	dev = dev_open("ivshmem");
	memory_decode(dev, true);
	p.lent.seen = map_bar(dev, 2, AT, SIZE);
	rig_clear(p.lent.seen);
	step(p.to_child[1]);
	await(p.to_parent[0]);
	CHECK(!anything_at(p.lent.seen));
	join(child);
}
EACH_DMA_BY_ADDRESS(lent_to_a_plain_user)

#define BY_ADDRESS(fn) CASE_MMAP(fn##_type1), CASE_MMAP(fn##_compat)
#define ALL(fn)	       BY_ADDRESS(fn), CASE_MMAP(fn##_native)

static const struct test_case cases[] = {
	ALL(device_that_may_read),
	BY_ADDRESS(read_only_vma),
	BY_ADDRESS(vma_of_no_access),
	BY_ADDRESS(mprotect_afterwards),
	ALL(read_only_buffer),
	CASE_MMAP(path_descriptor_native),
	BY_ADDRESS(vma_of_a_child),
	BY_ADDRESS(lent_to_a_plain_user),
};

TEST_MAIN(cases)
