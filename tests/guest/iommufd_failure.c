// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocations that fail under a DMA mapping of a BAR by iommufd, the first, the second, the
 * third..., until one passes with none failing: the mapping is made as a whole or not at all.
 * Where a device comes back there is nobody to give an error to: the mapping is missing, and
 * comes with the next return.
 */
#include <sys/mman.h>

#include "dma.h"
#include "fail_nth.h"

#define AT	 MIB(1)
#define SIZE	 (4 * PAGE)
#define MOST	 200

/* No more; whether one has. */
static bool fail_end(void)
{
	bool failed = did_fail();

	fail_nth(0);
	return failed;
}

static void nothing_is_left(struct rig *rig, uint64_t size)
{
	CHECK(try_dma_unmap(&rig->dma, RIG_IOVA, size) <= 0);
}

static void map_piece(const struct dma_way *way)
{
	unsigned int n, failures = 0;
	struct piece lent;
	bool failed = true;
	struct rig rig;
	int ret, err;

	fail_nth_prepare();
	rig_open(&rig, way, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	for (n = 1; failed && n < MOST; n++) {
		fail_nth(n);
		ret = try_dma_map_piece(&rig.dma, RIG_IOVA, &lent, 0, SIZE, DMA_BOTH);
		err = errno;
		failed = fail_end();
		if (ret) {
			CHECK(failed);
			/* ENOENT: iommufd has a point of failure of its own, for its selftest. */
			CHECK_MSG(err == ENOMEM || err == ENOENT, "allocation %u: %s", n,
				  strerror_name(err));
			failures++;
			nothing_is_left(&rig, SIZE);
		} else {
			dma_unmap(&rig.dma, RIG_IOVA, SIZE);
		}
	}
	CHECK(!failed);
	CHECK(failures);
	note("%u allocations, %u of them needed", n - 2, failures);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	CHECK_REACHED(&rig, RIG_IOVA, lent.seen);
	piece_close(&lent);
	rig_close(&rig);
}
DMA_CASE_OF(map_piece, compat)
DMA_CASE_OF(map_piece, native)

/* Memory, a BAR and memory by one call. */
static void map_three_parts(void)
{
	unsigned int n, failures = 0;
	bool failed = true;
	struct piece lent;
	unsigned char *p;
	struct rig rig;
	int ret, err;
	long pinned;

	fail_nth_prepare();
	rig_open(&rig, &dma_compat, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	p = dma_memory(3 * SIZE);
	CHECK(mmap(p + SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, lent.fd, 0) ==
	      p + SIZE);
	/* The memory is there: it is not what fails. */
	p[0] = p[2 * SIZE] = 1;
	pinned = pinned_pages();
	for (n = 1; failed && n < MOST; n++) {
		fail_nth(n);
		ret = try_dma_map(&rig.dma, RIG_IOVA, p, 3 * SIZE, DMA_BOTH);
		err = errno;
		failed = fail_end();
		if (ret) {
			CHECK(failed);
			CHECK_MSG(err == ENOMEM || err == EFAULT, "allocation %u: %s", n,
				  strerror_name(err));
			failures++;
			nothing_is_left(&rig, 3 * SIZE);
			CHECK_EQ(pinned_pages(), pinned);
		} else {
			dma_unmap(&rig.dma, RIG_IOVA, 3 * SIZE);
		}
	}
	CHECK(!failed);
	CHECK(failures);
	note("%u allocations, %u of them needed", n - 2, failures);
	piece_close(&lent);
	rig_close(&rig);
}

static void return_of_access(void)
{
	unsigned int n, missing = 0;
	bool failed = true;
	struct piece lent;
	struct rig rig;

	fail_nth_prepare();
	rig_open(&rig, &dma_native, "ivshmem", 2, MIB(4));
	rig_buffer(&rig, &lent, AT, SIZE);
	dma_map_piece(&rig.dma, RIG_IOVA, &lent);
	/* A second place, and one that needs page tables of its own. */
	OK(rig.dma.way->map_file(&rig.dma, MIB(128), lent.fd, 0, SIZE, DMA_BOTH));
	for (n = 1; failed && n < MOST; n++) {
		memory_decode(rig.dev, false);
		/* A new domain, which has no page tables there yet. */
		ioas_leave(rig.initiator);
		ioas_join(rig.initiator, rig.dma.ioas);
		fail_nth(n);
		memory_decode(rig.dev, true);
		failed = fail_end();
		if (!rig_stores(&rig, RIG_IOVA, lent.seen) ||
		    !rig_stores(&rig, MIB(128), lent.seen)) {
			CHECK(failed);
			missing++;
			memory_decode(rig.dev, false);
			memory_decode(rig.dev, true);
		}
		CHECK(rig_stores(&rig, RIG_IOVA, lent.seen));
		CHECK(rig_stores(&rig, MIB(128), lent.seen));
	}
	CHECK(!failed);
	CHECK(missing);
	note("%u allocations, %u of them needed", n - 2, missing);
	/* With nothing mapped there, unmapping is right as well. */
	memory_decode(rig.dev, false);
	fail_nth(1);
	memory_decode(rig.dev, true);
	fail_end();
	dma_unmap(&rig.dma, RIG_IOVA, SIZE);
	dma_unmap(&rig.dma, MIB(128), SIZE);
	piece_close(&lent);
	rig_close(&rig);
}

static const struct test_case cases[] = {
	CASE_MMAP(map_piece_compat, .seconds = 300),
	CASE_MMAP(map_piece_native, .seconds = 300),
	CASE_MMAP(map_three_parts, .seconds = 300),
	CASE_MMAP(return_of_access, .seconds = 300),
};

TEST_MAIN(cases)
