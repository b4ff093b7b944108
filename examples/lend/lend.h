/* SPDX-License-Identifier: MIT */
/*
 * barbuf-demo-edu: one process owns a device and lends parts of its BARs to
 * processes that have no rights of their own.
 *
 *	main.c      the command line
 *	primary.c   the story, told by the process that owns the devices
 *	peer.c      how the primary starts, asks and ends a client
 *	client.c    what a client does: check its confinement, map, work, report
 *	device.c    the two devices: edu's registers, patterns in memory
 *	../common   the lines printed and the count of claims; taking rights away
 */
#ifndef LEND_H
#define LEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The questions of the primary and the answers of a client; peer.c and client.c */

enum op {
	OP_CONFINED, /* what can you reach besides the socket? */
	OP_MAP, /* map the buffer that comes along, of value bytes */
	OP_FACTORIALS, /* compute 0! to value! on the device */
	OP_FILL, /* write the pattern of seed value everywhere */
	OP_CHECK, /* count the words that differ from the pattern */
	OP_RUN, /* read every page over and over, answer after the first pass */
	OP_STOP, /* one more pass, then stop and answer */
	OP_ACCESS, /* try one read and one write of each page */
	OP_REMAP, /* try to map the buffer again */
	OP_DONE, /* unmap and exit */
};

struct request {
	uint32_t op;
	uint32_t reserved;
	uint64_t value;
};

struct reply {
	int32_t error; /* 0 or a negative errno; the rest then may be partial */
	uint32_t reserved;
	uint64_t done; /* how many things were done: words, results, passes, accesses */
	uint64_t wrong; /* how many of them were not as they should be */
	uint64_t sigbus; /* how many accesses raised SIGBUS */
	uint64_t faults; /* page faults taken since the answer to OP_MAP, or during OP_MAP */
	uint64_t last; /* the last value computed */
	char detail[256]; /* what is wrong, in words */
};

/* client.c */

/* The socket that a client finds open. */
#define CLIENT_SOCKET 3

int client_main(void);

/* Page faults of this process so far. */
uint64_t faults_taken(void);

/* peer.c */

struct peer {
	char name[16];
	pid_t pid;
	int sock;
};

/* Fork and exec this program as an unprivileged client. */
int peer_start(struct peer *p, const char *name);
/* Ask and wait. @fd is sent along unless -1. */
int peer_ask(struct peer *p, enum op op, uint64_t value, int fd, struct reply *reply);
/* End it, by force if it does not go. Returns its exit status, or a negative errno. */
int peer_end(struct peer *p);

/* device.c */

/* edu, by its specification in QEMU: 32-bit registers in BAR 0. */
#define EDU_ID 0x00
#define EDU_FACTORIAL 0x08
#define EDU_STATUS 0x20
#define EDU_STATUS_COMPUTING 0x1

static inline bool edu_id_ok(uint32_t id)
{
	return (id & 0xff) == 0xed; /* upper bits: version */
}

/* n! modulo 2^32, computed by the device. 0 or a negative errno; -EIO after a SIGBUS. */
int edu_factorial(volatile void *regs, uint32_t n, uint32_t *result);
/* The same by the CPU. */
uint32_t factorial(uint32_t n);

/* The word at byte offset @pos of a buffer filled with the pattern of @seed. */
uint64_t pattern(uint64_t seed, uint64_t pos);

/* primary.c */

struct options {
	const char *registers; /* PCI addresses; NULL: have the lab's helper bind one */
	const char *memory;
	unsigned int memory_bar;
};

int primary_main(const struct options *options);

#endif
