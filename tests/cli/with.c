// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barbuf-cli-with user COMMAND...: as a user without rights
 * barbuf-cli-with terminal COMMAND...: on a terminal of its own
 * barbuf-cli-with full COMMAND...: with a standard output that nobody reads, and with room for a line
 * barbuf-cli-with buffer ADDRESS BAR NAME COMMAND...: while this process has a buffer of that name
 *
 * barbuf-cli-with forged INODE NAME COMMAND...: while this process maps a file that
 *	/proc/PID/maps shows as a buffer of that number and name
 *
 * The status is that of the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/dma-buf.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#define NOBODY 65534

static int fail(const char *what, int error)
{
	fprintf(stderr, "barbuf-cli-with: %s: %s\n", what, strerror(error));
	return 1;
}

static int status_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail("COMMAND", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(char **argv)
{
	execvp(argv[0], argv);
	return fail(argv[0], errno);
}

static int as_user(char **argv)
{
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		return fail("setuid", errno);
	return run(argv);
}

static int on_terminal(char **argv)
{
	char buf[4096];
	ssize_t n;
	int fd;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	if (!pid)
		_exit(run(argv));
	while (pid > 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, n, stdout);
	return status_of(pid);
}

static int with_full_output(char **argv)
{
	static const char block[4096];
	int p[2], room;

	/* The reading end stays open, or this would be another test. */
	if (pipe(p) || dup2(p[1], STDOUT_FILENO) < 0)
		return fail("pipe", errno);
	for (room = fcntl(p[1], F_GETPIPE_SZ); room > (int)sizeof(block); room -= sizeof(block))
		if (write(p[1], block, sizeof(block)) < 0)
			return fail("pipe", errno);
	return run(argv);
}

static int with_buffer(char **argv)
{
	const struct barbuf_range range = { 0, sysconf(_SC_PAGESIZE) };
	struct barbuf_device *dev;
	int fd, ret;
	pid_t pid;

	ret = barbuf_device_open(&dev, NULL, argv[0]);
	if (ret)
		return fail(argv[0], -ret);
	fd = barbuf_device_export(dev, atoi(argv[1]), &range, 1, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail("export", -fd);
	if (ioctl(fd, DMA_BUF_SET_NAME, argv[2]))
		return fail(argv[2], errno);
	pid = fork();
	if (!pid)
		_exit(run(argv + 3));
	ret = status_of(pid);
	close(fd);
	barbuf_device_close(dev);
	return ret;
}

/* On a file system that is detached a path begins at its own root. */
static int with_forgery(char **argv)
{
	const unsigned long wanted = strtoul(argv[0], NULL, 10);
	char dir[] = "/tmp/forged.XXXXXX", path[128];
	struct stat st = { 0 };
	int fd = -1;
	pid_t pid;

	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", dir, "tmpfs", 0, NULL))
		return fail(dir, errno);
	snprintf(path, sizeof(path), "%s/dmabuf:%s", dir, argv[1]);
	/* Its numbers count up. */
	while (st.st_ino < wanted) {
		char other[160];

		if (fd >= 0) {
			close(fd);
			snprintf(other, sizeof(other), "%s/%lu", dir, (unsigned long)st.st_ino);
			if (rename(path, other))
				return fail(other, errno);
		}
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || fstat(fd, &st))
			return fail(path, errno);
	}
	if (st.st_ino != wanted || ftruncate(fd, sysconf(_SC_PAGESIZE)) ||
	    mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ||
	    umount2(dir, MNT_DETACH) || rmdir(dir))
		return fail("forgery", st.st_ino != wanted ? ERANGE : errno);
	close(fd);
	pid = fork();
	if (!pid)
		_exit(run(argv + 2));
	return status_of(pid);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "user"))
		return as_user(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "terminal"))
		return on_terminal(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "full"))
		return with_full_output(argv + 2);
	if (argc > 4 && !strcmp(argv[1], "forged"))
		return with_forgery(argv + 2);
	if (argc > 5 && !strcmp(argv[1], "buffer"))
		return with_buffer(argv + 2);
	return fail("user, terminal, full, forged or buffer", EINVAL);
}
