/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of barbuf doctor. */
#ifndef TOOL_DOCTOR_H
#define TOOL_DOCTOR_H

#include <jansson.h>

#include "pci.h"

enum result { CHECK_OK, CHECK_WARN, CHECK_FAIL, NR_RESULTS };

struct doctor {
	const char *root;
	json_t *checks; /* rows: check, result, text, remedy */
	unsigned int count[NR_RESULTS];
};

/* @remedy: what to do; NULL: nothing. @fmt: what is the case. */
__attribute__((format(printf, 5, 6))) void doctor_say(struct doctor *d, enum result result,
						      const char *check, const char *remedy,
						      const char *fmt, ...);

void doctor_machine(struct doctor *d);
void doctor_device(struct doctor *d, const struct pci_function *f);

/* ACS of the bridges above a function: its control register, -1: it has none, -2: not readable. */
int doctor_acs(const char *root, const char *bridge);
#define ACS_WANTED 0x1d /* source validation, request and completion redirect, upstream forwarding */

/* Is this option on in the kernel's configuration? -1: not known. */
int doctor_kernel_config(const char *root, const char *option);

#endif
