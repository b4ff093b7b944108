// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * examples/blkd's virtio-blk against a device that is played here: what it is told, what it
 * is refused for, and what it does when the device does not do what virtio says.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "../../examples/blkd/virtio.h"
#include "../../examples/blkd/virtio_pci.h"
#include "tap.h"

#define BIT(n) (1ull << (n))
#define BAR 4
#define COMMON 0x0
#define ISR 0x1000
#define DEVICE 0x2000
#define NOTIFY 0x3000
#define BAR_SIZE 0x10000
#define QUEUES 4
#define NEVER 1000000000

/* The device ----------------------------------------------------------------*/

struct queue {
	uint16_t size, vector, enable, notify_off;
	uint64_t desc, avail, used;
};

static struct fake {
	uint8_t config[256];
	unsigned int nr_caps;
	uint64_t offered, accepted;
	uint32_t device_select, driver_select;
	uint8_t status, generation;
	uint16_t select, config_vector;
	struct queue q[QUEUES];
	struct virtio_blk_config blk;
	struct barbuf_range table, pba; /* of MSI-X, in BAR table_bar */
	uint32_t table_bar;
	uint32_t vectors;
	/* How it misbehaves. */
	int reset_takes; /* reads until it is done */
	int queue_reset_takes;
	int generation_moves; /* reads after which it stands still */
	bool refuses_features, refuses_enable, breaks_at_once;
	bool suspended; /* accesses raise SIGBUS */
	bool gone; /* the same, and nobody is on the bus */
	int config_error, map_error, irq_error;
	/* What was seen. */
	int maps, irqs;
	uint16_t vectors_used;
} fake;

struct barbuf_map {
	uint64_t offset, length;
};

static void add_cap(uint8_t type, uint8_t bar, uint32_t offset, uint32_t length)
{
	struct virtio_pci_notify_cap cap = {
		.cap = {
			.cap_vndr = PCI_CAP_ID_VNDR,
			.cap_len = sizeof(cap),
			.cfg_type = type,
			.bar = bar,
			.offset = offset,
			.length = length,
		},
		.notify_off_multiplier = 4096,
	};
	unsigned int at = 0x40 + 0x18 * fake.nr_caps++;

	fake.config[at == 0x40 ? PCI_CAPABILITY_LIST : at - 0x18 + PCI_CAP_LIST_NEXT] = at;
	memcpy(fake.config + at, &cap, sizeof(cap));
}

static struct virtio_pci_notify_cap *cap_of(unsigned int n)
{
	return (void *)(fake.config + 0x40 + 0x18 * n);
}

static void set_id(uint16_t vendor, uint16_t device)
{
	memcpy(fake.config + PCI_VENDOR_ID, &vendor, 2);
	memcpy(fake.config + PCI_DEVICE_ID, &device, 2);
}

/* A device with no structures; and one that is as it should be. */
static void bare(void)
{
	unsigned int q;

	fake = (struct fake){
		.offered = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
			   BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_BLK_F_MQ) |
			   BIT(VIRTIO_BLK_F_FLUSH),
		.blk = { .capacity = 0x123456789a, .num_queues = QUEUES },
		.table_bar = 1,
		.vectors = QUEUES + 1,
	};
	for (q = 0; q < QUEUES; q++)
		fake.q[q] = (struct queue){ .size = 512, .notify_off = q };
	set_id(0x1af4, 0x1042);
	fake.config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
}

static void good(void)
{
	bare();
	add_cap(VIRTIO_PCI_CAP_COMMON_CFG, BAR, COMMON, 0x3c);
	add_cap(VIRTIO_PCI_CAP_ISR_CFG, BAR, ISR, 1);
	add_cap(VIRTIO_PCI_CAP_DEVICE_CFG, BAR, DEVICE, 0x1000);
	add_cap(VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, NOTIFY, 0x4000);
}

static void reset_now(void)
{
	unsigned int q;

	fake.status = 0;
	fake.accepted = 0;
	fake.config_vector = VIRTIO_MSI_NO_VECTOR;
	for (q = 0; q < QUEUES; q++) {
		fake.q[q].enable = 0;
		fake.q[q].vector = VIRTIO_MSI_NO_VECTOR;
	}
}

static uint32_t read_common(uint64_t offset)
{
	struct queue *q = &fake.q[fake.select % QUEUES];

	switch (offset) {
	case VIRTIO_PCI_COMMON_DF:
		return fake.offered >> 32 * fake.device_select;
	case VIRTIO_PCI_COMMON_MSIX:
		return fake.config_vector;
	case VIRTIO_PCI_COMMON_STATUS:
		if (!fake.status || fake.reset_takes == NEVER || fake.reset_takes-- > 0)
			return fake.status | (fake.reset_takes > 0);
		return fake.status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		if (fake.generation_moves && fake.generation_moves != NEVER)
			fake.generation_moves--;
		return fake.generation_moves ? ++fake.generation : fake.generation;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return q->vector;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return q->enable;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return q->notify_off;
	case VIRTIO_PCI_COMMON_Q_RESET:
		return fake.queue_reset_takes == NEVER || fake.queue_reset_takes-- > 0;
	}
	return 0;
}

static void write_status(uint8_t value)
{
	if (!value) {
		reset_now();
		return;
	}
	if (fake.refuses_features)
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (fake.breaks_at_once && value & VIRTIO_CONFIG_S_DRIVER_OK)
		value |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fake.status = value;
}

static void set_half(uint64_t *value, bool high, uint32_t half)
{
	*value = high ? (*value & 0xffffffff) | (uint64_t)half << 32 :
			(*value & ~0xffffffffull) | half;
}

static void write_common(uint64_t offset, uint32_t value)
{
	struct queue *q = &fake.q[fake.select % QUEUES];

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		fake.device_select = value & 1;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		fake.driver_select = value & 1;
		break;
	case VIRTIO_PCI_COMMON_GF:
		set_half(&fake.accepted, fake.driver_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		fake.config_vector = value < fake.vectors_used ? value : VIRTIO_MSI_NO_VECTOR;
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		fake.select = value;
		break;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		q->size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		q->vector = value < fake.vectors_used ? value : VIRTIO_MSI_NO_VECTOR;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (!fake.refuses_enable)
			q->enable = value;
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		q->enable = 0;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&q->avail, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&q->used, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

/* The library, as far as it is used -------------------------------------------*/

static int access(struct barbuf_map *map, uint64_t offset, size_t size, uint32_t *value, bool write)
{
	uint64_t at = map->offset + offset;

	if (offset + size > map->length)
		return -ERANGE;
	if (fake.suspended || fake.gone)
		return -EIO;
	if (at >= DEVICE && !write && at - DEVICE + size <= sizeof(fake.blk)) {
		memcpy(value, (char *)&fake.blk + at - DEVICE, size);
		/* Half of a change: what is read meanwhile is neither old nor new. */
		if (fake.generation_moves)
			*value = 0xdead;
	} else if (write) {
		write_common(at - COMMON, *value);
	} else {
		*value = read_common(at - COMMON);
	}
	return 0;
}

#define MAP_ACCESS(bits)                                                                      \
	int barbuf_map_read##bits(struct barbuf_map *map, uint64_t offset, uint##bits##_t *v) \
	{                                                                                     \
		uint32_t value = 0;                                                           \
		int ret = access(map, offset, bits / 8, &value, false);                       \
                                                                                              \
		if (!ret)                                                                     \
			*v = value;                                                           \
		return ret;                                                                   \
	}                                                                                     \
                                                                                              \
	int barbuf_map_write##bits(struct barbuf_map *map, uint64_t offset, uint##bits##_t v) \
	{                                                                                     \
		uint32_t value = v;                                                           \
                                                                                              \
		return access(map, offset, bits / 8, &value, true);                           \
	}

MAP_ACCESS(8)
MAP_ACCESS(16)
MAP_ACCESS(32)

int barbuf_map_bar(struct barbuf_map **out, struct barbuf_device *dev, uint32_t bar,
		   const struct barbuf_map_options *o)
{
	if (fake.map_error)
		return fake.map_error;
	if (bar != BAR || o->offset % 4096 || o->offset + o->length > BAR_SIZE)
		return -EINVAL;
	*out = malloc(sizeof(**out));
	**out = (struct barbuf_map){ .offset = o->offset, .length = o->length };
	fake.maps++;
	return 0;
}

void barbuf_unmap(struct barbuf_map *map)
{
	fake.maps -= map != NULL;
	free(map);
}

int barbuf_config_read(struct barbuf_device *dev, uint32_t offset, void *buf, size_t len)
{
	if (fake.config_error)
		return fake.config_error;
	if (offset + len > sizeof(fake.config))
		return -ERANGE;
	memcpy(buf, fake.config + offset, len);
	if (fake.gone)
		memset(buf, 0xff, len);
	return 0;
}

int barbuf_config_write(struct barbuf_device *dev, uint32_t offset, const void *buf, size_t len)
{
	memcpy(fake.config + offset, buf, len);
	return 0;
}

const char *barbuf_device_address(const struct barbuf_device *dev)
{
	return "0000:01:00.0";
}

int barbuf_device_get_region(struct barbuf_device *dev, uint32_t index,
			     struct barbuf_region *region)
{
	*region = (struct barbuf_region){ .index = index, .size = BAR_SIZE };
	return 0;
}

int barbuf_device_get_msix(struct barbuf_device *dev, uint32_t *table_bar,
			   struct barbuf_range *table, uint32_t *pba_bar, struct barbuf_range *pba)
{
	*table_bar = fake.table_bar;
	*pba_bar = fake.table_bar;
	*table = fake.table;
	*pba = fake.pba;
	return 0;
}

int virtio_irq_open(struct virtio_pci *p)
{
	if (fake.irq_error)
		return fake.irq_error;
	p->nr_vectors = fake.vectors;
	fake.vectors_used = fake.vectors;
	fake.irqs++;
	return 0;
}

int virtio_irq_set(struct virtio_pci *p, uint16_t vector, int eventfd)
{
	return 0;
}

void virtio_irq_close(struct virtio_pci *p)
{
	fake.irqs -= p->nr_vectors != 0;
	p->nr_vectors = 0;
}

/* Open ------------------------------------------------------------------------*/

static struct virtio_blk *opened(void)
{
	struct virtio_blk *v = NULL;
	char why[256] = "";
	int ret = virtio_blk_open(&v, NULL, why, sizeof(why));

	CHECK(ret == 0, "it opens (%s)", why);
	return v;
}

static void refused(int want, const char *words, const char *what)
{
	struct virtio_blk *v = NULL;
	char why[256] = "";
	int ret = virtio_blk_open(&v, NULL, why, sizeof(why));

	CHECK(ret == want && strstr(why, words) && !v && !fake.maps && !fake.irqs,
	      "%s: %s, '%s', and nothing is left behind", what, strerror(-ret), why);
	if (!ret)
		virtio_blk_close(v);
}

static void opens(const char *what)
{
	struct virtio_blk *v = opened();

	CHECK(v, "with %s", what);
	virtio_blk_close(v);
	CHECK(!fake.maps && !fake.irqs && !fake.status, "and closes: reset, nothing left behind");
}

static void capabilities(void)
{
	good();
	opens("all there is");
	CHECK((fake.config[PCI_COMMAND] & 6) == (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER),
	      "memory and bus mastering are on");

	bare();
	refused(-ENODEV, "modern", "no structures");
	good();
	fake.config[PCI_STATUS] = 0;
	refused(-ENODEV, "modern", "no list");
	good();
	fake.config[0x41] = 0x40;
	refused(-ENODEV, "modern", "a list with a loop");
	good();
	cap_of(0)->cap.length = 0x34;
	refused(-ENODEV, "of 52 bytes", "a structure that is too short");
	good();
	cap_of(3)->cap.cap_vndr = PCI_CAP_ID_MSI;
	refused(-ENODEV, "doorbells 0", "a capability of another kind");

	bare();
	add_cap(VIRTIO_PCI_CAP_COMMON_CFG, 6, 0x5000, 0x38);
	add_cap(99, BAR, 0x8000, 0x38);
	add_cap(VIRTIO_PCI_CAP_COMMON_CFG, BAR, COMMON, 0x38);
	add_cap(VIRTIO_PCI_CAP_COMMON_CFG, BAR, 0x7000, 0x38);
	add_cap(VIRTIO_PCI_CAP_DEVICE_CFG, BAR, DEVICE, 0x1000);
	add_cap(VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, NOTIFY, 0x4000);
	opens("reserved ones, and two of a kind: the first that can be used is");

	good();
	fake.map_error = -EINVAL;
	refused(-EINVAL, "mapping of BAR 4", "a BAR that cannot be mapped");
	good();
	cap_of(2)->cap.bar = 2;
	refused(-EINVAL, "mapping", "half of it in such a one");
	good();
	fake.config_error = -EIO;
	refused(-EIO, "configuration space", "no configuration space");
}

static void identity(void)
{
	good();
	set_id(0x1af4, 0x1001);
	opens("the transitional ID");
	good();
	set_id(0x1af4, 0x1041);
	refused(-ENODEV, "is 1af4:1041, and virtio device 2 is 1af4:1042", "a network card");
	good();
	set_id(0x8086, 0x1042);
	refused(-ENODEV, "is 8086:1042", "another vendor");
}

static void features(void)
{
	const uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
				BIT(VIRTIO_F_ORDER_PLATFORM) | BIT(VIRTIO_F_RING_RESET) |
				BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_RO) |
				BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
				BIT(VIRTIO_BLK_F_SIZE_MAX);
	struct virtio_blk *v;

	good();
	fake.offered = ~BIT(17);
	fake.blk.blk_size = 4096;
	fake.blk.size_max = 32768;
	v = opened();
	/* Above all not: indirect descriptors, which a client could write. */
	CHECK(fake.accepted == wanted, "of all features these are taken: 0x%llx",
	      (unsigned long long)fake.accepted);
	CHECK(virtio_blk_facts(v)->read_only && virtio_blk_facts(v)->block_size == 4096 &&
		      virtio_blk_facts(v)->size_max == 32768,
	      "and known: read-only, block size, size of a descriptor");
	virtio_blk_close(v);

	good();
	fake.offered &= ~BIT(VIRTIO_F_VERSION_1);
	refused(-EOPNOTSUPP, "feature 32 (VERSION_1)", "a device of the old kind");
	good();
	fake.offered &= ~BIT(VIRTIO_F_ACCESS_PLATFORM);
	refused(-EOPNOTSUPP, "feature 33", "one that goes around the IOMMU");
	good();
	fake.offered |= BIT(17);
	refused(-EOPNOTSUPP, "zoned",
		"one with zones, which a holder that may not write could erase");
	good();
	fake.refuses_features = true;
	refused(-EIO, "the features", "one that does not want what it offered");
}

static void facts(void)
{
	const struct virtio_blk_facts *f;
	struct virtio_blk *v;

	good();
	fake.q[2].size = 300;
	v = opened();
	f = virtio_blk_facts(v);
	CHECK(f->sectors == 0x123456789a && f->nr_queues == QUEUES && f->queue_size == 256 &&
		      f->block_size == 512 && f->size_max == UINT32_MAX && !f->read_only &&
		      f->flush && f->ring_reset,
	      "what it is, and the least of its queues' sizes that is a power of two");
	fake.blk.capacity = 5;
	CHECK(virtio_blk_refresh(v) == 0 && f->sectors == 5, "it shrinks");
	fake.generation_moves = 7;
	fake.blk.capacity = 9;
	CHECK(virtio_blk_refresh(v) == 0 && f->sectors == 9, "while it changes nothing is taken");
	fake.generation_moves = NEVER;
	CHECK(virtio_blk_refresh(v) == -EIO && f->sectors == 9, "for ever is too long");
	fake.generation_moves = 0;
	virtio_blk_close(v);

	good();
	fake.offered &= ~(BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_F_RING_RESET));
	v = opened();
	CHECK(virtio_blk_facts(v)->nr_queues == 1, "one queue without MQ");
	CHECK(virtio_blk_queue_reset(v, 0) == -EOPNOTSUPP, "no reset of it without RING_RESET");
	virtio_blk_close(v);

	good();
	cap_of(0)->cap.length = 0x38;
	v = opened();
	CHECK(!virtio_blk_facts(v)->ring_reset && !(fake.accepted & BIT(VIRTIO_F_RING_RESET)),
	      "nor with no register for it");
	virtio_blk_close(v);

	good();
	fake.blk.num_queues = 0;
	refused(-EIO, "0 queues", "no queue");
	good();
	fake.q[3].size = 0;
	refused(-EIO, "queues of 0 entries", "a queue of nothing");
	good();
	fake.vectors = 4;
	refused(-EOPNOTSUPP, "4 MSI-X vectors, and 5", "too few vectors");
	good();
	fake.irq_error = -EOPNOTSUPP;
	refused(-EOPNOTSUPP, "MSI-X", "none at all");
}

static void doorbells(void)
{
	struct barbuf_range page;
	uint32_t bar, offset;
	struct virtio_blk *v;
	uint16_t value;

	good();
	fake.q[1].notify_off = 3;
	fake.q[3].notify_off = 1;
	cap_of(3)->cap.offset = NOTIFY + 0x10;
	v = opened();
	CHECK(virtio_blk_doorbell(v, 1, &bar, &page, &offset, &value) == 0 && bar == BAR &&
		      page.offset == NOTIFY + 3 * 4096 && page.length == 4096 && offset == 0x10 &&
		      value == 1,
	      "a doorbell is where the device says");
	CHECK(virtio_blk_doorbell(v, QUEUES, &bar, &page, &offset, &value) == -EINVAL,
	      "there is none of a queue that is none");
	virtio_blk_close(v);

	good();
	cap_of(3)->notify_off_multiplier = 0;
	refused(-EOPNOTSUPP, "queues 0 and 1 are in one page", "one doorbell for all");
	good();
	cap_of(3)->notify_off_multiplier = 4;
	refused(-EOPNOTSUPP, "queues 0 and 1 are in one page", "all in one page");
	good();
	fake.q[3].notify_off = 1;
	refused(-EOPNOTSUPP, "queues 1 and 3 are in one page, 0x4000", "two in one page");
	good();
	cap_of(3)->cap.length = 0x3001;
	refused(-EOPNOTSUPP, "queue 3", "one outside of the structure");
	good();
	cap_of(3)->cap.offset = BAR_SIZE - 0x3000;
	refused(-EOPNOTSUPP, "queue 3", "one outside of the BAR");
	good();
	cap_of(1)->cap.offset = NOTIFY + 0x1fff;
	refused(-EOPNOTSUPP, "queue 1, 0x4000", "the interrupt status in its page");
	good();
	cap_of(2)->cap.offset = DEVICE;
	cap_of(2)->cap.length = 0x1001;
	refused(-EOPNOTSUPP, "queue 0, 0x3000", "the device configuration");
	good();
	cap_of(3)->cap.offset = 0x800;
	refused(-EOPNOTSUPP, "queue 0, 0x0", "the common configuration");
	good();
	add_cap(VIRTIO_PCI_CAP_ISR_CFG, BAR, NOTIFY + 0x1000, 1);
	refused(-EOPNOTSUPP, "queue 1", "a second interrupt status");
	good();
	add_cap(99, BAR, NOTIFY + 0x2ffc, 4);
	refused(-EOPNOTSUPP, "queue 2", "a structure that nobody knows");
	good();
	add_cap(VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, NOTIFY + 0x3000, 4);
	refused(-EOPNOTSUPP, "queue 3", "other doorbells");
	good();
	add_cap(VIRTIO_PCI_CAP_PCI_CFG, BAR, NOTIFY, 4);
	opens("what the last access by configuration space was to is none");
	good();
	fake.table_bar = BAR;
	fake.table = (struct barbuf_range){ NOTIFY + 0x2100, 80 };
	refused(-EOPNOTSUPP, "queue 2", "the table of MSI-X");
	good();
	fake.table_bar = BAR;
	fake.pba = (struct barbuf_range){ NOTIFY + 0x3ff8, 8 };
	refused(-EOPNOTSUPP, "queue 3", "its pending bits");
	good();
	fake.table = (struct barbuf_range){ NOTIFY, 80 };
	opens("a table of MSI-X in another BAR");
}

static void late_or_gone(void)
{
	struct virtio_blk *v;

	good();
	fake.status = 4;
	fake.queue_reset_takes = 5;
	v = opened();
	CHECK(virtio_blk_queue_reset(v, 2) == 0 && fake.queue_reset_takes < 0,
	      "a queue's reset is waited for");
	fake.queue_reset_takes = NEVER;
	CHECK(virtio_blk_queue_reset(v, 2) == -ETIMEDOUT, "but not for ever");
	fake.queue_reset_takes = 0;
	fake.suspended = true;
	CHECK(virtio_blk_reset(v) == -EAGAIN, "registers that are away come back");
	CHECK(virtio_blk_queue_reset(v, 0) == -EAGAIN && virtio_blk_refresh(v) == -EAGAIN &&
		      virtio_blk_health(v) == -EAGAIN,
	      "in each call");
	fake.suspended = false;
	CHECK(virtio_blk_reset(v) == 0, "and an error is not kept");
	fake.gone = true;
	CHECK(virtio_blk_reset(v) == -ENODEV && virtio_blk_health(v) == -ENODEV &&
		      virtio_blk_queue_reset(v, 0) == -ENODEV && virtio_blk_refresh(v) == -ENODEV,
	      "those of a device that has left do not");
	virtio_blk_close(v);
	CHECK(!fake.maps, "it can be closed all the same");
}

/* Start -----------------------------------------------------------------------*/

static void rings(struct virtio_blk_queue *r)
{
	unsigned int q;

	for (q = 0; q < QUEUES; q++)
		r[q] = (struct virtio_blk_queue){
			.size = 128 << q % 2,
			.desc = 0x1100000000 + q,
			.avail = 0x2200000000 + q,
			.used = 0x3300000000 + q,
			.vector = VIRTIO_BLK_VECTOR_QUEUE(q),
		};
}

static bool has_rings(unsigned int q, const struct virtio_blk_queue *r)
{
	return fake.q[q].enable == 1 && fake.q[q].size == r->size && fake.q[q].desc == r->desc &&
	       fake.q[q].avail == r->avail && fake.q[q].used == r->used &&
	       fake.q[q].vector == r->vector;
}

static void fails_to_start(struct virtio_blk *v, const char *what)
{
	struct virtio_blk_queue r[QUEUES];

	rings(r);
	CHECK(virtio_blk_start(v, r) == -EIO && !fake.status, "%s: refused, and left reset", what);
	CHECK(virtio_blk_health(v) == -EIO, "which is no health");
}

static void starts(void)
{
	struct virtio_blk_queue r[QUEUES];
	struct virtio_blk *v;
	uint64_t accepted;

	good();
	v = opened();
	accepted = fake.accepted;
	rings(r);
	r[2].size = 0;
	fake.config[PCI_COMMAND] = 0;
	CHECK(virtio_blk_start(v, r) == 0, "it starts");
	CHECK(fake.config[PCI_COMMAND] & PCI_COMMAND_MASTER, "bus mastering is on again");
	CHECK(fake.status == (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK),
	      "its status is complete");
	CHECK(fake.accepted == accepted, "features are agreed on again");
	CHECK(fake.config_vector == 0, "it has a vector for changes");
	CHECK(has_rings(0, &r[0]) && has_rings(1, &r[1]) && has_rings(3, &r[3]),
	      "queues are as was said");
	CHECK(!fake.q[2].enable, "but the one with no rings");
	CHECK(virtio_blk_health(v) == 0, "it is well");

	CHECK(virtio_blk_queue_enable(v, 2, &r[1]) == 0 && has_rings(2, &r[1]),
	      "which is enabled later");
	CHECK(virtio_blk_queue_reset(v, 2) == 0 && !fake.q[2].enable, "and reset");
	CHECK(virtio_blk_queue_reset(v, QUEUES) == -EINVAL &&
		      virtio_blk_queue_enable(v, QUEUES, &r[1]) == -EINVAL &&
		      virtio_blk_queue_enable(v, 2, &r[2]) == -EINVAL,
	      "not a queue that is none, or of nothing");
	r[1].size = 1024;
	CHECK(virtio_blk_queue_enable(v, 2, &r[1]) == -EINVAL, "or of more than it takes");

	fake.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	CHECK(virtio_blk_health(v) == -EIO, "it gives up");
	fake.status = 0xff;
	CHECK(virtio_blk_health(v) == -EAGAIN, "its registers read as all ones");
	set_id(0xffff, 0xffff);
	CHECK(virtio_blk_health(v) == -ENODEV, "and so does its configuration space");
	set_id(0x1af4, 0x1042);
	fake.status = 0;
	CHECK(virtio_blk_health(v) == -EIO, "someone else resets it");

	fake.vectors_used = 0;
	fails_to_start(v, "no vector for changes");
	fake.vectors_used = QUEUES;
	fails_to_start(v, "no vector for the last queue");
	fake.vectors_used = QUEUES + 1;
	fake.refuses_enable = true;
	fails_to_start(v, "a queue that does not go on");
	fake.refuses_enable = false;
	fake.refuses_features = true;
	fails_to_start(v, "other features than before");
	fake.refuses_features = false;
	fake.breaks_at_once = true;
	fails_to_start(v, "gives up at once");
	fake.breaks_at_once = false;
	r[1].size = 128;
	r[2].size = 128;
	CHECK(virtio_blk_start(v, r) == 0, "and in the end it starts");
	CHECK(virtio_blk_stop_dma(v) == 0 && !(fake.config[PCI_COMMAND] & PCI_COMMAND_MASTER) &&
		      fake.config[PCI_COMMAND] & PCI_COMMAND_MEMORY,
	      "it is kept from DMA, and nothing else");
	CHECK(virtio_blk_start(v, r) == 0 && fake.config[PCI_COMMAND] & PCI_COMMAND_MASTER,
	      "until it starts anew");
	fake.suspended = true;
	CHECK(virtio_blk_start(v, r) == -EAGAIN, "not while its registers are away");
	CHECK(virtio_blk_queue_enable(v, 1, &r[1]) == -EAGAIN, "nor a queue");
	fake.suspended = false;
	fake.gone = true;
	CHECK(virtio_blk_start(v, r) == -ENODEV, "nor when it has left");
	virtio_blk_close(v);
	virtio_blk_close(NULL);
}

int main(void)
{
	capabilities();
	identity();
	features();
	facts();
	doorbells();
	late_or_gone();
	starts();
	return tap_done();
}
