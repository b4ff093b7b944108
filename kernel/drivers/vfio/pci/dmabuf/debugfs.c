// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file for each open device that lists its buffers:
 * /sys/kernel/debug/vfio_pci_dmabuf/DEVICE. A line for each buffer, fields
 * separated by a tab, named in the first line.
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/* A buffer may have a quarter of a million. */
#define MAX_RANGES_SHOWN	16

static struct dentry *vfio_pci_buf_debugfs;

static const char *vfio_pci_buf_state_name(enum vfio_pci_buf_state state)
{
	switch (state) {
	case VFIO_PCI_BUF_LIVE:
		return "live";
	case VFIO_PCI_BUF_QUIESCING:
		return "quiescing";
	case VFIO_PCI_BUF_SUSPENDED:
		return "suspended";
	case VFIO_PCI_BUF_REVOKED:
		return "revoked";
	}

	return "?";
}

/* Offsets in the BAR; of other memory, physical addresses. */
static void vfio_pci_buf_show_ranges(struct seq_file *m,
				     struct vfio_pci_buf *buf, u64 base)
{
	const struct vfio_pci_layout *layout = &buf->layout;
	u32 i;

	for (i = 0; i < min(layout->nr, MAX_RANGES_SHOWN); i++)
		seq_printf(m, "%s0x%llx:0x%llx", i ? "," : "",
			   (u64)layout->vecs[i].paddr - base,
			   (u64)layout->vecs[i].len);
	if (i < layout->nr)
		seq_printf(m, ",+%u", layout->nr - i);
}

static int vfio_pci_bufs_show(struct seq_file *m, void *unused)
{
	struct vfio_pci_core_device *vdev = m->private;
	struct vfio_pci_buf *buf = NULL;

	seq_puts(m, "buf\tkind\tbar\tstate\tmemattr\tsize\tvmas\timporters\tdma_maps\tpid\tcomm\tranges\n");
	while ((buf = vfio_pci_buf_next(vdev->buf_list, buf))) {
		u64 base = 0;

		/* A BAR buffer that waits to be used again is nobody's. */
		if (!buf->exported && !atomic_read(&buf->nr_vmas))
			continue;

		if (!buf->exported || buf->cpu_mappable)
			base = pci_resource_start(vdev->pdev, buf->bar);

		seq_printf(m, "%llu\t%s\t%u\t%s\t%s\t0x%llx\t%d\t%u\t%d\t%d\t",
			   (u64)buf->inode->i_ino,
			   buf->exported ? "exported" : "bar", buf->bar,
			   vfio_pci_buf_state_name(READ_ONCE(buf->state)),
			   READ_ONCE(buf->memattr) ? "wc" : "nc",
			   buf->layout.size, atomic_read(&buf->nr_vmas),
			   READ_ONCE(buf->nr_attached),
			   atomic_read(&buf->nr_dma_maps), buf->owner_pid);
		seq_escape_str(m, buf->owner_comm, ESCAPE_SPACE | ESCAPE_SPECIAL,
			       NULL);
		seq_putc(m, '\t');
		vfio_pci_buf_show_ranges(m, buf, base);
		seq_putc(m, '\n');
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vfio_pci_bufs);

/**
 * vfio_pci_buf_debugfs_add - the file of a device that has been opened
 * @vdev: the device
 */
void vfio_pci_buf_debugfs_add(struct vfio_pci_core_device *vdev)
{
	vdev->buf_list->debugfs =
		debugfs_create_file(vdev->buf_list->device, 0400,
				    vfio_pci_buf_debugfs, vdev,
				    &vfio_pci_bufs_fops);
}

/**
 * vfio_pci_buf_debugfs_remove - the device is being closed
 * @list: its list
 *
 * Waits for readers, who take no lock that the caller holds.
 */
void vfio_pci_buf_debugfs_remove(struct vfio_pci_buf_list *list)
{
	debugfs_remove(list->debugfs);
	list->debugfs = NULL;
}

/**
 * vfio_pci_buf_debugfs_init - when the module is loaded
 */
void vfio_pci_buf_debugfs_init(void)
{
	vfio_pci_buf_debugfs = debugfs_create_dir("vfio_pci_dmabuf", NULL);
}

/**
 * vfio_pci_buf_debugfs_exit - when the module is unloaded
 */
void vfio_pci_buf_debugfs_exit(void)
{
	debugfs_remove(vfio_pci_buf_debugfs);
}
