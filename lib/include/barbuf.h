/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libbarbuf: lend one client exactly one slice of a PCI device, and take it
 * back.
 *
 * A primary opens a device (bound to vfio-pci), exports ranges of a BAR as a
 * buffer, sends the buffer to a client over a UNIX socket, and revokes it when
 * it chooses. A client receives the buffer, maps it, and reads and writes with
 * accesses that return -EIO instead of dying when the buffer is taken back.
 *
 * Errors: unless said otherwise a function returns 0 or a negative errno; what
 * the kernel answered is passed on unchanged. On error nothing has changed, no
 * descriptor is left behind, and output arguments are not written.
 *
 * The library prints nothing, starts no thread, reads no environment and has no
 * global state but the previous SIGBUS handler, see barbuf_guard_install().
 *
 * Threads: calls on different objects may run at the same time. Calls on one
 * object may not, unless a section says so.
 *
 * Fork: a child may close and free what it inherited, which ends its copies alone,
 * and go on with mappings and received buffers. All else stays with the parent.
 *
 * Structs grow: set what is .reserved to 0, best by an initializer; what is not 0 is
 * refused with -EINVAL.
 *
 * Sizes, lengths and offsets are in bytes. Every descriptor that the library
 * makes is close-on-exec.
 */
#ifndef BARBUF_H
#define BARBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct barbuf_container;
struct barbuf_device;
struct barbuf_buffer;
struct barbuf_map;
struct barbuf_leases;

/* A piece of a BAR. The layout is that of VFIO's struct vfio_region_dma_range. */
struct barbuf_range {
	uint64_t offset;
	uint64_t length;
};

/* How a mapping is made: the memory attribute of a buffer. */
enum barbuf_memattr {
	BARBUF_NC = 0, /* uncached: every access reaches the device, in order */
	BARBUF_WC = 1, /* write-combining: stores may be merged and delayed */
	BARBUF_MEMATTR_UNKNOWN = 2, /* of a buffer that was adopted: one of the two */
};

/* ------------------------------------------------------------------ version */

/* The version, "0.1.0": of the library that runs, not of this header. For messages: ask
 * barbuf_device_probe() what can be done. */
const char *barbuf_version(void);

/* ---------------------------------------------------------------- container
 *
 * The I/O address space that devices of one owner share: a type1 container or
 * an IOAS of iommufd. Devices that shall be reset together, or share DMA
 * mappings, go into one. */

enum barbuf_iommu {
	BARBUF_IOMMU_ANY, /* iommufd where the device has a cdev, else type1 */
	BARBUF_IOMMU_TYPE1, /* /dev/vfio/vfio and the group's /dev/vfio/N */
	BARBUF_IOMMU_IOMMUFD, /* /dev/iommu and /dev/vfio/devices/vfioN */
};

/**
 * barbuf_container_new() - make a container
 * @out: the new container, the caller's until barbuf_container_free()
 * @iommu: which interface of the kernel to use. With BARBUF_IOMMU_ANY the
 *	first device that is opened decides
 *
 * Errors: -ENOMEM; those of opening /dev/vfio/vfio or /dev/iommu;
 * -EPROTONOSUPPORT: the kernel's VFIO speaks another version or has no type1;
 * -EINVAL: @iommu.
 */
int barbuf_container_new(struct barbuf_container **out, enum barbuf_iommu iommu);

/* Give a container back. NULL is fine. -EBUSY: a device is still open in it; nothing was done. */
int barbuf_container_free(struct barbuf_container *c);

/* Which interface it uses; BARBUF_IOMMU_ANY until its first device decided. */
enum barbuf_iommu barbuf_container_iommu(const struct barbuf_container *c);

/* The fd, for calls of your own: of /dev/vfio/vfio or /dev/iommu. It stays the container's.
 * -1 until the first device decided. */
int barbuf_container_fd(const struct barbuf_container *c);

/* The number of the IOAS in its iommufd; 0 with type1, which has none. */
uint32_t barbuf_container_ioas(const struct barbuf_container *c);

/* ------------------------------------------------------------------- device
 *
 * Threads: calls that only read the handle (all but open, adopt and close) may
 * run at the same time. Open and close of devices of one container, DMA calls
 * on it and barbuf_device_hot_reset() may not, nor may close and a call on a buffer
 * that was exported from the device, or on a lease of one.
 *
 * Interrupts are not wrapped: VFIO_DEVICE_SET_IRQS on barbuf_device_fd(). */

/* What VFIO_DEVICE_GET_INFO says. */
struct barbuf_device_info {
	bool can_reset; /* barbuf_device_reset() is offered */
	uint32_t num_regions;
	uint32_t num_irqs;
	uint64_t reserved[2];
};

#define BARBUF_REGION_READ 1u /* VFIO_REGION_INFO_FLAG_READ */
#define BARBUF_REGION_WRITE 2u
#define BARBUF_REGION_MMAP 4u

/* Region indexes of a PCI device: 0 to 5 are the BARs. */
#define BARBUF_REGION_ROM 6
#define BARBUF_REGION_CONFIG 7

/* One region (a BAR, the ROM, config space). Size 0: not implemented. */
struct barbuf_region {
	uint32_t index;
	uint32_t flags; /* BARBUF_REGION_* */
	uint64_t size;
	uint64_t offset; /* where it starts in the device fd */
	uint64_t reserved[2];
};

/**
 * barbuf_device_open() - open a device
 * @out: the device, the caller's until barbuf_device_close()
 * @c: container to open it in, or NULL for one of its own
 * @address: PCI address as in sysfs, "dddd:bb:dd.f"; "bb:dd.f" is of domain 0
 *
 * Errors: -EINVAL: no PCI address; -ENODEV: no such device; -ENXIO: it is in no
 * IOMMU group, or not bound to a VFIO driver; -EPERM: the group holds devices
 * bound to other drivers, which iommufd says with -EBUSY; -EBUSY: it is open
 * elsewhere, by iommufd also in this container; -EOPNOTSUPP: the kernel lacks
 * the interface the container asks for; -ENOMEM; those of the system calls.
 * barbuf_device_advice() says what to do about them.
 */
int barbuf_device_open(struct barbuf_device **out, struct barbuf_container *c, const char *address);

/**
 * barbuf_device_adopt() - use a device fd that was inherited or received
 * @fd: a VFIO device fd, ready for use (of a group, or a cdev that is bound and
 *	attached). On success it is the device's and closed with it
 *
 * Such a device has no container: no DMA mapping, and no hot reset. Its address
 * is known where the kernel tells it in fdinfo (Linux 6.17), else it is "".
 *
 * Errors: -EBADF: no fd; -ENOTTY: no VFIO device; -EINVAL: a cdev that is not
 * bound; -ENODEV: not a PCI device; -ENOMEM.
 */
int barbuf_device_adopt(struct barbuf_device **out, int fd);

/* Close the device, and its group and own container with the last. NULL is fine.
 * Buffers that were exported from it are revoked; free them as usual. Where the kernel
 * cannot revoke they end when nobody has the device open any more: no copy of its fd,
 * no mapping of a BAR. */
void barbuf_device_close(struct barbuf_device *dev);

/* The VFIO device fd. It stays the device's: do not close it. */
int barbuf_device_fd(const struct barbuf_device *dev);

/* The address, "dddd:bb:dd.f". Lives as long as the device. */
const char *barbuf_device_address(const struct barbuf_device *dev);

/* The container the device is in, for DMA; NULL when adopted. */
struct barbuf_container *barbuf_device_container(const struct barbuf_device *dev);

/* Describe the device. */
int barbuf_device_get_info(struct barbuf_device *dev, struct barbuf_device_info *info);

/* Describe region @index. -EINVAL: no such index. */
int barbuf_device_get_region(struct barbuf_device *dev, uint32_t index,
			     struct barbuf_region *region);

/**
 * barbuf_device_get_areas() - which parts of a region can be mapped
 * @areas: room for *@nr areas, in the order of their offsets. NULL if *@nr is 0
 * @nr: set to how many there are; 0: none
 *
 * What lies between them can only be read and written through the fd.
 *
 * Errors: -ENOSPC: there are *@nr areas, more than fit; -EINVAL: no such index.
 */
int barbuf_device_get_areas(struct barbuf_device *dev, uint32_t index, struct barbuf_range *areas,
			    size_t *nr);

/**
 * barbuf_device_get_msix() - where the MSI-X table and pending bits are
 * @table_bar, @table: BAR and range of the table (PCI 3.0, 6.8.2)
 * @pba_bar, @pba: of the pending bit array
 *
 * To lend a page that the table shares means to lend the table.
 *
 * Errors: -ENOENT: the device has no MSI-X.
 */
int barbuf_device_get_msix(struct barbuf_device *dev, uint32_t *table_bar,
			   struct barbuf_range *table, uint32_t *pba_bar, struct barbuf_range *pba);

/**
 * barbuf_config_read() - read PCI configuration space
 * @offset: from the start of configuration space
 * @len: all or nothing is read
 *
 * Values are as PCI has them, little-endian.
 *
 * Errors: -ERANGE: past the end; -EIO: the kernel moved fewer bytes.
 */
int barbuf_config_read(struct barbuf_device *dev, uint32_t offset, void *buf, size_t len);

/* Write PCI configuration space. As barbuf_config_read(). A write that takes the BARs away or
 * resets the function waits for importers as barbuf_device_reset() does. */
int barbuf_config_write(struct barbuf_device *dev, uint32_t offset, const void *buf, size_t len);

/* Reset this function alone. -EOPNOTSUPP: the device has no such reset; -EBUSY: an importer
 * keeps its DMA mapping of a buffer for more than ten seconds, and nothing has changed. */
int barbuf_device_reset(struct barbuf_device *dev);

/**
 * barbuf_device_hot_reset() - reset the bus or slot the device is on
 *
 * Every device that shares the bus is reset. They must be open in the container
 * of @dev, or their groups must: this is how VFIO has the ownership proven.
 *
 * Errors: -ENODEV: the device cannot be reset so; -EPERM: a device of the set
 * is not of this container; -EOPNOTSUPP: @dev was adopted; -ENOMEM; the kernel's.
 */
int barbuf_device_hot_reset(struct barbuf_device *dev);

/* Let the device sleep. @wakeup_eventfd: signalled on a wake-up that was not
 * asked for, or -1. BAR mappings do not work until it is over.
 * -EINVAL: already entered; -ENOTTY: not supported. */
int barbuf_low_power_enter(struct barbuf_device *dev, int wakeup_eventfd);

/* Wake the device up again. */
int barbuf_low_power_exit(struct barbuf_device *dev);

/* -------------------------------------------------------------------- probe */

#define BARBUF_HAS_EXPORT 0x1u /* buffers can be made */
#define BARBUF_HAS_MMAP 0x2u /* buffers can be mapped */
#define BARBUF_HAS_REVOKE 0x4u /* buffers can be taken back */
#define BARBUF_HAS_MEMATTR 0x8u /* BARBUF_WC */
#define BARBUF_HAS_IMPORT 0x10u /* iommufd maps buffers for DMA (barbuf_dma_map_buffer()) */
#define BARBUF_HAS_TYPE1_REVOKE 0x20u /* a revoke ends DMA mappings of type1, whoever made them */
#define BARBUF_HAS_IMPORT_RANGES 0x40u /* iommufd maps buffers of several ranges, too */

/**
 * barbuf_device_probe() - what can be done with this device on this kernel
 * @features: BARBUF_HAS_*
 *
 * Asked of the kernel by trying, on a page that is exported, mapped without
 * being touched, and dropped again; no version is compared. HAS_IMPORT and
 * HAS_IMPORT_RANGES need a device that is open in a container of iommufd, and are tried in
 * an address space that no device uses; HAS_IMPORT_RANGES needs a BAR of two pages.
 *
 * HAS_TYPE1_REVOKE is what type1 says of itself. It is asked whatever container @dev is
 * in, by /dev/vfio/vfio, because a client may use type1. It is missing where that file
 * cannot be opened, and where nothing can be revoked.
 */
int barbuf_device_probe(struct barbuf_device *dev, uint32_t *features);

/**
 * barbuf_device_feature() - ask whether a VFIO_DEVICE_FEATURE can be used
 * @number: of linux/vfio.h
 * @op: VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET or both
 *
 * Errors: -ENOTTY: the kernel does not know the feature; the kernel's.
 */
int barbuf_device_feature(struct barbuf_device *dev, uint32_t number, uint32_t op);

/* ----------------------------------------------------- buffers by descriptor
 *
 * What the kernel offers, for programs that keep their own records. The
 * functions on struct barbuf_buffer stand on these. */

/**
 * barbuf_device_export() - make a buffer of ranges of one BAR
 * @bar: 0 to 5
 * @ranges: offset and length within the BAR, multiples of the page size; the
 *	buffer's offsets run through them in this order
 * @open_flags: O_RDONLY or O_RDWR, with or without O_CLOEXEC
 *
 * Return: the buffer's fd, the caller's to close, or a negative errno.
 * -EINVAL: no range, or one that is empty, unaligned or outside of the BAR;
 * -ENODEV: no memory BAR of this index; -EOPNOTSUPP or -ENOTTY: the kernel or
 * driver cannot export; -E2BIG: more ranges than the kernel takes (barbuf:
 * 262,144) or the ioctl can name; -ENOMEM.
 */
int barbuf_device_export(struct barbuf_device *dev, uint32_t bar, const struct barbuf_range *ranges,
			 size_t nr_ranges, int open_flags);

/**
 * barbuf_device_revoke() - end every access to an exported buffer, for ever
 * @fd: any fd of the buffer; it stays open
 *
 * When this returns no mapping of the buffer works any more, in any process, and
 * no importer (iommufd, another driver) reaches it. Waits for importers, ten
 * seconds at most.
 *
 * Where barbuf_device_probe() finds BARBUF_HAS_TYPE1_REVOKE, that includes DMA mappings
 * that a process made of the buffer's address with type1 (barbuf_dma_map_buffer(),
 * VFIO_IOMMU_MAP_DMA). Without it such a mapping outlives the revoke, and its device still
 * reads and writes the range: lend a buffer to nobody who owns a device behind type1, or
 * end that process's container first.
 *
 * Errors: -EBADF: @fd is no fd; -EINVAL: no DMABUF; -ENODEV: of another device;
 * -EBADFD: revoked before, and no importer is left; -ETIMEDOUT: revoked, but an
 * importer keeps the mapping that it had, and another call waits on; -ENOTTY: the
 * kernel cannot revoke.
 */
int barbuf_device_revoke(struct barbuf_device *dev, int fd);

/* Choose how later mappings are made; those that exist keep what they have.
 * -ENOENT: @memattr is not known; -ENOTTY: no choice; else as barbuf_device_revoke(). */
int barbuf_device_set_memattr(struct barbuf_device *dev, int fd, uint32_t memattr);

/* ------------------------------------------------------------------- buffer
 *
 * Threads: a buffer's description does not change. All calls on one buffer may run
 * at the same time but barbuf_buffer_free(). */

/* Longest name, without the NUL (DMA_BUF_NAME_LEN - 1). */
#define BARBUF_NAME_MAX 31

struct barbuf_export {
	uint32_t bar; /* 0 to 5 */
	bool read_only; /* no fd or mapping of it can write */
	enum barbuf_memattr memattr;
	const struct barbuf_range *ranges; /* copied */
	size_t nr_ranges;
	const char *name; /* seen in /proc/PID/maps; NULL: the kernel's own */
	uint64_t reserved[2];
};

/**
 * barbuf_buffer_export() - make a buffer of ranges of one BAR
 * @out: the buffer, the caller's until barbuf_buffer_free()
 * @dev: must be open for as long as the buffer is to be revoked; a buffer may
 *	outlive it
 *
 * Errors: as barbuf_device_export(); -EOPNOTSUPP: a memattr or name that this
 * kernel does not offer; -ENAMETOOLONG: @x->name; -ENOENT: @x->memattr; -EINVAL:
 * @x->reserved.
 */
int barbuf_buffer_export(struct barbuf_buffer **out, struct barbuf_device *dev,
			 const struct barbuf_export *x);

/**
 * barbuf_buffer_adopt() - use a buffer fd that was inherited
 * @fd: on success the buffer's, and closed with it
 *
 * Size, name and read-only are the kernel's; the memory attribute and the
 * alignment are not known.
 *
 * Errors: -EBADF: no fd; -EINVAL: no DMABUF, or one that is open for writing alone,
 * which nobody can map.
 */
int barbuf_buffer_adopt(struct barbuf_buffer **out, int fd);

/* End every access to it, for ever: see barbuf_device_revoke(). -EOPNOTSUPP: this process
 * did not export it, or has closed the device. */
int barbuf_buffer_revoke(struct barbuf_buffer *buf);

/* Close the buffer's fd. Mappings and other fds of it stay, and a primary that has lent it
 * cannot revoke it any more: revoke first. NULL is fine. */
void barbuf_buffer_free(struct barbuf_buffer *buf);

/* The DMABUF's fd. It stays the buffer's. */
int barbuf_buffer_fd(const struct barbuf_buffer *buf);
/* The size, of all ranges together. */
uint64_t barbuf_buffer_size(const struct barbuf_buffer *buf);
/* Is it read-only? Then no mapping of it can write. */
bool barbuf_buffer_read_only(const struct barbuf_buffer *buf);
/* How it is mapped. */
enum barbuf_memattr barbuf_buffer_memattr(const struct barbuf_buffer *buf);
/* The name; "" if it has none. Lives as long as the buffer. */
const char *barbuf_buffer_name(const struct barbuf_buffer *buf);
/* The tag that the sender gave barbuf_buffer_send(); 0 for a buffer not received. */
uint64_t barbuf_buffer_tag(const struct barbuf_buffer *buf);
/* The ranges it was exported with, *nr of them; NULL and 0 in a client, which is not told. */
const struct barbuf_range *barbuf_buffer_ranges(const struct barbuf_buffer *buf, size_t *nr);

/**
 * barbuf_buffer_check() - does the buffer still stand
 *
 * Asks the kernel, in any process that has the buffer, by a mapping that is not
 * touched.
 *
 * Return: 0: it does, although access may be suspended (a reset, a sleeping
 * device); -EBADFD: revoked, or its device closed; -EOPNOTSUPP: this kernel
 * cannot map buffers.
 */
int barbuf_buffer_check(const struct barbuf_buffer *buf);

/* ---------------------------------------------------------------- hand over
 *
 * Over a UNIX socket of type SOCK_SEQPACKET. What comes from the socket is not
 * trusted: whatever was sent, a call either succeeds or leaves no descriptor
 * behind. Threads: one sender and one receiver may use a socket at once. */

/* Longest message of barbuf_message_send(). */
#define BARBUF_MESSAGE_MAX 1024

/* Who is at the other end, as the kernel says. (uid_t)-1, (gid_t)-1: any. */
struct barbuf_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* Who is at the other end. The pid is of whoever connected, or made the pair: it may have
 * ended since. 0: a process of another PID namespace. -ENOTCONN: no connected UNIX socket. */
int barbuf_peer_get(int sock, struct barbuf_peer *peer);

/**
 * barbuf_peer_pidfd() - a descriptor of the peer's process
 *
 * By SO_PEERPIDFD (Linux 6.5), which names the process that connected, else by
 * pidfd_open() of its pid while the socket is open at the other end.
 *
 * Return: a pidfd, the caller's to close, or a negative errno. -ESRCH: it has
 * ended; -ENOTCONN: no connected UNIX socket.
 */
int barbuf_peer_pidfd(int sock);

/* Is the peer of this uid and gid? -EACCES: it is not. The primary group alone counts. */
int barbuf_peer_check(int sock, uid_t uid, gid_t gid);

/**
 * barbuf_buffer_send() - lend a buffer
 * @sock: connected UNIX socket, SOCK_SEQPACKET
 * @tag: anything; barbuf_buffer_tag() tells it to the receiver
 *
 * Sent are a descriptor and the description: size, read-only, attribute, tag, the
 * alignment barbuf_map() wants, and the name, where '?' takes the place of what is
 * not printable ASCII. No SIGPIPE is raised.
 *
 * Errors: -EPROTOTYPE: no UNIX socket, or one that keeps no message boundaries;
 * -EPIPE: the peer is gone; -EAGAIN: the socket's timeout passed, or it does not block;
 * -ETOOMANYREFS: this user has as many descriptors on the way as it may have open
 * (RLIMIT_NOFILE); -EPERM: the peer refuses descriptors, barbuf_message_refuse_fds(). A
 * peer that does not read stalls a socket that blocks and has no
 * SO_SNDTIMEO.
 */
int barbuf_buffer_send(int sock, const struct barbuf_buffer *buf, uint64_t tag);

/**
 * barbuf_buffer_recv() - receive a buffer
 * @out: the buffer, the caller's until barbuf_buffer_free()
 *
 * Size and access mode are the kernel's, and not less than what the sender says.
 * For name, memory attribute and alignment there is the sender's word alone.
 *
 * Errors: -EPIPE: the peer closed the socket; -EBADMSG: no buffer message, cut
 * short, or with other descriptors than one DMABUF of the size it tells;
 * -EMFILE: no free descriptor here, or a security module took one away; -EPROTO: a version this library does not
 * know; -EPROTOTYPE, -EAGAIN as barbuf_buffer_send(). A message that fails is
 * consumed.
 */
int barbuf_buffer_recv(int sock, struct barbuf_buffer **out);

/**
 * barbuf_message_send() - send the program's own message, and a descriptor or none
 * @msg: opaque; NULL if @len is 0
 * @len: 0 to BARBUF_MESSAGE_MAX
 * @fd: descriptor to send along (a memfd, an eventfd), or -1; it stays the caller's
 *
 * Errors: -EMSGSIZE: @len is too much; else as barbuf_buffer_send().
 */
int barbuf_message_send(int sock, const void *msg, size_t len, int fd);

/**
 * barbuf_message_recv() - receive what barbuf_message_send() sent
 * @buf, @size: where it goes
 * @len: length of the message
 * @fd: the descriptor that came, close-on-exec and now the caller's, or -1.
 *	NULL if none is expected
 *
 * Errors: -EBADMSG: not such a message, cut short, with more or fewer
 * descriptors than it says, or with one when @fd is NULL; -EMSGSIZE: longer than
 * @size; else as barbuf_buffer_recv(). A message that fails is consumed, and seen
 * nowhere.
 */
int barbuf_message_recv(int sock, void *buf, size_t size, size_t *len, int *fd);

/**
 * barbuf_message_refuse_fds() - let nobody send a descriptor to this socket
 * @sock: a UNIX socket. Those that a listening one accepts refuse them, too, if it did
 *	before the peer connected: call it before listen()
 *
 * For a primary that lends and takes nothing. Who is sent a descriptor must close it, by a
 * call or with the socket, and the last close of a file takes as long as the sender
 * wants: seconds of a TCP socket that lingers over what was not sent, or until the
 * server of a FUSE file answers. A single thread that serves many is frozen so long.
 * Whoever sends a descriptor here is told -EPERM, and nothing arrives.
 *
 * Errors: -EOPNOTSUPP: this kernel cannot (SO_PASSRIGHTS is of Linux 6.16), and descriptors
 * can come; or it is no UNIX socket.
 */
int barbuf_message_refuse_fds(int sock);

/* ---------------------------------------------------------------------- map
 *
 * Threads: one mapping may be used by any number of threads at once;
 * barbuf_unmap() by one, when the others are done. */

/* Why an access failed. */
enum barbuf_gone {
	BARBUF_GONE_SUSPENDED, /* a reset or a sleeping device: it may come back */
	BARBUF_GONE_REVOKED, /* for ever */
};

struct barbuf_map_options {
	uint64_t offset; /* in the buffer or BAR, a multiple of the page size */
	uint64_t length; /* 0: to the end. Rounded up to pages */
	bool read_only;
	bool no_fork; /* MADV_DONTFORK: a child does not get it */
	/*
	 * Told once when an access by barbuf_map_*() has met -EIO, and again if
	 * a suspended mapping is revoked later, or after barbuf_map_rearm(). Runs
	 * in the thread whose access failed, not in a signal handler, before the
	 * access returns; it may call anything but barbuf_unmap() of this mapping.
	 * Two threads may be in it at once with different reasons: revoked is the
	 * truth then, whichever comes first. A device that was unplugged is told as
	 * suspended to mappings of a BAR.
	 */
	void (*gone)(struct barbuf_map *map, enum barbuf_gone why, void *arg);
	void *arg;
	uint64_t reserved[2];
};

/**
 * barbuf_map() - map a buffer, or a part of it
 * @out: the mapping, the caller's until barbuf_unmap()
 * @buf: may be freed before the mapping
 * @o: NULL: all of it, as writable as the buffer is
 *
 * The address is chosen congruent with the BAR's physical address modulo the
 * largest page that fits (2 MiB, 1 GiB), so that the kernel can use such pages.
 *
 * Errors: -EINVAL: an offset that is no multiple of the page size; -ERANGE: past
 * the end; -EACCES: writable, of a read-only buffer; -ENODEV: revoked, or the
 * kernel cannot map buffers; -ENOMEM.
 */
int barbuf_map(struct barbuf_map **out, struct barbuf_buffer *buf,
	       const struct barbuf_map_options *o);

/* Map a part of a BAR from the device fd, which then stays open. Else as
 * barbuf_map(); -EINVAL also: not within an area of barbuf_device_get_areas(). */
int barbuf_map_bar(struct barbuf_map **out, struct barbuf_device *dev, uint32_t bar,
		   const struct barbuf_map_options *o);

/* End a mapping. NULL is fine. */
void barbuf_unmap(struct barbuf_map *map);

/* Where it is, for the accesses below and for code of your own. */
volatile void *barbuf_map_addr(const struct barbuf_map *map);
/* How long it is. */
uint64_t barbuf_map_length(const struct barbuf_map *map);

/* Let gone() be told again, after access has come back. */
void barbuf_map_rearm(struct barbuf_map *map);

/* ------------------------------------------------------------------ survive
 *
 * An access to a mapping that may be taken away: SIGBUS becomes -EIO. No system
 * call and no saved context: the handler finds the faulting instruction in a
 * table of the library's accesses and resumes at that access's error exit.
 *
 * Threads: any number at once, and in signal handlers (but not gone()). SIGBUS
 * must not be blocked: a fault then kills, as POSIX has it. */

/**
 * barbuf_guard_install() - take over SIGBUS
 *
 * A program calls this once before it accesses; again is harmless. What is no
 * access of this library's goes to the handler that was there before, or kills
 * as it would have. A handler that was put on top of this one is left there: it
 * is to hand down what it does not know.
 *
 * Threads: any, also at once; not in a signal handler.
 *
 * A program that keeps a handler of its own instead calls barbuf_guard_handle()
 * in it. So should one with several copies of this library, when something else sets
 * the action of SIGBUS after them. A plugin that has the static library in it must not
 * be unloaded after this call; the shared library stays loaded by itself.
 */
int barbuf_guard_install(void);

/**
 * barbuf_guard_handle() - for a SIGBUS handler of the program's own
 * @ucontext: the third argument of an SA_SIGINFO handler
 *
 * To be asked when si_code is above 0: what kill() sent is of no access. With
 * SA_NODEFER, accesses in handlers that interrupt this one survive, too.
 * Async-signal-safe.
 *
 * Return: true: the access was this library's and returns -EIO when the handler
 * returns; false: it was not.
 */
bool barbuf_guard_handle(void *ucontext);

/*
 * One load or store: naturally aligned, of exactly this width, never split, merged or
 * repeated, as registers need it. In the byte order of the CPU.
 *
 * Return: 0, or -EIO when it raised SIGBUS; *value is then unchanged.
 */
int barbuf_read8(const volatile void *addr, uint8_t *value);
int barbuf_read16(const volatile void *addr, uint16_t *value);
int barbuf_read32(const volatile void *addr, uint32_t *value);
int barbuf_read64(const volatile void *addr, uint64_t *value);
int barbuf_write8(volatile void *addr, uint8_t value);
int barbuf_write16(volatile void *addr, uint16_t value);
int barbuf_write32(volatile void *addr, uint32_t value);
int barbuf_write64(volatile void *addr, uint64_t value);

/**
 * barbuf_copy_from() - copy from a mapping into memory
 * barbuf_copy_to() - copy from memory into a mapping
 *
 * For memory behind a BAR (a CMB, a frame buffer): accesses to the mapping of 8
 * bytes where it is aligned to 8, of 1 byte at the edges, in ascending order.
 * The memory may be at any alignment; a fault there is none of the mapping's and
 * raises its signal.
 *
 * Return: 0, or -EIO: part of it was copied.
 */
int barbuf_copy_from(void *dst, const volatile void *src, size_t len);
int barbuf_copy_to(volatile void *dst, const void *src, size_t len);

/*
 * An access at an offset in a mapping: the same, but they check the offset, and tell gone().
 *
 * Errors: -ERANGE: past the end; -EINVAL: not naturally aligned; -EIO.
 */
int barbuf_map_read8(struct barbuf_map *map, uint64_t offset, uint8_t *value);
int barbuf_map_read16(struct barbuf_map *map, uint64_t offset, uint16_t *value);
int barbuf_map_read32(struct barbuf_map *map, uint64_t offset, uint32_t *value);
int barbuf_map_read64(struct barbuf_map *map, uint64_t offset, uint64_t *value);
int barbuf_map_write8(struct barbuf_map *map, uint64_t offset, uint8_t value);
int barbuf_map_write16(struct barbuf_map *map, uint64_t offset, uint16_t value);
int barbuf_map_write32(struct barbuf_map *map, uint64_t offset, uint32_t value);
int barbuf_map_write64(struct barbuf_map *map, uint64_t offset, uint64_t value);
int barbuf_map_copy_from(struct barbuf_map *map, uint64_t offset, void *dst, size_t len);
int barbuf_map_copy_to(struct barbuf_map *map, uint64_t offset, const void *src, size_t len);
/* As barbuf_doorbell*() and barbuf_store64b(), below. */
int barbuf_map_doorbell16(struct barbuf_map *map, uint64_t offset, uint16_t value);
int barbuf_map_doorbell32(struct barbuf_map *map, uint64_t offset, uint32_t value);
int barbuf_map_doorbell64(struct barbuf_map *map, uint64_t offset, uint64_t value);
int barbuf_map_store64b(struct barbuf_map *map, uint64_t offset, const void *src);

/* -------------------------------------------------------------------- order
 *
 * Accesses to a BARBUF_NC mapping reach the device in program order. These order
 * them against ordinary memory (a descriptor written before the doorbell) and
 * against BARBUF_WC mappings. They are full compiler barriers. */

/* Write barrier: everything written before, ordinary memory and WC included, is visible to
 * the device before anything written after. */
void barbuf_wmb(void);
/* Read barrier: everything read before is read before anything after. */
void barbuf_rmb(void);
/* Full barrier: both, for all accesses. */
void barbuf_mb(void);
/* Push what is in the CPU's write-combining buffers towards the device. It has
 * left the CPU when a read of the device returned. */
void barbuf_wc_flush(void);

/* Ring a doorbell behind descriptors: barbuf_wmb(), the store, and out of the CPU's buffers
 * if it was to WC memory. -EIO as barbuf_write32(). */
int barbuf_doorbell16(volatile void *addr, uint16_t value);
int barbuf_doorbell32(volatile void *addr, uint32_t value);
int barbuf_doorbell64(volatile void *addr, uint64_t value);

/* How barbuf_store64b() stores on this CPU, from the least to the best. */
enum barbuf_store {
	BARBUF_STORE_8X8, /* eight stores of 8 bytes */
	BARBUF_STORE_PAIRS, /* arm64: four stores of a pair of registers */
	BARBUF_STORE_AVX2, /* two stores of 32 bytes */
	BARBUF_STORE_AVX512, /* one store of 64 bytes, in practice one bus write */
	BARBUF_STORE_MOVDIR64B, /* one bus write, guaranteed (Intel SDM 2) */
};
enum barbuf_store barbuf_store_kind(void);

/**
 * barbuf_store64b() - store 64 bytes with as few bus writes as this CPU can
 * @dst: aligned to 64 bytes, in a WC mapping (any, with MOVDIR64B)
 * @src: 64 bytes of memory
 *
 * To push a command into a device. Ordered behind everything written before,
 * and flushed.
 *
 * Return: 0 or -EIO.
 */
int barbuf_store64b(volatile void *dst, const void *src);

/* ---------------------------------------------------------------------- DMA
 *
 * Mappings of a container, through which its devices read and write memory. They
 * end with barbuf_dma_unmap() or with the container's last device. */

#define BARBUF_DMA_READ 1u /* the device may read */
#define BARBUF_DMA_WRITE 2u /* the device may write */

/**
 * barbuf_dma_map() - let the devices of a container reach memory
 * @c: with at least one device
 * @iova: address the device will use, a multiple of the page size
 * @addr, @len: memory, whole pages; pinned until unmapped
 * @access: BARBUF_DMA_*
 *
 * Errors: -EINVAL: alignment, length 0, @access, or no device yet; -EEXIST: part of
 * the window is mapped; -ENOMEM: also RLIMIT_MEMLOCK; -EFAULT: not this
 * process's memory; -ERANGE: the IOMMU cannot address @iova.
 * barbuf_dma_advice() says what to do about them.
 */
int barbuf_dma_map(struct barbuf_container *c, uint64_t iova, void *addr, uint64_t len,
		   unsigned int access);

/* As barbuf_dma_map(), of a memfd, which need not be mapped here: @offset in it, whole pages.
 * -EACCES, -EPERM: not open, or sealed, for such an @access; -EBADF; past its end -EFAULT by
 * type1 and -EINVAL by iommufd. */
int barbuf_dma_map_file(struct barbuf_container *c, uint64_t iova, int fd, uint64_t offset,
			uint64_t len, unsigned int access);

/**
 * barbuf_dma_map_buffer() - let the devices of a container reach a buffer
 * @buf: of any device; peer-to-peer
 *
 * Until barbuf_dma_unmap() the window is taken. What the devices reach through it depends
 * on the buffer and on the kernel; barbuf_device_probe() tells the kernels apart.
 *
 * A buffer that is revoked, or whose device was closed, is out of reach when the revoke
 * returns. Only type1 without BARBUF_HAS_TYPE1_REVOKE lets devices reach it until the unmap.
 *
 * A buffer that is suspended, because its device resets or sleeps or has memory decode off,
 * is out of reach meanwhile. barbuf's type1 (BARBUF_HAS_TYPE1_REVOKE) and iommufd
 * (BARBUF_HAS_IMPORT_RANGES) map it again before the call returns that ended this. Another
 * iommufd does not: unmap, and map anew. Another type1 has never unmapped it.
 *
 * A DMA that meets nothing fails as the device and the IOMMU report it. Some devices report
 * success: look at the data.
 *
 * With type1 the buffer is mapped by the CPU as well, until the unmap. While a reset of the
 * buffer's device runs, barbuf's kernels wait for its end.
 *
 * Errors: as barbuf_dma_map(), and -EINVAL: past the end; -EACCES: write access to a
 * read-only buffer; -EOPNOTSUPP: this kernel has no way, which iommufd without
 * BARBUF_HAS_IMPORT_RANGES also says of a buffer of several ranges; -EBADFD: revoked;
 * -ENODEV: suspended.
 */
int barbuf_dma_map_buffer(struct barbuf_container *c, uint64_t iova, struct barbuf_buffer *buf,
			  uint64_t offset, uint64_t len, unsigned int access);

/**
 * barbuf_dma_ranges() - which IOVAs the devices of a container can use
 * @ranges: room for *@nr ranges, in ascending order. NULL if *@nr is 0
 * @nr: set to how many there are
 *
 * What lies between them is reserved, as x86 does with its window of MSI. Another
 * device that is opened may make them fewer.
 *
 * Errors: -ENOSPC: there are *@nr ranges, more than fit; -EINVAL: no device yet;
 * -EOPNOTSUPP: the kernel does not tell; -ENOMEM.
 */
int barbuf_dma_ranges(struct barbuf_container *c, struct barbuf_range *ranges, size_t *nr);

/* End what one map call made. -ENOENT: nothing was mapped so, with this @iova and @len. */
int barbuf_dma_unmap(struct barbuf_container *c, uint64_t iova, uint64_t len);

/**
 * barbuf_device_advice() - what to do about an error of barbuf_device_open()
 * barbuf_dma_advice() - what to do about an error of barbuf_dma_map()
 * @error: negative errno
 * @text: one sentence without a full stop or newline, cut to @size with its NUL
 *
 * They look at the machine as it is now: the limit, the group's other members,
 * their drivers, ACS.
 *
 * Return: 0, or -ENOENT: nothing better than strerror() is known.
 */
int barbuf_device_advice(const char *address, int error, char *text, size_t size);
int barbuf_dma_advice(struct barbuf_container *c, int error, uint64_t len, char *text, size_t size);

/* ------------------------------------------------------------------- leases
 *
 * For a primary: who holds which buffer, and the end of it when the holder ends. A
 * table belongs to the process that made it: a forked child must leave it alone. A
 * lease takes a descriptor for each of its pidfd and socket. */

/* Why a lease ended. */
enum barbuf_lease_end {
	BARBUF_LEASE_EXITED, /* the process of the pidfd ended */
	BARBUF_LEASE_HUNG_UP, /* the socket was closed, as a process that ends does first */
};

struct barbuf_lease {
	uint64_t id; /* never used twice by one table */
	struct barbuf_buffer *buf; /* the caller's */
	struct barbuf_peer holder;
	void *cookie;
	uint64_t reserved[2];
};

struct barbuf_lease_event {
	struct barbuf_lease lease; /* as it was; its id is no longer known */
	enum barbuf_lease_end why;
	int error; /* 0, or what the revoke answered: -EBADFD if it was revoked already,
		    * -EOPNOTSUPP if its device was closed */
	uint64_t reserved[2];
};

/* Make an empty table. -ENOMEM; -EMFILE. */
int barbuf_leases_new(struct barbuf_leases **out);

/* Revoke what is leased, and free the table. Buffers stay the caller's. NULL is fine. */
void barbuf_leases_free(struct barbuf_leases *t);

/* A descriptor for poll(): readable when barbuf_leases_next() has something. It stays the
 * table's. */
int barbuf_leases_fd(const struct barbuf_leases *t);

/**
 * barbuf_lease() - record a lease and tie it to its holder's life
 * @buf: must live until the lease has ended
 * @pidfd: of the holder, or -1. Duplicated
 * @sock: connected to the holder, or -1. Duplicated; never read
 * @holder: for the record; NULL: not known
 * @cookie: anything
 * @id: set to the lease's number; may be NULL
 *
 * Of @pidfd and @sock the first that ends ends the lease; a lease with neither
 * ends by barbuf_lease_end() alone. A holder that has ended already is fine:
 * barbuf_leases_next() tells. What lies unread in the socket does not matter.
 *
 * Errors: -EEXIST: the buffer is leased already; -EBADF; -EINVAL: @pidfd is no
 * pidfd, @sock no socket; -ENOTCONN: @sock is not connected; -ENOMEM; -EMFILE;
 * -ENOSPC: the user has more watches than fs.epoll.max_user_watches.
 */
int barbuf_lease(struct barbuf_leases *t, struct barbuf_buffer *buf, int pidfd, int sock,
		 const struct barbuf_peer *holder, void *cookie, uint64_t *id);

/**
 * barbuf_leases_next() - revoke one buffer whose holder ended, and tell
 *
 * To be called until it returns 0. Does not wait for a holder; a revoke may wait for importers. In the order in which
 * the holders ended, and once for each lease.
 *
 * Return: 1: @event is filled; 0: nothing (more) happened; or a negative errno.
 */
int barbuf_leases_next(struct barbuf_leases *t, struct barbuf_lease_event *event);

/* End one lease: revoke now, without an event. What the revoke answered is returned;
 * the lease is over in any case but -ENOENT: no such lease. */
int barbuf_lease_end(struct barbuf_leases *t, uint64_t id);

/* Revoke all that one process holds. Returns how many leases ended. */
int barbuf_lease_end_pid(struct barbuf_leases *t, pid_t pid);

/* Who holds this buffer? -ENOENT: no one. */
int barbuf_lease_find(const struct barbuf_leases *t, const struct barbuf_buffer *buf,
		      struct barbuf_lease *lease);

/* Go through the table in the order of the ids: the first lease after @id, 0 to begin.
 * -ENOENT: no more. */
int barbuf_lease_after(const struct barbuf_leases *t, uint64_t id, struct barbuf_lease *lease);

/* ------------------------------------------------------------------- ranges
 *
 * As people write them: "0x1000:4K,0:8K". */

/**
 * barbuf_ranges_parse() - read a list of ranges
 * @text: OFFSET:LENGTH[,OFFSET:LENGTH...]; numbers decimal or 0x hexadecimal,
 *	with an optional K, M or G (of 1024)
 * @ranges: in the order of the list; free() it
 * @bad: set to the first character that was not understood, on -EINVAL and
 *	-ERANGE. May be NULL
 *
 * Errors: -EINVAL: not such a list; -ERANGE: a number, or the end of a range,
 * exceeds 64 bits; -ENOMEM.
 */
int barbuf_ranges_parse(const char *text, struct barbuf_range **ranges, size_t *nr,
			const char **bad);

/* Read one number of such a list. *@end: behind it, or where one was expected; NULL: the
 * number must be all of @text. -EINVAL: no number; -ERANGE: it exceeds 64 bits. */
int barbuf_size_parse(const char *text, uint64_t *value, const char **end);

/* Bytes in a buffer of these ranges. -EOVERFLOW: exceeds 64 bits. */
int barbuf_ranges_size(const struct barbuf_range *ranges, size_t nr, uint64_t *size);

/**
 * barbuf_ranges_locate() - where in the BAR is this offset of the buffer
 * @pos: offset in the buffer
 * @offset: offset in the BAR
 * @left: bytes from there to the end of its range
 *
 * Errors: -ERANGE: @pos is past the end.
 */
int barbuf_ranges_locate(const struct barbuf_range *ranges, size_t nr, uint64_t pos,
			 uint64_t *offset, uint64_t *left);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
