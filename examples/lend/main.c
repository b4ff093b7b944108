// SPDX-License-Identifier: MIT
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lend.h"

static const char usage[] =
	"usage: barbuf-demo-edu [--registers ADDRESS] [--memory ADDRESS] [--memory-bar N]\n"
	"\n"
	"Lend parts of two PCI devices to unprivileged processes, reset the devices,\n"
	"take one part back, and lend it again. Run it as root.\n"
	"\n"
	"  --registers ADDRESS  an edu device bound to vfio-pci, as 0000:00:04.0\n"
	"  --memory ADDRESS     a device with a BAR of memory, bound to vfio-pci\n"
	"  --memory-bar N       which BAR of it (2)\n"
	"\n"
	"An address that is not given comes from the lab's helper: `vfio-bind pair0` is an\n"
	"edu and `vfio-bind pair1` an ivshmem, two functions of one slot, which can be\n"
	"reset together.\n"
	"\n"
	"Exit status: 0 every claim held, 1 not, 2 wrong usage.\n";

static int parse_bar(const char *text, unsigned int *bar)
{
	if (text[0] < '0' || text[0] > '5' || text[1]) {
		fprintf(stderr, "barbuf-demo-edu: --memory-bar: '%s' is not a BAR, 0 to 5\n", text);
		return -EINVAL;
	}
	*bar = text[0] - '0';
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "registers", required_argument, NULL, 'r' },
		{ "memory", required_argument, NULL, 'm' },
		{ "memory-bar", required_argument, NULL, 'b' },
		{ "client", no_argument, NULL, 'c' }, /* how the primary starts a client */
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { .memory_bar = 2 };
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'r':
			options.registers = optarg;
			break;
		case 'm':
			options.memory = optarg;
			break;
		case 'b':
			if (parse_bar(optarg, &options.memory_bar))
				return 2;
			break;
		case 'c':
			return client_main();
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2; /* getopt named the argument */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "barbuf-demo-edu: '%s': no arguments are taken, see --help\n",
			argv[optind]);
		return 2;
	}
	return primary_main(&options);
}
