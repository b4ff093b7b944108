// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <barbuf.h>

#include "lend.h"
#include "pin.h"
#include "timeline.h"

#define ME "primary"

/* 12! is the last that fits 32 bits; the device goes on modulo 2^32, and so do we. */
#define LAST_FACTORIAL 20

#define NR_SCATTERED 5

/* A device that is owned, with one of its BARs mapped through the device fd. */
struct owned {
	const char *what;
	char address[32];
	struct barbuf_device *dev;
	struct barbuf_region bar;
	volatile char *map;
};

struct lender {
	struct barbuf_container *container;
	size_t page;
	struct owned registers;
	struct owned memory;
	struct barbuf_range frame;
	struct barbuf_range scattered[NR_SCATTERED];
	uint64_t scattered_size;
	int frame_fd; /* exported buffers, or -1 */
	int scattered_fd;
	struct peer first, second, third;
};

/* One line that ends the demo. */
__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
	va_list ap;

	fputs("barbuf-demo-edu: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

/* Ask, and hold an answer that does not come against the peer. */
static bool ask(struct peer *p, enum op op, uint64_t value, int fd, struct reply *reply)
{
	int ret = peer_ask(p, op, value, fd, reply);

	if (ret)
		claim(p->name, false, "answers (%s)", strerror(-ret));
	return !ret;
}

/*
 * Where the device is: as given, or from the lab's helper, which binds it to
 * vfio-pci and prints "ADDRESS GROUP".
 */
static int find_device(struct owned *o, const char *model, const char *option, const char *given)
{
	char command[32];
	char line[128];
	bool got;
	FILE *f;

	if (given) {
		snprintf(o->address, sizeof(o->address), "%s", given);
		return 0;
	}
	snprintf(command, sizeof(command), "vfio-bind %s", model);
	f = popen(command, "re");
	if (!f)
		return fail("cannot run `%s`: %s", command, strerror(errno));
	got = fgets(line, sizeof(line), f);
	if (pclose(f) || !got)
		return fail("no device: `%s` found none; name one with %s", command, option);
	line[strcspn(line, " \n")] = '\0';
	snprintf(o->address, sizeof(o->address), "%.*s", (int)sizeof(o->address) - 1, line);
	return 0;
}

static int own(struct owned *o, struct barbuf_container *container, const char *option,
	       unsigned int bar)
{
	const char *address = o->address;
	int ret;

	ret = barbuf_device_open(&o->dev, container, address);
	if (ret)
		return fail("%s %s: cannot be opened through VFIO: %s", option, address,
			    strerror(-ret));
	ret = barbuf_device_get_region(o->dev, bar, &o->bar);
	if (ret || !(o->bar.flags & BARBUF_REGION_MMAP))
		return fail("%s %s: BAR %u cannot be mapped", option, address, bar);
	o->map = mmap(NULL, o->bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      barbuf_device_fd(o->dev), o->bar.offset);
	if (o->map == MAP_FAILED) {
		o->map = NULL;
		return fail("%s %s: mmap of BAR %u: %s", option, address, bar, strerror(errno));
	}
	say(ME, "opens %s at %s and maps its BAR %u (%" PRIu64 " KiB) through the device fd",
	    o->what, barbuf_device_address(o->dev), bar, o->bar.size >> 10);
	return 0;
}

static void disown(struct owned *o)
{
	if (o->map)
		munmap((void *)o->map, o->bar.size);
	barbuf_device_close(o->dev);
}

/* Out of order, of different lengths, with gaps between all of them. */
static void scatter(struct lender *l)
{
	uint64_t size = l->memory.bar.size;
	uint64_t page = l->page;
	const struct barbuf_range ranges[NR_SCATTERED] = {
		{ size / 2 + 2 * page, 2 * page }, { page, page },
		{ size / 4, 16 * page },	   { size - 3 * page, page },
		{ size / 8 + 4 * page, 3 * page },
	};

	memcpy(l->scattered, ranges, sizeof(ranges));
}

static int lend(struct lender *l)
{
	l->frame = (struct barbuf_range){ .offset = 0, .length = l->page };
	if (l->memory.bar.size < 1024 * l->page)
		return fail("--memory: BAR %u has %" PRIu64 " KiB; at least %zu are needed",
			    l->memory.bar.index, l->memory.bar.size >> 10, l->page);
	scatter(l);
	barbuf_ranges_size(l->scattered, NR_SCATTERED, &l->scattered_size);

	l->frame_fd = barbuf_device_export(l->registers.dev, l->registers.bar.index, &l->frame, 1,
					   O_RDWR | O_CLOEXEC);
	if (l->frame_fd < 0)
		return fail("this kernel cannot export a BAR as a DMABUF: %s",
			    strerror(-l->frame_fd));
	say(ME, "exports the register frame, %zu bytes of BAR %u", l->page, l->registers.bar.index);

	l->scattered_fd = barbuf_device_export(l->memory.dev, l->memory.bar.index, l->scattered,
					       NR_SCATTERED, O_RDWR | O_CLOEXEC);
	if (l->scattered_fd < 0)
		return fail("the memory BAR cannot be exported as a DMABUF: %s",
			    strerror(-l->scattered_fd));
	say(ME, "exports memory, %llu KiB in %d scattered ranges of BAR %u",
	    (unsigned long long)l->scattered_size >> 10, NR_SCATTERED, l->memory.bar.index);
	return 0;
}

/* Start a client, check that it is alone with its socket, hand it the buffer. */
static int start(struct peer *p, const char *name, int fd, uint64_t size)
{
	struct reply reply;
	int ret;

	ret = peer_start(p, name);
	if (ret)
		return fail("%s cannot be started: %s", name, strerror(-ret));
	if (!ask(p, OP_CONFINED, 0, -1, &reply))
		return 1;
	claim(name, !reply.error && !reply.wrong && reply.done,
	      "is pid %d, nobody, without capabilities or device; %" PRIu64 " checks%s%s", p->pid,
	      reply.done, reply.wrong ? ": " : "", reply.detail);

	if (!ask(p, OP_MAP, size, fd, &reply))
		return 1;
	if (reply.error)
		return fail("this kernel cannot mmap a VFIO DMABUF (%s): it lacks barbuf's "
			    "vfio-pci-core, which gives a buffer an mmap",
			    strerror(-reply.error));
	claim(name, !reply.wrong, "receives a buffer fd and maps it%s%s", reply.wrong ? ": " : "",
	      reply.detail);
	return 0;
}

static bool compute(struct peer *p, const char *when)
{
	struct reply reply;

	if (!ask(p, OP_FACTORIALS, LAST_FACTORIAL, -1, &reply))
		return false;
	return claim(p->name,
		     !reply.error && !reply.wrong && reply.done == LAST_FACTORIAL + 1 &&
			     reply.last == factorial(LAST_FACTORIAL),
		     "%s: the device computes %" PRIu64 " factorials, %" PRIu64 " wrong%s%s%s",
		     when, reply.done, reply.wrong, reply.error ? ": " : "",
		     reply.error ? strerror(-reply.error) : "", reply.detail);
}

/* The word of the BAR, seen through our own mapping, that is at @pos of the buffer. */
static volatile uint64_t *word_at(const struct lender *l, uint64_t pos)
{
	uint64_t offset, left;

	if (barbuf_ranges_locate(l->scattered, NR_SCATTERED, pos, &offset, &left))
		return NULL;
	return (volatile uint64_t *)(l->memory.map + offset);
}

static uint64_t count_wrong(const struct lender *l, uint64_t seed)
{
	uint64_t wrong = 0;
	uint64_t pos;

	for (pos = 0; pos < l->scattered_size; pos += 8)
		wrong += *word_at(l, pos) != pattern(seed, pos);
	return wrong;
}

/* The words next to each range, which no client may reach. Returns how many there are. */
static unsigned int neighbours(const struct lender *l, volatile uint64_t **words)
{
	unsigned int n = 0;
	unsigned int i;

	for (i = 0; i < NR_SCATTERED; i++) {
		const struct barbuf_range *r = &l->scattered[i];

		words[n++] = (volatile uint64_t *)(l->memory.map + r->offset - 8);
		words[n++] = (volatile uint64_t *)(l->memory.map + r->offset + r->length);
	}
	return n;
}

static void exchange(struct lender *l, const char *when, uint64_t seed)
{
	volatile uint64_t *fence[2 * NR_SCATTERED];
	unsigned int broken = 0;
	unsigned int n, i;
	struct reply reply;
	uint64_t wrong;
	uint64_t pos;

	n = neighbours(l, fence);
	for (i = 0; i < n; i++)
		*fence[i] = pattern(seed ^ 0xfe, i);

	if (!ask(&l->second, OP_FILL, seed, -1, &reply))
		return;
	claim(l->second.name, !reply.error && reply.done == l->scattered_size / 8,
	      "%s: fills %" PRIu64 " words of memory%s%s", when, reply.done,
	      reply.error ? ": " : "", reply.error ? strerror(-reply.error) : "");
	wrong = count_wrong(l, seed);
	for (i = 0; i < n; i++)
		broken += *fence[i] != pattern(seed ^ 0xfe, i);
	claim(ME, !wrong && !broken,
	      "%s: finds them in the BAR, %" PRIu64 " wrong; %u of %u words beside the ranges "
	      "changed",
	      when, wrong, broken, n);

	for (pos = 0; pos < l->scattered_size; pos += 8)
		*word_at(l, pos) = pattern(seed + 1, pos);
	if (!ask(&l->second, OP_CHECK, seed + 1, -1, &reply))
		return;
	claim(l->second.name, !reply.error && !reply.wrong && reply.done == l->scattered_size / 8,
	      "%s: reads back what the primary wrote, %" PRIu64 " words, %" PRIu64 " wrong%s%s",
	      when, reply.done, reply.wrong, reply.error ? ": " : "",
	      reply.error ? strerror(-reply.error) : "");
}

/* ivshmem clears its interrupt mask in a reset: the proof that one took place. */
#define IVSHMEM_VENDOR_DEVICE 0x11101af4
#define IVSHMEM_MASK 0x5a

static bool mark_for_reset(struct owned *o)
{
	uint32_t mark = IVSHMEM_MASK;
	struct barbuf_region regs;
	uint32_t id;

	if (barbuf_config_read(o->dev, 0, &id, sizeof(id)) || id != IVSHMEM_VENDOR_DEVICE)
		return false;
	if (barbuf_device_get_region(o->dev, 0, &regs) ||
	    pwrite(barbuf_device_fd(o->dev), &mark, sizeof(mark), regs.offset) != sizeof(mark) ||
	    pread(barbuf_device_fd(o->dev), &mark, sizeof(mark), regs.offset) != sizeof(mark))
		return false;
	return mark == IVSHMEM_MASK;
}

static bool mark_is_gone(struct owned *o)
{
	struct barbuf_region regs;
	uint32_t mark = IVSHMEM_MASK;

	return !barbuf_device_get_region(o->dev, 0, &regs) &&
	       pread(barbuf_device_fd(o->dev), &mark, sizeof(mark), regs.offset) == sizeof(mark) &&
	       mark == 0;
}

/* Functions of one bus are reset together when the bus is. */
static bool share_bus(const struct owned *a, const struct owned *b)
{
	const char *x = barbuf_device_address(a->dev);
	const char *y = barbuf_device_address(b->dev);
	const char *end = strrchr(x, ':');

	return !strncmp(x, y, end - x + 1);
}

static void reset_one(struct owned *o)
{
	const char *how = "this function alone";
	int ret;

	ret = barbuf_device_reset(o->dev);
	if (ret == -EOPNOTSUPP) {
		how = "a hot reset of its bus";
		ret = barbuf_device_hot_reset(o->dev);
	}
	claim(ME, !ret, "resets %s: %s%s%s", o->what, how, ret ? ": " : "",
	      ret ? strerror(-ret) : "");
}

static void reset_both(struct lender *l)
{
	bool marked = mark_for_reset(&l->memory);
	int ret;

	if (share_bus(&l->registers, &l->memory)) {
		ret = barbuf_device_hot_reset(l->registers.dev);
		claim(ME, !ret, "resets both devices at once, by a hot reset of their bus%s%s",
		      ret ? ": " : "", ret ? strerror(-ret) : "");
	} else {
		reset_one(&l->registers);
		reset_one(&l->memory);
	}
	if (marked)
		claim(ME, mark_is_gone(&l->memory),
		      "finds %s's interrupt mask cleared: the reset did take place",
		      l->memory.what);
	else
		say(ME, "knows no register of %s that would prove the reset", l->memory.what);
}

static void reset_devices(struct lender *l)
{
	uint64_t seed = 1000;
	struct reply before, after;
	uint64_t pos;

	for (pos = 0; pos < l->scattered_size; pos += 8)
		*word_at(l, pos) = pattern(seed, pos);
	if (!ask(&l->second, OP_CHECK, seed, -1, &before))
		return;

	reset_both(l);

	if (!ask(&l->second, OP_CHECK, seed, -1, &after))
		return;
	claim(l->second.name, !after.error && !after.wrong && after.faults > before.faults,
	      "survives: same mapping, %" PRIu64 " of %" PRIu64 " words wrong, pages taken in the "
	      "reset came back by %" PRIu64 " faults",
	      after.wrong, after.done, after.faults - before.faults);
	compute(&l->first, "survives");
	exchange(l, "after the reset", 20);
}

static uint64_t touch_own(const struct lender *l)
{
	uint64_t before = faults_taken();
	uint64_t pos;

	(void)*(volatile uint32_t *)(l->registers.map + EDU_ID);
	for (pos = 0; pos < l->scattered_size; pos += l->page)
		(void)*word_at(l, pos);
	return faults_taken() - before;
}

/*
 * A second buffer of the very memory that client 2 has, mapped by us and then
 * revoked: what is taken back is a buffer, not the memory under it.
 */
static void revoke_twin(struct lender *l)
{
	size_t size = l->scattered_size;
	uint64_t word;
	void *map;
	int fd;
	int ret;

	fd = barbuf_device_export(l->memory.dev, l->memory.bar.index, l->scattered, NR_SCATTERED,
				  O_RDWR | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (!claim(ME, map != MAP_FAILED && !barbuf_read64(map, &word),
		   "exports and maps a second buffer of client 2's memory"))
		goto out;
	ret = barbuf_device_revoke(l->memory.dev, fd);
	claim(ME, !ret && barbuf_read64(map, &word) == -EIO,
	      "revokes it, and gets SIGBUS from it%s%s", ret ? ": " : "",
	      ret ? strerror(-ret) : "");
out:
	if (map != MAP_FAILED)
		munmap(map, size);
	if (fd >= 0)
		close(fd);
}

static void revoke_first(struct lender *l)
{
	struct reply before, after, dead;
	uint64_t own_faults;
	int ret;

	/* What the other client and we have mapped is warm, so one lost page would show. */
	touch_own(l);
	if (!ask(&l->second, OP_RUN, 0, -1, &before))
		return;
	claim(l->second.name, !before.error, "reads its %llu pages over and over meanwhile",
	      (unsigned long long)l->scattered_size / l->page);

	ret = barbuf_device_revoke(l->registers.dev, l->frame_fd);
	claim(ME, !ret, "revokes the register frame of client 1%s%s", ret ? ": " : "",
	      ret ? strerror(-ret) : "");
	revoke_twin(l);
	own_faults = touch_own(l);

	if (!ask(&l->first, OP_ACCESS, 0, -1, &dead))
		return;
	claim(l->first.name, dead.done && dead.sigbus == dead.done,
	      "gets SIGBUS at its next accesses: %" PRIu64 " of %" PRIu64, dead.sigbus, dead.done);
	if (!ask(&l->first, OP_REMAP, 0, -1, &dead))
		return;
	claim(l->first.name, dead.error == -ENODEV, "cannot map its buffer again: %s",
	      dead.error ? strerror(-dead.error) : "it can");

	if (!ask(&l->second, OP_STOP, 0, -1, &after))
		return;
	claim(l->second.name, !after.error && after.done > 1 && after.faults == before.faults,
	      "took %" PRIu64 " extra faults in %" PRIu64 " passes over its pages%s%s",
	      after.faults - before.faults, after.done, after.error ? ": " : "",
	      after.error ? strerror(-after.error) : "");
	claim(ME, !own_faults, "took %" PRIu64 " extra faults on its own mappings of the same BARs",
	      own_faults);

	ret = barbuf_device_revoke(l->registers.dev, l->frame_fd);
	claim(ME, ret == -EBADFD, "cannot revoke it twice: %s", ret ? strerror(-ret) : "it can");
}

static int lend_again(struct lender *l)
{
	struct reply reply;

	close(l->frame_fd);
	l->frame_fd = barbuf_device_export(l->registers.dev, l->registers.bar.index, &l->frame, 1,
					   O_RDWR | O_CLOEXEC);
	if (!claim(ME, l->frame_fd >= 0, "exports the same register frame again%s%s",
		   l->frame_fd < 0 ? ": " : "", l->frame_fd < 0 ? strerror(-l->frame_fd) : ""))
		return 0;
	if (start(&l->third, "client 3", l->frame_fd, l->frame.length))
		return 1;
	compute(&l->third, "works in its place");
	if (!ask(&l->first, OP_ACCESS, 0, -1, &reply))
		return 0;
	claim(l->first.name, reply.done && reply.sigbus == reply.done,
	      "still gets SIGBUS from its old mapping: %" PRIu64 " of %" PRIu64, reply.sigbus,
	      reply.done);
	return 0;
}

static void finish(struct peer *p)
{
	struct reply reply;
	int status;

	if (!ask(p, OP_DONE, 0, -1, &reply))
		return;
	status = peer_end(p);
	claim(p->name, !reply.error && status == 0, "unmaps its buffer and exits, status %d",
	      status);
}

static int story(struct lender *l, const struct options *options)
{
	int ret;

	if (find_device(&l->registers, "pair0", "--registers", options->registers) ||
	    find_device(&l->memory, "pair1", "--memory", options->memory))
		return 1;
	ret = barbuf_container_new(&l->container, BARBUF_IOMMU_TYPE1);
	if (ret)
		return fail("VFIO cannot be used: /dev/vfio/vfio: %s", strerror(-ret));
	if (own(&l->registers, l->container, "--registers", 0) ||
	    own(&l->memory, l->container, "--memory", options->memory_bar))
		return 1;
	if (!edu_id_ok(*(volatile uint32_t *)(l->registers.map + EDU_ID)))
		return fail("--registers %s: no edu device, its identification is %#x",
			    barbuf_device_address(l->registers.dev),
			    *(volatile uint32_t *)(l->registers.map + EDU_ID));
	if (lend(l))
		return 1;

	if (start(&l->first, "client 1", l->frame_fd, l->frame.length) ||
	    start(&l->second, "client 2", l->scattered_fd, l->scattered_size))
		return 1;
	compute(&l->first, "works");
	exchange(l, "works", 10);
	reset_devices(l);
	revoke_first(l);
	if (lend_again(l))
		return 1;
	exchange(l, "to the end", 30);
	finish(&l->first);
	finish(&l->second);
	finish(&l->third);
	return 0;
}

int primary_main(const struct options *options)
{
	struct lender l = {
		.registers.what = "edu",
		.memory.what = "ivshmem",
		.page = sysconf(_SC_PAGESIZE),
		.frame_fd = -1,
		.scattered_fd = -1,
	};
	int ret;

	if (geteuid())
		return fail("must be run as root: it opens devices and gives up rights for others");
	say(ME, "starts as pid %d", getpid());
	ret = pin_memory();
	if (ret)
		return fail("cannot pin its memory: %s", strerror(-ret));
	ret = barbuf_guard_install();
	if (ret)
		return fail("cannot catch SIGBUS: %s", strerror(-ret));

	ret = story(&l, options);

	/* After a failure, clients are still there. */
	peer_end(&l.first);
	peer_end(&l.second);
	peer_end(&l.third);
	if (l.frame_fd >= 0)
		close(l.frame_fd);
	if (l.scattered_fd >= 0)
		close(l.scattered_fd);
	disown(&l.registers);
	disown(&l.memory);
	barbuf_container_free(l.container);
	return ret ? ret : timeline_end();
}
