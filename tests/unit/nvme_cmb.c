// SPDX-License-Identifier: LGPL-2.1-or-later
/* examples/cmb: what CMBLOC and CMBSZ say, with registers that are a page of memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "map.h"
#include "nvme_cmb.h"
#include "tap.h"

static char *page;
static struct barbuf_map regs = { .length = 4096, .fd = -1 };

static void set(uint64_t cap, uint32_t location, uint32_t size)
{
	memset(page, 0, 4096);
	memcpy(page + 0x00, &cap, 8);
	memcpy(page + 0x38, &location, 4);
	memcpy(page + 0x3c, &size, 4);
}

static uint32_t cmbmsc(void)
{
	uint32_t value;

	memcpy(&value, page + 0x50, 4);
	return value;
}

static void is_at(const char *what, uint32_t want_bar, uint64_t want_offset, uint64_t want_length)
{
	struct barbuf_range cmb = { 0 };
	uint32_t bar = 99;
	int ret = nvme_cmb_find(&regs, &bar, &cmb);

	CHECK(ret == 0, "%s: found (%d)", what, ret);
	CHECK(bar == want_bar && cmb.offset == want_offset && cmb.length == want_length,
	      "%s: BAR %u, offset %#jx, length %#jx", what, bar, (uintmax_t)cmb.offset,
	      (uintmax_t)cmb.length);
}

static void decoded(void)
{
	/* The flags below SZU, and those above BIR, are no part of the numbers. */
	set(0, 0x2, 0x0001021f);
	is_at("16 units of 1 MiB", 2, 0, 16ull << 20);
	set(0, 0x3 | 0xff8 | 5 << 12, 3 << 12);
	is_at("3 pages behind 5", 3, 5 * 4096, 3 * 4096);
	set(0, 0x4 | 0xfffffu << 12, 0x100 | 1 << 12);
	is_at("64 KiB at the greatest offset", 4, 0xfffffull << 16, 1 << 16);
	set(0, 0, 0x600u | 0xfffffu << 12);
	is_at("the greatest", 0, 0, 0xfffffull << 36);
}

static void enabled(void)
{
	set(0, 2, 0x1200);
	is_at("before 1.4", 2, 0, 1 << 20);
	CHECK(cmbmsc() == 0, "a controller that does not offer CMBMSC is not written to");
	set(1ull << 57, 2, 0x1200);
	is_at("1.4", 2, 0, 1 << 20);
	CHECK(cmbmsc() == 1, "one that does has it enabled: %#x", cmbmsc());
}

static void none(void)
{
	struct barbuf_range cmb = { 1, 2 };
	uint32_t bar = 99;
	int ret;

	set(1ull << 57, 0, 0);
	ret = nvme_cmb_find(&regs, &bar, &cmb);
	CHECK(ret == -ENOENT, "no CMB: %d", ret);
	set(0, 2, 0xf00);
	ret = nvme_cmb_find(&regs, &bar, &cmb);
	CHECK(ret == -ENOENT, "a unit but no size: %d", ret);
	memset(page, 0xff, 4096);
	ret = nvme_cmb_find(&regs, &bar, &cmb);
	CHECK(ret == -EIO, "a controller that has left reads as all ones: %d", ret);
	set(0, 0, 0x700 | 1 << 12);
	ret = nvme_cmb_find(&regs, &bar, &cmb);
	CHECK(ret == -EIO, "a unit that is reserved: %d", ret);
	CHECK(bar == 99 && cmb.offset == 1 && cmb.length == 2, "nothing was written");
}

static void fits_at(const char *what, struct barbuf_range cmb, uint64_t bar, int want,
		    uint64_t want_length)
{
	uint64_t offset = cmb.offset;
	int ret = nvme_cmb_fit(&cmb, bar);

	CHECK(ret == want && cmb.offset == offset && cmb.length == want_length,
	      "%s: %d, %#jx bytes at %#jx", what, ret, (uintmax_t)cmb.length,
	      (uintmax_t)cmb.offset);
}

static void fitted(void)
{
	fits_at("all of the BAR", (struct barbuf_range){ 0, 1 << 20 }, 1 << 20, 0, 1 << 20);
	fits_at("its end", (struct barbuf_range){ 4096, 4096 }, 8192, 0, 4096);
	fits_at("more than the BAR", (struct barbuf_range){ 0, 1ull << 36 }, 1 << 20, 1, 1 << 20);
	fits_at("past its end", (struct barbuf_range){ 4096, 8192 }, 8192, 1, 4096);
	fits_at("a length that wraps", (struct barbuf_range){ 4096, -4096ull }, 8192, 1, 4096);
	fits_at("behind it", (struct barbuf_range){ 8192, 4096 }, 8192, -ENOENT, 4096);
	fits_at("a BAR that is none", (struct barbuf_range){ 0, 4096 }, 0, -ENOENT, 4096);
}

static void taken_away(void)
{
	struct barbuf_range cmb;
	uint32_t bar;
	int ret;

	regs.length = 0x38;
	set(0, 2, 0x1200);
	ret = nvme_cmb_find(&regs, &bar, &cmb);
	CHECK(ret == -EIO, "registers that cannot be read: %d", ret);
	regs.length = 4096;
}

int main(void)
{
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	regs.addr = page;
	decoded();
	enabled();
	none();
	fitted();
	taken_away();
	return tap_done();
}
