// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "device.h"

int barbuf__container_new(struct barbuf_container **out, enum barbuf_iommu iommu,
			  const struct barbuf_sys *sys)
{
	struct barbuf_container *c;
	int ret;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->sys = sys;
	c->fd = -1;
	c->owner = getpid();

	switch (iommu) {
	case BARBUF_IOMMU_ANY:
		break;
	case BARBUF_IOMMU_TYPE1:
		c->iommu = &barbuf__type1;
		break;
	case BARBUF_IOMMU_IOMMUFD:
		c->iommu = &barbuf__iommufd;
		break;
	default:
		ret = -EINVAL;
		goto err_free;
	}
	if (c->iommu) {
		ret = c->iommu->setup(c);
		if (ret)
			goto err_free;
	}
	*out = c;
	return 0;

err_free:
	free(c);
	return ret;
}

int barbuf_container_new(struct barbuf_container **out, enum barbuf_iommu iommu)
{
	return barbuf__container_new(out, iommu, &barbuf__sys_linux);
}

int barbuf_container_free(struct barbuf_container *c)
{
	if (!c)
		return 0;
	if (c->nr_devices)
		return -EBUSY;
	if (c->iommu)
		c->iommu->release(c);
	free(c);
	return 0;
}

enum barbuf_iommu barbuf_container_iommu(const struct barbuf_container *c)
{
	return c->iommu ? c->iommu->kind : BARBUF_IOMMU_ANY;
}

int barbuf_container_fd(const struct barbuf_container *c)
{
	return c->fd;
}

uint32_t barbuf_container_ioas(const struct barbuf_container *c)
{
	return c->ioas;
}

/* Is this what an interface says that is not there, or not for this user? */
static bool is_out_of_reach(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
	case -EACCES:
	case -EPERM:
	case -EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

/* Open the device by this interface; on error the container is as it was. */
static int decide(struct barbuf_container *c, struct barbuf_device *dev,
		  const struct barbuf__iommu *iommu, bool *is_there)
{
	int ret;

	ret = iommu->setup(c);
	*is_there = !ret;
	if (ret)
		return ret;
	ret = iommu->open_device(c, dev);
	if (ret) {
		iommu->release(c);
		return ret;
	}
	c->iommu = iommu;
	return 0;
}

static bool is_forbidden(int error)
{
	return error == -EACCES || error == -EPERM;
}

static int enter_any(struct barbuf_container *c, struct barbuf_device *dev)
{
	bool has_iommufd, has_type1;
	int ret, first;

	first = decide(c, dev, &barbuf__iommufd, &has_iommufd);
	if (!first || !is_out_of_reach(first))
		return first;
	ret = decide(c, dev, &barbuf__type1, &has_type1);
	if (!ret || has_type1 || !is_out_of_reach(ret))
		return ret;
	/* Only one is there, or there but not for this user: its answer counts. */
	if (has_iommufd)
		return first;
	if (is_forbidden(ret))
		return ret;
	return is_forbidden(first) ? first : -EOPNOTSUPP;
}

int barbuf__container_enter(struct barbuf_container *c, struct barbuf_device *dev)
{
	int ret;

	ret = c->iommu ? c->iommu->open_device(c, dev) : enter_any(c, dev);
	if (!ret)
		c->nr_devices++;
	return ret;
}

void barbuf__container_undecide(struct barbuf_container *c)
{
	c->iommu->release(c);
	c->iommu = NULL;
}

void barbuf__container_leave(struct barbuf_container *c, struct barbuf_device *dev)
{
	c->iommu->close_device(c, dev);
	if (!--c->nr_devices)
		barbuf__dma_forget(c);
}
