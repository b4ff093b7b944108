/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* barbuf-gen: what people and shells read of the table, while barbuf is built. */
#ifndef TOOL_GEN_H
#define TOOL_GEN_H

#include <stdio.h>

#include "table.h"

void gen_man(FILE *f);
void gen_bash(FILE *f);
void gen_zsh(FILE *f);

/* Name of a kind in the shells' functions: "vfio-device". */
const char *gen_kind_name(enum kind kind);

#endif
