// SPDX-License-Identifier: MIT
/*
 * The kernel wants the device back: its driver is being unbound, or it is being unplugged. It
 * waits for whoever has it open; so end, and say so to the clients.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "blkd.h"

static void request_ready(struct blkd *b, struct watch *w)
{
	uint64_t n;

	if (read(w->fd, &n, sizeof(n)) == sizeof(n))
		device_gone(b, "the kernel wants it back");
}

int request_open(struct blkd *b)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} arg = {
		.set = {
			.argsz = sizeof(arg),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
	};

	arg.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (arg.fd < 0)
		return -errno;
	if (ioctl(barbuf_device_fd(b->dev), VFIO_DEVICE_SET_IRQS, &arg)) {
		/* A driver without it: the unbind waits until somebody stops blkd. */
		close(arg.fd);
		return 0;
	}
	return server_watch(b, &b->request, arg.fd, request_ready);
}
