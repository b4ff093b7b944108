// SPDX-License-Identifier: LGPL-2.1-or-later
/* Functions and their BARs, of a made-up sysfs. */
#include <errno.h>
#include <string.h>

#include "pci.h"

#include "tap.h"
#include "tree.h"

static void address(const char *text, const char *want)
{
	char got[PCI_ADDRESS_MAX] = "";
	int ret = pci_parse_address(text, got);

	if (want)
		CHECK(!ret && !strcmp(got, want), "'%s' is %s", text, got);
	else
		CHECK(ret == -EINVAL, "'%s' is no address", text);
}

static void addresses(void)
{
	address("00:05.0", "0000:00:05.0");
	address("0000:00:05.0", "0000:00:05.0");
	address("10000:e1:1f.7", "10000:e1:1f.7");
	address("0:5.0", "0000:00:05.0");
	address("FF:1F.7", "0000:ff:1f.7");
	address("", NULL);
	address("00:05", NULL);
	address("00:20.0", NULL);
	address("00:05.8", NULL);
	address("00:05.0x", NULL);
	address("000:05.0", NULL);
	address("00:00:05.0", NULL);
	address("123456789:00:05.0", NULL);
	address("-1:05.0", NULL);
	address("00:05.0/2", NULL);
	address("../..", NULL);
}

static void bars(void)
{
	char got[PCI_ADDRESS_MAX];
	unsigned int bar = 9;

	CHECK(!pci_parse_bar("00:05.0/2", got, &bar) && bar == 2 && !strcmp(got, "0000:00:05.0"),
	      "00:05.0/2 is BAR 2 of 0000:00:05.0");
	CHECK(pci_parse_bar("00:05.0", got, &bar) == -EINVAL, "no BAR in 00:05.0");
	CHECK(pci_parse_bar("00:05.0/6", got, &bar) == -EINVAL, "there is no BAR 6");
	CHECK(pci_parse_bar("00:05.0/22", got, &bar) == -EINVAL, "nor 22");
	CHECK(pci_parse_bar("00:05.0/", got, &bar) == -EINVAL, "nor an empty one");
}

static void functions(void)
{
	struct pci_function f, *all;
	size_t nr;

	tree_pci("pci0000:00", "0000:00:05.0", "vfio-pci", 3, TREE_RESOURCE);
	tree_pci("pci0000:00", "0000:00:10.0", NULL, -1, "0x0 0x0 0x0\n");
	tree_pci("pci0000:00", "0000:00:1f.2", NULL, -1, "0x0 0x0 0x0\n");
	REQUIRE(!pci_get(tree, "0000:00:05.0", &f), "the function is there");
	CHECK(!strcmp(f.driver, "vfio-pci") && f.group == 3 && f.vendor == 0x1af4 && f.device == 0x1110 &&
		      f.class == 0x050000,
	      "driver %s, group %d, %04x:%04x", f.driver, f.group, f.vendor, f.device);
	CHECK(f.bars[0].type == BAR_MEM32 && f.bars[0].size == 256 && f.bars[0].mappable &&
		      !f.bars[0].prefetchable,
	      "BAR 0 has 256 bytes and a page of its own");
	CHECK(f.bars[1].type == BAR_NONE, "BAR 1 is none");
	CHECK(f.bars[2].type == BAR_MEM64 && f.bars[2].size == 1ull << 30 && f.bars[2].prefetchable,
	      "BAR 2 has 1G, 64 bits, prefetchable");
	CHECK(f.bars[4].type == BAR_IO && f.bars[4].size == 64 && !f.bars[4].mappable, "BAR 4 is ports");
	CHECK(f.bars[5].type == BAR_MEM32 && !f.bars[5].mappable, "BAR 5 begins within a page");
	CHECK(pci_has_memory(&f) && pci_is_vfio(&f), "it has memory and a VFIO driver");
	CHECK(!pci_get(tree, "0000:00:10.0", &f) && !f.driver[0] && f.group == -1 && !pci_has_memory(&f) &&
		      !pci_is_vfio(&f),
	      "another has nothing");
	CHECK(pci_get(tree, "0000:00:11.0", &f) == -ENODEV, "a third is not there");
	REQUIRE(!pci_scan(tree, &all, &nr), "all are listed");
	CHECK(nr == 3 && !strcmp(all[0].address, "0000:00:05.0") &&
		      !strcmp(all[1].address, "0000:00:10.0") && !strcmp(all[2].address, "0000:00:1f.2"),
	      "in the order of their addresses");
	free(all);
}

static void arguments(void)
{
	static const struct command_desc trial = { .name = "trial" };
	struct call c = { .cmd = &trial, .root = tree };
	struct pci_function f;
	unsigned int bar = 9;
	int status = 0;

	CHECK(!arg_function(&c, "ADDRESS", "00:05.0", &f, &status), "00:05.0 is taken");
	CHECK(arg_function(&c, "ADDRESS", "00:06.0", &f, &status) && status == EXIT_WRONG,
	      "00:06.0 is not there");
	CHECK(arg_function(&c, "ADDRESS", "nope", &f, &status) && status == EXIT_WRONG, "'nope' is refused");
	CHECK(!arg_bar(&c, "ADDRESS/BAR", "00:05.0/2", &f, &bar, &status) && bar == 2, "BAR 2 is taken");
	CHECK(arg_bar(&c, "ADDRESS/BAR", "00:05.0/4", &f, &bar, &status), "ports are refused");
	CHECK(arg_bar(&c, "ADDRESS/BAR", "00:05.0/1", &f, &bar, &status), "no BAR is refused");
	CHECK(arg_bar(&c, "ADDRESS/BAR", "00:05.0/7", &f, &bar, &status), "BAR 7 is refused");
}

static void nothing(void)
{
	struct pci_function *all;
	size_t nr;

	CHECK(pci_scan("/nonexistent", &all, &nr) == -ENOENT, "no sysfs is an error");
}

int main(void)
{
	addresses();
	bars();
	tree_begin();
	functions();
	arguments();
	tree_end();
	nothing();
	return tap_done();
}
