// SPDX-License-Identifier: GPL-2.0-only
/*
 * barbuf-hold [--dma] COMMAND [ARG...]: export two ranges of ivshmem's BAR 2, give the
 * buffer a name, map and touch it, and run COMMAND meanwhile, as a child. With --dma type1
 * maps it, at IOVA 0x100000, and nothing else is kept of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

static int fail(const char *what, int error)
{
	fprintf(stderr, "barbuf-hold: %s: %s\n", what, strerror(error));
	return 1;
}

/* The lab's helper binds the device to vfio-pci and prints "ADDRESS GROUP". */
static int bind_device(char *address, size_t size)
{
	FILE *f = popen("vfio-bind ivshmem", "re");
	bool got;

	if (!f)
		return -errno;
	got = fgets(address, size, f);
	if (pclose(f) || !got)
		return -ENODEV;
	address[strcspn(address, " \n")] = '\0';
	return 0;
}

static int run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail("COMMAND", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int map_dma(struct barbuf_container *container, volatile void *map, size_t size)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)map,
		.iova = 0x100000,
		.size = size,
	};

	return ioctl(barbuf_container_fd(container), VFIO_IOMMU_MAP_DMA, &arg);
}

int main(int argc, char **argv)
{
	const bool dma = argc > 1 && !strcmp(argv[1], "--dma");
	const size_t page = sysconf(_SC_PAGESIZE);
	const struct barbuf_range ranges[] = { { 4 * page, page }, { 0, 2 * page } };
	struct barbuf_container *container;
	struct barbuf_device *dev;
	volatile char *map;
	char address[64];
	int ret, fd;

	argv += dma;
	if (argc - dma < 2) {
		fputs("usage: barbuf-hold [--dma] COMMAND [ARG...]\n", stderr);
		return 2;
	}
	ret = bind_device(address, sizeof(address));
	if (ret)
		return fail("vfio-bind ivshmem", -ret);
	ret = barbuf_container_new(&container, BARBUF_IOMMU_TYPE1);
	if (ret)
		return fail("/dev/vfio/vfio", -ret);
	ret = barbuf_device_open(&dev, container, address);
	if (ret)
		return fail(address, -ret);
	fd = barbuf_device_export(dev, 2, ranges, 2, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail("export", -fd);
	if (ioctl(fd, DMA_BUF_SET_NAME, "queue of client 7"))
		return fail("DMA_BUF_SET_NAME", errno);
	map = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return fail("mmap", errno);
	(void)map[page];
	if (dma) {
		if (map_dma(container, map, 3 * page))
			return fail("VFIO_IOMMU_MAP_DMA", errno);
		munmap((void *)map, 3 * page);
		close(fd);
	}
	ret = run(argv + 1);
	if (!dma) {
		munmap((void *)map, 3 * page);
		close(fd);
	}
	barbuf_device_close(dev);
	barbuf_container_free(container);
	return ret;
}
