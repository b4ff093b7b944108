/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes have what of VFIO, by /proc: mappings and descriptors. */
#ifndef TOOL_PROCS_H
#define TOOL_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buffers.h"
#include "pci.h"

#define COMM_MAX 64
#define BUFFER_NAME_MAX 64 /* the kernel's: 31, and escapes of /proc/PID/maps */

/* One process and one buffer. */
struct holder {
	pid_t pid;
	uid_t uid;
	char comm[COMM_MAX];
	uint64_t inode;
	char name[BUFFER_NAME_MAX]; /* of the buffer */
	uint64_t mapped; /* bytes */
	uint64_t dma; /* bytes that importers of this process have said to map */
	bool dma_unknown; /* one has not said how much */
	unsigned int fds;
	int fd; /* one of them, -1: none */
	bool is_vfio; /* a descriptor says that vfio-pci made it */
	bool is_other; /* ... that another driver did */
};

enum vfio_fd_kind {
	VFIO_FD_GROUP, /* /dev/vfio/N */
	VFIO_FD_CDEV, /* /dev/vfio/devices/vfioN, which is also a device fd */
	VFIO_FD_DEVICE, /* got from the group */
};

/* One descriptor that gives access to a device. */
struct vfio_fd {
	pid_t pid;
	char comm[COMM_MAX];
	int fd;
	enum vfio_fd_kind kind;
	char name[32]; /* of a group "7", of a cdev "vfio0", else "" */
	char device[PCI_ADDRESS_MAX]; /* of a device fd; "": the kernel does not say (before 6.17) */
};

struct procs {
	struct holder *holders; /* ordered by pid, then inode */
	size_t nr_holders;
	struct vfio_fd *fds;
	size_t nr_fds;
	unsigned int denied; /* processes that may not be looked at */
	unsigned int looked_at;
};

/* 0, -ENOMEM, or the error of reading /proc. procs_free() it. */
int procs_read(const char *root, struct procs *p);
void procs_free(struct procs *p);
/* Add who has attached to these buffers, also those who have nothing else of them. -ENOMEM. */
int procs_add_importers(const char *root, struct procs *p, const struct buffer_info *buffers,
			size_t nr);

/* Does somebody's descriptor say that vfio-pci made this buffer, or do debugfs or its name? */
bool procs_is_vfio_buffer(const struct procs *p, const struct buffer_info *known, size_t nr,
			  uint64_t inode);
/* What the kernel or a user called it, "" if no one is seen to have it. */
const char *procs_buffer_name(const struct procs *p, uint64_t inode);
/* One line of /proc/PID/maps: is it of a DMABUF? */
bool procs_parse_map(char *line, uint64_t *inode, uint64_t *length, const char **name);
/* The address and BAR in a name that the kernel gave: "0000:00:05.0/bar2+0:1000". */
bool procs_kernel_name(const char *name, char device[PCI_ADDRESS_MAX], unsigned int *bar);

/* Does this descriptor hold the group or the device of @f open? */
bool vfio_fd_is_of(const char *root, const struct vfio_fd *fd, const struct pci_function *f);

/*
 * EXIT_FAILURE, told: a process has @f open by VFIO. To take the driver away, the kernel would
 * wait for as long as that one lives.
 */
int refuse_held(const struct call *c, const struct pci_function *f);

#endif
