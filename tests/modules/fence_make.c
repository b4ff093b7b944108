// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fences that signal when a test likes; see fence_make.h for what it offers.
 *
 * They have neither a lock nor a release of ours, so that dma-buf forgets where a fence
 * comes from once it has signalled: nothing is left of the module then.
 */
#include <linux/dma-fence.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/workqueue.h>

#include "fence_make.h"

/**
 * struct fence_file - one open file
 * @lock: making the fence
 * @fence: set once, under @lock
 * @end: when it signals by itself
 */
struct fence_file {
	struct mutex lock; /* making the fence */
	struct dma_fence *fence;
	struct delayed_work end;
};

static const char *fence_name(struct dma_fence *fence)
{
	return "fence_make";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

static void fence_ends(struct work_struct *work)
{
	struct fence_file *ff = container_of(to_delayed_work(work),
					     struct fence_file, end);

	dma_fence_signal(ff->fence);
}

static long fence_make(struct fence_file *ff, unsigned long seconds)
{
	struct sync_file *sync;
	int fd;

	if (ff->fence)
		return -EBUSY;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	/* dma_fence_free() frees it. */
	ff->fence = kzalloc_obj(*ff->fence);
	if (!ff->fence)
		goto err_fd;

	dma_fence_init(ff->fence, &fence_ops, NULL, dma_fence_context_alloc(1),
		       1);
	sync = sync_file_create(ff->fence);
	if (!sync)
		goto err_fence;

	if (seconds)
		queue_delayed_work(system_long_wq, &ff->end,
				   secs_to_jiffies(min(seconds, 3600UL)));
	fd_install(fd, sync->file);
	return fd;

err_fence:
	dma_fence_put(ff->fence);
	ff->fence = NULL;
err_fd:
	put_unused_fd(fd);
	return -ENOMEM;
}

static long fence_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct fence_file *ff = file->private_data;
	long ret = 0;

	mutex_lock(&ff->lock);
	if (cmd == FENCE_MAKE)
		ret = fence_make(ff, arg);
	else if (cmd != FENCE_SIGNAL && cmd != FENCE_IS_SIGNALLED)
		ret = -ENOTTY;
	else if (!ff->fence)
		ret = -EINVAL;
	else if (cmd == FENCE_SIGNAL)
		dma_fence_signal(ff->fence);
	else
		ret = dma_fence_is_signaled(ff->fence);
	mutex_unlock(&ff->lock);
	return ret;
}

static int fence_open(struct inode *inode, struct file *file)
{
	struct fence_file *ff;

	ff = kzalloc_obj(*ff);
	if (!ff)
		return -ENOMEM;

	mutex_init(&ff->lock);
	INIT_DELAYED_WORK(&ff->end, fence_ends);
	file->private_data = ff;
	return 0;
}

static int fence_close(struct inode *inode, struct file *file)
{
	struct fence_file *ff = file->private_data;

	cancel_delayed_work_sync(&ff->end);
	if (ff->fence) {
		dma_fence_signal(ff->fence);
		dma_fence_put(ff->fence);
	}
	kfree(ff);
	return 0;
}

static const struct file_operations fence_fops = {
	.owner = THIS_MODULE,
	.open = fence_open,
	.release = fence_close,
	.unlocked_ioctl = fence_ioctl,
};

static struct miscdevice fence_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fence_make",
	.fops = &fence_fops,
	.mode = 0666,
};

module_misc_device(fence_misc);

MODULE_DESCRIPTION("Fences that signal when a test likes");
MODULE_LICENSE("GPL");
