/* SPDX-License-Identifier: MIT */
/*
 * Virtio's structures in the BARs of a PCI function (virtio 1.2, 4.1.4), and its MSI-X
 * vectors: what a driver of any virtio device needs. For virtio.c alone.
 */
#ifndef BLKD_VIRTIO_PCI_H
#define BLKD_VIRTIO_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barbuf.h>

/* One structure: where it is, and a mapping of it. */
struct virtio_part {
	uint32_t bar;
	uint32_t length; /* 0: the function has none */
	uint64_t offset; /* in the BAR */
	struct barbuf_map *map;
	uint64_t delta; /* of the structure in the mapping */
};

/* A list of capabilities has room for no more. */
#define VIRTIO_PCI_CAPS_MAX 48

struct virtio_pci {
	struct barbuf_device *dev;
	uint64_t page;
	struct virtio_part common; /* 4.1.4.3 */
	struct virtio_part notify; /* 4.1.4.4; not mapped: clients ring */
	struct virtio_part device; /* 4.1.4.6 */
	uint32_t notify_multiplier;
	/* What capabilities name beside these doorbells, used here or not. */
	struct {
		uint32_t bar;
		uint64_t offset, length;
	} others[VIRTIO_PCI_CAPS_MAX];
	unsigned int nr_others;
	uint32_t nr_vectors;
	int error; /* the first since it was last asked for */
};

/* -ENODEV: not a virtio function of this type with the modern interface. */
int virtio_pci_open(struct virtio_pci *p, struct barbuf_device *dev, uint16_t type, char *why,
		    size_t size);
void virtio_pci_close(struct virtio_pci *p);

/* Let the function do DMA, and answer to its BARs. */
int virtio_pci_enable(struct virtio_pci *p);
/* Let it do DMA and send interrupts no more. */
int virtio_pci_stop_dma(struct virtio_pci *p);
/* Is it still there? What its configuration space says, which cannot be suspended. */
bool virtio_pci_present(const struct virtio_pci *p);
/* The page of a doorbell, and its offset in it. -EOPNOTSUPP: outside of the BAR, or something
 * that is no doorbell is in that page. */
int virtio_pci_doorbell(const struct virtio_pci *p, uint16_t notify_off, struct barbuf_range *page,
			uint32_t *offset);

/*
 * Accesses, little-endian as all CPUs that libbarbuf knows. One that fails is kept as
 * p->error and reads as all ones, as PCI has it, so that a sequence of them is checked once,
 * by virtio_pci_error(), which forgets the error.
 */
uint8_t virtio_read8(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset);
uint16_t virtio_read16(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset);
uint32_t virtio_read32(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset);
void virtio_write8(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset,
		   uint8_t value);
void virtio_write16(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset,
		    uint16_t value);
void virtio_write32(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset,
		    uint32_t value);
/* Two halves: no access of 64 bits is allowed (4.1.3.1). */
void virtio_write64(struct virtio_pci *p, const struct virtio_part *part, uint32_t offset,
		    uint64_t value);
int virtio_pci_error(struct virtio_pci *p);

/* MSI-X, all vectors at once, which works on kernels that cannot add one later. */
int virtio_irq_open(struct virtio_pci *p);
int virtio_irq_set(struct virtio_pci *p, uint16_t vector, int eventfd);
void virtio_irq_close(struct virtio_pci *p);

/* Print into *why; returns @error. */
int virtio_why(char *why, size_t size, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
