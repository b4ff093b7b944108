/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of /sys, /proc, /dev and /run below a root, which is "" but in tests. Paths are
 * made as by printf, with their first slash. Errors are negative errno.
 */
#ifndef TOOL_FILE_H
#define TOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_PATH_MAX 512

/* Read at most @size - 1 bytes and put a NUL behind them; without trailing newlines. Returns how many. */
__attribute__((format(printf, 4, 5))) ssize_t file_read(const char *root, char *buf, size_t size,
							const char *fmt, ...);
/* All of it, in memory to free(); *len may be NULL. */
__attribute__((format(printf, 4, 5))) int file_read_all(const char *root, char **text, size_t *len,
							const char *fmt, ...);
/* A number as C writes it (0x...), or hexadecimal without 0x when @base is 16. */
__attribute__((format(printf, 4, 5))) int file_read_number(const char *root, int base, uint64_t *n,
							   const char *fmt, ...);
/* The last component of where a link points. */
__attribute__((format(printf, 4, 5))) int file_link_name(const char *root, char *buf, size_t size,
							 const char *fmt, ...);
/* All of where a link points, as it stands. */
__attribute__((format(printf, 4, 5))) int file_link(const char *root, char *buf, size_t size,
						    const char *fmt, ...);
__attribute__((format(printf, 2, 3))) bool file_exists(const char *root, const char *fmt, ...);
/* Write @text by one write(2), into what exists or, with @create, anew. */
__attribute__((format(printf, 4, 5))) int file_write(const char *root, bool create, const char *text,
						     const char *fmt, ...);
/*
 * The names in a folder, sorted as by strverscmp(), without those that begin with a dot. One
 * block of memory to free(); NULL at the end. Returns how many.
 */
__attribute__((format(printf, 3, 4))) ssize_t file_names(const char *root, char ***names,
							 const char *fmt, ...);

/* In place: "\\040" becomes a blank, as where the kernel separates fields by such characters. */
void file_unescape(char *text);

#endif
