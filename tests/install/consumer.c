/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program that is not of this repository, in C and in C++. */
#include <barbuf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int failed;

static void check(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "consumer: not so: %s\n", what);
		failed = 1;
	}
}

/* A page that is there and one behind the file's end, which raises SIGBUS. */
static void guard(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("consumer", MFD_CLOEXEC);
	unsigned char *p;
	uint32_t value = 5;

	if (fd < 0 || ftruncate(fd, (off_t)page)) {
		perror("consumer: memfd");
		exit(1);
	}
	p = (unsigned char *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("consumer: mmap");
		exit(1);
	}
	check(barbuf_guard_install() == 0, "the guard can be installed");
	check(barbuf_write32(p, 7) == 0, "a page can be written");
	check(barbuf_read32(p, &value) == 0 && value == 7, "and read");
	check(barbuf_read32(p + page, &value) == -EIO && value == 7, "past the end is -EIO");
	check(barbuf_write32(p + page, 1) == -EIO, "to write there, too");
	munmap(p, 2 * page);
	close(fd);
}

static void ranges(void)
{
	struct barbuf_range *list;
	const char *bad;
	uint64_t size;
	size_t nr;

	check(barbuf_ranges_parse("0x1000:4K,0:8K", &list, &nr, &bad) == 0 && nr == 2,
	      "a list of two ranges");
	check(barbuf_ranges_size(list, nr, &size) == 0 && size == 0x3000, "they have 12K");
	free(list);
	check(barbuf_ranges_parse("0x1000:4Q", &list, &nr, &bad) == -EINVAL && !strcmp(bad, "Q"),
	      "no Q");
}

int main(void)
{
	guard();
	ranges();
	puts(barbuf_version());
	return failed;
}
