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

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

/* What is left of the bytes. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

/* The next @n bytes as a number; zeros when the input has ended. */
static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned int n)
{
	uint64_t v = 0;

	while (n--) {
		v <<= 8;
		if (in->left) {
			v |= *in->data++;
			in->left--;
		}
	}
	return v;
}

/* The sentence that check() returns. */
__attribute__((format(printf, 1, 2))) static inline const char *fuzz_wrong(const char *fmt, ...)
{
	static char problem[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(problem, sizeof(problem), fmt, ap);
	va_end(ap);
	return problem;
}

#endif
