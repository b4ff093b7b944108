/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel of our own under the library's seam: PCI devices in sysfs, VFIO's
 * groups and device files, both kinds of IOMMU, and rules that are counted when
 * the library breaks them. A test sets what it wants in `k`.
 */
#ifndef BARBUF_TESTS_FAKE_KERNEL_H
#define BARBUF_TESTS_FAKE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "device.h"
#include "tap.h"
#include "uapi.h"

#define A0 "0000:01:00.0" /* A0 and A1 share group 12 */
#define A1 "0000:01:00.1"
#define B0 "0000:00:04.0" /* alone in group 7 */
#define FREE "0000:00:1f.0" /* in no group */
#define SHARED "0000:00:05.0" /* group 8 has a device of another driver */
#define OTHER "0000:00:05.1" /* that one */

#define CONFIG_OFFSET (7ull << 40)
#define CONFIG_SIZE 256
#define NR_FDS 64
#define NR_MAPPINGS 16
#define LAST_IOVA 0x7fffffffffull

enum kind { CLOSED, CONTAINER, GROUP, DEVICE, IOMMUFD, BUFFER, TEXT };

struct fake_file {
	enum kind kind;
	unsigned int group;
	bool attached; /* of a group: to a container; of a device: to an IOAS */
	bool cdev;
	bool bound;
	char address[16];
	const char *text;
};

struct fake_mapping {
	uint64_t iova, len, vaddr, offset;
	uint32_t flags;
	int fd; /* of a file, or -1 */
};

/* A file that is there, beside those of VFIO, and what it says. */
struct fake_text {
	const char *path;
	const char *text;
};

/* A process, which has one file open. */
struct fake_process {
	const char *pid;
	const char *open;
	const char *comm;
};

struct fake_kernel {
	struct fake_file fds[NR_FDS];
	struct fake_mapping dma[NR_MAPPINGS];
	unsigned int nr_dma;
	unsigned int mmaps; /* that are not unmapped */
	uint64_t mmap_offset;
	int mmap_prot;
	unsigned int calls; /* that could fail so far */
	unsigned int fail_at; /* the call to fail, from 1; 0: none */
	int fail_with;
	bool has_iommu;
	unsigned int violations; /* of VFIO's rules, by the library */

	/* what there is */
	int api_version;
	int has_type1;
	int has_type1_revoke; /* what type1 says of that extension */
	bool has_iommufd;
	bool has_vfio; /* /dev/vfio/vfio, and the groups */
	bool has_cdevs; /* /dev/vfio/devices */
	bool has_map_file;
	int map_two_result; /* of a DMABUF of two pages, where no device sees it */
	bool has_ioas; /* the first one */
	int has_scratch; /* a second one, to try an import in */
	int open_iommufd; /* what these say instead of opening, 0: nothing */
	int open_cdev;
	int open_group;
	int bind_result;
	int map_result; /* what any mapping says, 0: as it should */
	int mmap_result;
	bool no_iommus; /* in /sys/class/iommu */
	bool no_vfio_pci; /* module */
	const char *a1_driver; /* NULL: none */
	struct fake_text texts[4];
	struct fake_process process;
	struct rlimit memlock;
	unsigned int mode; /* of the files, all of user 5 and group 6 */

	/* the device */
	uint32_t device_flags;
	bool can_reset;
	unsigned int resets;
	unsigned int set_size; /* of a hot reset; group 12 unless set_groups */
	unsigned int set_grows; /* how often it is one larger than it was */
	unsigned int set_groups[4];
	uint32_t set_flags;
	int reset_fds[8];
	unsigned int nr_reset_fds;
	const void *region_caps; /* behind the info of region 2 */
	size_t region_caps_size;
	uint32_t region_flags;
	bool bar4_is_large; /* two pages, and all others one */
	unsigned char config[CONFIG_SIZE];
	bool has_config; /* else it reads as 0x5a */
	/* the last VFIO_DEVICE_FEATURE */
	uint32_t feature_argsz, feature_flags;
	unsigned char feature_data[256];
	int feature_result;
	struct vfio_region_dma_range exported[2]; /* the first ranges of the last export */
	unsigned int nr_exported;
	bool exports; /* feature 11 opens a buffer, then feature_result is that of the others */
	ssize_t short_io; /* bytes that pread and pwrite move, or -1 for all */
	off_t io_offset;
};

extern struct fake_kernel k;
extern const struct barbuf_sys fake;

/* A kernel with type1, groups, iommufd and all else that there is. */
void fresh_kernel(void);
unsigned int open_count(void);
/* A file of this kind that was there before the library came. */
int fake_fd(enum kind kind);

/* A container with one device in it; NULL when that failed and was reported. */
__attribute__((unused)) static struct barbuf_device *
open_one(struct barbuf_container **c, enum barbuf_iommu iommu, const char *address)
{
	struct barbuf_device *dev = NULL;
	int ret;

	fresh_kernel();
	ret = barbuf__container_new(c, iommu, &fake);
	if (!ret)
		ret = barbuf_device_open(&dev, *c, address);
	CHECK(!ret, "%s opens (%s)", address, strerror(-ret));
	return dev;
}

__attribute__((unused)) static void close_one(struct barbuf_container *c, struct barbuf_device *dev)
{
	barbuf_device_close(dev);
	CHECK(!barbuf_container_free(c) && !open_count() && !k.mmaps && !k.violations,
	      "all is closed, in order (%u open, %u mapped, %u rules broken)", open_count(),
	      k.mmaps, k.violations);
}

#endif
