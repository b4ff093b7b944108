// SPDX-License-Identifier: LGPL-2.1-or-later
/* barbuf_device_probe() over a kernel of our own. */
#include <errno.h>

#include "fake_kernel.h"
#include "uapi.h"

#define ALL_BUT_IMPORT \
	(BARBUF_HAS_EXPORT | BARBUF_HAS_MMAP | BARBUF_HAS_REVOKE | BARBUF_HAS_MEMATTR)

static void finds(void)
{
	struct barbuf_container *c;
	struct barbuf_device *dev;
	uint32_t got = 0;

	dev = open_one(&c, BARBUF_IOMMU_IOMMUFD, A0);
	if (!dev)
		return;
	k.exports = true;
	k.has_type1_revoke = 1;
	k.bar4_is_large = true;
	CHECK(!barbuf_device_probe(dev, &got) &&
		      got == (ALL_BUT_IMPORT | BARBUF_HAS_TYPE1_REVOKE | BARBUF_HAS_IMPORT |
			      BARBUF_HAS_IMPORT_RANGES),
	      "everything (%#x)", got);
	CHECK(k.nr_exported == 2 && k.exported[0].length == 4096 && k.exported[1].length == 4096 &&
		      k.exported[0].offset + 4096 != k.exported[1].offset,
	      "two ranges are tried that are no single one");
	CHECK(!k.nr_dma && !k.mmaps && !k.has_scratch && !k.violations && open_count() == 2, "and nothing is left of it");
	CHECK((k.feature_flags & VFIO_DEVICE_FEATURE_MASK) == VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE,
	      "the revoke comes last");
	k.map_two_result = -EOPNOTSUPP;
	k.has_type1_revoke = 0;
	CHECK(!barbuf_device_probe(dev, &got) && got == (ALL_BUT_IMPORT | BARBUF_HAS_IMPORT),
	      "Linux 7.3's own iommufd and type1 (%#x)", got);
	k.map_two_result = 0;
	k.has_type1_revoke = 1;
	k.bar4_is_large = false;
	CHECK(!barbuf_device_probe(dev, &got) &&
		      got == (ALL_BUT_IMPORT | BARBUF_HAS_TYPE1_REVOKE | BARBUF_HAS_IMPORT),
	      "no BAR of two pages to try it with (%#x)", got);
	k.bar4_is_large = true;
	k.has_vfio = false;
	CHECK(!barbuf_device_probe(dev, &got) && !(got & BARBUF_HAS_TYPE1_REVOKE) && open_count() == 2,
	      "no type1 to ask (%#x)", got);
	k.has_vfio = true;
	k.feature_result = -ENOTTY;
	CHECK(!barbuf_device_probe(dev, &got) &&
		      got == (BARBUF_HAS_EXPORT | BARBUF_HAS_MMAP | BARBUF_HAS_IMPORT |
			      BARBUF_HAS_IMPORT_RANGES),
	      "no revoke and no attribute, and type1 is not believed (%#x)", got);
	k.mmap_result = -EINVAL;
	k.has_map_file = false;
	CHECK(!barbuf_device_probe(dev, &got) && got == BARBUF_HAS_EXPORT, "export alone (%#x)",
	      got);
	k.exports = false;
	CHECK(!barbuf_device_probe(dev, &got) && !got, "nothing (%#x)", got);
	k.exports = true;
	k.region_flags = VFIO_REGION_INFO_FLAG_READ;
	got = 1;
	CHECK(!barbuf_device_probe(dev, &got) && !got, "no BAR to do it with (%#x)", got);
	close_one(c, dev);

	dev = open_one(&c, BARBUF_IOMMU_TYPE1, A0);
	if (!dev)
		return;
	k.exports = true;
	CHECK(!barbuf_device_probe(dev, &got) && got == ALL_BUT_IMPORT, "no import by type1 (%#x)",
	      got);
	k.has_type1_revoke = 1;
	CHECK(!barbuf_device_probe(dev, &got) && got == (ALL_BUT_IMPORT | BARBUF_HAS_TYPE1_REVOKE) &&
		      open_count() == 3,
	      "a type1 that revokes (%#x)", got);
	close_one(c, dev);

	fresh_kernel();
	k.exports = true;
	REQUIRE(!barbuf__device_adopt(&dev, fake_fd(DEVICE), &fake), "an adopted device");
	CHECK(!barbuf_device_probe(dev, &got) && got == ALL_BUT_IMPORT,
	      "nor without a container (%#x)", got);
	k.has_type1_revoke = 1;
	CHECK(!barbuf_device_probe(dev, &got) && got == (ALL_BUT_IMPORT | BARBUF_HAS_TYPE1_REVOKE) &&
		      open_count() == 1,
	      "type1 can be asked without one (%#x)", got);
	barbuf_device_close(dev);
}

/* Not to have something is no error; all else is. */
static void every_call_may_fail(void)
{
	unsigned int wrong = 0, left = 0, n;
	struct barbuf_container *c;
	struct barbuf_device *dev;
	uint32_t got;
	int ret = -1;

	dev = open_one(&c, BARBUF_IOMMU_IOMMUFD, A0);
	if (!dev)
		return;
	k.exports = true;
	k.has_type1_revoke = 1;
	k.bar4_is_large = true;
	k.fail_with = -ENOMEM;
	for (n = 1; ret && n < 50; n++) {
		k.fail_at = k.calls + n;
		got = 99;
		ret = barbuf_device_probe(dev, &got);
		wrong += ret && (ret != -ENOMEM || got != 99);
		/* If it was the unmap that failed, the mapping is the fake's to forget. */
		left += open_count() != 2 || k.mmaps;
		k.nr_dma = 0;
		k.has_scratch = 0;
	}
	CHECK(!ret && n > 6 && !wrong && !left,
	      "each of %u calls failing is an error that leaves nothing (%u wrong, %u left)", n - 2,
	      wrong, left);
	close_one(c, dev);
}

int main(void)
{
	finds();
	every_call_may_fail();
	return tap_done();
}
