// SPDX-License-Identifier: GPL-2.0-only
#include <linux/pci_regs.h>
#include <sys/mman.h>

#include "edu.h"
#include "harness.h"

#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98
#define EDU_DMA_RUN 1u
#define EDU_DMA_STORE 2u
#define EDU_BUFFER 0x40000

void edu_start(struct edu *edu, struct barbuf_device *dev)
{
	struct barbuf_region region;
	uint16_t command;

	edu->dev = dev;
	CHECK_EQ(barbuf_device_get_region(dev, 0, &region), 0);
	edu->regs = map_buffer(barbuf_device_fd(dev), region.offset, PAGE);
	CHECK_EQ(barbuf_config_read(dev, PCI_COMMAND, &command, sizeof(command)), 0);
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	CHECK_EQ(barbuf_config_write(dev, PCI_COMMAND, &command, sizeof(command)), 0);
}

void edu_open(struct edu *edu, struct barbuf_container *c)
{
	struct barbuf_device *dev;
	char address[32];
	int group, ret;

	if (!dev_bind("edu", address, &group))
		SKIP("this lab has no edu");
	ret = barbuf_device_open(&dev, c, address);
	if (ret)
		FAIL("open of edu: %s", strerror_name(-ret));
	edu_start(edu, dev);
}

void edu_stop(struct edu *edu)
{
	unmap((void *)edu->regs, PAGE);
}

void edu_close(struct edu *edu)
{
	edu_stop(edu);
	barbuf_device_close(edu->dev);
}

static void put64(struct edu *edu, unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(edu->regs + reg) = value;
}

static uint64_t get64(struct edu *edu, unsigned int reg)
{
	return *(volatile uint64_t *)(edu->regs + reg);
}

static void run(struct edu *edu, uint64_t src, uint64_t dst, size_t len, unsigned int direction)
{
	uint64_t end = timeout();

	CHECK(len <= EDU_ROOM);
	put64(edu, EDU_DMA_SRC, src);
	put64(edu, EDU_DMA_DST, dst);
	put64(edu, EDU_DMA_COUNT, len);
	put64(edu, EDU_DMA_CMD, EDU_DMA_RUN | direction);
	while (get64(edu, EDU_DMA_CMD) & EDU_DMA_RUN) {
		if (now_ns() > end)
			FAIL("the edu device's DMA engine does not end");
		sleep_ms(1);
	}
}

void edu_fetch(struct edu *edu, uint64_t iova, size_t len)
{
	CHECK(iova + len - 1 <= EDU_IOVA_MAX);
	run(edu, iova, EDU_BUFFER, len, 0);
}

void edu_store(struct edu *edu, uint64_t iova, size_t len)
{
	CHECK(iova + len - 1 <= EDU_IOVA_MAX);
	run(edu, EDU_BUFFER, iova, len, EDU_DMA_STORE);
}
