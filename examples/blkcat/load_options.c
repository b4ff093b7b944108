// SPDX-License-Identifier: MIT
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "load.h"

static const char usage[] =
	"usage: blkload SOCKET [OPTION]...\n"
	"\n"
	"Lease a queue of a block device from blkd, put load on it, and verify what is read.\n"
	"\n"
	"  --queue N         that queue, not any\n"
	"  --depth N         requests in flight, 1 to 64 (16)\n"
	"  --seconds S       end after so long, or\n"
	"  --requests N      after so many; neither: when told by SIGINT or SIGTERM\n"
	"  --blocks FIRST[+COUNT]  of the lease, in its blocks (all)\n"
	"  --write PERCENT   of the requests are writes (0: a read-only lease is asked for)\n"
	"  --verify WHAT     what sectors may hold that this process has not written:\n"
	"                      host  the sector's number in decimal, as the lab's disks (default)\n"
	"                      any   the same, or what another blkload wrote\n"
	"                      own   anything\n"
	"                      none  nothing is verified at all\n"
	"  --seed N          of the choice of blocks, and of what is written (one at random)\n"
	"  --poll            look at the used ring instead of waiting for interrupts\n"
	"  --period MS       between two lines (500)\n"
	"  --json            each line is a JSON object\n"
	"  --hold            when done keep the lease, until it is taken back or by SIGINT\n"
	"  --confine         once the lease is there, allow only the system calls it needs\n"
	"\n"
	"Each sector that is written carries its number, a generation, the writer's seed and a\n"
	"CRC over all of it. A write that was cut off may have happened or not; no sector may be\n"
	"torn.\n"
	"\n"
	"Exit status: 0 fine; 1 data was wrong, or something failed; 2 wrong usage; 3 the lease\n"
	"was taken back, or the primary asked to leave, and until then all was fine.\n";

static bool parse_verify(const char *text, enum load_verify *verify)
{
	static const char *const names[] = { "host", "any", "own", "none" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*verify = i;
			return true;
		}
	}
	warnx("--verify: '%s' is not host, any, own or none", text);
	return false;
}

static uint64_t some_seed(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ((t.tv_sec * 1000000000ull + t.tv_nsec) << 10 ^ getpid()) & INT64_MAX;
}

static bool parse_one(struct load_options *o, int opt)
{
	uint64_t n;

	switch (opt) {
	case 'q':
		if (!arg_number("--queue", optarg, 0, 65535, &n))
			return false;
		o->client.queue = n;
		return true;
	case 'd':
		if (!arg_number("--depth", optarg, 1, BLK_DEPTH_MAX, &n))
			return false;
		o->client.depth = n;
		return true;
	case 's':
		return arg_number("--seconds", optarg, 1, 10000000, &o->seconds);
	case 'n':
		return arg_number("--requests", optarg, 0, UINT64_MAX - 1, &o->requests);
	case 'b':
		return arg_blocks("--blocks", optarg, &o->first, &o->count);
	case 'w':
		return arg_number("--write", optarg, 0, 100, &o->write);
	case 'v':
		return parse_verify(optarg, &o->verify);
	case 'S':
		/* As JSON has it, too. */
		return arg_number("--seed", optarg, 0, INT64_MAX, &o->seed);
	case 'p':
		o->client.poll = true;
		return true;
	case 'm':
		return arg_number("--period", optarg, 10, 3600000, &o->period_ms);
	case 'j':
		o->json = true;
		return true;
	case 'H':
		o->hold = true;
		return true;
	case 'c':
		o->confine = true;
		return true;
	}
	return false; /* getopt named the argument */
}

int load_parse(struct load_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "queue", required_argument, NULL, 'q' },
		{ "depth", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "requests", required_argument, NULL, 'n' },
		{ "blocks", required_argument, NULL, 'b' },
		{ "write", required_argument, NULL, 'w' },
		{ "verify", required_argument, NULL, 'v' },
		{ "seed", required_argument, NULL, 'S' },
		{ "poll", no_argument, NULL, 'p' },
		{ "period", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "hold", no_argument, NULL, 'H' },
		{ "confine", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt;

	*o = (struct load_options){
		.client = { .queue = BLK_ANY_QUEUE, .depth = 16, .primary = (uid_t)-1 },
		.requests = UINT64_MAX,
		.period_ms = 500,
		.seed = some_seed(),
	};
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (!parse_one(o, opt))
			return -1;
	}
	if (o->seconds && o->requests != UINT64_MAX) {
		warnx("--requests: --seconds is given, too");
		return -1;
	}
	if (!arg_socket(argc, argv, optind, &o->socket))
		return -1;
	o->client.read_only = !o->write;
	return 0;
}
