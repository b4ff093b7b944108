// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the page tables say about an address of the reader's own PFN mappings:
 * a read() of /dev/pfnmap_look at the file position ADDRESS gives a struct
 * pfnmap_look (tests/guest/leaf.h has it too), or fails with ENXIO when nothing
 * is mapped there, EFAULT when the address is in no VMA. It takes no fault.
 *
 * ioctl(_IO(0xb7, HOW), ADDRESS) takes one, with flags that no access of user space has, and
 * says what came of it.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/msr.h>

struct pfnmap_look {
	u64 paddr;	/* of the page at ADDRESS */
	u64 leaf;	/* bytes that the entry maps */
	u32 memtype;	/* IA32_PAT's: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC- */
	u32 writable;
};

/* The entry of IA32_PAT that the bits PAT, PCD and PWT select. */
static u32 memtype(pgprotval_t prot, bool leaf_is_huge)
{
	pgprotval_t pat = leaf_is_huge ? _PAGE_PAT_LARGE : _PAGE_PAT;
	u32 entry = 0;
	u64 msr;

	if (prot & _PAGE_PWT)
		entry |= 1;
	if (prot & _PAGE_PCD)
		entry |= 2;
	if (prot & pat)
		entry |= 4;

	rdmsrq(MSR_IA32_CR_PAT, msr);
	return (msr >> (8 * entry)) & 7;
}

static ssize_t look_read(struct file *file, char __user *to, size_t size,
			 loff_t *pos)
{
	struct follow_pfnmap_args args = { .address = *pos & PAGE_MASK };
	struct mm_struct *mm = current->mm;
	struct pfnmap_look look;
	int ret = -EFAULT;

	if (size < sizeof(look))
		return -EINVAL;

	mmap_read_lock(mm);
	args.vma = vma_lookup(mm, args.address);
	if (args.vma) {
		ret = follow_pfnmap_start(&args) ? -ENXIO : 0;
		if (!ret) {
			look.paddr = PFN_PHYS(args.pfn);
			look.leaf = ~(u64)args.addr_mask + 1;
			look.memtype = memtype(pgprot_val(args.pgprot),
					       look.leaf > PAGE_SIZE);
			look.writable = args.writable;
			follow_pfnmap_end(&args);
		}
	}
	mmap_read_unlock(mm);

	if (!ret && copy_to_user(to, &look, sizeof(look)))
		ret = -EFAULT;

	return ret ?: sizeof(look);
}

/* HOW, and what came of it; tests/guest/leaf.h has them too. */
enum { FAULT_NO_RETRY = 1, FAULT_NOWAIT, FAULT_SECOND_TRY };
enum { FAULT_MAPPED, FAULT_GOT_SIGBUS, FAULT_TO_RETRY, FAULT_LET_GO_TO_RETRY };

static long look_ioctl(struct file *file, unsigned int cmd, unsigned long addr)
{
	static const unsigned int flags[] = {
		[FAULT_NO_RETRY] = 0,
		[FAULT_NOWAIT] = FAULT_FLAG_ALLOW_RETRY |
				 FAULT_FLAG_RETRY_NOWAIT,
		[FAULT_SECOND_TRY] = FAULT_FLAG_ALLOW_RETRY |
				     FAULT_FLAG_KILLABLE | FAULT_FLAG_TRIED,
	};
	struct mm_struct *mm = current->mm;
	unsigned int how = _IOC_NR(cmd);
	struct vm_area_struct *vma;
	vm_fault_t ret;

	if (cmd != _IO(0xb7, how) || !how || how >= ARRAY_SIZE(flags))
		return -EINVAL;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (!vma) {
		mmap_read_unlock(mm);
		return -EFAULT;
	}

	ret = handle_mm_fault(vma, addr, flags[how], NULL);
	if (ret & VM_FAULT_RETRY && !(flags[how] & FAULT_FLAG_RETRY_NOWAIT))
		return FAULT_LET_GO_TO_RETRY;

	mmap_read_unlock(mm);
	if (ret & VM_FAULT_RETRY)
		return FAULT_TO_RETRY;

	return ret & VM_FAULT_ERROR ? FAULT_GOT_SIGBUS : FAULT_MAPPED;
}

static const struct file_operations look_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = look_ioctl,
	.read = look_read,
};

static struct miscdevice look_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pfnmap_look",
	.fops = &look_fops,
	.mode = 0666,
};

module_misc_device(look_device);

MODULE_DESCRIPTION("Look at the reader's PFN mappings, for tests");
MODULE_LICENSE("GPL");
