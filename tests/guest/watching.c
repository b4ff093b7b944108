// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints tell what happened, in order; the debugfs file what is. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dma.h"
#include "importer.h"

#define DEBUGFS "/sys/kernel/debug"
#define TRACEFS "/sys/kernel/tracing"
#define INSTANCE TRACEFS "/instances/barbuf"

static char text[1 << 20];

static void read_all(const char *path)
{
	int fd = OK(open(path, O_RDONLY));
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = '\0';
	close(fd);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_ino;
}

static void trace(bool on)
{
	if (access(TRACEFS "/events", F_OK) && mount("none", TRACEFS, "tracefs", 0, NULL))
		SKIP("no tracefs: %s", strerror_name(errno));
	if (access(TRACEFS "/events/vfio_pci_dmabuf", F_OK))
		SKIP("this kernel has no events vfio_pci_dmabuf");
	mkdir(INSTANCE, 0700);
	CHECK(write_file(INSTANCE "/trace", ""));
	CHECK(write_file(INSTANCE "/events/vfio_pci_dmabuf/enable", on ? "1" : "0"));
}

/* The rest of the trace holds this; goes on behind it. */
static const char *next_event(const char *from, const char *fmt, ...)
{
	char want[256];
	const char *at;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	at = strstr(from, want);
	CHECK_MSG(at, "no '%s' in\n%s", want, from);
	return at + strlen(want);
}

static void events_in_order(void)
{
	static const range_t ranges[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct dev *dev = dev_open("ivshmem");
	unsigned long long ino;
	const char *at = text;
	char id[64];
	void *p;
	int fd;

	trace(true);
	fd = export_ranges(dev, 2, ranges, 2);
	ino = inode_of(fd);
	OK(barbuf_device_set_memattr(dev->lib, fd, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC));
	p = map_buffer(fd, PAGE, 2 * PAGE);
	CHECK_ALIVE(p);
	memory_decode(dev, false);
	CHECK_SIGBUS(p);
	memory_decode(dev, true);
	CHECK_ALIVE(p);
	revoke_buffer(dev, fd);
	CHECK_ERRNO(try_revoke(dev, fd), EBADFD);
	CHECK_SIGBUS(p);
	unmap(p, 2 * PAGE);
	close(fd);
	/* The last reference is dropped on the way out of close(), by now. */
	read_all(INSTANCE "/trace");
	trace(false);

	snprintf(id, sizeof(id), "device=%s bar=2 buf=%llu ", dev->address, ino);
	at = next_event(at, "export: %skind=exported size=0x3000 ranges=2\n", id);
	at = next_event(at, "mmap: %soffset=0x1000 addr=0x%lx-0x%lx memattr=wc\n", id,
			(long)p, (long)p + 2 * PAGE);
	at = next_event(at, "fault: %saddr=0x%lx offset=0x1000 order=0 state=live ret=NOPAGE\n",
			id, (long)p);
	at = next_event(at, "state: %sfrom=live to=suspended\n", id);
	at = next_event(at, "fault: %saddr=0x%lx offset=0x1000 order=0 state=suspended ret=SIGBUS\n",
			id, (long)p);
	at = next_event(at, "state: %sfrom=suspended to=live\n", id);
	at = next_event(at, "fault: %saddr=0x%lx offset=0x1000 order=0 state=live ret=NOPAGE\n",
			id, (long)p);
	at = next_event(at, "state: %sfrom=live to=revoked\n", id);
	at = next_event(at, "revoke: %sret=0\n", id);
	at = next_event(at, "revoke: %sret=-77\n", id);
	at = next_event(at, "fault: %saddr=0x%lx offset=0x1000 order=0 state=revoked ret=SIGBUS\n",
			id, (long)p);
	next_event(at, "release: %skind=exported size=0x3000 ranges=2\n", id);
}

/* A BAR buffer has the same events, and huge leaves their order. */
static void events_of_a_bar(void)
{
	struct dev *dev = dev_open("ivshmem");
	const char *at = text;
	char id[64];
	void *p;

	trace(true);
	p = map_aligned(dev->fd, bar_offset(dev, 2, MIB(2)), MIB(2), MIB(2), 0);
	CHECK_ALIVE((char *)p + PAGE);
	unmap(p, MIB(2));
	read_all(INSTANCE "/trace");
	trace(false);
	snprintf(id, sizeof(id), "device=%s bar=2 buf=", dev->address);
	at = next_event(at, "export: %s", id);
	at = next_event(at, " kind=bar size=0x40000000 ranges=1\n");
	at = next_event(at, "mmap: %s", id);
	at = next_event(at, " offset=0x200000 addr=0x%lx-0x%lx memattr=nc\n", (long)p,
			(long)p + MIB(2));
	at = next_event(at, " offset=0x201000 order=9 state=live ret=NOPAGE\n");
	at = next_event(at, "release: %s", id);
}

static const char *debugfs_path(const struct dev *dev, char *path, size_t size)
{
	if (access(DEBUGFS "/vfio_pci_dmabuf", F_OK))
		mount("none", DEBUGFS, "debugfs", 0, NULL);
	if (access(DEBUGFS "/vfio_pci_dmabuf", F_OK))
		SKIP("no " DEBUGFS "/vfio_pci_dmabuf: %s", strerror_name(errno));
	snprintf(path, size, DEBUGFS "/vfio_pci_dmabuf/%s", dev->address);
	return path;
}

static int nr_lines(void)
{
	int n = 0;
	const char *c;

	for (c = text; *c; c++)
		n += *c == '\n';
	return n;
}

static void list_of_buffers(void)
{
	static const range_t ranges[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct dev *dev = dev_open("ivshmem");
	range_t many[20];
	char path[128];
	void *p, *bar;
	int fd, fd_many;
	size_t i;

	debugfs_path(dev, path, sizeof(path));
	read_all(path);
	CHECK_EQ(nr_lines(), 1);
	CHECK(strcmp(text, "buf\tkind\tbar\tstate\tmemattr\tsize\tvmas\timporters\tdma_maps\tpid\t"
			   "comm\tattached\tranges\n") == 0);

	fd = export_ranges(dev, 2, ranges, 2);
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (range_t){ 2 * i * PAGE, PAGE };
	fd_many = export_ranges(dev, 2, many, ARRAY_SIZE(many));
	OK(barbuf_device_set_memattr(dev->lib, fd_many, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_WC));
	p = map_buffer(fd, 0, 3 * PAGE);
	unmap((char *)p + PAGE, PAGE);
	bar = map_bar(dev, 2, 0, PAGE);
	read_all(path);
	CHECK_EQ(nr_lines(), 4);
	next_event(text, "%llu\texported\t2\tlive\tnc\t0x3000\t2\t0\t0\t%d\twatching\t-\t"
			 "0x3000:0x1000,0x0:0x2000\n", (unsigned long long)inode_of(fd), getpid());
	next_event(text, "%llu\texported\t2\tlive\twc\t0x14000\t0\t0\t0\t%d\twatching\t-\t"
			 "0x0:0x1000,0x2000:0x1000,", (unsigned long long)inode_of(fd_many), getpid());
	next_event(text, ",0x1e000:0x1000,+4\n");
	next_event(text, "\tbar\t2\tlive\tnc\t0x40000000\t1\t0\t0\t%d\twatching\t-\t0x0:0x40000000\n",
		   getpid());

	memory_decode(dev, false);
	revoke_buffer(dev, fd);
	unmap(bar, PAGE);
	read_all(path);
	CHECK_EQ(nr_lines(), 3);
	next_event(text, "\texported\t2\trevoked\tnc\t");
	next_event(text, "\texported\t2\tsuspended\twc\t");

	/* The file goes with the open device, whatever clients still hold. */
	dev_close(dev);
	CHECK(access(path, F_OK) && errno == ENOENT);
}

/* Who is attached for DMA: the last one first, by its device, and from the 65th on how many. */
static void list_of_importers(void)
{
	struct dev *dev = dev_open("ivshmem");
	char path[128], want[128];
	int importers[67], fd;
	size_t i;

	debugfs_path(dev, path, sizeof(path));
	fd = export_range(dev, 2, 0, PAGE);
	for (i = 0; i < 2; i++)
		importers[i] = importer_open(dev, fd);
	importer_map(importers[0]);
	read_all(path);
	snprintf(want, sizeof(want), "%s/%d/watching", dev->address, getpid());
	next_event(text, "\t0\t2\t1\t%d\twatching\t%s,%s\t0x0:0x1000\n", getpid(), want, want);

	for (; i < ARRAY_SIZE(importers); i++)
		importers[i] = importer_open(dev, fd);
	read_all(path);
	next_event(text, "%s,+3\t0x0:0x1000\n", want);

	/* A name may hold what separates the fields. */
	close(importers[--i]);
	OK(prctl(PR_SET_NAME, "a,b\tc\\d/e f"));
	importers[i] = importer_open(dev, fd);
	read_all(path);
	next_event(text, "\t%s/%d/a\\054b\\011c\\134d/e f,%s", dev->address, getpid(), want);

	/* An importer that is attached keeps the line of a revoked buffer. */
	revoke_buffer(dev, fd);
	read_all(path);
	next_event(text, "\trevoked\tnc\t0x1000\t0\t67\t0\t");
	while (i)
		close(importers[--i]);
	close(importers[ARRAY_SIZE(importers) - 1]);
	read_all(path);
	next_event(text, "\trevoked\tnc\t0x1000\t0\t0\t0\t%d\twatching\t-\t0x0:0x1000\n", getpid());
}

#define IOVA MIB(16)

static const char *importer_name(const struct dma_way *way)
{
	return way->is_iommufd ? "iommu" : "vfio_iommu_type1";
}

/* Where a container or an IOAS has a buffer, for as long as that is so. */
static void where_a_buffer_is_mapped(const struct dma_way *way)
{
	static const range_t ranges[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
	struct dev *dev = dev_open("ivshmem");
	struct piece piece = { .size = 3 * PAGE };
	char path[128], line[160];
	struct dma_device *edu;
	struct dma dma;

	debugfs_path(dev, path, sizeof(path));
	dma_open(&dma, way);
	edu = dma_add(&dma, "edu");
	piece.fd = export_ranges(dev, 2, ranges, 2);
	piece.addr = map_buffer(piece.fd, 0, piece.size);
	dma_map_piece(&dma, IOVA, &piece);
	unmap((void *)piece.addr, piece.size);
	snprintf(line, sizeof(line),
		 "\tnc\t0x3000\t0\t1\t0\t%d\twatching\t%s/%d@0x%llx:0x3000:0x0/watching\t"
		 "0x3000:0x1000,0x0:0x2000\n",
		 getpid(), importer_name(way), getpid(), (unsigned long long)IOVA);
	read_all(path);
	next_event(text, "\texported\t2\tlive%s", line);
	memory_decode(dev, false);
	read_all(path);
	next_event(text, "\texported\t2\tsuspended%s", line);
	memory_decode(dev, true);
	revoke_buffer(dev, piece.fd);
	read_all(path);
	next_event(text, "\texported\t2\trevoked%s", line);
	dma_unmap(&dma, IOVA, piece.size);
	read_all(path);
	next_event(text, "\trevoked\tnc\t0x3000\t0\t0\t0\t%d\twatching\t-\t", getpid());
	dma_remove(edu);
	dma_close(&dma);
}
EACH_DMA(where_a_buffer_is_mapped)

/* A BAR that no CPU has mapped any more, but a device. */
static void bar_that_dma_alone_reaches(const struct dma_way *way)
{
	struct dev *dev = dev_open("ivshmem");
	char path[128];
	struct dma_device *edu;
	struct dma dma;
	void *p;

	debugfs_path(dev, path, sizeof(path));
	dma_open(&dma, way);
	edu = dma_add(&dma, "edu");
	p = map_bar(dev, 2, MIB(1), 2 * PAGE);
	dma_map(&dma, IOVA, p, 2 * PAGE, DMA_BOTH);
	unmap(p, 2 * PAGE);
	read_all(path);
	CHECK_EQ(nr_lines(), 2);
	next_event(text, "\tbar\t2\tlive\tnc\t0x40000000\t0\t1\t0\t%d\twatching\t"
			 "%s/%d@0x%llx:0x2000:0x100000/watching\t0x0:0x40000000\n",
		   getpid(), importer_name(way), getpid(), (unsigned long long)IOVA);
	dma_unmap(&dma, IOVA, 2 * PAGE);
	read_all(path);
	CHECK_EQ(nr_lines(), 1);
	dma_remove(edu);
	dma_close(&dma);
}
EACH_DMA_BY_ADDRESS(bar_that_dma_alone_reaches)

/* Read again and again while buffers and the device itself come and go. */
static int reader(void *arg)
{
	uint64_t end = now_ns() + 3000000000ull;
	unsigned int reads = 0;
	ssize_t n;
	int fd;

	while (now_ns() < end) {
		fd = open(arg, O_RDONLY);
		if (fd < 0)
			continue;
		while ((n = read(fd, text, sizeof(text))) > 0)
			reads++;
		close(fd);
	}
	return reads < 10;
}

static void read_while_things_change(void)
{
	struct dev *dev = dev_open("ivshmem");
	uint64_t end = now_ns() + 3000000000ull;
	char path[128];
	pid_t pid;
	int i;

	debugfs_path(dev, path, sizeof(path));
	/* The reader must not inherit the device. */
	dev_close(dev);
	pid = spawn(reader, path);
	dev = dev_open("ivshmem");
	while (now_ns() < end) {
		for (i = 0; i < 20; i++) {
			int fd = export_range(dev, 2, i * PAGE, PAGE);
			void *p = map_buffer(fd, 0, PAGE);

			if (i % 2)
				revoke_buffer(dev, fd);
			unmap(p, PAGE);
			close(fd);
		}
		dev_close(dev);
		dev = dev_open("ivshmem");
	}
	join(pid);
}

static const struct test_case cases[] = {
	CASE_MMAP(events_in_order),
	CASE_MMAP(events_of_a_bar),
	CASE_MMAP(list_of_buffers),
	CASE_MMAP(list_of_importers),
	CASE_MMAP(where_a_buffer_is_mapped_type1),
	CASE_MMAP(where_a_buffer_is_mapped_compat),
	CASE_MMAP(where_a_buffer_is_mapped_native),
	CASE_MMAP(bar_that_dma_alone_reaches_type1),
	CASE_MMAP(bar_that_dma_alone_reaches_compat),
	CASE_MMAP(read_while_things_change),
};

TEST_MAIN(cases)
