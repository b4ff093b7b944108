// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mappings: bounds, the choice of the address, and who is told that one has gone. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffer.h"
#include "fake_device.h"
#include "pages.h"
#include "tap.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define ADDRESS (GIB(0x300) + MIB(2) * 3)

static const unsigned char sixty_four[64];
static uint64_t page;
static struct barbuf_device *dev;

/* Pages of address space that this process has. */
static unsigned long vm_pages(void)
{
	unsigned long n = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

static struct barbuf_buffer *export(uint64_t offset, uint64_t length, bool read_only)
{
	const struct barbuf_range range = { offset, length };
	const struct barbuf_export x = {
		.bar = FAKE_BAR,
		.ranges = &range,
		.nr_ranges = 1,
		.read_only = read_only,
	};
	struct barbuf_buffer *buf;

	return barbuf_buffer_export(&buf, dev, &x) ? NULL : buf;
}

static struct barbuf_buffer *buffer(uint64_t offset, uint64_t length, bool read_only)
{
	struct barbuf_buffer *buf = export(offset, length, read_only);

	CHECK(buf, "a buffer of %#jx bytes", (uintmax_t)length);
	return buf;
}

static void refuses(struct barbuf_buffer *buf, uint64_t offset, uint64_t length, int error,
		    const char *what)
{
	const struct barbuf_map_options o = { .offset = offset, .length = length };
	struct barbuf_map *map = (void *)1;
	int ret = barbuf_map(&map, buf, &o);

	CHECK(ret == error && map == (void *)1, "%s: %s", what, strerror(-ret));
}

static void maps(void)
{
	struct barbuf_map_options o = { 0 };
	struct barbuf_buffer *buf = buffer(0, 4 * page, false);
	unsigned int fds = open_fds();
	unsigned long vm;
	struct barbuf_map *map, *part;
	uint32_t v;

	if (!buf)
		return;
	barbuf_map(&map, buf, NULL);
	barbuf_unmap(map);
	vm = vm_pages();
	REQUIRE(!barbuf_map(&map, buf, NULL), "a mapping of all of it");
	CHECK(barbuf_map_length(map) == 4 * page, "has its length");
	o.offset = page;
	o.length = page + 1;
	REQUIRE(!barbuf_map(&part, buf, &o), "a mapping of a part");
	CHECK(barbuf_map_length(part) == 2 * page, "has whole pages");
	*(volatile uint32_t *)((volatile char *)barbuf_map_addr(map) + page + 8) = 0x12345678;
	CHECK(!barbuf_map_read32(part, 8, &v) && v == 0x12345678, "and shows the same bytes");
	barbuf_unmap(part);
	o.offset = 3 * page;
	o.length = 0;
	CHECK(!barbuf_map(&part, buf, &o) && barbuf_map_length(part) == page,
	      "length 0: to the end");
	barbuf_unmap(part);
	o.no_fork = true;
	CHECK(!barbuf_map(&part, buf, &o), "one that a child does not get");
	barbuf_unmap(part);

	refuses(buf, 1, 0, -EINVAL, "an offset within a page");
	{
		const struct barbuf_map_options later = { .reserved = { 0, 1 } };
		struct barbuf_map *none = (void *)1;

		CHECK(barbuf_map(&none, buf, &later) == -EINVAL && none == (void *)1,
		      "what a later library knows");
	}
	refuses(buf, 4 * page, 0, -ERANGE, "an offset past the end");
	refuses(buf, 4 * page, page, -ERANGE, "the same with a length");
	refuses(buf, page, 3 * page + 1, -ERANGE, "an end past the end");
	refuses(buf, page, UINT64_MAX, -ERANGE, "a length that wraps");
	refuses(buf, -page, 0, -ERANGE, "an offset that wraps");
	barbuf_buffer_free(buf);
	CHECK(!barbuf_map_read32(map, page + 8, &v) && v == 0x12345678,
	      "a mapping outlives its buffer");
	barbuf_unmap(map);
	barbuf_unmap(NULL);
	CHECK(open_fds() == fds - 1, "no fd is left");
	if (USER_EMULATION)
		tap_skip("nor address space", "/proc shows the emulator's memory");
	else
		CHECK(vm_pages() == vm, "nor address space (%lu, %lu pages)", vm, vm_pages());
}

static struct barbuf_map *child_map;

static int write_to_it(void)
{
	*(volatile char *)barbuf_map_addr(child_map) = 1;
	return 0;
}

static int read_it(void)
{
	return *(volatile char *)barbuf_map_addr(child_map);
}

static void rights(void)
{
	struct barbuf_buffer *rw = buffer(0, page, false), *ro = buffer(0, page, true);
	const struct barbuf_map_options read = { .read_only = true };
	const struct barbuf_map_options private = { .no_fork = true };

	if (!rw || !ro)
		return;
	refuses(ro, 0, 0, -EACCES, "a writable mapping of a read-only buffer");
	REQUIRE(!barbuf_map(&child_map, ro, NULL), "by default it is read-only, too");
	CHECK(KILLED_BY(in_child(write_to_it), SIGSEGV) && EXITED_0(in_child(read_it)),
	      "and cannot be written");
	barbuf_unmap(child_map);
	REQUIRE(!barbuf_map(&child_map, rw, &read), "a read-only mapping of another");
	CHECK(KILLED_BY(in_child(write_to_it), SIGSEGV), "cannot be written either");
	barbuf_unmap(child_map);
	REQUIRE(!barbuf_map(&child_map, rw, NULL), "without options it can");
	CHECK(EXITED_0(in_child(write_to_it)), "be written");
	barbuf_unmap(child_map);
	REQUIRE(!barbuf_map(&child_map, rw, &private), "with no_fork");
	if (USER_EMULATION)
		tap_skip("a child has no such mapping",
			 "user emulation keeps MADV_DONTFORK to itself");
	else
		CHECK(KILLED_BY(in_child(read_it), SIGSEGV), "a child has no such mapping");
	barbuf_unmap(child_map);
	barbuf_buffer_free(rw);
	barbuf_buffer_free(ro);
}

/* Is the address what the physical one is, modulo a leaf of 2^shift? */
static void congruent(struct barbuf_buffer *buf, uint64_t in_bar, uint64_t offset, uint64_t length,
		      unsigned int shift)
{
	const struct barbuf_map_options o = { .offset = offset, .length = length };
	struct barbuf_map *map[3];
	unsigned int wrong = 0, i;
	unsigned long vm = vm_pages();
	uint64_t len = 0;

	/* More than one, so that none is right by chance. */
	for (i = 0; i < 3; i++) {
		REQUIRE(!barbuf_map(&map[i], buf, &o), "%#jx bytes at %#jx", (uintmax_t)length,
			(uintmax_t)offset);
		wrong += (((uintptr_t)barbuf_map_addr(map[i]) - (ADDRESS + in_bar + offset)) &
			  ((1ull << shift) - 1)) != 0;
		len += barbuf_map_length(map[i]);
	}
	CHECK(!wrong, "are congruent modulo 2^%u (%u not)", shift, wrong);
	if (USER_EMULATION)
		tap_skip("nothing of the choice is left", "/proc shows the emulator's memory");
	else
		CHECK(vm_pages() - vm <= len / page + 32, "nothing of the choice is left");
	while (i--)
		barbuf_unmap(map[i]);
}

static void chooses_addresses(void)
{
	struct barbuf_buffer *buf = buffer(0x5000, GIB(3), false);
	struct barbuf_buffer *client = NULL;

	if (!buf)
		return;
	congruent(buf, 0x5000, 0, 0, 30);
	congruent(buf, 0x5000, page, MIB(5), 21);
	congruent(buf, 0x5000, MIB(2) - 0x5000, MIB(2), 21);
	congruent(buf, 0x5000, GIB(1), GIB(2), 30);

	/* A client is told by the message. */
	REQUIRE(!barbuf_buffer_adopt(&client, dup(buf->fd)), "the same buffer in a client");
	client->phase = buf->phase;
	client->shift = buf->shift;
	congruent(client, 0x5000, MIB(8), MIB(5), 21);
	barbuf_buffer_free(client);
	barbuf_buffer_free(buf);
}

static bool all_congruent(struct barbuf_buffer *buf, uint64_t in_bar)
{
	struct barbuf_map *map[4];
	bool all = true;
	int i;

	for (i = 0; i < 4; i++) {
		if (barbuf_map(&map[i], buf, NULL))
			return false;
		all &= !(((uintptr_t)barbuf_map_addr(map[i]) - (ADDRESS + in_bar)) & (MIB(2) - 1));
	}
	while (i--)
		barbuf_unmap(map[i]);
	return all;
}

/* The controls: where nothing is gained, nothing is chosen, and the address is the kernel's. */
static void chooses_only_where_it_helps(void)
{
	struct barbuf_buffer *buf = buffer(MIB(3) + 0x7000, MIB(5), false);

	if (!buf)
		return;
	CHECK(all_congruent(buf, MIB(3) + 0x7000), "with a leaf in it the address is chosen");
	buf->memattr = BARBUF_WC;
	CHECK(!all_congruent(buf, MIB(3) + 0x7000), "write-combining it is the kernel's");
	buf->memattr = BARBUF_NC;
	buf->shift = 0;
	CHECK(!all_congruent(buf, MIB(3) + 0x7000), "as without a known alignment");
	barbuf_buffer_free(buf);
}

/* No room for the choice, but for the mapping. */
static int map_without_room(void)
{
	struct rlimit limit;
	struct barbuf_map *map;
	struct barbuf_buffer *buf = export(0, GIB(2), false);

	if (!buf)
		return 1;
	limit.rlim_cur = limit.rlim_max = vm_pages() * page + GIB(2) + MIB(64);
	if (setrlimit(RLIMIT_AS, &limit) || barbuf_map(&map, buf, NULL))
		return 2;
	barbuf_unmap(map);
	limit.rlim_cur = limit.rlim_max = vm_pages() * page + MIB(64);
	if (setrlimit(RLIMIT_AS, &limit) || barbuf_map(&map, buf, NULL) != -ENOMEM)
		return 3;
	return 0;
}

static void bars(void)
{
	struct barbuf_map_options o = { 0 };
	struct barbuf_map *map = (void *)1;
	unsigned int fds = open_fds();
	uint32_t v = 0;

	REQUIRE(!barbuf_map_bar(&map, dev, FAKE_BAR, NULL), "a mapping of a whole BAR");
	CHECK(barbuf_map_length(map) == FAKE_BAR_SIZE &&
		      !(((uintptr_t)barbuf_map_addr(map) - ADDRESS) & (GIB(1) - 1)),
	      "is congruent modulo 1 GiB");
	CHECK(!barbuf_map_write32(map, 12288, 77), "is written");
	barbuf_unmap(map);
	o.offset = 12288;
	o.length = 4096;
	REQUIRE(!barbuf_map_bar(&map, dev, FAKE_BAR, &o), "a part of it");
	CHECK(!barbuf_map_read32(map, 0, &v) && v == 77, "is where it should be");
	barbuf_unmap(map);
	CHECK(open_fds() == fds, "no fd was needed");

	map = (void *)1;
	CHECK(barbuf_map_bar(&map, dev, 6, NULL) == -EINVAL, "the ROM is no BAR");
	CHECK(barbuf_map_bar(&map, dev, 1, NULL) == -EINVAL, "a BAR that cannot be mapped");
	o.offset = FAKE_BAR_SIZE;
	CHECK(barbuf_map_bar(&map, dev, FAKE_BAR, &o) == -ERANGE, "past its end");
	fake.areas = 2;
	o.offset = 4096;
	o.length = 4096;
	CHECK(!barbuf_map_bar(&map, dev, FAKE_BAR, &o), "within the first of two areas");
	barbuf_unmap(map);
	map = (void *)1;
	o.length = 8192;
	CHECK(barbuf_map_bar(&map, dev, FAKE_BAR, &o) == -EINVAL, "over its end");
	o.offset = 8192;
	o.length = 4096;
	CHECK(barbuf_map_bar(&map, dev, FAKE_BAR, &o) == -EINVAL, "in the hole");
	CHECK(barbuf_map_bar(&map, dev, FAKE_BAR, NULL) == -EINVAL, "all of it");
	CHECK(map == (void *)1 && open_fds() == fds, "nothing came of these");
	o.offset = 12288;
	o.length = 0;
	CHECK(!barbuf_map_bar(&map, dev, FAKE_BAR, &o), "all of the second area");
	barbuf_unmap(map);
	fake.areas = 1;
}

#define WIDTH(bits)                                                                           \
	static void width##bits(struct barbuf_map *map)                                       \
	{                                                                                     \
		const uint64_t last = page - bits / 8;                                        \
		uint##bits##_t v = 0, w = (uint##bits##_t)0x8877665544332211ull;              \
                                                                                              \
		CHECK(!barbuf_map_write##bits(map, last, w) &&                                \
			      !barbuf_map_read##bits(map, last, &v) && v == w,                \
		      #bits " bits at the end");                                              \
		v = 1;                                                                        \
		CHECK(barbuf_map_read##bits(map, page, &v) == -ERANGE &&                      \
			      barbuf_map_write##bits(map, page, w) == -ERANGE &&              \
			      barbuf_map_read##bits(map, UINT64_MAX, &v) == -ERANGE &&        \
			      barbuf_map_write##bits(map, UINT64_MAX - bits / 8 + 1, w) ==    \
				      -ERANGE &&                                              \
			      v == 1,                                                         \
		      "not past it");                                                         \
		if (bits > 8)                                                                 \
			CHECK(barbuf_map_read##bits(map, last + 1, &v) == -ERANGE &&          \
				      barbuf_map_read##bits(map, 1, &v) == -EINVAL &&         \
				      barbuf_map_write##bits(map, bits / 16, w) == -EINVAL && \
				      v == 1,                                                 \
			      "nor unaligned");                                               \
	}

WIDTH(8)
WIDTH(16)
WIDTH(32)
WIDTH(64)

static void bounds(void)
{
	struct barbuf_buffer *buf = buffer(0, page, false);
	char out[64] = "out of bounds", in[64] = "";
	struct barbuf_map *map;

	REQUIRE(buf && !barbuf_map(&map, buf, NULL), "a mapping of a page");
	width8(map);
	width16(map);
	width32(map);
	width64(map);
	CHECK(!barbuf_map_copy_to(map, page - 64, out, 64) &&
		      !barbuf_map_copy_from(map, page - 64, in, 64) && !memcmp(in, out, 64),
	      "a copy up to the end");
	CHECK(barbuf_map_copy_to(map, page - 63, out, 64) == -ERANGE &&
		      barbuf_map_copy_from(map, page - 63, in, 64) == -ERANGE &&
		      barbuf_map_copy_from(map, 1, in, SIZE_MAX) == -ERANGE &&
		      barbuf_map_copy_to(map, UINT64_MAX, out, 2) == -ERANGE,
	      "none past it");
	CHECK(!barbuf_map_copy_to(map, page, out, 0), "nothing at the end is nothing");
	CHECK(!barbuf_map_store64b(map, page - 64, in) &&
		      !barbuf_map_copy_from(map, page - 64, out, 64) && !memcmp(in, out, 64),
	      "64 bytes at once");
	CHECK(barbuf_map_store64b(map, page - 32, in) == -ERANGE &&
		      barbuf_map_store64b(map, UINT64_MAX - 63, in) == -ERANGE &&
		      barbuf_map_store64b(map, 32, in) == -EINVAL,
	      "neither past the end nor unaligned");
	CHECK(!barbuf_map_doorbell16(map, 2, 0x1234) &&
		      !barbuf_map_doorbell32(map, 4, 0x56789abc) &&
		      !barbuf_map_doorbell64(map, 8, 0x0123456789abcdef) &&
		      !barbuf_map_copy_from(map, 0, out, 16) &&
		      !memcmp(out + 2, "\x34\x12\xbc\x9a\x78\x56\xef\xcd\xab\x89\x67\x45\x23\x01",
			      14),
	      "doorbells of three widths");
	CHECK(barbuf_map_doorbell16(map, page, 0) == -ERANGE &&
		      barbuf_map_doorbell32(map, page - 2, 0) == -ERANGE &&
		      barbuf_map_doorbell64(map, UINT64_MAX, 0) == -ERANGE &&
		      barbuf_map_doorbell16(map, 1, 0) == -EINVAL &&
		      barbuf_map_doorbell32(map, 2, 0) == -EINVAL &&
		      barbuf_map_doorbell64(map, 4, 0) == -EINVAL,
	      "in bounds and aligned");
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

static atomic_uint told;
static atomic_int last_why;
static void *last_arg;

static void gone(struct barbuf_map *map, enum barbuf_gone why, void *arg)
{
	told++;
	last_why = why;
	last_arg = arg;
}

/* As a suspended buffer does: it stands, and an access raises SIGBUS. */
static void suspend(int fd, bool on)
{
	if (ftruncate(fd, on ? 0 : page))
		_exit(1);
}

static void tells(void)
{
	struct barbuf_map_options o = { .gone = gone, .arg = &told };
	struct barbuf_buffer *buf = buffer(0, page, false);
	struct barbuf_map *map, *silent;
	unsigned int fds;
	char bytes[16];
	uint8_t v;
	int fd;

	if (!buf)
		return;
	fd = dup(buf->fd);
	fds = open_fds();
	REQUIRE(!barbuf_map(&map, buf, &o) && !barbuf_map(&silent, buf, NULL), "two mappings");
	barbuf_buffer_free(buf);

	told = 0;
	CHECK(!barbuf_map_read8(map, 0, &v) && !told, "while it works nothing is told");
	CHECK(barbuf_map_read8(map, page, &v) == -ERANGE && !told, "nor of a wrong offset");
	suspend(fd, true);
	CHECK(barbuf_map_read8(silent, 0, &v) == -EIO && !told, "one mapping has no one to tell");
	CHECK(barbuf_map_read8(map, 0, &v) == -EIO && told == 1 &&
		      last_why == BARBUF_GONE_SUSPENDED && last_arg == &told,
	      "the other tells that it is suspended, though its buffer was freed");
	CHECK(barbuf_map_write64(map, 0, 1) == -EIO &&
		      barbuf_map_copy_from(map, 0, bytes, 16) == -EIO &&
		      barbuf_map_copy_to(map, 0, bytes, 16) == -EIO && told == 1,
	      "once");
	barbuf_map_rearm(map);
	CHECK(barbuf_map_doorbell16(map, 0, 1) == -EIO && told == 2, "a doorbell tells");
	barbuf_map_rearm(map);
	CHECK(barbuf_map_doorbell32(map, 0, 1) == -EIO && told == 3, "of each width");
	barbuf_map_rearm(map);
	CHECK(barbuf_map_doorbell64(map, 0, 1) == -EIO && told == 4, "all three");
	barbuf_map_rearm(map);
	CHECK(barbuf_map_store64b(map, 0, sixty_four) == -EIO && told == 5, "and 64 bytes");
	told = 1;
	suspend(fd, false);
	CHECK(!barbuf_map_write8(map, 0, 1) && told == 1, "it works again");
	suspend(fd, true);
	CHECK(barbuf_map_write8(map, 0, 1) == -EIO && told == 1, "the second time is not told");
	barbuf_map_rearm(map);
	CHECK(told == 1 && barbuf_map_copy_to(map, 0, bytes, 16) == -EIO && told == 2 &&
		      last_why == BARBUF_GONE_SUSPENDED,
	      "but for rearming it");

	/* A revoke, to the fake. */
	REQUIRE(!fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), "revoked after that");
	CHECK(barbuf_map_read32(map, 0, (uint32_t *)bytes) == -EIO && told == 3 &&
		      last_why == BARBUF_GONE_REVOKED,
	      "it tells that, too");
	CHECK(barbuf_map_read32(map, 0, (uint32_t *)bytes) == -EIO && told == 3, "once");
	barbuf_map_rearm(map);
	CHECK(barbuf_map_copy_from(map, 0, bytes, 1) == -EIO && told == 4 &&
		      last_why == BARBUF_GONE_REVOKED,
	      "and once more after rearming it");
	barbuf_unmap(map);
	barbuf_unmap(silent);
	CHECK(open_fds() == fds - 1, "the mapping's own fd goes with it");
	close(fd);
}

/* It may do anything but unmap. */
static void gone_and_rearm(struct barbuf_map *map, enum barbuf_gone why, void *arg)
{
	uint8_t v;

	if (told++ < 3) {
		barbuf_map_rearm(map);
		barbuf_map_read8(map, 0, &v);
	}
}

static void tells_while_telling(void)
{
	const struct barbuf_map_options o = { .gone = gone_and_rearm };
	struct barbuf_buffer *buf = buffer(0, page, false);
	struct barbuf_map *map;
	uint8_t v;

	REQUIRE(buf && !barbuf_map(&map, buf, &o), "a mapping");
	told = 0;
	suspend(buf->fd, true);
	CHECK(barbuf_map_read8(map, 0, &v) == -EIO && told == 4,
	      "gone() may access and rearm the mapping");
	barbuf_unmap(map);
	barbuf_buffer_free(buf);
}

static struct barbuf_map *shared;
static pthread_barrier_t barrier;

#define THREADS 8
#define ROUNDS 300

static void *fail_at_once(void *arg)
{
	uintptr_t wrong = 0;
	uint64_t v;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&barrier);
		wrong += barbuf_map_read64(shared, 0, &v) != -EIO;
		wrong += barbuf_map_write64(shared, 8, v) != -EIO;
		pthread_barrier_wait(&barrier);
	}
	return (void *)wrong;
}

static void one_of_many_tells(void)
{
	const struct barbuf_map_options o = { .gone = gone };
	struct barbuf_buffer *buf = buffer(0, page, false);
	unsigned int wrong = 0, not_once = 0, i;
	pthread_t t[THREADS];
	void *ret;

	REQUIRE(buf && !barbuf_map(&shared, buf, &o), "a mapping for %d threads", THREADS);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	suspend(buf->fd, true);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, fail_at_once, NULL))
			_exit(1);
	for (i = 0; i < ROUNDS; i++) {
		told = 0;
		barbuf_map_rearm(shared);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		not_once += told != 1;
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &ret);
		wrong += (uintptr_t)ret;
	}
	CHECK(!wrong && !not_once, "of %d rounds %u told not once, %u accesses went wrong", ROUNDS,
	      not_once, wrong);
	barbuf_unmap(shared);
	barbuf_buffer_free(buf);
}

static atomic_bool stop_mapping;

/* What another thread maps meanwhile is its own. */
static void *map_and_write(void *arg)
{
	unsigned char there[1];

	while (!atomic_load(&stop_mapping)) {
		char *p = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		int i;

		if (p == MAP_FAILED)
			continue;
		for (i = 0; i < 50; i++) {
			if (mincore(p, page, there)) {
				atomic_store(&stop_mapping, true);
				return (void *)1;
			}
		}
		munmap(p, MIB(2));
	}
	return NULL;
}

/*
 * A revoked buffer refuses to be mapped when the kernel has made room for it already. Like a
 * socket, which says the same, and as late.
 */
static void fails_alone(void)
{
	struct barbuf_buffer revoked = { .size = MIB(4), .shift = 21 };
	struct barbuf_map *map;
	unsigned int i, wrong = 0;
	pthread_t t;
	void *lost = NULL;

	revoked.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	REQUIRE(revoked.fd >= 0 && !pthread_create(&t, NULL, map_and_write, NULL),
		"a thread that maps");
	for (i = 0; i < 50000 && !atomic_load(&stop_mapping); i++)
		wrong += barbuf_map(&map, &revoked, NULL) != -ENODEV;
	atomic_store(&stop_mapping, true);
	pthread_join(t, &lost);
	CHECK(!lost && !wrong, "keeps its mappings while barbuf_map() fails %u times", i);
	close(revoked.fd);
}

int main(void)
{
	page = sysconf(_SC_PAGESIZE);
	dev = fake_device_open();
	if (!CHECK(dev, "a device") || !CHECK(!barbuf_guard_install(), "the handler"))
		return tap_done();
	fake.bar_address = ADDRESS;
	maps();
	rights();
	chooses_addresses();
	chooses_only_where_it_helps();
	if (USER_EMULATION)
		tap_skip("without the room to choose", "user emulation has no RLIMIT_AS");
	else
		CHECK(EXITED_0(in_child(map_without_room)),
		      "without the room to choose it is mapped all the same");
	bars();
	bounds();
	tells();
	tells_while_telling();
	one_of_many_tells();
	if (USER_EMULATION)
		tap_skip("a mapping that fails beside another thread's",
			 "in user emulation it was not done after 12 s");
	else
		fails_alone();
	barbuf_device_close(dev);
	return tap_done();
}
