// SPDX-License-Identifier: LGPL-2.1-or-later
/* Instances of tracefs: whose may be removed. Here they are folders. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "tracefs.h"

#include "tap.h"
#include "tree.h"

#define BASE "/sys/kernel/tracing"

static const char *instance(pid_t pid)
{
	static char path[64];

	snprintf(path, sizeof(path), BASE "/instances/barbuf-%d", (int)pid);
	return path;
}

static int lock(const char *path)
{
	char full[512];
	int fd;

	snprintf(full, sizeof(full), "%s%s", tree, path);
	fd = open(full, O_RDONLY | O_DIRECTORY);
	if (fd >= 0 && flock(fd, LOCK_EX))
		perror(full);
	return fd;
}

int main(void)
{
	struct tracefs t;
	int fd, ret;

	tree_begin();
	ret = tracefs_open(&t, tree);
	CHECK(ret == -ENODEV, "no tracefs: %d", ret);
	tree_folder(BASE "/instances");
	ret = tracefs_open(&t, tree);
	CHECK(ret == -ENOENT, "no such events: %d", ret);
	tree_folder(BASE "/events/vfio_pci_dmabuf");

	tree_folder(instance(getppid()));
	ret = tracefs_open(&t, tree);
	CHECK(!ret, "an instance is made: %d", ret);
	CHECK(file_exists(tree, "%s", instance(getpid())), "by the pid's name");
	tracefs_close(&t);
	CHECK(!file_exists(tree, "%s", instance(getpid())), "and removed");
	CHECK(file_exists(tree, "%s", instance(getppid())), "one of a process that lives is not touched");

	tree_folder(instance(getpid()));
	ret = tracefs_open(&t, tree);
	CHECK(!ret, "one that a dead process of our pid left is replaced: %d", ret);
	if (!ret)
		tracefs_close(&t);

	tree_folder(instance(getpid()));
	fd = lock(instance(getpid()));
	ret = tracefs_open(&t, tree);
	CHECK(ret == -EEXIST, "one of our pid in another container, which is in use, is not: %d", ret);
	CHECK(file_exists(tree, "%s", instance(getpid())), "and stays");
	close(fd);
	tree_end();
	return tap_done();
}
