/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A made-up /sys, /proc, /dev and /run in a temporary folder. */
#ifndef TREE_H
#define TREE_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree[64];

static inline void tree_begin(void)
{
	strcpy(tree, "/tmp/barbuf-tree-XXXXXX");
	if (!mkdtemp(tree)) {
		perror(tree);
		exit(1);
	}
}

static inline void tree_end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	if (system(command))
		perror(tree);
}

/* The folders above a path below the tree. */
static inline void tree_parents(char *path)
{
	char *slash;

	for (slash = path + strlen(tree) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			perror(path);
		*slash = '/';
	}
}

static inline void tree_file(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", tree, path);
	tree_parents(full);
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f)) {
		perror(full);
		exit(1);
	}
}

static inline void tree_folder(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s/", tree, path);
	tree_parents(full);
}

static inline void tree_link(const char *path, const char *target)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", tree, path);
	tree_parents(full);
	unlink(full);
	if (symlink(target, full)) {
		perror(full);
		exit(1);
	}
}

static inline void tree_remove(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", tree, path);
	if (remove(full))
		perror(full);
}

/* What is in a file; "" if it is not there. */
static inline const char *tree_read(const char *path)
{
	static char text[512];
	char full[512];
	size_t n = 0;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", tree, path);
	f = fopen(full, "r");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

/* A function below the given folders: "pci0000:00" or "pci0000:00/0000:00:0a.0". */
static inline void tree_pci(const char *above, const char *address, const char *driver, int group,
			    const char *resource)
{
	char path[256], target[256];

#define IN_FUNCTION(what) (snprintf(path, sizeof(path), "/sys/devices/%s/%s/" what, above, address), path)
	tree_file(IN_FUNCTION("vendor"), "0x1af4\n");
	tree_file(IN_FUNCTION("device"), "0x1110\n");
	tree_file(IN_FUNCTION("class"), "0x050000\n");
	tree_file(IN_FUNCTION("resource"), resource);
	tree_file(IN_FUNCTION("driver_override"), "(null)\n");
	if (driver) {
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
		tree_link(IN_FUNCTION("driver"), target);
		snprintf(target, sizeof(target), "/sys/bus/pci/drivers/%s/unbind", driver);
		tree_file(target, "");
		snprintf(target, sizeof(target), "/sys/bus/pci/drivers/%s/bind", driver);
		tree_file(target, "");
	}
	if (group >= 0) {
		snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
		tree_link(IN_FUNCTION("iommu_group"), target);
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices/%s", group, address);
		tree_link(path, "x");
	}
#undef IN_FUNCTION
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	snprintf(target, sizeof(target), "../../../devices/%s/%s", above, address);
	tree_link(path, target);
}

#define TREE_RESOURCE                                                          \
	"0x00000000fe000000 0x00000000fe0000ff 0x0000000000040200\n"           \
	"0x0000000000000000 0x0000000000000000 0x0000000000000000\n"           \
	"0x0000004000000000 0x000000403fffffff 0x000000000014220c\n"           \
	"0x0000000000000000 0x0000000000000000 0x0000000000000000\n"           \
	"0x000000000000c000 0x000000000000c03f 0x0000000000040101\n"           \
	"0x00000000fe000800 0x00000000fe000bff 0x0000000000040200\n"           \
	"0x0000000000000000 0x0000000000000000 0x0000000000000000\n"

/* Standard output of @what in a string, to free(). */
#define TREE_PRINTED(what)                                                     \
	({                                                                     \
		char *printed_text = NULL;                                     \
		size_t printed_size = 0;                                       \
		FILE *printed_to = open_memstream(&printed_text, &printed_size); \
		FILE *printed_old = stdout;                                    \
		stdout = printed_to;                                           \
		what;                                                          \
		stdout = printed_old;                                          \
		fclose(printed_to);                                            \
		printed_text;                                                  \
	})

#endif
