// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE_DMA_BUF: a list of BAR ranges becomes a buffer with an fd.
 */
#include <linux/dma-buf.h>
#include <uapi/linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fcntl.h>
#include <linux/hex.h>
#include <linux/overflow.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/**
 * vfio_pci_core_fill_phys_vec - place ranges in one stretch of memory
 * @phys_vec: filled in, one for each range
 * @dma_ranges: offsets and lengths within the stretch
 * @nr_ranges: number of ranges
 * @start: physical address of the stretch
 * @len: its length
 *
 * Return: 0, -EINVAL for an empty range or one that ends behind the stretch,
 * -EOVERFLOW for one that wraps.
 */
int vfio_pci_core_fill_phys_vec(struct phys_vec *phys_vec,
				struct vfio_region_dma_range *dma_ranges,
				size_t nr_ranges, phys_addr_t start,
				phys_addr_t len)
{
	size_t i;

	for (i = 0; i < nr_ranges; i++) {
		struct vfio_region_dma_range *range = &dma_ranges[i];
		phys_addr_t paddr, end;

		if (!range->length)
			return -EINVAL;

		if (check_add_overflow(start, range->offset, &paddr) ||
		    check_add_overflow(paddr, range->length, &end))
			return -EOVERFLOW;

		if (end > start + len)
			return -EINVAL;

		phys_vec[i].paddr = paddr;
		phys_vec[i].len = range->length;
	}

	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_fill_phys_vec);

/**
 * vfio_pci_core_get_dmabuf_phys - get_dmabuf_phys of a plain PCI device
 * @vdev: the device
 * @provider: set to the BAR's peer-to-peer provider, as long-lived as the
 *	driver's binding
 * @region_index: BAR
 * @phys_vec: filled in
 * @dma_ranges: ranges within the BAR
 * @nr_ranges: number of ranges
 *
 * Return: 0 or a negative errno; -EINVAL for a BAR that is not memory.
 */
int vfio_pci_core_get_dmabuf_phys(struct vfio_pci_core_device *vdev,
				  struct p2pdma_provider **provider,
				  unsigned int region_index,
				  struct phys_vec *phys_vec,
				  struct vfio_region_dma_range *dma_ranges,
				  size_t nr_ranges)
{
	struct pci_dev *pdev = vdev->pdev;

	*provider = pcim_p2pdma_provider(pdev, region_index);
	if (!*provider)
		return -EINVAL;

	return vfio_pci_core_fill_phys_vec(phys_vec, dma_ranges, nr_ranges,
					   pci_resource_start(pdev, region_index),
					   pci_resource_len(pdev, region_index));
}
EXPORT_SYMBOL_GPL(vfio_pci_core_get_dmabuf_phys);

/* What a list of ranges has come to so far. */
struct vfio_pci_ranges_sum {
	size_t size;
	u64 bits;
	bool bad;
};

static inline void vfio_pci_sum_range(struct vfio_pci_ranges_sum *sum,
				      const struct vfio_region_dma_range *range)
{
	sum->bits |= range->offset | range->length;
	sum->bad |= !range->length;
	sum->bad |= check_add_overflow(sum->size, range->length, &sum->size);
}

/* Whole pages, and a sum that a DMABUF and an IOVA allocator can bear. */
static bool vfio_pci_sum_is_valid(const struct vfio_pci_ranges_sum *sum)
{
	/* The top bit is a flag to dma_iova_try_alloc(). */
	return !sum->bad && PAGE_ALIGNED(sum->bits) &&
	       !((u64)sum->size & DMA_IOVA_USE_SWIOTLB);
}

/*
 * For the message alone: which range is wrong. @ranges are @nr of the list from
 * number @first on, @before is the sum of those in front of them, @limit the
 * length of what they lie in.
 */
static void vfio_pci_export_complain(struct vfio_pci_core_device *vdev,
				     const struct vfio_device_feature_dma_buf *req,
				     const struct vfio_region_dma_range *ranges,
				     u32 first, u32 nr, size_t before,
				     u64 limit)
{
	const char *why = NULL;
	u32 i;

	for (i = 0; i < nr && !why; i++) {
		u64 offset = ranges[i].offset, length = ranges[i].length;

		if (!length || !PAGE_ALIGNED(offset) || !PAGE_ALIGNED(length))
			why = "is empty or not whole pages";
		else if (check_add_overflow(before, length, &before) ||
			 (u64)before & DMA_IOVA_USE_SWIOTLB)
			why = "makes the sum too large";
		else if (offset > limit || length > limit - offset)
			why = "ends behind the BAR";
	}

	if (why)
		dev_dbg_ratelimited(&vdev->pdev->dev,
				    "DMA_BUF of BAR %u: range %u of %u, offset 0x%llx length 0x%llx, %s\n",
				    req->region_index, first + i - 1,
				    req->nr_ranges, ranges[i - 1].offset,
				    ranges[i - 1].length, why);
}

/* Ranges that are read from user space at a time. */
#define VFIO_PCI_RANGES_CHUNK	32

/* copy_from_user() would count bytes; these are numbers of eight. */
static int vfio_pci_read_ranges(struct vfio_region_dma_range *to,
				const struct vfio_region_dma_range __user *from,
				u32 nr)
{
	u32 i;

	if (!user_read_access_begin(from, nr * sizeof(*from)))
		return -EFAULT;
	for (i = 0; i < nr; i++) {
		unsafe_get_user(to[i].offset, &from[i].offset, fault);
		unsafe_get_user(to[i].length, &from[i].length, fault);
	}
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

/*
 * Ranges of a BAR: read them, check them and build the layout in one pass. A
 * driver with a get_dmabuf_phys of its own takes several.
 */
static int vfio_pci_export_bar(struct vfio_pci_core_device *vdev,
			       struct vfio_pci_buf *buf,
			       const struct vfio_device_feature_dma_buf *req,
			       const struct vfio_region_dma_range __user *from,
			       struct vfio_region_dma_range *first)
{
	struct vfio_pci_layout_builder b =
		vfio_pci_buf_build_layout(buf, req->nr_ranges);
	phys_addr_t start = pci_resource_start(vdev->pdev, req->region_index);
	u64 limit = pci_resource_len(vdev->pdev, req->region_index);
	struct vfio_region_dma_range ranges[VFIO_PCI_RANGES_CHUNK];
	bool wraps = false, outside = false;
	struct vfio_pci_ranges_sum sum = {};
	u32 done, nr, i;

	for (done = 0; done < req->nr_ranges; done += nr) {
		size_t before = sum.size;

		nr = min(req->nr_ranges - done, VFIO_PCI_RANGES_CHUNK);
		if (vfio_pci_read_ranges(ranges, from + done, nr))
			return -EFAULT;

		if (!done)
			*first = ranges[0];
		for (i = 0; i < nr; i++) {
			u64 end;

			vfio_pci_sum_range(&sum, &ranges[i]);
			wraps |= check_add_overflow(ranges[i].offset,
						    ranges[i].length, &end);
			outside |= end > limit;
			/* Not checked yet: an address of all ones is no range's. */
			vfio_pci_layout_add(&b, start +
					    ALIGN_DOWN(ranges[i].offset,
						       (u64)PAGE_SIZE),
					    ranges[i].length);
		}

		if (!vfio_pci_sum_is_valid(&sum) || wraps || outside) {
			vfio_pci_export_complain(vdev, req, ranges, done, nr,
						 before, limit);
			return vfio_pci_sum_is_valid(&sum) && wraps ?
			       -EOVERFLOW : -EINVAL;
		}
	}

	buf->provider = pcim_p2pdma_provider(vdev->pdev, req->region_index);
	if (!buf->provider)
		return -EINVAL;

	buf->cpu_mappable = true;
	vfio_pci_buf_finish_layout(buf, &b, req->nr_ranges);
	return 0;
}

/*
 * A driver's get_dmabuf_phys may name memory of its own outside the BAR, which
 * wants other attributes than a BAR and other care than our fault takes.
 */
static bool vfio_pci_vecs_in_bar(struct pci_dev *pdev, int bar,
				 const struct phys_vec *vecs, u32 nr)
{
	struct resource *res = &pdev->resource[bar];
	u32 i;

	for (i = 0; i < nr; i++) {
		if (vecs[i].paddr < res->start ||
		    vecs[i].paddr + vecs[i].len - 1 > res->end)
			return false;
	}

	return true;
}

/* Ranges that a driver of its own places in memory. */
static int vfio_pci_export_placed(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_buf *buf,
				  const struct vfio_device_feature_dma_buf *req,
				  const struct vfio_region_dma_range __user *from,
				  struct vfio_region_dma_range *first)
{
	struct vfio_region_dma_range *ranges;
	struct phys_vec *vecs = buf->layout.vecs;
	struct vfio_pci_ranges_sum sum = {};
	u64 limit = U64_MAX;
	int ret = -EINVAL;
	u32 i;

	ranges = vmemdup_array_user(from, req->nr_ranges, sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);

	*first = ranges[0];
	for (i = 0; i < req->nr_ranges; i++)
		vfio_pci_sum_range(&sum, &ranges[i]);
	if (vfio_pci_sum_is_valid(&sum)) {
		limit = pci_resource_len(vdev->pdev, req->region_index);
		ret = vdev->pci_ops->get_dmabuf_phys(vdev, &buf->provider,
						     req->region_index, vecs,
						     ranges, req->nr_ranges);
	}
	if (ret)
		vfio_pci_export_complain(vdev, req, ranges, 0, req->nr_ranges,
					 0, limit);
	kvfree(ranges);
	if (ret)
		return ret;

	buf->cpu_mappable = vfio_pci_vecs_in_bar(vdev->pdev, req->region_index,
						 vecs, req->nr_ranges);
	vfio_pci_buf_set_layout(buf, req->nr_ranges);
	return 0;
}

/* Return: behind the last digit. @to has room for sixteen. */
static char *vfio_pci_put_hex(char *to, u64 value)
{
	int shift = value ? (fls64(value) - 1) & ~3 : 0;

	for (; shift >= 0; shift -= 4)
		*to++ = hex_asc_lo(value >> shift);

	return to;
}

/*
 * As much as fits of device, BAR, and offset and length of the first range in
 * hexadecimal: DEVICE/barN+OFFSET:LENGTH. The DMABUF shows no name at all if it
 * is too long. By hand, because snprintf() takes a sixth of an export.
 */
static void vfio_pci_export_name(char name[DMA_BUF_NAME_LEN],
				 const char *device, u32 bar,
				 const struct vfio_region_dma_range *first)
{
	char range[1 + 16 + 1 + 16], *offset_end, *end;
	ssize_t len = strscpy(name, device, VFIO_PCI_DEVICE_NAME_LEN);
	size_t room;

	static_assert(VFIO_PCI_DEVICE_NAME_LEN + sizeof("/bar0") <=
		      DMA_BUF_NAME_LEN);
	memcpy(name + len, "/bar0", sizeof("/bar0"));
	name[len + 4] += bar;
	len += 5;
	room = DMA_BUF_NAME_LEN - 1 - len;

	range[0] = '+';
	offset_end = vfio_pci_put_hex(range + 1, first->offset);
	*offset_end = ':';
	end = vfio_pci_put_hex(offset_end + 1, first->length);
	if (end - range > room)
		end = offset_end;
	if (end - range > room)
		end = range;
	memcpy(name + len, range, end - range);
	name[len + (end - range)] = '\0';
}

static struct vfio_pci_buf *
vfio_pci_export(struct vfio_pci_core_device *vdev,
		const struct vfio_device_feature_dma_buf *req,
		const struct vfio_region_dma_range __user *from)
{
	char name[DMA_BUF_NAME_LEN] = "";
	struct vfio_region_dma_range first;
	struct vfio_pci_buf *buf;
	int ret = -ENOMEM;

	buf = vfio_pci_buf_alloc(vdev->buf_list);
	if (!buf)
		return ERR_PTR(ret);

	if (!vfio_pci_buf_alloc_vecs(buf, req->nr_ranges))
		goto put;

	buf->bar = req->region_index;
	if (vdev->pci_ops->get_dmabuf_phys == vfio_pci_core_get_dmabuf_phys)
		ret = vfio_pci_export_bar(vdev, buf, req, from, &first);
	else
		ret = vfio_pci_export_placed(vdev, buf, req, from, &first);
	if (ret)
		goto put;

	vfio_pci_export_name(name, buf->list->device, req->region_index,
			     &first);
	ret = vfio_pci_buf_publish(buf, &vfio_pci_buf_dma_ops, req->open_flags,
				   name);
	if (ret)
		goto put;

	return buf;

put:
	vfio_pci_buf_put(buf);
	return ERR_PTR(ret);
}

/**
 * vfio_pci_buf_get_fd - the buffer behind a descriptor
 * @vdev: the device, open
 * @fd: any descriptor of the buffer
 *
 * Return: the buffer with its DMABUF's file held, to be dropped by
 * dma_buf_put(buf->dmabuf); -EBADF when @fd is no descriptor, -EINVAL when it is
 * no DMABUF, -ENODEV when that is not an exported buffer of this opening of this
 * device.
 */
struct vfio_pci_buf *vfio_pci_buf_get_fd(struct vfio_pci_core_device *vdev,
					 int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct vfio_pci_buf *buf;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);

	if (dmabuf->ops == &vfio_pci_buf_dma_ops) {
		buf = dmabuf->priv;
		/* A list is of one opening of one device. */
		if (buf->list == vdev->buf_list)
			return buf;
	}

	dma_buf_put(dmabuf);
	return ERR_PTR(-ENODEV);
}

/**
 * vfio_pci_core_feature_dma_buf - VFIO_DEVICE_FEATURE_DMA_BUF
 * @vdev: the device, open
 * @flags: of struct vfio_device_feature
 * @arg: the user's struct
 * @argsz: its size
 *
 * Return: the new fd or a negative errno.
 */
int vfio_pci_core_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
				  struct vfio_device_feature_dma_buf __user *arg,
				  size_t argsz)
{
	struct vfio_device_feature_dma_buf req = {};
	struct vfio_pci_buf *buf;
	int ret;

	if (!vdev->pci_ops || !vdev->pci_ops->get_dmabuf_phys)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(req));
	if (ret != 1)
		return ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;

	if (!req.nr_ranges || req.flags ||
	    req.open_flags & ~(O_ACCMODE | O_CLOEXEC))
		return -EINVAL;

	if (req.nr_ranges > VFIO_PCI_BUF_MAX_RANGES)
		return -E2BIG;

	if (req.region_index >= VFIO_PCI_ROM_REGION_INDEX ||
	    IS_ERR(vfio_pci_core_get_iomap(vdev, req.region_index)))
		return -ENODEV;

	buf = vfio_pci_export(vdev, &req, arg->dma_ranges);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	/* On success the fd has our reference. */
	ret = dma_buf_fd(buf->dmabuf, req.open_flags);
	if (ret < 0)
		dma_buf_put(buf->dmabuf);

	return ret;
}
