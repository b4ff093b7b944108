// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the layout: every offset of small layouts against a walk of
 * the unmerged list, and the edges of huge leaves and of what is mapped around
 * a fault.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "layout.h"

#define PG	SZ_4K

/* What the offset must be, from the list as the caller gave it. */
static bool naive_find(const struct phys_vec *vecs, u32 nr, u64 offset,
		       phys_addr_t *paddr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (offset < vecs[i].len) {
			*paddr = vecs[i].paddr + offset;
			return true;
		}
		offset -= vecs[i].len;
	}

	return false;
}

/* Every page of the layout, its extent walked both ways. */
static void check_layout(struct kunit *test, const struct phys_vec *given,
			 u32 nr)
{
	struct phys_vec *vecs;
	struct vfio_pci_layout layout;
	struct vfio_pci_extent ext;
	u64 offset, size = 0;
	phys_addr_t paddr;
	u32 i, entries = vfio_pci_layout_index_len(nr);
	u64 *index = NULL;

	vecs = kunit_kmalloc_array(test, nr, sizeof(*vecs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vecs);
	if (entries) {
		/* Exactly as long as promised: KASAN sees one entry more. */
		index = kunit_kmalloc_array(test, entries, sizeof(*index),
					    GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, index);
	}

	for (i = 0; i < nr; i++) {
		vecs[i] = given[i];
		size += given[i].len;
	}

	vfio_pci_layout_init(&layout, vecs, index, nr);
	KUNIT_ASSERT_GE(test, layout.nr, 1);
	KUNIT_ASSERT_LE(test, layout.nr, nr);
	for (i = 1; i < layout.nr; i++)
		KUNIT_EXPECT_NE(test, vecs[i - 1].paddr + vecs[i - 1].len,
				vecs[i].paddr);

	KUNIT_EXPECT_EQ(test, layout.size, size);

	for (offset = 0; offset < size; offset += PG) {
		KUNIT_ASSERT_TRUE(test, naive_find(given, nr, offset, &paddr));
		KUNIT_ASSERT_TRUE(test,
				  vfio_pci_layout_find(&layout, offset, &ext));
		KUNIT_EXPECT_EQ(test, ext.paddr, paddr);

		/* The extent stays contiguous to its ends, and not beyond. */
		KUNIT_ASSERT_LE(test, ext.before, offset);
		KUNIT_ASSERT_LE(test, ext.after, size - offset);
		KUNIT_EXPECT_TRUE(test, naive_find(given, nr,
						   offset - ext.before,
						   &paddr));
		KUNIT_EXPECT_EQ(test, paddr, ext.paddr - ext.before);
		KUNIT_EXPECT_TRUE(test, naive_find(given, nr,
						   offset + ext.after - PG,
						   &paddr));
		KUNIT_EXPECT_EQ(test, paddr, ext.paddr + ext.after - PG);
		if (naive_find(given, nr, offset + ext.after, &paddr))
			KUNIT_EXPECT_NE(test, paddr, ext.paddr + ext.after);
	}

	/* A cursor from any page goes on as a look-up of each would. */
	for (offset = 0; offset < size; offset += 3 * PG) {
		struct vfio_pci_cursor cur;
		u64 at;

		vfio_pci_layout_seek(&layout, offset, &cur);
		for (at = offset; at < size; at += PG) {
			naive_find(given, nr, at, &paddr);
			KUNIT_ASSERT_EQ(test, vfio_pci_cursor_next(&cur, PG),
					paddr);
		}
	}

	KUNIT_EXPECT_FALSE(test, vfio_pci_layout_find(&layout, size, &ext));
	KUNIT_EXPECT_FALSE(test, vfio_pci_layout_find(&layout, U64_MAX, &ext));
}

static void layout_one_range(struct kunit *test)
{
	const struct phys_vec one[] = { { SZ_4G, 7 * PG } };

	check_layout(test, one, ARRAY_SIZE(one));
}

static void layout_merges_neighbours(struct kunit *test)
{
	const struct phys_vec three[] = {
		{ SZ_4G, PG }, { SZ_4G + PG, 2 * PG }, { SZ_4G + 3 * PG, PG },
	};
	struct phys_vec vecs[ARRAY_SIZE(three)];
	struct vfio_pci_layout layout;

	check_layout(test, three, ARRAY_SIZE(three));

	memcpy(vecs, three, sizeof(three));
	vfio_pci_layout_init(&layout, vecs, NULL, 3);
	KUNIT_EXPECT_EQ(test, layout.nr, 1);
	KUNIT_EXPECT_EQ(test, vecs[0].len, 4 * PG);
}

/* Adjacent in memory, but in the other order: no neighbours in the buffer. */
static void layout_keeps_order(struct kunit *test)
{
	const struct phys_vec swapped[] = {
		{ SZ_4G + PG, PG }, { SZ_4G, PG },
	};
	struct phys_vec vecs[ARRAY_SIZE(swapped)];
	struct vfio_pci_layout layout;

	check_layout(test, swapped, ARRAY_SIZE(swapped));

	memcpy(vecs, swapped, sizeof(swapped));
	vfio_pci_layout_init(&layout, vecs, NULL, 2);
	KUNIT_EXPECT_EQ(test, layout.nr, 2);
}

static void layout_aliases(struct kunit *test)
{
	const struct phys_vec same[] = {
		{ SZ_4G, 2 * PG }, { SZ_4G, 2 * PG }, { SZ_4G + PG, 2 * PG },
	};

	check_layout(test, same, ARRAY_SIZE(same));
}

/* More than 1 TiB: offsets beyond the 40 bits of a VFIO region. */
static void layout_beyond_1t(struct kunit *test)
{
	struct phys_vec vecs[] = {
		{ 0x100000000000ULL, 1ULL << 40 },
		{ 0x300000000000ULL, 1ULL << 40 },
	};
	struct vfio_pci_layout layout;
	struct vfio_pci_extent ext;

	vfio_pci_layout_init(&layout, vecs, NULL, 2);
	KUNIT_ASSERT_TRUE(test, vfio_pci_layout_find(&layout,
						     (1ULL << 40) + 5 * PG,
						     &ext));
	KUNIT_EXPECT_EQ(test, ext.paddr, 0x300000000000ULL + 5 * PG);
	KUNIT_EXPECT_EQ(test, ext.before, 5 * PG);
	KUNIT_EXPECT_EQ(test, ext.after, (1ULL << 40) - 5 * PG);
}

static void layout_random(struct kunit *test)
{
	struct phys_vec *vecs;
	struct rnd_state rnd;
	u32 round, i;

	vecs = kunit_kmalloc_array(test, 64, sizeof(*vecs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vecs);

	prandom_seed_state(&rnd, 7);
	for (round = 0; round < 64; round++) {
		u32 nr = 1 + prandom_u32_state(&rnd) % 64;

		for (i = 0; i < nr; i++) {
			vecs[i].len = (1 + prandom_u32_state(&rnd) % 4) * PG;
			/* A third joins the range before it. */
			if (i && prandom_u32_state(&rnd) % 3 == 0)
				vecs[i].paddr = vecs[i - 1].paddr +
						vecs[i - 1].len;
			else
				vecs[i].paddr = SZ_4G + PG *
					(u64)(prandom_u32_state(&rnd) % 256);
		}
		check_layout(test, vecs, nr);
	}
}

/* Around the length at which there is an index, and around its entries. */
static void layout_index(struct kunit *test)
{
	static const u32 lengths[] = {
		VFIO_PCI_LAYOUT_STRIDE - 1, VFIO_PCI_LAYOUT_STRIDE,
		VFIO_PCI_LAYOUT_STRIDE + 1, 2 * VFIO_PCI_LAYOUT_STRIDE,
		2 * VFIO_PCI_LAYOUT_STRIDE + 1, 3 * VFIO_PCI_LAYOUT_STRIDE - 1,
	};
	struct phys_vec *vecs;
	u32 i, j;

	vecs = kunit_kmalloc_array(test, 3 * VFIO_PCI_LAYOUT_STRIDE,
				   sizeof(*vecs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vecs);
	for (i = 0; i < 3 * VFIO_PCI_LAYOUT_STRIDE; i++)
		vecs[i] = (struct phys_vec){ SZ_4G + 8 * PG * (u64)i,
					     (1 + i % 3) * PG };

	for (j = 0; j < ARRAY_SIZE(lengths); j++)
		check_layout(test, vecs, lengths[j]);
}

static void leaf_in_vma(struct kunit *test)
{
	const u64 va = 0x7f0000200000ULL;
	u64 addr = va + 3 * PG;

	KUNIT_EXPECT_TRUE(test, vfio_pci_vma_holds_leaf(addr, va, va + SZ_2M,
							SZ_2M));
	/* One page short on each side. */
	KUNIT_EXPECT_FALSE(test, vfio_pci_vma_holds_leaf(addr, va + PG,
							 va + SZ_2M, SZ_2M));
	KUNIT_EXPECT_FALSE(test, vfio_pci_vma_holds_leaf(addr, va,
							 va + SZ_2M - PG,
							 SZ_2M));
	KUNIT_EXPECT_TRUE(test, vfio_pci_vma_holds_leaf(addr, addr, addr + PG,
							PG));
}

static void leaf_in_extent(struct kunit *test)
{
	const u64 addr = 0x7f0000200000ULL + 3 * PG;
	struct vfio_pci_extent ext = {
		.paddr = SZ_4G + 3 * PG, .before = 3 * PG,
		.after = SZ_2M - 3 * PG,
	};

	KUNIT_EXPECT_TRUE(test, vfio_pci_extent_holds_leaf(&ext, addr, SZ_2M));
	ext.before -= PG;
	KUNIT_EXPECT_FALSE(test, vfio_pci_extent_holds_leaf(&ext, addr, SZ_2M));
	ext.before += PG;
	ext.after -= PG;
	KUNIT_EXPECT_FALSE(test, vfio_pci_extent_holds_leaf(&ext, addr, SZ_2M));
	ext.after += PG;
	/* Not congruent: any amount of room does not help. */
	ext.paddr += PG;
	ext.before = SZ_1G;
	ext.after = SZ_1G;
	KUNIT_EXPECT_FALSE(test, vfio_pci_extent_holds_leaf(&ext, addr, SZ_2M));
	/* A page always fits. */
	KUNIT_EXPECT_TRUE(test, vfio_pci_extent_holds_leaf(&ext, addr, PG));
}

/* Each of the three bounds on each side, when it is the nearest. */
static void window_bounds(struct kunit *test)
{
	const u64 table = 0x7f0000200000ULL, addr = table + 100 * PG;
	struct phys_vec vec = { SZ_4G, SZ_1G };
	struct vfio_pci_layout layout;
	struct vfio_pci_window w;

	vfio_pci_layout_init(&layout, &vec, NULL, 1);

	w = vfio_pci_layout_window(&layout, SZ_2M, addr, table - SZ_2M,
				   table + SZ_4M, SZ_2M);
	KUNIT_EXPECT_EQ(test, w.before, 100 * PG);
	KUNIT_EXPECT_EQ(test, w.after, SZ_2M - 100 * PG);

	w = vfio_pci_layout_window(&layout, SZ_2M, addr, addr - 3 * PG,
				   addr + 2 * PG, SZ_2M);
	KUNIT_EXPECT_EQ(test, w.before, 3 * PG);
	KUNIT_EXPECT_EQ(test, w.after, 2 * PG);

	w = vfio_pci_layout_window(&layout, 5 * PG, addr, table, table + SZ_2M,
				   SZ_2M);
	KUNIT_EXPECT_EQ(test, w.before, 5 * PG);

	w = vfio_pci_layout_window(&layout, SZ_1G - PG, addr, table,
				   table + SZ_2M, SZ_2M);
	KUNIT_EXPECT_EQ(test, w.after, PG);
}

/* The same for leaves: each bound on each side, in whole leaves. */
static void leaves_bounds(struct kunit *test)
{
	const u64 span = 0x7f0004000000ULL, leaf = SZ_2M;
	const u64 base = span + 3 * leaf, addr = base + 5 * PG;
	const u64 far = SZ_1G;
	struct vfio_pci_extent ext = {
		.paddr = SZ_4G + 5 * PG, .before = far, .after = far,
	};
	struct vfio_pci_window w;

	w = vfio_pci_extent_leaves(&ext, addr, base - far, base + far, leaf,
				   SZ_64M);
	KUNIT_EXPECT_EQ(test, w.before, 3 * leaf);
	KUNIT_EXPECT_EQ(test, w.after, SZ_64M - 3 * leaf);

	/* A page short of a leaf more. */
	w = vfio_pci_extent_leaves(&ext, addr, base - 2 * leaf + PG,
				   base + 3 * leaf - PG, leaf, SZ_64M);
	KUNIT_EXPECT_EQ(test, w.before, leaf);
	KUNIT_EXPECT_EQ(test, w.after, 2 * leaf);

	ext.before = 5 * PG + 2 * leaf - PG;
	ext.after = 3 * leaf - 5 * PG - PG;
	w = vfio_pci_extent_leaves(&ext, addr, base - far, base + far, leaf,
				   SZ_64M);
	KUNIT_EXPECT_EQ(test, w.before, leaf);
	KUNIT_EXPECT_EQ(test, w.after, 2 * leaf);

	/* No more than the leaf itself. */
	ext.before = 5 * PG;
	ext.after = leaf - 5 * PG;
	w = vfio_pci_extent_leaves(&ext, addr, base, base + leaf, leaf, SZ_64M);
	KUNIT_EXPECT_EQ(test, w.before, 0);
	KUNIT_EXPECT_EQ(test, w.after, leaf);
}

static struct kunit_case layout_cases[] = {
	KUNIT_CASE(layout_one_range),
	KUNIT_CASE(layout_merges_neighbours),
	KUNIT_CASE(layout_keeps_order),
	KUNIT_CASE(layout_aliases),
	KUNIT_CASE(layout_beyond_1t),
	KUNIT_CASE(layout_random),
	KUNIT_CASE(layout_index),
	KUNIT_CASE(leaf_in_vma),
	KUNIT_CASE(leaf_in_extent),
	KUNIT_CASE(window_bounds),
	KUNIT_CASE(leaves_bounds),
	{}
};

static struct kunit_suite layout_suite = {
	.name = "vfio_pci_layout",
	.test_cases = layout_cases,
};

kunit_test_suite(layout_suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests of VFIO PCI buffers");
MODULE_LICENSE("GPL");
