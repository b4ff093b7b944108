// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"
#include "timeline.h"

static const char usage[] =
	"usage: barbuf-demo [--device ADDRESS --overwrite] [--tty COLUMNS[xLINES]]\n"
	"\n"
	"Four unprivileged processes do verified I/O on one virtio-blk function, each by one\n"
	"queue and one doorbell page that blkd has lent to it. One turns intruder, one is killed,\n"
	"one loses its queue, and the device is reset. Run it as root.\n"
	"\n"
	"  --device ADDRESS  a virtio-blk function bound to vfio-pci, as 0000:03:00.0; by default\n"
	"                    the lab's, `vfio-bind blk`\n"
	"  --overwrite       yes, the first 28 MiB of its disk\n"
	"  --tty COLUMNS[xLINES]  rows at the bottom of a terminal of this size, which standard\n"
	"                    output need not be; NO_COLOR, and a locale that is not of UTF-8, are\n"
	"                    honoured\n"
	"\n"
	"Exit status: 0 every claim held, 1 not, 2 wrong usage.\n";

/* Returns false and says so. */
static bool parse_tty(const char *text, struct options *o)
{
	unsigned int columns, lines = 0;
	int end = 0;

	if (!text[strspn(text, "0123456789x")] &&
	    sscanf(text, "%5u%nx%5u%n", &columns, &end, &lines, &end) >= 1 && !text[end] &&
	    columns >= 2 && columns <= 10000 && lines <= 10000) {
		o->columns = columns;
		o->lines = lines;
		return true;
	}
	fprintf(stderr, "barbuf-demo: --tty: '%s' is not COLUMNS or COLUMNSxLINES, 2 to 10000\n",
		text);
	return false;
}

static int role_main(const char *role, int argc, char **argv)
{
	if (!strcmp(role, "intruder"))
		return intruder_main(argc, argv);
	if (!strcmp(role, "heir"))
		return heir_main(argc, argv);
	fprintf(stderr, "barbuf-demo: --role: '%s' is not intruder or heir\n", role);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "overwrite", no_argument, NULL, 'o' },
		{ "tty", required_argument, NULL, 't' },
		{ "role", required_argument, NULL, 'r' }, /* how the story starts its own */
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { .device = NULL };
	bool overwrite = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'd':
			options.device = optarg;
			break;
		case 'o':
			overwrite = true;
			break;
		case 't':
			if (!parse_tty(optarg, &options))
				return 2;
			timeline_terminal(true);
			break;
		case 'r':
			return role_main(optarg, argc - optind, argv + optind);
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2; /* getopt named the argument */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "barbuf-demo: '%s': no arguments are taken, see --help\n",
			argv[optind]);
		return 2;
	}
	if (options.device && !overwrite) {
		fprintf(stderr,
			"barbuf-demo: --device '%s': what is on its disk would be lost; "
			"--overwrite says yes\n",
			options.device);
		return 2;
	}
	/* Frames of rows at once. */
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	return story_main(&options);
}
