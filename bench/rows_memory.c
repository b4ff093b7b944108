// SPDX-License-Identifier: LGPL-2.1-or-later
/* Export, and the kernel memory that buffers take. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define NR_EXPORTS 501
/* Made first: they use up what the allocator has kept of former rows. */
#define NR_WARM 2000
#define NR_BUFFERS 8000
#define NR_WARM_FILES 500
#define NR_FILES 2000
/* Ranges in all the buffers that the bytes of a range are an average of. */
#define NR_RANGES (16 * 65536)

/* The ioctl as it is, so that nothing of the library is in the time. */
int export_close(const struct bench *b, size_t n, struct figures *f)
{
	struct barbuf_range *ranges = scattered_ranges(b, n);
	struct vfio_device_feature_dma_buf *request;
	struct vfio_device_feature *arg;
	size_t size = n * sizeof(*ranges);
	uint64_t took[NR_EXPORTS];
	int ret = -ENOMEM;
	size_t i;

	arg = calloc(1, sizeof(*arg) + sizeof(*request) + size);
	if (!ranges || !arg)
		goto out;
	arg->argsz = sizeof(*arg) + sizeof(*request) + size;
	arg->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	request = (void *)arg->data;
	request->region_index = b->memory.bar.index;
	request->open_flags = O_RDWR | O_CLOEXEC;
	request->nr_ranges = n;
	memcpy(request->dma_ranges, ranges, size);
	for (i = ret = 0; i < NR_EXPORTS && !ret; i++) {
		uint64_t start = now_ns();
		int fd = ioctl(barbuf_device_fd(b->memory.dev), VFIO_DEVICE_FEATURE, arg);

		if (fd < 0 || close(fd))
			ret = -errno;
		took[i] = since(start);
	}
	if (!ret)
		f->of[TIME] = median(took, NR_EXPORTS);
out:
	free(arg);
	free(ranges);
	return ret;
}

/* All memory that the kernel uses for itself and that buffers can be made of. */
static int read_kernel_memory(uint64_t *bytes)
{
	static const char *const kinds[] = { "Slab:", "VmallocUsed:", "Percpu:" };
	int refresh = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	unsigned int found = 0;
	char line[256];
	FILE *f;
	size_t i;

	/* Processors keep what they counted to themselves for a while. */
	if (refresh < 0)
		return -errno;
	if (write(refresh, "1", 1) != 1) {
		close(refresh);
		return -EIO;
	}
	close(refresh);
	f = fopen("/proc/meminfo", "re");
	if (!f)
		return -errno;
	*bytes = 0;
	while (fgets(line, sizeof(line), f)) {
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			size_t len = strlen(kinds[i]);

			if (strncmp(line, kinds[i], len))
				continue;
			*bytes += strtoul(line + len, NULL, 10) * UINT64_C(1024);
			found++;
		}
	}
	fclose(f);
	return found == ARRAY_SIZE(kinds) ? 0 : -ENODATA;
}

/* The same once what was freed before has been given back, which takes grace periods. */
static int kernel_memory(uint64_t *bytes)
{
	uint64_t last = 0;
	unsigned int same = 0;
	unsigned int tries;
	int ret;

	for (tries = 0; tries < 200 && same < 5; tries++) {
		usleep(50000);
		ret = read_kernel_memory(bytes);
		if (ret)
			return ret;
		same = *bytes == last ? same + 1 : 0;
		last = *bytes;
	}
	return same ? 0 : -EAGAIN;
}

/* What there is more per piece, to the nearest byte. */
static int per_piece(uint64_t before, uint64_t after, uint64_t pieces, uint64_t *bytes)
{
	if (after <= before)
		return -EIO;
	*bytes = (after - before + pieces / 2) / pieces;
	return 0;
}

/* A table of descriptors is memory too, and never shrinks: grow it before. */
static int grow_fd_table(int most)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, most);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int make_fds(const struct bench *b, int *fds, size_t nr, size_t ranges)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		fds[i] = export_scattered(b, ranges);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

static void close_fds(int *fds, size_t nr)
{
	size_t i;

	for (i = 0; i < nr && fds[i] > 0; i++)
		close(fds[i]);
	free(fds);
}

int memory_export(const struct bench *b, size_t n, struct figures *f)
{
	int *fds = calloc(NR_WARM + NR_BUFFERS, sizeof(*fds));
	uint64_t before, after;
	int ret;

	if (!fds)
		return -ENOMEM;
	ret = grow_fd_table(NR_WARM + NR_BUFFERS + 100);
	if (!ret)
		ret = make_fds(b, fds, NR_WARM, 1);
	if (!ret)
		ret = kernel_memory(&before);
	if (!ret)
		ret = make_fds(b, fds + NR_WARM, NR_BUFFERS, 1);
	if (!ret)
		ret = kernel_memory(&after);
	if (!ret)
		ret = per_piece(before, after, NR_BUFFERS, &f->of[BYTES]);
	close_fds(fds, NR_WARM + NR_BUFFERS);
	return ret;
}

/* Buffers of @n ranges against as many of one range. */
int memory_range(const struct bench *b, size_t n, struct figures *f)
{
	size_t nr = (NR_RANGES + n - 1) / n;
	int *ones = calloc(nr, sizeof(*ones));
	int *fds = calloc(nr, sizeof(*fds));
	uint64_t before, between, after;
	int ret = -ENOMEM;

	if (!ones || !fds)
		goto out;
	ret = grow_fd_table(2 * nr + 100);
	if (!ret)
		ret = kernel_memory(&before);
	if (!ret)
		ret = make_fds(b, ones, nr, 1);
	if (!ret)
		ret = kernel_memory(&between);
	if (!ret)
		ret = make_fds(b, fds, nr, n);
	if (!ret)
		ret = kernel_memory(&after);
	if (!ret)
		ret = per_piece(between + (between - before), after, nr * (n - 1), &f->of[BYTES]);
out:
	if (fds)
		close_fds(fds, nr);
	if (ones)
		close_fds(ones, nr);
	return ret;
}

/* The same page through each of the files, far from what is there already. */
static int map_files(const struct bench *b, struct barbuf_device **files, size_t nr, char *at)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < nr && !ret; i++)
		ret = map_at(at + 2 * i * b->page, b->page, barbuf_device_fd(files[i]),
			     b->memory.bar.offset);
	return ret;
}

/*
 * Each open file of the device has a BAR buffer of its own once it is mapped. What
 * the first mappings take beyond what second ones do is the buffers.
 */
int memory_bar(const struct bench *b, size_t n, struct figures *f)
{
	size_t nr = NR_WARM_FILES + NR_FILES;
	struct barbuf_device **files = calloc(nr, sizeof(*files));
	size_t span = 2 * nr * b->page;
	struct arena a = { 0 };
	uint64_t before, between, after;
	int ret = -ENOMEM;
	size_t i;

	if (!files)
		return ret;
	ret = grow_fd_table(nr + 100);
	if (!ret)
		ret = arena_make(&a, 2 * span, b->page);
	for (i = 0; i < nr && !ret; i++)
		ret = barbuf_device_open(&files[i], b->container,
					 barbuf_device_address(b->memory.dev));
	if (!ret)
		ret = map_files(b, files, NR_WARM_FILES, a.at);
	if (!ret)
		ret = kernel_memory(&before);
	if (!ret)
		ret = map_files(b, files + NR_WARM_FILES, NR_FILES,
				a.at + 2 * NR_WARM_FILES * b->page);
	if (!ret)
		ret = kernel_memory(&between);
	if (!ret)
		ret = map_files(b, files + NR_WARM_FILES, NR_FILES,
				a.at + span + 2 * NR_WARM_FILES * b->page);
	if (!ret)
		ret = kernel_memory(&after);
	if (!ret)
		ret = per_piece(after - between, between - before, NR_FILES, &f->of[BYTES]);
	arena_free(&a);
	for (i = 0; i < nr; i++)
		barbuf_device_close(files[i]);
	free(files);
	return ret;
}
