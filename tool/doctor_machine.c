// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "driver.h"
#include "file.h"
#include "out.h"

/* Less than this, and a driver with a few queues will meet the limit. */
#define MEMLOCK_ENOUGH (64ull << 20)

static bool module_is_installed(const char *root, const char *release, const char *file)
{
	static const char *const lists[] = { "modules.dep", "modules.builtin" };
	bool found = false;
	char *text;
	size_t i;

	for (i = 0; i < 2 && !found; i++) {
		if (file_read_all(root, &text, NULL, "/lib/modules/%s/%s", release, lists[i]))
			continue;
		found = strstr(text, file);
		free(text);
	}
	return found;
}

static void check_module(struct doctor *d)
{
	struct utsname uts;

	if (driver_exists(d->root, "vfio-pci"))
		doctor_say(d, CHECK_OK, "vfio-pci", NULL, "is loaded");
	else if (!uname(&uts) && module_is_installed(d->root, uts.release, "/vfio-pci.ko"))
		doctor_say(d, CHECK_WARN, "vfio-pci", "modprobe vfio-pci; barbuf bind does it",
			   "is installed but not loaded");
	else
		doctor_say(d, CHECK_FAIL, "vfio-pci",
			   "a kernel with CONFIG_VFIO_PCI, such as Debian's linux-image-amd64",
			   "this kernel has no such module");
}

static void check_iommu(struct doctor *d)
{
	const char *remedy = "switch VT-d, AMD-Vi or the SMMU on in the firmware; on Intel boot with "
			     "intel_iommu=on";
	char **names;
	ssize_t nr;

	nr = file_names(d->root, &names, "/sys/kernel/iommu_groups");
	if (nr >= 0)
		free(names);
	if (nr > 0)
		doctor_say(d, CHECK_OK, "iommu", NULL, "is on, %zd groups", nr);
	else
		doctor_say(d, CHECK_FAIL, "iommu", remedy, "is off: there are no IOMMU groups");
}

/* x86 names interrupt chips behind the remapping unit IR-... */
static void check_interrupts(struct doctor *d)
{
	bool remapped = false;
	struct utsname uts;
	char chip[64];
	char **names;
	ssize_t i, nr;

	if (uname(&uts) || strcmp(uts.machine, "x86_64"))
		return;
	nr = file_names(d->root, &names, "/sys/kernel/irq");
	for (i = 0; i < nr && !remapped; i++)
		remapped = file_read(d->root, chip, sizeof(chip), "/sys/kernel/irq/%s/chip_name",
				     names[i]) > 0 &&
			   (!strncmp(chip, "IR-", 3) || !strncmp(chip, "AMD-IR", 6));
	if (nr >= 0)
		free(names);
	if (remapped)
		doctor_say(d, CHECK_OK, "interrupt remapping", NULL, "is on");
	else
		doctor_say(d, CHECK_WARN, "interrupt remapping",
			   "switch it on in the firmware; without, VFIO asks for allow_unsafe_interrupts=1 "
			   "of vfio_iommu_type1, and a device can raise any interrupt",
			   "is off, or not seen");
}

static void check_type1(struct doctor *d)
{
	char path[FILE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/dev/vfio/vfio", d->root);
	if (!access(path, R_OK | W_OK))
		doctor_say(d, CHECK_OK, "type1", NULL, "/dev/vfio/vfio can be opened");
	else if (errno == ENOENT)
		doctor_say(d, CHECK_WARN, "type1", "modprobe vfio-pci, if /dev/iommu is not there either",
			   "there is no /dev/vfio/vfio");
	else
		doctor_say(d, CHECK_FAIL, "type1", "chmod 666 /dev/vfio/vfio: it gives no access by itself",
			   "/dev/vfio/vfio: %s", strerror(errno));
}

static void check_iommufd(struct doctor *d)
{
	char path[FILE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/dev/iommu", d->root);
	if (!access(path, R_OK | W_OK))
		doctor_say(d, CHECK_OK, "iommufd", NULL, "/dev/iommu can be opened");
	else if (errno == ENOENT)
		doctor_say(d, CHECK_WARN, "iommufd", "modprobe iommufd, or a kernel with CONFIG_IOMMUFD",
			   "there is no /dev/iommu: type1 is used");
	else
		doctor_say(d, CHECK_WARN, "iommufd", "as root, or chmod 666 /dev/iommu",
			   "/dev/iommu: %s", strerror(errno));
}

static void check_memlock(struct doctor *d)
{
	char text[SIZE_TEXT_MAX];
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		doctor_say(d, CHECK_OK, "memlock", NULL, "is unlimited");
	else if (limit.rlim_cur >= MEMLOCK_ENOUGH || !geteuid())
		doctor_say(d, CHECK_OK, "memlock", NULL, "is %s%s", out_size(limit.rlim_cur, text),
			   geteuid() ? "" : ", which does not bind root");
	else
		doctor_say(d, CHECK_WARN, "memlock",
			   "ulimit -l, or memlock in /etc/security/limits.d, or LimitMEMLOCK= of the unit",
			   "is %s: more memory than that cannot be mapped for DMA",
			   out_size(limit.rlim_cur, text));
}

static int find_option(const char *text, const char *option)
{
	size_t len = strlen(option);
	const char *at;

	for (at = text; (at = strstr(at, option)); at += len) {
		if ((at == text || at[-1] == '\n') && at[len] == '=')
			return at[len + 1] == 'y' || at[len + 1] == 'm';
	}
	return 0;
}

/* Where a kernel shows its configuration itself, it is compressed. */
static char *proc_config(const char *root)
{
	char command[FILE_PATH_MAX + 64];
	char *text = NULL;
	size_t size, n;
	char buf[4096];
	FILE *from, *to;

	if (!file_exists(root, "/proc/config.gz"))
		return NULL;
	snprintf(command, sizeof(command), "zcat '%s/proc/config.gz' 2>/dev/null", root);
	from = popen(command, "re");
	to = open_memstream(&text, &size);
	while (from && to && (n = fread(buf, 1, sizeof(buf), from)))
		fwrite(buf, 1, n, to);
	if (to)
		fclose(to);
	if (from)
		pclose(from);
	return text;
}

int doctor_kernel_config(const char *root, const char *option)
{
	struct utsname uts;
	char *text;
	int ret;

	text = proc_config(root);
	if (text && !*text) {
		free(text);
		text = NULL;
	}
	if (!text &&
	    (uname(&uts) || file_read_all(root, &text, NULL, "/boot/config-%s", uts.release)))
		return -1;
	ret = find_option(text, option);
	free(text);
	return ret;
}

static void check_huge(struct doctor *d)
{
	const char *remedy = "a kernel with CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP (Linux 6.12, x86-64 or arm64, "
			     "with CONFIG_TRANSPARENT_HUGEPAGE)";

	switch (doctor_kernel_config(d->root, "CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP")) {
	case 1:
		doctor_say(d, CHECK_OK, "huge pages", NULL, "BARs are mapped by pages of 2 MiB and 1 GiB");
		break;
	case 0:
		doctor_say(d, CHECK_WARN, "huge pages", remedy,
			   "this kernel maps BARs by small pages only, which costs more faults");
		break;
	default:
		doctor_say(d, CHECK_WARN, "huge pages", "look at the kernel's configuration",
			   "it is not known whether BARs are mapped by huge pages: neither /proc/config.gz "
			   "nor /boot/config-*");
	}
}

static void check_folder(struct doctor *d, const char *check, const char *path, const char *remedy,
			 const char *without, bool empty_is_fine)
{
	char **names;
	ssize_t nr;

	nr = file_names(d->root, &names, "%s", path);
	if (nr >= 0)
		free(names);
	/* The folder of buffers is empty while no device is open; of the others, nothing is mounted. */
	if (nr > 0 || (!nr && empty_is_fine))
		doctor_say(d, CHECK_OK, check, NULL, "%s can be read", path);
	else if (nr == -EACCES || nr == -EPERM)
		doctor_say(d, CHECK_WARN, check, "as root", "%s may not be read: %s", path,
			   empty_is_fine ? "list -v, ps and revoke know less" : without);
	else
		doctor_say(d, CHECK_WARN, check, remedy, "nothing is at %s: %s", path, without);
}

void doctor_machine(struct doctor *d)
{
	check_module(d);
	check_iommu(d);
	check_interrupts(d);
	check_type1(d);
	check_iommufd(d);
	check_memlock(d);
	check_huge(d);
	check_folder(d, "debugfs", "/sys/kernel/debug", "mount -t debugfs debugfs /sys/kernel/debug",
		     "list -v, ps and revoke know less", false);
	check_folder(d, "tracefs", "/sys/kernel/tracing", "mount -t tracefs tracefs /sys/kernel/tracing",
		     "no trace", false);
	check_folder(d, "buffers", "/sys/kernel/debug/vfio_pci_dmabuf",
		     "a kernel with barbuf's vfio-pci modules; doctor ADDRESS tries what they can do",
		     "they are not loaded, or this kernel's are Linux's own", true);
}
