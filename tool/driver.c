// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"
#include "file.h"

#define RUN_FOLDER "/run/barbuf"

static int read_driver(const char *root, const char *address, char driver[DRIVER_MAX])
{
	int ret = file_link_name(root, driver, DRIVER_MAX, PCI_SYSFS "/%s/driver", address);

	if (ret == -ENOENT) {
		driver[0] = '\0';
		return 0;
	}
	return ret;
}

int driver_state_read(const char *root, const char *address, struct driver_state *s)
{
	ssize_t len;
	int ret;

	ret = read_driver(root, address, s->driver);
	if (ret)
		return ret;
	len = file_read(root, s->override, sizeof(s->override), PCI_SYSFS "/%s/driver_override", address);
	if (len < 0)
		return len;
	if (!strcmp(s->override, "(null)"))
		s->override[0] = '\0';
	return 0;
}

static int set_override(const char *root, const char *address, const char *override)
{
	char line[DRIVER_MAX + 2];

	/* An empty line takes it away. */
	snprintf(line, sizeof(line), "%s\n", override);
	return file_write(root, false, line, PCI_SYSFS "/%s/driver_override", address);
}

static int unbind_driver(const char *root, const char *address)
{
	char driver[DRIVER_MAX];
	int ret = read_driver(root, address, driver);

	if (ret || !driver[0])
		return ret;
	return file_write(root, false, address, PCI_SYSFS "/%s/driver/unbind", address);
}

static int change(const char *root, const char *address, const char *override, const char *want)
{
	char driver[DRIVER_MAX];
	int ret;

	ret = set_override(root, address, override);
	if (!ret)
		ret = unbind_driver(root, address);
	if (!ret)
		ret = file_write(root, false, address, "/sys/bus/pci/drivers_probe");
	if (!ret)
		ret = read_driver(root, address, driver);
	if (ret || !*want || !strcmp(driver, want))
		return ret;
	/* Another that fits was faster, or it knows the device by a new_id only. */
	ret = unbind_driver(root, address);
	if (!ret)
		ret = file_write(root, false, address, "/sys/bus/pci/drivers/%s/bind", want);
	if (!ret)
		ret = read_driver(root, address, driver);
	return ret ? ret : strcmp(driver, want) ? -ENXIO : 0;
}

int driver_change(const char *root, const char *address, const char *override, const char *want,
		  bool *restored)
{
	struct driver_state before, now;
	int ret;

	*restored = true;
	ret = driver_state_read(root, address, &before);
	if (ret)
		return ret;
	ret = change(root, address, override, want);
	if (!ret)
		return 0;
	if (!driver_state_read(root, address, &now) && !strcmp(now.driver, before.driver))
		*restored = !strcmp(now.override, before.override) ||
			    !set_override(root, address, before.override);
	else if (!before.driver[0])
		*restored = !unbind_driver(root, address) &&
			    !set_override(root, address, before.override);
	else
		*restored = !change(root, address, before.override, before.driver);
	return ret;
}

/* Another user's, as a service may have one, could lead elsewhere what is written and read. */
static int check_run_folder(const char *root)
{
	char path[FILE_PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s" RUN_FOLDER, root);
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid != geteuid() || st.st_mode & 022 ? -EPERM : 0;
}

int driver_remember(const char *root, const char *address, const struct driver_state *s)
{
	char path[FILE_PATH_MAX], text[2 * DRIVER_MAX + 2];
	int ret;

	snprintf(path, sizeof(path), "%s" RUN_FOLDER, root);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	ret = check_run_folder(root);
	if (ret)
		return ret;
	snprintf(text, sizeof(text), "%s\n%s\n", s->driver, s->override);
	return file_write(root, true, text, RUN_FOLDER "/%s", address);
}

int driver_recall(const char *root, const char *address, struct driver_state *s)
{
	char text[2 * DRIVER_MAX + 2], *line, *next = text;
	ssize_t len;
	int ret;

	ret = check_run_folder(root);
	if (ret)
		return ret;
	len = file_read(root, text, sizeof(text), RUN_FOLDER "/%s", address);
	if (len < 0)
		return len;
	line = strsep(&next, "\n");
	snprintf(s->driver, sizeof(s->driver), "%.*s", DRIVER_MAX - 1, line);
	line = strsep(&next, "\n");
	snprintf(s->override, sizeof(s->override), "%.*s", DRIVER_MAX - 1, line ? line : "");
	return 0;
}

void driver_forget(const char *root, const char *address)
{
	char path[FILE_PATH_MAX];

	snprintf(path, sizeof(path), "%s" RUN_FOLDER "/%s", root, address);
	unlink(path);
}

bool driver_exists(const char *root, const char *driver)
{
	return file_exists(root, "/sys/bus/pci/drivers/%s", driver);
}

/* Returns the exit status, or a negative errno. */
static int run(const char *path, char **argv)
{
	char *env[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	int error, status;
	pid_t pid;

	/* driverctl(8) takes the device from DEVPATH if that is set. */
	error = posix_spawn(&pid, path, NULL, NULL, argv, env);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Where the system's own programs are; not PATH, as this runs as root. */
static bool find_program(const char *root, const char *name, char *path, size_t size)
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin" };
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, size, "%s%s/%s", root, folders[i], name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

void driver_load(const char *root, const char *driver)
{
	char path[FILE_PATH_MAX];
	char *argv[] = { (char *)"modprobe", (char *)"-q", (char *)driver, NULL };

	if (find_program(root, "modprobe", path, sizeof(path)))
		run(path, argv);
}

bool driverctl_exists(const char *root)
{
	char path[FILE_PATH_MAX];

	return find_program(root, "driverctl", path, sizeof(path));
}

int driverctl_run(const char *root, const char *address, const char *driver)
{
	char *argv[] = { (char *)"driverctl",
			 (char *)"--nosave",
			 (char *)(driver ? "set-override" : "unset-override"),
			 (char *)address,
			 (char *)driver,
			 NULL };
	char path[FILE_PATH_MAX];
	int status;

	if (!find_program(root, "driverctl", path, sizeof(path)))
		return -ENOENT;
	status = run(path, argv);
	return status > 0 ? -EIO : status;
}
