// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds a thread where it enters or leaves a function; see thread_hold.h for what it
 * offers. x86-64 only, for the two thunks.
 *
 * ftrace calls us at the entry of the function. That is no place to wait: preemption is
 * off, and unregistering waits for whoever is there. As live patching does, the callback
 * sends the thread elsewhere instead, by its return address: to a thunk, which waits in the
 * context of the function itself, in which sleeping is legal if it is for the function.
 *
 * Each open file is a slot of a static array, and a thread that was sent to a thunk finds
 * its slot there by its own task. So a thread that comes late to a slot whose file is
 * closed finds memory, not a freed object. The module cannot go while a thread is on its
 * way through a thunk: it holds a reference for each, and after the last is dropped
 * synchronize_rcu_tasks() waits for the few instructions that are left.
 */
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "thread_hold.h"
#include "thread_hold_thunk.h"

#define NR_HOLDS	16
#define SPIN_SECONDS	10

/**
 * struct hold_site - a function that threads are to be held at
 * @ops: the callback there; IPMODIFY, so there is one for each function
 * @users: holds that are armed here, under holds_lock
 * @name: of the function
 */
struct hold_site {
	struct ftrace_ops ops;
	unsigned int users;
	char name[sizeof_field(struct thread_hold_arm, function)];
};

enum hold_state {
	HOLD_IDLE,	/* nobody was asked for */
	HOLD_ARMED,	/* the next that comes */
	HOLD_CLAIMED,	/* one has come and was sent to the thunk */
	HOLD_HELD,	/* it waits */
	HOLD_OVER,	/* it has gone on */
};

/**
 * struct hold - one open file
 * @open: in use, under holds_lock; so is all that says nothing else
 * @site: where it is armed; what follows is written before and read after it
 * @arm: whom it holds
 * @caller: where the function has to be called from, if @caller_size is not 0
 * @caller_size: bytes of that
 * @state: enum hold_state; leaves ARMED but once
 * @passes: so far
 * @task: the thread that was claimed, until it is over
 * @order: when that was, among all claims
 * @resume: the instruction behind the function's call of ftrace
 * @released: the thread shall go on
 * @outcome: why it has: 1, -ETIME or -ESRCH
 * @queue: where it waits
 */
struct hold {
	bool open;
	struct hold_site *site;
	struct thread_hold_arm arm;
	unsigned long caller;
	unsigned long caller_size;
	atomic_t state;
	atomic_t passes;
	struct task_struct *task;
	u64 order;
	unsigned long resume;
	bool released;
	int outcome;
	wait_queue_head_t queue;
};

/* Opening, arming and what is counted in a site. Nobody waits for a thread under it. */
static DEFINE_MUTEX(holds_lock);
static struct hold holds[NR_HOLDS];
static struct hold_site sites[NR_HOLDS];
static atomic64_t claims;

/* Where the thunks go ------------------------------------------------------*/

/* What this thread was claimed for last: what it does meanwhile may be held as well. */
static struct hold *hold_of_current(void)
{
	struct hold *found = NULL;
	unsigned int i;

	for (i = 0; i < NR_HOLDS; i++) {
		struct hold *hold = &holds[i];

		/* Nobody else makes it ours, or no longer ours. */
		if (READ_ONCE(hold->task) == current &&
		    atomic_read(&hold->state) == HOLD_CLAIMED &&
		    (!found || hold->order > found->order))
			found = hold;
	}

	/* There is one, or the thread would not be in a thunk. */
	return found;
}

static bool may_sleep(void)
{
	/* A state that the function's caller has set is not ours to change. */
	return preemptible() && !rcu_preempt_depth() &&
	       READ_ONCE(current->__state) == TASK_RUNNING;
}

static int hold_spin(struct hold *hold)
{
	u64 seconds = min_t(u64, hold->arm.seconds, SPIN_SECONDS);
	u64 end = ktime_get_mono_fast_ns() + seconds * NSEC_PER_SEC;

	while (!READ_ONCE(hold->released)) {
		if (fatal_signal_pending(current))
			return -ESRCH;
		if (ktime_get_mono_fast_ns() > end)
			return -ETIME;
		cpu_relax();
	}
	return 1;
}

/* Its name is what tests find in /proc/TID/wchan. */
static noinline int hold_sleep(struct hold *hold)
{
	long left;

	left = wait_event_killable_timeout(hold->queue,
					   READ_ONCE(hold->released),
					   secs_to_jiffies(hold->arm.seconds));
	if (left > 0)
		return 1;

	return left ? -ESRCH : -ETIME;
}

static void hold_thread(struct hold *hold)
{
	/* Whoever sees that it is held may ask which thread. */
	atomic_set_release(&hold->state, HOLD_HELD);
	hold->outcome = may_sleep() ? hold_sleep(hold) : hold_spin(hold);
	WRITE_ONCE(hold->task, NULL);
	/* The last access: another thread may be claimed from here on. */
	atomic_set_release(&hold->state, HOLD_OVER);
	module_put(THIS_MODULE);
}

__visible void thread_hold_at_entry(unsigned long *resume)
{
	struct hold *hold = hold_of_current();

	*resume = hold->resume;
	hold_thread(hold);
}

__visible unsigned long thread_hold_before(void)
{
	return hold_of_current()->resume;
}

__visible void thread_hold_at_exit(void)
{
	hold_thread(hold_of_current());
}

/* The callback -------------------------------------------------------------*/

static notrace bool hold_wants(const struct hold *hold, unsigned long caller)
{
	if (hold->caller_size && caller - hold->caller >= hold->caller_size)
		return false;

	switch (hold->arm.whom) {
	case THREAD_HOLD_TID:
		return current->pid == hold->arm.id;
	case THREAD_HOLD_TGID:
		return current->tgid == hold->arm.id;
	case THREAD_HOLD_NOT_TID:
		return current->pid != hold->arm.id;
	default:
		return true;
	}
}

/* True if the thread is this hold's. */
static notrace bool hold_pass(struct hold *hold, struct hold_site *site,
			      unsigned long caller, struct ftrace_regs *fregs)
{
	/* Pairs with the release of hold_arm(): now @arm is complete. */
	if (smp_load_acquire(&hold->site) != site || !hold_wants(hold, caller))
		return false;

	if (atomic_inc_return(&hold->passes) <= hold->arm.skip ||
	    atomic_cmpxchg(&hold->state, HOLD_ARMED, HOLD_CLAIMED) !=
	    HOLD_ARMED)
		return false;

	/* The file that is open keeps the module until here. */
	__module_get(THIS_MODULE);
	hold->resume = ftrace_regs_get_instruction_pointer(fregs);
	hold->order = atomic64_inc_return(&claims);
	WRITE_ONCE(hold->task, current);
	ftrace_regs_set_instruction_pointer(fregs,
					    hold->arm.where == THREAD_HOLD_EXIT ?
					    (unsigned long)thread_hold_exit :
					    (unsigned long)thread_hold_entry);
	return true;
}

static notrace void hold_callback(unsigned long ip, unsigned long parent_ip,
				  struct ftrace_ops *ops,
				  struct ftrace_regs *fregs)
{
	struct hold_site *site = container_of(ops, struct hold_site, ops);
	unsigned int i;
	int bit;

	if (!in_task() || is_idle_task(current))
		return;

	/* Also turns preemption off, for which hold_disarm() waits. */
	bit = ftrace_test_recursion_trylock(ip, parent_ip);
	if (bit < 0)
		return;

	for (i = 0; i < NR_HOLDS; i++) {
		if (hold_pass(&holds[i], site, parent_ip, fregs))
			break;
	}
	ftrace_test_recursion_unlock(bit);
}

/* Sites --------------------------------------------------------------------*/

/* A kprobe that is never enabled has an address. */
static int symbol_address(const char *symbol, unsigned long *addr)
{
	struct kprobe kp = {
		.symbol_name = symbol,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int ret;

	ret = register_kprobe(&kp);
	if (ret)
		return ret;

	*addr = (unsigned long)kp.addr;
	unregister_kprobe(&kp);
	return 0;
}

/* Adds one symbol to a site. */
static int site_add_symbol(struct hold_site *site, const char *symbol)
{
	unsigned long addr;
	int ret;

	ret = symbol_address(symbol, &addr);
	return ret ?: ftrace_set_filter_ip(&site->ops, addr, 0, 0);
}

static int site_add_function(struct hold_site *site)
{
	static const char * const clones[] = {
		"", ".isra.0", ".constprop.0", ".constprop.0.isra.0",
		".isra.0.constprop.0",
	};
	char symbol[KSYM_NAME_LEN];
	bool found = false;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(clones); i++) {
		snprintf(symbol, sizeof(symbol), "%s%s", site->name, clones[i]);
		ret = site_add_symbol(site, symbol);
		if (ret == -EADDRNOTAVAIL)
			return ret;
		found |= !ret;
	}

	return found ? 0 : -ENOENT;
}

static struct hold_site *site_get(const char *name)
{
	struct hold_site *site = NULL;
	unsigned int i;
	int ret;

	for (i = 0; i < NR_HOLDS; i++) {
		if (!sites[i].users) {
			site = &sites[i];
		} else if (!strcmp(sites[i].name, name)) {
			sites[i].users++;
			return &sites[i];
		}
	}

	/* There are as many as holds. */
	memset(site, 0, sizeof(*site));
	site->ops.func = hold_callback;
	site->ops.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_DYNAMIC;
	strscpy(site->name, name);
	ret = site_add_function(site);
	if (!ret)
		ret = register_ftrace_function(&site->ops);
	if (ret) {
		ftrace_free_filter(&site->ops);
		return ERR_PTR(ret);
	}

	site->users = 1;
	return site;
}

/* On return nobody is in the callback that came there by this site or for its hold. */
static void site_put(struct hold_site *site)
{
	if (--site->users) {
		synchronize_rcu();
		return;
	}

	unregister_ftrace_function(&site->ops);
	ftrace_free_filter(&site->ops);
}

/* The file -----------------------------------------------------------------*/

/* Afterwards nobody is claimed for it who was not before. */
static void hold_disarm(struct hold *hold)
{
	struct hold_site *site = hold->site;

	lockdep_assert_held(&holds_lock);

	if (!site)
		return;

	WRITE_ONCE(hold->site, NULL);
	site_put(site);
	atomic_cmpxchg(&hold->state, HOLD_ARMED, HOLD_IDLE);
}

/* The bytes of a function; what modules may ask for them by is %pS: NAME+0xOFFSET/0xSIZE. */
static int find_caller(const char *name, unsigned long *start,
		       unsigned long *size)
{
	char text[KSYM_SYMBOL_LEN], *numbers;
	unsigned long addr, offset;
	int ret;

	*size = 0;
	if (!*name)
		return 0;

	ret = symbol_address(name, &addr);
	if (ret)
		return ret;

	snprintf(text, sizeof(text), "%pS", (void *)addr);
	numbers = strchr(text, '+');
	if (!numbers || sscanf(numbers, "+%lx/%lx", &offset, size) != 2)
		return -EOPNOTSUPP;

	*start = addr - offset;
	return 0;
}

static bool hold_has_thread(struct hold *hold)
{
	int state = atomic_read_acquire(&hold->state);

	return state == HOLD_CLAIMED || state == HOLD_HELD;
}

static long hold_arm(struct hold *hold, const void __user *from)
{
	unsigned long caller = 0, caller_size;
	struct thread_hold_arm arm;
	struct hold_site *site;
	int ret;

	if (copy_from_user(&arm, from, sizeof(arm)))
		return -EFAULT;

	if (strnlen(arm.function, sizeof(arm.function)) ==
	    sizeof(arm.function) || strnlen(arm.caller, sizeof(arm.caller)) ==
	    sizeof(arm.caller) || arm.where > THREAD_HOLD_EXIT ||
	    arm.whom > THREAD_HOLD_NOT_TID || arm.reserved || !arm.seconds ||
	    arm.seconds > 3600)
		return -EINVAL;

	if (arm.whom == THREAD_HOLD_NOT_TID && !arm.id)
		arm.id = current->pid;

	hold_disarm(hold);
	if (hold_has_thread(hold))
		return -EBUSY;

	ret = find_caller(arm.caller, &caller, &caller_size);
	if (ret)
		return ret;

	site = site_get(arm.function);
	if (IS_ERR(site))
		return PTR_ERR(site);

	hold->arm = arm;
	hold->caller = caller;
	hold->caller_size = caller_size;
	hold->released = false;
	hold->outcome = 0;
	atomic_set(&hold->passes, 0);
	atomic_set(&hold->state, HOLD_ARMED);
	/* Pairs with the acquire of hold_pass(). */
	smp_store_release(&hold->site, site);
	return 0;
}

/* The thread that is held, 0, or why it is no longer. */
static long hold_held(struct hold *hold)
{
	struct task_struct *task;
	long ret = 0;

	switch (atomic_read_acquire(&hold->state)) {
	case HOLD_HELD:
		rcu_read_lock();
		task = READ_ONCE(hold->task);
		ret = task ? task->pid : 0;
		rcu_read_unlock();
		break;
	case HOLD_OVER:
		/* A release of ours is no news. */
		ret = hold->outcome < 0 ? hold->outcome : 0;
		break;
	}
	return ret;
}

static long hold_wait(struct hold *hold, unsigned long ms)
{
	ktime_t end = ktime_add_ms(ktime_get(), min(ms, 3600000UL));
	long ret;

	/* Whoever is held may hold the lock of any run queue: it wakes nobody. */
	for (;;) {
		if (atomic_read(&hold->state) == HOLD_IDLE)
			return -EINVAL;
		ret = hold_held(hold);
		if (ret)
			return ret;
		if (atomic_read(&hold->state) == HOLD_OVER)
			return -EINVAL;
		if (ktime_after(ktime_get(), end))
			return -ETIMEDOUT;
		if (signal_pending(current))
			return -EINTR;
		usleep_range(500, 1000);
	}
}

/*
 * Leaves the site, where passes are counted on: to unregister it waits until each thread
 * has slept once, and one that spins here does not.
 */
static long hold_release(struct hold *hold)
{
	atomic_cmpxchg(&hold->state, HOLD_ARMED, HOLD_IDLE);
	WRITE_ONCE(hold->released, true);
	wake_up_all(&hold->queue);
	while (atomic_read_acquire(&hold->state) == HOLD_HELD)
		usleep_range(100, 500);

	return atomic_read(&hold->state) == HOLD_OVER ? hold->outcome : 0;
}

static long hold_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hold *hold = file->private_data;
	long ret;

	switch (cmd) {
	case THREAD_HOLD_ARM:
		mutex_lock(&holds_lock);
		ret = hold_arm(hold, (const void __user *)arg);
		mutex_unlock(&holds_lock);
		return ret;
	case THREAD_HOLD_HELD:
		ret = hold_held(hold);
		return max(ret, 0L);
	case THREAD_HOLD_WAIT:
		return hold_wait(hold, arg);
	case THREAD_HOLD_RELEASE:
		return hold_release(hold);
	case THREAD_HOLD_PASSES:
		return atomic_read(&hold->passes);
	default:
		return -ENOTTY;
	}
}

static int hold_open(struct inode *inode, struct file *file)
{
	int ret = -EMFILE;
	unsigned int i;

	mutex_lock(&holds_lock);
	for (i = 0; i < NR_HOLDS && ret; i++) {
		struct hold *hold = &holds[i];

		if (hold->open || hold_has_thread(hold))
			continue;
		hold->open = true;
		atomic_set(&hold->state, HOLD_IDLE);
		atomic_set(&hold->passes, 0);
		file->private_data = hold;
		ret = 0;
	}
	mutex_unlock(&holds_lock);
	return ret;
}

/*
 * Does not wait for a thread that is in the function still, to be held when it leaves:
 * it may wait for somebody whose file is closed after ours.
 */
static int hold_close(struct inode *inode, struct file *file)
{
	struct hold *hold = file->private_data;

	hold_release(hold);
	mutex_lock(&holds_lock);
	hold_disarm(hold);
	hold->open = false;
	mutex_unlock(&holds_lock);
	return 0;
}

static const struct file_operations hold_fops = {
	.owner = THIS_MODULE,
	.open = hold_open,
	.release = hold_close,
	.unlocked_ioctl = hold_ioctl,
};

static struct miscdevice hold_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "thread_hold",
	.fops = &hold_fops,
};

static int __init hold_init(void)
{
	unsigned int i;

	for (i = 0; i < NR_HOLDS; i++)
		init_waitqueue_head(&holds[i].queue);

	return misc_register(&hold_misc);
}

static void __exit hold_exit(void)
{
	misc_deregister(&hold_misc);
	/* The last thread has dropped its reference, but maybe not left the thunk. */
	synchronize_rcu_tasks();
}

module_init(hold_init);
module_exit(hold_exit);

MODULE_DESCRIPTION("Holds a thread where it enters or leaves a function, for tests");
MODULE_LICENSE("GPL");
