// SPDX-License-Identifier: LGPL-2.1-or-later
/* Buffers as objects: what they are asked for and know, and that a failure leaves nothing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barbuf.h>

#include "buffer.h"
#include "fake_device.h"
#include "phase.h"
#include "tap.h"

static const struct barbuf_range two[] = { { 0x3000, 0x1000 }, { 0, 0x2000 } };
static const struct barbuf_export plain = { .bar = FAKE_BAR, .ranges = two, .nr_ranges = 2 };

static void exports(void)
{
	struct barbuf_export x = plain;
	const struct barbuf_range *ranges;
	struct barbuf_range mine[2];
	struct barbuf_device *dev = fake_device_open();
	struct barbuf_buffer *buf;
	unsigned int fds;
	size_t nr = 0;

	REQUIRE(dev, "a device");
	fds = open_fds();
	memcpy(mine, two, sizeof(mine));
	x.ranges = mine;
	REQUIRE(!barbuf_buffer_export(&buf, dev, &x), "an export");
	memset(mine, 0, sizeof(mine));
	CHECK(fake.open_flags == (O_RDWR | O_CLOEXEC), "is for reading and writing");
	CHECK(barbuf_buffer_fd(buf) == fake.last_fd && barbuf_buffer_size(buf) == 0x3000,
	      "has the kernel's fd, and the size of its ranges");
	CHECK(!barbuf_buffer_read_only(buf) && barbuf_buffer_memattr(buf) == BARBUF_NC &&
		      !barbuf_buffer_tag(buf) && !strcmp(barbuf_buffer_name(buf), "") &&
		      !fake.name[0],
	      "and nothing that was not asked for");
	ranges = barbuf_buffer_ranges(buf, &nr);
	CHECK(nr == 2 && !memcmp(ranges, two, sizeof(two)), "it has a copy of the ranges");
	CHECK(barbuf_buffer_check(buf) == 0, "it stands");
	CHECK(!barbuf_buffer_revoke(buf) && fake.revokes == 1 &&
		      fake.last_fd == barbuf_buffer_fd(buf),
	      "its fd is revoked");
	fake.revoke_error = -EBADFD;
	CHECK(barbuf_buffer_revoke(buf) == -EBADFD, "a second time is the kernel's to refuse");
	barbuf_buffer_free(buf);
	CHECK(open_fds() == fds, "its fd goes with it");

	x = plain;
	x.read_only = true;
	x.memattr = BARBUF_WC;
	x.name = "thirty-one bytes make a name ok";
	REQUIRE(!barbuf_buffer_export(&buf, dev, &x), "an export with all there is");
	CHECK(fake.open_flags == (O_RDONLY | O_CLOEXEC) && barbuf_buffer_read_only(buf),
	      "is read-only");
	CHECK(fake.memattr == 1 && barbuf_buffer_memattr(buf) == BARBUF_WC, "write-combining");
	CHECK(!strcmp(fake.name, x.name) && !strcmp(barbuf_buffer_name(buf), x.name),
	      "and has its name");
	barbuf_buffer_free(buf);
	barbuf_buffer_free(NULL);
	barbuf_device_close(dev);
}

static void fails(struct barbuf_device *dev, const struct barbuf_export *x, int error,
		  const char *what)
{
	struct barbuf_buffer *buf = (void *)1;
	unsigned int fds = open_fds();
	int ret = barbuf_buffer_export(&buf, dev, x);

	CHECK(ret == error && buf == (void *)1, "%s: %s", what, strerror(-ret));
	CHECK(open_fds() == fds, "and nothing is left");
}

static void exports_that_fail(void)
{
	struct barbuf_export x = plain;
	struct barbuf_device *dev = fake_device_open();

	REQUIRE(dev, "a device");
	fake.export_error = -ENOTTY;
	fails(dev, &x, -ENOTTY, "a kernel that cannot export");
	fake.export_error = 0;
	x.nr_ranges = 0;
	fails(dev, &x, -EINVAL, "no range");
	x = plain;
	x.bar = 1;
	fails(dev, &x, -EINVAL, "a BAR that the kernel refuses");

	x = plain;
	x.memattr = BARBUF_WC;
	fake.memattr_error = -ENOTTY;
	fails(dev, &x, -EOPNOTSUPP, "a kernel without attributes");
	fake.memattr_error = -ENOMEM;
	fails(dev, &x, -ENOMEM, "an attribute that fails otherwise");
	fake.exports = 0;
	x.reserved[1] = 1;
	fails(dev, &x, -EINVAL, "what a later library knows");
	x.reserved[1] = 0;
	x.memattr = 2;
	fails(dev, &x, -ENOENT, "an attribute that is none");

	x = plain;
	x.name = "thirty-two bytes are one too many";
	fails(dev, &x, -ENAMETOOLONG, "a name too long");
	CHECK(!fake.exports, "the kernel was not asked for the last three");
	x.name = "ok";
	fake.name_error = -ENOTTY;
	fails(dev, &x, -EOPNOTSUPP, "a kernel without names");
	fake.name_error = -EFAULT;
	fails(dev, &x, -EFAULT, "a name that fails otherwise");
	barbuf_device_close(dev);
}

/* In any order of their ends. */
static void outlives_the_device(void)
{
	struct barbuf_device *dev = fake_device_open();
	struct barbuf_buffer *buf[4];
	unsigned int i, revokes;

	REQUIRE(dev, "a device");
	for (i = 0; i < 4; i++)
		REQUIRE(!barbuf_buffer_export(&buf[i], dev, &plain), "export %u", i);
	barbuf_buffer_free(buf[1]);
	barbuf_buffer_free(buf[3]);
	CHECK(!barbuf_buffer_revoke(buf[0]) && !barbuf_buffer_revoke(buf[2]),
	      "the others are still the device's");
	revokes = fake.revokes;
	barbuf_device_close(dev);
	CHECK(fake.revokes == revokes + 2, "which revokes what is left when it is closed");
	CHECK(barbuf_buffer_revoke(buf[0]) == -EOPNOTSUPP &&
		      barbuf_buffer_revoke(buf[2]) == -EOPNOTSUPP && fake.revokes == revokes + 2,
	      "without their device they cannot be revoked");
	CHECK(barbuf_buffer_size(buf[2]) == 0x3000, "but still be described");
	barbuf_buffer_free(buf[2]);
	barbuf_buffer_free(buf[0]);
}

/* What a forked child closes is its copies; the parent goes on lending. */
static void child_closes(void)
{
	struct barbuf_device *dev = fake_device_open();
	struct barbuf_buffer *buf;
	int status = 0;
	pid_t pid;

	REQUIRE(dev && !barbuf_buffer_export(&buf, dev, &plain), "a device and a buffer");
	pid = fork();
	if (!pid) {
		unsigned int revokes = fake.revokes;

		barbuf_device_close(dev);
		_exit(fake.revokes != revokes);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid, "a child");
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "that closes the device revokes nothing");
	barbuf_buffer_free(buf);
	barbuf_device_close(dev);
}

static void adopts(void)
{
	struct barbuf_buffer *buf = (void *)1;
	size_t nr = 7;
	int fd;

	CHECK(barbuf_buffer_adopt(&buf, -1) == -EBADF && buf == (void *)1, "no fd: EBADF");
	fd = memfd_create("other", MFD_CLOEXEC);
	CHECK(barbuf_buffer_adopt(&buf, fd) == -EINVAL && buf == (void *)1, "no DMABUF: EINVAL");
	CHECK(fcntl(fd, F_GETFD) >= 0, "and the fd is still the caller's");
	close(fd);

	fd = memfd_create("dmabuf:slice", MFD_CLOEXEC);
	REQUIRE(fd >= 0 && !ftruncate(fd, 0x5000) && !barbuf_buffer_adopt(&buf, fd), "a DMABUF");
	CHECK(barbuf_buffer_fd(buf) == fd && barbuf_buffer_size(buf) == 0x5000 &&
		      !strcmp(barbuf_buffer_name(buf), "slice") && !barbuf_buffer_read_only(buf),
	      "is as the kernel says");
	CHECK(!barbuf_buffer_ranges(buf, &nr) && nr == 0, "its ranges are not told");
	CHECK(barbuf_buffer_memattr(buf) == BARBUF_MEMATTR_UNKNOWN, "nor its attribute");
	CHECK(barbuf_buffer_revoke(buf) == -EOPNOTSUPP, "it is not ours to revoke");
	barbuf_buffer_free(buf);
	CHECK(fcntl(fd, F_GETFD) < 0, "its fd goes with it");
}

#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define ADDRESS (GIB(0x300) + MIB(2) * 3)

static void phase_of(const struct barbuf_range *ranges, size_t nr, unsigned int shift,
		     uint64_t phase, const char *what)
{
	uint64_t got = 1;
	unsigned int s = barbuf__phase(ADDRESS, ranges, nr, &got);

	CHECK(s == shift && got == phase, "%s: 2^%u, %#jx", what, s, (uintmax_t)got);
}

static void phases(void)
{
	const struct barbuf_range small[] = { { 0x3000, MIB(1) } };
	const struct barbuf_range one[] = { { 0x3000, MIB(5) } };
	const struct barbuf_range late[] = { { 0x5000, 0x1000 }, { MIB(4), MIB(3) } };
	const struct barbuf_range merged[] = { { MIB(16), MIB(1) }, { MIB(17), MIB(1) } };
	const struct barbuf_range apart[] = { { MIB(16), MIB(1) }, { MIB(18), MIB(1) } };
	const struct barbuf_range edge[] = { { MIB(16) + 0x1000, MIB(3) } };
	const struct barbuf_range no_edge[] = { { MIB(16) + 0x1000, MIB(4) - 0x1000 } };
	const struct barbuf_range wrap[] = { { MIB(4), MIB(1) }, { 0, MIB(2) } };
	const struct barbuf_range giant[] = { { 0, 0x1000 }, { MIB(2), GIB(2) } };
	uint64_t phase = 1;

	phase_of(small, 1, 0, MIB(6) + 0x3000, "less than 2 MiB");
	phase_of(one, 1, 21, MIB(6) + 0x3000, "one that holds 2 MiB");
	phase_of(late, 2, 21, MIB(10) - 0x1000, "the longer run counts");
	phase_of(merged, 2, 21, MIB(22), "neighbours are one run");
	phase_of(apart, 2, 0, MIB(22), "others are not");
	phase_of(edge, 1, 0, MIB(22) + 0x1000, "3 MiB with no whole 2 MiB in them");
	phase_of(no_edge, 1, 21, MIB(22) + 0x1000, "and a little more with one");
	phase_of(wrap, 2, 21, MIB(5), "a run behind another");
	phase_of(giant, 2, 30, MIB(8) - 0x1000, "a run with 1 GiB");
	CHECK(barbuf__phase(0, giant, 2, &phase) == 0 && phase == 0, "no address, no phase");
}

static void phase_by_export(void)
{
	const struct barbuf_range range = { MIB(4), MIB(3) };
	const struct barbuf_export x = { .bar = FAKE_BAR, .ranges = &range, .nr_ranges = 1 };
	struct barbuf_device *dev = fake_device_open();
	struct barbuf_buffer *buf;

	REQUIRE(dev, "a device");
	fake.bar_address = ADDRESS;
	REQUIRE(!barbuf_buffer_export(&buf, dev, &x), "an export");
	CHECK(buf->shift == 21 && buf->phase == MIB(10), "the BAR's address is that of its line");
	barbuf_buffer_free(buf);
	fake.bar_address = 0;
	REQUIRE(!barbuf_buffer_export(&buf, dev, &x), "without sysfs");
	CHECK(buf->shift == 0 && buf->phase == 0, "there is no alignment");
	barbuf_buffer_free(buf);
	barbuf_device_close(dev);
}

int main(void)
{
	exports();
	exports_that_fail();
	outlives_the_device();
	child_closes();
	adopts();
	phases();
	phase_by_export();
	return tap_done();
}
