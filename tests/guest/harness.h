/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every guest test needs: cases that report in KTAP, each in a process of
 * its own with a time limit and a look at the kernel log afterwards; and short
 * names for the VFIO calls under test.
 *
 * A helper that can't do what it is asked for ends the case as failed, unless
 * its name starts with try_: those return -1 and set errno, as the call does.
 */
#ifndef BARBUF_TESTS_HARNESS_H
#define BARBUF_TESTS_HARNESS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <sys/types.h>

#include <barbuf.h>

#include "uapi.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define GIB(n)		((uint64_t)(n) << 30)
#define PAGE		4096ul

/* Cases --------------------------------------------------------------------*/

enum need {
	NEED_STOCK = 0,		/* runs on every kernel */
	NEED_MMAP = 1,		/* exported buffers can be mapped and revoked */
};

struct test_case {
	const char *name;
	void (*run)(void);
	enum need need;
	unsigned int seconds;	/* time limit, 0 for the default */
	/* In the place of run(), where cases are rows of a table. */
	void (*run_with)(const void *arg);
	const void *arg;
};

/* CASE(function), or with more: CASE(function, .need = NEED_MMAP). */
#define CASE(fn, ...)	{ .name = #fn, .run = fn, ##__VA_ARGS__ }
/* A case that needs mmap and revoke of exported buffers. */
#define CASE_MMAP(fn, ...) CASE(fn, .need = NEED_MMAP, ##__VA_ARGS__)

/* Runs the cases named in argv, or all of them; returns the exit status. */
int harness_main(int argc, char **argv, const struct test_case *cases,
		 size_t nr);

#define TEST_MAIN(cases)						\
	int main(int argc, char **argv)					\
	{								\
		return harness_main(argc, argv, cases, ARRAY_SIZE(cases)); \
	}

/* End the running case, from any of its threads and forked children. */
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void test_skip(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
/* A diagnostic line: "# ...". */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define FAIL(...)	test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...)	test_skip(__VA_ARGS__)

#define CHECK(cond)							\
	do {								\
		if (!(cond))						\
			FAIL("%s is false", #cond);			\
	} while (0)

#define CHECK_MSG(cond, fmt, ...)					\
	do {								\
		if (!(cond))						\
			FAIL("%s is false: " fmt, #cond, ##__VA_ARGS__); \
	} while (0)

#define CHECK_EQ(a, b)							\
	do {								\
		long long a_ = (long long)(a), b_ = (long long)(b);	\
									\
		if (a_ != b_)						\
			FAIL("%s is %lld (0x%llx), not %s = %lld (0x%llx)", \
			     #a, a_, a_, #b, b_, b_);			\
	} while (0)

/* The call succeeds: its value is not negative. Evaluates to that value. */
#define OK(call) check_ok(__FILE__, __LINE__, #call, (long)(call))
long check_ok(const char *file, int line, const char *call, long result);

/* The call fails with exactly this errno. */
#define CHECK_ERRNO(call, err) \
	check_errno(__FILE__, __LINE__, #call, (long)(call), #err, err)
void check_errno(const char *file, int line, const char *call, long result, const char *wanted,
		 int err);

const char *strerror_name(int err);

/* True when the kernel runs under checkers that slow it down many times. */
bool slow_kernel(void);

/* Devices ------------------------------------------------------------------*/

struct dev {
	struct barbuf_device *lib;
	struct barbuf_container *container;	/* of its own, or NULL */
	struct barbuf_region region[9];
	const char *model;
	const char *address;
	int fd;
};

/* Binds the model's device to vfio-pci and opens it; skips if the lab has none. */
struct dev *dev_open(const char *model);
/* The same, in a container that other devices share. */
struct dev *dev_open_in(struct barbuf_container *container, const char *model);
/* As dev_open(), but says no with NULL and errno when the open is refused. */
struct dev *try_dev_open(const char *model);
/* One whose descriptor was got otherwise, without a container. */
struct dev *dev_adopt(const char *model, int fd);
void dev_close(struct dev *dev);
/* Binds the device and tells its address and group, or false: none in this lab. */
bool dev_bind(const char *model, char address[32], int *group);
/* As dev_bind(), for its address alone, good until four more were asked for. Skips the case. */
const char *dev_bound(const char *model);
/* A model that every test can do without: which does not matter. */
const char *dev_some(void);
/* Skips the case on a kernel without iommufd. */
void need_iommufd(void);

/* The cases of a function that takes enum barbuf_iommu, one for each interface. */
#define EACH_IOMMU(fn)                    \
	static void fn##_type1(void)      \
	{                                 \
		fn(BARBUF_IOMMU_TYPE1);   \
	}                                 \
	static void fn##_iommufd(void)    \
	{                                 \
		need_iommufd();           \
		fn(BARBUF_IOMMU_IOMMUFD); \
	}

/* An eventfd that is signalled when the owner is asked to let go of the device. */
int dev_request_eventfd(const struct dev *dev);

/* Taking a model's device out of its slot by the machine's monitor. The guest may veto for long. */
void model_unplug(const char *model);
void model_wait_unplugged(const char *model);
/* Puts a new one into the empty slot, and waits until it is on the bus. */
void model_plug(const char *model);
bool model_present(const char *model);

/* Every device that vfio-pci drives loses it; then the modules can go. */
void vfio_pci_unbind_all(void);
bool module_loaded(const char *name);
int try_rmmod(const char *name);
/* The same, where the last user of it may be on its way out. */
void rmmod_soon(const char *name);

typedef struct barbuf_range range_t;

/* VFIO_DEVICE_FEATURE with these bytes after the header; argsz counts them. */
int try_feature(int fd, uint32_t flags, void *data, size_t size);
int try_export(const struct dev *dev, unsigned int bar, int open_flags, const range_t *ranges,
	       size_t nr);
int export_ranges(const struct dev *dev, unsigned int bar, const range_t *ranges, size_t nr);
int export_range(const struct dev *dev, unsigned int bar, uint64_t offset, uint64_t length);
int try_revoke(const struct dev *dev, int dmabuf_fd);
void revoke_buffer(const struct dev *dev, int dmabuf_fd);

/* MAP_SHARED, readable and writable. */
void *map_buffer(int dmabuf_fd, uint64_t offset, size_t size);
void *map_bar(const struct dev *dev, unsigned int bar, uint64_t offset, size_t size);
/* mmap() that gives NULL instead of MAP_FAILED. */
void *try_map(int fd, uint64_t offset, size_t size, int prot, int flags);
/* Maps at an address that is skew bytes past a multiple of align. */
void *map_aligned(int fd, uint64_t offset, size_t size, size_t align, size_t skew);
void unmap(void *p, size_t size);
/* Where an offset of a BAR is found in the device file. */
uint64_t bar_offset(const struct dev *dev, unsigned int bar, uint64_t offset);

/* Config space and the transitions of a device. */
uint16_t config_read16(const struct dev *dev, unsigned int pos);
void config_write16(const struct dev *dev, unsigned int pos, uint16_t value);
uint8_t config_read8(const struct dev *dev, unsigned int pos);
uint32_t config_read32(const struct dev *dev, unsigned int pos);
/* The position of a capability, 0 if there is none. */
unsigned int config_capability(const struct dev *dev, uint8_t id);
void memory_decode(const struct dev *dev, bool on);
int try_reset(const struct dev *dev);
/* eventfd: to be told of a wake-up, or -1. */
int try_low_power_enter(const struct dev *dev, int eventfd);
int try_low_power_exit(const struct dev *dev);
/* Waits for the runtime PM core to really put the device to sleep. */
bool wait_runtime_suspended(const struct dev *dev, unsigned int msec);

/* Access that survives SIGBUS ----------------------------------------------*/

/* Each returns 0, or SIGBUS if the access got that. */
int peek32(const volatile void *p, uint32_t *value);
int poke32(volatile void *p, uint32_t value);
int touch(const volatile void *p);

/* The access succeeds; it gets SIGBUS. */
#define CHECK_ALIVE(p)							\
	do {								\
		if (touch(p))						\
			FAIL("access to %s got SIGBUS", #p);		\
	} while (0)
#define CHECK_SIGBUS(p)							\
	do {								\
		if (!touch(p))						\
			FAIL("access to %s got through", #p);		\
	} while (0)

uint32_t read32(const volatile void *p);
void write32(volatile void *p, uint32_t value);

/* Page faults that this thread has taken so far. */
long thread_faults(void);
/* Reads one word in each page; returns the faults this took. */
long walk_faults(const volatile void *p, size_t size, size_t step);

/* Processes and threads ----------------------------------------------------*/

/* Runs fn in a child; the child's value must be 0 at join. */
pid_t spawn(int (*fn)(void *arg), void *arg);
void join(pid_t pid);

uint64_t now_ns(void);
/* Until when a wait that should be short may last, as now_ns() counts. */
uint64_t timeout(void);
void sleep_ms(unsigned int ms);

/* The state of a thread or process as /proc has it: 'R', 'S', 'D'... */
char task_state(pid_t tid);
/* Where a fault waits for the end of a transition. */
#define IN_FAULT "vfio_pci_buf"
/* Asleep in a kernel function whose name has this in it? The other waits for that. */
bool is_asleep_in(pid_t tid, const char *function);
void wait_asleep_in(pid_t tid, const char *function);
/* Waits for the end of a child, some seconds at most; returns its status. */
int wait_end(pid_t pid, const char *what);
/* Waits until *flag is not 0, at most some seconds. */
void wait_for(const volatile int *flag, const char *what);

/* The text of a small file, without its last newline; "" if there is none. */
const char *read_file(const char *path, char *buf, size_t size);
bool write_file(const char *path, const char *text);
/*
 * Makes a cgroup, a folder of CGROUPFS, with a controller or NULL; skips the case where there is
 * none. Has a process in it, 0 being the calling one.
 */
#define CGROUPFS "/sys/fs/cgroup"
void cgroup_make(const char *cgroup, const char *controller);
void cgroup_enter(const char *cgroup, pid_t pid);
/* Writes a parameter of the kernel, which gets its old value back at the end of the case. */
void set_parameter(const char *path, const char *value);

#endif
