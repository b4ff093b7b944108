// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the state of buffers: what each transition of a device makes
 * of them, who waits for whom, and who goes when. The device is made of memory;
 * the DMABUFs are real.
 *
 * A test that fails with a lock of the device held, or with a thread that waits
 * for one, leaks the device, as nobody can tell any more who is going to use it.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait_bit.h>
#include <uapi/linux/dma-buf.h>

#include "access.h"
#include "buf.h"

#define MAX_BUFS	16
/* Of a thread that should get on; an emulated processor is slow. */
#define PATIENCE	(20 * HZ)

#define LIVE		VFIO_PCI_BUF_LIVE
#define QUIESCING	VFIO_PCI_BUF_QUIESCING
#define SUSPENDED	VFIO_PCI_BUF_SUSPENDED
#define REVOKED		VFIO_PCI_BUF_REVOKED

/* What the hardware can do, and what the user has asked of it. */
struct truth {
	bool decode;
	bool no_command_memory;
	bool low_power;
	pci_power_t power;
	pci_channel_state_t channel;
};

static const struct truth answers = {
	.decode = true, .power = PCI_D0, .channel = pci_channel_io_normal,
};

static const struct truth decode_off = {
	.power = PCI_D0, .channel = pci_channel_io_normal,
};

static const struct truth pulled_out = {
	.decode = true, .power = PCI_D0, .channel = pci_channel_io_perm_failure,
};

/* The open device. */
struct fake {
	struct kunit *test;
	struct vfio_pci_core_device *vdev;
	struct pci_dev *pdev;
	u8 vconfig[PCI_CFG_SPACE_SIZE];
	struct file *file;
	/* References of ours, to see that all others go. */
	struct vfio_pci_buf_list *list;
	struct inode *inodes[MAX_BUFS];
	/* Not released yet. */
	struct vfio_pci_buf *bufs[MAX_BUFS];
	u32 nr;
	atomic_t nr_actors;
};

static const struct file_operations fake_fops = {
	.owner = THIS_MODULE,
};

static void fake_set(struct fake *fake, const struct truth *truth)
{
	u16 command = truth->decode ? PCI_COMMAND_MEMORY : 0;

	*(__le16 *)&fake->vconfig[PCI_COMMAND] = cpu_to_le16(command);
	fake->pdev->no_command_memory = truth->no_command_memory;
	fake->pdev->current_state = truth->power;
	fake->pdev->error_state = truth->channel;
	fake->vdev->pm_runtime_engaged = truth->low_power;
}

/* A transition that only ends, so that what is so now becomes known. */
static void fake_look(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_access_begin_live(fake->vdev);
	vfio_pci_access_end(fake->vdev);
}

static void fake_open(struct fake *fake)
{
	struct kunit *test = fake->test;

	KUNIT_ASSERT_EQ(test, vfio_pci_buf_list_open(fake->vdev), 0);
	fake->list = fake->vdev->buf_list;
	kref_get(&fake->list->kref);
}

/* What clients still hold of this opening must have gone. */
static void fake_forget(struct fake *fake)
{
	KUNIT_EXPECT_EQ(fake->test, kref_read(&fake->list->kref), 1);
	KUNIT_EXPECT_TRUE(fake->test, list_empty(&fake->list->bufs));
	vfio_pci_buf_list_put(fake->list);
	fake->list = NULL;
}

static int buf_new_unless(struct fake *fake, struct vfio_pci_buf **out)
{
	static const char name[DMA_BUF_NAME_LEN] = "kunit";
	struct vfio_pci_buf *buf;
	int ret;

	buf = vfio_pci_buf_alloc(fake->list);
	if (!buf)
		return -ENOMEM;

	*vfio_pci_buf_alloc_vecs(buf, 1) = (struct phys_vec){ SZ_4G, SZ_4K };
	vfio_pci_buf_set_layout(buf, 1);
	ret = vfio_pci_buf_publish(buf, &vfio_pci_buf_dma_ops, O_RDWR, name);
	if (ret) {
		vfio_pci_buf_put(buf);
		return ret;
	}

	*out = buf;
	return 0;
}

static struct vfio_pci_buf *buf_new(struct fake *fake)
{
	struct kunit *test = fake->test;
	struct vfio_pci_buf *buf;

	KUNIT_ASSERT_LT(test, fake->nr, MAX_BUFS);
	KUNIT_ASSERT_EQ(test, buf_new_unless(fake, &buf), 0);
	ihold(buf->inode);
	fake->inodes[fake->nr] = buf->inode;
	fake->bufs[fake->nr++] = buf;
	return buf;
}

/* As the last close of its fd, but done when this returns. */
static void buf_close(struct vfio_pci_buf *buf)
{
	__fput_sync(buf->dmabuf->file);
}

/* The buffer must be gone with it, unless @held by a walk. */
static void buf_release(struct fake *fake, struct vfio_pci_buf *buf, bool held)
{
	u32 i;

	for (i = 0; i < fake->nr; i++)
		if (fake->bufs[i] == buf)
			break;
	if (i == fake->nr) {
		KUNIT_FAIL(fake->test, "no buffer of this device");
		return;
	}

	fake->bufs[i] = NULL;
	buf_close(buf);
	if (held)
		return;
	KUNIT_EXPECT_EQ(fake->test, icount_read_once(fake->inodes[i]), 1);
}

static enum vfio_pci_buf_state buf_state(const struct vfio_pci_buf *buf)
{
	return READ_ONCE(buf->state);
}

/* Each of them, the list, and what a new one starts with. */
static void expect_all(struct fake *fake, enum vfio_pci_buf_state state)
{
	u32 i;

	KUNIT_EXPECT_EQ(fake->test, fake->list->state, state);
	for (i = 0; i < fake->nr; i++)
		if (fake->bufs[i])
			KUNIT_EXPECT_EQ(fake->test, buf_state(fake->bufs[i]),
					state);
}

static u8 holds_of(struct fake *fake)
{
	return READ_ONCE(fake->vdev->access_holds);
}

static void expect_idle(struct fake *fake)
{
	KUNIT_EXPECT_FALSE(fake->test, fake->vdev->access_running);
	KUNIT_EXPECT_FALSE(fake->test,
			   mutex_is_locked(&fake->vdev->access_lock));
	KUNIT_EXPECT_FALSE(fake->test,
			   rwsem_is_locked(&fake->vdev->memory_lock));
}

/* A transition runs and is at its work, which only memory_lock covers. */
static void expect_running(struct fake *fake)
{
	KUNIT_EXPECT_TRUE(fake->test, fake->vdev->access_running);
	KUNIT_EXPECT_FALSE(fake->test,
			   mutex_is_locked(&fake->vdev->access_lock));
	KUNIT_EXPECT_TRUE(fake->test,
			  rwsem_is_locked(&fake->vdev->memory_lock));
}

/*
 * Another thread. Whoever starts it joins it; it reads nothing of the test
 * after that, and the test frees nothing of it before.
 */
struct actor {
	struct fake *fake;
	void (*work)(struct actor *actor);
	struct vfio_pci_buf *buf;
	struct completion go, done;
	/* What it found. */
	bool ok;
	int ret;
};

static int actor_main(void *data)
{
	struct actor *actor = data;

	actor->work(actor);
	kthread_complete_and_exit(&actor->done, 0);
}

static struct actor *actor_start(struct fake *fake,
				 void (*work)(struct actor *actor),
				 struct vfio_pci_buf *buf)
{
	struct actor *actor = kzalloc_obj(*actor);

	KUNIT_ASSERT_NOT_NULL(fake->test, actor);
	actor->fake = fake;
	actor->work = work;
	actor->buf = buf;
	init_completion(&actor->go);
	init_completion(&actor->done);
	atomic_inc(&fake->nr_actors);
	if (IS_ERR(kthread_run(actor_main, actor, "vfio-pci-kunit"))) {
		atomic_dec(&fake->nr_actors);
		kfree(actor);
		KUNIT_ASSERT_TRUE_MSG(fake->test, false, "no thread");
	}
	return actor;
}

/* Return: did it get to its end? Then it is gone, and @ok is what it found. */
static bool actor_join(struct actor *actor, bool *ok)
{
	struct fake *fake = actor->fake;

	if (!wait_for_completion_timeout(&actor->done, PATIENCE)) {
		KUNIT_FAIL(fake->test, "a thread hangs");
		return false;
	}

	if (ok)
		*ok = actor->ok;
	atomic_dec(&fake->nr_actors);
	kfree(actor);
	return true;
}

static int state_init(struct kunit *test)
{
	struct fake *fake = kzalloc_obj(*fake);

	if (!fake)
		return -ENOMEM;

	fake->test = test;
	fake->vdev = kzalloc_obj(*fake->vdev);
	fake->pdev = kzalloc_obj(*fake->pdev);
	fake->file = anon_inode_create_getfile("[vfio-pci-kunit]", &fake_fops,
					       NULL, O_RDWR, NULL);
	if (!fake->vdev || !fake->pdev || IS_ERR(fake->file)) {
		if (!IS_ERR(fake->file))
			__fput_sync(fake->file);
		kfree(fake->pdev);
		kfree(fake->vdev);
		kfree(fake);
		return -ENOMEM;
	}

	fake->pdev->dev.init_name = "vfio-pci-kunit";
	dev_set_drvdata(&fake->pdev->dev, fake->vdev);
	fake->vdev->pdev = fake->pdev;
	fake->vdev->vconfig = fake->vconfig;
	fake->vdev->vdev.inode = file_inode(fake->file);
	vfio_pci_access_init(fake->vdev);
	fake_set(fake, &answers);
	test->priv = fake;
	fake_open(fake);

	return 0;
}

static void state_exit(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	if (!fake)
		return;

	if (rwsem_is_locked(&fake->vdev->memory_lock) ||
	    mutex_is_locked(&fake->vdev->access_lock) ||
	    atomic_read(&fake->nr_actors)) {
		KUNIT_FAIL(test, "left with the device in use");
		return;
	}

	for (i = 0; i < fake->nr; i++) {
		if (fake->bufs[i])
			buf_release(fake, fake->bufs[i], false);
		iput(fake->inodes[i]);
	}
	if (fake->vdev->buf_list)
		vfio_pci_buf_list_close(fake->vdev);
	if (fake->list)
		fake_forget(fake);

	__fput_sync(fake->file);
	kfree(fake->pdev);
	kfree(fake->vdev);
	kfree(fake);
}

/* ---- what a buffer starts with ---- */

static void new_buffer(struct kunit *test)
{
	struct fake *fake = test->priv;

	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), LIVE);

	vfio_pci_access_begin(fake->vdev);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), QUIESCING);
	fake_set(fake, &decode_off);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);

	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), SUSPENDED);
	fake_look(fake, &answers);
	expect_all(fake, LIVE);

	vfio_pci_core_reset_prepare(fake->pdev);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);

	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), SUSPENDED);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, LIVE);

	/* One that was late: the device has been closed. */
	vfio_pci_buf_list_close(fake->vdev);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), REVOKED);
	expect_all(fake, REVOKED);
}

/* A list on its own has nothing mapped and gives no access. */
static void new_list(struct kunit *test)
{
	struct vfio_pci_buf_list *list = vfio_pci_buf_list_alloc("kunit");

	KUNIT_ASSERT_NOT_NULL(test, list);
	KUNIT_EXPECT_EQ(test, list->state, SUSPENDED);
	KUNIT_EXPECT_STREQ(test, list->device, "kunit");
	KUNIT_EXPECT_EQ(test, kref_read(&list->kref), 1);
	KUNIT_EXPECT_NULL(test, vfio_pci_buf_next(list, NULL));
	vfio_pci_buf_list_put(list);
}

/* Before it is published nothing finds it, and its put frees it. */
static void unpublished(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = vfio_pci_buf_alloc(fake->list);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 3);
	KUNIT_EXPECT_NULL(test, vfio_pci_buf_next(fake->list, NULL));
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_access_end(fake->vdev);
	vfio_pci_buf_put(buf);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2);
}

/* ---- transitions ---- */

static void begin_and_end(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	for (i = 0; i < 3; i++)
		buf_new(fake);
	expect_idle(fake);

	vfio_pci_access_begin(fake->vdev);
	expect_running(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);

	fake_look(fake, &decode_off);
	expect_all(fake, SUSPENDED);

	/* Who faults in a transition waits: it may give access. */
	vfio_pci_access_begin(fake->vdev);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);

	fake_set(fake, &answers);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_TRUE(test, vfio_pci_access_trybegin(fake->vdev));
	expect_running(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);
}

static void begin_live(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	buf_new(fake);

	vfio_pci_access_begin_live(fake->vdev);
	expect_running(fake);
	expect_all(fake, LIVE);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);

	/* The BARs turn out to be gone. */
	vfio_pci_access_begin_live(fake->vdev);
	fake_set(fake, &decode_off);
	expect_all(fake, LIVE);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);

	/* It gives no access before the end, either. */
	vfio_pci_access_begin_live(fake->vdev);
	fake_set(fake, &answers);
	expect_all(fake, SUSPENDED);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
}

/* Each reason alone and all together. */
static void end_derives(struct kunit *test)
{
	static const pci_power_t powers[] = {
		PCI_D0, PCI_D1, PCI_D2, PCI_D3hot, PCI_D3cold, PCI_UNKNOWN,
	};
	struct fake *fake = test->priv;
	struct truth truth;
	u32 bits, p;

	buf_new(fake);
	for (bits = 0; bits < 16; bits++) {
		for (p = 0; p < ARRAY_SIZE(powers); p++) {
			bool awake = p <= 2;
			bool live;

			truth.decode = bits & 1;
			truth.no_command_memory = bits & 2;
			truth.low_power = bits & 4;
			truth.channel = bits & 8 ? pci_channel_io_perm_failure :
						   pci_channel_io_normal;
			truth.power = powers[p];
			live = (bits & 3) && !(bits & 12) && awake;

			vfio_pci_access_begin(fake->vdev);
			fake_set(fake, &truth);
			vfio_pci_access_end(fake->vdev);
			expect_all(fake, live ? LIVE : SUSPENDED);

			fake_look(fake, &answers);
			expect_all(fake, LIVE);
			fake_look(fake, &truth);
			expect_all(fake, live ? LIVE : SUSPENDED);
		}
	}
}

static void reader_holds(struct actor *actor)
{
	actor->ok = !vfio_pci_access_trybegin(actor->fake->vdev);
}

static void trybegin_contended(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct actor *actor;
	bool ok = false;

	buf_new(fake);

	/* A register access of another thread. */
	down_read(&fake->vdev->memory_lock);
	actor = actor_start(fake, reader_holds, NULL);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, LIVE);
	KUNIT_EXPECT_FALSE(test, fake->vdev->access_running);
	up_read(&fake->vdev->memory_lock);

	/* A transition of another thread, which goes on. */
	vfio_pci_access_begin_live(fake->vdev);
	actor = actor_start(fake, reader_holds, NULL);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, LIVE);
	expect_running(fake);
	vfio_pci_access_end(fake->vdev);
	expect_idle(fake);

	KUNIT_EXPECT_TRUE(test, vfio_pci_access_trybegin(fake->vdev));
	vfio_pci_access_end(fake->vdev);
}

/* ---- revoked is final ---- */

static void set_state(struct kunit *test)
{
	static const enum vfio_pci_buf_state states[] = {
		LIVE, QUIESCING, SUSPENDED, REVOKED,
	};
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	u32 from, to;

	for (from = 0; from < 3; from++) {
		for (to = 0; to < 3; to++) {
			KUNIT_EXPECT_EQ(test, 0,
					vfio_pci_buf_set_state(buf,
							       states[from]));
			KUNIT_EXPECT_EQ(test, 0,
					vfio_pci_buf_set_state(buf,
							       states[to]));
			KUNIT_EXPECT_EQ(test, buf_state(buf), states[to]);
		}
	}

	for (from = 0; from < 3; from++) {
		buf = buf_new(fake);
		vfio_pci_buf_set_state(buf, states[from]);
		KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(buf, REVOKED), 0);
		for (to = 0; to < 4; to++) {
			KUNIT_EXPECT_EQ(test, -EBADFD,
					vfio_pci_buf_set_state(buf,
							       states[to]));
			KUNIT_EXPECT_EQ(test, buf_state(buf), REVOKED);
		}
	}
}

/* Before, in, and after a transition; those of others go on. */
static void revoke_one(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *first = buf_new(fake), *kept = buf_new(fake);
	struct vfio_pci_buf *second = buf_new(fake), *third = buf_new(fake);

	KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(first, REVOKED), 0);
	KUNIT_EXPECT_EQ(test, buf_state(kept), LIVE);
	KUNIT_EXPECT_EQ(test, buf_state(second), LIVE);
	KUNIT_EXPECT_EQ(test, fake->list->state, LIVE);

	vfio_pci_access_begin(fake->vdev);
	KUNIT_EXPECT_EQ(test, buf_state(first), REVOKED);
	KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(second, REVOKED), 0);
	KUNIT_EXPECT_EQ(test, buf_state(kept), QUIESCING);
	KUNIT_EXPECT_EQ(test, buf_state(third), QUIESCING);
	fake_set(fake, &decode_off);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, buf_state(kept), SUSPENDED);

	KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(third, REVOKED), 0);
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, buf_state(kept), LIVE);
	KUNIT_EXPECT_EQ(test, buf_state(first), REVOKED);
	KUNIT_EXPECT_EQ(test, buf_state(second), REVOKED);
	KUNIT_EXPECT_EQ(test, buf_state(third), REVOKED);

	/* A new one has nothing to do with them. */
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), LIVE);
}

static void revoke_all_slowly(struct actor *actor)
{
	struct fake *fake = actor->fake;
	u32 i;

	actor->ok = true;
	for (i = 0; i < fake->nr; i++) {
		if (vfio_pci_buf_set_state(fake->bufs[i], REVOKED))
			actor->ok = false;
		usleep_range(1000, 2000);
	}
}

static void revoke_in_transitions(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct actor *actor;
	bool ok = false;
	u32 i;

	for (i = 0; i < MAX_BUFS; i++)
		buf_new(fake);

	actor = actor_start(fake, revoke_all_slowly, NULL);
	while (!completion_done(&actor->done)) {
		vfio_pci_access_begin(fake->vdev);
		vfio_pci_access_end(fake->vdev);
		fake_look(fake, &decode_off);
		fake_look(fake, &answers);
	}
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	KUNIT_EXPECT_EQ(test, fake->list->state, LIVE);
	for (i = 0; i < fake->nr; i++)
		KUNIT_EXPECT_EQ(test, buf_state(fake->bufs[i]), REVOKED);
}

/* ---- resets and recoveries that VFIO did not start ---- */

static void outside_reset(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	buf_new(fake);

	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	expect_idle(fake);

	/* Others may do what they do meanwhile; faults still wait. */
	vfio_pci_access_begin(fake->vdev);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, QUIESCING);
	fake_look(fake, &decode_off);
	expect_all(fake, QUIESCING);
	fake_look(fake, &answers);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_TRUE(test, vfio_pci_access_trybegin(fake->vdev));
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, QUIESCING);

	/* Pulled out, or an error: the end of the reset is waited for. */
	fake_look(fake, &pulled_out);
	expect_all(fake, QUIESCING);
	fake_look(fake, &answers);
	expect_all(fake, QUIESCING);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, QUIESCING);

	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
	expect_idle(fake);

	/* Pulled out in the middle: with its end there is nothing to wait for. */
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, &pulled_out);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);
	fake_look(fake, &answers);
	expect_all(fake, LIVE);

	/* The reset took memory decode away. */
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, &decode_off);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);

	/* And one of a device that sleeps. */
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);
}

static void nested_work(struct actor *actor)
{
	struct fake *fake = actor->fake;
	struct kunit *test = fake->test;
	u32 i;

	/* Twice: a bus reset that fails, then another method. */
	vfio_pci_access_begin(fake->vdev);
	for (i = 0; i < 2; i++) {
		vfio_pci_core_reset_prepare(fake->pdev);
		expect_all(fake, QUIESCING);
		expect_running(fake);
		KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_RESET);
		vfio_pci_core_reset_done(fake->pdev);
		expect_all(fake, QUIESCING);
		expect_running(fake);
		KUNIT_EXPECT_EQ(test, holds_of(fake), 0);
	}
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);

	/* A prepare whose done is late: the end does not stand for it. */
	KUNIT_EXPECT_TRUE(test, vfio_pci_access_trybegin(fake->vdev));
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, &decode_off);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_RESET);
	expect_idle(fake);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);

	/* Below a begin that takes nothing away, as well. */
	vfio_pci_access_begin_live(fake->vdev);
	expect_all(fake, SUSPENDED);
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, QUIESCING);
	fake_set(fake, &answers);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);

	vfio_pci_access_begin_live(fake->vdev);
	expect_all(fake, LIVE);
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
}

/* In a thread of its own, as it would wait for itself if it is wrong. */
static void nested_reset(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	buf_new(fake);
	if (actor_join(actor_start(fake, nested_work, NULL), NULL))
		expect_idle(fake);
}

static void nested_frozen_work(struct actor *actor)
{
	struct fake *fake = actor->fake;

	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, SUSPENDED);

	/* VFIO's own transitions without a reset do not thaw it. */
	vfio_pci_access_begin(fake->vdev);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(fake->test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);

	vfio_pci_access_begin(fake->vdev);
	vfio_pci_core_reset_prepare(fake->pdev);
	KUNIT_EXPECT_EQ(fake->test, holds_of(fake),
			VFIO_PCI_ACCESS_RESET | VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_core_reset_done(fake->pdev);
	KUNIT_EXPECT_EQ(fake->test, holds_of(fake), 0);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
}

static void nested_reset_thaws(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	if (actor_join(actor_start(fake, nested_frozen_work, NULL), NULL))
		expect_idle(fake);
}

static void prepare_work(struct actor *actor)
{
	vfio_pci_core_reset_prepare(actor->fake->pdev);
	actor->ok = actor->fake->list->state == QUIESCING;
}

static void done_work(struct actor *actor)
{
	vfio_pci_core_reset_done(actor->fake->pdev);
	actor->ok = true;
}

static void frozen_work(struct actor *actor)
{
	actor->ok = vfio_pci_core_aer_err_detected(actor->fake->pdev,
						   pci_channel_io_frozen) ==
		    PCI_ERS_RESULT_CAN_RECOVER;
}

static void failure_work(struct actor *actor)
{
	actor->ok = vfio_pci_core_aer_err_detected(actor->fake->pdev,
						   pci_channel_io_perm_failure) ==
		    PCI_ERS_RESULT_CAN_RECOVER;
}

static void resume_work(struct actor *actor)
{
	vfio_pci_core_aer_resume(actor->fake->pdev);
	actor->ok = true;
}

/* What the PCI core calls, in an order in which each one changes something. */
static const struct call {
	void (*work)(struct actor *actor);
	u8 holds;
	/* What it makes of a device that answers, when no transition runs. */
	enum vfio_pci_buf_state state;
} calls[] = {
	{ prepare_work, VFIO_PCI_ACCESS_RESET, QUIESCING },
	{ done_work, 0, LIVE },
	{ frozen_work, VFIO_PCI_ACCESS_FROZEN, SUSPENDED },
	{ resume_work, 0, LIVE },
	{ frozen_work, VFIO_PCI_ACCESS_FROZEN, SUSPENDED },
	{ failure_work, 0, LIVE },
	{ frozen_work, VFIO_PCI_ACCESS_FROZEN, SUSPENDED },
	{ prepare_work, VFIO_PCI_ACCESS_RESET | VFIO_PCI_ACCESS_FROZEN,
	  QUIESCING },
	{ resume_work, VFIO_PCI_ACCESS_RESET, QUIESCING },
	{ frozen_work, VFIO_PCI_ACCESS_RESET | VFIO_PCI_ACCESS_FROZEN,
	  QUIESCING },
	{ done_work, 0, LIVE },
};

/* Return: did another thread get through the call? */
static bool call_elsewhere(struct fake *fake, const struct call *call)
{
	bool ok = false;

	if (!actor_join(actor_start(fake, call->work, NULL), &ok))
		return false;
	KUNIT_EXPECT_TRUE(fake->test, ok);
	KUNIT_EXPECT_EQ(fake->test, holds_of(fake), call->holds);
	return true;
}

/*
 * The core calls while another thread is in a transition. The call does not
 * wait, and the end of the transition knows of it.
 */
static void outside_in_transition(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	buf_new(fake);
	buf_new(fake);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		vfio_pci_access_begin(fake->vdev);
		expect_all(fake, QUIESCING);
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, QUIESCING);
		expect_running(fake);
		vfio_pci_access_end(fake->vdev);
		expect_all(fake, calls[i].state);
		KUNIT_EXPECT_EQ(test, holds_of(fake), calls[i].holds);
		expect_idle(fake);
	}

	/* All of them in one. */
	vfio_pci_access_begin(fake->vdev);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, QUIESCING);
		expect_running(fake);
	}
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);
}

/* The same in one that took nothing away: the call does. */
static void outside_in_live_transition(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	buf_new(fake);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		bool holds = calls[i].work == prepare_work ||
			     calls[i].work == frozen_work;
		enum vfio_pci_buf_state before = fake->list->state;

		vfio_pci_access_begin_live(fake->vdev);
		expect_all(fake, before);
		if (!call_elsewhere(fake, &calls[i]))
			return;
		/* Whatever it is that ends, only the end gives access. */
		expect_all(fake, holds ? QUIESCING : before);
		expect_running(fake);
		vfio_pci_access_end(fake->vdev);
		expect_all(fake, calls[i].state);
		expect_idle(fake);
	}
}

/*
 * Whoever holds memory_lock may wait for the device to be unlocked, for its
 * configuration space or for pci_bus_sem, all of which the core has when it
 * calls. So no call waits for memory_lock, whoever has it for what.
 */
static void outside_without_memory_lock(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	buf_new(fake);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		down_write(&fake->vdev->memory_lock);
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, calls[i].state);
		KUNIT_EXPECT_FALSE(test, fake->vdev->access_running);
		up_write(&fake->vdev->memory_lock);
		expect_idle(fake);
	}

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		down_read(&fake->vdev->memory_lock);
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, calls[i].state);
		up_read(&fake->vdev->memory_lock);
		expect_idle(fake);
	}
}

/* A device that nobody has open: no crash, and the hold is known later. */
static void outside_of_closed(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	vfio_pci_buf_list_close(fake->vdev);
	fake_forget(fake);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		/* These look at the list. */
		if (calls[i].work == prepare_work)
			vfio_pci_core_reset_prepare(fake->pdev);
		else if (!call_elsewhere(fake, &calls[i]))
			return;
		KUNIT_EXPECT_EQ(test, holds_of(fake), calls[i].holds);
		fake_open(fake);
		KUNIT_EXPECT_EQ(test, fake->list->state, calls[i].state);
		KUNIT_EXPECT_EQ(test, holds_of(fake), calls[i].holds);
		vfio_pci_buf_list_close(fake->vdev);
		fake_forget(fake);
		expect_idle(fake);
	}
	fake_open(fake);
}

static void calls_work(struct actor *actor)
{
	struct fake *fake = actor->fake;
	const enum vfio_pci_buf_state *state = &fake->list->state;

	actor->ok = true;
	while (!completion_done(&actor->go) && actor->ok) {
		vfio_pci_core_reset_prepare(fake->pdev);
		/* Whatever begins and ends meanwhile. */
		if (READ_ONCE(*state) != QUIESCING)
			actor->ok = false;
		usleep_range(10, 200);
		if (READ_ONCE(*state) != QUIESCING)
			actor->ok = false;
		vfio_pci_core_reset_done(fake->pdev);

		vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
		if (READ_ONCE(*state) == LIVE)
			actor->ok = false;
		usleep_range(10, 200);
		if (READ_ONCE(*state) == LIVE)
			actor->ok = false;
		vfio_pci_core_aer_resume(fake->pdev);
	}
}

/* No end of a transition gives back what the core holds, nor the reverse. */
static void outside_in_a_crowd(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct actor *actor;
	bool ok = false;
	u32 round;

	buf_new(fake);
	buf_new(fake);
	actor = actor_start(fake, calls_work, NULL);
	for (round = 0; round < 200 && !completion_done(&actor->done); round++) {
		vfio_pci_access_begin(fake->vdev);
		expect_all(fake, QUIESCING);
		usleep_range(10, 100);
		expect_all(fake, QUIESCING);
		vfio_pci_access_end(fake->vdev);
		vfio_pci_access_begin_live(fake->vdev);
		vfio_pci_access_end(fake->vdev);
	}
	complete_all(&actor->go);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, LIVE);
	expect_idle(fake);
}

static void recovery(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	buf_new(fake);

	/* An error that does not stop the channel takes nothing away. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_normal);
	expect_all(fake, LIVE);

	/* Faults are not to wait: some recoveries end without a word. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, SUSPENDED);
	/* A second error before the first is dealt with. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, SUSPENDED);
	vfio_pci_access_error(fake->vdev, pci_channel_io_normal);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, LIVE);
	/* One resume more than there were errors. */
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, LIVE);

	/* The link's reset cleared memory decode. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake_set(fake, &decode_off);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, SUSPENDED);
	fake_look(fake, &answers);
	expect_idle(fake);
}

static void recovery_given_up(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);

	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, SUSPENDED);
	fake_set(fake, &pulled_out);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	expect_all(fake, SUSPENDED);

	/* Nothing brings it back as long as it is out. */
	vfio_pci_access_begin(fake->vdev);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, SUSPENDED);
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);

	/* Without a word of a frozen channel: surprise removal. */
	fake_look(fake, &answers);
	expect_all(fake, LIVE);
	fake_set(fake, &pulled_out);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	expect_all(fake, SUSPENDED);

	/*
	 * pcie_do_recovery() that fails tells of a permanent failure of a
	 * device that it leaves frozen, and the user is to reset it. Faults have
	 * nothing to wait for until then.
	 */
	fake_look(fake, &answers);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake->pdev->error_state = pci_channel_io_frozen;
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	expect_all(fake, LIVE);
	KUNIT_EXPECT_EQ(test, holds_of(fake), 0);
	fake_look(fake, &answers);
}

/* Nobody tells of the end of a recovery, but somebody resets the device. */
static void recovery_by_reset(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);

	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	expect_all(fake, SUSPENDED);
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
	KUNIT_EXPECT_EQ(test, holds_of(fake), 0);

	/* A resume in the middle of a reset is not the end of the reset. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);

	/* Nor is a permanent failure that is told of, and was none. */
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
}

static void system_resume(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct device *dev = &fake->pdev->dev;

	buf_new(fake);
	KUNIT_EXPECT_EQ(test, vfio_pci_access_system_resume(dev), 0);
	expect_all(fake, LIVE);
	fake_look(fake, &decode_off);
	fake_set(fake, &answers);
	KUNIT_EXPECT_EQ(test, vfio_pci_access_system_resume(dev), 0);
	expect_all(fake, LIVE);
	fake_set(fake, &decode_off);
	KUNIT_EXPECT_EQ(test, vfio_pci_access_system_resume(dev), 0);
	expect_all(fake, SUSPENDED);
	expect_idle(fake);
}

/* ---- opening and closing ---- */

static void open_in_reset(struct kunit *test)
{
	struct fake *fake = test->priv;

	/* Nobody has it open: there is nothing to take away, and no crash. */
	vfio_pci_buf_list_close(fake->vdev);
	fake_forget(fake);
	KUNIT_EXPECT_NULL(test, fake->vdev->buf_list);
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_access_end(fake->vdev);
	expect_idle(fake);

	vfio_pci_core_reset_prepare(fake->pdev);
	fake_open(fake);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);

	/* Closed in the middle of one and opened again. */
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_buf_list_close(fake->vdev);
	expect_all(fake, REVOKED);
	buf_release(fake, fake->bufs[0], false);
	fake_forget(fake);
	fake_open(fake);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);

	/* The reset ends while it is closed. */
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_buf_list_close(fake->vdev);
	buf_release(fake, fake->bufs[1], false);
	fake_forget(fake);
	vfio_pci_core_reset_done(fake->pdev);
	fake_open(fake);
	expect_all(fake, LIVE);
}

static void open_asleep(struct kunit *test)
{
	struct fake *fake = test->priv;

	vfio_pci_buf_list_close(fake->vdev);
	fake_forget(fake);
	fake_set(fake, &decode_off);
	fake_open(fake);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), SUSPENDED);
	fake_look(fake, &answers);
	expect_all(fake, LIVE);
}

/* Clients keep their buffers; the device goes. */
static void list_close(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf_list *list = fake->list;
	struct vfio_pci_buf *bufs[3];
	struct vfio_pci_buf *buf;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = buf_new(fake);
	vfio_pci_buf_set_state(bufs[1], REVOKED);
	KUNIT_EXPECT_EQ(test, kref_read(&list->kref), 5);

	vfio_pci_buf_list_close(fake->vdev);
	KUNIT_EXPECT_NULL(test, fake->vdev->buf_list);
	expect_idle(fake);
	expect_all(fake, REVOKED);
	/* The device's reference went, those of the buffers did not. */
	KUNIT_EXPECT_EQ(test, kref_read(&list->kref), 4);

	/* The next opening is none of theirs. */
	KUNIT_ASSERT_EQ(test, vfio_pci_buf_list_open(fake->vdev), 0);
	KUNIT_EXPECT_PTR_NE(test, fake->vdev->buf_list, list);
	KUNIT_EXPECT_EQ(test, fake->vdev->buf_list->state, LIVE);
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, REVOKED);
	vfio_pci_buf_list_close(fake->vdev);

	/* They work on as objects. */
	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(bufs[i], LIVE),
				-EBADFD);
		KUNIT_EXPECT_EQ(test, bufs[i]->layout.size, SZ_4K);
		KUNIT_EXPECT_EQ(test, bufs[i]->dmabuf->size, SZ_4K);
	}
	i = 0;
	buf = NULL;
	while ((buf = vfio_pci_buf_next(list, buf)))
		i++;
	KUNIT_EXPECT_EQ(test, i, 3);

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		buf_release(fake, bufs[i], false);
		KUNIT_EXPECT_EQ(test, kref_read(&list->kref), 3 - i);
	}
	KUNIT_EXPECT_TRUE(test, list_empty(&list->bufs));
}

/* In each state, and with no buffer at all. */
static void list_close_states(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 i;

	for (i = 0; i < 5; i++) {
		struct vfio_pci_buf *buf = buf_new(fake);

		if (i == 1)
			fake_look(fake, &decode_off);
		else if (i == 2)
			vfio_pci_core_reset_prepare(fake->pdev);
		else if (i == 3)
			fake_look(fake, &pulled_out);
		else if (i == 4)
			vfio_pci_access_error(fake->vdev,
					      pci_channel_io_frozen);

		vfio_pci_buf_list_close(fake->vdev);
		expect_all(fake, REVOKED);
		buf_release(fake, buf, false);
		fake_forget(fake);

		fake_set(fake, &answers);
		vfio_pci_core_reset_done(fake->pdev);
		fake_open(fake);
		expect_all(fake, LIVE);
	}
}

/* ---- who waits ---- */

/* As a fault does. What is left of the time tells a wake-up from its end. */
static void wait_work(struct actor *actor)
{
	complete(&actor->go);
	actor->ok = wait_var_event_timeout(&actor->buf->state,
					   buf_state(actor->buf) != QUIESCING,
					   PATIENCE / 2) > 1;
}

static struct actor *start_waiter(struct fake *fake, struct vfio_pci_buf *buf)
{
	struct actor *actor = actor_start(fake, wait_work, buf);

	wait_for_completion(&actor->go);
	msleep(20);
	KUNIT_EXPECT_FALSE(fake->test, completion_done(&actor->done));
	return actor;
}

static void expect_woken(struct actor *actor)
{
	struct kunit *test = actor->fake->test;
	bool ok = false;

	if (actor_join(actor, &ok))
		KUNIT_EXPECT_TRUE(test, ok);
}

static void waiters_wake(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *other = buf_new(fake);
	struct actor *actor, *second;

	/* The end, with access and without. */
	vfio_pci_access_begin(fake->vdev);
	actor = start_waiter(fake, buf);
	second = start_waiter(fake, other);
	vfio_pci_access_end(fake->vdev);
	expect_woken(actor);
	expect_woken(second);

	vfio_pci_access_begin(fake->vdev);
	actor = start_waiter(fake, buf);
	fake_set(fake, &decode_off);
	vfio_pci_access_end(fake->vdev);
	expect_woken(actor);
	fake_look(fake, &answers);

	/* The end of a reset that somebody else does. */
	vfio_pci_core_reset_prepare(fake->pdev);
	actor = start_waiter(fake, buf);
	fake_look(fake, &answers);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	vfio_pci_core_reset_done(fake->pdev);
	expect_woken(actor);

	/* The end of a transition in the middle of a reset does not wake. */
	vfio_pci_access_begin(fake->vdev);
	actor = start_waiter(fake, buf);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_access_end(fake->vdev);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	vfio_pci_core_reset_done(fake->pdev);
	expect_woken(actor);

	/* An error in a transition: there is an end, but no access. */
	vfio_pci_access_begin(fake->vdev);
	actor = start_waiter(fake, buf);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	vfio_pci_access_end(fake->vdev);
	expect_woken(actor);
	vfio_pci_core_aer_resume(fake->pdev);

	/* A revoke of this one; the other goes on waiting. */
	vfio_pci_access_begin(fake->vdev);
	actor = start_waiter(fake, buf);
	second = start_waiter(fake, other);
	vfio_pci_buf_set_state(buf, REVOKED);
	expect_woken(actor);
	KUNIT_EXPECT_FALSE(test, completion_done(&second->done));
	vfio_pci_access_end(fake->vdev);
	expect_woken(second);

	/* The device is closed. */
	vfio_pci_core_reset_prepare(fake->pdev);
	actor = start_waiter(fake, other);
	vfio_pci_buf_list_close(fake->vdev);
	expect_woken(actor);
}

/* ---- importers ---- */

struct importer {
	struct vfio_pci_buf *buf;
	u32 told;
	enum vfio_pci_buf_state found;
};

/* What is promised to them is promised from here on. */
static void importer_told(struct dma_buf_attachment *attachment)
{
	struct importer *importer = attachment->importer_priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	importer->told++;
	importer->found = buf_state(importer->buf);
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_told,
};

static void importers_are_told(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "vfio-pci-importer");
	struct dma_buf_attachment *attachment, *refused;
	struct fake *fake = test->priv;
	struct importer importer = {};
	struct p2pdma_provider *provider;
	struct vfio_pci_buf *buf;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	buf = buf_new(fake);
	buf->provider = provider;
	importer.buf = buf;
	attachment = dma_buf_dynamic_attach(buf->dmabuf, dev, &importer_ops,
					    &importer);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attachment);

	/* Access goes; it is not to map again, so the state is first. */
	vfio_pci_access_begin(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 1);
	KUNIT_EXPECT_EQ(test, importer.found, QUIESCING);
	refused = dma_buf_dynamic_attach(buf->dmabuf, dev, &importer_ops, NULL);
	KUNIT_EXPECT_TRUE(test, IS_ERR(refused));

	/* Access returns. */
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 2);

	/* Nothing is lost and nothing given: no word. */
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, importer.told, 2);

	/* The BARs are gone without a begin that says so. */
	fake_look(fake, &decode_off);
	KUNIT_EXPECT_EQ(test, importer.told, 3);
	KUNIT_EXPECT_EQ(test, importer.found, SUSPENDED);

	/* It has been told already. */
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 3);

	/* A reset of somebody else, as well. */
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, importer.told, 4);
	vfio_pci_core_reset_prepare(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer.told, 5);
	KUNIT_EXPECT_EQ(test, importer.found, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer.told, 6);

	/* So does an error, and one in a transition that took nothing away. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	KUNIT_EXPECT_EQ(test, importer.told, 7);
	KUNIT_EXPECT_EQ(test, importer.found, SUSPENDED);
	vfio_pci_core_aer_resume(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer.told, 8);
	vfio_pci_access_begin_live(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 8);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	KUNIT_EXPECT_EQ(test, importer.told, 9);
	KUNIT_EXPECT_EQ(test, importer.found, QUIESCING);
	vfio_pci_core_aer_resume(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer.told, 9);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 10);

	/* The device is closed: for good. */
	vfio_pci_buf_list_close(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer.told, 11);
	KUNIT_EXPECT_EQ(test, importer.found, REVOKED);

	dma_buf_detach(buf->dmabuf, attachment);
}

static void begin_work(struct actor *actor)
{
	struct fake *fake = actor->fake;

	vfio_pci_access_begin(fake->vdev);
	actor->ok = !atomic_read(&actor->buf->nr_dma_maps);
	vfio_pci_access_end(fake->vdev);
}

static void look_work(struct actor *actor)
{
	fake_look(actor->fake, &decode_off);
	actor->ok = !atomic_read(&actor->buf->nr_dma_maps);
}

static void revoked_begin_work(struct actor *actor)
{
	vfio_pci_buf_set_state(actor->buf, REVOKED);
	begin_work(actor);
}

static void close_work(struct actor *actor)
{
	vfio_pci_buf_list_close(actor->fake->vdev);
	actor->ok = !atomic_read(&actor->buf->nr_dma_maps);
}

/*
 * A transition waits for mappings, and a reset of somebody else does; all are
 * told before the first is waited for. The core may call meanwhile.
 */
static void importers_are_waited_for(struct kunit *test)
{
	static const struct {
		void (*work)(struct actor *actor);
		bool transition;
	} works[] = {
		{ begin_work, true },
		{ look_work, true },
		{ prepare_work, false },
		{ revoked_begin_work, true },
		{ close_work, true },
	};
	struct fake *fake = test->priv;
	struct p2pdma_provider *provider;
	struct vfio_pci_buf *older, *newer;
	u32 i;

	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	older = buf_new(fake);
	older->provider = provider;
	newer = buf_new(fake);
	newer->provider = provider;

	for (i = 0; i < ARRAY_SIZE(works); i++) {
		/* Whichever comes first in a walk. */
		struct vfio_pci_buf *busy = i & 1 ? older : newer;
		struct vfio_pci_buf *idle = i & 1 ? newer : older;
		unsigned long end = jiffies + PATIENCE;
		struct actor *actor;
		bool ok = false;

		atomic_inc(&busy->nr_dma_maps);
		actor = actor_start(fake, works[i].work, busy);
		while (buf_state(idle) == LIVE && time_before(jiffies, end))
			usleep_range(500, 1000);
		msleep(20);
		KUNIT_EXPECT_NE(test, buf_state(idle), LIVE);
		KUNIT_EXPECT_NE(test, buf_state(busy), LIVE);
		KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
		KUNIT_EXPECT_EQ(test, works[i].transition,
				rwsem_is_locked(&fake->vdev->memory_lock));
		KUNIT_EXPECT_FALSE(test,
				   mutex_is_locked(&fake->vdev->access_lock));

		/* As the importer that unmaps. */
		atomic_dec_and_wake_up(&busy->nr_dma_maps);
		if (!actor_join(actor, &ok))
			return;
		KUNIT_EXPECT_TRUE(test, ok);
		fake_set(fake, &answers);
		vfio_pci_core_reset_done(fake->pdev);
	}
}

/* Who tells of an error may have to reach the importer's device first. */
static void error_waits_for_no_importer(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct p2pdma_provider *provider;
	struct vfio_pci_buf *buf;
	u32 i;

	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	buf = buf_new(fake);
	buf->provider = provider;
	atomic_inc(&buf->nr_dma_maps);

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].holds & VFIO_PCI_ACCESS_RESET)
			continue;
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, calls[i].state);
	}

	atomic_dec_and_wake_up(&buf->nr_dma_maps);
}

static void timed_prepare_work(struct actor *actor)
{
	unsigned long start = jiffies;

	vfio_pci_core_reset_prepare(actor->fake->pdev);
	actor->ret = jiffies - start;
	/* One budget of five seconds for all of them. */
	actor->ok = actor->ret >= 5 * HZ && actor->ret < 10 * HZ;
	if (!actor->ok)
		pr_err("reset_prepare took %d jiffies\n", actor->ret);
}

/* Some importers do not let go, and the core has the device locked. */
static void prepare_is_bounded(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct p2pdma_provider *provider;
	bool ok = false;
	u32 i;

	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	for (i = 0; i < 3; i++) {
		buf_new(fake)->provider = provider;
		atomic_inc(&fake->bufs[i]->nr_dma_maps);
	}

	if (!actor_join(actor_start(fake, timed_prepare_work, NULL), &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_RESET);
	expect_idle(fake);
	/* It holds none of them, nor the list. */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, kref_read(&fake->bufs[i]->kref), 1);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2 + 3);

	for (i = 0; i < 3; i++)
		atomic_dec_and_wake_up(&fake->bufs[i]->nr_dma_maps);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
}

static void late_prepare_work(struct actor *actor)
{
	vfio_pci_core_reset_prepare(actor->fake->pdev);
	actor->ok = !atomic_read(&actor->buf->nr_dma_maps);
}

/* The list that it walks does not go. */
static void closed_in_prepare(struct kunit *test)
{
	struct fake *fake = test->priv;
	unsigned long end = jiffies + PATIENCE;
	struct p2pdma_provider *provider;
	struct vfio_pci_buf *buf;
	struct actor *actor;
	bool ok = false;

	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	buf = buf_new(fake);
	buf->provider = provider;
	atomic_inc(&buf->nr_dma_maps);
	actor = actor_start(fake, late_prepare_work, buf);
	while (buf_state(buf) == LIVE && time_before(jiffies, end))
		usleep_range(500, 1000);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));

	/* The importer has let go, but the one who waits does not know yet. */
	atomic_dec(&buf->nr_dma_maps);
	vfio_pci_buf_list_close(fake->vdev);
	expect_all(fake, REVOKED);
	wake_up_var(&buf->nr_dma_maps);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, REVOKED);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2);
	buf_release(fake, buf, false);
	fake_forget(fake);

	/* The next opening waits for the end of the reset. */
	fake_open(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
}

/*
 * Importers that were told and not waited for are there still when a
 * transition begins, and it is not to go on before they have let go.
 */
static void begin_waits_for_the_told(struct kunit *test)
{
	static void (* const works[])(struct actor *actor) = {
		begin_work, close_work,
	};
	struct fake *fake = test->priv;
	struct p2pdma_provider *provider;
	u32 i, reset;

	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	for (i = 0; i < ARRAY_SIZE(works); i++) {
		for (reset = 0; reset < 2; reset++) {
			struct actor *prepare = NULL, *actor;
			struct vfio_pci_buf *buf = buf_new(fake);
			bool ok = false;

			buf->provider = provider;
			atomic_inc(&buf->nr_dma_maps);
			if (reset) {
				prepare = actor_start(fake, late_prepare_work,
						      buf);
				msleep(50);
			} else {
				vfio_pci_access_error(fake->vdev,
						      pci_channel_io_frozen);
			}
			actor = actor_start(fake, works[i], buf);
			msleep(50);
			KUNIT_EXPECT_FALSE_MSG(test,
					       completion_done(&actor->done),
					       "work %u, reset %u", i, reset);
			atomic_dec_and_wake_up(&buf->nr_dma_maps);
			if (!actor_join(actor, &ok))
				return;
			KUNIT_EXPECT_TRUE(test, ok);
			if (prepare && !actor_join(prepare, &ok))
				return;
			vfio_pci_core_reset_done(fake->pdev);
			if (fake->vdev->buf_list)
				continue;
			for (u32 j = 0; j < fake->nr; j++)
				if (fake->bufs[j])
					buf_release(fake, fake->bufs[j], false);
			fake_forget(fake);
			fake_open(fake);
		}
	}
}

/* ---- the walk ---- */

/* Return: the number of steps; @seen gets one more for each buffer. */
static u32 walk(struct fake *fake, u32 *seen)
{
	struct vfio_pci_buf *buf = NULL;
	u32 steps = 0, i;

	while ((buf = vfio_pci_buf_next(fake->list, buf))) {
		steps++;
		for (i = 0; i < fake->nr; i++)
			if (fake->bufs[i] == buf)
				seen[i]++;
		if (steps > 1000) {
			KUNIT_FAIL(fake->test, "no end after 1000 steps");
			vfio_pci_buf_put(buf);
			break;
		}
	}

	return steps;
}

static void walk_sees_each_once(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf;
	u32 n, i;

	KUNIT_EXPECT_NULL(test, vfio_pci_buf_next(fake->list, NULL));
	for (n = 1; n <= 6; n++) {
		u32 seen[MAX_BUFS] = {};

		buf_new(fake);
		KUNIT_EXPECT_EQ(test, walk(fake, seen), n);
		for (i = 0; i < n; i++) {
			KUNIT_EXPECT_EQ(test, seen[i], 1);
			KUNIT_EXPECT_EQ(test, kref_read(&fake->bufs[i]->kref),
					1);
		}
	}

	/* One that ends early has one reference to drop. */
	buf = vfio_pci_buf_next(fake->list, NULL);
	buf = vfio_pci_buf_next(fake->list, buf);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, kref_read(&buf->kref), 2);
	vfio_pci_buf_put(buf);
	for (i = 0; i < fake->nr; i++)
		KUNIT_EXPECT_EQ(test, kref_read(&fake->bufs[i]->kref), 1);

	/* Two at once do not disturb each other. */
	buf = vfio_pci_buf_next(fake->list, NULL);
	i = 1;
	do {
		u32 seen[MAX_BUFS] = {};

		KUNIT_EXPECT_EQ(test, walk(fake, seen), 6);
		buf = vfio_pci_buf_next(fake->list, buf);
	} while (buf && ++i < 100);
	KUNIT_EXPECT_EQ(test, i, 6);
}

static void walk_while_current_goes(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct p2pdma_provider *provider;
	struct vfio_pci_buf *buf = NULL;
	u32 i, steps = 0;

	/* Where there may be importers, a walk looks for the DMABUF. */
	provider = kunit_kzalloc(test, sizeof(*provider), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, provider);
	for (i = 0; i < 5; i++)
		buf_new(fake)->provider = provider;

	while ((buf = vfio_pci_buf_next(fake->list, buf))) {
		steps++;
		buf_release(fake, buf, true);
		/* Ours is the last one, and its place in the list stays. */
		KUNIT_EXPECT_EQ(test, kref_read(&buf->kref), 1);
		KUNIT_EXPECT_NULL(test, buf->dmabuf);
		KUNIT_EXPECT_FALSE(test, list_empty(&buf->node));
	}
	KUNIT_EXPECT_EQ(test, steps, 5);
	KUNIT_EXPECT_TRUE(test, list_empty(&fake->list->bufs));
	for (i = 0; i < fake->nr; i++)
		KUNIT_EXPECT_EQ(test, icount_read_once(fake->inodes[i]), 1);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2);
}

/* Newest first, so that the next of bufs[i] is bufs[i - 1]. */
static void walk_while_others_go(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf, *at[6];
	u32 i;

	for (i = 0; i < 6; i++)
		at[i] = buf_new(fake);

	buf = vfio_pci_buf_next(fake->list, NULL);
	KUNIT_EXPECT_PTR_EQ(test, buf, at[5]);
	/* The next. */
	buf_release(fake, at[4], false);
	buf = vfio_pci_buf_next(fake->list, buf);
	KUNIT_EXPECT_PTR_EQ(test, buf, at[3]);
	/* The one behind, the current one and the next, in this order. */
	buf_release(fake, at[5], false);
	buf_release(fake, at[3], true);
	buf_release(fake, at[2], false);
	buf = vfio_pci_buf_next(fake->list, buf);
	KUNIT_EXPECT_PTR_EQ(test, buf, at[1]);
	/* All that is left, so that the walk ends. */
	buf_release(fake, at[0], false);
	buf_release(fake, at[1], true);
	buf = vfio_pci_buf_next(fake->list, buf);
	KUNIT_EXPECT_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, list_empty(&fake->list->bufs));
	for (i = 0; i < fake->nr; i++)
		KUNIT_EXPECT_EQ(test, icount_read_once(fake->inodes[i]), 1);
}

static void walk_while_some_come(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = NULL, *first;
	u32 steps = 0;

	first = buf_new(fake);
	buf_new(fake);
	buf_new(fake);
	while ((buf = vfio_pci_buf_next(fake->list, buf))) {
		steps++;
		if (fake->nr + 2 <= MAX_BUFS) {
			buf_new(fake);
			buf_new(fake);
		}
		if (buf == first)
			KUNIT_EXPECT_EQ(test, steps, 3);
	}
	KUNIT_EXPECT_EQ(test, steps, 3);
	KUNIT_EXPECT_EQ(test, fake->nr, 9);
}

static void come_and_go_work(struct actor *actor)
{
	struct vfio_pci_buf *bufs[4] = {};
	u32 i = 0;

	/* Out of order, so that neighbours differ. */
	while (!completion_done(&actor->go)) {
		struct vfio_pci_buf **slot = &bufs[(i++ * 3) % 4];

		if (*slot)
			buf_close(*slot);
		*slot = NULL;
		actor->ret = buf_new_unless(actor->fake, slot);
		if (actor->ret)
			break;
	}
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		if (bufs[i])
			buf_close(bufs[i]);
	actor->ok = !actor->ret;
}

/* Those that stay are seen once by each walk, whatever comes and goes. */
static void walk_in_a_crowd(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 seen[MAX_BUFS] = {};
	struct actor *actor;
	bool ok = false;
	u32 round, i;

	for (i = 0; i < 3; i++)
		buf_new(fake);
	actor = actor_start(fake, come_and_go_work, NULL);
	for (round = 1; round <= 300; round++) {
		walk(fake, seen);
		for (i = 0; i < fake->nr; i++)
			KUNIT_EXPECT_EQ(test, seen[i], round);
		vfio_pci_access_begin(fake->vdev);
		expect_all(fake, QUIESCING);
		vfio_pci_access_end(fake->vdev);
		expect_all(fake, LIVE);
		if (test->status == KUNIT_FAILURE)
			break;
	}
	complete_all(&actor->go);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2 + fake->nr);
}

/* ---- every transition from every state to every truth ---- */

#define RESET	VFIO_PCI_ACCESS_RESET
#define FROZEN	VFIO_PCI_ACCESS_FROZEN

static void run_begin(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin(fake->vdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_trybegin(struct fake *fake, const struct truth *truth)
{
	if (!vfio_pci_access_trybegin(fake->vdev)) {
		KUNIT_FAIL(fake->test, "the lock was free");
		return;
	}
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_begin_live(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin_live(fake->vdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_own_reset(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_core_reset_done(fake->pdev);
	vfio_pci_access_end(fake->vdev);
}

static void run_prepare(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_core_reset_prepare(fake->pdev);
}

static void run_done(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_core_reset_done(fake->pdev);
}

static void run_reset(struct fake *fake, const struct truth *truth)
{
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_core_reset_done(fake->pdev);
}

static void run_frozen(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
}

static void run_thaw(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_core_aer_resume(fake->pdev);
}

static void run_recovery(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake_set(fake, truth);
	vfio_pci_core_aer_resume(fake->pdev);
}

static void run_failure(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
}

static void run_in_prepare(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_core_reset_prepare(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_done(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin_live(fake->vdev);
	fake_set(fake, truth);
	vfio_pci_core_reset_done(fake->pdev);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_reset(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin_live(fake->vdev);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_core_reset_done(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_frozen(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin_live(fake->vdev);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_thaw(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_core_aer_resume(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_failure(struct fake *fake, const struct truth *truth)
{
	vfio_pci_access_begin(fake->vdev);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_system_resume(struct fake *fake, const struct truth *truth)
{
	fake_set(fake, truth);
	vfio_pci_access_system_resume(&fake->pdev->dev);
}

static const struct transition {
	const char *name;
	void (*run)(struct fake *fake, const struct truth *truth);
	u8 drops, adds;
} transitions[] = {
	{ "begin .. end", run_begin },
	{ "trybegin .. end", run_trybegin },
	{ "begin_live .. end", run_begin_live },
	{ "reset by VFIO", run_own_reset, RESET | FROZEN },
	{ "reset_prepare", run_prepare, 0, RESET },
	{ "reset_done", run_done, RESET | FROZEN },
	{ "reset by others", run_reset, RESET | FROZEN },
	{ "frozen", run_frozen, 0, FROZEN },
	{ "resume", run_thaw, FROZEN },
	{ "frozen, resume", run_recovery, FROZEN },
	{ "permanent failure", run_failure, FROZEN },
	{ "system resume", run_system_resume },
	{ "begin, reset_prepare, end", run_in_prepare, 0, RESET },
	{ "begin_live, reset_done, end", run_in_done, RESET | FROZEN },
	{ "begin_live, reset, end", run_in_reset, RESET | FROZEN },
	{ "begin_live, frozen, end", run_in_frozen, 0, FROZEN },
	{ "begin, resume, end", run_in_thaw, FROZEN },
	{ "begin, permanent failure, end", run_in_failure, FROZEN },
};

static void transition_name(const struct transition *transition, char *desc)
{
	strscpy(desc, transition->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(transition, transitions, transition_name);

/* Where it starts: what the last end found, and who holds it. */
static const struct origin {
	const struct truth *truth;
	u8 holds;
	enum vfio_pci_buf_state state;
} origins[] = {
	{ &answers, 0, LIVE },
	{ &decode_off, 0, SUSPENDED },
	{ &pulled_out, 0, SUSPENDED },
	{ &answers, RESET, QUIESCING },
	{ &answers, FROZEN, SUSPENDED },
	{ &answers, RESET | FROZEN, QUIESCING },
	{ &decode_off, RESET, QUIESCING },
	{ &decode_off, FROZEN, SUSPENDED },
	{ &pulled_out, RESET, QUIESCING },
	{ &pulled_out, FROZEN, SUSPENDED },
	{ &pulled_out, RESET | FROZEN, QUIESCING },
};

static void to_origin(struct fake *fake, const struct origin *origin)
{
	fake_set(fake, &answers);
	vfio_pci_core_reset_done(fake->pdev);
	if (origin->holds & RESET)
		vfio_pci_core_reset_prepare(fake->pdev);
	if (origin->holds & FROZEN)
		vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake_look(fake, origin->truth);
}

static enum vfio_pci_buf_state expected(const struct truth *truth, u8 holds)
{
	if (holds & RESET)
		return QUIESCING;
	if (holds & FROZEN || truth->channel == pci_channel_io_perm_failure)
		return SUSPENDED;
	if (truth->low_power || truth->power != PCI_D0)
		return SUSPENDED;
	return truth->decode || truth->no_command_memory ? LIVE : SUSPENDED;
}

static void table_work(struct actor *actor)
{
	struct fake *fake = actor->fake;
	struct kunit *test = fake->test;
	const struct transition *transition = test->param_value;
	struct vfio_pci_buf *buf = fake->bufs[0], *revoked = fake->bufs[1];
	u32 o, bits;

	for (o = 0; o < ARRAY_SIZE(origins); o++) {
		const struct origin *origin = &origins[o];
		u8 holds = (origin->holds & ~transition->drops) |
			   transition->adds;

		for (bits = 0; bits < 32; bits++) {
			struct truth truth = {
				.decode = bits & 1,
				.no_command_memory = bits & 2,
				.low_power = bits & 4,
				.power = bits & 8 ? PCI_D3hot : PCI_D0,
				.channel = bits & 16 ?
					   pci_channel_io_perm_failure :
					   pci_channel_io_normal,
			};
			enum vfio_pci_buf_state state;

			to_origin(fake, origin);
			KUNIT_EXPECT_EQ(test, buf_state(buf), origin->state);
			transition->run(fake, &truth);
			state = expected(&truth, holds);
			KUNIT_EXPECT_EQ_MSG(test, buf_state(buf), state,
					    "origin %u, truth 0x%x", o, bits);
			KUNIT_EXPECT_EQ(test, fake->list->state, state);
			KUNIT_EXPECT_EQ(test, holds_of(fake), holds);
			KUNIT_EXPECT_EQ(test, buf_state(revoked), REVOKED);
			expect_idle(fake);
			if (test->status == KUNIT_FAILURE)
				return;
		}
	}
}

/* In a thread of its own, as nested_reset(). */
static void table(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	vfio_pci_buf_set_state(buf_new(fake), REVOKED);
	actor_join(actor_start(fake, table_work, NULL), NULL);
}

static struct kunit_case state_cases[] = {
	KUNIT_CASE(new_buffer),
	KUNIT_CASE(new_list),
	KUNIT_CASE(unpublished),
	KUNIT_CASE(begin_and_end),
	KUNIT_CASE(begin_live),
	KUNIT_CASE(end_derives),
	KUNIT_CASE(trybegin_contended),
	KUNIT_CASE(set_state),
	KUNIT_CASE(revoke_one),
	KUNIT_CASE(revoke_in_transitions),
	KUNIT_CASE(outside_reset),
	KUNIT_CASE(nested_reset),
	KUNIT_CASE(nested_reset_thaws),
	KUNIT_CASE(outside_in_transition),
	KUNIT_CASE(outside_in_live_transition),
	KUNIT_CASE(outside_without_memory_lock),
	KUNIT_CASE(outside_of_closed),
	KUNIT_CASE(outside_in_a_crowd),
	KUNIT_CASE(recovery),
	KUNIT_CASE(recovery_given_up),
	KUNIT_CASE(recovery_by_reset),
	KUNIT_CASE(system_resume),
	KUNIT_CASE(open_in_reset),
	KUNIT_CASE(open_asleep),
	KUNIT_CASE(list_close),
	KUNIT_CASE(list_close_states),
	KUNIT_CASE(waiters_wake),
	KUNIT_CASE(importers_are_told),
	KUNIT_CASE(importers_are_waited_for),
	KUNIT_CASE(error_waits_for_no_importer),
	KUNIT_CASE_SLOW(prepare_is_bounded),
	KUNIT_CASE(closed_in_prepare),
	KUNIT_CASE(begin_waits_for_the_told),
	KUNIT_CASE(walk_sees_each_once),
	KUNIT_CASE(walk_while_current_goes),
	KUNIT_CASE(walk_while_others_go),
	KUNIT_CASE(walk_while_some_come),
	KUNIT_CASE(walk_in_a_crowd),
	KUNIT_CASE_PARAM(table, transition_gen_params),
	{}
};

static struct kunit_suite state_suite = {
	.name = "vfio_pci_state",
	.init = state_init,
	.exit = state_exit,
	.test_cases = state_cases,
};

kunit_test_suite(state_suite);

MODULE_IMPORT_NS("DMA_BUF");
