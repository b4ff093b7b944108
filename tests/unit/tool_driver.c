// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bind and unbind where no kernel listens: what is written shows what was tried, and that it
 * was put back. driverctl is a script.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "driver.h"

#include "tap.h"
#include "tree.h"

#define ADDRESS "0000:00:05.0"
#define FUNCTION "/sys/devices/pci0000:00/" ADDRESS

static void begin(const char *driver, int group)
{
	tree_begin();
	tree_pci("pci0000:00", ADDRESS, driver, group, TREE_RESOURCE);
	tree_file("/sys/bus/pci/drivers/vfio-pci/bind", "");
	tree_file("/sys/bus/pci/drivers/vfio-pci/unbind", "");
	tree_file("/sys/bus/pci/drivers_probe", "");
	tree_folder("/proc");
	tree_folder("/run");
}

static int run(int (*command)(struct call *), const char *name, bool dry_run, char **printed)
{
	char *args[] = { (char *)ADDRESS, NULL };
	struct call c = { .cmd = find_command(name), .root = tree, .dry_run = dry_run, .args = args,
			  .nr_args = 1 };
	char *text;
	int status;

	text = TREE_PRINTED(status = command(&c));
	if (printed)
		*printed = text;
	else
		free(text);
	return status;
}

/* Sysfs takes the words, but the links do not change: no driver has listened. */
static void bind_is_undone(void)
{
	begin("virtio-pci", 3);
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "bind fails when the driver does not change");
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "\n"), "the override is gone again");
	CHECK(!strcmp(tree_read("/sys/bus/pci/drivers/virtio-pci/unbind"), ADDRESS),
	      "it had been taken from its driver");
	CHECK(!strcmp(tree_read("/sys/bus/pci/drivers/vfio-pci/bind"), ADDRESS), "and offered to vfio-pci");
	CHECK(!*tree_read("/run/barbuf/" ADDRESS), "nothing is remembered");
	tree_end();

	begin("virtio-pci", 3);
	tree_file(FUNCTION "/driver_override", "special\n");
	run(cmd_bind, "bind", false, NULL);
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "special\n"), "an override of before is put back");
	tree_end();
}

static void bind_refuses(void)
{
	begin("virtio-pci", -1);
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "no IOMMU group: refused");
	tree_end();

	begin("virtio-pci", 3);
	tree_file(FUNCTION "/class", "0x060400\n");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "a bridge: refused");
	tree_end();

	begin("", 3);
	tree_file(FUNCTION "/class", "0x060000\n");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "the host bridge: refused");
	tree_end();

	begin("virtio-pci", 3);
	tree_file(FUNCTION "/sriov_numvfs", "1\n");
	CHECK(run(cmd_bind, "bind", true, NULL) == EXIT_FAILURE, "in use: refused, by --dry-run too");
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"), "and nothing was written");
	tree_end();

	begin("virtio-pci", 3);
	tree_remove("/sys/bus/pci/drivers/vfio-pci/bind");
	tree_remove("/sys/bus/pci/drivers/vfio-pci/unbind");
	tree_remove("/sys/bus/pci/drivers/vfio-pci");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "no such driver: refused");
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"), "and nothing was written");
	tree_end();
}

static void dry_run(void)
{
	char *printed;

	begin("virtio-pci", 3);
	CHECK(!run(cmd_bind, "bind", true, &printed) &&
		      !strcmp(printed, "address\tbefore\tdriver\tgroup\tdone\n" ADDRESS
				       "\tvirtio-pci\tvfio-pci\t3\tno\n"),
	      "--dry-run says what it would do");
	free(printed);
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"), "nothing was written");
	tree_end();

	begin("vfio-pci", 3);
	CHECK(!run(cmd_bind, "bind", false, NULL), "bound already is no error");
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"), "and nothing was written");
	tree_end();
}

/* What goes to standard error, to free(). */
static char *said_of(int (*command)(struct call *), const char *name)
{
	FILE *old = stderr;
	char *said = NULL;
	size_t size;

	stderr = open_memstream(&said, &size);
	run(command, name, false, NULL);
	fclose(stderr);
	stderr = old;
	return said;
}

static void between_vfio_drivers(void)
{
	const struct driver_state was = { .driver = "mlx5_core" };
	struct driver_state s = { 0 };

	begin("mlx5_vfio_pci", 3);
	tree_file("/proc/77/comm", "primary\n");
	tree_file("/proc/77/maps", "");
	tree_link("/proc/77/fd/4", "/dev/vfio/3");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "open by another VFIO driver: refused");
	CHECK(!strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"), "and nothing was written");
	tree_remove("/proc/77/fd/4");
	driver_remember(tree, ADDRESS, &was);
	run(cmd_bind, "bind", false, NULL);
	CHECK(!strcmp(tree_read("/sys/bus/pci/drivers/mlx5_vfio_pci/unbind"), ADDRESS),
	      "closed, it is taken from that driver");
	CHECK(!driver_recall(tree, ADDRESS, &s) && !strcmp(s.driver, "mlx5_core"),
	      "the driver of before VFIO stays remembered: '%s'", s.driver);
	tree_end();
}

static void unbind_refuses(void)
{
	char *said;

	begin("virtio-pci", 3);
	CHECK(run(cmd_unbind, "unbind", false, NULL) == EXIT_FAILURE, "no VFIO driver: refused");
	tree_end();

	begin("vfio-pci", 3);
	tree_file("/proc/77/comm", "primary\n");
	tree_file("/proc/77/maps", "");
	tree_link("/proc/77/fd/4", "/dev/vfio/3");
	CHECK(run(cmd_unbind, "unbind", false, NULL) == EXIT_FAILURE, "a process has the group: refused");
	CHECK(!*tree_read("/sys/bus/pci/drivers/vfio-pci/unbind"), "and nothing was written");
	tree_file("/proc/77/comm", "\033[2J\nok\n");
	said = said_of(cmd_unbind, "unbind");
	CHECK(!strcmp(said, "barbuf: unbind: " ADDRESS
			    " is in use: process 77 (\\x1b[2J\\x0aok) has its group open\n"),
	      "whatever it calls itself, that is one line: %s", said);
	free(said);
	tree_link("/proc/77/fd/4", "/dev/vfio/33");
	CHECK(!run(cmd_unbind, "unbind", true, NULL), "another group does not matter");
	tree_end();
}

static void remembers(void)
{
	const struct driver_state was = { .driver = "virtio-pci", .override = "special" };
	struct driver_state s = { 0 };
	char *printed, path[128];

	begin("vfio-pci", 3);
	CHECK(driver_recall(tree, ADDRESS, &s) == -ENOENT, "nothing is remembered at first");
	CHECK(!driver_remember(tree, ADDRESS, &was) && !driver_recall(tree, ADDRESS, &s) &&
		      !strcmp(s.driver, was.driver) && !strcmp(s.override, was.override),
	      "driver and override are remembered");
	CHECK(!run(cmd_unbind, "unbind", true, &printed) &&
		      !strcmp(printed, "address\tbefore\tdriver\tdone\n" ADDRESS
				       "\tvfio-pci\tvirtio-pci\tno\n"),
	      "unbind --dry-run says it");
	free(printed);
	CHECK(run(cmd_unbind, "unbind", false, NULL) == EXIT_FAILURE &&
		      !driver_recall(tree, ADDRESS, &s),
	      "an unbind that fails keeps it in mind");
	driver_forget(tree, ADDRESS);
	CHECK(driver_recall(tree, ADDRESS, &s) == -ENOENT, "forgotten");
	tree_end();

	begin("virtio-pci", 3);
	tree_folder("/run/elsewhere");
	tree_link("/run/barbuf", "elsewhere");
	CHECK(driver_remember(tree, ADDRESS, &was) == -ENOTDIR && !*tree_read("/run/elsewhere/" ADDRESS),
	      "a link is not followed");
	tree_remove("/run/barbuf");
	tree_folder("/run/barbuf");
	snprintf(path, sizeof(path), "%s/run/barbuf", tree);
	chmod(path, 0777);
	CHECK(driver_remember(tree, ADDRESS, &was) == -EPERM && !*tree_read("/run/barbuf/" ADDRESS),
	      "nor is a folder used that others may write to");
	tree_file("/run/barbuf/" ADDRESS, "virtio-pci\n\n");
	CHECK(driver_recall(tree, ADDRESS, &s) == -EPERM, "nor what is in it");
	tree_end();

	begin("virtio-pci", 3);
	tree_remove("/run");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE &&
		      !strcmp(tree_read(FUNCTION "/driver_override"), "(null)\n"),
	      "what cannot be remembered is not begun");
	tree_end();
}

/* It notes what it was called with, and does, or does not, its work. */
static void install_driverctl(const char *work)
{
	char text[1024], path[128];

	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$*${DEVPATH:+ DEVPATH}\" >>%s/called\n%s\n", tree, work);
	tree_file("/usr/sbin/driverctl", text);
	snprintf(path, sizeof(path), "%s/usr/sbin/driverctl", tree);
	chmod(path, 0755);
}

static void driverctl(void)
{
	char work[512];

	setenv("DEVPATH", "/devices/x", 1);
	begin("virtio-pci", 3);
	snprintf(work, sizeof(work), "ln -sfn ../../../bus/pci/drivers/vfio-pci %s" FUNCTION "/driver", tree);
	install_driverctl(work);
	CHECK(!run(cmd_bind, "bind", false, NULL), "driverctl binds");
	CHECK(!strcmp(tree_read("/called"), "--nosave set-override " ADDRESS " vfio-pci\n"), "it was asked, and has no DEVPATH");
	CHECK(!strcmp(tree_read("/run/barbuf/" ADDRESS), "virtio-pci\n\n"), "and is remembered");

	tree_remove("/called");
	snprintf(work, sizeof(work), "ln -sfn ../../../bus/pci/drivers/virtio-pci %s" FUNCTION "/driver\n"
				     "echo '(null)' >%s" FUNCTION "/driver_override; exit 1", tree, tree);
	install_driverctl(work);
	CHECK(!run(cmd_unbind, "unbind", false, NULL), "driverctl gives back, whatever its status");
	CHECK(!strcmp(tree_read("/called"), "--nosave unset-override " ADDRESS "\n"), "it was asked, and has no DEVPATH");
	CHECK(!*tree_read("/run/barbuf/" ADDRESS), "and it is forgotten");
	tree_end();

	begin("virtio-pci", 3);
	install_driverctl("exit 1");
	CHECK(run(cmd_bind, "bind", false, NULL) == EXIT_FAILURE, "driverctl fails, and so does bind");
	CHECK(!*tree_read("/run/barbuf/" ADDRESS), "nothing is remembered");
	tree_end();
	unsetenv("DEVPATH");
}

int main(void)
{
	bind_is_undone();
	bind_refuses();
	dry_run();
	between_vfio_drivers();
	unbind_refuses();
	remembers();
	driverctl();
	return tap_done();
}
