/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Importers of buffers, each step of them decided by the test: tests/modules has
 * the driver. Like the calls of harness.h, these end the case when they can't do
 * what they are asked for, unless their name starts with try_.
 */
#ifndef BARBUF_TESTS_IMPORTER_H
#define BARBUF_TESTS_IMPORTER_H

#include "../modules/dmabuf_importer.h"
#include "harness.h"

/*
 * An importer attached to a buffer of the device, to do DMA by the device itself,
 * which always reaches its own BARs. Closing the descriptor lets go of all.
 */
int importer_open(const struct dev *dev, int dmabuf_fd);
int try_importer_open(const struct dev *dev, int dmabuf_fd);
/* The same, mapped, and not to let go before it is told to. */
int importer_open_stubborn(const struct dev *dev, int dmabuf_fd);
void importer_map(int importer);
int try_importer_map(int importer);
int try_importer_map_for(int importer, enum importer_direction direction);
/* Work that the importer has queued and that ends with this fence; see fence.h. */
void importer_add_fence(int importer, int fence_fd, enum importer_fence_usage usage);
void importer_unmap(int importer);
bool importer_is_mapped(int importer);
/* How often the exporter has asked to let go, or told of a return. */
unsigned int importer_asked(int importer);

/*
 * How long a revoke or a transition waits for importers, in ms, for set_parameter(). Default:
 * 10,000. FOR_EVER is longer than a case waits for anything.
 */
#define IMPORTER_TIMEOUT "/sys/module/vfio_pci_core/parameters/importer_timeout_ms"
#define FOR_EVER "600000"

/* Returns when all that waits for RCU to be freed has been, such as the file of an fd. */
void rcu_barrier(void);

/* A buffer that another process, which owns the device and has it mapped, has lent us. */
struct lent {
	pid_t owner;
	int fd;
	char address[32];
};

/*
 * Starts a process that opens the device, exports the first bytes of a BAR, maps both,
 * and does nothing until it is killed. With importer, a stubborn one has it mapped, and
 * is ours as well.
 */
void lend(struct lent *lent, const char *model, unsigned int bar, size_t size, int *importer);
void lent_kill_owner(struct lent *lent);

#endif
