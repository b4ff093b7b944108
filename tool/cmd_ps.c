// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>
#include <unistd.h>

#include "buffers.h"
#include "out.h"
#include "pci.h"
#include "procs.h"

static const struct column columns[] = {
	{ .key = "pid", .right = true },
	{ .key = "comm" },
	{ .key = "uid", .right = true },
	{ .key = "device" },
	{ .key = "bar", .right = true },
	{ .key = "buffer", .right = true },
	{ .key = "mapped", .format = FORMAT_SIZE, .right = true },
	{ .key = "fds", .right = true },
	{ .key = "dma", .format = FORMAT_SIZE, .right = true },
	{ .key = "importers" },
	{ .key = "state" },
	{ .key = "name" },
};

/* What is known of a buffer, from the kernel's list or else from its name. */
struct facts {
	char device[PCI_ADDRESS_MAX]; /* "": not known */
	unsigned int bar;
	const char *state; /* NULL: not known */
};

static void learn(struct facts *f, const struct holder *h, enum buffers_known known,
		  const struct buffer_info *b)
{
	*f = (struct facts){ 0 };
	if (b) {
		snprintf(f->device, sizeof(f->device), "%s", b->device);
		f->bar = b->bar;
		f->state = b->state;
		return;
	}
	if (!procs_kernel_name(h->name, f->device, &f->bar))
		f->device[0] = '\0';
	/* /proc was read before: a buffer in no list is of a device that has been closed. */
	if (known == BUFFERS_KNOWN)
		f->state = "revoked";
}

static bool has_string(const json_t *array, const char *text)
{
	json_t *element;
	size_t i;

	json_array_foreach((json_t *)array, i, element)
	{
		if (!strcmp(json_string_value(element), text))
			return true;
	}
	return false;
}

/* What this process has the buffer mapped by for devices, each once. */
static json_t *importers(const struct holder *h, const struct buffer_info *b)
{
	json_t *names = json_array();
	size_t i;

	for (i = 0; b && i < b->nr_attached; i++) {
		if (b->attached[i].pid == h->pid && !has_string(names, b->attached[i].name))
			json_array_append_new(names, out_string(b->attached[i].name));
	}
	return names;
}

static json_t *row(const struct holder *h, const struct facts *f, enum buffers_known known,
		   const struct buffer_info *b)
{
	bool dma_known = known == BUFFERS_KNOWN && !h->dma_unknown;

	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:i, s:o}", "pid",
			 (int)h->pid, "comm", out_string(h->comm), "uid",
			 h->uid == (uid_t)-1 ? json_null() : json_integer(h->uid), "dma",
			 dma_known ? json_integer(h->dma) : json_null(), "importers",
			 known == BUFFERS_KNOWN ? importers(h, b) : json_null(), "device",
			 f->device[0] ? json_string(f->device) : json_null(), "bar",
			 f->device[0] ? json_integer(f->bar) : json_null(), "buffer",
			 (json_int_t)h->inode, "name", out_string(h->name), "mapped",
			 (json_int_t)h->mapped, "fds", (int)h->fds, "state",
			 f->state ? json_string(f->state) : json_null());
}

int cmd_ps(struct call *c)
{
	const char *arg = call_arg(c, 0);
	struct buffer_info *buffers;
	enum buffers_known known;
	struct pci_function f;
	bool by_device = false;
	size_t nr, i;
	struct procs p;
	json_t *rows;
	int status;

	if (arg && !pci_parse_address(arg, f.address)) {
		by_device = true;
		if (arg_function(c, "ADDRESS", arg, &f, &status))
			return status;
	}
	status = procs_read(c->root, &p);
	if (status)
		return failed(c, "/proc: %s", strerror(-status));
	known = buffers_read(c->root, &buffers, &nr);
	status = procs_add_importers(c->root, &p, buffers, nr);
	if (status) {
		buffers_free(buffers, nr);
		procs_free(&p);
		return failed(c, "%s", strerror(-status));
	}
	rows = json_array();
	for (i = 0; i < p.nr_holders; i++) {
		const struct holder *h = &p.holders[i];
		const struct buffer_info *b;
		struct facts facts;

		if (!procs_is_vfio_buffer(&p, buffers, nr, h->inode))
			continue;
		b = buffers_find(buffers, nr, h->inode);
		learn(&facts, h, known, b);
		if (by_device ? strcmp(facts.device, f.address) : arg && strcmp(h->name, arg))
			continue;
		json_array_append_new(rows, row(h, &facts, known, b));
	}
	if (p.denied)
		note(c, "%u of %u processes could not be looked at%s", p.denied,
		     p.denied + p.looked_at, geteuid() ? ": root may" : "");
	if (known != BUFFERS_KNOWN && json_array_size(rows))
		note(c, "states are not known: %s", buffers_why_not(known));
	buffers_free(buffers, nr);
	procs_free(&p);
	return out_table(c, "holders", columns, sizeof(columns) / sizeof(columns[0]), rows);
}
