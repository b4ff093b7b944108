// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "out.h"
#include "pci.h"
#include "procs.h"

struct picture {
	struct pci_function *functions;
	size_t nr_functions;
	enum buffers_known known;
	struct buffer_info *buffers;
	size_t nr_buffers;
	struct procs procs; /* with --verbose or --json */
};

static void picture_free(struct picture *p)
{
	free(p->functions);
	buffers_free(p->buffers, p->nr_buffers);
	procs_free(&p->procs);
}

/* "0:16K mem64 p" */
static void bar_text(const struct pci_bar *b, unsigned int i, char *text, size_t size)
{
	char bytes[SIZE_TEXT_MAX];

	snprintf(text, size, "%u:%s:%s%s%s", i, out_size(b->size, bytes), pci_bar_type_name(b->type),
		 b->prefetchable ? ":prefetch" : "",
		 b->type != BAR_IO && !b->mappable ? ":no-mmap" : "");
}

static json_t *bars_json(const struct pci_function *f)
{
	json_t *bars = json_array();
	size_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &f->bars[i];

		if (b->type == BAR_NONE)
			continue;
		json_array_append_new(bars,
				      json_pack("{s:i, s:I, s:s, s:b, s:b}", "bar", (int)i, "size",
						(json_int_t)b->size, "type", pci_bar_type_name(b->type),
						"prefetchable", b->prefetchable, "mappable",
						b->mappable));
	}
	return bars;
}

static json_t *bar_texts(const struct pci_function *f)
{
	json_t *texts = json_array();
	char text[64];
	size_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		if (f->bars[i].type == BAR_NONE)
			continue;
		bar_text(&f->bars[i], i, text, sizeof(text));
		json_array_append_new(texts, json_string(text));
	}
	return texts;
}

static json_t *mappers_json(const struct picture *p, uint64_t inode)
{
	json_t *pids = json_array();
	size_t i;

	for (i = 0; i < p->procs.nr_holders; i++) {
		if (p->procs.holders[i].inode == inode && p->procs.holders[i].mapped)
			json_array_append_new(pids, json_integer(p->procs.holders[i].pid));
	}
	return pids;
}

static json_t *importer_json(const struct buffer_importer *i)
{
	char iova[24];

	snprintf(iova, sizeof(iova), "%#" PRIx64, i->iova);
	return json_pack("{s:o, s:i, s:o, s:o, s:o, s:o}", "importer", out_string(i->name), "pid",
			 (int)i->pid, "comm", out_string(i->comm), "iova",
			 i->length ? json_string(iova) : json_null(), "length",
			 i->length ? json_integer(i->length) : json_null(), "offset",
			 i->length ? json_integer(i->offset) : json_null());
}

/* "vfio_iommu_type1/209@0x100000:0x2000:0x0" */
static json_t *importer_text(const struct buffer_importer *i)
{
	char text[192];

	if (i->length)
		snprintf(text, sizeof(text), "%s/%d@0x%" PRIx64 ":0x%" PRIx64 ":0x%" PRIx64, i->name,
			 (int)i->pid, i->iova, i->length, i->offset);
	else
		snprintf(text, sizeof(text), "%s/%d", i->name, (int)i->pid);
	return out_string(text);
}

static json_t *attached_json(const struct buffer_info *b, bool as_text)
{
	json_t *attached = json_array();
	char text[24];
	size_t i;

	for (i = 0; i < b->nr_attached; i++)
		json_array_append_new(attached, as_text ? importer_text(&b->attached[i]) :
							  importer_json(&b->attached[i]));
	if (as_text && b->importers > b->nr_attached) {
		snprintf(text, sizeof(text), "+%zu", b->importers - b->nr_attached);
		json_array_append_new(attached, json_string(text));
	}
	return attached;
}

static json_t *buffer_json(const struct call *c, const struct picture *p, const struct buffer_info *b)
{
	return json_pack("{s:I, s:o, s:s, s:s, s:i, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:s}",
			 "buffer", (json_int_t)b->inode, "name",
			 out_string(procs_buffer_name(&p->procs, b->inode)), "address", b->device, "kind",
			 b->exported ? "exported" : "bar", "bar", (int)b->bar, "state", b->state,
			 "memattr", b->memattr, "size", (json_int_t)b->size, "vmas", (int)b->vmas,
			 "importers", (int)b->importers, "dma_maps", (int)b->dma_maps, "pid",
			 (int)b->pid, "comm", out_string(b->comm), "mappers",
			 mappers_json(p, b->inode), "attached", attached_json(b, !c->json), "ranges",
			 b->ranges);
}

static json_t *buffers_json(const struct call *c, const struct picture *p, const char *address)
{
	json_t *buffers = json_array();
	size_t i;

	for (i = 0; i < p->nr_buffers; i++) {
		if (!address || !strcmp(p->buffers[i].device, address))
			json_array_append_new(buffers, buffer_json(c, p, &p->buffers[i]));
	}
	return buffers;
}

static json_t *nr_buffers_json(const struct picture *p, const char *address)
{
	json_int_t n = 0;
	size_t i;

	for (i = 0; i < p->nr_buffers; i++)
		n += !strcmp(p->buffers[i].device, address);
	return p->known == BUFFERS_KNOWN ? json_integer(n) : json_null();
}

static json_t *function_json(const struct call *c, const struct picture *p,
			     const struct pci_function *f)
{
	char vendor[8], device[8], class[8], id[16];
	json_t *row;

	snprintf(vendor, sizeof(vendor), "%04x", f->vendor);
	snprintf(device, sizeof(device), "%04x", f->device);
	snprintf(class, sizeof(class), "%06x", f->class & 0xffffff);
	snprintf(id, sizeof(id), "%s:%s", vendor, device);
	row = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "address", f->address, "vendor", vendor,
			"device", device, "class", class, "driver",
			f->driver[0] ? out_string(f->driver) : json_null(), "group",
			f->group >= 0 ? json_integer(f->group) : json_null());
	if (!row)
		return NULL;
	if (c->json) {
		json_object_set_new(row, "bars", bars_json(f));
		json_object_set_new(row, "buffers",
				    p->known == BUFFERS_KNOWN ? buffers_json(c, p, f->address) :
								json_null());
		return row;
	}
	json_object_set_new(row, "id", json_string(id));
	json_object_set_new(row, "buffers", nr_buffers_json(p, f->address));
	json_object_set_new(row, "bars", bar_texts(f));
	return row;
}

static int print_functions(const struct call *c, const struct picture *p, bool all)
{
	static const struct column columns[] = {
		{ .key = "address" },
		{ .key = "id" },
		{ .key = "class" },
		{ .key = "driver" },
		{ .key = "group", .right = true },
		{ .key = "buffers", .right = true },
		{ .key = "bars" },
	};
	json_t *rows = json_array();
	size_t i;

	for (i = 0; i < p->nr_functions; i++) {
		if (all || pci_has_memory(&p->functions[i]))
			json_array_append_new(rows, function_json(c, p, &p->functions[i]));
	}
	return out_table(c, "functions", columns, sizeof(columns) / sizeof(columns[0]), rows);
}

static int print_buffers(const struct call *c, const struct picture *p, const char *address)
{
	static const struct column columns[] = {
		{ .key = "buffer", .right = true },
		{ .key = "address" },
		{ .key = "bar", .right = true },
		{ .key = "kind" },
		{ .key = "state" },
		{ .key = "memattr" },
		{ .key = "size", .format = FORMAT_SIZE, .right = true },
		{ .key = "vmas", .right = true },
		{ .key = "importers", .right = true },
		{ .key = "dma_maps", .right = true },
		{ .key = "pid", .right = true },
		{ .key = "comm" },
		{ .key = "mappers" },
		{ .key = "attached" },
		{ .key = "name" },
		{ .key = "ranges" },
	};

	return out_table(c, "buffers", columns, sizeof(columns) / sizeof(columns[0]),
			 buffers_json(c, p, address));
}

static int look(const struct call *c, struct picture *p, const struct pci_function *only)
{
	int ret = 0;

	if (only) {
		p->functions = malloc(sizeof(*only));
		if (!p->functions)
			return failed(c, "%s", strerror(ENOMEM));
		p->functions[0] = *only;
		p->nr_functions = 1;
	} else {
		ret = pci_scan(c->root, &p->functions, &p->nr_functions);
		if (ret)
			return failed(c, "%s: %s", PCI_SYSFS, strerror(-ret));
	}
	if (c->verbose || c->json) {
		ret = procs_read(c->root, &p->procs);
		if (ret)
			return failed(c, "/proc: %s", strerror(-ret));
	}
	p->known = buffers_read(c->root, &p->buffers, &p->nr_buffers);
	return 0;
}

int cmd_list(struct call *c)
{
	struct picture p = { 0 };
	struct pci_function only;
	bool has_only = call_arg(c, 0);
	int status;

	if (has_only && arg_function(c, "ADDRESS", call_arg(c, 0), &only, &status))
		return status;
	status = look(c, &p, has_only ? &only : NULL);
	if (!status)
		status = print_functions(c, &p, has_only || call_has(c, "all"));
	if (!status && c->verbose && !c->json) {
		putchar('\n');
		if (p.known == BUFFERS_KNOWN)
			status = print_buffers(c, &p, has_only ? only.address : NULL);
		else
			printf("# buffers: %s\n", buffers_why_not(p.known));
	}
	picture_free(&p);
	return status;
}
