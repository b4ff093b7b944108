// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracefs.h"

#define PREFIX "barbuf-"
#define EVENTS "events/vfio_pci_dmabuf"

/* Which of the usual places has it. */
static int find_base(struct tracefs *t)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(t->base, sizeof(t->base), "%s", places[i]);
		if (file_exists(t->root, "%s/instances", t->base))
			return 0;
		/* Its folder is for root alone; that it is there can be seen. */
		if (errno == EACCES)
			return -EACCES;
	}
	return -ENODEV;
}

static int open_lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	close(fd);
	return -EBUSY;
}

/* An instance of a run that was killed. Its pid may be another process by now, so a run in
 * use has it locked, too. */
static void remove_dead(const struct tracefs *t)
{
	char path[FILE_PATH_MAX], **names;
	ssize_t i, nr = file_names(t->root, &names, "%s/instances", t->base);
	int fd;

	if (nr < 0)
		return;
	for (i = 0; i < nr; i++) {
		pid_t pid;

		if (strncmp(names[i], PREFIX, strlen(PREFIX)))
			continue;
		pid = atoi(names[i] + strlen(PREFIX));
		snprintf(path, sizeof(path), "%s%s/instances/%s", t->root, t->base, names[i]);
		/* In a container, the one that was killed may well have had our own pid. */
		if (pid <= 0 || (pid != getpid() && (!kill(pid, 0) || errno != ESRCH)))
			continue;
		fd = open_lock(path);
		if (fd < 0)
			continue;
		close(fd);
		rmdir(path);
	}
	free(names);
}

int tracefs_open(struct tracefs *t, const char *root)
{
	char path[FILE_PATH_MAX];
	int ret;

	*t = (struct tracefs){ .root = root, .lock = -1, .pipe = -1 };
	ret = find_base(t);
	if (ret)
		return ret;
	if (!file_exists(root, "%s/" EVENTS, t->base))
		return errno == EACCES ? -EACCES : -ENOENT;
	remove_dead(t);
	snprintf(t->name, sizeof(t->name), PREFIX "%d", getpid());
	snprintf(path, sizeof(path), "%s%s/instances/%s", root, t->base, t->name);
	if (mkdir(path, 0700))
		return -errno;
	t->lock = open_lock(path);
	if (t->lock < 0) {
		ret = t->lock;
		rmdir(path);
		return ret;
	}
	return 0;
}

static int write_instance(const struct tracefs *t, const char *file, const char *text)
{
	return file_write(t->root, false, text, "%s/instances/%s/%s", t->base, t->name, file);
}

int tracefs_start(struct tracefs *t, const char *filter)
{
	char path[FILE_PATH_MAX];
	int ret;

	/* Seconds of a clock that all processors share. */
	ret = write_instance(t, "trace_clock", "mono");
	if (!ret && *filter)
		ret = write_instance(t, EVENTS "/filter", filter);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s%s/instances/%s/trace_pipe", t->root, t->base, t->name);
	t->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (t->pipe < 0)
		return -errno;
	return write_instance(t, EVENTS "/enable", "1");
}

void tracefs_stop(struct tracefs *t)
{
	write_instance(t, EVENTS "/enable", "0");
}

void tracefs_close(struct tracefs *t)
{
	char path[FILE_PATH_MAX];

	tracefs_stop(t);
	if (t->pipe >= 0)
		close(t->pipe);
	snprintf(path, sizeof(path), "%s%s/instances/%s", t->root, t->base, t->name);
	rmdir(path);
	close(t->lock);
}
