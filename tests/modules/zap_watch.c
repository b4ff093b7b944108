// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts zaps of page table entries as a user of mmu_notifiers sees them; see zap_watch.h
 * for what it offers.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "zap_watch.h"

/**
 * struct zap_watch - one open file
 * @lock: beginning to watch
 * @watching: @sub is in place, under @lock
 * @sub: the range
 * @seen: zaps so far
 */
struct zap_watch {
	struct mutex lock; /* beginning to watch */
	bool watching;
	struct mmu_interval_notifier sub;
	atomic_t seen;
};

static bool zap_watch_invalidate(struct mmu_interval_notifier *sub,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq)
{
	struct zap_watch *watch = container_of(sub, struct zap_watch, sub);

	/* Required of everyone; nothing here is read under the sequence. */
	mmu_interval_set_seq(sub, cur_seq);

	/* Not an munmap, and not the end of the process. */
	if (range->event == MMU_NOTIFY_CLEAR)
		atomic_inc(&watch->seen);

	return true;
}

static const struct mmu_interval_notifier_ops zap_watch_ops = {
	.invalidate = zap_watch_invalidate,
};

static long zap_watch_begin(struct zap_watch *watch, void __user *arg)
{
	struct zap_watch_range range;
	int ret;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;

	if (!range.length || !PAGE_ALIGNED(range.start | range.length))
		return -EINVAL;

	mutex_lock(&watch->lock);
	ret = -EBUSY;
	if (!watch->watching) {
		ret = mmu_interval_notifier_insert(&watch->sub, current->mm,
						   range.start, range.length,
						   &zap_watch_ops);
		watch->watching = !ret;
	}
	mutex_unlock(&watch->lock);
	return ret;
}

static long zap_watch_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg)
{
	struct zap_watch *watch = file->private_data;

	switch (cmd) {
	case ZAP_WATCH:
		return zap_watch_begin(watch, (void __user *)arg);
	case ZAP_WATCH_SEEN:
		return atomic_read(&watch->seen);
	default:
		return -ENOTTY;
	}
}

static int zap_watch_open(struct inode *inode, struct file *file)
{
	struct zap_watch *watch;

	watch = kzalloc_obj(*watch);
	if (!watch)
		return -ENOMEM;

	mutex_init(&watch->lock);
	file->private_data = watch;
	return 0;
}

static int zap_watch_close(struct inode *inode, struct file *file)
{
	struct zap_watch *watch = file->private_data;

	/* Waits for those that are on their way out of invalidate. */
	if (watch->watching)
		mmu_interval_notifier_remove(&watch->sub);
	kfree(watch);
	return 0;
}

static const struct file_operations zap_watch_fops = {
	.owner = THIS_MODULE,
	.open = zap_watch_open,
	.release = zap_watch_close,
	.unlocked_ioctl = zap_watch_ioctl,
};

static struct miscdevice zap_watch_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zap_watch",
	.fops = &zap_watch_fops,
};

module_misc_device(zap_watch_misc);

MODULE_DESCRIPTION("Counts zaps of page table entries, for tests");
MODULE_LICENSE("GPL");
