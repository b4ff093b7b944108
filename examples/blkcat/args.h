/* SPDX-License-Identifier: MIT */
/* What both programs have on their command lines. What is wrong is said on stderr, in one line. */
#ifndef BLK_ARGS_H
#define BLK_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"

/* A decimal number from @min to @max. */
bool arg_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* FIRST or FIRST+COUNT; *count is 0 when it is not given. */
bool arg_blocks(const char *option, const char *text, uint64_t *first, uint64_t *count);
/* Are these in the window? A count of 0 becomes what there is from *first on. */
bool arg_fit_blocks(const char *option, const struct blk_client_facts *facts, uint64_t first,
		    uint64_t *count);
/* Exactly one argument, the socket, is left. */
bool arg_socket(int argc, char **argv, int optind, const char **socket);

#endif
