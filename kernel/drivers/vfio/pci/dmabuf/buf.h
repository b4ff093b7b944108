/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A buffer: the DMABUF that stands under every mapping of a PCI BAR.
 *
 * Two kinds share all of the code:
 *
 *  - an exported buffer has an fd from VFIO_DEVICE_FEATURE_DMA_BUF and never
 *    keeps the device open;
 *  - a BAR buffer is made under an mmap of the device fd, spans the BAR, has
 *    no fd, and keeps the device file open while it is mapped.
 *
 * Who does what: layout.c finds the physical address of an offset, buf.c owns
 * lifetime and the device's list, fault.c inserts PTEs, bar.c makes BAR
 * buffers, export.c, memattr.c and import.c speak DMABUF, domain.c serves the
 * importers that program IOMMU domains, revoke.c takes access away, access.c
 * does so for the whole device around resets and the like.
 *
 * Lock order, outermost first
 * ---------------------------
 *
 *   mmap_lock or VMA lock
 *     buf->fault_lock, read side		fault
 *       page-table lock
 *     list->lock				mmap and munmap
 *     dma-buf's list of all DMABUFs	first mmap of a BAR only
 *
 *   vdev->memory_lock, write side		a transition of the device
 *     vdev->access_lock			its end; its begin takes it first
 *       list->lock				one step of the walk, never longer
 *       buf->fault_lock, write side		setting the state
 *       i_mmap lock, page-table lock		the zap
 *
 *   device lock, configuration space blocked	resets and recoveries that VFIO
 *     vdev->access_lock ...			did not start; see reset.c
 *
 *   buf->resv					importers; inside no lock of the
 *						driver, and no wait inside it
 *     a lock of iommufd or type1		their notification
 *       page tables of an IOMMU domain		no lock of the driver
 *
 * A fault and an mmap take no other lock of the driver, so nothing that holds
 * memory_lock, however long, is waited for under mmap_lock. A revoke of one
 * buffer takes fault_lock and resv of that buffer and no lock of the device.
 * (Its ioctl resumes a sleeping device first, as every VFIO ioctl does.)
 *
 * Why one zap is enough: the state is set under the write side of the fault
 * lock. A fault that saw the old state holds the read side until its PTEs are
 * in, so the state changes after it and the zap that follows finds the PTEs. A
 * fault that comes later sees the new state and inserts nothing. A fork copies
 * PTEs with the child's VMA already in the address space, and behind the
 * parent's; the zap goes through the VMAs in that order and so meets the copy.
 *
 * A fork that copies a huge leaf is an exception, see vfio_pci_buf_vma_open().
 *
 * Why the fault lock may spin: page tables exist before it is taken, so the
 * read side allocates nothing, and a bounded number of entries goes in. A
 * client at the limit of its memory cgroup, or starved of processor time, does
 * not hold the lock meanwhile. (The zap takes the i_mmap lock, as every zap of a
 * file does.) vmf_insert_pfn_pmd() allocates where a page table is deposited
 * with each leaf; no architecture with PMD leaves of PFNs does that.
 */
#ifndef VFIO_PCI_DMABUF_BUF_H
#define VFIO_PCI_DMABUF_BUF_H

#include <linux/atomic.h>
#include <linux/dma-resv.h>
#include <linux/gfp.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "layout.h"

struct dentry;
struct dma_buf;
struct dma_buf_attachment;
struct dma_buf_ops;
struct dma_fence;
struct file;
struct inode;
struct p2pdma_provider;
struct vfio_pci_core_device;
struct vm_area_struct;

/* Most ranges that one export may name; 16.5 bytes of memory each. */
#define VFIO_PCI_BUF_MAX_RANGES		262144

/*
 * For what the user decides the size of: at the limit of its memory cgroup the
 * caller gets -ENOMEM, and nobody is killed for it.
 */
#define VFIO_PCI_GFP_RANGES	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | \
				 __GFP_NOWARN)

/* Of a PCI function's name, its domain of up to 32 bits included. */
#define VFIO_PCI_DEVICE_NAME_LEN	20

/**
 * enum vfio_pci_buf_state - what access to a buffer is allowed now
 * @VFIO_PCI_BUF_LIVE: faults insert PTEs, importers may map
 * @VFIO_PCI_BUF_QUIESCING: a transition runs, faults wait for its end
 * @VFIO_PCI_BUF_SUSPENDED: the BAR does not answer, faults get SIGBUS
 * @VFIO_PCI_BUF_REVOKED: SIGBUS for good; no state follows
 */
enum vfio_pci_buf_state {
	VFIO_PCI_BUF_LIVE,
	VFIO_PCI_BUF_QUIESCING,
	VFIO_PCI_BUF_SUSPENDED,
	VFIO_PCI_BUF_REVOKED,
};

/**
 * struct vfio_pci_buf_list - the buffers of one opening of a device
 * @kref: one of the open device, one of every buffer on the list
 * @lock: protects the fields below, @nr_attached apart, and the list members of
 *	the buffers. Never held across anything that waits or allocates. The
 *	innermost lock of the driver.
 * @bufs: every buffer that has not lost its last reference, newest first, so
 *	that a walk does not meet what is added behind its back
 * @bars: the BAR buffers that are mapped now, by device file and BAR
 * @idle_bars: of each BAR one buffer that is not mapped now, or NULL; holds the
 *	DMABUF's file
 * @state: what a new buffer starts with. Changes under access_lock as well,
 *	so whoever holds that may read it.
 * @nr_attached: attachments of importers to all buffers. Increased before the
 *	importer looks at the state of its buffer, with a full barrier between;
 *	whoever has set a state and sees zero after a full barrier need not look
 *	for importers.
 * @debugfs: the device's file, while the device is open
 * @device: name of the device, for those who outlive it; constant
 *
 * It outlives the device: a buffer that a client holds for ever keeps the list
 * and neither the device nor its driver.
 */
struct vfio_pci_buf_list {
	struct kref kref;
	spinlock_t lock;	/* the lists, the state, VMA counts */
	struct list_head bufs;
	struct rb_root bars;
	struct vfio_pci_buf *idle_bars[PCI_STD_NUM_BARS];
	enum vfio_pci_buf_state state;
	atomic_t nr_attached;
	struct dentry *debugfs;
	char device[VFIO_PCI_DEVICE_NAME_LEN];
};

/**
 * struct vfio_pci_buf - one buffer
 * @kref: one of the DMABUF, until its release; one of a walk of the list
 * @fault_lock: the read side is held from the look at @state until the PTEs are
 *	in, the write side only to set @state. Neither sleeps.
 * @state: written under the write side of @fault_lock
 * @layout: constant
 * @single: storage for a layout of one range
 * @inode: holds the address space that all of this buffer's VMAs are in, and
 *	no others. Our own reference: the struct file may be freed while an
 *	O_PATH descriptor still keeps the DMABUF, so nothing here may go
 *	through the file.
 * @list: constant, holds a reference
 * @node: in list->bufs, under list->lock. Taken out only when the last
 *	reference goes, so whoever holds one may go on from here.
 * @resv: the DMABUF's, kept here so that it lives as long as this struct
 * @dmabuf: valid for one who holds the DMABUF's file, and under @resv while
 *	@nr_attached is not zero: each attachment holds the file
 * @provider: for importers that map for a device of theirs; NULL in a BAR buffer
 * @nr_attached: attachments of importers, under @resv
 * @importers_blocked: importers have been notified that access is lost, and not
 *	yet that it is back. Under @resv, meaningful while @nr_attached is not
 *	zero. An importer may map only while this is false and @state is LIVE,
 *	so none maps between the end of a transition and its notification, which
 *	would end that mapping.
 * @fence: stands for the work that importers had queued when they were blocked,
 *	or NULL. Under @resv.
 * @fence_unknown: there was no memory for @fence. Under @resv.
 * @nr_dma_maps: mappings that importers hold; grows only under @resv, LIVE and
 *	not blocked
 * @rights: FMODE_READ and FMODE_WRITE as the export gave them; what no mapping
 *	exceeds, whatever file it comes through. Constant.
 * @cpu_mappable: all of it is BAR, which may be mapped uncached. What a driver
 *	exports beyond its BARs is for importers only. Constant.
 * @bar_node: in list->bars while mapped, under list->lock
 * @dev_file: the device file that a mapped BAR buffer holds, under list->lock
 * @nr_vmas: VMAs that map it. Leaves zero under list->lock where that matters,
 *	and reaches it there: see bar.c
 * @memattr: of mappings made from now on, VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR_*.
 *	A scalar that any thread may write; no lock orders it with an mmap.
 * @bar: the BAR, constant
 * @exported: made by VFIO_DEVICE_FEATURE_DMA_BUF, constant
 * @owner_pid: process that made it, as the initial namespace counts; of a BAR
 *	buffer the one that mapped it first. For people to read.
 * @owner_comm: its name then
 */
struct vfio_pci_buf {
	struct kref kref;
	rwlock_t fault_lock;	/* state against PTE insertion */
	enum vfio_pci_buf_state state;
	struct vfio_pci_layout layout;
	struct phys_vec single;
	struct inode *inode;
	struct vfio_pci_buf_list *list;
	struct list_head node;
	struct dma_resv resv;
	struct dma_buf *dmabuf;
	struct p2pdma_provider *provider;
	unsigned int nr_attached;
	bool importers_blocked;
	bool fence_unknown;
	struct dma_fence *fence;
	atomic_t nr_dma_maps;
	fmode_t rights;
	bool cpu_mappable;
	struct rb_node bar_node;
	struct file *dev_file;
	atomic_t nr_vmas;
	u32 memattr;
	u8 bar;
	bool exported;
	pid_t owner_pid;
	char owner_comm[TASK_COMM_LEN];
};

/**
 * struct vfio_pci_buf_importer - an attachment, its priv; for people to read
 * @pid: process that attached, as the initial namespace counts
 * @comm: its name then
 * @iova: where an importer that maps a domain does so
 * @offset: of what it maps, in the buffer
 * @len: bytes that it maps; 0 when it has not said. These three under resv.
 */
struct vfio_pci_buf_importer {
	pid_t pid;
	char comm[TASK_COMM_LEN];
	u64 iova;
	u64 offset;
	u64 len;
};

extern const struct dma_buf_ops vfio_pci_buf_dma_ops;
extern const struct dma_buf_ops vfio_pci_bar_dma_ops;

/* buf.c */
struct vfio_pci_buf_list *vfio_pci_buf_list_alloc(const char *device);
struct vfio_pci_buf *vfio_pci_buf_alloc(struct vfio_pci_buf_list *list);
struct phys_vec *vfio_pci_buf_alloc_vecs(struct vfio_pci_buf *buf, u32 nr);
struct vfio_pci_layout_builder
vfio_pci_buf_build_layout(struct vfio_pci_buf *buf, u32 nr);
void vfio_pci_buf_finish_layout(struct vfio_pci_buf *buf,
				const struct vfio_pci_layout_builder *builder,
				u32 nr);
void vfio_pci_buf_set_layout(struct vfio_pci_buf *buf, u32 nr);
int vfio_pci_buf_make_dmabuf(struct vfio_pci_buf *buf,
			     const struct dma_buf_ops *ops, int open_flags,
			     const char *name);
void vfio_pci_buf_enter(struct vfio_pci_buf *buf);
int vfio_pci_buf_publish(struct vfio_pci_buf *buf,
			 const struct dma_buf_ops *ops, int open_flags,
			 const char *name);
void vfio_pci_buf_set_owner(struct vfio_pci_buf *buf);
void vfio_pci_buf_put(struct vfio_pci_buf *buf);
void vfio_pci_buf_dma_release(struct dma_buf *dmabuf);
struct vfio_pci_buf *vfio_pci_buf_next(struct vfio_pci_buf_list *list,
				       struct vfio_pci_buf *prev);
void vfio_pci_buf_list_put(struct vfio_pci_buf_list *list);

/* access.c */
void vfio_pci_buf_list_install(struct vfio_pci_core_device *vdev,
			       struct vfio_pci_buf_list *list);
void vfio_pci_access_set(struct vfio_pci_core_device *vdev,
			 enum vfio_pci_buf_state state);
void vfio_pci_access_recompute(struct vfio_pci_core_device *vdev);
struct vfio_pci_buf_list *
vfio_pci_access_unlock(struct vfio_pci_core_device *vdev);
void vfio_pci_access_notify(struct vfio_pci_buf_list *list);
int vfio_pci_access_wait(struct vfio_pci_buf_list *list, unsigned int task_state,
			 long *timeout);

/* export.c */
struct vfio_pci_buf *vfio_pci_buf_get_fd(struct vfio_pci_core_device *vdev,
					 int fd);

/* fault.c */
bool vfio_pci_buf_is_vma(const struct vm_area_struct *vma);
void vfio_pci_buf_init_vma(struct vfio_pci_buf *buf,
			   struct vm_area_struct *vma);
int vfio_pci_buf_dma_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);

/* bar.c */
void vfio_pci_buf_uncount_vma(struct vfio_pci_buf *buf);
void vfio_pci_bar_drop_idle(struct vfio_pci_buf_list *list);

/**
 * vfio_pci_buf_count_vma - a VMA is made, copied or split off
 * @buf: its buffer
 */
static inline void vfio_pci_buf_count_vma(struct vfio_pci_buf *buf)
{
	atomic_inc(&buf->nr_vmas);
}

/* debugfs.c */
void vfio_pci_buf_debugfs_add(struct vfio_pci_core_device *vdev);
void vfio_pci_buf_debugfs_remove(struct vfio_pci_buf_list *list);

/* revoke.c */
int vfio_pci_buf_set_state(struct vfio_pci_buf *buf,
			   enum vfio_pci_buf_state state);
void vfio_pci_buf_zap(struct vfio_pci_buf *buf);

/* import.c */
int vfio_pci_buf_importer_access(struct vfio_pci_buf *buf);
void vfio_pci_buf_notify_importers(struct vfio_pci_buf *buf);
long vfio_pci_buf_wait_importers(struct vfio_pci_buf *buf,
				 unsigned int task_state, long timeout);
bool vfio_pci_buf_name_importer(struct vfio_pci_buf *buf, char *name,
				size_t size);
long vfio_pci_importer_timeout(void);
#if IS_ENABLED(CONFIG_KUNIT)
extern uint vfio_pci_importer_timeout_ms;
#endif

#endif /* VFIO_PCI_DMABUF_BUF_H */
