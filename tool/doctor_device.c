// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <barbuf.h>

#include "doctor.h"
#include "file.h"
#include "procs.h"

/* PCI Express 6.0, 7.6.3 and 7.7.11 */
#define EXTENDED_CONFIG 0x100
#define CONFIG_SIZE 4096
#define CAP_ID_ACS 0x0d
#define ACS_CONTROL 6

static unsigned int word(const unsigned char *config, unsigned int at)
{
	return config[at] | config[at + 1] << 8;
}

int doctor_acs(const char *root, const char *bridge)
{
	unsigned int at, next, steps;
	char *text;
	size_t len;
	int ret;

	if (file_read_all(root, &text, &len, PCI_SYSFS "/%s/config", bridge))
		return -2;
	ret = len < CONFIG_SIZE ? -2 : -1;
	for (at = EXTENDED_CONFIG, steps = 0; ret == -1 && at >= EXTENDED_CONFIG && steps < 1024; steps++) {
		const unsigned char *config = (const unsigned char *)text;

		if (word(config, at) == CAP_ID_ACS)
			ret = word(config, at + ACS_CONTROL);
		next = word(config, at + 2) >> 4 & 0xffc;
		at = next <= CONFIG_SIZE - 8 ? next : 0;
	}
	free(text);
	return ret;
}

static void check_driver(struct doctor *d, const struct pci_function *f)
{
	char remedy[64];

	snprintf(remedy, sizeof(remedy), "barbuf bind %s", f->address);
	if (pci_is_vfio(f))
		doctor_say(d, CHECK_OK, "driver", NULL, "%s is bound to %s", f->address, f->driver);
	else if (f->driver[0])
		doctor_say(d, CHECK_FAIL, "driver", remedy, "%s is bound to %s", f->address, f->driver);
	else
		doctor_say(d, CHECK_FAIL, "driver", remedy, "%s is bound to no driver", f->address);
}

static void check_group(struct doctor *d, const struct pci_function *f)
{
	unsigned int others = 0, bad = 0;
	struct pci_function other;
	char remedy[64];
	char **names;
	ssize_t i, nr;

	if (f->group < 0) {
		doctor_say(d, CHECK_FAIL, "group", "see iommu above", "%s is in no IOMMU group", f->address);
		return;
	}
	nr = file_names(d->root, &names, "/sys/kernel/iommu_groups/%d/devices", f->group);
	for (i = 0; i < nr; i++) {
		if (!strcmp(names[i], f->address) || pci_get(d->root, names[i], &other))
			continue;
		others++;
		if (pci_is_harmless(&other))
			continue;
		bad++;
		snprintf(remedy, sizeof(remedy), "barbuf bind %s", other.address);
		doctor_say(d, CHECK_FAIL, "group", remedy, "group %d also has %s, bound to %s", f->group,
			   other.address, other.driver);
	}
	if (nr >= 0)
		free(names);
	if (!bad)
		doctor_say(d, CHECK_OK, "group", NULL, "%d, with %u other function%s that can stay", f->group,
			   others, others == 1 ? "" : "s");
}

/* The bridges above are the folders that the function's link goes through. */
static void check_acs(struct doctor *d, const struct pci_function *f)
{
	char link[FILE_PATH_MAX], bridge[PCI_ADDRESS_MAX], *part, *next = link;
	unsigned int bridges = 0;

	if (file_link(d->root, link, sizeof(link), PCI_SYSFS "/%s", f->address))
		return;
	while ((part = strsep(&next, "/"))) {
		int control;

		if (pci_parse_address(part, bridge) || !strcmp(bridge, f->address))
			continue;
		bridges++;
		control = doctor_acs(d->root, bridge);
		if (control == -2)
			doctor_say(d, CHECK_WARN, "acs", "as root", "of %s above: not known", bridge);
		else if (control == -1)
			doctor_say(d, CHECK_WARN, "acs", "another slot, if functions below share a group",
				   "%s above has none: devices below may reach each other", bridge);
		else if ((control & ACS_WANTED) != ACS_WANTED)
			doctor_say(d, CHECK_WARN, "acs", "another slot, if functions below share a group",
				   "of %s above is not all on (0x%x of 0x%x): devices below may reach each "
				   "other",
				   bridge, control & ACS_WANTED, ACS_WANTED);
		else
			doctor_say(d, CHECK_OK, "acs", NULL, "of %s above is on", bridge);
	}
	if (!bridges)
		doctor_say(d, CHECK_OK, "acs", NULL, "%s is on the root bus, with no bridge above",
			   f->address);
}

static void check_permission(struct doctor *d, const struct pci_function *f)
{
	char path[FILE_PATH_MAX], remedy[128];

	if (f->group < 0 || !pci_is_vfio(f))
		return;
	snprintf(path, sizeof(path), "%s/dev/vfio/%d", d->root, f->group);
	snprintf(remedy, sizeof(remedy), "chown USER /dev/vfio/%d, or a udev rule for SUBSYSTEM==\"vfio\"",
		 f->group);
	if (!access(path, R_OK | W_OK))
		doctor_say(d, CHECK_OK, "permission", NULL, "/dev/vfio/%d can be opened", f->group);
	else
		doctor_say(d, CHECK_FAIL, "permission", remedy, "/dev/vfio/%d: %s", f->group,
			   strerror(errno));
}

static void check_cdev(struct doctor *d, const struct pci_function *f)
{
	char **names;
	ssize_t nr;

	if (!pci_is_vfio(f))
		return;
	nr = file_names(d->root, &names, PCI_SYSFS "/%s/vfio-dev", f->address);
	if (nr > 0 && file_exists(d->root, "/dev/vfio/devices/%s", names[0]))
		doctor_say(d, CHECK_OK, "cdev", NULL, "/dev/vfio/devices/%s", names[0]);
	else
		doctor_say(d, CHECK_WARN, "cdev", "a kernel with CONFIG_VFIO_DEVICE_CDEV, for iommufd",
			   "the device has no /dev/vfio/devices/vfioN: the group is used");
	if (nr >= 0)
		free(names);
}

/* Returns how many processes have it open. */
static unsigned int check_holders(struct doctor *d, const struct pci_function *f)
{
	unsigned int holders = 0;
	struct procs p;
	pid_t last = 0;
	size_t i;

	if (procs_read(d->root, &p))
		return 0;
	for (i = 0; i < p.nr_fds; i++) {
		if (p.fds[i].pid == last || !vfio_fd_is_of(d->root, &p.fds[i], f))
			continue;
		last = p.fds[i].pid;
		holders++;
		doctor_say(d, CHECK_WARN, "held", "it can be used when that process has closed it",
			   "process %d (%s) has it open", last, p.fds[i].comm);
	}
	if (!holders)
		doctor_say(d, CHECK_OK, "held", NULL, "by no process%s", p.denied ? " that is seen" : "");
	procs_free(&p);
	return holders;
}

static void check_bars(struct doctor *d, const struct pci_function *f, struct barbuf_device *dev)
{
	struct barbuf_region region;
	unsigned int i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &f->bars[i];
		bool mappable = b->mappable;

		if (b->type < BAR_MEM32)
			continue;
		if (dev && !barbuf_device_get_region(dev, i, &region))
			mappable = region.flags & BARBUF_REGION_MMAP;
		if (mappable)
			doctor_say(d, CHECK_OK, "bar", NULL, "%u can be mapped", i);
		else
			doctor_say(d, CHECK_WARN, "bar", "boot with pci=resource_alignment=",
				   "%u cannot be mapped: it shares its page with something else", i);
	}
}

#define MODULES "a kernel with barbuf's vfio-pci modules"

static void check_features(struct doctor *d, struct barbuf_device *dev)
{
	static const struct {
		uint32_t bit;
		const char *check;
		const char *yes, *no;
		const char *remedy;
	} features[] = {
		{ BARBUF_HAS_EXPORT, "export", "buffers can be made",
		  "no buffers: Linux 6.19 has them, in vfio-pci", MODULES },
		{ BARBUF_HAS_MMAP, "mmap", "buffers can be mapped", "buffers cannot be mapped",
		  MODULES },
		{ BARBUF_HAS_REVOKE, "revoke", "buffers can be taken back",
		  "buffers cannot be taken back", MODULES },
		{ BARBUF_HAS_MEMATTR, "memattr", "buffers can be write-combining",
		  "buffers cannot be write-combining", NULL },
		{ BARBUF_HAS_TYPE1_REVOKE, "type1 revoke",
		  "a revoke ends DMA mappings that were made with type1",
		  "DMA mappings that a client makes with type1 outlive a revoke, or type1 cannot be asked",
		  "a kernel with barbuf's vfio_iommu_type1; lend to no client that owns a device" },
		{ BARBUF_HAS_IMPORT, "import", "iommufd maps buffers for DMA",
		  "no iommufd here that maps buffers for DMA: it takes /dev/iommu and the cdev",
		  NULL },
		{ BARBUF_HAS_IMPORT_RANGES, "import ranges",
		  "iommufd maps buffers of several ranges",
		  "no iommufd here that maps buffers of several ranges, or maps them again after a reset",
		  NULL },
	};
	uint32_t found;
	size_t i;
	int ret;

	ret = barbuf_device_probe(dev, &found);
	if (ret) {
		doctor_say(d, CHECK_FAIL, "features", NULL, "could not be tried: %s", strerror(-ret));
		return;
	}
	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		bool has = found & features[i].bit;
		bool needed = features[i].bit & (BARBUF_HAS_EXPORT | BARBUF_HAS_MMAP | BARBUF_HAS_REVOKE);

		doctor_say(d, has ? CHECK_OK : needed ? CHECK_FAIL : CHECK_WARN, features[i].check,
			   has ? NULL : features[i].remedy, "%s",
			   has ? features[i].yes : features[i].no);
	}
}

void doctor_device(struct doctor *d, const struct pci_function *f)
{
	struct barbuf_device *dev = NULL;
	unsigned int holders;
	char advice[256];
	int ret;

	check_driver(d, f);
	check_group(d, f);
	check_acs(d, f);
	check_permission(d, f);
	check_cdev(d, f);
	holders = check_holders(d, f);
	/* To open a device may reset it: not if somebody uses it. In tests there is none. */
	if (!holders && pci_is_vfio(f) && !*d->root) {
		ret = barbuf_device_open(&dev, NULL, f->address);
		if (ret)
			doctor_say(d, CHECK_FAIL, "open",
				   barbuf_device_advice(f->address, ret, advice, sizeof(advice)) ? NULL :
												   advice,
				   "%s cannot be opened: %s", f->address, strerror(-ret));
		else
			doctor_say(d, CHECK_OK, "open", NULL, "%s was opened", f->address);
	}
	check_bars(d, f, dev);
	if (dev)
		check_features(d, dev);
	else
		doctor_say(d, CHECK_WARN, "features", "when it can be opened", "were not tried");
	barbuf_device_close(dev);
}
