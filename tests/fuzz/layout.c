// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"

#include "fuzz.h"

#define PAGE UINT64_C(4096)
#define TIB (UINT64_C(1) << 40)
#define MAX_RANGES 512
#define MAX_QUESTIONS 64

/* The ranges as they were given, and the kernel's layout of a copy of them. */
struct subject {
	struct phys_vec given[MAX_RANGES];
	struct phys_vec merged[MAX_RANGES];
	u64 index[MAX_RANGES];
	u32 nr;
	u64 size;
	struct vfio_pci_layout layout;
};

#define NR_LEAVES 4

/* What has been asked so far. */
static struct {
	uint64_t lookups;
	uint64_t merged; /* ranges that merging removed */
	uint64_t high; /* lookups at offsets of 1 TiB and more */
	uint64_t leaf_yes[NR_LEAVES]; /* by leaf size, smallest first */
	uint64_t leaf_no[NR_LEAVES];
} stats;

/* Of the first @classes orders of magnitude, and 1 page often. */
static u64 take_length(struct fuzz_input *in, unsigned int classes)
{
	switch (fuzz_take(in, 1) % classes) {
	case 0:
	case 1:
	case 2:
		return PAGE;
	case 3:
		return PAGE * (1 + fuzz_take(in, 1));
	case 4:
		return (2ull << 20) * (1 + fuzz_take(in, 1) % 4);
	case 5:
		return (1ull << 30) * (1 + fuzz_take(in, 1) % 3);
	case 6:
		return PAGE * (1 + fuzz_take(in, 3));
	default:
		return PAGE * (1 + fuzz_take(in, 4)); /* up to 16 TiB */
	}
}

/* Next to, equal to or far from the one before. */
static u64 take_paddr(struct fuzz_input *in, const struct phys_vec *last)
{
	switch (fuzz_take(in, 1) % 8) {
	case 0:
	case 1:
		return last ? last->paddr + last->len : 0;
	case 2:
		return last ? last->paddr : PAGE;
	case 3:
		return last ? last->paddr + last->len + PAGE : 2 * PAGE;
	case 4:
		return last && last->paddr >= PAGE ? last->paddr - PAGE : 0;
	case 5:
		return PAGE * fuzz_take(in, 1);
	case 6:
		return (2ull << 20) * fuzz_take(in, 2);
	default:
		return PAGE * fuzz_take(in, 5);
	}
}

static void take_ranges(struct fuzz_input *in, struct subject *s)
{
	/* In one list of eight there is a range of TiBs, which would dwarf the rest. */
	unsigned int classes = 1 + fuzz_take(in, 1) % 8;
	u32 i;

	s->nr = 1 + fuzz_take(in, 2) % MAX_RANGES;
	/* Short inputs: do not pad with hundreds of equal ranges. */
	if (s->nr > 1 + in->left / 2)
		s->nr = 1 + in->left / 2;
	s->size = 0;
	for (i = 0; i < s->nr; i++) {
		s->given[i].paddr = take_paddr(in, i ? &s->given[i - 1] : NULL);
		s->given[i].len = take_length(in, classes);
		s->size += s->given[i].len;
	}
}

/* What is at @offset, by walking the ranges as they were given. */
static bool naive_find(const struct subject *s, u64 offset, struct vfio_pci_extent *ext)
{
	u32 i, j;

	for (i = 0; i < s->nr && offset >= s->given[i].len; i++)
		offset -= s->given[i].len;
	if (i == s->nr)
		return false;
	ext->paddr = s->given[i].paddr + offset;
	ext->before = offset;
	ext->after = s->given[i].len - offset;
	for (j = i; j && s->given[j - 1].paddr + s->given[j - 1].len == s->given[j].paddr; j--)
		ext->before += s->given[j - 1].len;
	for (j = i; j + 1 < s->nr && s->given[j].paddr + s->given[j].len == s->given[j + 1].paddr;
	     j++)
		ext->after += s->given[j + 1].len;
	return true;
}

static const char *check_merge(const struct subject *s)
{
	u64 sum = 0;
	u32 i;

	if (!s->layout.nr || s->layout.nr > s->nr)
		return fuzz_wrong("%u ranges became %u", s->nr, s->layout.nr);
	for (i = 0; i < s->layout.nr; i++) {
		const struct phys_vec *v = &s->layout.vecs[i];

		if (s->layout.nr > VFIO_PCI_LAYOUT_STRIDE && !(i % VFIO_PCI_LAYOUT_STRIDE) &&
		    s->layout.index[i / VFIO_PCI_LAYOUT_STRIDE] != sum)
			return fuzz_wrong("merged range %u begins at %#" PRIx64 ", not %#" PRIx64, i,
				     s->layout.index[i / VFIO_PCI_LAYOUT_STRIDE], sum);
		if (i && v[-1].paddr + v[-1].len == v->paddr)
			return fuzz_wrong("ranges %u and %u are adjacent and not merged", i - 1, i);
		sum += v->len;
	}
	if (sum != s->size || s->layout.size != s->size)
		return fuzz_wrong("size is %#" PRIx64 ", of the ranges %#" PRIx64 ", was %#" PRIx64,
			     s->layout.size, sum, s->size);
	return NULL;
}

static const char *check_find(const struct subject *s, u64 offset)
{
	struct vfio_pci_extent got = { 1, 2, 3 };
	struct vfio_pci_extent want = { 1, 2, 3 };
	bool got_found, want_found;

	got_found = vfio_pci_layout_find(&s->layout, offset, &got);
	want_found = naive_find(s, offset, &want);
	stats.lookups++;
	stats.high += want_found && offset >= TIB;
	if (got_found != want_found)
		return fuzz_wrong("offset %#" PRIx64 " of %#" PRIx64 ": %s", offset, s->size,
			     got_found ? "found outside" : "not found");
	if (got.paddr != want.paddr || got.before != want.before || got.after != want.after)
		return fuzz_wrong("offset %#" PRIx64 ": got %#" PRIx64 " -%#" PRIx64 " +%#" PRIx64
			     ", want %#" PRIx64 " -%#" PRIx64 " +%#" PRIx64,
			     offset, got.paddr, got.before, got.after, want.paddr, want.before,
			     want.after);
	return NULL;
}

/*
 * May a leaf be at [start, start + leaf) of a VMA whose first byte shows offset
 * @pgoff? Walk it: every byte must be in the VMA and where the leaf puts it.
 */
static bool naive_leaf(const struct subject *s, u64 start, u64 leaf, u64 vma_start, u64 vma_end,
		       u64 pgoff)
{
	struct vfio_pci_extent ext;
	u64 base = 0;
	u64 done;

	if (start < vma_start || start + leaf > vma_end)
		return false;
	for (done = 0; done < leaf; done += ext.after) {
		if (!naive_find(s, start + done - vma_start + pgoff, &ext))
			return false;
		if (!done)
			base = ext.paddr;
		if (ext.paddr != base + done)
			return false;
	}
	return base % leaf == 0;
}

/*
 * What one fault at @addr maps around it: each page where it belongs, and with a
 * page more on either side it would leave the page table, the VMA or the buffer.
 */
static const char *check_window(const struct subject *s, u64 addr, u64 vma_start, u64 vma_end,
				u64 pgoff)
{
	const u64 span = 2ull << 20;
	u64 offset = addr - vma_start + pgoff, from, to, at;
	struct vfio_pci_extent ext;
	struct vfio_pci_cursor cur;
	struct vfio_pci_window w;

	w = vfio_pci_layout_window(&s->layout, offset, addr, vma_start, vma_end, span);
	if (w.before > offset || w.after > s->size - offset)
		return fuzz_wrong("a window of -%#" PRIx64 " +%#" PRIx64 " at %#" PRIx64 " of %#" PRIx64,
			     w.before, w.after, offset, s->size);
	from = addr - w.before;
	to = addr + w.after;
	if (from < vma_start || to > vma_end || from / span != (to - 1) / span)
		return fuzz_wrong("a window %#" PRIx64 "-%#" PRIx64 " of a VMA %#" PRIx64 "-%#" PRIx64,
			     from, to, vma_start, vma_end);
	if ((from % span && from > vma_start && offset > w.before) ||
	    (to % span && to < vma_end && s->size > offset + w.after))
		return fuzz_wrong("a window %#" PRIx64 "-%#" PRIx64 " could be larger", from, to);
	vfio_pci_layout_seek(&s->layout, offset - w.before, &cur);
	for (at = from; at < to; at += PAGE) {
		u64 paddr = vfio_pci_cursor_next(&cur, PAGE);

		/* The naive walk is slow: one of seven, and the last. */
		if ((at - from) / PAGE % 7 && at + PAGE < to)
			continue;
		if (!naive_find(s, at - vma_start + pgoff, &ext) || ext.paddr != paddr)
			return fuzz_wrong("a cursor at %#" PRIx64 " gives %#" PRIx64,
				     at - vma_start + pgoff, paddr);
	}
	return NULL;
}

static const char *check_leaf(const struct subject *s, struct fuzz_input *in)
{
	static const u64 leaves[NR_LEAVES] = { PAGE, 16 * PAGE, 2ull << 20, 1ull << 30 };
	unsigned int order = fuzz_take(in, 1) % NR_LEAVES;
	u64 leaf = leaves[order];
	u64 pages = s->size / PAGE;
	struct vfio_pci_extent ext;
	u64 pgoff, span, at, vma_start, vma_end, addr;
	bool got, want;

	/* The VMA shows pages pgoff to pgoff + span of the buffer; the fault is at page at. */
	pgoff = fuzz_take(in, 1) % 4 ? 0 : fuzz_take(in, 5) % pages;
	span = pages - pgoff;
	if (fuzz_take(in, 1) % 4 == 0)
		span = 1 + fuzz_take(in, 5) % span;
	at = pgoff + fuzz_take(in, 5) % span;
	if (!naive_find(s, at * PAGE, &ext))
		return fuzz_wrong("page %#" PRIx64 " of %#" PRIx64 " is outside", at, pages);

	/* Mostly a user address that agrees with the physical one, as a good mmap gives. */
	addr = (1ull << 62) + ext.paddr % leaf;
	if (fuzz_take(in, 1) % 4 == 0)
		addr += PAGE * fuzz_take(in, 2);
	vma_start = addr - (at - pgoff) * PAGE;
	vma_end = vma_start + span * PAGE;

	if (!vfio_pci_layout_find(&s->layout, at * PAGE, &ext))
		return fuzz_wrong("page %#" PRIx64 " is not found", at);
	got = vfio_pci_vma_holds_leaf(addr, vma_start, vma_end, leaf) &&
	      vfio_pci_extent_holds_leaf(&ext, addr, leaf);
	want = naive_leaf(s, addr - addr % leaf, leaf, vma_start, vma_end, pgoff * PAGE);
	if (got != want)
		return fuzz_wrong("a leaf of %#" PRIx64 " at %#" PRIx64 " in a VMA %#" PRIx64
			     "-%#" PRIx64 " of offset %#" PRIx64 ": %s",
			     leaf, addr, vma_start, vma_end, pgoff * PAGE,
			     got ? "allowed" : "refused");
	if (got)
		stats.leaf_yes[order]++;
	else
		stats.leaf_no[order]++;
	return check_window(s, addr, vma_start, vma_end, pgoff * PAGE);
}

/* Around each boundary of the ranges as given. */
static const char *check_boundaries(const struct subject *s)
{
	const char *why = NULL;
	u64 at = 0;
	u32 i;

	for (i = 0; i < s->nr && !why; i++) {
		why = check_find(s, at);
		if (!why)
			why = check_find(s, at + s->given[i].len - 1);
		at += s->given[i].len;
	}
	return why;
}

static const char *check(const uint8_t *data, size_t size)
{
	static struct subject s;
	struct fuzz_input in = { data, size };
	const char *why;
	int i;

	take_ranges(&in, &s);
	memcpy(s.merged, s.given, s.nr * sizeof(s.given[0]));
	/* Few ranges have no index: a read of it must fail loudly. */
	memset(s.index, 0xff, sizeof(s.index));
	vfio_pci_layout_init(&s.layout, s.merged, vfio_pci_layout_index_len(s.nr) ? s.index : NULL, s.nr);
	stats.merged += s.nr - s.layout.nr;

	why = check_merge(&s);
	if (!why)
		why = check_boundaries(&s);
	if (!why)
		why = check_find(&s, s.size);
	if (!why)
		why = check_find(&s, UINT64_MAX);
	for (i = 0; i < MAX_QUESTIONS && in.left && !why; i++) {
		why = check_find(&s, fuzz_take(&in, 6) % (s.size + PAGE));
		if (!why)
			why = check_leaf(&s, &in);
	}
	return why;
}

static const char *coverage(unsigned int i, bool *met)
{
	static const char *const leaf_names[NR_LEAVES] = { "4K", "64K", "2M", "1G" };
	static char text[128];

	if (i == 0) {
		*met = stats.merged;
		snprintf(text, sizeof(text), "%" PRIu64 " ranges were merged", stats.merged);
	} else if (i == 1) {
		*met = stats.high && stats.high < stats.lookups / 2;
		snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64 " lookups were beyond 1 TiB",
			 stats.high, stats.lookups);
	} else if (i == 2) {
		*met = stats.leaf_yes[0] && !stats.leaf_no[0];
		snprintf(text, sizeof(text), "one page can always be mapped");
	} else if (i - 2 < NR_LEAVES) {
		uint64_t yes = stats.leaf_yes[i - 2], no = stats.leaf_no[i - 2];

		*met = yes && no;
		snprintf(text, sizeof(text),
			 "leaves of %s: %" PRIu64 " allowed, %" PRIu64 " refused",
			 leaf_names[i - 2], yes, no);
	} else {
		return NULL;
	}
	return text;
}

const struct fuzz_subject fuzz_subject = {
	.name = "layout",
	.check = check,
	.coverage = coverage,
	.iterations = 30000,
};
