// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "pci.h"

/* linux/ioport.h, which is not for user space; sysfs shows these bits. */
#define IORESOURCE_IO 0x100
#define IORESOURCE_MEM 0x200
#define IORESOURCE_PREFETCH 0x2000
#define IORESOURCE_MEM_64 0x100000

/* @least to @most hexadecimal digits. NULL: not so. */
static const char *take_hex(const char *s, int least, int most, unsigned long *value)
{
	size_t n = strspn(s, "0123456789abcdefABCDEF");

	if (n < (size_t)least || n > (size_t)most)
		return NULL;
	*value = strtoul(s, NULL, 16);
	return s + n;
}

/* The address at the start of @text; NULL: there is none. */
static const char *take_address(const char *text, char address[PCI_ADDRESS_MAX])
{
	unsigned long domain = 0, bus, slot, function;
	const char *first = strchr(text, ':');
	const char *s = text;

	if (first && strchr(first + 1, ':')) {
		s = take_hex(s, 4, 8, &domain);
		if (!s || *s++ != ':')
			return NULL;
	}
	s = take_hex(s, 1, 2, &bus);
	if (!s || *s++ != ':')
		return NULL;
	s = take_hex(s, 1, 2, &slot);
	if (!s || *s++ != '.' || slot > 0x1f)
		return NULL;
	s = take_hex(s, 1, 1, &function);
	if (!s || function > 7)
		return NULL;
	snprintf(address, PCI_ADDRESS_MAX, "%04lx:%02lx:%02lx.%lx", domain, bus, slot, function);
	return s;
}

int pci_parse_address(const char *text, char address[PCI_ADDRESS_MAX])
{
	const char *end = take_address(text, address);

	return end && !*end ? 0 : -EINVAL;
}

int pci_parse_bar(const char *text, char address[PCI_ADDRESS_MAX], unsigned int *bar)
{
	const char *end = take_address(text, address);

	if (!end || end[0] != '/' || end[1] < '0' || end[1] >= '0' + PCI_NR_BARS || end[2])
		return -EINVAL;
	*bar = end[1] - '0';
	return 0;
}

static void read_bars(const char *root, struct pci_function *f)
{
	const uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t start, end, flags;
	char text[4096], *line, *next = text;
	size_t i;

	if (file_read(root, text, sizeof(text), PCI_SYSFS "/%s/resource", f->address) < 0)
		return;
	for (i = 0; i < PCI_NR_BARS && (line = strsep(&next, "\n")); i++) {
		struct pci_bar *b = &f->bars[i];

		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3 ||
		    !(flags & (IORESOURCE_IO | IORESOURCE_MEM)) || end <= start)
			continue;
		b->type = flags & IORESOURCE_IO	    ? BAR_IO :
			  flags & IORESOURCE_MEM_64 ? BAR_MEM64 :
						      BAR_MEM32;
		b->prefetchable = flags & IORESOURCE_PREFETCH;
		b->start = start;
		b->size = end - start + 1;
		/* VFIO also takes smaller ones if it can reserve the rest of the page. */
		b->mappable = b->type != BAR_IO && !(start & (page - 1));
	}
}

int pci_get(const char *root, const char *address, struct pci_function *f)
{
	uint64_t vendor = 0, device = 0, class = 0;
	char group[32];

	*f = (struct pci_function){ .group = -1 };
	if (!file_exists(root, PCI_SYSFS "/%s", address))
		return -ENODEV;
	snprintf(f->address, sizeof(f->address), "%s", address);
	if (file_link_name(root, f->driver, sizeof(f->driver), PCI_SYSFS "/%s/driver", address))
		f->driver[0] = '\0';
	if (!file_link_name(root, group, sizeof(group), PCI_SYSFS "/%s/iommu_group", address))
		f->group = atoi(group);
	/* What cannot be read stays 0. */
	file_read_number(root, 0, &vendor, PCI_SYSFS "/%s/vendor", address);
	file_read_number(root, 0, &device, PCI_SYSFS "/%s/device", address);
	file_read_number(root, 0, &class, PCI_SYSFS "/%s/class", address);
	f->vendor = vendor;
	f->device = device;
	f->class = class;
	read_bars(root, f);
	return 0;
}

int pci_scan(const char *root, struct pci_function **functions, size_t *nr)
{
	struct pci_function *all;
	char **names;
	size_t n = 0;
	ssize_t i, found;

	found = file_names(root, &names, PCI_SYSFS);
	if (found < 0)
		return found;
	all = calloc(found + 1, sizeof(*all));
	for (i = 0; all && i < found; i++) {
		/* One may have gone since. */
		if (strlen(names[i]) < PCI_ADDRESS_MAX && !pci_get(root, names[i], &all[n]))
			n++;
	}
	free(names);
	if (!all)
		return -ENOMEM;
	*functions = all;
	*nr = n;
	return 0;
}

bool pci_has_memory(const struct pci_function *f)
{
	size_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		if (f->bars[i].type >= BAR_MEM32)
			return true;
	}
	return false;
}

/* Variant drivers have names such as mlx5_vfio_pci. */
bool pci_is_vfio(const struct pci_function *f)
{
	return strstr(f->driver, "vfio");
}

bool pci_is_harmless(const struct pci_function *f)
{
	return !f->driver[0] || pci_is_vfio(f) || !strcmp(f->driver, "pcieport") ||
	       !strcmp(f->driver, "pci-stub");
}

const char *pci_bar_type_name(enum bar_type type)
{
	static const char *const names[] = { "none", "io", "mem32", "mem64" };

	return names[type];
}

int arg_address(const struct call *c, const char *argument, const char *value,
		char address[PCI_ADDRESS_MAX], int *status)
{
	if (!pci_parse_address(value, address))
		return 0;
	*status = wrong(c, argument, value, "no PCI address (such as 00:05.0 or 0000:00:05.0)");
	return -1;
}

static int find_function(const struct call *c, const char *argument, const char *value,
			 const char *address, struct pci_function *f, int *status)
{
	if (!pci_get(c->root, address, f))
		return 0;
	*status = wrong(c, argument, value, "there is no such PCI function (see barbuf list --all)");
	return -1;
}

int arg_function(const struct call *c, const char *argument, const char *value,
		 struct pci_function *f, int *status)
{
	char address[PCI_ADDRESS_MAX];

	if (arg_address(c, argument, value, address, status))
		return -1;
	return find_function(c, argument, value, address, f, status);
}

int arg_bar(const struct call *c, const char *argument, const char *value, struct pci_function *f,
	    unsigned int *bar, int *status)
{
	char address[PCI_ADDRESS_MAX];
	unsigned int n;

	if (pci_parse_bar(value, address, &n)) {
		*status = wrong(c, argument, value, "no BAR (such as 00:05.0/2; BARs are 0 to %d)",
				PCI_NR_BARS - 1);
		return -1;
	}
	if (find_function(c, argument, value, address, f, status))
		return -1;
	if (f->bars[n].type < BAR_MEM32) {
		*status = wrong(c, argument, value, "%s has no memory BAR %u (see barbuf list %s)",
				f->address, n, f->address);
		return -1;
	}
	*bar = n;
	return 0;
}
