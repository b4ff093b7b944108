/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attacker: a client of uid 65534 that has one buffer's fd and every system
 * call, against a primary that takes the buffer back.
 *
 *	attacker.c         the table of tricks, and what the primary does and looks at
 *	attacker_client.c  the client's process: who it is, its windows and their threads
 *	attacker_map.c     tricks with the mapping
 *	attacker_call.c    tricks with system calls that access memory for the caller
 *	attacker_kvm.c     a virtual machine whose memory is the buffer
 */
#ifndef BARBUF_TESTS_ATTACKER_H
#define BARBUF_TESTS_ATTACKER_H

#include "harness.h"

#define MAX_WINDOWS 16

/* Each page of a buffer has two words: what clients write, and what says which page it is. */
#define STAMP(offset) (0x51000000u + (uint32_t)((offset) / PAGE))

/* How far the primary is. The client reads it before and after each access. */
enum phase {
	PLAYED, /* the client plays its trick */
	LENT,
	TAKING, /* the call runs */
	TAKEN, /* it has returned: nothing works */
	GIVEN_BACK, /* about to work again, or working */
	OVER, /* the client ends */
};

struct client;
struct window;

/*
 * One access: write @value into the first word, if the window is not read only, and
 * read the stamp. Returns 0, or the signal or errno, negative, that it got.
 */
typedef int access_fn(struct window *w, uint32_t value, uint32_t *stamp);

/* An address at which a page of the buffer is reached, and how. Its process goes on trying. */
struct window {
	struct client *client;
	pid_t owner;
	volatile char *p;
	uint64_t offset; /* of the page, in the buffer */
	access_fn *access;
	const char *name;
	bool read_only;
	bool may_fail; /* the trick itself takes it away for moments */
	bool gone; /* the trick took it away: it need not work */
	bool cannot_wait; /* the kernel wants the page at once, or not at all */
	void *state; /* of the access function */

	/* Counted by the client, read by the primary. */
	unsigned long tries, hits, refusals;
	unsigned long tries_taken; /* while the buffer was taken */
	unsigned long late; /* that got through then */
	unsigned long wrong; /* that read another page's stamp, or none */
	unsigned long failed_lent; /* that failed while they should work */
	int last_error;
	uint64_t last_hit_ns, longest_gap_ns;
};

/* What primary and client share; it is how the test sees, and no way to the device. */
struct shared_scene {
	volatile enum phase phase;
	volatile int ready, children_ready;
	bool thread_each; /* one that waits at a window holds up no other */
	volatile unsigned int nr_windows;
	const char *refused_call; /* a literal */
	volatile int refused_errno;
	char text[128]; /* what the client notes */
	struct window window[MAX_WINDOWS];
};

/* The client's own. */
struct client {
	struct shared_scene *shared;
	const struct lease *lease;
	int sock;
	int fd; /* of the buffer */
	volatile char *p; /* its first mapping */
	size_t size;
	/* Two pages of it, accessed since before the trick: the processor knows them. */
	struct window *kept, *first;
};

/* What is lent: how large a leaf its mapping can have. */
struct lease {
	const char *name;
	size_t size, align, skew;
	uint64_t bar_offset;
	/* Two pages in one leaf: one that tricks are played on, one that they leave alone. */
	uint64_t cut, keep;
};

struct trick {
	const char *name;
	/* Plays it, and adds windows. */
	void (*play)(struct client *c);
	/* Goes on until the scene is over. Optional. */
	void (*churn)(struct client *c);
	/* What root has to do first; skips the case when it can't. Optional. */
	void (*prepare)(void);
	/* The errno with which Linux refuses it for such a mapping. */
	int refused;
	/* The windows that it adds do not work, and need not. */
	bool calls_are_refused;
	/* The size of the leaf makes no difference to it. */
	bool one_leaf;
};

/* attacker_client.c */

/* Becomes the client; does not return. */
void client_run(struct shared_scene *shared, const struct lease *lease, const struct trick *trick,
		int sock) __attribute__((noreturn));
/* One more thread of the process that goes from window to window. The first is there. */
void client_attack(struct client *c);
/* A window of the calling process. */
struct window *window_add(struct client *c, const char *name, volatile char *p, uint64_t offset,
			  access_fn *access);
struct window *window_add_with(struct client *c, const char *name, volatile char *p,
			       uint64_t offset, access_fn *access, void *state);
/* The access function of a plain load and store. */
access_fn access_cpu;
/* The kernel refuses the trick; the client goes on without. */
void client_refused(struct client *c, const char *call);
/* A child of the client, which runs fn and then waits for the end; returns when it waits. */
pid_t client_fork(struct client *c, void (*fn)(struct client *c));
void client_wait_over(const struct client *c);
bool client_is_over(const struct client *c);
/* Address space that nothing else gets, @skew past a multiple of @align. */
char *client_reserve(size_t size, size_t align, size_t skew);
void client_note(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* attacker_map.c */
void play_nothing(struct client *c);
void play_move_page(struct client *c);
void play_use_moved_page(struct client *c);
void play_move_half(struct client *c);
void play_move_all(struct client *c);
void play_move_twice(struct client *c);
void play_dontunmap(struct client *c);
void play_duplicate(struct client *c);
void play_grow(struct client *c);
void play_shrink(struct client *c);
void play_unmap_page(struct client *c);
void play_overlay_page(struct client *c);
void play_protect_page(struct client *c);
void play_protect_and_back(struct client *c);
void play_remap_file_pages(struct client *c);
void play_map_often(struct client *c);
void play_map_private(struct client *c);
void play_map_files(struct client *c);
void play_madvise_page(struct client *c);
void play_mlock(struct client *c);
void play_mseal(struct client *c);
void play_migrate(struct client *c);
void play_write_protect(struct client *c);
void play_execute(struct client *c);
void play_fork(struct client *c);
void play_fork_and_cut(struct client *c);
void play_orphan(struct client *c);
void play_threads(struct client *c);
void churn_move(struct client *c);
void churn_protect(struct client *c);
void churn_cut(struct client *c);
void churn_fork(struct client *c);
void churn_map(struct client *c);

/* attacker_call.c */
void play_pipe(struct client *c);
void play_vmsplice(struct client *c);
void play_proc_mem(struct client *c);
void play_process_vm(struct client *c);
void play_ptrace(struct client *c);
void play_io_uring(struct client *c);
void play_map_anew(struct client *c);
void play_futex(struct client *c);
void prepare_fence(void);
void play_fence(struct client *c);

/* attacker_kvm.c */
void prepare_kvm(void);
void play_kvm(struct client *c);

#endif
