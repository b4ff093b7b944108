// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>

#include "demo.h"

static void print_client(const struct demo_client *c)
{
	const struct report *r = &c->now;

	printf("%-9s  q%d  %6u  %8" PRIu64 "  %6" PRIu64 "  %6" PRIu64 "  %6" PRIu64 "  %6" PRIu64
	       "  %7.1f  %7.1f  %s%s%s\n",
	       c->row.name, c->queue, c->uid, client_done(c), client_errors(c),
	       c->io_errors + r->io_errors, r->faults, c->sigbus + r->sigbus, r->p50_us / 1e3,
	       r->p99_us / 1e3, c->how, *r->doorbell ? ", then " : "", r->doorbell);
}

void summary_print(const struct demo_client *clients, unsigned int nr, const struct measured *m)
{
	unsigned int i;

	printf("\n%-9s  %2s  %6s  %8s  %6s  %6s  %6s  %6s  %7s  %7s  %s\n", "", "", "", "I/O",
	       "data", "I/O", "extra", "", "p50", "p99", "");
	printf("%-9s  %2s  %6s  %8s  %6s  %6s  %6s  %6s  %7s  %7s  %s\n", "client", "", "uid",
	       "done", "errors", "errors", "faults", "SIGBUS", "ms", "ms", "end");
	for (i = 0; i < nr; i++)
		print_client(&clients[i]);
	printf("\n%-20s %16s %16s\n", "lease that ended", "doorbell revoked", "queue reclaimed");
	for (i = 0; i < m->nr; i++)
		printf("%-20s %13.0f us %13.1f ms\n", m->what[i], m->revoke_us[i],
		       m->reclaim_us[i] / 1e3);
	printf("%-20s %16s %13.1f ms, the longest request across it %.0f ms\n", "PCI reset", "",
	       m->reset_us / 1e3, m->pause_us / 1e3);
	putchar('\n');
}
