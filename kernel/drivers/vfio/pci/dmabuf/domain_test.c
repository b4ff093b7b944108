// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of buffers in IOMMU domains. The domain is an array of pages; the
 * DMABUFs and the attachments are real.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/sizes.h>
#include <linux/vfio_pci_core.h>
#include <uapi/linux/dma-buf.h>

#include "buf.h"

#define PAGES		64
/* The first page of the fake domain. */
#define IOVA		SZ_16M
/* For a thread to do what it must not do. */
#define GRACE_MS	50

static const char fake_name[DMA_BUF_NAME_LEN] = "fake";

static const struct vfio_pci_dma_buf_ops *ops = &vfio_pci_dma_buf_ops;

struct fake_domain {
	struct iommu_domain domain;
	struct kunit *test;
	/* 0: not mapped. */
	phys_addr_t paddr[PAGES];
	int prot[PAGES];
	u32 nr_maps;
	/* The map of this number fails, counted from 1; 0: none. */
	u32 fails;
	gfp_t gfp;
};

struct fake {
	struct fake_domain domain;
	struct vfio_pci_buf_list *list;
	struct vfio_pci_buf *buf;
	struct dma_buf_attachment *attach;
	u32 notified;
	int access;
};

static int fake_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t paddr, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct fake_domain *fake =
		container_of(domain, struct fake_domain, domain);
	size_t i, first = (iova - IOVA) / PAGE_SIZE;

	KUNIT_ASSERT_EQ(fake->test, pgsize, PAGE_SIZE);
	KUNIT_ASSERT_LE(fake->test, first + pgcount, PAGES);
	fake->gfp = gfp;
	if (++fake->nr_maps == fake->fails)
		return -ENOMEM;

	for (i = first; i < first + pgcount; i++) {
		KUNIT_EXPECT_EQ(fake->test, fake->paddr[i], 0);
		fake->paddr[i] = paddr;
		fake->prot[i] = prot;
		paddr += PAGE_SIZE;
	}
	*mapped = pgcount * PAGE_SIZE;
	return 0;
}

/* As a real one does, it ends at the first hole. */
static size_t fake_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct fake_domain *fake =
		container_of(domain, struct fake_domain, domain);
	size_t i, first = (iova - IOVA) / PAGE_SIZE;

	for (i = first; i < first + pgcount && fake->paddr[i]; i++)
		fake->paddr[i] = 0;
	return (i - first) * PAGE_SIZE;
}

static const struct iommu_domain_ops fake_domain_ops = {
	.map_pages = fake_map_pages,
	.unmap_pages = fake_unmap_pages,
};

static void fake_notified(struct dma_buf_attachment *attach)
{
	struct fake *fake = attach->importer_priv;

	fake->notified++;
	fake->access = ops->access(attach);
}

static const struct dma_buf_attach_ops fake_importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = fake_notified,
};

/* A buffer of these ranges, live and attached. */
static struct fake *fake_new(struct kunit *test, const struct phys_vec *vecs,
			     u32 nr, int open_flags)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	struct device *dev = kunit_device_register(test, "importer");
	struct phys_vec *room;

	KUNIT_ASSERT_NOT_NULL(test, fake);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	test->priv = fake;

	fake->domain.test = test;
	fake->domain.domain.type = IOMMU_DOMAIN_UNMANAGED;
	fake->domain.domain.ops = &fake_domain_ops;
	fake->domain.domain.pgsize_bitmap = PAGE_SIZE;

	fake->list = vfio_pci_buf_list_alloc("fake");
	KUNIT_ASSERT_NOT_NULL(test, fake->list);
	fake->list->state = VFIO_PCI_BUF_LIVE;
	fake->buf = vfio_pci_buf_alloc(fake->list);
	KUNIT_ASSERT_NOT_NULL(test, fake->buf);
	room = vfio_pci_buf_alloc_vecs(fake->buf, nr);
	KUNIT_ASSERT_NOT_NULL(test, room);
	memcpy(room, vecs, nr * sizeof(*vecs));
	vfio_pci_buf_set_layout(fake->buf, nr);
	KUNIT_ASSERT_EQ(test, 0,
			vfio_pci_buf_publish(fake->buf, &vfio_pci_buf_dma_ops,
					     open_flags, fake_name));
	fake->attach = dma_buf_dynamic_attach(fake->buf->dmabuf, dev,
					      &fake_importer_ops, fake);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->attach);
	return fake;
}

static void fake_exit(struct kunit *test)
{
	struct fake *fake = test->priv;

	if (!fake || !fake->list)
		return;

	if (!IS_ERR_OR_NULL(fake->attach))
		dma_buf_detach(fake->buf->dmabuf, fake->attach);
	if (fake->buf && fake->buf->dmabuf)
		dma_buf_put(fake->buf->dmabuf);
	else if (fake->buf)
		vfio_pci_buf_put(fake->buf);
	vfio_pci_buf_list_put(fake->list);
}

static int fake_map(struct fake *fake, u64 offset, u64 iova, size_t len,
		    int prot)
{
	return ops->map(fake->attach, offset, &fake->domain.domain, iova, len,
			prot, GFP_KERNEL_ACCOUNT);
}

static int fake_access(struct fake *fake)
{
	int ret;

	dma_resv_lock(fake->buf->dmabuf->resv, NULL);
	ret = ops->access(fake->attach);
	dma_resv_unlock(fake->buf->dmabuf->resv);
	return ret;
}

static void expect_empty(struct fake *fake)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_EQ(fake->domain.test, fake->domain.paddr[i], 0);
}

/* Three ranges, two of them adjacent, out of order. */
static const struct phys_vec scattered[] = {
	{ .paddr = SZ_1G + SZ_64K, .len = 4 * PAGE_SIZE },
	{ .paddr = SZ_1G + SZ_64K + 4 * PAGE_SIZE, .len = 2 * PAGE_SIZE },
	{ .paddr = SZ_1G, .len = 3 * PAGE_SIZE },
	{ .paddr = SZ_2G, .len = PAGE_SIZE },
};

#define SCATTERED_PAGES	10

static phys_addr_t scattered_page(size_t i)
{
	if (i < 6)
		return SZ_1G + SZ_64K + i * PAGE_SIZE;
	if (i < 9)
		return SZ_1G + (i - 6) * PAGE_SIZE;
	return SZ_2G;
}

static void every_slice_is_at_its_place(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	size_t from, to, i;

	for (from = 0; from < SCATTERED_PAGES; from++) {
		for (to = from + 1; to <= SCATTERED_PAGES; to++) {
			size_t len = (to - from) * PAGE_SIZE;

			KUNIT_ASSERT_EQ(test, 0,
					fake_map(fake, from * PAGE_SIZE,
						 IOVA + PAGE_SIZE, len,
						 IOMMU_READ | IOMMU_WRITE |
						 IOMMU_CACHE));
			for (i = 0; i < PAGES - 1; i++)
				KUNIT_ASSERT_EQ(test,
						fake->domain.paddr[i + 1],
						i < to - from ?
						scattered_page(from + i) : 0);
			KUNIT_ASSERT_EQ(test, len,
					iommu_unmap(&fake->domain.domain,
						    IOVA + PAGE_SIZE, len));
		}
	}
	expect_empty(fake);
}

static void access_is_uncached(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);

	KUNIT_ASSERT_EQ(test, 0,
			fake_map(fake, 0, IOVA, PAGE_SIZE,
				 IOMMU_READ | IOMMU_CACHE));
	KUNIT_EXPECT_EQ(test, fake->domain.prot[0], IOMMU_READ | IOMMU_MMIO);
	KUNIT_EXPECT_TRUE(test, fake->domain.gfp & __GFP_ACCOUNT);
}

static void one_call_an_extent(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);

	KUNIT_ASSERT_EQ(test, 0,
			fake_map(fake, 0, IOVA, SCATTERED_PAGES * PAGE_SIZE,
				 IOMMU_READ));
	KUNIT_EXPECT_EQ(test, fake->domain.nr_maps, 3);
}

static void failed_map_leaves_nothing(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	u32 nth;

	for (nth = 1; nth <= 3; nth++) {
		fake->domain.nr_maps = 0;
		fake->domain.fails = nth;
		KUNIT_EXPECT_EQ(test, -ENOMEM,
				fake_map(fake, 0, IOVA,
					 SCATTERED_PAGES * PAGE_SIZE,
					 IOMMU_READ));
		expect_empty(fake);
	}
}

static void map_is_refused(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDONLY);
	const u64 size = SCATTERED_PAGES * PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, -EINVAL, fake_map(fake, 0, IOVA, 0, IOMMU_READ));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			fake_map(fake, 0, IOVA, size + PAGE_SIZE, IOMMU_READ));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			fake_map(fake, size, IOVA, PAGE_SIZE, IOMMU_READ));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			fake_map(fake, -PAGE_SIZE, IOVA, 2 * PAGE_SIZE,
				 IOMMU_READ));
	KUNIT_EXPECT_EQ(test, -EACCES,
			fake_map(fake, 0, IOVA, PAGE_SIZE, IOMMU_WRITE));
	KUNIT_EXPECT_EQ(test, -EACCES,
			fake_map(fake, 0, IOVA, PAGE_SIZE,
				 IOMMU_READ | IOMMU_WRITE));
	KUNIT_EXPECT_EQ(test, fake->domain.nr_maps, 0);
	KUNIT_EXPECT_EQ(test, 0,
			fake_map(fake, 0, IOVA, PAGE_SIZE, IOMMU_READ));
}

static void alignment_is_of_the_memory(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	struct dma_buf *dmabuf = fake->buf->dmabuf;

	KUNIT_EXPECT_EQ(test, ops->alignment(dmabuf, 0), SZ_64K);
	KUNIT_EXPECT_EQ(test, ops->alignment(dmabuf, PAGE_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ops->alignment(dmabuf, 6 * PAGE_SIZE), SZ_1G);
	KUNIT_EXPECT_EQ(test, ops->alignment(dmabuf, 9 * PAGE_SIZE), SZ_2G);
	KUNIT_EXPECT_EQ(test, ops->alignment(dmabuf, 10 * PAGE_SIZE), 0);
}

static void fake_set_state(struct fake *fake, enum vfio_pci_buf_state state)
{
	vfio_pci_buf_set_state(fake->buf, state);
	vfio_pci_buf_notify_importers(fake->buf);
}

static void access_follows_the_state(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);

	KUNIT_EXPECT_EQ(test, fake_access(fake), 0);
	fake_set_state(fake, VFIO_PCI_BUF_QUIESCING);
	KUNIT_EXPECT_EQ(test, fake->notified, 1);
	KUNIT_EXPECT_EQ(test, fake->access, -EAGAIN);
	KUNIT_EXPECT_EQ(test, fake_access(fake), -EAGAIN);
	fake_set_state(fake, VFIO_PCI_BUF_SUSPENDED);
	KUNIT_EXPECT_EQ(test, fake_access(fake), -ENODEV);

	/* Back, but nobody has been notified yet. */
	vfio_pci_buf_set_state(fake->buf, VFIO_PCI_BUF_LIVE);
	KUNIT_EXPECT_EQ(test, fake_access(fake), -EAGAIN);
	vfio_pci_buf_notify_importers(fake->buf);
	KUNIT_EXPECT_EQ(test, fake->notified, 2);
	KUNIT_EXPECT_EQ(test, fake->access, 0);
	KUNIT_EXPECT_EQ(test, fake_access(fake), 0);

	fake_set_state(fake, VFIO_PCI_BUF_REVOKED);
	KUNIT_EXPECT_EQ(test, fake->access, -EBADFD);
	fake_set_state(fake, VFIO_PCI_BUF_LIVE);
	KUNIT_EXPECT_EQ(test, fake_access(fake), -EBADFD);
}

/* Whoever waits does not depend on who ended the transition. */
static void wait_notifies_for_others(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	struct dma_buf *dmabuf = fake->buf->dmabuf;

	fake_set_state(fake, VFIO_PCI_BUF_SUSPENDED);
	KUNIT_EXPECT_EQ(test, ops->wait(dmabuf), -ENODEV);
	vfio_pci_buf_set_state(fake->buf, VFIO_PCI_BUF_LIVE);
	KUNIT_EXPECT_EQ(test, ops->wait(dmabuf), 0);
	KUNIT_EXPECT_EQ(test, fake->notified, 2);
	KUNIT_EXPECT_EQ(test, fake_access(fake), 0);
	fake_set_state(fake, VFIO_PCI_BUF_REVOKED);
	KUNIT_EXPECT_EQ(test, ops->wait(dmabuf), -EBADFD);
}

static int waiter(void *data)
{
	struct fake *fake = data;
	int ret = ops->wait(fake->buf->dmabuf);

	while (!kthread_should_stop())
		msleep(20);
	return ret;
}

static void wait_lasts_as_long_as_the_transition(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	struct task_struct *task;

	fake_set_state(fake, VFIO_PCI_BUF_QUIESCING);
	task = kthread_run(waiter, fake, "waiter");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	msleep(GRACE_MS);
	/* Still notified of the loss alone: the waiter has not gone on. */
	KUNIT_EXPECT_EQ(test, fake->notified, 1);
	vfio_pci_buf_set_state(fake->buf, VFIO_PCI_BUF_LIVE);
	KUNIT_EXPECT_EQ(test, kthread_stop(task), 0);
	KUNIT_EXPECT_EQ(test, fake->notified, 2);
}

static void bar_buffer_is_for_domains_only(struct kunit *test)
{
	struct fake *fake = fake_new(test, scattered, ARRAY_SIZE(scattered),
				     O_RDWR);
	struct sg_table *sgt;

	dma_resv_lock(fake->buf->dmabuf->resv, NULL);
	sgt = dma_buf_map_attachment(fake->attach, DMA_BIDIRECTIONAL);
	dma_resv_unlock(fake->buf->dmabuf->resv);
	KUNIT_EXPECT_TRUE(test, IS_ERR(sgt));
	KUNIT_EXPECT_EQ(test, PTR_ERR(sgt), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, 0, fake_map(fake, 0, IOVA, PAGE_SIZE,
					  IOMMU_READ));
}

static struct kunit_case domain_cases[] = {
	KUNIT_CASE(every_slice_is_at_its_place),
	KUNIT_CASE(access_is_uncached),
	KUNIT_CASE(one_call_an_extent),
	KUNIT_CASE(failed_map_leaves_nothing),
	KUNIT_CASE(map_is_refused),
	KUNIT_CASE(alignment_is_of_the_memory),
	KUNIT_CASE(access_follows_the_state),
	KUNIT_CASE(wait_notifies_for_others),
	KUNIT_CASE(wait_lasts_as_long_as_the_transition),
	KUNIT_CASE(bar_buffer_is_for_domains_only),
	{}
};

static struct kunit_suite domain_suite = {
	.name = "vfio_pci_dmabuf_domain",
	.exit = fake_exit,
	.test_cases = domain_cases,
};

kunit_test_suite(domain_suite);
