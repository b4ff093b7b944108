// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page fault at the moment when a zap has split a huge PUD and has not yet looked at what
 * is left: write() to /dev/split_fault at the file position ADDRESS zaps that page of the
 * writer's own PFN mapping, takes a fault there in the middle of it, and gives the other
 * processors some time to use what it has inserted. It fails with ENXIO when no PUD was
 * split. The end of a split is seen as KVM sees it, by an mmu_notifier.
 */
#include <linux/delay.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>

struct split_fault {
	struct mmu_notifier mn;
	struct task_struct *task;
	struct vm_area_struct *vma;
	unsigned long addr;
	bool done;
};

static void split_fault_end(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct split_fault *sf = container_of(mn, struct split_fault, mn);

	/* The split, in the thread that zaps; what it zaps is one page. */
	if (current != sf->task || sf->done ||
	    range->end - range->start != PUD_SIZE)
		return;

	/* Once: the zap may split what that inserts. */
	sf->done = true;
	handle_mm_fault(sf->vma, sf->addr, 0, NULL);
	msleep(100);
}

static const struct mmu_notifier_ops split_fault_ops = {
	.invalidate_range_end = split_fault_end,
};

static ssize_t split_fault_write(struct file *file, const char __user *from,
				 size_t size, loff_t *pos)
{
	struct mm_struct *mm = current->mm;
	struct split_fault sf = {
		.mn.ops = &split_fault_ops,
		.task = current,
		.addr = *pos & PAGE_MASK,
	};
	int ret;

	ret = mmu_notifier_register(&sf.mn, mm);
	if (ret)
		return ret;

	mmap_read_lock(mm);
	sf.vma = vma_lookup(mm, sf.addr);
	if (sf.vma)
		zap_special_vma_range(sf.vma, sf.addr, PAGE_SIZE);
	mmap_read_unlock(mm);
	mmu_notifier_unregister(&sf.mn, mm);

	return sf.done ? size : -ENXIO;
}

static const struct file_operations split_fault_fops = {
	.owner = THIS_MODULE,
	.write = split_fault_write,
};

static struct miscdevice split_fault_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "split_fault",
	.fops = &split_fault_fops,
	.mode = 0666,
};

module_misc_device(split_fault_device);

MODULE_DESCRIPTION("Take a fault in the middle of a zap, for tests");
MODULE_LICENSE("GPL");
