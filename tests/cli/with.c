// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * barbuf-cli-with user COMMAND...: as a user without rights
 * barbuf-cli-with terminal COMMAND...: on a terminal of its own
 * barbuf-cli-with full COMMAND...: with a standard output that nobody reads, and with room for a line
 * barbuf-cli-with buffer ADDRESS BAR NAME COMMAND...: while this process has a buffer of that name
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
#include <sys/ioctl.h>
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

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "user"))
		return as_user(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "terminal"))
		return on_terminal(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "full"))
		return with_full_output(argv + 2);
	if (argc > 5 && !strcmp(argv[1], "buffer"))
		return with_buffer(argv + 2);
	return fail("user, terminal, full or buffer", EINVAL);
}
