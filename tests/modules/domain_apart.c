// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has devices of one IOMMU get a second domain in a container. Legacy type1 and iommufd put
 * devices into one domain when the domains that they would have alone are alike, and all
 * that QEMU's IOMMU has are. One question is whether a domain enforces cache coherency: a
 * thread of the test's choice gets the opposite answer.
 *
 *	echo TID >/sys/module/domain_apart/parameters/tid
 *
 * Nobody but KVM acts on that answer.
 */
#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>

static int tid;
module_param(tid, int, 0600);
MODULE_PARM_DESC(tid, "thread whose domains differ from those of others");

static int turned;
module_param(turned, int, 0400);
MODULE_PARM_DESC(turned, "how often that was so");

static int apart_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	if (current->pid != READ_ONCE(tid))
		return 0;

	/* A bool, of whose register nothing else is meant. */
	regs_set_return_value(regs, !(regs_return_value(regs) & 0xff));
	WRITE_ONCE(turned, turned + 1);
	return 0;
}

/* By the kind of page table, of which the IOMMU's features decide. */
static struct kretprobe apart_fs = {
	.kp.symbol_name = "intel_iommu_enforce_cache_coherency_fs",
	.handler = apart_return,
};

static struct kretprobe apart_ss = {
	.kp.symbol_name = "intel_iommu_enforce_cache_coherency_ss",
	.handler = apart_return,
};

static struct kretprobe *apart[] = { &apart_fs, &apart_ss };

static int __init apart_init(void)
{
	return register_kretprobes(apart, ARRAY_SIZE(apart));
}

static void __exit apart_exit(void)
{
	unregister_kretprobes(apart, ARRAY_SIZE(apart));
}

module_init(apart_init);
module_exit(apart_exit);

MODULE_DESCRIPTION("Second IOMMU domains in one container, for tests");
MODULE_LICENSE("GPL");
