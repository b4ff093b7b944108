// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file for each open device that lists its buffers:
 * /sys/kernel/debug/vfio_pci_dmabuf/DEVICE. A line for each buffer, fields
 * separated by a tab, named in the first line.
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "../vfio_pci_priv.h"
#include "access.h"
#include "buf.h"

/* A buffer may have a quarter of a million. */
#define MAX_RANGES_SHOWN	16
/* Nor is there a limit to these; resv is held while they are written. */
#define MAX_ATTACHED_SHOWN	64

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

/*
 * DEVICE/PID/COMM, or DEVICE/PID@IOVA:LENGTH:OFFSET/COMM for an importer that has
 * said where it maps the buffer. A comma or a separator of the file in a name is
 * escaped.
 */
static void vfio_pci_buf_show_attachment(struct seq_file *m,
					 struct dma_buf_attachment *attach)
{
	const struct vfio_pci_buf_importer *importer = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	seq_printf(m, "%s/%d", dev_name(attach->dev), importer->pid);
	if (importer->len)
		seq_printf(m, "@0x%llx:0x%llx:0x%llx", importer->iova,
			   importer->len, importer->offset);
	seq_putc(m, '/');
	seq_escape(m, importer->comm, "\t\n\v\f\r\\,");
}

/* Who is attached for DMA, the last one first. */
static int vfio_pci_buf_show_attached(struct seq_file *m,
				      struct vfio_pci_buf *buf)
{
	struct dma_buf_attachment *attach;
	unsigned int shown = 0;

	/* An importer may hold it for long: let the reader be killed. */
	if (dma_resv_lock_interruptible(&buf->resv, NULL))
		return -ERESTARTSYS;

	/* As long as somebody is attached, the DMABUF is there. */
	if (buf->nr_attached) {
		list_for_each_entry(attach, &buf->dmabuf->attachments, node) {
			if (shown == MAX_ATTACHED_SHOWN)
				break;
			if (shown++)
				seq_putc(m, ',');
			vfio_pci_buf_show_attachment(m, attach);
		}
		if (shown == MAX_ATTACHED_SHOWN && shown < buf->nr_attached)
			seq_printf(m, ",+%u", buf->nr_attached - shown);
	}
	dma_resv_unlock(&buf->resv);

	if (!shown)
		seq_putc(m, '-');
	return 0;
}

static int vfio_pci_bufs_show(struct seq_file *m, void *unused)
{
	struct vfio_pci_core_device *vdev = m->private;
	struct vfio_pci_buf *buf = NULL;
	int ret;

	seq_puts(m, "buf\tkind\tbar\tstate\tmemattr\tsize\tvmas\timporters\tdma_maps\tpid\tcomm\tattached\tranges\n");
	while ((buf = vfio_pci_buf_next(vdev->buf_list, buf))) {
		u64 base = 0;

		/* A BAR buffer that waits to be used again is nobody's. */
		if (!buf->exported && !atomic_read(&buf->nr_vmas) &&
		    !READ_ONCE(buf->nr_attached))
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
		ret = vfio_pci_buf_show_attached(m, buf);
		if (ret) {
			vfio_pci_buf_put(buf);
			return ret;
		}
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
 * Waits for readers, who take no lock that the caller holds. One of them may wait
 * for resv of a buffer, as closing the device does.
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
