// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "virtio_pci.h"

#define MAX_VECTORS 2048 /* PCI 3.0, 6.8.2.3 */

static int set_irqs(struct virtio_pci *p, uint32_t flags, uint32_t start, uint32_t count,
		    const int32_t *fds)
{
	struct {
		struct vfio_irq_set set;
		int32_t fds[MAX_VECTORS];
	} arg = {
		.set = {
			.argsz = sizeof(arg.set) + (fds ? count * sizeof(arg.fds[0]) : 0),
			.flags = flags | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSIX_IRQ_INDEX,
			.start = start,
			.count = count,
		},
	};
	uint32_t i;

	for (i = 0; fds && i < count; i++)
		arg.fds[i] = fds[i];
	return ioctl(barbuf_device_fd(p->dev), VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0;
}

int virtio_irq_open(struct virtio_pci *p)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	int32_t nobody[MAX_VECTORS];
	uint32_t i;
	int ret;

	if (ioctl(barbuf_device_fd(p->dev), VFIO_DEVICE_GET_IRQ_INFO, &info))
		return -errno;
	if (!info.count || info.count > MAX_VECTORS)
		return -EOPNOTSUPP;
	for (i = 0; i < info.count; i++)
		nobody[i] = -1;
	ret = set_irqs(p, VFIO_IRQ_SET_DATA_EVENTFD, 0, info.count, nobody);
	if (!ret)
		p->nr_vectors = info.count;
	return ret;
}

int virtio_irq_set(struct virtio_pci *p, uint16_t vector, int eventfd)
{
	int32_t fd = eventfd;

	if (vector >= p->nr_vectors)
		return -EINVAL;
	return set_irqs(p, VFIO_IRQ_SET_DATA_EVENTFD, vector, 1, &fd);
}

void virtio_irq_close(struct virtio_pci *p)
{
	if (p->nr_vectors)
		set_irqs(p, VFIO_IRQ_SET_DATA_NONE, 0, 0, NULL);
	p->nr_vectors = 0;
}
