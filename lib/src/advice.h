/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BARBUF_ADVICE_H
#define BARBUF_ADVICE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Write the sentence; 0, which is what a function that gives advice returns. */
__attribute__((format(printf, 3, 4))) static inline int barbuf__say(char *text, size_t size,
								    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, size, fmt, ap);
	va_end(ap);
	return 0;
}

#endif
