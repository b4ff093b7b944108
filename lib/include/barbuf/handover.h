/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handing a buffer to another process: one file descriptor and a short message
 * over a UNIX socket of type SOCK_SEQPACKET.
 *
 * What comes from the socket is not trusted. Whatever was sent, a call either
 * succeeds or leaves no file descriptor behind.
 *
 * Threads: one sender and one receiver may use a socket at the same time.
 */
#ifndef BARBUF_HANDOVER_H
#define BARBUF_HANDOVER_H

#include <stddef.h>

/* The longest message, in bytes. */
#define BARBUF_MESSAGE_MAX 1024

/**
 * barbuf_send() - send a message, with or without a file descriptor
 * @sock: connected SOCK_SEQPACKET UNIX socket
 * @msg: the message, opaque
 * @len: its length in bytes, 0 to BARBUF_MESSAGE_MAX
 * @fd: descriptor to send along, or -1; it stays the caller's
 *
 * No SIGPIPE is raised.
 *
 * Return: 0 or a negative errno. -EMSGSIZE: @len is too much; -EPROTOTYPE: the
 * socket keeps no message boundaries; -EPIPE: the peer is gone; -EAGAIN: the
 * socket's send timeout passed, or it does not block.
 */
int barbuf_send(int sock, const void *msg, size_t len, int fd);

/**
 * barbuf_recv() - receive what barbuf_send() sent
 * @sock: connected SOCK_SEQPACKET UNIX socket
 * @buf: where the message goes
 * @size: room in @buf in bytes
 * @len: length of the message, set on success
 * @fd: the descriptor that came, close-on-exec and now the caller's, or -1. NULL
 *	if none is expected
 *
 * A message that fails is consumed.
 *
 * Return: 0 or a negative errno. -EPIPE: the peer closed the socket;
 * -EBADMSG: not a message of barbuf_send(), cut short, or with more or fewer
 * descriptors than it says, or with one when @fd is NULL; -EMSGSIZE: longer than
 * @size; -EMFILE: no free descriptor here; -EPROTOTYPE, -EAGAIN as
 * barbuf_send().
 */
int barbuf_recv(int sock, void *buf, size_t size, size_t *len, int *fd);

#endif
