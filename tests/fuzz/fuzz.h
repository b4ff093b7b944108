/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code under arbitrary bytes, its answers held against naive ones.
 *
 *	layout.c     the kernel's layout of a buffer: a list of ranges and questions
 *	             about it; each answer is compared with a linear walk
 *	message.c    what barbuf_buffer_recv() and barbuf_message_recv() take from a socket
 *	random.c     feeds a subject seeded random bytes, as a test
 *	libfuzzer.c  feeds it what libFuzzer finds, where clang has that
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each of layout.c and message.c has one. */
extern const struct fuzz_subject {
	const char *name;
	/* Returns NULL, or what is wrong in a sentence, valid until the next call. */
	const char *(*check)(const uint8_t *data, size_t size);
	/*
	 * What a session must have met, by number from 0: a sentence, and whether it
	 * has. NULL: no more. A comparison that never met a case proves nothing about it.
	 */
	const char *(*coverage)(unsigned int i, bool *met);
	uint64_t iterations; /* of a short session */
} fuzz_subject;

#endif
