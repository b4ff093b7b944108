// SPDX-License-Identifier: GPL-2.0-only
/* The program of examples/cmb, on an NVMe controller with a memory buffer, and on what is none. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "leaf.h"
#include "program.h"

#define CMB MIB(16)

static int run_cmb(const char *address, const char *part)
{
	return exit_status(start_program("out", "cmb", address, part, NULL), "cmb");
}

static const char *prepare(const char *model)
{
	enter_scratch();
	return dev_bound(model);
}

/* In the controller of QEMU the memory is there with or without registers that tell of it. */
static volatile uint64_t *open_cmb(struct dev **dev)
{
	*dev = dev_open("nvme");
	return map_bar(*dev, 2, 0, CMB);
}

/* What it says, and what is in the memory afterwards: the pattern in the part, and nothing beside it. */
static void lent_and_taken_back(void)
{
	const uint64_t offset = MIB(1) + 4 * PAGE, size = KIB(128);
	const char *address = prepare("nvme");
	volatile uint64_t *cmb;
	char line[160];
	struct dev *dev;
	uint64_t i;

	cmb = open_cmb(&dev);
	for (i = 0; i < size / 8; i++)
		cmb[offset / 8 + i] = 0;
	for (i = 0; i < PAGE / 8; i++)
		cmb[offset / 8 - 1 - i] = cmb[(offset + size) / 8 + i] = i ^ 0x1e2d3c4b5a697887;
	unmap((void *)cmb, CMB);
	dev_close(dev);

	CHECK_EQ(run_cmb(address, "1040K:128K"), 0);
	snprintf(line, sizeof(line),
		 "primary: %s has 16384 KiB of CMB in BAR 2, and lends 131072 at 1064960\n"
		 "client: user 65534 filled 131072 bytes, mapped write-combining\n",
		 address);
	check_mentions("out", line);
	check_mentions("out", "primary: took it back and read 16384 words, 0 wrong");
	check_mentions("out", "client: Input/output error, and still here");

	cmb = open_cmb(&dev);
	CHECK(cmb[offset / 8]);
	for (i = 0; i < size / 8; i++)
		CHECK_EQ(cmb[offset / 8 + i] - cmb[offset / 8], 8 * i);
	for (i = 0; i < PAGE / 8; i++) {
		CHECK_EQ(cmb[offset / 8 - 1 - i], i ^ 0x1e2d3c4b5a697887);
		CHECK_EQ(cmb[(offset + size) / 8 + i], i ^ 0x1e2d3c4b5a697887);
	}
}

static void without_a_part(void)
{
	const char *address = prepare("nvme");

	CHECK_EQ(run_cmb(address, NULL), 0);
	check_mentions("out", "lends 65536 at 0\n");
	check_mentions("out", "read 8192 words, 0 wrong");
}

/* All of it, up to the last byte. */
static void the_last_page(void)
{
	const char *address = prepare("nvme");

	CHECK_EQ(run_cmb(address, "16380K:4K"), 0);
	check_mentions("out", "lends 4096 at 16773120\n");
	check_mentions("out", "read 512 words, 0 wrong");
}

/* The process that @pid has forked; waits until there is one. */
static pid_t child_of(pid_t pid)
{
	uint64_t end = timeout();
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	while (!*read_file(path, text, sizeof(text)))
		CHECK_MSG(now_ns() < end, "%d forks no child", pid);
	return atoi(text);
}

/* The descriptor of what a process lends, or has been lent, once it has it; a copy of it. */
static int lent_by(pid_t pid)
{
	uint64_t end = timeout();
	char path[64], name[64];
	int pidfd, fd;
	ssize_t n;

	pidfd = OK(syscall(SYS_pidfd_open, pid, 0));
	for (;;) {
		for (fd = 3; fd < 32; fd++) {
			snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
			n = readlink(path, name, sizeof(name) - 1);
			name[n < 0 ? 0 : n] = '\0';
			if (strcmp(name, "/dmabuf:cmb") == 0)
				return OK(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
		}
		CHECK_MSG(now_ns() < end, "%d lends nothing", pid);
	}
}

/* Another process with the buffer writes there, until it is taken back: it is seen. */
static void wrong_data_is_seen(void)
{
	const char *address = prepare("nvme");
	pid_t pid = start_program("out", "cmb", address, "0:4M", NULL);
	char *map = map_buffer(lent_by(pid), 0, PAGE);

	while (!poke32(map + 256, 0))
		;
	CHECK_EQ(exit_status(pid, "cmb"), 1);
	check_mentions("out", "read 524288 words, 1 wrong");
}

/* What the client has is write-combining by its page tables, and not by the primary's word. */
static void mapped_write_combining(void)
{
	const char *address = prepare("nvme");
	volatile const char *map;
	struct leaf leaf;
	pid_t pid, client;
	int fd;

	CHECK(!is_mapped(&leaf)); /* loads what looks, which takes its time */
	pid = start_program("out", "cmb", address, "0:16M", NULL);
	client = child_of(pid);
	fd = lent_by(client);
	OK(kill(client, SIGSTOP)); /* it fills, and then the buffer would be taken back */
	map = map_buffer(fd, 0, PAGE);
	(void)*map;
	CHECK(leaf_at(map, &leaf));
	CHECK_EQ(leaf.memtype, MEMTYPE_WC);
	OK(kill(client, SIGCONT));
	CHECK_EQ(exit_status(pid, "cmb"), 0);
	CHECK(!is_mapped(map));
}

static void client_is_killed(void)
{
	const char *address = prepare("nvme");
	pid_t pid = start_program("out", "cmb", address, "0:16M", NULL);

	OK(kill(child_of(pid), SIGKILL));
	CHECK_EQ(exit_status(pid, "cmb"), 1);
	check_mentions("out", "cmb: ");
	check_mentions("out", ": Broken pipe");
	/* The device is free, and nothing was left behind in it. */
	CHECK_EQ(run_cmb(address, NULL), 0);
}

/* Is the thread at the entry of the ioctl that sets a memory attribute? */
static bool sets_memattr(pid_t pid, const struct user_regs_struct *regs)
{
	uint64_t head;

	if (regs->orig_rax != SYS_ioctl || regs->rsi != VFIO_DEVICE_FEATURE)
		return false;
	errno = 0;
	head = ptrace(PTRACE_PEEKDATA, pid, regs->rdx, NULL); /* argsz, flags */
	CHECK_EQ(errno, 0);
	return (head >> 32 & VFIO_DEVICE_FEATURE_MASK) == VFIO_DEVICE_FEATURE_DMA_BUF_MEMATTR;
}

/* A kernel that has all but the memory attribute, by a tracer that answers in its stead. */
static void without_write_combining(void)
{
	const char *address = prepare("nvme");
	struct user_regs_struct regs;
	bool entry = true, deny = false;
	unsigned int denied = 0;
	int status, sig = 0;
	pid_t pid = OK(fork());

	if (pid == 0) {
		int fd = open("out", O_WRONLY | O_CREAT | O_APPEND, 0600);

		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execlp("cmb", "cmb", address, NULL);
		_exit(127);
	}
	CHECK_EQ(OK(waitpid(pid, &status, 0)), pid);
	CHECK(WIFSTOPPED(status));
	OK(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		OK(ptrace(PTRACE_SYSCALL, pid, NULL, sig));
		CHECK_EQ(OK(waitpid(pid, &status, 0)), pid);
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig != (SIGTRAP | 0x80)) {
			if (sig == SIGTRAP) /* exec */
				sig = 0;
			continue;
		}
		sig = 0;
		OK(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
		if (entry && sets_memattr(pid, &regs)) {
			deny = true;
			regs.orig_rax = -1;
			OK(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
		} else if (!entry && deny) {
			deny = false;
			denied++;
			regs.rax = -ENOTTY;
			OK(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
		}
		entry = !entry;
	}
	CHECK(denied);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_mentions("out",
		       "primary: this kernel has no write-combining for it; it is lent uncached\n"
		       "client: user 65534 filled 65536 bytes, mapped uncached\n");
	check_mentions("out", "read 8192 words, 0 wrong");
}

static void what_stock_says(void)
{
	const char *kernel = getenv("LAB_KERNEL");
	const char *address;

	if (!kernel || strcmp(kernel, "stock"))
		SKIP("the kernel is not stock");
	address = prepare("nvme");
	CHECK_EQ(run_cmb(address, NULL), 1);
	check_said("out",
		   "cmb: this kernel cannot map an exported part of a BAR: it lacks barbuf's "
		   "modules");
}

static void no_such_part(void)
{
	static const struct {
		const char *part, *said;
	} wrong[] = {
		{ "15M:2M",
		  "PART '15M:2M' ends past the end of the CMB, which has 16777216 bytes" },
		{ "16M:4K",
		  "PART '16M:4K' ends past the end of the CMB, which has 16777216 bytes" },
		{ "0xfffffffffffff000:4K", "PART '0xfffffffffffff000:4K' is not one OFFSET:LENGTH, "
					   "such as 64K:4K" },
		{ "0xffffffffffffe000:4K", "PART '0xffffffffffffe000:4K' ends past the end of the "
					   "CMB, which has 16777216 bytes" },
		{ "100:4K", "PART '100:4K' is not one or more whole pages of 4096 bytes" },
		{ "0:4095", "PART '0:4095' is not one or more whole pages of 4096 bytes" },
		{ "0:0", "PART '0:0' is not one or more whole pages of 4096 bytes" },
		{ "0:4K,8K:4K", "PART '0:4K,8K:4K' is not one OFFSET:LENGTH, such as 64K:4K" },
		{ "all", "PART 'all' is not one OFFSET:LENGTH, such as 64K:4K" },
		{ "", "PART '' is not one OFFSET:LENGTH, such as 64K:4K" },
	};
	const char *address = prepare("nvme");
	char want[160];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK_EQ(run_cmb(address, wrong[i].part), 2);
		snprintf(want, sizeof(want), "cmb: %s", wrong[i].said);
		check_said("out", want);
	}
}

static void no_such_device(void)
{
	enter_scratch();
	CHECK_EQ(exit_status(start_program("out", "cmb", NULL), "cmb"), 2);
	check_said("out", "cmb: usage: cmb ADDRESS [OFFSET:LENGTH]");
	CHECK_EQ(run_cmb("0000:7f:1f.7", NULL), 1);
	check_said("out", "cmb: 0000:7f:1f.7: No such device: there is no PCI device 0000:7f:1f.7: "
			  "`lspci -D` shows those there are");
	CHECK_EQ(run_cmb("nvme0", NULL), 1);
	check_said("out", "cmb: nvme0: Invalid argument: 'nvme0' is no PCI address, such as "
			  "0000:00:04.0");
}

static void device_in_use(void)
{
	const char *address = prepare("nvme");
	struct dev *dev = dev_open("nvme");

	CHECK_EQ(run_cmb(address, NULL), 1);
	check_mentions("out", "Device or resource busy");
	dev_close(dev);
}

static void not_nvme(void)
{
	const char *address = prepare("edu");
	char want[160];

	CHECK_EQ(run_cmb(address, NULL), 1);
	snprintf(want, sizeof(want), "cmb: %s: class 0x00ff00 is not NVMe's, 0x010802", address);
	check_said("out", want);
}

static void nvme_without(void)
{
	const char *address = prepare("nvme-bare");
	char want[160];

	CHECK_EQ(run_cmb(address, NULL), 1);
	snprintf(want, sizeof(want), "cmb: %s: this controller has no CMB", address);
	check_said("out", want);
}

static const struct test_case cases[] = {
	CASE_MMAP(lent_and_taken_back),
	CASE_MMAP(without_a_part),
	CASE_MMAP(the_last_page),
	CASE_MMAP(wrong_data_is_seen),
	CASE_MMAP(mapped_write_combining),
	CASE_MMAP(client_is_killed),
	CASE_MMAP(without_write_combining),
	CASE(what_stock_says),
	CASE_MMAP(no_such_part, .seconds = 40), /* the device is opened ten times */
	CASE(no_such_device),
	CASE(device_in_use),
	CASE(not_nvme),
	CASE_MMAP(nvme_without),
};

TEST_MAIN(cases)
