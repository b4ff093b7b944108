// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "virtio_pci.h"

#define VENDOR 0x1af4 /* 4.1.2 */
#define DEVICE_MODERN 0x1040 /* and the type (4.1.2) */
#define DEVICE_TRANSITIONAL_BLK 0x1001
#define TYPE_BLK 2

int virtio_why(char *why, size_t size, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return error;
}

/* Accesses ------------------------------------------------------------------*/

static void keep_error(struct virtio_pci *p, int error)
{
	if (!p->error)
		p->error = error;
}

int virtio_pci_error(struct virtio_pci *p)
{
	int error = p->error;

	p->error = 0;
	return error;
}

#define ACCESSORS(bits)                                                                        \
	uint##bits##_t virtio_read##bits(struct virtio_pci *p, const struct virtio_part *part, \
					 uint32_t offset)                                      \
	{                                                                                      \
		uint##bits##_t value = -1;                                                     \
                                                                                               \
		keep_error(p, barbuf_map_read##bits(part->map, part->delta + offset, &value)); \
		return value;                                                                  \
	}                                                                                      \
                                                                                               \
	void virtio_write##bits(struct virtio_pci *p, const struct virtio_part *part,          \
				uint32_t offset, uint##bits##_t value)                         \
	{                                                                                      \
		keep_error(p, barbuf_map_write##bits(part->map, part->delta + offset, value)); \
	}

ACCESSORS(8)
ACCESSORS(16)
ACCESSORS(32)

void virtio_write64(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset,
		    uint64_t value)
{
	virtio_write32(p, part, offset, value);
	virtio_write32(p, part, offset + 4, value >> 32);
}

/* Structures ----------------------------------------------------------------*/

/* The part that a capability of this type is about; NULL: not one that is used here. */
static struct virtio_part *part_of(struct virtio_pci *p, uint8_t cfg_type)
{
	switch (cfg_type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		return &p->common;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		return &p->notify;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		return &p->device;
	default:
		return NULL;
	}
}

/* Whatever it is, it must not be lent with a doorbell. */
static int read_other(struct virtio_pci *p, uint8_t pos, const struct virtio_pci_cap *cap)
{
	struct virtio_pci_cap64 wide = { .cap = *cap };
	int ret = 0;

	/* That one names what the driver writes into it (4.1.4.9). */
	if (cap->cfg_type == VIRTIO_PCI_CAP_PCI_CFG || cap->cap_len < sizeof(*cap))
		return 0;
	if (cap->cfg_type == VIRTIO_PCI_CAP_SHARED_MEMORY_CFG && cap->cap_len >= sizeof(wide))
		ret = barbuf_config_read(p->dev, pos, &wide, sizeof(wide));
	p->others[p->nr_others].bar = cap->bar;
	p->others[p->nr_others].offset = (uint64_t)wide.offset_hi << 32 | cap->offset;
	p->others[p->nr_others].length = (uint64_t)wide.length_hi << 32 | cap->length;
	p->nr_others++;
	return ret;
}

static int read_capability(struct virtio_pci *p, uint8_t pos)
{
	struct virtio_pci_notify_cap cap;
	struct virtio_part *part;
	int ret;

	ret = barbuf_config_read(p->dev, pos, &cap.cap, sizeof(cap.cap));
	if (ret)
		return ret;
	part = part_of(p, cap.cap.cfg_type);
	/* The first that can be used is the device's favourite; others and reserved values
	 * are passed over (4.1.4.1). */
	if (!part || part->length || cap.cap.bar > 5 || cap.cap.cap_len < sizeof(cap.cap))
		return read_other(p, pos, &cap.cap);
	if (part == &p->notify) {
		ret = barbuf_config_read(p->dev, pos, &cap, sizeof(cap));
		if (ret)
			return ret;
		p->notify_multiplier = cap.notify_off_multiplier;
	}
	part->bar = cap.cap.bar;
	part->offset = cap.cap.offset;
	part->length = cap.cap.length;
	return part == &p->notify ? 0 : read_other(p, pos, &cap.cap);
}

static int read_capabilities(struct virtio_pci *p)
{
	uint16_t status;
	uint8_t cap[2]; /* id, next */
	uint8_t pos;
	int ret, n;

	ret = barbuf_config_read(p->dev, PCI_STATUS, &status, sizeof(status));
	if (ret || !(status & PCI_STATUS_CAP_LIST))
		return ret;
	ret = barbuf_config_read(p->dev, PCI_CAPABILITY_LIST, &pos, sizeof(pos));
	/* A list that goes on has a loop. */
	for (n = 0; !ret && pos >= PCI_STD_HEADER_SIZEOF && n < VIRTIO_PCI_CAPS_MAX; n++) {
		ret = barbuf_config_read(p->dev, pos, cap, sizeof(cap));
		if (!ret && cap[0] == PCI_CAP_ID_VNDR)
			ret = read_capability(p, pos);
		pos = cap[1];
	}
	return ret;
}

static int map_part(struct virtio_pci *p, struct virtio_part *part)
{
	struct barbuf_map_options o = {
		.offset = part->offset & ~(p->page - 1),
		.no_fork = true,
	};

	part->delta = part->offset - o.offset;
	o.length = part->delta + part->length;
	return barbuf_map_bar(&part->map, p->dev, part->bar, &o);
}

int virtio_pci_open(struct virtio_pci *p, struct barbuf_device *dev, uint16_t type, char *why,
		    size_t size)
{
	uint16_t id[2];
	int ret;

	*p = (struct virtio_pci){ .dev = dev, .page = sysconf(_SC_PAGESIZE) };
	ret = barbuf_config_read(dev, PCI_VENDOR_ID, id, sizeof(id));
	if (ret)
		return virtio_why(why, size, ret, "%s: configuration space: %s",
				  barbuf_device_address(dev), strerror(-ret));
	if (id[0] != VENDOR || (id[1] != DEVICE_MODERN + type &&
				!(type == TYPE_BLK && id[1] == DEVICE_TRANSITIONAL_BLK)))
		return virtio_why(why, size, -ENODEV,
				  "%s is %04x:%04x, and virtio device %u is %04x:%04x",
				  barbuf_device_address(dev), id[0], id[1], type, VENDOR,
				  DEVICE_MODERN + type);
	ret = read_capabilities(p);
	if (ret)
		return virtio_why(why, size, ret, "%s: PCI capabilities: %s",
				  barbuf_device_address(dev), strerror(-ret));
	if (p->common.length < VIRTIO_PCI_COMMON_Q_USEDHI + 4 || !p->notify.length ||
	    !p->device.length)
		return virtio_why(
			why, size, -ENODEV,
			"%s has not the modern interface: common configuration of %u bytes, doorbells %u, device configuration %u",
			barbuf_device_address(dev), p->common.length, p->notify.length,
			p->device.length);

	ret = map_part(p, &p->common);
	if (!ret)
		ret = map_part(p, &p->device);
	if (ret) {
		virtio_pci_close(p);
		return virtio_why(why, size, ret, "%s: mapping of BAR %u: %s",
				  barbuf_device_address(dev), p->common.bar, strerror(-ret));
	}
	return 0;
}

void virtio_pci_close(struct virtio_pci *p)
{
	barbuf_unmap(p->common.map);
	barbuf_unmap(p->device.map);
	p->common.map = NULL;
	p->device.map = NULL;
}

int virtio_pci_enable(struct virtio_pci *p)
{
	const uint16_t want = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE;
	uint16_t command;
	int ret;

	ret = barbuf_config_read(p->dev, PCI_COMMAND, &command, sizeof(command));
	if (ret || (command & want) == want)
		return ret;
	command |= want;
	return barbuf_config_write(p->dev, PCI_COMMAND, &command, sizeof(command));
}

int virtio_pci_stop_dma(struct virtio_pci *p)
{
	uint16_t command;
	int ret;

	ret = barbuf_config_read(p->dev, PCI_COMMAND, &command, sizeof(command));
	if (ret)
		return ret;
	command &= ~PCI_COMMAND_MASTER;
	return barbuf_config_write(p->dev, PCI_COMMAND, &command, sizeof(command));
}

bool virtio_pci_present(const struct virtio_pci *p)
{
	uint16_t vendor;

	return !barbuf_config_read(p->dev, PCI_VENDOR_ID, &vendor, sizeof(vendor)) &&
	       vendor == VENDOR;
}

/* Doorbells -----------------------------------------------------------------*/

static bool overlap(const struct barbuf_range *a, uint64_t offset, uint64_t length)
{
	return length &&
	       (a->offset <= offset ? offset - a->offset < a->length : a->offset - offset < length);
}

static bool has_other(const struct virtio_pci *p, const struct barbuf_range *page)
{
	unsigned int i;

	for (i = 0; i < p->nr_others; i++)
		if (p->others[i].bar == p->notify.bar &&
		    overlap(page, p->others[i].offset, p->others[i].length))
			return true;
	return false;
}

static bool has_msix(const struct virtio_pci *p, const struct barbuf_range *page)
{
	struct barbuf_range table, pba;
	uint32_t table_bar, pba_bar;

	if (barbuf_device_get_msix(p->dev, &table_bar, &table, &pba_bar, &pba))
		return false;
	return (table_bar == p->notify.bar && overlap(page, table.offset, table.length)) ||
	       (pba_bar == p->notify.bar && overlap(page, pba.offset, pba.length));
}

int virtio_pci_doorbell(const struct virtio_pci *p, uint16_t notify_off, struct barbuf_range *page,
			uint32_t *offset)
{
	uint64_t at = (uint64_t)notify_off * p->notify_multiplier;
	struct barbuf_region bar;
	int ret;

	ret = barbuf_device_get_region(p->dev, p->notify.bar, &bar);
	if (ret)
		return ret;
	if (at + 2 > p->notify.length)
		return -EOPNOTSUPP;
	at += p->notify.offset;
	page->offset = at & ~(p->page - 1);
	page->length = p->page;
	*offset = at - page->offset;
	if (page->offset + page->length > bar.size || has_other(p, page) || has_msix(p, page))
		return -EOPNOTSUPP;
	return 0;
}
