// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtual machine of the client's own, with the buffer's mapping as a slot of its
 * memory: its processor reaches the buffer through page tables that KVM makes.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attacker.h"

#define CODE_AT 0x1000ul
#define BUFFER_AT GIB(1)
/* Writes of each run: long enough that the call comes in the middle of one. */
#define WRITES 2000

/* 32 bits, no paging: eax value, ebx address, edx how often; ecx gets the stamp. */
static const uint8_t code[] = {
	0x89, 0x03, /* mov %eax,(%ebx) */
	0x4a, /* dec %edx */
	0x75, 0xfb, /* jnz to the first */
	0x8b, 0x4b, 0x04, /* mov 4(%ebx),%ecx */
	0xf4, /* hlt */
};

struct machine {
	int vm, vcpu;
	struct kvm_run *run;
};

void prepare_kvm(void)
{
	if (access("/dev/kvm", F_OK) && system("modprobe kvm-amd"))
		SKIP("no KVM: modprobe kvm-amd failed");
	if (chmod("/dev/kvm", 0666))
		SKIP("no KVM: %s", strerror_name(errno));
}

static void add_slot(struct machine *m, unsigned int slot, uint64_t at, volatile void *p,
		     size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uintptr_t)p,
	};

	OK(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region));
}

/* All of memory, in protected mode. */
static void flat(struct machine *m)
{
	struct kvm_segment data = {
		.limit = ~0u,
		.type = 3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
		.selector = 16,
	};
	struct kvm_sregs sregs;

	OK(ioctl(m->vcpu, KVM_GET_SREGS, &sregs));
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.type = 11;
	sregs.cs.selector = 8;
	sregs.cr0 |= 1;
	OK(ioctl(m->vcpu, KVM_SET_SREGS, &sregs));
}

static int access_kvm(struct window *w, uint32_t value, uint32_t *stamp)
{
	struct machine *m = w->state;
	struct kvm_regs regs = {
		.rip = CODE_AT,
		.rflags = 2,
		.rax = value,
		.rbx = BUFFER_AT + w->offset,
		.rdx = WRITES,
	};

	OK(ioctl(m->vcpu, KVM_SET_REGS, &regs));
	if (ioctl(m->vcpu, KVM_RUN, 0))
		return -errno;
	CHECK_EQ(m->run->exit_reason, KVM_EXIT_HLT);
	OK(ioctl(m->vcpu, KVM_GET_REGS, &regs));
	*stamp = regs.rcx;
	return 0;
}

void play_kvm(struct client *c)
{
	struct machine *m = calloc(1, sizeof(*m));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	char *ram;

	if (kvm < 0)
		return client_refused(c, "open of /dev/kvm");
	CHECK(m);
	m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return client_refused(c, "KVM_CREATE_VM");
	ram = try_map(-1, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	CHECK(ram);
	memcpy(ram, code, sizeof(code));
	add_slot(m, 0, CODE_AT, ram, PAGE);
	add_slot(m, 1, BUFFER_AT, c->p, c->size);
	m->vcpu = OK(ioctl(m->vm, KVM_CREATE_VCPU, 0));
	m->run = try_map(m->vcpu, 0, OK(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)),
			 PROT_READ | PROT_WRITE, MAP_SHARED);
	CHECK(m->run);
	flat(m);
	window_add_with(c, "virtual machine", c->p, c->lease->keep, access_kvm, m);
}
