// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the state of buffers: what each transition of a device makes
 * of them, who waits for whom, and who goes when. The device is made of memory;
 * the DMABUFs and the attachments of importers are real.
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
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait_bit.h>
#include <uapi/linux/dma-buf.h>

#include "access.h"
#include "buf.h"

#define MAX_BUFS	16
#define MAX_IMPORTERS	4
#define MAX_DEVICES	3
/* For a thread that makes progress; an emulated processor is slow. */
#define TIMEOUT		(20 * HZ)
/* For a thread to do what it must not do. */
#define GRACE_MS	50

#define LIVE		VFIO_PCI_BUF_LIVE
#define QUIESCING	VFIO_PCI_BUF_QUIESCING
#define SUSPENDED	VFIO_PCI_BUF_SUSPENDED
#define REVOKED		VFIO_PCI_BUF_REVOKED

/* What the command register of the device holds. */
enum real_command {
	REAL_AS_VIRTUAL,
	REAL_OFF,	/* a recovery reset the device and restored nothing */
	REAL_ON,
	REAL_ONES,	/* the device does not answer */
	REAL_FAILS,
};

/* What the hardware can do, and what the user has asked of it. */
struct truth {
	bool decode;	/* as the user sees it */
	enum real_command real;
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

static const struct truth not_restored = {
	.decode = true, .real = REAL_OFF, .power = PCI_D0,
	.channel = pci_channel_io_normal,
};

static const struct truth pulled_out = {
	.decode = true, .power = PCI_D0, .channel = pci_channel_io_perm_failure,
};

/* An attachment, and a mapping of which the provider knows nothing. */
struct importer {
	struct fake *fake;
	struct vfio_pci_buf *buf;
	struct dma_buf_attachment *attachment;
	bool mapped;
	/* Unmaps as soon as it is notified of a loss. */
	bool yields;
	/* How often it was notified, and what it found the last time. */
	u32 notified;
	enum vfio_pci_buf_state found;
};

/* The open device. */
struct fake {
	struct kunit *test;
	/* The others of the test. */
	struct fake *next;
	struct vfio_pci_core_device *vdev;
	struct pci_dev *pdev;
	struct pci_bus *bus;
	u8 vconfig[PCI_CFG_SPACE_SIZE];
	bool command_fails;
	u16 command;
	struct file *file;
	/* References of ours, to see that all others go. */
	struct vfio_pci_buf_list *list;
	struct inode *inodes[MAX_BUFS];
	/* Not released yet. */
	struct vfio_pci_buf *bufs[MAX_BUFS];
	u32 nr;
	/* Of buffers that have a provider, which all of them share. */
	struct p2pdma_provider provider;
	struct device *importer_dev;
	struct importer importers[MAX_IMPORTERS];
	atomic_t nr_actors;
	/* Of the first device: all devices of the test. */
	struct vfio_device_set set;
};

static const struct file_operations fake_fops = {
	.owner = THIS_MODULE,
};

static int fake_config_read(struct pci_bus *bus, unsigned int devfn, int where,
			    int size, u32 *val)
{
	struct fake *fake = bus->sysdata;

	if (fake->command_fails || where != PCI_COMMAND || size != 2)
		return PCIBIOS_DEVICE_NOT_FOUND;

	*val = READ_ONCE(fake->command);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops fake_pci_ops = {
	.read = fake_config_read,
};

static u16 real_command(const struct truth *truth)
{
	switch (truth->real) {
	case REAL_OFF:
		return 0;
	case REAL_ON:
		return PCI_COMMAND_MEMORY;
	case REAL_ONES:
		return 0xffff;
	case REAL_AS_VIRTUAL:
	case REAL_FAILS:
		break;
	}
	return truth->decode ? PCI_COMMAND_MEMORY : 0;
}

static void fake_set(struct fake *fake, const struct truth *truth)
{
	u16 command = truth->decode ? PCI_COMMAND_MEMORY : 0;

	*(__le16 *)&fake->vconfig[PCI_COMMAND] = cpu_to_le16(command);
	WRITE_ONCE(fake->command, real_command(truth));
	fake->command_fails = truth->real == REAL_FAILS;
	fake->pdev->no_command_memory = truth->no_command_memory;
	fake->pdev->current_state = truth->power;
	fake->pdev->error_state = truth->channel;
	fake->vdev->pm_runtime_engaged = truth->low_power;
}

/* A begin that nothing keeps from success. One that fails still has an end. */
static void fake_begin(struct fake *fake)
{
	int ret = vfio_pci_access_begin_reset(fake->vdev);

	KUNIT_EXPECT_EQ(fake->test, ret, 0);
	if (ret)
		vfio_pci_access_begin_live(fake->vdev);
}

static void fake_begin_suspend(struct fake *fake)
{
	int ret = vfio_pci_access_begin_suspend(fake->vdev);

	KUNIT_EXPECT_EQ(fake->test, ret, 0);
	if (ret)
		vfio_pci_access_begin_live(fake->vdev);
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
	KUNIT_EXPECT_EQ(fake->test, READ_ONCE(fake->vdev->access_running), 0);
	KUNIT_EXPECT_NULL(fake->test, READ_ONCE(fake->vdev->access_thread));
	KUNIT_EXPECT_FALSE(fake->test,
			   mutex_is_locked(&fake->vdev->access_lock));
	KUNIT_EXPECT_FALSE(fake->test,
			   rwsem_is_locked(&fake->vdev->memory_lock));
}

/* A transition runs and is at its work, which only memory_lock covers. */
static void expect_running(struct fake *fake)
{
	KUNIT_EXPECT_NE(fake->test, READ_ONCE(fake->vdev->access_running), 0);
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
	struct completion ready, go, done;
	bool ended;
	/* What it found. */
	bool ok;
	int ret;
	unsigned long took;
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
	init_completion(&actor->ready);
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

/* Return: did it get to its end? Then what it found may be read. */
static bool actor_wait(struct actor *actor)
{
	if (actor->ended)
		return true;

	actor->ended = wait_for_completion_timeout(&actor->done, TIMEOUT);
	if (!actor->ended)
		KUNIT_FAIL(actor->fake->test, "a thread hangs");
	return actor->ended;
}

/* Return: did it get to its end? Then it is gone, and @ok is what it found. */
static bool actor_join(struct actor *actor, bool *ok)
{
	struct fake *fake = actor->fake;

	if (!actor_wait(actor))
		return false;

	if (ok)
		*ok = actor->ok;
	atomic_dec(&fake->nr_actors);
	kfree(actor);
	return true;
}

/* ---- importers, whose attachments are real ---- */

/* An importer may do from here on what the state promises. */
static void importer_notified(struct dma_buf_attachment *attachment)
{
	struct importer *importer = attachment->importer_priv;
	struct vfio_pci_buf *buf = importer->buf;

	dma_resv_assert_held(attachment->dmabuf->resv);
	importer->notified++;
	importer->found = buf_state(buf);
	KUNIT_EXPECT_EQ(importer->fake->test, buf->importers_blocked,
			importer->found != LIVE);
	if (importer->yields && importer->mapped && buf->importers_blocked) {
		importer->mapped = false;
		atomic_dec_and_wake_up(&buf->nr_dma_maps);
	}
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_notified,
};

/* For the rest of the test, unless it is detached. */
static struct importer *importer_attach_unless(struct fake *fake,
					       struct vfio_pci_buf *buf,
					       int *ret)
{
	struct dma_buf_attachment *attachment;
	struct kunit *test = fake->test;
	struct importer *importer;
	u32 i;

	if (!fake->importer_dev) {
		struct device *dev =
			kunit_device_register(test, fake->pdev->dev.init_name);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
		fake->importer_dev = dev;
	}
	for (i = 0; i < MAX_IMPORTERS; i++)
		if (!fake->importers[i].attachment)
			break;
	KUNIT_ASSERT_LT(test, i, MAX_IMPORTERS);

	importer = &fake->importers[i];
	*importer = (struct importer){ .fake = fake, .buf = buf };
	buf->provider = &fake->provider;
	attachment = dma_buf_dynamic_attach(buf->dmabuf, fake->importer_dev,
					    &importer_ops, importer);
	*ret = PTR_ERR_OR_ZERO(attachment);
	if (*ret)
		return NULL;

	importer->attachment = attachment;
	return importer;
}

static struct importer *importer_attach(struct fake *fake,
					struct vfio_pci_buf *buf)
{
	struct importer *importer;
	int ret;

	importer = importer_attach_unless(fake, buf, &ret);
	KUNIT_ASSERT_EQ(fake->test, ret, 0);
	return importer;
}

/*
 * Does the exporter allow a mapping? The provider leads nowhere, which is found
 * out behind that question.
 */
static bool importer_may_map(struct importer *importer)
{
	struct sg_table *sgt;

	dma_resv_assert_held(importer->buf->dmabuf->resv);
	sgt = dma_buf_map_attachment(importer->attachment, DMA_BIDIRECTIONAL);
	if (sgt != ERR_PTR(-ENODEV))
		KUNIT_EXPECT_PTR_EQ(importer->fake->test, sgt,
				    ERR_PTR(-EINVAL));
	return sgt == ERR_PTR(-EINVAL);
}

/* Return: is it allowed to map, and so has? */
static bool importer_map(struct importer *importer)
{
	struct vfio_pci_buf *buf = importer->buf;
	bool ok;

	dma_resv_lock(&buf->resv, NULL);
	ok = importer_may_map(importer);
	if (ok) {
		importer->mapped = true;
		atomic_inc(&buf->nr_dma_maps);
	}
	dma_resv_unlock(&buf->resv);

	return ok;
}

static void importer_unmap(struct importer *importer)
{
	struct vfio_pci_buf *buf = importer->buf;

	dma_resv_lock(&buf->resv, NULL);
	if (importer->mapped) {
		importer->mapped = false;
		atomic_dec_and_wake_up(&buf->nr_dma_maps);
	}
	dma_resv_unlock(&buf->resv);
}

static void importer_detach(struct importer *importer)
{
	importer_unmap(importer);
	dma_buf_detach(importer->buf->dmabuf, importer->attachment);
	importer->attachment = NULL;
}

/* Of a buffer whose state is known to it: one that has a mapping. */
static struct importer *importer_new(struct fake *fake,
				     struct vfio_pci_buf *buf)
{
	struct importer *importer = importer_attach(fake, buf);

	KUNIT_EXPECT_TRUE(fake->test, importer_map(importer));
	return importer;
}

/* As it knows it, and as a map finds it. */
static void expect_blocked(struct importer *importer, bool blocked)
{
	struct kunit *test = importer->fake->test;
	struct vfio_pci_buf *buf = importer->buf;

	dma_resv_lock(&buf->resv, NULL);
	KUNIT_EXPECT_EQ(test, buf->importers_blocked, blocked);
	KUNIT_EXPECT_EQ(test, importer_may_map(importer), !blocked);
	dma_resv_unlock(&buf->resv);
}

/* Attachments of one buffer, and of all buffers of its list. */
static void expect_attached(struct kunit *test, struct vfio_pci_buf *buf,
			    u32 nr, u32 all)
{
	KUNIT_EXPECT_EQ(test, READ_ONCE(buf->nr_attached), nr);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->list->nr_attached), all);
}

/* ---- devices of a test ---- */

static void fake_free(struct fake *fake)
{
	if (!IS_ERR_OR_NULL(fake->file))
		__fput_sync(fake->file);
	kfree(fake->bus);
	kfree(fake->pdev);
	kfree(fake->vdev);
	kfree(fake);
}

/* The first has the set of all. */
static struct fake *fake_new(struct kunit *test)
{
	static const char * const names[MAX_DEVICES] = {
		"vfio-pci-kunit-0", "vfio-pci-kunit-1", "vfio-pci-kunit-2",
	};
	struct fake *first = test->priv, *fake;
	u32 nr = first ? first->set.device_count : 0;

	if (nr == MAX_DEVICES)
		return NULL;

	fake = kzalloc_obj(*fake);
	if (!fake)
		return NULL;

	fake->test = test;
	fake->vdev = kzalloc_obj(*fake->vdev);
	fake->pdev = kzalloc_obj(*fake->pdev);
	fake->bus = kzalloc_obj(*fake->bus);
	fake->file = anon_inode_create_getfile("[vfio-pci-kunit]", &fake_fops,
					       NULL, O_RDWR, NULL);
	if (!fake->vdev || !fake->pdev || !fake->bus || IS_ERR(fake->file)) {
		fake_free(fake);
		return NULL;
	}

	fake->bus->ops = &fake_pci_ops;
	fake->bus->sysdata = fake;
	fake->pdev->bus = fake->bus;
	fake->pdev->dev.init_name = names[nr];
	fake->provider.owner = &fake->pdev->dev;
	dev_set_drvdata(&fake->pdev->dev, fake->vdev);
	fake->vdev->pdev = fake->pdev;
	fake->vdev->vconfig = fake->vconfig;
	fake->vdev->vdev.inode = file_inode(fake->file);
	vfio_pci_access_init(fake->vdev);
	fake_set(fake, &answers);

	if (first) {
		fake->next = first->next;
		first->next = fake;
	} else {
		mutex_init(&fake->set.lock);
		INIT_LIST_HEAD(&fake->set.device_list);
		test->priv = fake;
		first = fake;
	}
	list_add_tail(&fake->vdev->vdev.dev_set_list, &first->set.device_list);
	first->set.device_count++;
	fake_open(fake);

	return fake;
}

/* As it was before the test, which may shorten it. */
static uint timeout_ms;

static int state_init(struct kunit *test)
{
	timeout_ms = vfio_pci_importer_timeout_ms;

	return fake_new(test) ? 0 : -ENOMEM;
}

/* Return: is nobody there who will use it? */
static bool fake_retire(struct fake *fake)
{
	u32 i;

	if (rwsem_is_locked(&fake->vdev->memory_lock) ||
	    mutex_is_locked(&fake->vdev->access_lock) ||
	    atomic_read(&fake->nr_actors)) {
		KUNIT_FAIL(fake->test, "left with the device in use");
		return false;
	}

	for (i = 0; i < MAX_IMPORTERS; i++)
		if (fake->importers[i].attachment)
			importer_detach(&fake->importers[i]);
	for (i = 0; i < fake->nr; i++) {
		if (fake->bufs[i])
			buf_release(fake, fake->bufs[i], false);
		iput(fake->inodes[i]);
	}
	if (fake->vdev->buf_list)
		vfio_pci_buf_list_close(fake->vdev);
	if (fake->list)
		fake_forget(fake);

	return true;
}

static void state_exit(struct kunit *test)
{
	struct fake *fake = test->priv, *next;
	bool idle = true;

	vfio_pci_importer_timeout_ms = timeout_ms;

	for (next = fake; next; next = next->next)
		if (!fake_retire(next))
			idle = false;
	if (!idle)
		return;

	for (; fake; fake = next) {
		next = fake->next;
		fake_free(fake);
	}
}

/* ---- what a buffer starts with ---- */

static void new_buffer(struct kunit *test)
{
	struct fake *fake = test->priv;

	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), LIVE);

	fake_begin(fake);
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
	fake_begin(fake);
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

	fake_begin(fake);
	expect_running(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);

	fake_look(fake, &decode_off);
	expect_all(fake, SUSPENDED);

	/* Who faults in a transition waits: it may give access. */
	fake_begin(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);

	fake_set(fake, &answers);
	expect_all(fake, SUSPENDED);
	fake_begin(fake);
	expect_running(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);
}

/* The same, but who faults does not wait. */
static void begin_suspend(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);
	buf_new(fake);

	fake_begin_suspend(fake);
	expect_running(fake);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(test, buf_state(buf_new(fake)), SUSPENDED);
	fake_set(fake, &decode_off);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);
	expect_idle(fake);

	/* It did not come to that. */
	fake_begin_suspend(fake);
	expect_all(fake, SUSPENDED);
	fake_set(fake, &answers);
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
		for (p = 0; p < ARRAY_SIZE(powers) * 5; p++) {
			bool awake = p % ARRAY_SIZE(powers) <= 2;
			bool live;

			truth.decode = bits & 1;
			truth.no_command_memory = bits & 2;
			truth.low_power = bits & 4;
			truth.channel = bits & 8 ? pci_channel_io_perm_failure :
						   pci_channel_io_normal;
			truth.power = powers[p % ARRAY_SIZE(powers)];
			truth.real = p / ARRAY_SIZE(powers);
			live = (truth.no_command_memory ||
				(truth.decode &&
				 (truth.real == REAL_AS_VIRTUAL ||
				  truth.real == REAL_ON))) &&
			       !(bits & 12) && awake;

			fake_begin(fake);
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

	fake_begin(fake);
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
		fake_begin(fake);
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
	fake_begin(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, QUIESCING);
	fake_look(fake, &decode_off);
	expect_all(fake, QUIESCING);
	fake_look(fake, &answers);
	expect_all(fake, QUIESCING);
	fake_begin_suspend(fake);
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
	fake_begin(fake);
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
	fake_begin_suspend(fake);
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
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
	fake_begin(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(fake->test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);

	fake_begin(fake);
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
		fake_begin(fake);
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
	fake_begin(fake);
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
		KUNIT_EXPECT_EQ(test, fake->vdev->access_running, 0);
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
		fake_begin(fake);
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
	fake_begin(fake);
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
	 * pcie_do_recovery() that fails reports a permanent failure of a device
	 * that it leaves frozen, and the user is to reset it. Faults have
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

/* Nothing ends the recovery but a reset by somebody. */
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

	/* Nor is a permanent failure that is reported, and was none. */
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	vfio_pci_access_error(fake->vdev, pci_channel_io_perm_failure);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
}

/* Somebody resets a device in the middle of its recovery, which goes on. */
static void reset_in_recovery(struct kunit *test)
{
	struct fake *fake = test->priv;

	buf_new(fake);

	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	fake->pdev->error_state = pci_channel_io_frozen;
	vfio_pci_core_reset_prepare(fake->pdev);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);

	/* VFIO's own, as well. */
	fake_begin(fake);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_core_reset_done(fake->pdev);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, SUSPENDED);

	fake->pdev->error_state = pci_channel_io_normal;
	expect_all(fake, SUSPENDED);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, LIVE);
	expect_idle(fake);
}

/* The user sees decode on, and the device has lost it. */
static void recovered_not_restored(struct kunit *test)
{
	static const enum real_command reals[] = {
		REAL_OFF, REAL_ONES, REAL_FAILS,
	};
	struct fake *fake = test->priv;
	struct truth truth = not_restored;
	u32 i;

	buf_new(fake);
	for (i = 0; i < ARRAY_SIZE(reals); i++) {
		truth.real = reals[i];

		vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
		fake_set(fake, &truth);
		vfio_pci_core_aer_resume(fake->pdev);
		expect_all(fake, SUSPENDED);
		KUNIT_EXPECT_EQ(test, holds_of(fake), 0);
		/* Any other transition finds it so. */
		fake_begin(fake);
		vfio_pci_access_end(fake->vdev);
		expect_all(fake, SUSPENDED);
		/* Until the user writes the register. */
		fake_look(fake, &answers);
		expect_all(fake, LIVE);

		/* A reset that restores nothing. */
		vfio_pci_core_reset_prepare(fake->pdev);
		fake_set(fake, &truth);
		vfio_pci_core_reset_done(fake->pdev);
		expect_all(fake, SUSPENDED);
		/* One that does. */
		vfio_pci_core_reset_prepare(fake->pdev);
		fake_set(fake, &answers);
		vfio_pci_core_reset_done(fake->pdev);
		expect_all(fake, LIVE);

		/* VFs have no such bit. */
		truth.no_command_memory = true;
		fake_look(fake, &truth);
		expect_all(fake, LIVE);
		truth.no_command_memory = false;
	}

	/* The other way round: the user has turned it off. */
	truth.decode = false;
	truth.real = REAL_ON;
	fake_look(fake, &truth);
	expect_all(fake, SUSPENDED);
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
	fake_begin(fake);
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
	fake_begin(fake);
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
	complete(&actor->ready);
	actor->ok = wait_var_event_timeout(&actor->buf->state,
					   buf_state(actor->buf) != QUIESCING,
					   TIMEOUT / 2) > 1;
}

static struct actor *start_waiter(struct fake *fake, struct vfio_pci_buf *buf)
{
	struct actor *actor = actor_start(fake, wait_work, buf);

	wait_for_completion(&actor->ready);
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
	fake_begin(fake);
	actor = start_waiter(fake, buf);
	second = start_waiter(fake, other);
	vfio_pci_access_end(fake->vdev);
	expect_woken(actor);
	expect_woken(second);

	fake_begin(fake);
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
	fake_begin(fake);
	actor = start_waiter(fake, buf);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_access_end(fake->vdev);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	vfio_pci_core_reset_done(fake->pdev);
	expect_woken(actor);

	/* An error in a transition: there is an end, but no access. */
	fake_begin(fake);
	actor = start_waiter(fake, buf);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	vfio_pci_access_end(fake->vdev);
	expect_woken(actor);
	vfio_pci_core_aer_resume(fake->pdev);

	/* A revoke of this one; the other goes on waiting. */
	fake_begin(fake);
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

static void reader_work(struct actor *actor)
{
	read_lock(&actor->buf->fault_lock);
	complete(&actor->ready);
	/* Long enough to be overtaken. */
	mdelay(GRACE_MS);
	WRITE_ONCE(actor->ok, true);
	read_unlock(&actor->buf->fault_lock);
}

/* A fault that saw the old state has its PTEs in when the new one is set. */
static void set_state_waits_for_faults(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct actor *actor;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two processors");

	actor = actor_start(fake, reader_work, buf);
	wait_for_completion(&actor->ready);
	KUNIT_EXPECT_EQ(test, vfio_pci_buf_set_state(buf, SUSPENDED), 0);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(actor->ok));
	actor_join(actor, NULL);
}

/* From the one state that is waited for, to each of the others. */
static void set_state_wakes(struct kunit *test)
{
	static const enum vfio_pci_buf_state states[] = {
		LIVE, SUSPENDED, REVOKED,
	};
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *other = buf_new(fake);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		struct actor *actor;

		vfio_pci_buf_set_state(buf, QUIESCING);
		actor = start_waiter(fake, buf);
		/* Neither the same again, nor another buffer. */
		vfio_pci_buf_set_state(buf, QUIESCING);
		vfio_pci_buf_set_state(other, QUIESCING);
		vfio_pci_buf_set_state(other, LIVE);
		msleep(GRACE_MS);
		KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
		vfio_pci_buf_set_state(buf, states[i]);
		expect_woken(actor);
	}
}

/* ---- importers ---- */

static void attach_and_detach(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *other = buf_new(fake);
	struct importer *first, *second, *third;
	int ret;

	expect_attached(test, buf, 0, 0);
	first = importer_attach(fake, buf);
	expect_attached(test, buf, 1, 1);
	expect_blocked(first, false);
	second = importer_attach(fake, buf);
	third = importer_attach(fake, other);
	expect_attached(test, buf, 2, 3);
	expect_attached(test, other, 1, 3);

	/* Refused without access, and not counted. */
	fake_look(fake, &decode_off);
	KUNIT_EXPECT_NULL(test, importer_attach_unless(fake, buf, &ret));
	KUNIT_EXPECT_EQ(test, ret, -ENODEV);
	expect_attached(test, buf, 2, 3);
	expect_blocked(first, true);
	expect_blocked(second, true);

	/* One leaves; the return of access is for the other. */
	importer_detach(first);
	expect_attached(test, buf, 1, 2);
	fake_look(fake, &answers);
	expect_blocked(second, false);
	KUNIT_EXPECT_EQ(test, second->notified, 2);

	/*
	 * The last one leaves while it is blocked, and nobody is there to be
	 * notified of the return.
	 */
	fake_look(fake, &decode_off);
	importer_detach(second);
	expect_attached(test, buf, 0, 1);
	fake_look(fake, &answers);
	first = importer_attach(fake, buf);
	expect_blocked(first, false);
	KUNIT_EXPECT_EQ(test, first->notified, 0);
	fake_look(fake, &decode_off);
	KUNIT_EXPECT_EQ(test, first->notified, 1);
	expect_blocked(first, true);
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, first->notified, 2);
	expect_blocked(first, false);
	KUNIT_EXPECT_EQ(test, third->notified, 6);

	importer_detach(first);
	importer_detach(third);
	expect_attached(test, other, 0, 0);

	/* A buffer without a provider is for importers of domains only. */
	first = importer_attach(fake, buf);
	expect_attached(test, buf, 1, 1);
	buf->provider = NULL;
	dma_resv_lock(buf->dmabuf->resv, NULL);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EOPNOTSUPP),
			    dma_buf_map_attachment(first->attachment,
						   DMA_BIDIRECTIONAL));
	dma_resv_unlock(buf->dmabuf->resv);
	importer_detach(first);
	expect_attached(test, buf, 0, 0);
}

/* Each loss and each return, once, whatever takes access away. */
static void importers_are_notified(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_attach(fake, buf);

	/* Access goes; it is not to map again, so the state is first. */
	fake_begin(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);
	KUNIT_EXPECT_EQ(test, importer->found, QUIESCING);
	expect_blocked(importer, true);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 2);
	KUNIT_EXPECT_EQ(test, importer->found, LIVE);
	expect_blocked(importer, false);

	fake_begin_suspend(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 3);
	KUNIT_EXPECT_EQ(test, importer->found, SUSPENDED);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 4);

	/* Nothing is lost and nothing given. */
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, importer->notified, 4);

	/* The BARs are gone without a begin that says so. */
	fake_look(fake, &decode_off);
	KUNIT_EXPECT_EQ(test, importer->notified, 5);
	KUNIT_EXPECT_EQ(test, importer->found, SUSPENDED);

	/* It knows already. */
	fake_begin(fake);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 5);
	expect_blocked(importer, true);

	/* A reset of somebody else, as well. */
	fake_look(fake, &answers);
	KUNIT_EXPECT_EQ(test, importer->notified, 6);
	vfio_pci_core_reset_prepare(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 7);
	KUNIT_EXPECT_EQ(test, importer->found, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 8);
	expect_blocked(importer, false);

	/* So does an error, and one in a transition that took nothing away. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	KUNIT_EXPECT_EQ(test, importer->notified, 9);
	KUNIT_EXPECT_EQ(test, importer->found, SUSPENDED);
	vfio_pci_core_aer_resume(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 10);
	vfio_pci_access_begin_live(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 10);
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	KUNIT_EXPECT_EQ(test, importer->notified, 11);
	KUNIT_EXPECT_EQ(test, importer->found, QUIESCING);
	vfio_pci_core_aer_resume(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 11);
	vfio_pci_access_end(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 12);

	/* The device is closed: for good. */
	vfio_pci_buf_list_close(fake->vdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 13);
	KUNIT_EXPECT_EQ(test, importer->found, REVOKED);
	expect_blocked(importer, true);
}

/* A walk to every buffer without a change of the device's state. */
static void notify_now(struct fake *fake)
{
	vfio_pci_access_begin_live(fake->vdev);
	vfio_pci_access_end(fake->vdev);
}

/*
 * Whoever sets the state notifies later, without a lock in between. So the
 * notifications of a loss and of a return may come in the wrong order, and any
 * of them finds the newest state.
 */
static void notified_out_of_order(struct kunit *test)
{
	/* A letter sets the state, a '!' is a notification. */
	static const struct {
		const char *steps;
		u32 notified;
		bool blocked;
	} orders[] = {
		/* In order. */
		{ "q!l!", 2, false },
		{ "s!l!s!", 3, true },
		/* The return first, then the loss before it. */
		{ "ql!!", 0, false },
		{ "q!lq!!", 1, true },
		{ "q!lql!!!", 2, false },
		/* Both are late. */
		{ "qlql!!!!", 0, false },
		{ "qlqls!!!!!", 1, true },
		/* Losses of two kinds are one. */
		{ "q!s!q!s!l!", 2, false },
		{ "qs!!", 1, true },
		/* Nothing comes after the last one. */
		{ "q!r!l!", 1, true },
		{ "r!!!", 1, true },
	};
	struct fake *fake = test->priv;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		struct vfio_pci_buf *buf = buf_new(fake);
		struct importer *importer = importer_attach(fake, buf);
		const char *step;

		for (step = orders[i].steps; *step; step++) {
			if (*step == '!')
				notify_now(fake);
			else if (*step == 'q')
				vfio_pci_buf_set_state(buf, QUIESCING);
			else if (*step == 's')
				vfio_pci_buf_set_state(buf, SUSPENDED);
			else if (*step == 'r')
				vfio_pci_buf_set_state(buf, REVOKED);
			else
				vfio_pci_buf_set_state(buf, LIVE);
		}
		KUNIT_EXPECT_EQ_MSG(test, importer->notified,
				    orders[i].notified, "%s", orders[i].steps);
		expect_blocked(importer, orders[i].blocked);
		importer_detach(importer);
		buf_release(fake, buf, false);
	}
}

static void hold_resv_work(struct actor *actor)
{
	dma_resv_lock(&actor->buf->resv, NULL);
	complete(&actor->ready);
	wait_for_completion(&actor->go);
	dma_resv_unlock(&actor->buf->resv);
	actor->ok = true;
}

/* Another importer that keeps resv of its buffer. */
static struct actor *hold_resv(struct fake *fake, struct vfio_pci_buf *buf)
{
	struct actor *actor = actor_start(fake, hold_resv_work, buf);

	wait_for_completion(&actor->ready);
	return actor;
}

static bool let_go_on(struct actor *actor)
{
	complete(&actor->go);
	return actor_join(actor, NULL);
}

static void end_work(struct actor *actor)
{
	fake_begin(actor->fake);
	complete(&actor->ready);
	wait_for_completion(&actor->go);
	vfio_pci_access_end(actor->fake->vdev);
	actor->ok = true;
}

static bool wait_for_state(struct vfio_pci_buf *buf,
			   enum vfio_pci_buf_state state)
{
	unsigned long end = jiffies + TIMEOUT;

	while (buf_state(buf) != state && time_before(jiffies, end))
		usleep_range(500, 1000);
	return buf_state(buf) == state;
}

/*
 * A resume sets the state of all buffers before it notifies the first importer.
 * Who would map in between is refused: the notification would end its mapping.
 */
static void map_before_notification(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *newer = buf_new(fake);
	struct importer *importer = importer_attach(fake, buf), *late;
	struct actor *end, *holder;

	importer_attach(fake, newer);
	end = actor_start(fake, end_work, NULL);
	wait_for_completion(&end->ready);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);

	/* The walk does not get past the newer one. */
	holder = hold_resv(fake, newer);
	complete(&end->go);
	KUNIT_EXPECT_TRUE(test, wait_for_state(buf, LIVE));
	msleep(GRACE_MS);
	KUNIT_EXPECT_FALSE(test, completion_done(&end->done));
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, buf_state(newer), LIVE);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);
	expect_blocked(importer, true);
	KUNIT_EXPECT_FALSE(test, importer_map(importer));

	/* One that attaches now is not let in before the others. */
	late = importer_attach(fake, buf);
	expect_blocked(late, true);

	if (!let_go_on(holder) || !actor_join(end, NULL))
		return;
	KUNIT_EXPECT_EQ(test, importer->notified, 2);
	KUNIT_EXPECT_EQ(test, late->notified, 1);
	expect_blocked(importer, false);
	expect_blocked(late, false);
	KUNIT_EXPECT_TRUE(test, importer_map(importer));
	KUNIT_EXPECT_EQ(test, importer->notified, 2);
}

static void begin_work(struct actor *actor)
{
	struct fake *fake = actor->fake;

	actor->ret = vfio_pci_access_begin_reset(fake->vdev);
	if (actor->ret)
		return;
	actor->ok = !atomic_read(&actor->buf->nr_dma_maps);
	vfio_pci_access_end(fake->vdev);
}

static void begin_suspend_work(struct actor *actor)
{
	struct fake *fake = actor->fake;

	actor->ret = vfio_pci_access_begin_suspend(fake->vdev);
	if (actor->ret)
		return;
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
 * notified before the first is waited for. No lock of the device is held
 * meanwhile.
 */
static void importers_are_waited_for(struct kunit *test)
{
	static const struct {
		void (*work)(struct actor *actor);
		enum vfio_pci_buf_state state;
	} works[] = {
		{ begin_work, QUIESCING },
		{ begin_suspend_work, SUSPENDED },
		{ look_work, SUSPENDED },
		{ prepare_work, QUIESCING },
		{ close_work, REVOKED },
		{ revoked_begin_work, QUIESCING },
	};
	struct fake *fake = test->priv;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(works); i++) {
		struct vfio_pci_buf *older = buf_new(fake);
		struct vfio_pci_buf *newer = buf_new(fake);
		/* Whichever comes first in a walk. */
		struct vfio_pci_buf *busy = i & 1 ? older : newer;
		struct vfio_pci_buf *idle = i & 1 ? newer : older;
		struct importer *importer = importer_new(fake, busy);
		struct importer *other = importer_new(fake, idle);
		struct actor *actor;
		bool ok = false;

		other->yields = true;
		actor = actor_start(fake, works[i].work, busy);
		KUNIT_EXPECT_TRUE(test, wait_for_state(idle, works[i].state));
		msleep(GRACE_MS);
		KUNIT_EXPECT_NE(test, buf_state(busy), LIVE);
		KUNIT_EXPECT_EQ(test, importer->notified, 1);
		KUNIT_EXPECT_EQ(test, other->notified, 1);
		KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
		KUNIT_EXPECT_FALSE(test,
				   rwsem_is_locked(&fake->vdev->memory_lock));
		KUNIT_EXPECT_FALSE(test,
				   mutex_is_locked(&fake->vdev->access_lock));

		/* Resv neither: an importer that unmaps takes it. */
		importer_unmap(importer);
		if (!actor_join(actor, &ok))
			return;
		KUNIT_EXPECT_TRUE_MSG(test, ok, "work %u", i);
		fake_set(fake, &answers);
		vfio_pci_core_reset_done(fake->pdev);

		importer_detach(importer);
		importer_detach(other);
		buf_release(fake, busy, false);
		buf_release(fake, idle, false);
		if (!fake->vdev->buf_list) {
			fake_forget(fake);
			fake_open(fake);
		}
	}
}

static void timed_begin_work(struct actor *actor)
{
	unsigned long start = jiffies;

	actor->ret = vfio_pci_access_begin_reset(actor->fake->vdev);
	actor->took = jiffies - start;
	if (!actor->ret)
		vfio_pci_access_end(actor->fake->vdev);
	actor->ok = true;
}

static void timed_begin_suspend_work(struct actor *actor)
{
	unsigned long start = jiffies;

	actor->ret = vfio_pci_access_begin_suspend(actor->fake->vdev);
	actor->took = jiffies - start;
	if (!actor->ret)
		vfio_pci_access_end(actor->fake->vdev);
	actor->ok = true;
}

/* Join one that fails, and not before the timeout. */
static void join_busy(struct actor *actor, uint ms)
{
	struct kunit *test = actor->fake->test;

	if (!actor_wait(actor))
		return;
	KUNIT_EXPECT_EQ(test, actor->ret, -EBUSY);
	KUNIT_EXPECT_GE(test, actor->took, msecs_to_jiffies(ms));
	actor_join(actor, NULL);
}

/* An importer stays: the begin fails, and everything is as it was. */
static void begin_times_out(struct kunit *test)
{
	static const struct {
		void (*work)(struct actor *actor);
		enum vfio_pci_buf_state state;
	} works[] = {
		{ timed_begin_work, QUIESCING },
		{ timed_begin_suspend_work, SUSPENDED },
	};
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *other = buf_new(fake);
	struct importer *importer = importer_new(fake, buf);
	u32 i;

	vfio_pci_importer_timeout_ms = 300;
	for (i = 0; i < ARRAY_SIZE(works); i++) {
		struct actor *actor = actor_start(fake, works[i].work, NULL);
		struct actor *waiter = NULL;

		KUNIT_EXPECT_TRUE(test, wait_for_state(buf, works[i].state));
		KUNIT_EXPECT_TRUE(test, wait_for_state(other, works[i].state));
		if (!i)
			waiter = start_waiter(fake, other);
		KUNIT_EXPECT_EQ(test, READ_ONCE(fake->vdev->access_running), 1);
		KUNIT_EXPECT_NULL(test, READ_ONCE(fake->vdev->access_thread));
		join_busy(actor, 300);
		if (waiter)
			expect_woken(waiter);
		expect_all(fake, LIVE);
		expect_idle(fake);
		/* The loss and the return. */
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * (i + 1));
		expect_blocked(importer, false);
		KUNIT_EXPECT_EQ(test, kref_read(&buf->kref), 1);
		KUNIT_EXPECT_EQ(test, kref_read(&other->kref), 1);
		KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 4);
	}

	/* What is not live stays so. */
	importer_unmap(importer);
	fake_look(fake, &decode_off);
	atomic_inc(&buf->nr_dma_maps);
	for (i = 0; i < ARRAY_SIZE(works); i++) {
		join_busy(actor_start(fake, works[i].work, NULL), 300);
		expect_all(fake, SUSPENDED);
		expect_idle(fake);
		KUNIT_EXPECT_EQ(test, importer->notified, 5);
	}
	atomic_dec(&buf->nr_dma_maps);

	/* The importer goes: the next one gets through. */
	fake_look(fake, &answers);
	fake_begin(fake);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
}

/* One fails while another runs, or somebody else resets the device. */
static void begin_times_out_in_others(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_new(fake, buf);

	vfio_pci_importer_timeout_ms = 300;

	/* The other took nothing away, and its end is what gives access. */
	vfio_pci_access_begin_live(fake->vdev);
	join_busy(actor_start(fake, timed_begin_work, NULL), 300);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, fake->vdev->access_running, 1);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);
	expect_running(fake);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 2);

	/* Somebody else holds the device. */
	importer->yields = true;
	vfio_pci_core_reset_prepare(fake->pdev);
	KUNIT_EXPECT_EQ(test, importer->notified, 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&buf->nr_dma_maps), 0);
	atomic_inc(&buf->nr_dma_maps);
	join_busy(actor_start(fake, timed_begin_suspend_work, NULL), 300);
	expect_all(fake, QUIESCING);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 3);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
	KUNIT_EXPECT_EQ(test, importer->notified, 4);

	/* The hold comes while it waits, and stays when it has failed. */
	vfio_pci_access_error(fake->vdev, pci_channel_io_frozen);
	join_busy(actor_start(fake, timed_begin_work, NULL), 300);
	expect_all(fake, SUSPENDED);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_FROZEN);
	vfio_pci_core_aer_resume(fake->pdev);
	expect_all(fake, LIVE);
	atomic_dec(&buf->nr_dma_maps);
	expect_idle(fake);
}

static void held_transition(struct actor *actor,
			    int (*begin)(struct vfio_pci_core_device *vdev))
{
	actor->ret = begin(actor->fake->vdev);
	complete(&actor->ready);
	if (actor->ret)
		return;
	wait_for_completion(&actor->go);
	vfio_pci_access_end(actor->fake->vdev);
	actor->ok = true;
}

static void held_reset_work(struct actor *actor)
{
	held_transition(actor, vfio_pci_access_begin_reset);
}

static void held_suspend_work(struct actor *actor)
{
	held_transition(actor, vfio_pci_access_begin_suspend);
}

static bool wait_for_running(struct fake *fake, unsigned int nr)
{
	unsigned long end = jiffies + TIMEOUT;

	while (READ_ONCE(fake->vdev->access_running) != nr &&
	       time_before(jiffies, end))
		usleep_range(500, 1000);
	return READ_ONCE(fake->vdev->access_running) == nr;
}

/* Two that are announced at once: only the last end gives access. */
static void two_transitions(struct kunit *test)
{
	static const struct {
		void (*first)(struct actor *actor);
		void (*second)(struct actor *actor);
		enum vfio_pci_buf_state state;
	} pairs[] = {
		{ held_reset_work, held_reset_work, QUIESCING },
		{ held_reset_work, held_suspend_work, SUSPENDED },
		{ held_suspend_work, held_reset_work, QUIESCING },
		{ held_suspend_work, held_suspend_work, SUSPENDED },
	};
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_attach(fake, buf);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct actor *first, *second;

		first = actor_start(fake, pairs[i].first, NULL);
		wait_for_completion(&first->ready);
		second = actor_start(fake, pairs[i].second, NULL);
		KUNIT_EXPECT_TRUE(test, wait_for_running(fake, 2));
		KUNIT_EXPECT_TRUE(test, wait_for_state(buf, pairs[i].state));
		msleep(GRACE_MS);
		KUNIT_EXPECT_FALSE(test, completion_done(&second->ready));
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * i + 1);

		if (!let_go_on(first))
			return;
		wait_for_completion(&second->ready);
		KUNIT_EXPECT_EQ(test, second->ret, 0);
		expect_all(fake, pairs[i].state);
		expect_running(fake);
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * i + 1);
		if (!let_go_on(second))
			return;
		expect_all(fake, LIVE);
		expect_idle(fake);
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * i + 2);
	}
}

/* One of the two fails, before the other ends and after it. */
static void two_transitions_one_fails(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_attach(fake, buf);
	struct actor *first, *second;

	vfio_pci_importer_timeout_ms = 1000;

	/* The one that was announced last fails while the other is at work. */
	first = actor_start(fake, held_reset_work, NULL);
	wait_for_completion(&first->ready);
	atomic_inc(&buf->nr_dma_maps);
	join_busy(actor_start(fake, timed_begin_suspend_work, NULL), 1000);
	KUNIT_EXPECT_EQ(test, fake->vdev->access_running, 1);
	KUNIT_EXPECT_NE(test, buf_state(buf), LIVE);
	expect_running(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);
	if (!let_go_on(first))
		return;
	expect_all(fake, LIVE);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 2);
	atomic_dec(&buf->nr_dma_maps);

	/* The other ends before it fails, and is not what gives access. */
	first = actor_start(fake, held_reset_work, NULL);
	wait_for_completion(&first->ready);
	atomic_inc(&buf->nr_dma_maps);
	second = actor_start(fake, timed_begin_work, NULL);
	KUNIT_EXPECT_TRUE(test, wait_for_running(fake, 2));
	if (!let_go_on(first))
		return;
	KUNIT_EXPECT_FALSE(test, completion_done(&second->done));
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, importer->notified, 3);
	join_busy(second, 1000);
	expect_all(fake, LIVE);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 4);
	atomic_dec(&buf->nr_dma_maps);

	/* Both fail. */
	KUNIT_EXPECT_TRUE(test, importer_map(importer));
	first = actor_start(fake, timed_begin_work, NULL);
	second = actor_start(fake, timed_begin_suspend_work, NULL);
	join_busy(first, 1000);
	join_busy(second, 1000);
	expect_all(fake, LIVE);
	expect_idle(fake);
	expect_blocked(importer, false);
}

/* ---- sets of devices ---- */

struct fakes {
	struct vfio_device_set *set;
	struct fake *at[MAX_DEVICES];
	struct vfio_pci_buf *bufs[MAX_DEVICES];
};

/* In the order of the set, each with a buffer. */
static void set_new(struct kunit *test, struct fakes *fakes)
{
	struct fake *fake = test->priv;
	u32 i;

	fakes->set = &fake->set;
	for (i = 0; i < MAX_DEVICES; i++) {
		if (i)
			fake = fake_new(test);
		KUNIT_ASSERT_NOT_NULL(test, fake);
		fakes->at[i] = fake;
		fakes->bufs[i] = buf_new(fake);
	}
}

static void expect_set(struct fakes *fakes, enum vfio_pci_buf_state state,
		       bool running)
{
	u32 i;

	for (i = 0; i < MAX_DEVICES; i++) {
		expect_all(fakes->at[i], state);
		if (running)
			expect_running(fakes->at[i]);
		else
			expect_idle(fakes->at[i]);
	}
}

static void set_work(struct actor *actor)
{
	struct fake *first = actor->fake;
	unsigned long start = jiffies;

	mutex_lock(&first->set.lock);
	actor->ret = vfio_pci_access_begin_set(&first->set);
	actor->took = jiffies - start;
	complete(&actor->ready);
	if (!actor->ret) {
		wait_for_completion(&actor->go);
		vfio_pci_access_end_set(&first->set);
	}
	mutex_unlock(&first->set.lock);
	actor->ok = true;
}

static void set_begins(struct kunit *test)
{
	struct importer *importers[MAX_DEVICES];
	struct fakes fakes;
	struct actor *actor;
	u32 i, busy;

	set_new(test, &fakes);
	mutex_lock(&fakes.set->lock);
	KUNIT_EXPECT_EQ(test, vfio_pci_access_begin_set(fakes.set), 0);
	expect_set(&fakes, QUIESCING, true);
	/* Each of them ends by itself what it finds. */
	fake_set(fakes.at[1], &decode_off);
	vfio_pci_access_end_set(fakes.set);
	mutex_unlock(&fakes.set->lock);
	expect_all(fakes.at[0], LIVE);
	expect_all(fakes.at[1], SUSPENDED);
	expect_all(fakes.at[2], LIVE);
	fake_look(fakes.at[1], &answers);
	expect_set(&fakes, LIVE, false);

	/*
	 * All are announced before the first is waited for, which does not end
	 * before the test gives up.
	 */
	vfio_pci_importer_timeout_ms = 3 * jiffies_to_msecs(TIMEOUT);
	for (i = 0; i < MAX_DEVICES; i++) {
		importers[i] = importer_attach(fakes.at[i], fakes.bufs[i]);
		importers[i]->yields = true;
	}
	for (busy = 0; busy < MAX_DEVICES; busy++) {
		for (i = 0; i < MAX_DEVICES; i++)
			KUNIT_EXPECT_TRUE(test, importer_map(importers[i]));
		importers[busy]->yields = false;
		actor = actor_start(fakes.at[0], set_work, NULL);
		for (i = 0; i < MAX_DEVICES; i++)
			KUNIT_EXPECT_TRUE(test,
					  wait_for_state(fakes.bufs[i],
							 QUIESCING));
		msleep(GRACE_MS);
		KUNIT_EXPECT_FALSE(test, completion_done(&actor->ready));
		for (i = 0; i < MAX_DEVICES; i++) {
			struct vfio_pci_core_device *vdev = fakes.at[i]->vdev;

			KUNIT_EXPECT_EQ(test, vdev->access_running, 1);
			KUNIT_EXPECT_FALSE(test,
					   rwsem_is_locked(&vdev->memory_lock));
			KUNIT_EXPECT_EQ(test, importers[i]->notified,
					2 * busy + 1);
			expect_blocked(importers[i], true);
		}
		importer_unmap(importers[busy]);
		importers[busy]->yields = true;
		wait_for_completion(&actor->ready);
		KUNIT_EXPECT_EQ(test, actor->ret, 0);
		expect_set(&fakes, QUIESCING, true);
		if (!let_go_on(actor))
			return;
		expect_set(&fakes, LIVE, false);
		for (i = 0; i < MAX_DEVICES; i++)
			KUNIT_EXPECT_EQ(test, importers[i]->notified,
					2 * busy + 2);
	}

	/* One of them is closed. */
	importer_detach(importers[1]);
	vfio_pci_buf_list_close(fakes.at[1]->vdev);
	mutex_lock(&fakes.set->lock);
	KUNIT_EXPECT_EQ(test, vfio_pci_access_begin_set(fakes.set), 0);
	for (i = 0; i < MAX_DEVICES; i++)
		expect_running(fakes.at[i]);
	vfio_pci_access_end_set(fakes.set);
	mutex_unlock(&fakes.set->lock);
	expect_all(fakes.at[0], LIVE);
	expect_all(fakes.at[1], REVOKED);
	expect_all(fakes.at[2], LIVE);
}

/* The timeout is for all of them together. */
static void set_times_out(struct kunit *test)
{
	struct importer *first, *second;
	struct fakes fakes;
	struct actor *actor;
	u32 stays, i;

	set_new(test, &fakes);

	/* Whoever it is that stays, all of them are taken back. */
	vfio_pci_importer_timeout_ms = 300;
	for (stays = 0; stays < MAX_DEVICES; stays++) {
		first = importer_new(fakes.at[stays], fakes.bufs[stays]);
		join_busy(actor_start(fakes.at[0], set_work, NULL), 300);
		expect_set(&fakes, LIVE, false);
		KUNIT_EXPECT_EQ(test, first->notified, 2);
		expect_blocked(first, false);
		importer_detach(first);
		for (i = 0; i < MAX_DEVICES; i++)
			KUNIT_EXPECT_EQ(test, 3,
					kref_read(&fakes.at[i]->list->kref));
	}

	/* The first needs most of it, and little is left for the second. */
	vfio_pci_importer_timeout_ms = 4000;
	first = importer_new(fakes.at[0], fakes.bufs[0]);
	second = importer_new(fakes.at[1], fakes.bufs[1]);
	actor = actor_start(fakes.at[0], set_work, NULL);
	KUNIT_EXPECT_TRUE(test, wait_for_state(fakes.bufs[2], QUIESCING));
	msleep(2500);
	importer_unmap(first);
	wait_for_completion(&actor->ready);
	KUNIT_EXPECT_LT(test, actor->took, msecs_to_jiffies(6000));
	join_busy(actor, 4000);
	expect_set(&fakes, LIVE, false);
	expect_blocked(first, false);
	expect_blocked(second, false);
}

/* Whoever holds several devices waits for no lock of another. */
static void set_contended(struct kunit *test)
{
	struct importer *importer;
	struct fakes fakes;
	u32 i;

	set_new(test, &fakes);
	importer = importer_attach(fakes.at[0], fakes.bufs[0]);
	for (i = 0; i < MAX_DEVICES; i++) {
		struct vfio_pci_core_device *vdev = fakes.at[i]->vdev;
		u32 j;

		/* A register access of another thread. */
		down_read(&vdev->memory_lock);
		join_busy(actor_start(fakes.at[0], set_work, NULL), 0);
		for (j = 0; j < MAX_DEVICES; j++) {
			expect_all(fakes.at[j], LIVE);
			KUNIT_EXPECT_EQ(test, 0,
					fakes.at[j]->vdev->access_running);
			if (j != i)
				expect_idle(fakes.at[j]);
		}
		up_read(&vdev->memory_lock);
		KUNIT_EXPECT_EQ(test, importer->notified, 4 * i + 2);
		expect_set(&fakes, LIVE, false);

		/* A transition of another thread, which goes on. */
		vfio_pci_access_begin_live(vdev);
		join_busy(actor_start(fakes.at[0], set_work, NULL), 0);
		for (j = 0; j < MAX_DEVICES; j++) {
			expect_all(fakes.at[j], j == i ? QUIESCING : LIVE);
			if (j != i)
				expect_idle(fakes.at[j]);
		}
		expect_running(fakes.at[i]);
		vfio_pci_access_end(vdev);
		expect_set(&fakes, LIVE, false);
		KUNIT_EXPECT_EQ(test, importer->notified, 4 * i + 4);
	}
}

/*
 * An importer holds resv for as long as it likes, so no device of the set is
 * locked when the first importer is notified of the return, and all are back.
 */
static void set_ends_for_all_first(struct kunit *test)
{
	struct importer *importers[MAX_DEVICES];
	struct actor *actor, *holder;
	struct fakes fakes;
	u32 i, held;

	set_new(test, &fakes);
	for (i = 0; i < MAX_DEVICES; i++)
		importers[i] = importer_attach(fakes.at[i], fakes.bufs[i]);

	for (held = 0; held < MAX_DEVICES; held++) {
		actor = actor_start(fakes.at[0], set_work, NULL);
		wait_for_completion(&actor->ready);
		KUNIT_EXPECT_EQ(test, actor->ret, 0);
		holder = hold_resv(fakes.at[held], fakes.bufs[held]);
		complete(&actor->go);
		for (i = 0; i < MAX_DEVICES; i++)
			KUNIT_EXPECT_TRUE(test, wait_for_state(fakes.bufs[i],
							       LIVE));
		msleep(GRACE_MS);
		KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
		expect_set(&fakes, LIVE, false);
		expect_blocked(importers[(held + 1) % MAX_DEVICES],
			       held != MAX_DEVICES - 1);
		if (!let_go_on(holder) || !actor_join(actor, NULL))
			return;
		for (i = 0; i < MAX_DEVICES; i++) {
			expect_blocked(importers[i], false);
			KUNIT_EXPECT_EQ(test, importers[i]->notified,
					2 * held + 2);
		}
	}
}

/* ---- fences: work that importers have queued ---- */

struct fake_fence {
	struct dma_fence base;	/* first: its end frees all of it */
	spinlock_t lock;	/* the fence's */
};

static const char *fence_name(struct dma_fence *fence)
{
	return "vfio-pci-kunit";
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
};

/* Return: the fence, which dma_fence_put() frees. */
static struct dma_fence *fence_new(struct kunit *test,
				   struct vfio_pci_buf *buf)
{
	struct fake_fence *fence = kzalloc_obj(*fence);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);

	dma_resv_lock(&buf->resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_resv_reserve_fences(&buf->resv, 1), 0);
	dma_resv_add_fence(&buf->resv, &fence->base, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_unlock(&buf->resv);

	return &fence->base;
}

static void fences_are_waited_for(struct kunit *test)
{
	static void (* const works[])(struct actor *actor) = {
		timed_begin_work, timed_begin_suspend_work, prepare_work,
		close_work,
	};
	struct fake *fake = test->priv;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(works); i++) {
		struct vfio_pci_buf *buf = buf_new(fake);
		struct importer *importer = importer_attach(fake, buf);
		struct dma_fence *fences[2];
		struct actor *actor;
		bool ok = false;

		fences[0] = fence_new(test, buf);
		fences[1] = fence_new(test, buf);
		actor = actor_start(fake, works[i], buf);
		for (u32 f = 0; f < ARRAY_SIZE(fences); f++) {
			msleep(GRACE_MS);
			KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
			KUNIT_EXPECT_NE(test, buf_state(buf), LIVE);
			KUNIT_EXPECT_FALSE(test,
					   rwsem_is_locked(&fake->vdev->memory_lock));
			/* It must be possible to get at it. */
			expect_blocked(importer, true);
			dma_fence_signal(fences[f]);
		}
		if (!actor_wait(actor))
			return;
		KUNIT_EXPECT_EQ(test, actor->ret, 0);
		actor_join(actor, &ok);
		KUNIT_EXPECT_TRUE(test, ok);
		vfio_pci_core_reset_done(fake->pdev);

		dma_fence_put(fences[0]);
		dma_fence_put(fences[1]);
		importer_detach(importer);
		buf_release(fake, buf, false);
	}
	fake_forget(fake);
	fake_open(fake);
}

static void fence_times_out(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_attach(fake, buf);
	struct dma_fence *fence = fence_new(test, buf);

	vfio_pci_importer_timeout_ms = 300;
	join_busy(actor_start(fake, timed_begin_work, NULL), 300);
	expect_all(fake, LIVE);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, importer->notified, 2);
	/* Only we and the buffer have it, and nobody waits for it. */
	KUNIT_EXPECT_EQ(test, kref_read(&fence->refcount), 2);
	KUNIT_EXPECT_TRUE(test, list_empty(&fence->cb_list));
	join_busy(actor_start(fake, timed_begin_suspend_work, NULL), 300);
	expect_all(fake, LIVE);

	/*
	 * Without an attachment it stands for no DMA: a client has put it there
	 * by DMA_BUF_IOCTL_IMPORT_SYNC_FILE, or the importer has left.
	 */
	importer_detach(importer);
	vfio_pci_importer_timeout_ms = timeout_ms;
	fake_begin(fake);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);
	/* Of another buffer neither. */
	importer_attach(fake, buf_new(fake));
	fake_begin(fake);
	vfio_pci_access_end(fake->vdev);
	expect_all(fake, LIVE);

	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* Who reports an error may have to reach the importer's device first. */
static void error_waits_for_no_importer(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_new(fake, buf);
	struct dma_fence *fence = fence_new(test, buf);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].holds & VFIO_PCI_ACCESS_RESET)
			continue;
		if (!call_elsewhere(fake, &calls[i]))
			return;
		expect_all(fake, calls[i].state);
		expect_blocked(importer, calls[i].state != LIVE);
	}
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

static void timed_prepare_work(struct actor *actor)
{
	unsigned long start = jiffies;

	vfio_pci_core_reset_prepare(actor->fake->pdev);
	actor->took = jiffies - start;
	actor->ok = true;
}

/* Some importers do not unmap, and the core has the device locked. */
static void prepare_is_bounded(struct kunit *test)
{
	struct importer *importers[3];
	struct fake *fake = test->priv;
	struct actor *actor;
	u32 i;

	for (i = 0; i < 3; i++)
		importers[i] = importer_new(fake, buf_new(fake));

	actor = actor_start(fake, timed_prepare_work, NULL);
	if (!actor_wait(actor))
		return;
	/* Five seconds for all of them together. */
	KUNIT_EXPECT_GE(test, actor->took, 5 * HZ);
	KUNIT_EXPECT_LT(test, actor->took, 10 * HZ);
	actor_join(actor, NULL);
	expect_all(fake, QUIESCING);
	KUNIT_EXPECT_EQ(test, holds_of(fake), VFIO_PCI_ACCESS_RESET);
	expect_idle(fake);
	/* It holds none of them, nor the list. */
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, kref_read(&fake->bufs[i]->kref), 1);
		KUNIT_EXPECT_EQ(test, importers[i]->notified, 1);
	}
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2 + 3);

	for (i = 0; i < 3; i++)
		importer_unmap(importers[i]);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, importers[i]->notified, 2);
}

static void nested_prepare_work(struct actor *actor)
{
	static int (* const begins[])(struct vfio_pci_core_device *vdev) = {
		vfio_pci_access_begin_reset, vfio_pci_access_begin_suspend,
	};
	struct fake *fake = actor->fake;
	struct kunit *test = fake->test;
	struct importer *importer = &fake->importers[0];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(begins); i++) {
		unsigned long start;

		KUNIT_EXPECT_EQ(test, begins[i](fake->vdev), 0);
		KUNIT_EXPECT_PTR_EQ(test, fake->vdev->access_thread, current);
		/* As a mapping that somebody makes by mistake. */
		atomic_inc(&actor->buf->nr_dma_maps);
		start = jiffies;
		vfio_pci_core_reset_prepare(fake->pdev);
		KUNIT_EXPECT_LT(test, jiffies - start, 4 * HZ);
		expect_all(fake, QUIESCING);
		vfio_pci_core_reset_done(fake->pdev);
		expect_all(fake, QUIESCING);
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * i + 1);
		vfio_pci_access_end(fake->vdev);
		atomic_dec(&actor->buf->nr_dma_maps);
		expect_all(fake, LIVE);
		KUNIT_EXPECT_EQ(test, importer->notified, 2 * i + 2);
	}
	actor->ok = true;
}

/* A transition that has waited does not wait under memory_lock. */
static void nested_prepare_waits_for_nobody(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake);

	importer_attach(fake, buf);
	if (actor_join(actor_start(fake, nested_prepare_work, buf), NULL))
		expect_idle(fake);
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
	struct vfio_pci_buf *buf = buf_new(fake);
	struct importer *importer = importer_new(fake, buf);
	struct actor *actor;
	bool ok = false;

	actor = actor_start(fake, late_prepare_work, buf);
	KUNIT_EXPECT_TRUE(test, wait_for_state(buf, QUIESCING));
	msleep(GRACE_MS);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));

	/* The importer has unmapped, but the one who waits does not know yet. */
	importer->mapped = false;
	atomic_dec(&buf->nr_dma_maps);
	vfio_pci_buf_list_close(fake->vdev);
	expect_all(fake, REVOKED);
	wake_up_var(&buf->nr_dma_maps);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, REVOKED);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 2);
	importer_detach(importer);
	buf_release(fake, buf, false);
	fake_forget(fake);

	/* The next opening waits for the end of the reset. */
	fake_open(fake);
	expect_all(fake, QUIESCING);
	vfio_pci_core_reset_done(fake->pdev);
	expect_all(fake, LIVE);
}

/*
 * Importers that were notified and not waited for are there still when a
 * transition begins, and it is not to go on before they have unmapped.
 */
static void begin_waits_for_the_notified(struct kunit *test)
{
	static void (* const works[])(struct actor *actor) = {
		begin_work, begin_suspend_work, close_work,
	};
	struct fake *fake = test->priv;
	u32 i, reset;

	for (i = 0; i < ARRAY_SIZE(works); i++) {
		for (reset = 0; reset < 2; reset++) {
			struct actor *prepare = NULL, *actor;
			struct vfio_pci_buf *buf = buf_new(fake);
			struct importer *importer = importer_new(fake, buf);
			bool ok = false;

			if (reset) {
				prepare = actor_start(fake, late_prepare_work,
						      buf);
				msleep(GRACE_MS);
			} else {
				vfio_pci_access_error(fake->vdev,
						      pci_channel_io_frozen);
			}
			actor = actor_start(fake, works[i], buf);
			msleep(GRACE_MS);
			KUNIT_EXPECT_FALSE_MSG(test,
					       completion_done(&actor->done),
					       "work %u, reset %u", i, reset);
			KUNIT_EXPECT_EQ(test, importer->notified, 1);
			importer_unmap(importer);
			if (!actor_join(actor, &ok))
				return;
			KUNIT_EXPECT_TRUE(test, ok);
			if (prepare && !actor_join(prepare, &ok))
				return;
			vfio_pci_core_reset_done(fake->pdev);
			importer_detach(importer);
			buf_release(fake, buf, false);
			if (fake->vdev->buf_list)
				continue;
			fake_forget(fake);
			fake_open(fake);
		}
	}
}

/* The next owner does not share the device with an importer. */
static void close_waits_for_good(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct vfio_pci_buf *buf = buf_new(fake), *other = buf_new(fake);
	struct importer *importer = importer_new(fake, buf);
	struct importer *yielding = importer_new(fake, other);
	struct actor *actor;
	bool ok = false;

	vfio_pci_importer_timeout_ms = 50;
	yielding->yields = true;
	actor = actor_start(fake, close_work, buf);
	KUNIT_EXPECT_TRUE(test, wait_for_state(buf, REVOKED));
	/* Many timeouts. */
	msleep(1000);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));
	expect_all(fake, REVOKED);
	expect_idle(fake);
	KUNIT_EXPECT_NULL(test, fake->vdev->buf_list);
	KUNIT_EXPECT_EQ(test, importer->notified, 1);
	KUNIT_EXPECT_EQ(test, yielding->notified, 1);

	/* Others call meanwhile, and wait for nobody. */
	fake_begin(fake);
	vfio_pci_access_end(fake->vdev);
	vfio_pci_core_reset_prepare(fake->pdev);
	vfio_pci_core_reset_done(fake->pdev);
	KUNIT_EXPECT_FALSE(test, completion_done(&actor->done));

	importer_unmap(importer);
	if (!actor_join(actor, &ok))
		return;
	KUNIT_EXPECT_TRUE(test, ok);
	expect_all(fake, REVOKED);
	expect_idle(fake);
	KUNIT_EXPECT_EQ(test, kref_read(&fake->list->kref), 1 + 2);
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
	struct vfio_pci_buf *buf = NULL;
	u32 i, steps = 0;

	for (i = 0; i < 5; i++)
		buf_new(fake);

	while ((buf = vfio_pci_buf_next(fake->list, buf))) {
		steps++;
		buf_release(fake, buf, true);
		/* Ours is the last one, and its place in the list stays. */
		KUNIT_EXPECT_EQ(test, kref_read(&buf->kref), 1);
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
		fake_begin(fake);
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
	fake_begin(fake);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_begin_suspend(struct fake *fake, const struct truth *truth)
{
	fake_begin_suspend(fake);
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
	fake_begin(fake);
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
	fake_begin(fake);
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
	fake_set(fake, truth);
	vfio_pci_core_reset_done(fake->pdev);
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
	fake_begin(fake);
	vfio_pci_core_aer_resume(fake->pdev);
	fake_set(fake, truth);
	vfio_pci_access_end(fake->vdev);
}

static void run_in_failure(struct fake *fake, const struct truth *truth)
{
	fake_begin(fake);
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
	/* A reset: ends a recovery where the channel is up. */
	bool resets;
} transitions[] = {
	{ "begin_reset .. end", run_begin },
	{ "begin_suspend .. end", run_begin_suspend },
	{ "begin_live .. end", run_begin_live },
	{ "reset by VFIO", run_own_reset, RESET, 0, true },
	{ "reset_prepare", run_prepare, 0, RESET },
	{ "reset_done", run_done, RESET, 0, true },
	{ "reset by others", run_reset, RESET, 0, true },
	{ "frozen", run_frozen, 0, FROZEN },
	{ "resume", run_thaw, FROZEN },
	{ "frozen, resume", run_recovery, FROZEN },
	{ "permanent failure", run_failure, FROZEN },
	{ "system resume", run_system_resume },
	{ "begin_reset, reset_prepare, end", run_in_prepare, 0, RESET },
	{ "begin_live, reset_done, end", run_in_done, RESET, 0, true },
	{ "begin_live, reset, end", run_in_reset, RESET, 0, true },
	{ "begin_live, frozen, end", run_in_frozen, 0, FROZEN },
	{ "begin_reset, resume, end", run_in_thaw, FROZEN },
	{ "begin_reset, permanent failure, end", run_in_failure, FROZEN },
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
	if (truth->no_command_memory)
		return LIVE;
	return truth->decode && truth->real != REAL_OFF ? LIVE : SUSPENDED;
}

static void table_work(struct actor *actor)
{
	static const pci_channel_state_t channels[] = {
		pci_channel_io_normal, pci_channel_io_frozen,
		pci_channel_io_perm_failure,
	};
	struct fake *fake = actor->fake;
	struct kunit *test = fake->test;
	const struct transition *transition = test->param_value;
	struct vfio_pci_buf *buf = fake->bufs[0], *revoked = fake->bufs[1];
	u32 o, bits;

	for (o = 0; o < ARRAY_SIZE(origins); o++) {
		const struct origin *origin = &origins[o];

		for (bits = 0; bits < 32 * ARRAY_SIZE(channels); bits++) {
			struct truth truth = {
				.decode = bits & 1,
				.no_command_memory = bits & 2,
				.low_power = bits & 4,
				.power = bits & 8 ? PCI_D3hot : PCI_D0,
				.real = bits & 16 ? REAL_OFF : REAL_AS_VIRTUAL,
				.channel = channels[bits / 32],
			};
			u8 holds = (origin->holds & ~transition->drops) |
				   transition->adds;
			enum vfio_pci_buf_state state;

			if (transition->resets &&
			    truth.channel == pci_channel_io_normal)
				holds &= ~FROZEN;
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
	KUNIT_CASE(begin_suspend),
	KUNIT_CASE(begin_live),
	KUNIT_CASE(end_derives),
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
	KUNIT_CASE(reset_in_recovery),
	KUNIT_CASE(recovered_not_restored),
	KUNIT_CASE(system_resume),
	KUNIT_CASE(open_in_reset),
	KUNIT_CASE(open_asleep),
	KUNIT_CASE(list_close),
	KUNIT_CASE(list_close_states),
	KUNIT_CASE(waiters_wake),
	KUNIT_CASE(set_state_waits_for_faults),
	KUNIT_CASE(set_state_wakes),
	KUNIT_CASE(attach_and_detach),
	KUNIT_CASE(importers_are_notified),
	KUNIT_CASE(notified_out_of_order),
	KUNIT_CASE(map_before_notification),
	KUNIT_CASE(importers_are_waited_for),
	KUNIT_CASE(begin_times_out),
	KUNIT_CASE(begin_times_out_in_others),
	KUNIT_CASE(two_transitions),
	KUNIT_CASE_SLOW(two_transitions_one_fails),
	KUNIT_CASE(set_begins),
	KUNIT_CASE_SLOW(set_times_out),
	KUNIT_CASE(set_contended),
	KUNIT_CASE(set_ends_for_all_first),
	KUNIT_CASE(fences_are_waited_for),
	KUNIT_CASE(fence_times_out),
	KUNIT_CASE(error_waits_for_no_importer),
	KUNIT_CASE_SLOW(prepare_is_bounded),
	KUNIT_CASE(nested_prepare_waits_for_nobody),
	KUNIT_CASE(closed_in_prepare),
	KUNIT_CASE(begin_waits_for_the_notified),
	KUNIT_CASE(close_waits_for_good),
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
