// SPDX-License-Identifier: GPL-2.0-only
/* What takes devices and drivers away: the machine's monitor, modules, unbinding. */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

/* The monitor, unplugging ----------------------------------------------------*/

/* Asks until the monitor says yes: the machine may still be at work on what was before. */
static void monitor(const char *command)
{
	uint64_t end = timeout();
	char line[512], said[256];
	size_t len;
	FILE *f;

	snprintf(line, sizeof(line), "lab-monitor %s 2>&1", command);
	for (;;) {
		f = popen(line, "r");
		CHECK(f);
		len = fread(said, 1, sizeof(said) - 1, f);
		said[len] = '\0';
		if (pclose(f) == 0)
			return;
		if (now_ns() > end)
			FAIL("%s: %s", line, said);
		sleep_ms(50);
	}
}

/* What the lab wrote about a model's device: its place in the guest, and how to make it. */
static void model_lookup(const char *model, char place[32], char options[256])
{
	char name[32];
	FILE *f = fopen("/lab/run/devices", "re");

	CHECK(f);
	while (fscanf(f, "%31s %31s %255s", name, place, options) == 3) {
		if (strcmp(name, model) == 0) {
			fclose(f);
			return;
		}
	}
	fclose(f);
	SKIP("this lab has no %s", model);
}

bool model_present(const char *model)
{
	char place[32], options[256], pattern[128], *function;
	bool found;
	glob_t paths;

	model_lookup(model, place, options);
	function = strchr(place, '/');
	if (!function)
		FAIL("%s is not behind a port", model);
	*function++ = '\0';
	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/0000:00:%s/0000:*:%s", place,
		 function);
	found = glob(pattern, 0, NULL, &paths) == 0;
	globfree(&paths);
	return found;
}

void model_unplug(const char *model)
{
	char command[64];

	CHECK(model_present(model));
	snprintf(command, sizeof(command), "device_del %s", model);
	monitor(command);
}

static void wait_present(const char *model, bool present)
{
	/* The slot waits 5 seconds for a second thought. */
	uint64_t end = timeout() + 10000000000ull;

	while (model_present(model) != present) {
		if (now_ns() > end)
			FAIL("waited too long for %s to %s", model, present ? "come" : "go");
		sleep_ms(10);
	}
}

void model_wait_unplugged(const char *model)
{
	wait_present(model, false);
}

void model_plug(const char *model)
{
	char place[32], options[256], command[288];

	model_lookup(model, place, options);
	snprintf(command, sizeof(command), "device_add %s", options);
	monitor(command);
	wait_present(model, true);
}

/* Modules -------------------------------------------------------------------*/

int try_rmmod(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK);
}

void rmmod_soon(const char *name)
{
	uint64_t end = timeout();

	while (try_rmmod(name)) {
		if (now_ns() > end)
			FAIL("rmmod %s: %s", name, strerror_name(errno));
		sleep_ms(20);
	}
}

bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	return access(path, F_OK) == 0;
}

static int unbind(void *address)
{
	return write_file("/sys/bus/pci/drivers/vfio-pci/unbind", address) ? 0 : 1;
}

void vfio_pci_unbind_all(void)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/sys/bus/pci/drivers/vfio-pci");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (strchr(entry->d_name, ':'))
			join(spawn(unbind, entry->d_name));
	}
	closedir(dir);
}
