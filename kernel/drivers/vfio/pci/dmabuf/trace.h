/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of buffers. A buffer is named by the inode of its DMABUF, which
 * /proc/PID/maps and /proc/PID/fdinfo show too.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_pci_dmabuf

#if !defined(VFIO_PCI_DMABUF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_PCI_DMABUF_TRACE_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/tracepoint.h>
#include <linux/vfio.h>

#include "buf.h"

TRACE_DEFINE_ENUM(VFIO_PCI_BUF_LIVE);
TRACE_DEFINE_ENUM(VFIO_PCI_BUF_QUIESCING);
TRACE_DEFINE_ENUM(VFIO_PCI_BUF_SUSPENDED);
TRACE_DEFINE_ENUM(VFIO_PCI_BUF_REVOKED);

/*
 * All that a fault here returns. The format has to hold numbers, which it gets
 * for enumerators alone, and VM_FAULT_* are of a type that sparse keeps apart.
 */
#ifndef VFIO_PCI_DMABUF_TRACE_RESULTS
#define VFIO_PCI_DMABUF_TRACE_RESULTS
enum vfio_pci_fault_result {
	VFIO_PCI_FAULT_OOM = (__force u32)VM_FAULT_OOM,
	VFIO_PCI_FAULT_SIGBUS = (__force u32)VM_FAULT_SIGBUS,
	VFIO_PCI_FAULT_NOPAGE = (__force u32)VM_FAULT_NOPAGE,
	VFIO_PCI_FAULT_RETRY = (__force u32)VM_FAULT_RETRY,
	VFIO_PCI_FAULT_FALLBACK = (__force u32)VM_FAULT_FALLBACK,
};
#endif

TRACE_DEFINE_ENUM(VFIO_PCI_FAULT_OOM);
TRACE_DEFINE_ENUM(VFIO_PCI_FAULT_SIGBUS);
TRACE_DEFINE_ENUM(VFIO_PCI_FAULT_NOPAGE);
TRACE_DEFINE_ENUM(VFIO_PCI_FAULT_RETRY);
TRACE_DEFINE_ENUM(VFIO_PCI_FAULT_FALLBACK);

#define show_result(ret)						\
	__print_flags(ret, "|",						\
		      { VFIO_PCI_FAULT_OOM, "OOM" },			\
		      { VFIO_PCI_FAULT_SIGBUS, "SIGBUS" },		\
		      { VFIO_PCI_FAULT_NOPAGE, "NOPAGE" },		\
		      { VFIO_PCI_FAULT_RETRY, "RETRY" },		\
		      { VFIO_PCI_FAULT_FALLBACK, "FALLBACK" })

#define show_state(state)						\
	__print_symbolic(state,						\
			 { VFIO_PCI_BUF_LIVE, "live" },			\
			 { VFIO_PCI_BUF_QUIESCING, "quiescing" },	\
			 { VFIO_PCI_BUF_SUSPENDED, "suspended" },	\
			 { VFIO_PCI_BUF_REVOKED, "revoked" })

DECLARE_EVENT_CLASS(vfio_pci_dmabuf_buf,
	TP_PROTO(struct vfio_pci_buf *buf),
	TP_ARGS(buf),
	TP_STRUCT__entry(
		__string(device, buf->list->device)
		__field(u8, bar)
		__field(u64, ino)
		__field(u64, size)
		__field(u32, ranges)
		__field(bool, exported)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buf->bar;
		__entry->ino = buf->inode->i_ino;
		__entry->size = buf->layout.size;
		__entry->ranges = buf->layout.nr;
		__entry->exported = buf->exported;
	),
	TP_printk("device=%s bar=%u buf=%llu kind=%s size=0x%llx ranges=%u",
		  __get_str(device), __entry->bar, __entry->ino,
		  __entry->exported ? "exported" : "bar", __entry->size,
		  __entry->ranges)
);

/* A buffer was made; of adjacent ranges one is left. */
DEFINE_EVENT(vfio_pci_dmabuf_buf, export,
	     TP_PROTO(struct vfio_pci_buf *buf), TP_ARGS(buf));

/* Its last reference is gone. */
DEFINE_EVENT(vfio_pci_dmabuf_buf, release,
	     TP_PROTO(struct vfio_pci_buf *buf), TP_ARGS(buf));

TRACE_EVENT(mmap,
	TP_PROTO(struct vfio_pci_buf *buf, struct vm_area_struct *vma,
		 u32 memattr),
	TP_ARGS(buf, vma, memattr),
	TP_STRUCT__entry(
		__string(device, buf->list->device)
		__field(u8, bar)
		__field(u64, ino)
		__field(u64, offset)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(u32, memattr)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buf->bar;
		__entry->ino = buf->inode->i_ino;
		__entry->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
		__entry->start = vma->vm_start;
		__entry->end = vma->vm_end;
		__entry->memattr = memattr;
	),
	TP_printk("device=%s bar=%u buf=%llu offset=0x%llx addr=0x%lx-0x%lx memattr=%s",
		  __get_str(device), __entry->bar, __entry->ino,
		  __entry->offset, __entry->start, __entry->end,
		  __entry->memattr ? "wc" : "nc")
);

/* A fault that found the buffer in this state; order is that of the leaf. */
TRACE_EVENT(fault,
	TP_PROTO(struct vfio_pci_buf *buf, unsigned long addr, u64 offset,
		 unsigned int order, enum vfio_pci_buf_state state,
		 vm_fault_t ret),
	TP_ARGS(buf, addr, offset, order, state, ret),
	TP_STRUCT__entry(
		__string(device, buf->list->device)
		__field(u8, bar)
		__field(u64, ino)
		__field(unsigned long, addr)
		__field(u64, offset)
		__field(unsigned int, order)
		__field(int, state)
		__field(unsigned int, ret)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buf->bar;
		__entry->ino = buf->inode->i_ino;
		__entry->addr = addr;
		__entry->offset = offset;
		__entry->order = order;
		__entry->state = state;
		__entry->ret = (__force unsigned int)ret;
	),
	TP_printk("device=%s bar=%u buf=%llu addr=0x%lx offset=0x%llx order=%u state=%s ret=%s",
		  __get_str(device), __entry->bar, __entry->ino, __entry->addr,
		  __entry->offset, __entry->order, show_state(__entry->state),
		  show_result(__entry->ret))
);

TRACE_EVENT(state,
	TP_PROTO(struct vfio_pci_buf *buf, enum vfio_pci_buf_state from,
		 enum vfio_pci_buf_state to),
	TP_ARGS(buf, from, to),
	TP_STRUCT__entry(
		__string(device, buf->list->device)
		__field(u8, bar)
		__field(u64, ino)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buf->bar;
		__entry->ino = buf->inode->i_ino;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("device=%s bar=%u buf=%llu from=%s to=%s",
		  __get_str(device), __entry->bar, __entry->ino,
		  show_state(__entry->from), show_state(__entry->to))
);

/* A revoke that the user asked for is over, the wait for importers included. */
TRACE_EVENT(revoke,
	TP_PROTO(struct vfio_pci_buf *buf, int ret),
	TP_ARGS(buf, ret),
	TP_STRUCT__entry(
		__string(device, buf->list->device)
		__field(u8, bar)
		__field(u64, ino)
		__field(int, ret)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buf->bar;
		__entry->ino = buf->inode->i_ino;
		__entry->ret = ret;
	),
	TP_printk("device=%s bar=%u buf=%llu ret=%d",
		  __get_str(device), __entry->bar, __entry->ino, __entry->ret)
);

#undef show_result
#undef show_state

#endif /* VFIO_PCI_DMABUF_TRACE_H */

/* The Makefile adds this folder to the search path, in the tree and out of it. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
