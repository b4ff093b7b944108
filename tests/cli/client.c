// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barbuf-cli-client PID [FD]: take the first buffer of a process, map it, say "mapped", and read it
 * until it is gone; then say "gone". The status is 1 if that takes more than twenty seconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <barbuf.h>

static int fail(const char *what, int error)
{
	fprintf(stderr, "barbuf-cli-client: %s: %s\n", what, strerror(error));
	return 1;
}

static int find_buffer(const char *pid)
{
	char path[64], target[64];
	int fd;

	for (fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strncmp(target, "/dmabuf:", 8))
			return fd;
	}
	return -ENOENT;
}

int main(int argc, char **argv)
{
	struct barbuf_buffer *buf;
	struct barbuf_map *map;
	int fd, pidfd, ret, i;
	uint32_t value;

	if (argc != 2)
		return fail("PID", EINVAL);
	fd = find_buffer(argv[1]);
	pidfd = pidfd_open(atoi(argv[1]), 0);
	if (fd < 0 || pidfd < 0)
		return fail(argv[1], fd < 0 ? -fd : errno);
	fd = pidfd_getfd(pidfd, fd, 0);
	if (fd < 0)
		return fail("pidfd_getfd", errno);
	ret = barbuf_guard_install();
	if (!ret)
		ret = barbuf_buffer_adopt(&buf, fd);
	if (!ret)
		ret = barbuf_map(&map, buf, &(struct barbuf_map_options){ .read_only = true });
	if (!ret)
		ret = barbuf_map_read32(map, 0, &value);
	if (ret)
		return fail("map", -ret);
	puts("mapped");
	fflush(stdout);
	for (i = 0; i < 2000 && !ret; i++) {
		ret = barbuf_map_read32(map, 0, &value);
		usleep(10000);
	}
	puts(ret == -EIO ? "gone" : "still there");
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
	return ret != -EIO;
}
