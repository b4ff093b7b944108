// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "file.h"

#define DEBUGFS "/sys/kernel/debug"
#define FOLDER DEBUGFS "/vfio_pci_dmabuf"

/* Where each column is: later kernels may add some. */
enum { COL_BUF, COL_KIND, COL_BAR, COL_STATE, COL_MEMATTR, COL_SIZE, COL_VMAS, COL_IMPORTERS,
       COL_DMA_MAPS, COL_PID, COL_COMM, COL_ATTACHED, COL_RANGES, NR_COLS };

static const char *const col_names[NR_COLS] = { "buf",	"kind",	     "bar",	 "state",
						"memattr", "size",	     "vmas",	 "importers",
						"dma_maps", "pid",	     "comm",	 "attached",
						"ranges" };

#define MAX_FIELDS 32

static size_t split(char *line, char **fields)
{
	size_t n = 0;
	char *field;

	while (n < MAX_FIELDS && (field = strsep(&line, "\t")))
		fields[n++] = field;
	return n;
}

/* IMPORTER/PID[@IOVA:LENGTH:OFFSET]/COMM */
static int parse_importer(char *text, struct buffer_importer *i)
{
	char *pid, *end;

	*i = (struct buffer_importer){ 0 };
	pid = strchr(text, '/');
	if (!pid)
		return -EPROTO;
	*pid++ = '\0';
	i->pid = strtol(pid, &end, 10);
	if (*end == '@' && sscanf(end, "@%" SCNx64 ":%" SCNx64 ":%" SCNx64, &i->iova, &i->length,
				  &i->offset) != 3)
		return -EPROTO;
	end = strchr(end, '/');
	if (!end)
		return -EPROTO;
	snprintf(i->name, sizeof(i->name), "%s", text);
	file_unescape(end + 1);
	snprintf(i->comm, sizeof(i->comm), "%s", end + 1);
	return 0;
}

/* Separated by commas; "-": nobody; "+N" at the end: that many more. */
static int parse_attached(char *text, struct buffer_info *b)
{
	struct buffer_importer *bigger;
	char *one;
	int ret;

	if (!strcmp(text, "-"))
		return 0;
	while ((one = strsep(&text, ","))) {
		if (*one == '+')
			return 0;
		bigger = reallocarray(b->attached, b->nr_attached + 1, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		b->attached = bigger;
		ret = parse_importer(one, &bigger[b->nr_attached]);
		if (ret)
			return ret;
		b->nr_attached++;
	}
	return 0;
}

static int parse_line(const char *device, char *const *at, struct buffer_info *b)
{
	int ret;

	*b = (struct buffer_info){
		.inode = strtoull(at[COL_BUF], NULL, 10),
		.exported = !strcmp(at[COL_KIND], "exported"),
		.bar = strtoul(at[COL_BAR], NULL, 10),
		.size = strtoull(at[COL_SIZE], NULL, 0),
		.vmas = strtoul(at[COL_VMAS], NULL, 10),
		.importers = strtoul(at[COL_IMPORTERS], NULL, 10),
		.dma_maps = strtoul(at[COL_DMA_MAPS], NULL, 10),
		.pid = strtol(at[COL_PID], NULL, 10),
	};
	snprintf(b->device, sizeof(b->device), "%s", device);
	snprintf(b->state, sizeof(b->state), "%s", at[COL_STATE]);
	snprintf(b->memattr, sizeof(b->memattr), "%s", at[COL_MEMATTR]);
	snprintf(b->comm, sizeof(b->comm), "%s", at[COL_COMM]);
	ret = parse_attached(at[COL_ATTACHED], b);
	if (!ret) {
		b->ranges = strdup(at[COL_RANGES]);
		ret = b->ranges ? 0 : -ENOMEM;
	}
	if (ret)
		free(b->attached);
	return ret;
}

int buffers_parse(const char *device, char *text, struct buffer_info **buffers, size_t *nr)
{
	char *line, *fields[MAX_FIELDS], *at[NR_COLS];
	size_t index[NR_COLS], i, k, n;
	struct buffer_info *bigger;
	int ret;

	line = strsep(&text, "\n");
	n = split(line, fields);
	for (i = 0; i < NR_COLS; i++) {
		for (k = 0; k < n && strcmp(fields[k], col_names[i]); k++)
			;
		if (k == n)
			return -EPROTO;
		index[i] = k;
	}
	while ((line = strsep(&text, "\n"))) {
		if (!*line)
			continue;
		n = split(line, fields);
		for (i = 0; i < NR_COLS; i++) {
			if (index[i] >= n)
				return -EPROTO;
			at[i] = fields[index[i]];
		}
		bigger = reallocarray(*buffers, *nr + 1, sizeof(**buffers));
		if (!bigger)
			return -ENOMEM;
		*buffers = bigger;
		ret = parse_line(device, at, &bigger[*nr]);
		if (ret)
			return ret;
		++*nr;
	}
	return 0;
}

static int by_device(const void *a, const void *b)
{
	const struct buffer_info *x = a, *y = b;
	int order = strcmp(x->device, y->device);

	return order ? order : (x->inode > y->inode) - (x->inode < y->inode);
}

enum buffers_known buffers_read(const char *root, struct buffer_info **buffers, size_t *nr)
{
	enum buffers_known known = BUFFERS_KNOWN;
	ssize_t i, found;
	char **names;
	char *text;
	int ret;

	*buffers = NULL;
	*nr = 0;
	found = file_names(root, &names, FOLDER);
	if (found == -EACCES || found == -EPERM)
		return BUFFERS_DENIED;
	if (found < 0) {
		found = file_names(root, &names, DEBUGFS);
		if (found >= 0)
			free(names);
		return found == -EACCES || found == -EPERM ? BUFFERS_DENIED :
		       found > 0			     ? BUFFERS_NOT_OURS :
							       BUFFERS_NO_DEBUGFS;
	}
	for (i = 0; i < found; i++) {
		ret = file_read_all(root, &text, NULL, FOLDER "/%s", names[i]);
		if (ret == -EACCES || ret == -EPERM)
			known = BUFFERS_DENIED;
		if (ret) /* else it has been closed since */
			continue;
		buffers_parse(names[i], text, buffers, nr);
		free(text);
	}
	free(names);
	if (*nr)
		qsort(*buffers, *nr, sizeof(**buffers), by_device);
	return known;
}

void buffers_free(struct buffer_info *buffers, size_t nr)
{
	while (nr) {
		free(buffers[--nr].attached);
		free(buffers[nr].ranges);
	}
	free(buffers);
}

const char *buffers_why_not(enum buffers_known known)
{
	static const char *const why[] = {
		[BUFFERS_NO_DEBUGFS] = "debugfs is not mounted (mount -t debugfs debugfs " DEBUGFS ")",
		[BUFFERS_DENIED] = "only root may read " FOLDER,
		[BUFFERS_NOT_OURS] = "this kernel's vfio-pci has no " FOLDER
				     ", or the module is not loaded",
	};

	return why[known];
}

const struct buffer_info *buffers_find(const struct buffer_info *buffers, size_t nr, uint64_t inode)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (buffers[i].inode == inode)
			return &buffers[i];
	}
	return NULL;
}
