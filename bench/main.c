// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "bench.h"

#define LAB_STOCK "/lab/stock"

static const char usage[] =
	"usage: barbuf-bench [--smp] [--rows ID[,ID...]] [--json | --markdown] [--rounds N]\n"
	"                    [--stock DIR] [--barbuf DIR]\n"
	"       barbuf-bench --list\n"
	"\n"
	"Measure BAR mappings with two sets of modules, one after the other in this boot.\n"
	"Run it as root in the lab's guest; with `lab/run --icount` the figures are\n"
	"instructions and repeat.\n"
	"\n"
	"  --smp         count how often threads wait for each other, and nothing else;\n"
	"                skipped where there is one processor\n"
	"  --rows ID,... these rows, and those that they are compared with; else all\n"
	"  --list        the rows: id, what is measured\n"
	"  --stock DIR   where stock's vfio_iommu_type1.ko is, and vfio-pci-core.ko and\n"
	"                vfio-pci.ko, or a folder pci of these\n"
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
	bool smp;
	char *rows; /* NULL: all */
	const char *dir[NR_SETS];
	bool *selected; /* nr_rows of them */
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

/* A row, what it is compared with, and what that is. */
static void select_row(const struct options *o, size_t i)
{
	while (i < nr_rows && !o->selected[i]) {
		o->selected[i] = true;
		if (rows[i].versus)
			i = find_row(rows[i].versus);
	}
}

static int select_rows(const struct options *o)
{
	char *id, *next;
	size_t i;

	if (!o->rows) {
		for (i = 0; i < nr_rows; i++)
			o->selected[i] = rows[i].smp == o->smp;
		return 0;
	}
	for (next = o->rows; (id = strsep(&next, ","));) {
		i = find_row(id);
		if (i == nr_rows) {
			fprintf(stderr, "barbuf-bench: --rows: '%s' is no row, see --list\n", id);
			return -EINVAL;
		}
		if (rows[i].smp != o->smp) {
			fprintf(stderr, "barbuf-bench: --rows: '%s' is measured %s --smp only\n",
				id, o->smp ? "without" : "with");
			return -EINVAL;
		}
		select_row(o, i);
	}
	return 0;
}

static void list_rows(void)
{
	size_t i;

	for (i = 0; i < nr_rows; i++)
		printf("%-20s %s\n", rows[i].id, rows[i].title);
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
	snprintf(barbuf, sizeof(barbuf), "/lib/modules/%s/kernel/drivers/vfio", uts.release);
	o->dir[STOCK] = LAB_STOCK;
	o->dir[OURS] = barbuf;
}

static bool is_wanted(const struct options *o, enum set set, size_t i)
{
	return o->selected[i] && (set == OURS || rows[i].stock_has_it);
}

static void add_value(struct result *r, uint64_t value)
{
	if (!r->measured || value < r->best)
		r->best = value;
	if (!r->measured || value > r->worst)
		r->worst = value;
	r->measured = true;
}

struct answer {
	int ret;
	struct figures f;
};

static void answer(const struct row *row, const struct bench *b, int to)
{
	struct answer a = { 0 };

	/* All of the program, so that it takes no faults of its own later. */
	if (mlockall(MCL_CURRENT) || munlockall())
		a.ret = -errno;
	else
		a.ret = row->measure(b, row->n, &a.f);
	_exit(write(to, &a, sizeof(a)) != sizeof(a));
}

/*
 * In a process of its own, which begins as it does for every other row, round and
 * set of modules: what was mapped before would move the figures of mmap.
 */
static int measure_apart(const struct row *row, const struct bench *b, struct figures *f)
{
	struct answer a = { .ret = -EPIPE };
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		answer(row, b, ends[1]);
	close(ends[1]);
	if (pid < 0)
		a.ret = -errno;
	else if (read(ends[0], &a, sizeof(a)) != sizeof(a))
		a.ret = -EPIPE;
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	*f = a.f;
	return a.ret;
}

/* Row @i and all behind it that the same measurement answers. */
static int measure_row(const struct options *o, const struct bench *b, enum set set, size_t i,
		       bool *done, struct result *results)
{
	struct figures f = { 0 };
	size_t k;
	int ret;

	ret = measure_apart(&rows[i], b, &f);
	for (k = i; k < nr_rows && !ret; k++) {
		if (!is_wanted(o, set, k) || rows[k].measure != rows[i].measure ||
		    rows[k].n != rows[i].n)
			continue;
		add_value(&results[k], f.of[rows[k].unit]);
		done[k] = true;
	}
	return ret;
}

static int measure_set(const struct options *o, enum set set, unsigned int round,
		       struct result *results)
{
	static const char *const names[NR_SETS] = { "stock", "barbuf" };
	bool *done = calloc(nr_rows, sizeof(*done));
	struct bench b;
	int ret = 0;
	size_t i;

	if (!done)
		return fail("memory", "", -ENOMEM);
	if (o->dir[set])
		ret = modules_use(o->dir[set]);
	if (ret) {
		ret = fail("cannot use the modules in ", o->dir[set], ret);
		goto out;
	}
	ret = bench_open(&b);
	if (ret) {
		ret = fail("cannot open ivshmem, testdev and nvme", " with their BARs", ret);
		goto out;
	}
	for (i = 0; i < nr_rows && !ret; i++) {
		if (done[i] || !is_wanted(o, set, i))
			continue;
		progress(names[set], round, rows[i].title);
		ret = measure_row(o, &b, set, i, done, results);
		if (ret)
			ret = fail("cannot measure ", rows[i].id, ret);
	}
	bench_close(&b);
out:
	free(done);
	return ret;
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
	struct rlimit files = { .rlim_cur = 32768, .rlim_max = 32768 };
	struct report report = { .format = o->format, .rounds = o->rounds, .smp = o->smp };
	struct result *results[NR_SETS];
	unsigned int round;
	int ret;

	if (o->smp && sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_skipped(&report, "it needs more than one processor");
		return 0;
	}
	report.results[STOCK] = results[STOCK] = calloc(nr_rows, sizeof(struct result));
	report.results[OURS] = results[OURS] = calloc(nr_rows, sizeof(struct result));
	ret = results[STOCK] && results[OURS] ? 0 : fail("memory", "", -ENOMEM);

	/* Ten thousand buffers have as many descriptors. */
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
		ret = !print_report(&report);
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
		{ "list", no_argument, NULL, 'l' },
		{ "markdown", no_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "rows", required_argument, NULL, 'w' },
		{ "smp", no_argument, NULL, 'p' },
		{ "stock", required_argument, NULL, 's' },
		{ 0 },
	};
	struct options o = { .format = TEXT, .rounds = 2 };
	int opt, status;

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
		case 'l':
			list_rows();
			return 0;
		case 'm':
			o.format = MARKDOWN;
			break;
		case 'r':
			if (parse_rounds(optarg, &o.rounds))
				return 2;
			break;
		case 'p':
			o.smp = true;
			break;
		case 'w':
			o.rows = optarg;
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
	o.selected = calloc(nr_rows, sizeof(*o.selected));
	if (!o.selected)
		return fail("memory", "", -ENOMEM);
	status = select_rows(&o) ? 2 : 0;
	if (!status) {
		lab_dirs(&o);
		status = run(&o);
	}
	free(o.selected);
	return status;
}
