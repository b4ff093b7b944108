// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds a zap of page table entries at the moment before it happens; see
 * zap_hold.h for what it offers. It comes in as a user of mmu_notifiers, as KVM is:
 * these are told before the entries go, and may sleep.
 */
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "zap_hold.h"

/**
 * struct zap_hold - one open file
 * @lock: beginning to watch
 * @watching: @sub is in place, under @lock
 * @sub: the range
 * @seen: zaps so far
 * @held: zaps wait
 * @until: but not longer, in jiffies; written before @held is set
 * @released: where they wait
 */
struct zap_hold {
	struct mutex lock; /* beginning to watch */
	bool watching;
	struct mmu_interval_notifier sub;
	atomic_t seen;
	bool held;
	unsigned long until;
	wait_queue_head_t released;
};

static bool zap_hold_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	struct zap_hold *hold = container_of(sub, struct zap_hold, sub);
	long left;

	/* Required of everyone; nothing here is read under the sequence. */
	mmu_interval_set_seq(sub, cur_seq);

	/* Not an munmap, and not the end of the process. */
	if (range->event != MMU_NOTIFY_CLEAR)
		return true;

	atomic_inc(&hold->seen);
	/* Whoever sees it held sees for how long. */
	if (!smp_load_acquire(&hold->held))
		return true;

	/* The caller tries again later. */
	if (!mmu_notifier_range_blockable(range))
		return false;

	left = (long)(hold->until - jiffies);
	if (left > 0)
		wait_event_killable_timeout(hold->released,
					    !READ_ONCE(hold->held), left);
	return true;
}

static const struct mmu_interval_notifier_ops zap_hold_ops = {
	.invalidate = zap_hold_invalidate,
};

static long zap_hold_watch(struct zap_hold *hold, void __user *arg)
{
	struct zap_hold_range range;
	int ret;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;

	if (!range.length || !PAGE_ALIGNED(range.start | range.length))
		return -EINVAL;

	mutex_lock(&hold->lock);
	ret = -EBUSY;
	if (!hold->watching) {
		ret = mmu_interval_notifier_insert(&hold->sub, current->mm,
						   range.start, range.length,
						   &zap_hold_ops);
		hold->watching = !ret;
	}
	mutex_unlock(&hold->lock);
	return ret;
}

static void zap_hold_release_all(struct zap_hold *hold)
{
	WRITE_ONCE(hold->held, false);
	wake_up_all(&hold->released);
}

static long zap_hold_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct zap_hold *hold = file->private_data;

	switch (cmd) {
	case ZAP_HOLD_WATCH:
		return zap_hold_watch(hold, (void __user *)arg);
	case ZAP_HOLD_HOLD:
		hold->until = jiffies + secs_to_jiffies(min(arg, 3600));
		/* Pairs with the acquire of those who come to zap. */
		smp_store_release(&hold->held, true);
		return 0;
	case ZAP_HOLD_RELEASE:
		zap_hold_release_all(hold);
		return 0;
	case ZAP_HOLD_SEEN:
		return atomic_read(&hold->seen);
	default:
		return -ENOTTY;
	}
}

static int zap_hold_open(struct inode *inode, struct file *file)
{
	struct zap_hold *hold;

	hold = kzalloc_obj(*hold);
	if (!hold)
		return -ENOMEM;

	mutex_init(&hold->lock);
	init_waitqueue_head(&hold->released);
	file->private_data = hold;
	return 0;
}

static int zap_hold_close(struct inode *inode, struct file *file)
{
	struct zap_hold *hold = file->private_data;

	zap_hold_release_all(hold);
	/* Waits for those that are on their way out of invalidate. */
	if (hold->watching)
		mmu_interval_notifier_remove(&hold->sub);
	kfree(hold);
	return 0;
}

static const struct file_operations zap_hold_fops = {
	.owner = THIS_MODULE,
	.open = zap_hold_open,
	.release = zap_hold_close,
	.unlocked_ioctl = zap_hold_ioctl,
};

static struct miscdevice zap_hold_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zap_hold",
	.fops = &zap_hold_fops,
};

module_misc_device(zap_hold_misc);

MODULE_DESCRIPTION("Holds zaps of page table entries, for tests");
MODULE_LICENSE("GPL");
