/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes over a socket: a header, bytes, and a descriptor or none. */
#ifndef BARBUF_MESSAGE_H
#define BARBUF_MESSAGE_H

#include <stddef.h>

/* Whoever waits for one kind refuses the other. */
enum barbuf__kind {
	BARBUF__KIND_MESSAGE, /* the program's own */
	BARBUF__KIND_BUFFER, /* a buffer and its description */
};

/* As barbuf_message_send() and barbuf_message_recv(). */
int barbuf__message_send(int sock, enum barbuf__kind kind, const void *msg, size_t len, int fd);
int barbuf__message_recv(int sock, enum barbuf__kind kind, void *buf, size_t size, size_t *len,
			 int *fd);

#endif
