/* SPDX-License-Identifier: MIT */
/*
 * What the IOMMU's driver says about faults, which it says to the kernel log alone.
 *
 * A device that is stopped by the IOMMU may go on as if nothing were: a posted write tells no
 * one. So this is the only witness. The log's lines are no interface, and limited in rate: a
 * fault that is not told, or in other words, is not seen.
 */
#ifndef BLKD_KMSG_H
#define BLKD_KMSG_H

#include <stdbool.h>
#include <stdint.h>

struct kmsg_fault {
	char device[16]; /* "01:00.0", or with the domain before it */
	uint64_t address; /* IOVA */
	bool write;
};

/* Is this line about a fault? Lines of Intel's and AMD's drivers are known. */
bool kmsg_parse(const char *line, struct kmsg_fault *f);

/* Is the fault this device's, "0000:01:00.0"? */
bool kmsg_is_of(const struct kmsg_fault *f, const char *address);

/* The log from now on. A descriptor that does not block, or a negative errno: -EPERM where the log
 * is not everybody's. */
int kmsg_open(void);

/* The next fault, within the next *lines of the log, which are counted down. 1; 0: no line is
 * there; -EAGAIN: *lines is 0, and there may be more; else the errno. */
int kmsg_next(int fd, struct kmsg_fault *f, unsigned int *lines);

#endif
