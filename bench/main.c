// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <barbuf/guard.h>

#include "bench.h"

#define LAB_STOCK "/lab/stock"

static const char usage[] =
	"usage: barbuf-bench [--json | --markdown] [--rounds N] [--stock DIR] [--barbuf DIR]\n"
	"\n"
	"Measure BAR mappings with two sets of modules, one after the other in this boot.\n"
	"Run it as root in the lab's guest; with `lab/run --icount` the figures are\n"
	"instructions and repeat.\n"
	"\n"
	"  --stock DIR   where stock's vfio-pci-core.ko and vfio-pci.ko are\n"
	"  --barbuf DIR  where barbuf's are\n"
	"                Without these two, those of the lab's barbuf guest; where that has\n"
	"                none, the loaded modules are measured and the stock column is empty\n"
	"  --rounds N    take turns so often, 1 to 100 (2)\n"
	"  --json        all figures, for programs\n"
	"  --markdown    a table for docs/benchmarks.md\n"
	"\n"
	"Exit status: 0 each target is met, 1 one is not or a measurement failed, 2 wrong\n"
	"usage.\n";

struct options {
	enum format format;
	unsigned int rounds;
	const char *dir[NR_SETS];
};

static int fail(const char *what, const char *which, int error)
{
	fprintf(stderr, "barbuf-bench: %s%s: %s\n", what, which, strerror(-error));
	return 1;
}

static int parse_rounds(const char *text, unsigned int *rounds)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || n < 1 || n > 100) {
		fprintf(stderr, "barbuf-bench: --rounds: '%s' is not a number from 1 to 100\n",
			text);
		return -EINVAL;
	}
	*rounds = n;
	return 0;
}

static void progress(const char *set, unsigned int round, const char *title)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "round %u, %s: %s\n", round + 1, set, title);
}

/* The lab keeps stock's modules beside the ones that it put in their place. */
static void lab_dirs(struct options *o)
{
	static char barbuf[256];
	struct utsname uts;

	if (o->dir[STOCK] || o->dir[OURS] || access(LAB_STOCK "/vfio-pci-core.ko", R_OK) ||
	    uname(&uts))
		return;
	snprintf(barbuf, sizeof(barbuf), "/lib/modules/%s/kernel/drivers/vfio/pci", uts.release);
	o->dir[STOCK] = LAB_STOCK;
	o->dir[OURS] = barbuf;
}

static int measure_set(const struct options *o, enum set set, unsigned int round,
		       struct result *results)
{
	static const char *const names[NR_SETS] = { "stock", "barbuf" };
	struct bench b;
	int ret = 0;
	size_t i;

	if (o->dir[set]) {
		ret = modules_use(o->dir[set]);
		if (ret)
			return fail("cannot use the modules in ", o->dir[set], ret);
	}
	ret = bench_open(&b);
	if (ret)
		return fail("cannot open ivshmem and testdev", " with BARs of 1 and 2 GiB", ret);
	for (i = 0; i < nr_rows; i++) {
		struct result *r = &results[i];
		uint64_t value = 0;

		if (set == STOCK && !rows[i].stock_has_it)
			continue;
		progress(names[set], round, rows[i].title);
		ret = rows[i].measure(&b, &value);
		if (ret) {
			fail("cannot measure: ", rows[i].title, ret);
			break;
		}
		if (!r->measured || value < r->best)
			r->best = value;
		if (!r->measured || value > r->worst)
			r->worst = value;
		r->measured = true;
	}
	bench_close(&b);
	return ret ? 1 : 0;
}

/* What mmap costs depends on what lies beside: start again with a fixed layout. */
static void fix_addresses(char **argv)
{
	int old = personality(0xffffffff);

	if (old < 0 || old & ADDR_NO_RANDOMIZE || personality(old | ADDR_NO_RANDOMIZE) < 0)
		return;
	execv("/proc/self/exe", argv);
}

static int run(const struct options *o)
{
	struct rlimit files = { .rlim_cur = 8192, .rlim_max = 8192 };
	struct result *results[NR_SETS];
	unsigned int round;
	int ret;

	results[STOCK] = calloc(nr_rows, sizeof(struct result));
	results[OURS] = calloc(nr_rows, sizeof(struct result));
	ret = results[STOCK] && results[OURS] ? 0 : fail("memory", "", -ENOMEM);

	/* A thousand buffers have a thousand descriptors. */
	if (!ret && setrlimit(RLIMIT_NOFILE, &files))
		ret = fail("RLIMIT_NOFILE", "", -errno);
	if (!ret && barbuf_guard_install())
		ret = fail("SIGBUS", "", -errno);
	for (round = 0; round < o->rounds && !ret; round++) {
		if (o->dir[STOCK])
			ret = measure_set(o, STOCK, round, results[STOCK]);
		if (!ret)
			ret = measure_set(o, OURS, round, results[OURS]);
	}
	if (!ret)
		ret = !print_results(o->format, (const struct result **)results, o->rounds);
	free(results[STOCK]);
	free(results[OURS]);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "barbuf", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "markdown", no_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "stock", required_argument, NULL, 's' },
		{ 0 },
	};
	struct options o = { .format = TEXT, .rounds = 2 };
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'b':
			o.dir[OURS] = optarg;
			break;
		case 's':
			o.dir[STOCK] = optarg;
			break;
		case 'j':
			o.format = JSON;
			break;
		case 'm':
			o.format = MARKDOWN;
			break;
		case 'r':
			if (parse_rounds(optarg, &o.rounds))
				return 2;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2; /* getopt named the argument */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "barbuf-bench: '%s': no arguments are taken, see --help\n",
			argv[optind]);
		return 2;
	}
	if (o.dir[STOCK] && !o.dir[OURS]) {
		fputs("barbuf-bench: --stock DIR: needs --barbuf DIR, to come back from it\n",
		      stderr);
		return 2;
	}
	fix_addresses(argv);
	lab_dirs(&o);
	return run(&o);
}
