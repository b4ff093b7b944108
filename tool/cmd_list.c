// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "pci.h"

static json_t *bars_json(const struct pci_function *f)
{
	json_t *bars = json_array();
	size_t i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &f->bars[i];

		if (b->type == BAR_NONE)
			continue;
		json_array_append_new(bars, json_pack("{s:i, s:I, s:s, s:b, s:b}", "bar", (int)i, "size",
						      (json_int_t)b->size, "type",
						      pci_bar_type_name(b->type), "prefetchable",
						      b->prefetchable, "mappable", b->mappable));
	}
	return bars;
}

int cmd_list(struct call *c)
{
	static const struct column columns[] = {
		{ .key = "address" },
		{ .key = "id" },
		{ .key = "driver" },
		{ .key = "group", .right = true },
	};
	json_t *rows = json_array();
	struct pci_function *all;
	size_t nr, i;
	int ret;

	ret = pci_scan(c->root, &all, &nr);
	if (ret)
		return failed(c, "%s: %s", PCI_SYSFS, strerror(-ret));
	for (i = 0; i < nr; i++) {
		const struct pci_function *f = &all[i];
		char id[16];

		snprintf(id, sizeof(id), "%04x:%04x", f->vendor, f->device);
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:i, s:o}", "address", f->address,
						      "id", id, "driver", f->driver, "group", f->group,
						      "bars", bars_json(f)));
	}
	free(all);
	return out_table(c, "functions", columns, sizeof(columns) / sizeof(columns[0]), rows);
}
