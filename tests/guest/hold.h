/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads held in the kernel where they enter or leave a function, so that a case sees the
 * middle of a race and need not win it: tests/modules/thread_hold.c. These end the case
 * when they cannot do what they are asked for, unless their name starts with try_.
 */
#ifndef BARBUF_TESTS_HOLD_H
#define BARBUF_TESTS_HOLD_H

#include "../modules/zap_watch.h"
#include "harness.h"

/*
 * The places that cases hold threads at, so that a rename in the kernel is one line here. A
 * function that is called from its own file may be inlined there and is none.
 */

/* A revoke has set the state, the page table entries are still there. */
#define HOLD_ZAP "unmap_mapping_range"
/* In such a zap, after mmu_notifiers were called; of a range that zap_watch() watches. */
#define HOLD_ZAP_WATCHED ZAP_WATCH_FUNCTION
/* A write of the command register, under memory_lock. */
#define HOLD_COMMAND_WRITE "pci_user_write_config_word"
/* A fault has not looked at the state: one that fits a huge leaf, and one that does not. */
#define HOLD_FAULT_BEGINS_LEAF "vfio_pci_layout_find"
#define HOLD_FAULT_BEGINS "apply_to_page_range"
/* It has, and inserts next. There it may not sleep. */
#define HOLD_FAULT_INSERTS_LEAF "vmf_insert_pfn_pmd"
#define HOLD_FAULT_INSERTS "vfio_pci_layout_seek"
/*
 * A fork has looked at a huge leaf of PFNs, and copies it as soon as it has both locks: where
 * Linux's copy_huge_pmd() takes the first.
 */
#define HOLD_LOCK "_raw_spin_lock"
#define LOCK_IN_FORK "copy_huge_pmd"
/* Importers of a buffer are notified of a loss or a return next. */
#define HOLD_NOTIFY "vfio_pci_buf_notify_importers"
/* A domain of legacy type1 has the BARs mapped that others have, at its end. */
#define HOLD_DOMAIN_MAPPED "vfio_bar_add_domain"
/* A mapping by legacy type1 has come to an address that is a BAR, and attaches next. */
#define HOLD_BAR_FOUND "vfio_bar_add"

/* Where a held thread sleeps, as wait_asleep_in() wants it. */
#define HELD_BY_US "hold_sleep"

struct hold_at {
	const char *function;
	const char *caller; /* that calls it; NULL: any */
	bool exit; /* where it leaves the function; else where it enters it */
	pid_t tid; /* this thread; */
	pid_t tgid; /* or any of this process; */
	bool not_me; /* or any but the calling thread; or, none of these, any */
	unsigned int skip; /* so many passes are let through first */
	unsigned int seconds; /* held at most; 0 is time enough */
};

/*
 * The next thread that comes to function is held: hold_arm(HOLD_ZAP, .tid = tid). Returns
 * a descriptor; closing it releases the thread.
 */
#define hold_arm(fn, ...) hold_arm_at(&(struct hold_at){ .function = (fn), ##__VA_ARGS__ })
int hold_arm_at(const struct hold_at *at);
int try_hold_arm_at(const struct hold_at *at);
/* Waits until one is held; returns its thread id. */
pid_t hold_wait(int hold);
/* That of the thread that is held now, or 0. */
pid_t hold_held(int hold);
/* The thread was held until now, and goes on. */
void hold_release(int hold);
/* -1 and errno says that none was held: 0, or until its time was over or it was killed. */
int try_hold_release(int hold);
/* How often such threads have come. */
unsigned int hold_passes(int hold);

/*
 * The thread, 0 for the calling one, runs on this processor alone. One that is held where it
 * may not sleep keeps its processor to itself, so those who are to go on need another.
 */
void run_on(pid_t tid, unsigned int cpu);

/* Counts zaps in mapped memory of ours, as KVM is notified of them. */
int zap_watch(const volatile void *start, size_t size);
unsigned int zap_watch_seen(int watch);

#endif
