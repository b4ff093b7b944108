// SPDX-License-Identifier: MIT
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "blkd.h"
#include "events.h"

#define PROGRAM "blkd"
#define EXIT_USAGE 2

#define HANG_MAX 3600.0
#define DRAIN_MS_MAX 60000.0
#define NO_HOLE UINT32_MAX

static const char help[] =
	"usage: " PROGRAM " [OPTIONS] ADDRESS SOCKET\n"
	"\n"
	"Owns the virtio-blk function ADDRESS, which is bound to vfio-pci, and lends its queues\n"
	"to processes that connect to SOCKET.\n"
	"\n"
	"  --allow USER[,queues=N][,ro][,window=FIRST+COUNT][,fixed]\n"
	"                  who may have queues, and what for; repeatable. USER is a name, a number\n"
	"                  or any; FIRST and COUNT are in blocks. A client that is not ro and fixed\n"
	"                  keeps to its window on its honour. Root and " PROGRAM
	"'s own user may have\n"
	"                  all, unless a rule is about them\n"
	"  --block BYTES   of one request (4096)\n"
	"  --depth N       requests at once in a queue, at most 64 (64)\n"
	"  --queues N      use no more than so many (all, at most 64)\n"
	"  --hang SECONDS  end the lease of who does not answer for so long (10); 0: never\n"
	"  --drain MS      give a queue so long to drain before the device is restarted (500)\n"
	"  --min-size BYTES  refuse a smaller disk (a block for each request of all queues)\n"
	"  --json          events as JSON, an object a line\n"
	"  --inject hole=QUEUE  for tests: the page of this queue's last slot is out of the\n"
	"                  device's reach\n"
	"  --help          this\n"
	"\n"
	"Events go to standard output, a line each. It ends by SIGTERM, SIGINT or blkctl stop.\n";

enum option_id {
	OPT_ALLOW = 1,
	OPT_BLOCK,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_HANG,
	OPT_DRAIN,
	OPT_MIN_SIZE,
	OPT_JSON,
	OPT_INJECT,
	OPT_HELP,
};

static const struct option options[] = {
	{ "allow", required_argument, NULL, OPT_ALLOW },
	{ "block", required_argument, NULL, OPT_BLOCK },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "hang", required_argument, NULL, OPT_HANG },
	{ "drain", required_argument, NULL, OPT_DRAIN },
	{ "min-size", required_argument, NULL, OPT_MIN_SIZE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "inject", required_argument, NULL, OPT_INJECT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int usage_size(const char *option, const char *text, uint64_t min, uint64_t max,
		      uint64_t *value)
{
	if (!barbuf_size_parse(text, value, NULL) && *value >= min && *value <= max)
		return 0;
	complain("%s '%s': a number from %" PRIu64 " to %" PRIu64 " is needed", option, text, min,
		 max);
	return -EINVAL;
}

static int usage_number(const char *option, const char *text, double max, double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end != text && !*end && isfinite(*value) && *value >= 0 && *value <= max)
		return 0;
	complain("%s '%s': a number from 0 to %.0f is needed", option, text, max);
	return -EINVAL;
}

static int read_block(struct options *o, const char *text)
{
	if (usage_size("--block", text, BLK_BLOCK_MIN, BLK_BLOCK_MAX, &o->block))
		return -EINVAL;
	if (!(o->block & (o->block - 1)))
		return 0;
	complain("--block '%s': a power of two is needed", text);
	return -EINVAL;
}

static int read_count(const char *option, const char *text, uint32_t max, uint32_t *count)
{
	uint64_t value;
	int ret = usage_size(option, text, 1, max, &value);

	if (!ret)
		*count = value;
	return ret;
}

static int read_inject(struct options *o, const char *text)
{
	uint64_t value;

	if (strncmp(text, "hole=", 5)) {
		complain("--inject '%s': hole=QUEUE is all there is", text);
		return -EINVAL;
	}
	if (usage_size("--inject hole", text + 5, 0, QUEUES_MAX - 1, &value))
		return -EINVAL;
	o->hole = value;
	return 0;
}

static int read_allow(struct blkd *b, const char *text)
{
	char why[WHY_MAX];
	int ret = policy_add(&b->policy, text, why, sizeof(why));

	if (ret)
		complain("--allow '%s': %s", text, why);
	return ret;
}

static int read_option(struct blkd *b, int id, const char *text)
{
	struct options *o = &b->o;
	double ms;
	int ret;

	switch (id) {
	case OPT_ALLOW:
		return read_allow(b, text);
	case OPT_BLOCK:
		return read_block(o, text);
	case OPT_DEPTH:
		return read_count("--depth", text, BLK_DEPTH_MAX, &o->depth);
	case OPT_QUEUES:
		return read_count("--queues", text, QUEUES_MAX, &o->queues);
	case OPT_HANG:
		return usage_number("--hang", text, HANG_MAX, &o->hang);
	case OPT_DRAIN:
		ret = usage_number("--drain", text, DRAIN_MS_MAX, &ms);
		if (!ret)
			o->drain = ms / 1e3;
		return ret;
	case OPT_MIN_SIZE:
		return usage_size("--min-size", text, BLK_SECTOR, INT64_MAX, &o->min_size);
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_INJECT:
		return read_inject(o, text);
	default:
		/* getopt_long() has said what. */
		return -EINVAL;
	}
}

/* 0 to go on, else the exit status plus one. */
static int read_command_line(struct blkd *b, int argc, char **argv)
{
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == OPT_HELP) {
			fputs(help, stdout);
			return fflush(stdout) ? 1 + EXIT_FAILURE : 1 + EXIT_SUCCESS;
		}
		if (read_option(b, id, optarg))
			return 1 + EXIT_USAGE;
	}
	if (argc - optind != 2) {
		complain("ADDRESS and SOCKET are needed, and nothing else; --help tells more");
		return 1 + EXIT_USAGE;
	}
	b->o.address = argv[optind];
	b->o.socket = argv[optind + 1];
	return 0;
}

/* All that a lease stands on. Asked before anything is lent. */
static int check_kernel(struct blkd *b)
{
	static const struct {
		uint32_t feature;
		const char *what;
	} needed[] = {
		{ BARBUF_HAS_EXPORT, "export a BAR as a buffer" },
		{ BARBUF_HAS_MMAP, "map a buffer of a BAR" },
		{ BARBUF_HAS_REVOKE, "revoke one" },
	};
	char text[128] = "";
	uint32_t features;
	size_t i;
	int ret;

	ret = barbuf_device_probe(b->dev, &features);
	if (ret) {
		complain("%s: what this kernel can do with it: %s", b->o.address, strerror(-ret));
		return ret;
	}
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!(features & needed[i].feature))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 *text ? ", nor " : "", needed[i].what);
	if (!*text)
		return 0;
	complain("%s: this kernel cannot %s: it lacks barbuf's vfio-pci-core", b->o.address, text);
	return -EOPNOTSUPP;
}

static int open_device(struct blkd *b)
{
	char text[256];
	int ret;

	ret = barbuf_device_open(&b->dev, NULL, b->o.address);
	if (ret) {
		if (barbuf_device_advice(b->o.address, ret, text, sizeof(text)))
			snprintf(text, sizeof(text), "%s", strerror(-ret));
		complain("%s: cannot be opened: %s", b->o.address, text);
		return ret;
	}
	/* As sysfs has it, also when it was given without the domain. */
	b->o.address = barbuf_device_address(b->dev);
	b->container = barbuf_device_container(b->dev);
	ret = check_kernel(b);
	if (ret)
		return ret;
	*text = '\0';
	ret = virtio_blk_open(&b->virtio, b->dev, text, sizeof(text));
	if (ret) {
		complain("%s: %s", b->o.address, *text ? text : strerror(-ret));
		return ret;
	}
	b->facts = virtio_blk_facts(b->virtio);
	return 0;
}

/* The smallest ring that has room for the depth, as memory is made for all of it. */
static uint32_t ring_size(const struct blkd *b)
{
	uint32_t size = 2;

	while (size < b->facts->queue_size && blk_window_depth(size, 0) < b->o.depth)
		size *= 2;
	return size;
}

/* What there is against what was asked for. */
static int check_device(struct blkd *b)
{
	uint64_t bytes = b->facts->sectors * BLK_SECTOR, need;
	char why[WHY_MAX];
	int ret;

	b->page = sysconf(_SC_PAGESIZE);
	b->nr_queues = b->facts->nr_queues < QUEUES_MAX ? b->facts->nr_queues : QUEUES_MAX;
	if (b->o.queues > b->nr_queues) {
		complain("--queues %u: the device has %u", b->o.queues, b->nr_queues);
		return -ERANGE;
	}
	if (b->o.queues)
		b->nr_queues = b->o.queues;
	if (b->o.hole != NO_HOLE && b->o.hole >= b->nr_queues) {
		complain("--inject hole=%u: there are queues 0 to %u", b->o.hole, b->nr_queues - 1);
		return -ERANGE;
	}
	if (b->o.block < b->facts->block_size || b->o.block > b->facts->size_max) {
		complain("--block %" PRIu64 ": the disk takes %u to %u", b->o.block,
			 b->facts->block_size, b->facts->size_max);
		return -ERANGE;
	}
	ret = memory_layout(&b->most, ring_size(b), b->o.depth, b->o.block, b->page);
	if (ret) {
		complain("%s: a queue of %u entries has no room for a request", b->o.address,
			 b->facts->queue_size);
		return ret;
	}
	need = b->o.min_size ? b->o.min_size : (uint64_t)b->nr_queues * b->most.depth * b->o.block;
	if (bytes < need) {
		complain("%s: the disk has %" PRIu64 " bytes, %" PRIu64 " are needed%s",
			 b->o.address, bytes, need,
			 b->o.min_size ? "" : " (a block for each request of all queues)");
		return -ENOSPC;
	}
	b->blocks = bytes / b->o.block;
	if (!b->blocks) {
		complain("%s: the disk has %" PRIu64 " bytes, a block has %" PRIu64, b->o.address,
			 bytes, b->o.block);
		return -ENOSPC;
	}
	ret = policy_fit(&b->policy, b->blocks, why, sizeof(why));
	if (ret)
		complain("--allow: %s", why);
	return ret;
}

static int start_queues(struct blkd *b)
{
	uint32_t i;
	int ret;

	b->stride = memory_stride(&b->most, b->page);
	ret = memory_find_iova(b->container, b->stride, b->nr_queues * WINDOWS, &b->iova);
	if (ret) {
		complain("%s: no room for %u windows of %" PRIu64 " bytes in its IOVAs: %s",
			 b->o.address, b->nr_queues * WINDOWS, b->stride, strerror(-ret));
		return ret;
	}
	b->queues = calloc(b->nr_queues, sizeof(*b->queues));
	b->rings = calloc(b->facts->nr_queues, sizeof(*b->rings));
	if (!b->queues || !b->rings)
		return -ENOMEM;
	for (i = 0; i < b->nr_queues; i++)
		b->queues[i] = (struct queue){ .nr = i, .irq = -1 };
	for (i = 0; i < b->nr_queues; i++) {
		ret = queue_provision(b, &b->queues[i]);
		if (ret)
			return ret;
	}
	ret = queue_start_all(b);
	if (ret) {
		complain("%s: does not start: %s", b->o.address, strerror(-ret));
		return ret;
	}
	for (i = 0; i < b->nr_queues; i++)
		b->queues[i].state = QUEUE_FREE;
	return 0;
}

static int start_listening(struct blkd *b)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &b->listen };
	int ret = listen_open(&b->listener, b->o.socket);

	if (ret == -EADDRINUSE)
		complain("SOCKET '%s': somebody listens there", b->o.socket);
	else if (ret == -EEXIST)
		complain("SOCKET '%s': is a file, and no socket", b->o.socket);
	else if (ret == -ENAMETOOLONG)
		complain("SOCKET '%s': longer than %zu characters", b->o.socket, LISTEN_PATH_MAX);
	else if (ret)
		complain("SOCKET '%s': %s", b->o.socket, strerror(-ret));
	if (ret)
		return ret;
	b->listen = (struct watch){ .fd = b->listener.fd, .ready = conn_accept };
	ret = epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->listener.fd, &e) ? -errno : 0;
	if (ret)
		listen_close(&b->listener);
	return ret;
}

static void tell_rule(const struct blkd *b, const struct rule *r)
{
	event("policy", "{s:o, s:i, s:s, s:I, s:I, s:s}", "uid",
	      r->uid == POLICY_ANY ? json_string("any") : json_integer(r->uid), "queues",
	      (int)(r->queues && r->queues < b->nr_queues ? r->queues : b->nr_queues), "access",
	      policy_access(r->flags), "first", (json_int_t)r->first, "blocks",
	      (json_int_t)r->count, "on_trust", policy_trust(r, b->blocks));
}

static void tell_ready(const struct blkd *b)
{
	size_t i;

	event("ready", "{s:s, s:s, s:i, s:I, s:i, s:i, s:b, s:b}", "device", b->o.address, "socket",
	      b->o.socket, "queues", (int)b->nr_queues, "blocks", (json_int_t)b->blocks, "block",
	      (int)b->o.block, "depth", (int)b->o.depth, "queue_reset", b->facts->ring_reset,
	      "read_only", b->facts->read_only);
	for (i = 0; i < b->policy.nr; i++)
		tell_rule(b, &b->policy.rules[i]);
	if (policy_find(&b->policy, b->policy.own.uid) == &b->policy.own)
		tell_rule(b, &b->policy.own);
}

/* In this order the device is at rest before its memory goes. */
static void give_back(struct blkd *b)
{
	uint32_t i;

	if (b->virtio)
		virtio_blk_reset(b->virtio);
	for (i = 0; b->queues && i < b->nr_queues; i++) {
		queue_free_retired(&b->queues[i], true);
		queue_drop(b, &b->queues[i]);
	}
	virtio_blk_close(b->virtio);
	barbuf_device_close(b->dev);
	free(b->rings);
	free(b->queues);
}

int main(int argc, char **argv)
{
	struct blkd b = {
		.o = { .block = 4096,
		       .depth = BLK_DEPTH_MAX,
		       .hang = 10,
		       .drain = 0.5,
		       .hole = NO_HOLE },
		.epoll = -1,
		.status = EXIT_SUCCESS,
	};
	int ret;

	events_begin(PROGRAM, false);
	policy_init(&b.policy);
	ret = read_command_line(&b, argc, argv);
	if (ret)
		return ret - 1;
	events_begin(PROGRAM, b.o.json);

	/* The device's registers may be out of reach for a while. */
	ret = barbuf_guard_install();
	if (ret)
		complain("SIGBUS cannot be caught: %s", strerror(-ret));
	if (!ret)
		ret = open_device(&b);
	if (!ret)
		ret = check_device(&b);
	if (!ret)
		ret = server_open(&b);
	if (!ret)
		ret = start_queues(&b);
	if (!ret)
		ret = start_listening(&b);
	if (!ret) {
		tell_ready(&b);
		server_run(&b);
		listen_close(&b.listener);
	}
	server_close(&b);
	give_back(&b);
	if (ret)
		return EXIT_FAILURE;
	event("stop", "{s:i}", "status", b.status);
	return b.status;
}
