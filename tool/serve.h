/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How `barbuf export --socket` hands out buffers, version 1.
 *
 * On a UNIX socket of type SOCK_SEQPACKET, each message one of
 * barbuf_message_send(), without a descriptor, its text without a NUL:
 *
 *	client		"barbuf/1 lend NAME"	NAME may be empty where one buffer is offered
 *	server		"barbuf/1 lent NAME"	then the buffer, by barbuf_buffer_send()
 *	or		"barbuf/1 refused REASON"	then the server closes
 *
 * A name is of 1 to 31 (BARBUF_NAME_MAX) printable characters of ASCII. Each connection
 * gets one buffer, of its own: it is revoked when the connection ends, or the process
 * that made it. After its answer the server reads nothing more.
 * A server that knows another version answers "barbuf/VERSION refused REASON",
 * in all versions to come.
 */
#ifndef TOOL_SERVE_H
#define TOOL_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <barbuf.h>

#define SERVE_REASON_MAX 256

bool serve_name_valid(const char *name);

/* The client's half. @name: "" for the only one. -EINVAL: no name. */
int serve_ask(int sock, const char *name);

/**
 * serve_receive() - what the server answered
 * @reason: on -EACCES, why it refused: text that can be printed
 *
 * Errors: -EACCES: refused; -EPROTO: no server of this protocol; those of
 * barbuf_message_recv() and barbuf_buffer_recv().
 */
int serve_receive(int sock, struct barbuf_buffer **buf, char reason[SERVE_REASON_MAX]);

/* The server's. Read a request: -EPROTO: not of this version; -EBADMSG: no request. */
int serve_read(int sock, char name[BARBUF_NAME_MAX + 1]);

int serve_lend(int sock, const char *name, const struct barbuf_buffer *buf);

/* Cut where it is too long. */
int serve_refuse(int sock, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
